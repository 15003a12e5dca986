"""Home's own policies see a pod as it was submitted, not as its proxy (rule T8): Pod Security on real API servers."""

from typing import Any

import pytest

from federation.kube.errors import StatusError
from federation.kube.resources import NAMESPACES
from tests.protocol.federation import Federation

pytestmark = pytest.mark.parametrize("engine", [pytest.param("kube", marks=pytest.mark.kube)], indirect=True)

_PORT = {"containerPort": 8080, "hostPort": 18080}


async def _enforce(federation: Federation, level: str | None) -> None:
    labels = {"pod-security.kubernetes.io/enforce": level}
    await federation.home.patch(NAMESPACES, federation.namespace, {"metadata": {"labels": labels}})


@pytest.mark.parametrize(
    "spec", [{"hostNetwork": True}, {"container": {"ports": [_PORT]}}], ids=["host-network", "host-port"]
)
async def test_T8_what_pod_security_forbids_is_forbidden_as_submitted(
    federation: Federation, spec: dict[str, Any]
) -> None:
    await _enforce(federation, "baseline")
    with pytest.raises(StatusError, match="violates PodSecurity"):
        await federation.submit(**spec)
    await federation.submit()
    await _enforce(federation, None)
    await federation.submit(**spec)
