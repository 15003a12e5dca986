"""Runs a program's work until it ends or a signal comes, and is gone within two seconds of the signal."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

# A lab program ends within 2 s of SIGTERM; leaving the interpreter is the rest.
_FAREWELL_SECONDS = 1.0


async def until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run `work`; SIGTERM and SIGINT cancel it. Raises what `work` raises."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    waiting = asyncio.ensure_future(told.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if told.is_set():
        task.cancel()
        await asyncio.wait([task], timeout=_FAREWELL_SECONDS)
        if not task.done():
            os._exit(0)  # dozens of TLS connections say goodbye slowly on a busy machine; nothing of ours is at stake
    if not task.cancelled() and (error := task.exception()):
        raise error
