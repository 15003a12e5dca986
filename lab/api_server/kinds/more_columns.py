"""Printed columns of the kinds that the lab only stores: networking, storage, quotas, resource claims."""

from datetime import datetime
from typing import Any

from lab.api_server.core.manifest import Manifest, at
from lab.api_server.kinds import cells
from lab.api_server.kinds.ages import age
from lab.api_server.kinds.cells import NONE
from lab.api_server.kinds.model import Column, Columns

UNSET = "<unset>"
MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
NAME = Column("Name", lambda manifest, _now: manifest["metadata"].get("name"), format="name")
AGE = Column("Age", lambda manifest, now: age(manifest["metadata"].get("creationTimestamp"), now))


def _text(name: str, *path: str, default: Any = "", priority: int = 0) -> Column:
    def cell(manifest: Manifest, _now: datetime) -> Any:
        value = at(manifest, *path)
        if isinstance(value, bool):
            return str(value).lower()
        return default if value in (None, "") else value

    return Column(name, cell, priority=priority)


def access_modes(modes: list[str] | None) -> str:
    """Return access modes in their short form."""
    return ",".join(MODES.get(mode, mode) for mode in modes or [])


def _quota(prefix: str, *, limits: bool) -> Column:
    def cell(quota: Manifest, _now: datetime) -> str:
        hard = at(quota, "status", "hard") or {}
        used = at(quota, "status", "used") or {}
        named = [name for name in sorted(hard) if name.startswith("limits.") is limits]
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in named)

    return Column(prefix, cell)


def _addresses(endpoints: Manifest, _now: datetime) -> str:
    """Return the first endpoints as host:port."""
    shown = [
        f"{address['ip']}:{port['port']}"
        for subset in endpoints.get("subsets") or []
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
    ]
    return _first(shown, 3, none=NONE)


def _first(items: list[str], most: int, none: str = UNSET) -> str:
    if not items:
        return none
    more = f" + {len(items) - most} more..." if len(items) > most else ""
    return ",".join(items[:most]) + more


def _slice_ports(one: Manifest, _now: datetime) -> str:
    return _first([str(port.get("port", "*")) for port in one.get("ports") or []], 3)


def _slice_addresses(one: Manifest, _now: datetime) -> str:
    found = [address for endpoint in one.get("endpoints") or [] for address in endpoint.get("addresses") or []]
    return _first(found, 3)


def _hosts(ingress: Manifest, _now: datetime) -> str:
    hosts = [rule["host"] for rule in at(ingress, "spec", "rules") or [] if rule.get("host")]
    return _first(hosts, 3, none="*")


def _ingress_address(ingress: Manifest, _now: datetime) -> str:
    entries = at(ingress, "status", "loadBalancer", "ingress") or []
    return ",".join(str(one.get("ip") or one.get("hostname")) for one in entries)


def _controller(revision: Manifest, _now: datetime) -> str:
    owners = revision["metadata"].get("ownerReferences") or []
    owner = next((one for one in owners if one.get("controller")), None)
    if owner is None:
        return NONE
    group = owner["apiVersion"].partition("/")[0] if "/" in owner["apiVersion"] else ""
    kind = owner["kind"].lower()
    return f"{kind}.{group}/{owner['name']}" if group else f"{kind}/{owner['name']}"


def _claim_state(claim: Manifest, _now: datetime) -> str:
    states = []
    if "deletionTimestamp" in claim["metadata"]:
        states.append("deleted")
    if at(claim, "status", "allocation") is None:
        states.append("pending")
    else:
        states += ["allocated", *(["reserved"] if at(claim, "status", "reservedFor") else [])]
    return ",".join(states)


def _volume_claim(volume: Manifest, _now: datetime) -> str:
    reference = at(volume, "spec", "claimRef")
    return f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else ""


def _parameters(one: Manifest, _now: datetime) -> str:
    parameters = at(one, "spec", "parameters")
    if not parameters:
        return NONE
    kind = f"{parameters['kind']}.{parameters['apiGroup']}" if parameters.get("apiGroup") else parameters["kind"]
    return f"{kind}/{parameters['name']}"


COLUMNS: dict[str, Columns] = {
    "resourcequotas": (NAME, _quota("Request", limits=False), _quota("Limit", limits=True), AGE),
    "endpoints": (NAME, Column("Endpoints", _addresses), AGE),
    "endpointslices.discovery.k8s.io": (
        NAME,
        _text("AddressType", "addressType"),
        Column("Ports", _slice_ports),
        Column("Endpoints", _slice_addresses),
        AGE,
    ),
    "ingresses.networking.k8s.io": (
        NAME,
        _text("Class", "spec", "ingressClassName", default=NONE),
        Column("Hosts", _hosts),
        Column("Address", _ingress_address),
        Column("Ports", lambda one, _now: "80, 443" if at(one, "spec", "tls") else "80"),
        AGE,
    ),
    "ingressclasses.networking.k8s.io": (
        NAME,
        _text("Controller", "spec", "controller"),
        Column("Parameters", _parameters),
        AGE,
    ),
    "networkpolicies.networking.k8s.io": (
        NAME,
        Column("Pod-Selector", lambda one, now: cells.selector({"spec": {"selector": _pod_selector(one)}}, now)),
        AGE,
    ),
    "controllerrevisions.apps": (
        NAME,
        Column("Controller", _controller),
        _text("Revision", "revision", default=0),
        AGE,
    ),
    "podtemplates": (
        NAME,
        Column("Containers", lambda one, _now: cells.template({"spec": one}, "name")),
        Column("Images", lambda one, _now: cells.template({"spec": one}, "image")),
        Column("Pod Labels", lambda one, _now: cells.labels(at(one, "template", "metadata", "labels"))),
    ),
    "persistentvolumes": (
        NAME,
        _text("Capacity", "spec", "capacity", "storage"),
        Column("Access Modes", lambda one, _now: access_modes(at(one, "spec", "accessModes"))),
        _text("Reclaim Policy", "spec", "persistentVolumeReclaimPolicy"),
        _text("Status", "status", "phase"),
        Column("Claim", _volume_claim),
        _text("StorageClass", "spec", "storageClassName"),
        _text("VolumeAttributesClass", "spec", "volumeAttributesClassName", default=UNSET),
        _text("Reason", "status", "reason"),
        AGE,
        _text("VolumeMode", "spec", "volumeMode", default=UNSET, priority=1),
    ),
    "runtimeclasses.node.k8s.io": (NAME, _text("Handler", "handler"), AGE),
    "csidrivers.storage.k8s.io": (
        NAME,
        _text("AttachRequired", "spec", "attachRequired", default="true"),
        _text("PodInfoOnMount", "spec", "podInfoOnMount", default="false"),
        _text("StorageCapacity", "spec", "storageCapacity", default="false"),
        _text("TokenRequests", "spec", "tokenRequests", default=UNSET),
        _text("RequiresRepublish", "spec", "requiresRepublish", default="false"),
        Column("Modes", lambda one, _now: ",".join(at(one, "spec", "volumeLifecycleModes") or ["Persistent"])),
        AGE,
    ),
    "deviceclasses.resource.k8s.io": (NAME, AGE),
    "resourceclaims.resource.k8s.io": (NAME, Column("State", _claim_state), AGE),
    "resourceclaimtemplates.resource.k8s.io": (NAME, AGE),
    "resourceslices.resource.k8s.io": (
        NAME,
        _text("Node", "spec", "nodeName", default=NONE),
        _text("Driver", "spec", "driver"),
        _text("Pool", "spec", "pool", "name"),
        AGE,
    ),
}


def _pod_selector(policy: Manifest) -> Manifest:
    return at(policy, "spec", "podSelector") or {}
