"""`python -m lab.scheduler --config F`: wiring only, with the flags of kube-scheduler that the lab uses.

`--secure-port` and `--leader-elect` are accepted so that one launcher starts either scheduler; nothing is served.
"""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from loguru import logger

from federation.kube.api import connect
from federation.kube.limits import Limits
from lab.scheduler.cluster import Cluster
from lab.scheduler.configuration import BadConfiguration, SchedulerConfiguration, load
from lab.scheduler.extender import Extender
from lab.scheduler.reports import Reports
from lab.scheduler.scheduler import Scheduler
from lab.stopping import until_told


async def run(configuration: SchedulerConfiguration) -> None:
    """Schedule until cancelled."""
    clock = asyncio.get_running_loop().time
    api = await connect(configuration.connection.kubeconfig, limits=Limits())
    # Every held bind is a connection of its own, as with the real one: no limit here, the extender has one.
    connector = aiohttp.TCPConnector(limit=0)
    async with api, aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        cluster = Cluster([profile.scheduler_name for profile in configuration.profiles], clock)
        extenders = [Extender(one, session) for one in configuration.extenders]
        reports = Reports(api, lambda: datetime.now(UTC))
        await Scheduler(api, cluster, extenders, reports, clock).run()


def main() -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="lab.scheduler", description="the embedded engine's kube-scheduler")
    parser.add_argument("--config", type=Path, required=True, help="KubeSchedulerConfiguration, YAML")
    parser.add_argument("--secure-port", help="accepted, nothing is served")
    parser.add_argument("--bind-address", help="accepted, nothing is served")
    parser.add_argument("--leader-elect", help="accepted, there is one of us")
    arguments = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, diagnose=False, format="{time:HH:mm:ss.SSS} {level: <7} {message} {extra}")
    try:
        configuration = load(arguments.config)
    except BadConfiguration as error:
        sys.stderr.write(f"lab.scheduler: {error}\n")
        return 2
    asyncio.run(until_told(run(configuration)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
