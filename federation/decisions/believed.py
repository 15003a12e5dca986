"""What of a delegate's status is believed: known fields, in bounded size, with addresses that home allows (T1, T4).

A target answers what it likes. What it says ends in home's etcd, in home's EndpointSlices and before home's users; so
fields that Pods do not have are dropped, containers that the pod has not, addresses outside home's list, and what is
too long is cut. The result depends on the input alone: a second look finds nothing to write (rule C3).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from federation.decisions.addresses import Network, is_believed
from federation.model.times import parse_time

Manifest = dict[str, Any]

MESSAGE_BYTES_MAX = 4096  # a kubelet cuts termination messages at as much
STATUS_BYTES_MAX = 16 * 1024
PER_CONTAINER_BYTES = 1024  # more for each container of the pod: what users at home asked for themselves
_SHORTER = (MESSAGE_BYTES_MAX, 512, 128)  # what strings are cut to, in turn, until the whole is small enough
_ITEMS_MAX = 64  # entries of a list or map inside a status; twice what any kubelet writes
_DEPTH_MAX = 8

# k8s.io/api/core/v1 PodStatus of 1.37, but for what is about the other cluster only (resource claims, volume health).
_TEXTS = ("phase", "reason", "message", "startTime")
_AMOUNTS = ("allocatedResources", "resources")
_CONTAINER_LISTS = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_CONDITION = ("type", "status", "reason", "message", "lastProbeTime", "lastTransitionTime", "observedGeneration")
_CONDITIONS_MAX = 32
_CONTAINER = (
    "name",
    "state",
    "lastState",
    "ready",
    "restartCount",
    "image",
    "imageID",
    "containerID",
    "started",
    "allocatedResources",
    "resources",
    "volumeMounts",
    "user",
    "allocatedResourcesStatus",
    "stopSignal",
)
_DISPENSABLE = ("allocatedResources", "resources", "volumeMounts", "user", "allocatedResourcesStatus")
# An API server refuses the whole status for one time that is none.
_TIMES = frozenset({"startTime", "lastProbeTime", "lastTransitionTime", "startedAt", "finishedAt"})
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")


def believed_status(
    told: Mapping[str, Any], container_names: frozenset[str], networks: Sequence[Network] | None
) -> Manifest:
    """Return the delegate's status as far as it is believed. `networks` as of `addresses.networks_for`."""
    status = _known(told, container_names) | _addresses(told, networks)
    size_max = STATUS_BYTES_MAX + PER_CONTAINER_BYTES * len(container_names)
    for length in _SHORTER:
        cut: Manifest = _cut(status, length, _DEPTH_MAX)
        if _size(cut) <= size_max:
            return cut
    for key in _CONTAINER_LISTS:
        if key in cut:
            cut[key] = [{k: v for k, v in found.items() if k not in _DISPENSABLE} for found in cut[key]]
    return cut if _size(cut) <= size_max else {key: cut[key] for key in ("phase", "reason") if key in cut}


def _size(status: Manifest) -> int:
    return len(orjson.dumps(status))


def _known(told: Mapping[str, Any], container_names: frozenset[str]) -> Manifest:
    status: Manifest = {key: told[key] for key in _TEXTS if isinstance(told.get(key), str)}
    if status.get("phase") not in _PHASES:
        status.pop("phase", None)
    status |= {key: told[key] for key in _AMOUNTS if isinstance(told.get(key), Mapping)}
    if conditions := _entries(told.get("conditions"), "type", _CONDITION)[:_CONDITIONS_MAX]:
        status["conditions"] = conditions
    for key in _CONTAINER_LISTS:
        if found := [c for c in _entries(told.get(key), "name", _CONTAINER) if c["name"] in container_names]:
            status[key] = found
    return status


def _entries(told: object, by: str, known: Sequence[str]) -> list[Manifest]:
    """Return the objects of a list with their known fields, the first of each name."""
    found: dict[str, Manifest] = {}
    for entry in told if isinstance(told, list) else ():
        if isinstance(entry, Mapping) and isinstance(entry.get(by), str):
            found.setdefault(entry[by], {key: entry[key] for key in known if key in entry})
    return list(found.values())


def _addresses(told: Mapping[str, Any], networks: Sequence[Network] | None) -> Manifest:
    """Return podIP(s) and hostIP(s), the first of each list in the field of its own, as the API server wants it."""
    status: Manifest = {}
    for one, many in (("podIP", "podIPs"), ("hostIP", "hostIPs")):
        listed = [entry["ip"] for entry in _entries(told.get(many), "ip", ("ip",))] or [told.get(one)]
        if kept := [address for address in listed if isinstance(address, str) and is_believed(address, networks)]:
            status[one] = kept[0]
            if many in told:
                status[many] = [{"ip": address} for address in kept]
    return status


def _cut(value: Any, length: int, depth: int) -> Any:
    """Return a JSON value with its strings cut to `length` bytes, and no deeper or wider than any kubelet's."""
    if isinstance(value, str):
        return value if len(value) <= length // 4 else _cut_text(value, length)
    if depth == 0 and isinstance(value, (Mapping, list)):
        return None
    if isinstance(value, Mapping):
        kept = ((key, inner) for key, inner in list(value.items())[:_ITEMS_MAX] if key not in _TIMES or _is_time(inner))
        return {key: _cut(inner, length, depth - 1) for key, inner in kept}
    if isinstance(value, list):
        return [_cut(inner, length, depth - 1) for inner in value[:_ITEMS_MAX]]
    return value


def _is_time(value: object) -> bool:
    """Whether a value is RFC 3339 as API servers read it, or null, which stands for none."""
    if value is None:
        return True
    return isinstance(value, str) and _RFC_3339.fullmatch(value) is not None and parse_time(value) is not None


def _cut_text(text: str, length: int) -> str:
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= length else encoded[: length - 3].decode("utf-8", "ignore") + "..."
