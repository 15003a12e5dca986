"""In a self target the agent makes the pod: the rights of who submitted it are asked for (rule T8)."""

import base64
from typing import Any

import orjson
import pytest

from federation import names
from federation.admission.review import review
from federation.controllers.submitters import Submitters
from federation.kube.api import connect
from federation.kube.resources import ROLE_BINDINGS
from federation.submitted import BadAnnotation
from tests.decisions.pods import submitted
from tests.lab.planes import eventually
from tests.source_plane import Source


def proxy(record: Any, namespace: str = "default") -> dict[str, Any]:
    text = record if isinstance(record, str) else orjson.dumps(record).decode()
    return {"metadata": {"name": "p", "namespace": namespace, "annotations": {names.SUBMITTED_BY: text}}}


async def test_T8_only_who_may_create_pods_gets_one_by_the_agents_rights(source: Source) -> None:
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": ROLE_BINDINGS.api_version,
        "kind": ROLE_BINDINGS.kind,
        "metadata": {"generateName": "makers-"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": "makers"}],
    }
    await source.admin.create(ROLE_BINDINGS, binding, "default")
    async with await connect(source.kubeconfig("isthmus-agent")) as api:
        maker = proxy({"user": "mary", "uid": "", "groups": ["makers"]})

        async def may() -> bool:
            try:
                await Submitters(api).require(maker)
            except BadAnnotation:
                return False
            return True

        await eventually(may, "a member of the group may create pods")
        with pytest.raises(BadAnnotation, match='user "mallory" may not create pods in namespace default'):
            await Submitters(api).require(proxy({"user": "mallory", "groups": ["others"]}))
        with pytest.raises(BadAnnotation, match="may not create pods in namespace kube-system"):
            await Submitters(api).require(proxy({"user": "mary", "groups": ["makers"]}, "kube-system"))


@pytest.mark.parametrize("record", ["", "{", "[]", {}, {"user": 3}, {"user": "a", "groups": "makers"}, {"groups": [1]}])
async def test_T8_nobody_on_record_is_nobody(record: Any) -> None:
    asked = Submitters(None)  # type: ignore[arg-type]  # is not reached
    with pytest.raises(BadAnnotation, match="create it anew"):
        await asked.require(proxy(record))


def test_T8_admission_records_who_submitted_whatever_they_say_themselves() -> None:
    pod = submitted()
    pod["metadata"]["annotations"][names.SUBMITTED_BY] = '{"user": "root"}'
    user = {"username": "alice", "uid": "1", "groups": ["g"] * 100, "extra": {"x": ["y"]}}
    request = {"uid": "r", "operation": "CREATE", "namespace": "ci", "object": pod, "userInfo": user}
    operations = orjson.loads(base64.b64decode(review(request, lambda _: [])["patch"]))
    (written,) = [o["value"] for o in operations if o["path"].endswith("isthmus.dev~1submitted-by")]
    assert orjson.loads(written) == {"user": "alice", "uid": "1", "groups": ["g"] * 64}
