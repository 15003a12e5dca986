"""Which worker runs which tests: a file stays together, and so do files that share a federation.

A federation of real control planes takes 20 seconds to come and go. Its tests know no more of each other across files
than within one, so each worker gets one portion of them per engine instead of file after file of both engines.
"""

import re
from functools import cached_property

from xdist.scheduler import LoadFileScheduling

ENGINE_IN_NAME = re.compile(r"\[(?:.*-)?(embedded|kube)(?:-.*)?\]$")
SHARING = "tests/protocol/"
TOGETHER = "tests/strangers/"  # shares a federation of its own, and is too quick to be cut in portions


class ByLab(LoadFileScheduling):  # type: ignore[misc]  # the package ships no type information
    """`--dist=loadfile`, but the files under SHARING in portions by worker and engine, TOGETHER by engine."""

    @cached_property
    def _sharing(self) -> list[str]:
        files = {super(ByLab, self)._split_scope(nodeid) for nodeid in self.collection or ()}
        return sorted(file for file in files if file.startswith(SHARING))

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        engine = ENGINE_IN_NAME.search(nodeid)
        if engine and file.startswith(TOGETHER):
            return f"{TOGETHER}{engine[1]}"
        if not file.startswith(SHARING) or not engine:
            return file
        return f"{SHARING}{engine[1]}/{self._sharing.index(file) % self.numnodes}"
