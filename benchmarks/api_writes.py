"""How many writes API servers answered, by kind, from their own counter `apiserver_request_total`.

What is written because time passes (Leases) is left out; what is written because something changed is not, whoever
wrote it. Events are told apart from other writes: they are for people to read, and nothing waits for them.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from federation.kube.api import Api

_LINE = re.compile(r"^apiserver_request_total\{([^}]*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION")
_TIMED = ("leases",)
# Reviews are POSTs by form only: they ask, and leave nothing behind.
_QUESTIONS = ("tokenreviews", "subjectaccessreviews", "selfsubjectreviews", "selfsubjectaccessreviews")

_QUIET_SECONDS = 1.5
_LOOK_SECONDS = 0.5


async def writes(apis: Iterable[Api]) -> Counter[str]:
    """Return the number of writes so far by kind (`PATCH pods/status`; a refused one as `PATCH pods/status 409`)."""
    counts: Counter[str] = Counter()
    for text in await asyncio.gather(*(_metrics(api) for api in apis)):
        counts.update(count(text, WRITES))
    return counts


async def reads(apis: Iterable[Api]) -> Counter[str]:
    """Return the number of GETs and lists so far, by kind."""
    counts: Counter[str] = Counter()
    for text in await asyncio.gather(*(_metrics(api) for api in apis)):
        counts.update(count(text, ("GET", "LIST")))
    return counts


async def _metrics(api: Api) -> str:
    return (await api.request("GET", "/metrics", timeout_seconds=60)).body.decode()


def count(text: str, verbs: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for match in _LINE.finditer(text):
        labels = dict(_LABEL.findall(match[1]))
        resource = labels.get("resource", "")
        if labels["verb"] not in verbs or not resource or resource in (*_TIMED, *_QUESTIONS):
            continue
        if labels.get("subresource"):
            resource += f"/{labels['subresource']}"
        code = "" if labels["code"].startswith("2") else f" {labels['code']}"
        counts[f"{labels['verb']} {resource}{code}"] += int(float(match[2]))
    return counts


async def settled(apis: Iterable[Api], seconds: float) -> Counter[str]:
    """Return the writes once none has come for a moment, or after so many seconds."""
    apis = list(apis)
    loop = asyncio.get_running_loop()
    deadline, before, since = loop.time() + seconds, await writes(apis), loop.time()
    while loop.time() < deadline and loop.time() - since < _QUIET_SECONDS:
        await asyncio.sleep(_LOOK_SECONDS)
        now = await writes(apis)
        if _lasting(now) != _lasting(before):
            before, since = now, loop.time()
    return before


def _lasting(counts: Mapping[str, int]) -> dict[str, int]:
    """Without what goes on for ever at its own pace: node heartbeats and the like."""
    return {kind: count for kind, count in counts.items() if " pod" in kind or " events" in kind}


def per_pod(after: Mapping[str, int], before: Mapping[str, int], pods: int) -> dict[str, float]:
    """Return the writes per pod by kind, the most frequent first."""
    difference = {kind: (count - before.get(kind, 0)) / pods for kind, count in after.items()}
    return dict(sorted(((k, v) for k, v in difference.items() if v > 0), key=lambda item: (-item[1], item[0])))


def without_events(figures: Mapping[str, float]) -> float:
    """Sum up all but Events."""
    return sum(value for kind, value in figures.items() if " events" not in kind)


def events(figures: Mapping[str, float]) -> float:
    """Sum up the Events."""
    return sum(value for kind, value in figures.items() if " events" in kind)
