"""Which worker runs which tests: a file stays together, and so do files that share a federation.

A federation of real control planes takes 20 seconds to come and go. Its tests know no more of each other across files
than within one, so each worker gets one portion of them per engine instead of file after file of both engines.
"""

import re
from functools import cached_property

from xdist.scheduler import LoadFileScheduling

ENGINE_IN_NAME = re.compile(r"\[(?:.*-)?(embedded|kube)(?:-.*)?\]$")
SHARING = "tests/protocol/"


class ByLab(LoadFileScheduling):  # type: ignore[misc]  # the package ships no type information
    """`--dist=loadfile`, but the files under SHARING in one portion per worker and engine."""

    @cached_property
    def _sharing(self) -> list[str]:
        files = {super(ByLab, self)._split_scope(nodeid) for nodeid in self.collection or ()}
        return sorted(file for file in files if file.startswith(SHARING))

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        engine = ENGINE_IN_NAME.search(nodeid)
        if not file.startswith(SHARING) or not engine:
            return file
        return f"{SHARING}{engine[1]}/{self._sharing.index(file) % self.numnodes}"
