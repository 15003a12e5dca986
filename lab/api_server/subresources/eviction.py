"""Eviction: a deletion that asks the PodDisruptionBudgets first."""

from lab.api_server.core.decoding import read_manifest
from lab.api_server.core.deleting import Deleter
from lab.api_server.core.manifest import Clock, Manifest, at, clone, timestamp
from lab.api_server.core.reading import Reader
from lab.api_server.core.request import Response, answer
from lab.api_server.core.routes import Call
from lab.api_server.core.selectors import labels_match, parse_label_selector
from lab.api_server.core.status import ApiStatus, bad_request
from lab.api_server.core.writing import Writer


class Evictor:
    """Deletes pods as far as their budgets allow."""

    def __init__(self, reader: Reader, writer: Writer, deleter: Deleter, clock: Clock) -> None:
        self._reader, self._writer, self._deleter, self._clock = reader, writer, deleter, clock

    async def evict(self, call: Call) -> Response:
        """Answer one Eviction."""
        eviction = read_manifest(call.request, "Eviction", "policy/v1")
        name = at(eviction, "metadata", "name") or call.name
        if name != call.name:
            raise bad_request("name in URL does not match name in Eviction object")
        pod = self._reader.require(call.kind, call.namespace, call.name).manifest
        if at(pod, "status", "phase") not in {"Succeeded", "Failed", "Pending"}:
            self._spend(call, pod)
        if not call.is_dry_run:
            self._mark(call)
        await self._deleter.end(call, eviction.get("deleteOptions") or {})
        return answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)

    def _mark(self, call: Call) -> None:
        """Say on the pod why it ends, as Jobs with a podFailurePolicy want to know."""
        current = self._reader.require(call.kind, call.namespace, call.name)
        pod = clone(current.manifest)
        status = pod.setdefault("status", {})
        mark = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
            "lastProbeTime": None,
            "lastTransitionTime": timestamp(self._clock()),
        }
        others = [one for one in status.get("conditions") or [] if one.get("type") != "DisruptionTarget"]
        status["conditions"] = [*others, mark]
        self._writer.store(call, "MODIFIED", current.key, pod)

    def _spend(self, call: Call, pod: Manifest) -> None:
        """Take one disruption from the budget that covers the pod, or refuse with 429."""
        for key, budget in self._writer.objects("poddisruptionbudgets.policy", call.namespace):
            selector = parse_label_selector(at(budget, "spec", "selector"))
            if not labels_match(selector, pod["metadata"].get("labels")):
                continue
            allowed = at(budget, "status", "disruptionsAllowed") or 0
            if allowed <= 0:
                raise _too_many(key)
            if not call.is_dry_run:
                changed = clone(budget)
                changed["status"]["disruptionsAllowed"] = allowed - 1
                self._writer.put("poddisruptionbudgets.policy", (call.namespace, key), changed)
            return


def _too_many(budget: str) -> ApiStatus:
    cause = {"reason": "DisruptionBudget", "message": f"The disruption budget {budget} needs more healthy pods"}
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return ApiStatus(429, "TooManyRequests", message, {"causes": [cause]})
