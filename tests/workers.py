"""Which worker runs which tests: a file stays together, and so do files that share control planes.

A federation of real control planes takes 20 seconds to come and go, one API server five. The tests of a room know no
more of each other across files than within one, so each worker gets one portion of them per engine instead of file
after file of both engines.
"""

import re
from functools import cached_property

from xdist.scheduler import LoadFileScheduling

ENGINE_IN_NAME = re.compile(r"\[(?:.*-)?(embedded|kube)(?:-.*)?\]$")
# Rooms whose files share labs, and into how many portions per engine they may be cut: as many as there are workers, or
# one where another start would cost more than the portion takes.
_PORTIONS = {
    "tests/protocol/": 0,
    "tests/conformance/": 0,
    "tests/lab/": 0,
    "tests/bridge/": 0,
    "tests/controllers/": 1,
    "tests/deploy/": 1,
    "tests/gateway/": 1,
    "tests/kube/": 1,
    "tests/strangers/": 1,
}
_PLANE_IN_NAME = re.compile(r"\[(?:.*?-)??(embedded|ours-on-kube|kube)(?:-.*)?\]$")


class ByLab(LoadFileScheduling):  # type: ignore[misc]  # the package ships no type information
    """`--dist=loadfile`, but the files of a room in portions by worker and engine."""

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """Which number a file has in its room."""
        found: dict[str, list[str]] = {room: [] for room in _PORTIONS}
        for file in sorted({str(super(ByLab, self)._split_scope(nodeid)) for nodeid in self.collection or ()}):
            if room := _room(file):
                found[room].append(file)
        return {file: number for files in found.values() for number, file in enumerate(files)}

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        plane = _PLANE_IN_NAME.search(nodeid)
        room = _room(file)
        if not room or not plane:
            return file
        portions = _PORTIONS[room] or self.numnodes
        return f"{room}{plane[1]}/{self._numbers[file] % portions}"


def _room(file: str) -> str:
    return next((room for room in _PORTIONS if file.startswith(room)), "")
