"""`python -m lab.controllers --kubeconfig F --root-ca-file F --service-account-private-key-file F`: wiring only.

The flags are kube-controller-manager's, so that one launcher starts either. The service account key is accepted and
not used: tokens come from the API server (TokenRequest), none is kept in a Secret.
"""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from loguru import logger

from federation.kube.api import connect
from federation.kube.errors import BadKubeconfig
from federation.kube.limits import Limits
from lab.controllers.program import Clocks, Program
from lab.stopping import until_told

# One watch per kind for garbage collection, some fifty on a real API server, beside our own and all writes.
_LIMITS = Limits(connections_max=500)

_IGNORED_FLAGS = ("bind-address", "secure-port", "leader-elect", "kube-api-qps", "kube-api-burst")


async def run(kubeconfig: Path, root_certificate: str) -> None:
    """Run all controllers until cancelled."""
    clocks = Clocks(asyncio.get_running_loop().time, lambda: datetime.now(UTC))
    async with await connect(kubeconfig, limits=_LIMITS) as api:
        await Program(api, root_certificate, clocks).run()


def main() -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="lab.controllers", description="the embedded engine's controllers")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--root-ca-file", type=Path, required=True, help="published as kube-root-ca.crt")
    parser.add_argument("--service-account-private-key-file", help="accepted, not used")
    for flag in _IGNORED_FLAGS:
        parser.add_argument(f"--{flag}", help="accepted, not used")
    arguments = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, diagnose=False, format="{time:HH:mm:ss.SSS} {level: <7} {message} {extra}")
    try:
        asyncio.run(until_told(run(arguments.kubeconfig, arguments.root_ca_file.read_text())))
    except (OSError, BadKubeconfig) as error:
        sys.stderr.write(f"lab.controllers: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
