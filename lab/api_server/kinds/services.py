"""Services: what each type is given, keeps and loses, as upstream's pkg/registry/core/service and its defaults do it.

Addresses and node ports come from a hash of the uid, not from a pool: nothing in the lab routes to them, and a strategy
does not read the store. Two Services may therefore, rarely, have the same.
"""

import hashlib

from lab.api_server.core.manifest import Manifest, at
from lab.api_server.core.metadata import label, qualified_name
from lab.api_server.core.status import FieldError, duplicate, required, unsupported, wrong
from lab.api_server.kinds.model import Strategy, keep_status

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")
_ADDRESS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
_CLIENT_IP_SECONDS = 10800


def _default(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": _CLIENT_IP_SECONDS}})
    else:
        spec.pop("sessionAffinityConfig", None)
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in _WITH_NODE_PORTS:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _create(manifest: Manifest) -> None:
    manifest["status"] = {"loadBalancer": {}}
    _allocate(manifest)


def _update(new: Manifest, old: Manifest) -> None:
    keep_status(new, old)
    _keep_allocated(new["spec"], old["spec"])
    _drop_what_goes_with_the_type(new["spec"], old["spec"])
    _allocate(new)


def _keep_allocated(new: Manifest, old: Manifest) -> None:
    """Take over what the client left out, where both types have it."""
    if "ExternalName" not in (new["type"], old["type"]):
        for member in _ADDRESS:
            if member in old and not new.get(member):
                new[member] = old[member]
    if new["type"] in _WITH_NODE_PORTS and old["type"] in _WITH_NODE_PORTS:
        given = {_at(port): port["nodePort"] for port in old.get("ports") or [] if port.get("nodePort")}
        for port in new.get("ports") or []:
            if not port.get("nodePort") and _at(port) in given:
                port["nodePort"] = given[_at(port)]


def _at(port: Manifest) -> tuple[str, int]:
    return port["protocol"], port["port"]


def _drop_what_goes_with_the_type(new: Manifest, old: Manifest) -> None:
    """Remove what the old type had and the new one cannot have, where the client sent it back unchanged."""
    if new["type"] == "ExternalName":
        for member in (*_ADDRESS, "internalTrafficPolicy"):
            if new.get(member) == old.get(member):
                new.pop(member, None)
    elif "externalName" in old and new.get("externalName") == old["externalName"]:
        del new["externalName"]
    if new["type"] not in _WITH_NODE_PORTS:
        for port in new.get("ports") or []:
            port.pop("nodePort", None)
        if new.get("externalTrafficPolicy") == old.get("externalTrafficPolicy"):
            new.pop("externalTrafficPolicy", None)
    if new["type"] != "LoadBalancer":
        new.pop("allocateLoadBalancerNodePorts", None)


def _allocate(manifest: Manifest) -> None:
    spec = manifest["spec"]
    if spec["type"] not in _TYPES or spec["type"] == "ExternalName":
        return
    digest = hashlib.sha256(str(manifest["metadata"].get("uid")).encode()).digest()
    if not spec.get("clusterIP"):
        spec["clusterIP"] = f"10.96.{digest[0]}.{max(digest[1], 2)}"
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] == "NodePort" or spec.get("allocateLoadBalancerNodePorts"):
        first = int.from_bytes(digest[2:4], "big")
        for index, port in enumerate(spec.get("ports") or []):
            if not port.get("nodePort"):
                port["nodePort"] = 30000 + (first + index) % 2768


def _validate(manifest: Manifest) -> list[FieldError]:
    spec = manifest["spec"]
    errors: list[FieldError] = []
    if spec["type"] == "ExternalName":
        if not spec.get("externalName"):
            errors.append(required("spec.externalName"))
    elif not spec.get("ports") and spec.get("clusterIP") != "None":
        errors.append(required("spec.ports"))
    if spec["type"] not in _TYPES:
        errors.append(unsupported("spec.type", spec["type"], _TYPES))
    for key in spec.get("selector") or {}:
        errors += [wrong("spec.selector", key, detail) for detail in qualified_name(key)]
    return errors + _validate_ports(spec.get("ports") or [])


def _validate_ports(ports: list[Manifest]) -> list[FieldError]:
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        field, name = f"spec.ports[{index}]", port.get("name", "")
        if not name and len(ports) > 1:
            errors.append(required(f"{field}.name"))
        elif name in names:
            errors.append(duplicate(f"{field}.name", name))
        names |= {name} - {""}
        if not 1 <= int(port.get("port") or 0) <= 65535:
            errors.append(wrong(f"{field}.port", port.get("port") or 0, "must be between 1 and 65535, inclusive"))
        if port["protocol"] not in _PROTOCOLS:
            errors.append(unsupported(f"{field}.protocol", port["protocol"], _PROTOCOLS))
    return errors


def _validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    errors = _validate(new)
    before, after = at(old, "spec", "clusterIPs") or [], at(new, "spec", "clusterIPs") or []
    if new["spec"]["type"] != "ExternalName" and before and after[:1] != before[:1]:
        shown = "[" + ",".join(f'"{address}"' for address in after) + "]"
        errors.append(FieldError("spec.clusterIPs[0]", f"Invalid value: {shown}: may not change once set"))
    return errors


STRATEGY = Strategy(
    default=_default,
    prepare_create=_create,
    prepare_update=_update,
    validate=_validate,
    validate_update=_validate_update,
    name_rule=label,
    returns_deleted=True,
)
