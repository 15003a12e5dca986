"""Home's own policies see a pod as it was submitted, not as its proxy (rule T8): Pod Security on real API servers."""

import asyncio
from typing import Any

import pytest

from federation.kube.errors import StatusError
from federation.kube.resources import NAMESPACES
from tests.protocol.federation import Federation

pytestmark = pytest.mark.parametrize("engine", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)

_PORT = {"containerPort": 8080, "hostPort": 18080}


async def _enforce(federation: Federation, level: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": level}
    await federation.home.patch(NAMESPACES, federation.namespace, {"metadata": {"labels": labels}})


async def _until_refused(federation: Federation, spec: dict[str, Any]) -> StatusError:
    """Submit until that is refused: the API server's own view of a namespace's labels is a moment behind."""
    async with asyncio.timeout(20):
        while True:
            try:
                await federation.submit(**spec)
            except StatusError as error:
                return error
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("spec", [{"hostNetwork": True}, {"container": {"ports": [_PORT]}}], ids=["network", "port"])
async def test_T8_what_pod_security_forbids_is_forbidden_as_submitted(
    federation: Federation, spec: dict[str, Any]
) -> None:
    await federation.submit(**spec)
    await _enforce(federation, "baseline")
    refused = await _until_refused(federation, spec)
    assert "violates PodSecurity" in refused.message
    assert "as submitted" in refused.message
    await federation.submit()
