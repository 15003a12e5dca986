"""Probes and lifecycle hooks of a running container: exec, httpGet, tcpSocket; `sleep` for hooks.

`verdicts` gives what the container is to be taken for, first at once and then whenever that may have changed. A startup
probe comes before the others; liveness and startup probes that fail for good are fatal.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp

from lab.kubelet.descriptors import chunks
from lab.kubelet.processes import StartFailed
from lab.kubelet.records import Manifest
from lab.kubelet.runs import Run, close
from lab.kubelet.status import ADDRESS

_OUTPUT_BYTES_MAX = 10 * 1024  # upstream keeps as much of what a probe prints


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one look at the container says."""

    is_started: bool
    is_ready: bool
    probe: str = ""
    problem: str = ""
    is_fatal: bool = False


async def hook(run: Run, manifest: Manifest, action: Manifest) -> str:
    """Carry out a lifecycle hook; returns what went wrong, or ""."""
    if "sleep" in action:
        await asyncio.sleep(float(action["sleep"]["seconds"]))
        return ""
    return await _act(run, manifest, action)


def delays_start(manifest: Manifest) -> bool:
    """Whether a container of this manifest is more than its process before it counts as started."""
    return bool(manifest.get("startupProbe") or (manifest.get("lifecycle") or {}).get("postStart"))


async def verdicts(run: Run, manifest: Manifest) -> AsyncIterator[Verdict]:
    """What the container's probes find, until one is fatal."""
    if startup := manifest.get("startupProbe"):
        yield Verdict(is_started=False, is_ready=False)
        async for outcome in _outcomes(run, manifest, startup, is_good=False):
            if outcome.is_good:
                break
            yield Verdict(False, False, "Startup", outcome.problem, outcome.is_settled)
    readiness, liveness = manifest.get("readinessProbe"), manifest.get("livenessProbe")
    yield Verdict(is_started=True, is_ready=readiness is None)
    found: asyncio.Queue[Verdict] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        if readiness is not None:
            group.create_task(_watch_readiness(run, manifest, readiness, found))
        if liveness is not None:
            group.create_task(_watch_liveness(run, manifest, liveness, readiness is None, found))
        is_ready = readiness is None
        while readiness is not None or liveness is not None:
            verdict = await found.get()
            if verdict.probe == "Readiness":
                is_ready = verdict.is_ready
            yield Verdict(True, is_ready, verdict.probe, verdict.problem, verdict.is_fatal)


async def _watch_readiness(run: Run, manifest: Manifest, probe: Manifest, found: "asyncio.Queue[Verdict]") -> None:
    is_ready = False
    async for outcome in _outcomes(run, manifest, probe, is_good=False):
        if outcome.is_settled:
            is_ready = outcome.is_good
        found.put_nowait(Verdict(True, is_ready, "Readiness", outcome.problem))


async def _watch_liveness(
    run: Run, manifest: Manifest, probe: Manifest, is_ready: bool, found: "asyncio.Queue[Verdict]"
) -> None:
    async for outcome in _outcomes(run, manifest, probe, is_good=True):
        if not outcome.is_good:
            found.put_nowait(Verdict(True, is_ready, "Liveness", outcome.problem, outcome.is_settled))


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One probing; `is_settled` once it came out the same way as often as the threshold says."""

    is_good: bool
    problem: str
    is_settled: bool


async def _outcomes(run: Run, manifest: Manifest, probe: Manifest, *, is_good: bool) -> AsyncIterator[_Outcome]:
    """The outcomes worth telling: all failures, and the success that settles it."""
    await asyncio.sleep(float(probe.get("initialDelaySeconds") or 0))
    count, settled = 0, is_good
    previous: bool | None = None
    while True:
        problem = await _try(run, manifest, probe)
        good = not problem
        count = count + 1 if good == previous else 1
        previous = good
        threshold = int(probe.get("successThreshold" if good else "failureThreshold") or (1 if good else 3))
        if not good or (count >= threshold and not settled):
            yield _Outcome(good, problem, count >= threshold)
        if count >= threshold:
            settled = good
        await asyncio.sleep(float(probe.get("periodSeconds") or 10))


async def _try(run: Run, manifest: Manifest, probe: Manifest) -> str:
    seconds = float(probe.get("timeoutSeconds") or 1)
    try:
        async with asyncio.timeout(seconds):
            return await _act(run, manifest, probe)
    except TimeoutError:
        return f"command timed out after {seconds:g}s" if "exec" in probe else "context deadline exceeded"


async def _act(run: Run, manifest: Manifest, action: Manifest) -> str:
    if "exec" in action:
        return await _execute(run, action["exec"]["command"])
    if "httpGet" in action:
        return await _get(manifest, action["httpGet"])
    if "tcpSocket" in action:
        return await _dial(action["tcpSocket"].get("host") or ADDRESS, _port(manifest, action["tcpSocket"]["port"]))
    return f"the lab does not support {', '.join(action)} here"


async def _execute(run: Run, command: list[str]) -> str:
    try:
        process = await run.enter(command)
    except StartFailed as error:
        return str(error)
    try:
        output = b""
        assert process.stdout is not None
        async for piece in chunks(process.stdout.fileno()):
            output = (output + piece)[:_OUTPUT_BYTES_MAX]
        code = await process.wait()
    finally:
        process.end()
        close(process)
    if code == 0:
        return ""
    return output.decode(errors="replace").strip() or f"exit status {code}"


async def _get(manifest: Manifest, request: Manifest) -> str:
    scheme = (request.get("scheme") or "HTTP").lower()
    host, port = request.get("host") or ADDRESS, _port(manifest, request["port"])
    path = request.get("path") or "/"
    url = f"{scheme}://{host}:{port}/{path.removeprefix('/')}"
    headers = {header["name"]: header["value"] for header in request.get("httpHeaders") or ()}
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, headers=headers, ssl=False, allow_redirects=False) as response,
        ):
            return "" if response.status < 400 else f"HTTP probe failed with statuscode: {response.status}"
    except aiohttp.ClientError as error:
        return f'Get "{url}": {error}'


async def _dial(host: str, port: int) -> str:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return f"dial tcp {host}:{port}: {error.strerror or error}"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""


def _port(manifest: Manifest, port: int | str) -> int:
    for entry in manifest.get("ports") or ():
        if entry.get("name") == port:
            return int(entry["containerPort"])
    return int(port)
