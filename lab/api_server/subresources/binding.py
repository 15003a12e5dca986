"""Binding: the one write that puts a pod on a node, accepted once.

Federation rests on this (`protocol.md`): a second Binding, one for another pod of the same name, one of a gated pod and
one of a pod that is going are all refused with 409.
"""

from lab.api_server.core.manifest import Clock, Manifest, clone, timestamp
from lab.api_server.core.reading import Reader
from lab.api_server.core.request import Response, answer
from lab.api_server.core.routes import Call
from lab.api_server.core.status import ApiStatus, bad_request, conflict, invalid, required
from lab.api_server.core.writing import Writer


class Binder:
    """Assigns pods to nodes."""

    def __init__(self, reader: Reader, writer: Writer, clock: Clock) -> None:
        self._reader, self._writer, self._clock = reader, writer, clock

    async def bind(self, call: Call, binding: Manifest) -> Response:
        """Answer one Binding."""
        metadata, target = binding.get("metadata") or {}, binding.get("target") or {}
        name = call.name or metadata.get("name", "")
        if metadata.get("name", name) != name:
            raise bad_request("name in URL does not match name in Binding object")
        if not target.get("name"):
            raise invalid("", "Binding", name, [required("target.name")])
        pods = self._pod_kind(call)
        current = self._reader.require(pods.kind, call.namespace, name)
        await self._writer.admit(call, "CREATE", binding | {"metadata": metadata}, None)
        current = self._reader.require(pods.kind, call.namespace, name)
        pod = clone(current.manifest)
        _check(pod, name, metadata)
        self._assign(pod, target["name"], metadata)
        self._writer.store(pods, "MODIFIED", current.key, pod)
        return answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)

    def _pod_kind(self, call: Call) -> Call:
        if call.kind.kind == "Pod":
            return call
        return self._writer.as_pods(call)

    def _assign(self, pod: Manifest, node: str, metadata: Manifest) -> None:
        pod["spec"]["nodeName"] = node
        annotations = metadata.get("annotations") or {}
        if annotations:
            pod["metadata"]["annotations"] = (pod["metadata"].get("annotations") or {}) | annotations
        labels = metadata.get("labels") or {}
        if labels:
            pod["metadata"]["labels"] = (pod["metadata"].get("labels") or {}) | labels
        status = pod.setdefault("status", {})
        status.pop("nominatedNodeName", None)
        condition = {
            "type": "PodScheduled",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": timestamp(self._clock()),
        }
        others = [one for one in status.get("conditions") or [] if one.get("type") != "PodScheduled"]
        status["conditions"] = [*others, condition]


def _check(pod: Manifest, name: str, metadata: Manifest) -> None:
    uid, wanted = pod["metadata"]["uid"], metadata.get("uid")
    if wanted not in (None, "", uid):
        namespace = pod["metadata"]["namespace"]
        why = (
            f"StorageError: invalid object, Code: 4, Key: /registry/pods/{namespace}/{name}, ResourceVersion: 0, "
            f"AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
        )
        raise conflict("", "pods", name, why)
    if "deletionTimestamp" in pod["metadata"]:
        raise _refused(name, f"pod {name} is being deleted, cannot be assigned to a host")
    if pod["spec"].get("nodeName"):
        raise _refused(name, f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"')
    if pod["spec"].get("schedulingGates"):
        raise _refused(name, f"pod {name} has non-empty .spec.schedulingGates")


def _refused(name: str, why: str) -> ApiStatus:
    return conflict("", "pods/binding", name, why)
