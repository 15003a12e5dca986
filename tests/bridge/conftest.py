"""The bridge's identity in a cluster of the lab: a service account with the bridge's roles of deploy/rbac, no more."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from federation.kube.api import Api, connect
from federation.kube.resources import ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS
from lab.running import RunningLab
from tests.bridge.gitlab_site import Site, gitlab_site

RBAC = Path(__file__).parents[2] / "deploy" / "rbac"
ACCOUNT = "isthmus-bridge"


@pytest.fixture
async def bridge_kubeconfig(lab_in_use: RunningLab, namespace: str) -> dict[str, Any]:
    """A kubeconfig of a bridge that works in the test's namespace."""
    api = lab_in_use.api()
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
    await api.create(SERVICE_ACCOUNTS, account, namespace)
    for file in ("bridge.yaml", "bridge-deployments.yaml"):
        role, binding = yaml.safe_load_all((RBAC / file).read_text())
        for manifest in (role, binding):
            manifest["metadata"]["namespace"] = namespace
        binding["subjects"] = [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}]
        await api.create(ROLES, role)
        await api.create(ROLE_BINDINGS, binding)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await api.create(SERVICE_ACCOUNTS, request, namespace, name=ACCOUNT, subresource="token")
    config: dict[str, Any] = json.loads(lab_in_use.kubeconfig().read_text())
    config["users"][0]["user"] = {"token": answer["status"]["token"]}
    return config


@pytest.fixture
async def bridge_api(bridge_kubeconfig: dict[str, Any]) -> AsyncIterator[Api]:
    """The bridge's client."""
    async with await connect(bridge_kubeconfig) as api:
        yield api


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A GitLab as most are: a job is running from the moment a runner got it."""
    async with gitlab_site(tmp_path) as found:
        yield found


@pytest.fixture(params=[False, True], ids=["one-phase", "two-phase"])
async def site_of_either_mode(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A GitLab with two-phase job commit, and one without."""
    async with gitlab_site(tmp_path, two_phase_commit=request.param) as found:
        yield found
