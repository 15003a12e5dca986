"""Scale: the number of replicas of a workload, read and written as an autoscaling/v1 Scale."""

from lab.api_server.core.decoding import read_body, read_manifest
from lab.api_server.core.json_patch import json_patch, merge_patch
from lab.api_server.core.manifest import Manifest, at
from lab.api_server.core.reading import Reader
from lab.api_server.core.request import Response, answer
from lab.api_server.core.routes import Call
from lab.api_server.core.writing import Writer


class Scaler:
    """Reads and sets replicas."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader, self._writer = reader, writer

    async def answer(self, call: Call) -> Response:
        """Answer one call."""
        if call.verb == "get":
            return answer(scale_of(self._reader.require(call.kind, call.namespace, call.name).manifest))

        def change(current: Manifest) -> Manifest:
            replicas = at(self._wanted(call, scale_of(current)), "spec", "replicas") or 0
            return current | {"spec": current["spec"] | {"replicas": replicas}}

        return answer(scale_of((await self._writer.rewrite(call, change)).manifest))

    def _wanted(self, call: Call, current: Manifest) -> Manifest:
        if call.verb == "update":
            return read_manifest(call.request, "Scale", "autoscaling/v1")
        patch = read_body(call.request)
        wanted: Manifest = json_patch(current, patch) if isinstance(patch, list) else merge_patch(current, patch)
        return wanted


def scale_of(manifest: Manifest) -> Manifest:
    """Return the Scale of a workload."""
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = at(manifest, "spec", "selector", "matchLabels") or {}
    status = {"replicas": at(manifest, "status", "replicas") or 0}
    if labels:
        status["selector"] = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: manifest["metadata"][key] for key in kept if key in manifest["metadata"]},
        "spec": {"replicas": at(manifest, "spec", "replicas") or 0},
        "status": status,
    }
