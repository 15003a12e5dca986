"""Waiting for a program or an object, with a limit, and with the program's own words when it fails.

Objects are watched. Only what has no watch (is this port served yet, does this process still live) is looked at again
and again, every 50 ms: a start of seconds is not made longer by that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from federation.kube.api import Api
from federation.kube.resources import Resource
from federation.kube.store import Store
from federation.kube.watch import follow
from lab.processes import Process

LOOK_SECONDS = 0.05

Manifest = dict[str, Any]


class StartFailed(Exception):
    """A part of the lab did not come up; the message carries the end of its log."""


class PortTaken(StartFailed):
    """It found its port in use: starting it again with another one is the remedy."""


async def until_serving(process: Process, probe: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
    """Wait until `probe` says yes; raises PortTaken or StartFailed when the process ends or time is up."""
    deadline = time.monotonic() + seconds
    while True:
        answers = await probe()
        if not process.is_alive():
            raise ended(process)  # also where something else answered at its port
        if answers:
            return
        if time.monotonic() > deadline:
            raise StartFailed(
                f"{process.name} was not ready after {seconds:.0f} s; the end of {process.log}:\n{process.log_tail()}"
            )
        await asyncio.sleep(LOOK_SECONDS)


def ended(process: Process) -> StartFailed:
    """The error for a process that ended when it should run."""
    tail = process.log_tail()
    kind = PortTaken if "address already in use" in tail.lower() else StartFailed
    return kind(f"{process.name} ended; the end of {process.log}:\n{tail}")


async def until_object(
    api: Api,
    resource: Resource,
    holds: Callable[[Manifest], bool],
    *,
    namespace: str = "",
    count: int = 1,
    relies_on: Sequence[Process] = (),
    what: str,
    seconds: float,
) -> None:
    """Watch a collection until `count` of its objects hold.

    Raises StartFailed after `seconds`, or as soon as a process that it `relies_on` has ended.
    """
    store: Store[bool] = Store(holds)
    enough = asyncio.Event()

    def look(*_: object) -> None:
        if sum(store.values()) >= count:
            enough.set()

    store.subscribe(look)
    watching = asyncio.create_task(follow(api, resource, store, namespace=namespace))
    try:
        async with asyncio.timeout(seconds):
            await _unless_ended(enough, relies_on)
    except TimeoutError:
        raise StartFailed(f"{what}: not after {seconds:.0f} s ({store.trouble or 'no error seen'})") from None
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _unless_ended(event: asyncio.Event, processes: Sequence[Process]) -> None:
    while not event.is_set():
        for process in processes:
            if not process.is_alive():
                raise ended(process)
        try:
            await asyncio.wait_for(event.wait(), LOOK_SECONDS)
        except TimeoutError:
            continue
