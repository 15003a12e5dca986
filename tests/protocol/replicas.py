"""A second replica of a cluster's agent, and who of the two leads, for the tests of rule M9."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from federation.kube.errors import NotFound
from federation.kube.resources import LEASES
from federation.settings import AgentSettings
from lab.processes import Process
from tests.protocol.federation import Federation, Manifest

TIMING = AgentSettings().election
# What the successor needs beside the Lease's expiry, on a machine that runs two labs at once.
BUSY_SECONDS = 4.0


@dataclass(slots=True)
class Replicas:
    """The agent of a cluster, which leads, and a standby that has read all it needs."""

    federation: Federation
    cluster: str
    leader: Process
    standby: Process

    async def lease(self) -> Manifest:
        """The Lease as it is."""
        return await self.federation.lab.api(self.cluster).get(LEASES, "isthmus-agent", "isthmus")

    async def holder(self) -> str:
        """The identity that leads, or an empty string."""
        try:
            return str((await self.lease())["spec"].get("holderIdentity") or "")
        except NotFound:
            return ""

    async def until_led_by(self, process: Process, seconds: float) -> None:
        """Wait until a replica leads."""
        async with asyncio.timeout(seconds):
            while not (await self.holder()).endswith(f"-{process.pid}"):  # noqa: ASYNC110  # as an operator looks
                await asyncio.sleep(0.05)

    def signal(self, process: Process, number: signal.Signals) -> None:
        """Send a signal to a replica."""
        os.kill(process.pid, number)


@asynccontextmanager
async def replicas(federation: Federation, cluster: str) -> AsyncIterator[Replicas]:
    """Have two replicas for the length of the block; afterwards the agent is alone again, whatever became of it."""
    only = federation.process("agent", cluster)
    start_alone = federation.starter(only, only.name, "agent")
    electing = {"ISTHMUS_AGENT_LEADER_ELECT": "true"}
    start_leader = federation.starter(only, only.name, "agent", **electing)
    # The API server knows one webhook, that of the first replica (no Service leads to either here).
    name = f"{cluster}.standby-{secrets.token_hex(4)}"  # with a log of its own
    start_standby = federation.starter(only, name, "standby", ISTHMUS_AGENT_WEBHOOK_ENABLED="false", **electing)
    table = federation.lab.directory.processes(federation.lab.record.mark)
    os.kill(only.pid, signal.SIGKILL)
    leader = start_leader()
    made = Replicas(federation, cluster, leader, leader)
    try:
        await made.until_led_by(leader, 30)
        made.standby = start_standby()
        await _until_logged(made.standby, "all is read that is needed to lead")
        yield made
    finally:
        for process in {leader.pid: leader, made.standby.pid: made.standby}.values():
            await table.stop([process], grace_seconds=0)
            if process is not leader:
                table.forget(process)
        start_alone()
        if cluster == federation.lab.source:
            await federation.until_admitting()


async def _until_logged(process: Process, words: str, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while words not in process.log_tail(1000):
            assert process.is_alive(), process.log_tail()
            await asyncio.sleep(0.05)
