"""One client's view of the changes of a resource, as lines ready to be sent.

A `Watch` filters changes by namespace and selector and queues the encoded lines. It owns no task and no socket: the
shell (or a simulation) reads it with `lines()`, which sleeps on an asyncio event and ends at the deadline. An object
that stops matching a selector is shown as deleted, one that starts as added. A client that reads too slowly is cut
off when its queue is full and has to start again from its last revision.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import count

from lab.api_server.core.manifest import Manifest, encode
from lab.api_server.core.selectors import Selector
from lab.api_server.core.status import ApiStatus
from lab.api_server.core.store import Change, Shelf, Version, frame

Show = Callable[[Manifest], Manifest]
QUEUE_LENGTH = 100_000  # a client further behind than this would cost more memory than a new list
BATCH_BYTES = 256 * 1024  # written to the socket at once; ten times more delays other clients
BOOKMARK_SECONDS = 60.0  # upstream's rhythm; clients resume from a bookmark after a quiet hour instead of relisting
NUMBERS = count()


class Watch:
    """A started watch; reading it is the caller's part."""

    def __init__(
        self,
        shelf: Shelf,
        selector: Selector,
        *,
        namespace: str = "",
        bookmark: Callable[[bool], Manifest],
        wants_bookmarks: bool = False,
        show: Show | None = None,
        timeout_seconds: float,
    ) -> None:
        self._shelf, self._selector, self._namespace = shelf, selector, namespace
        self._bookmark, self._wants_bookmarks, self._show = bookmark, wants_bookmarks, show
        self._timeout_seconds = timeout_seconds
        self._queue: deque[bytes] = deque()
        self._woken = asyncio.Event()
        self._ended = False
        self._number = next(NUMBERS)

    def start(self, initial: list[Version], replayed: list[Change], *, marks_initial: bool) -> None:
        """Queue what the client does not know yet, and follow from here on."""
        for version in initial:
            self._push(frame("ADDED", version.raw if self._show is None else encode(self._show(version.manifest))))
        if marks_initial:
            self._push(frame("BOOKMARK", encode(self._bookmark(True))))
        for change in replayed:
            self._take(change)
        self._shelf.subscribers[self._number] = self._take
        self._shelf.closers[self._number] = self.close

    def fail(self, status: ApiStatus) -> None:
        """End the stream with an ERROR event, the way failures of a started watch are told."""
        self._push(frame("ERROR", encode(status.body())))
        self.close()

    def close(self) -> None:
        """Stop following; what is queued can still be read."""
        self._shelf.subscribers.pop(self._number, None)
        self._shelf.closers.pop(self._number, None)
        self._ended = True
        self._woken.set()

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield batches of lines until the deadline, the end of the watch, or cancellation."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_seconds
        next_bookmark = loop.time() + BOOKMARK_SECONDS
        try:
            while True:
                while self._queue:
                    yield self._batch()
                if self._ended or loop.time() >= deadline:
                    return
                self._woken.clear()
                try:
                    async with asyncio.timeout_at(min(deadline, next_bookmark)):
                        await self._woken.wait()
                except TimeoutError:
                    next_bookmark = loop.time() + BOOKMARK_SECONDS
                    if self._wants_bookmarks:
                        self._push(frame("BOOKMARK", encode(self._bookmark(False))))
        finally:
            self.close()

    def drain(self) -> bytes:
        """Return everything queued; for callers that do their own waiting."""
        everything = b"".join(self._queue)
        self._queue.clear()
        return everything

    def _batch(self) -> bytes:
        lines, size = [], 0
        while self._queue and size < BATCH_BYTES:
            lines.append(self._queue.popleft())
            size += len(lines[-1])
        return b"".join(lines)

    def _push(self, line: bytes) -> None:
        if len(self._queue) >= QUEUE_LENGTH:
            self._queue.clear()
            self.close()
            return
        self._queue.append(line)
        self._woken.set()

    def _take(self, change: Change) -> None:
        if self._namespace and change.current.key[0] != self._namespace:
            return
        kind = self._kind_for_client(change)
        if kind is None:
            return
        if self._show is None:
            self._push(change.frame(kind))
        else:
            self._push(frame(kind, encode(self._show(change.current.manifest))))

    def _kind_for_client(self, change: Change) -> str | None:
        if self._selector.is_everything:
            return change.kind
        was = change.previous is not None and self._selector.matches(change.previous.manifest)
        if change.kind == "DELETED":
            return "DELETED" if was else None
        matches = self._selector.matches(change.current.manifest)
        if matches:
            return "MODIFIED" if was else "ADDED"
        return "DELETED" if was else None
