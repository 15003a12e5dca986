"""What the demo needs from this machine, looked at before anything is started, each with what to do about it."""

import shutil
import tempfile
from pathlib import Path

from lab.demo.verdict import PLATFORMS
from lab.engines.engine import missing_parts
from lab.kubelet.preflight import Unable, check
from lab.plan import LabPlan
from lab.settings import LabSettings

# Besides the interpreter: git pushes the example, the jobs' scripts are bash.
PROGRAMS = {"git": "the demo pushes a project with it", "bash": "the jobs' scripts are run by it"}


async def missing(plan: LabPlan) -> list[str]:
    """Return what is missing, a message for each; nothing if the demo can run."""
    found = [f"{name} is not on PATH ({why}): install it" for name, why in PROGRAMS.items() if not shutil.which(name)]
    if parts := missing_parts(plan.engine):
        found.append(parts)
    if LabSettings().buildah == "real" and not shutil.which("buildah"):
        found.append(
            "ISTHMUS_LAB_BUILDAH is real, but there is no buildah on PATH: install it, or leave the variable out"
        )
    there = {str(platform) for cluster in plan.clusters for platform in cluster.platforms}
    if absent := ", ".join(sorted(set(PLATFORMS.values()) - there)):
        found.append(
            f"no cluster has a {absent} node, which the example's jobs ask for: give --clusters one, or leave it"
        )
    with tempfile.TemporaryDirectory(prefix="isthmus-demo-") as directory:
        try:
            await check(Path(directory))
        except Unable as error:
            found.append(str(error))
    return found
