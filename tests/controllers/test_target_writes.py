"""Asking in a target: what is a refusal (rule F2), and what is a server that only cannot answer now (rule M8)."""

import json
from typing import Any

import orjson
import pytest

from federation import names
from federation.clock import wall_clock
from federation.controllers.connection import Connection
from federation.controllers.experience import Experience
from federation.controllers.target_writes import TargetWrites
from federation.decisions.asking import shape
from federation.kube.api import Api
from federation.kube.errors import StatusError
from federation.kube.transport import Response
from federation.model.pod import ProxyPod, parse_proxy
from federation.model.target import parse_target
from tests.decisions.pods import submitted

STARTING = 'podchaperons is forbidden: User "isthmus" cannot create resource "podchaperons" in API group "x"'
QUOTA = 'podchaperons "p" is forbidden: exceeded quota: few, requested: count/podchaperons=1'


class OneAnswer:
    """Answers every request alike."""

    def __init__(self, code: int, message: str) -> None:
        self._status = {"kind": "Status", "code": code, "message": message, "reason": "Forbidden"}

    async def send(self, *_: object) -> Response:
        return Response(self._status["code"], {}, orjson.dumps(self._status))  # type: ignore[arg-type]  # a number


def proxied() -> ProxyPod:
    """A proxy as admission leaves it, of a pod that asks for nothing special."""
    manifest = submitted()
    annotations = manifest["metadata"]["annotations"] | {names.SOURCE_POD_MANIFEST: json.dumps(manifest)}
    manifest["metadata"] |= {"uid": "u", "resourceVersion": "1", "annotations": annotations}
    manifest["spec"]["schedulingGates"] = [{"name": names.CANDIDATES_GATE}]
    found = parse_proxy(manifest)
    assert found is not None
    return found


def asking(code: int, message: str) -> tuple[TargetWrites, Connection, Experience]:
    experience = Experience(wall_clock)
    manifest: dict[str, Any] = {
        "metadata": {"name": "far", "namespace": "default", "uid": "t", "generation": 1},
        "spec": {"kubeconfigSecret": {"name": "far"}},
    }
    target = parse_target(manifest)
    assert target is not None
    connection = Connection(target, Api(OneAnswer(code, message)), "home", wall_clock)  # type: ignore[arg-type]
    writes = TargetWrites(api=connection.api, cluster_name="home", experience=experience)
    return writes, connection, experience


@pytest.mark.parametrize(
    ("code", "message"), [(429, "too many requests"), (503, "starting"), (500, "etcd"), (401, "Unauthorized")]
)
async def test_M8_a_server_that_cannot_answer_now_refuses_nothing(code: int, message: str) -> None:
    await _asked_without_refusal(code, message)


async def test_M8_an_authorizer_that_is_still_loading_refuses_nothing() -> None:
    await _asked_without_refusal(403, STARTING)


async def _asked_without_refusal(code: int, message: str) -> None:
    writes, connection, experience = asking(code, message)
    pod = proxied()
    experience.learn(pod, shape(pod.namespace, {}))
    with pytest.raises(StatusError):
        await writes.ask(pod, connection)
    assert not experience.odds(pod, connection, None).is_refused


async def test_F2_a_quota_is_a_refusal_that_is_remembered() -> None:
    writes, connection, experience = asking(403, QUOTA)
    pod = proxied()
    experience.learn(pod, shape(pod.namespace, {}))
    assert not await writes.ask(pod, connection)
    odds = experience.odds(pod, connection, None)
    assert odds.is_refused
    assert "exceeded quota" in odds.remark
