"""Where each job is on its way: job -> runner pod -> virtual node -> delegate -> registry. Pure.

From what GitLab and the clusters say at one moment, for people who watch. What counts in the end is `verdict`'s.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from bridge.names import CI_JOB, SYSTEM_ID
from federation.names import ELECT, PARENT_UID, RESERVED_CONDITION
from lab.demo.facts import annotation, label, name_of, node_name, phase
from lab.demo.traces import Pushed

Json = dict[str, Any]

FINAL = ("success", "failed", "canceled", "skipped")


@dataclass(frozen=True, slots=True)
class Journey:
    """One job's way so far; what has not happened yet is empty."""

    job: str
    tag: str
    status: str
    seconds: float = 0.0
    runner_pod: str = ""
    phase: str = ""
    waits_for: str = ""
    virtual_node: str = ""
    cluster: str = ""
    node: str = ""
    image: str = ""
    digest: str = ""

    @property
    def is_over(self) -> bool:
        """Whether neither GitLab nor the clusters will say anything new."""
        return self.status in FINAL and self.phase in ("", "Succeeded", "Failed")

    @property
    def is_lost(self) -> bool:
        """Whether GitLab waits for a runner that is not there any more."""
        return self.status == "running" and self.phase in ("", "Succeeded", "Failed")


def journeys(
    jobs: Iterable[Json], pods: Mapping[str, Sequence[Json]], pushed: Mapping[str, Pushed]
) -> tuple[Journey, ...]:
    """Return each job's way. `pods` by cluster, the source first; `pushed` by job name, as the registry has it."""
    source = next(iter(pods))
    proxies = [pod for pod in pods[source] if ELECT in (pod["metadata"].get("annotations") or {})]
    jobs = list(jobs)
    taken = {_system_id(job) for job in jobs}
    return tuple(_journey(job, _proxy(job, proxies, taken), pods, pushed.get(job["name"])) for job in jobs)


def changes(before: Sequence[Journey], after: Sequence[Journey]) -> list[str]:
    """Return a line for each thing that is new, for those who cannot be shown a screen."""
    old = {journey.job: journey for journey in before}
    lines = []
    for journey in after:
        known = old.get(journey.job, Journey(journey.job, journey.tag, ""))
        new = {field.name for field in fields(Journey) if getattr(known, field.name) != getattr(journey, field.name)}
        for field, text in _sentences(journey).items():
            if field in new and getattr(journey, field):
                lines.append(f"{journey.job}: {text}")
    return lines


def _sentences(journey: Journey) -> dict[str, str]:
    """In the order in which things happen; `phase` and `seconds` are no news of their own."""
    is_final = journey.status in FINAL
    status = {"status": f"{journey.status} after {journey.seconds:.1f} s" if is_final else journey.status}
    return {
        **({} if is_final else status),
        "runner_pod": f"runner pod {journey.runner_pod}",
        "waits_for": f"waits: {journey.waits_for}",
        "virtual_node": f"bound to virtual node {journey.virtual_node}",
        "node": f"delegate in cluster {journey.cluster} on node {journey.node}",
        "digest": f"registry has {journey.image} as {journey.digest}",
        **(status if is_final else {}),
    }


def _journey(job: Json, proxy: Json | None, pods: Mapping[str, Sequence[Json]], pushed: Pushed | None) -> Journey:
    cluster, delegate = _delegate(proxy, pods) if proxy else ("", None)
    is_bound = bool(delegate and node_name(delegate))
    return Journey(
        job=job["name"],
        tag=",".join(job.get("tag_list") or []),
        status=job["status"],
        seconds=job.get("duration") or 0.0,
        runner_pod=name_of(proxy) if proxy else "",
        phase=phase(proxy) if proxy else "",
        waits_for=_waits_for(proxy) if proxy else "",
        virtual_node=node_name(proxy) if proxy else "",
        cluster=cluster if is_bound else "",
        node=node_name(delegate) if delegate else "",
        image=pushed.image if pushed else "",
        digest=pushed.digest if pushed else "",
    )


def _proxy(job: Json, proxies: Sequence[Json], taken: set[str]) -> Json | None:
    """The pod whose runner has the job; before one has it, the newest pod that was made for it and is free."""
    if system_id := _system_id(job):
        return next((pod for pod in proxies if annotation(pod, SYSTEM_ID) == system_id), None)
    made = [pod for pod in proxies if label(pod, CI_JOB) == str(job["id"]) and annotation(pod, SYSTEM_ID) not in taken]
    return max(made, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)


def _system_id(job: Json) -> str:
    return str((job.get("runner_manager") or {}).get("system_id") or "")


def _delegate(proxy: Json, pods: Mapping[str, Sequence[Json]]) -> tuple[str, Json | None]:
    uid = proxy["metadata"]["uid"]
    found = [(cluster, pod) for cluster in pods for pod in pods[cluster] if label(pod, PARENT_UID) == uid]
    return max(found, key=lambda pair: bool(node_name(pair[1])), default=("", None))


def _waits_for(proxy: Json) -> str:
    if node_name(proxy):
        return ""
    conditions = (proxy.get("status") or {}).get("conditions") or []
    reasons = [c.get("message", "") for c in conditions if c["type"] == RESERVED_CONDITION and c["status"] != "True"]
    return reasons[0] if reasons else ""
