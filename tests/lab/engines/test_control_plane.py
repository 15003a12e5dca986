"""A bare lab answers, admits pods, binds them, and lets its identities do what they are for and no more."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from federation.kube.api import connect
from federation.kube.errors import Forbidden
from federation.kube.resources import SECRETS, SERVICE_ACCOUNTS
from lab.running import RunningLab
from lab.status import status


async def test_every_cluster_admits_its_administrator(bare_lab: RunningLab) -> None:
    assert list(bare_lab.apis) == ["home", "arm-lab", "windows-lab"]
    for cluster in bare_lab.apis:
        async with await connect(bare_lab.kubeconfig(cluster)) as api:
            assert (await api.request("GET", "/readyz")).status == 200


async def test_kubeconfigs_need_no_other_file(bare_lab: RunningLab) -> None:
    kubeconfig: dict[str, Any] = json.loads(bare_lab.kubeconfig().read_text())
    async with await connect(kubeconfig) as api:  # data: file references are refused
        assert await api.get(SERVICE_ACCOUNTS, "default", "default")


async def test_the_scheduler_is_no_administrator(bare_lab: RunningLab, namespace: str) -> None:
    path = bare_lab.directory.cluster("home") / "scheduler-kubeconfig.json"
    async with await connect(path) as api:
        with pytest.raises(Forbidden):
            await api.list(SECRETS, namespace)


async def test_a_namespace_is_ready_for_pods(bare_lab: RunningLab, namespace: str) -> None:
    accounts = await asyncio.gather(
        *(api.get(SERVICE_ACCOUNTS, "default", namespace) for api in bare_lab.apis.values())
    )
    assert len(accounts) == 3


def test_status_names_every_process_and_none_has_ended(bare_lab: RunningLab) -> None:
    facts = status(bare_lab.directory)
    assert facts["ready"]
    assert {process["role"] for process in facts["processes"]} >= {"api-server", "controllers", "scheduler"}
    assert all(Path(process["log"]).exists() for process in facts["processes"])
