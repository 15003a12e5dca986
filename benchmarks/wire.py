"""How fast the wire reads, how much it keeps, and for how long it stops everything else: `python -m benchmarks.wire`.

The federation's own path (Api, follow, Store, its parsers) against bare aiohttp and orjson, which only count what they
decode, in the same run. A watch bursts from another process; objects are of 6 to 7 KB. Memory is what Python allocated
for the objects in a store, after all else was let go; stalls are gaps in a task that wants to run every millisecond.
"""

import argparse
import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from benchmarks.rows import Row, percentile, print_table, write_json
from benchmarks.wire_server import KINDS
from federation.kube.api import connect
from federation.kube.resources import PODS
from federation.kube.store import Store
from federation.kube.watch import follow
from federation.model.chaperon import parse_chaperon, parse_whole_chaperon
from federation.model.pod import parse_proxy, parse_target_pod

PARSERS: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "proxy": ("proxy", parse_proxy),
    "gated proxy": ("gated proxy", parse_proxy),
    "chaperon": ("chaperon", parse_chaperon),
    "chaperon in its target": ("chaperon", parse_whole_chaperon),
    "delegate": ("delegate", parse_target_pod),
}
_COLUMNS = (
    *("name", "pods", "events_per_second", "ratio_to_plain", "cpu_microseconds_per_event", "bytes_per_pod"),
    *("list_seconds", "stall_seconds_max", "p99_seconds"),
)
_TICK_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Reading:
    """One pass over a watch."""

    events_per_second: float
    cpu_microseconds: float
    list_seconds: float
    stalls: Sequence[float]


@asynccontextmanager
async def serving(kind: str, listed: int, watched: int) -> AsyncIterator[str]:
    """Run the server for the length of the block; yields its URL."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.wire_server", kind, str(listed), str(watched)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.stdin.close()
        await process.wait()


async def read_bare(url: str, events: int) -> Reading:
    """The floor: aiohttp and orjson, and nothing kept."""
    path, count, rest = f"{url}{PODS.path()}?watch=1", 0, b""
    async with aiohttp.ClientSession() as session, session.get(path) as response:
        started, cpu = time.perf_counter(), time.process_time()
        async for chunk in response.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                orjson.loads(line)
            count += len(lines)
            if count >= events:
                break
        return _reading(started, cpu, events, 0.0, ())


def _reading(started: float, cpu: float, events: int, list_seconds: float, stalls: Sequence[float]) -> Reading:
    seconds, spent = time.perf_counter() - started, time.process_time() - cpu
    return Reading(events / seconds, spent / events * 1e6, list_seconds, stalls)


async def read_into_store(url: str, events: int, parse: Callable[[dict[str, Any]], object]) -> Reading:
    """The federation's own way: list, then watch, into a store."""
    store: Store[object] = Store(parse)
    enough, began = asyncio.Event(), [0.0, 0.0]
    left = [events]

    def count(*_: object) -> None:
        if not store.synced.is_set():
            return
        if left[0] == events:
            began[:] = [time.perf_counter(), time.process_time()]
        left[0] -= 1
        if left[0] == 0:
            enough.set()

    store.subscribe(count)
    stalls: list[float] = []
    async with await connect(_kubeconfig(url)) as api:
        started = time.perf_counter()
        ticking, following = asyncio.create_task(_tick(stalls)), asyncio.create_task(follow(api, PODS, store))
        await store.synced.wait()
        list_seconds = time.perf_counter() - started
        await enough.wait()
        reading = _reading(began[0], began[1], events, list_seconds, stalls)
        for task in (ticking, following):
            task.cancel()
        await asyncio.gather(ticking, following, return_exceptions=True)
    return reading


def _kubeconfig(url: str) -> dict[str, Any]:
    named = {"name": "x"}
    return {
        "current-context": "x",
        "clusters": [named | {"cluster": {"server": url}}],
        "users": [named | {"user": {"token": "t"}}],
        "contexts": [named | {"context": {"cluster": "x", "user": "x"}}],
    }


async def _tick(stalls: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(_TICK_SECONDS)
        stalls.append(time.perf_counter() - before - _TICK_SECONDS)


def bytes_per_object(kind: str, parse: Callable[[dict[str, Any]], object], count: int) -> float:
    """What one object in a store takes."""
    lines = [orjson.dumps(KINDS[kind](number)) for number in range(count)]
    store: Store[object] = Store(parse)
    gc.collect()
    tracemalloc.start(1)
    try:
        for line in lines:
            store.upsert(orjson.loads(line))
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()


async def measure(objects: int, events: int) -> list[Row]:
    """Measure every parser; the bare reading is taken anew beside each, on the same objects."""
    rows = []
    async with serving(
        "proxy", 100, 1000
    ) as url:  # what happens once (imports, memory from the system) is not measured
        await read_into_store(url, 1000, parse_proxy)
    for name, (kind, parse) in PARSERS.items():
        async with serving(kind, objects, events) as url:
            bare = await read_bare(url, events)
            ours = await read_into_store(url, events, parse)
        rows.append(_row(name, objects, ours, bare, bytes_per_object(kind, parse, min(objects, 1000))))
    return rows


def _row(name: str, objects: int, ours: Reading, bare: Reading, bytes_each: float) -> Row:
    return Row(
        name=name,
        targets=0,
        pods=objects,
        pods_per_second=ours.events_per_second,
        ratio_to_plain=ours.events_per_second / bare.events_per_second,
        p50_seconds=percentile(ours.stalls, 0.5),
        p99_seconds=percentile(ours.stalls, 0.99),
        details={
            "events_per_second": ours.events_per_second,
            "bare_events_per_second": bare.events_per_second,
            "cpu_microseconds_per_event": ours.cpu_microseconds,
            "bytes_per_pod": bytes_each,
            "list_seconds": ours.list_seconds,
            "stall_seconds_max": max(ours.stalls),
        },
    )


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wire", description=__doc__)
    parser.add_argument("--objects", type=int, default=5000, help="objects listed and kept [5000]")
    parser.add_argument("--events", type=int, default=20_000, help="events of the watch [20000]")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it from the command line."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    rows = asyncio.run(measure(options.objects, options.events))
    print_table("Reading a watch into a store", [row.flat() for row in rows], _COLUMNS)
    if options.json:
        write_json(options.json, "wire", rows, {})


if __name__ == "__main__":
    main()
