"""Free TCP ports on 127.0.0.1, kept until the program that shall have them starts.

A port that was free a second ago may be taken now: tests, other labs and every outgoing connection draw from the same
range. So a port is kept bound here and let go at the last moment; what remains of the race (the milliseconds until
the program binds it) is met by starting it again with other ports (`lab.engines.control_plane`).
"""

import socket
from types import TracebackType


class Ports:
    """Keeps ports bound; `release` lets all of them go, just before the program starts that gets them."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def reserve(self) -> int:
        """Keep one more port, chosen by the kernel."""
        kept = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        kept.bind(("127.0.0.1", 0))
        self._sockets.append(kept)
        port: int = kept.getsockname()[1]
        return port

    def release(self) -> None:
        """Let all ports go."""
        while self._sockets:
            self._sockets.pop().close()

    def __enter__(self) -> "Ports":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
