"""From the pod a user submits to the proxy pod, and back.

`admit` takes off what only the target can satisfy and puts on what holds the proxy for virtual nodes; `restore` puts
the user's constraints back on the *current* proxy, so that what others added since (sidecars, selectors, image edits)
reaches the target too (rule M6). They fit together: admit(restore(admit(pod), pod)) == admit(pod), which makes the
webhook safe to be called again.
"""

import copy
from collections.abc import Sequence
from typing import Any

from federation import names
from federation.decisions.asking import wanted_asking
from federation.decisions.eligibility import REQUIRED
from federation.decisions.spread import over_virtual_nodes
from federation.model.pod import ProxyPod

Manifest = dict[str, Any]

_EVICTION_KEYS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_CONSTRAINTS = ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints")
# What a virtual node cannot satisfy (rule M5). `overhead` belongs to the RuntimeClass.
_TARGET_ONLY = ("hostNetwork", "runtimeClassName", "overhead", "resourceClaims", "schedulingGroup")

PROXY_TOLERATIONS: tuple[Manifest, ...] = (
    {"key": names.PROVIDER_KEY, "value": names.PROVIDER},
    {"key": "node.kubernetes.io/network-unavailable", "operator": "Exists"},
    # Rule S6: waiting is the default. While a target is away its proxies stay, because their delegates still run.
    *({"key": key, "operator": "Exists", "effect": "NoExecute"} for key in _EVICTION_KEYS),
)


def cleaned(pod: Manifest) -> Manifest:
    """Return an elected pod without what only admission and the agent may write (rule T8).

    Those are all annotations under our prefixes but the ones that users write, and our finalizers and labels. A user's
    value there would speak in our name; our own, where the webhook is called again, are made anew.
    """
    metadata = dict(pod["metadata"])
    metadata["annotations"] = {k: v for k, v in (metadata.get("annotations") or {}).items() if not _is_internal(k)}
    for key, kept in (
        ("finalizers", [n for n in metadata.get("finalizers") or [] if not n.startswith((names.PREFIX, names.OURS))]),
        ("labels", {k: v for k, v in (metadata.get("labels") or {}).items() if not _is_internal_label(k)}),
    ):
        metadata.pop(key, None)
        if kept:
            metadata[key] = kept
    return pod | {"metadata": metadata}


def _is_internal(annotation: str) -> bool:
    return annotation.startswith((names.PREFIX, names.OURS)) and annotation not in names.WRITTEN_BY_USERS


def _is_internal_label(label: str) -> bool:
    ours = (names.HAS_FINALIZER, names.PARENT_UID, names.PARENT_CLUSTER_NAME)
    return label in ours or label.startswith(names.OURS)


def admit(source: Manifest, *, saved: str, finalizers: Sequence[str], constraints: Manifest | None) -> Manifest:
    """Return the proxy pod for an elected pod.

    `saved` is the text kept in `sourcepod-manifest` (the source as JSON), `finalizers` one for each target the pod may
    be asked of, `constraints` the parsed PodSpec fragment of the annotation `proxy-pod-scheduling-constraints`.
    """
    proxy = copy.deepcopy(source)
    metadata, spec = proxy.setdefault("metadata", {}), proxy["spec"]
    annotations = metadata["annotations"]
    annotations[names.SOURCE_POD_MANIFEST] = saved
    metadata.setdefault("labels", {})[names.HAS_FINALIZER] = "true"
    others = [name for name in metadata.get("finalizers") or [] if not name.startswith(names.PREFIX)]
    metadata["finalizers"] = [*others, *finalizers]
    if names.USE_CONSTRAINTS_FROM_SPEC in annotations and constraints is None:
        constraints = {key: source["spec"][key] for key in _CONSTRAINTS if key in source["spec"]}
    _constrain(spec, constraints or {})
    annotations[names.ASKING] = annotations.get(names.ASK) or wanted_asking(source["spec"], spec).value
    if spread := over_virtual_nodes(metadata.get("namespace") or "default", spec):
        annotations[names.SPREAD] = ",".join(f"{label}={key}" for label, key in sorted(spread.items()))
    if names.NO_RESERVATION in annotations:
        # Nobody ties it to virtual nodes that reserved: other namespaces' Targets must be ruled out here.
        spec["affinity"] = _own_targets_only(spec, metadata.get("namespace") or "default")
    _take_off(spec)
    # Nobody plays kubelet for the proxy; the finalizer keeps it until the delegate, with its own grace, is gone.
    spec["terminationGracePeriodSeconds"] = 0
    if names.NO_RESERVATION not in annotations and not spec.get("nodeName"):
        gates = [gate for gate in spec.get("schedulingGates") or [] if gate["name"] != names.CANDIDATES_GATE]
        spec["schedulingGates"] = [*gates, {"name": names.CANDIDATES_GATE}]
    return proxy


def unseen_by_policies(source: Manifest) -> Manifest | None:
    """Return the pod as submitted, as a pod that nobody elected, where its proxy lacks something of it (rule T8).

    None where the proxy shows all that policies judge. Host networking, ports, runtime classes and claims are taken off
    before Pod Security and others look; the pod that is returned is for the API server to judge by a dry run,
    and shares its spec with `source`.
    """
    stripped = copy.deepcopy(source["spec"])
    _take_off(stripped)
    if stripped == source["spec"]:
        return None
    metadata = source["metadata"]
    judged = {key: metadata[key] for key in ("name", "generateName", "namespace", "labels") if key in metadata}
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if not k.startswith(names.PREFIX)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": judged | {"annotations": annotations},
        "spec": source["spec"],
    }


def _constrain(spec: Manifest, constraints: Manifest) -> None:
    for key in _CONSTRAINTS:
        spec.pop(key, None)
    spec["nodeSelector"] = {names.PROVIDER_KEY: names.PROVIDER} | (constraints.get("nodeSelector") or {})
    # A toleration with seconds would win over ours without: the taint manager takes the shortest.
    extra = [t for t in constraints.get("tolerations") or [] if t.get("key") not in _EVICTION_KEYS]
    spec["tolerations"] = [dict(t) for t in PROXY_TOLERATIONS] + copy.deepcopy(extra)
    for key in ("affinity", "topologySpreadConstraints"):
        if constraints.get(key):
            spec[key] = copy.deepcopy(constraints[key])


def _own_targets_only(spec: Manifest, namespace: str) -> Manifest:
    """Return `spec.affinity` narrowed to virtual nodes of the namespace's Targets and of ClusterTargets."""
    own = {"key": names.TARGET_NAMESPACE, "operator": "In", "values": [namespace]}
    everyone = {"key": names.TARGET_NAMESPACE, "operator": "DoesNotExist"}
    return _narrowed(spec, [own, everyone])


def _take_off(spec: Manifest) -> None:
    for key in _TARGET_ONLY:
        spec.pop(key, None)
    for container in _containers(spec):
        for port in container.get("ports") or []:
            port.pop("hostPort", None)
        if (container.get("resources") or {}).pop("claims", None) and not container["resources"]:
            del container["resources"]
    for index, volume in enumerate(spec.get("volumes") or []):
        if "persistentVolumeClaim" in volume or "ephemeral" in volume:
            spec["volumes"][index] = {"name": volume["name"], "emptyDir": {}}


def restore(current: Manifest, source: Manifest, constraints: Manifest | None) -> Manifest:
    """Return the pod to run in the target: the current proxy with what admission took off put back.

    `constraints` as for `admit`. Neither input is changed. The result has no gate of ours, no virtual-node constraint
    and no nodeName. Node affinity that others add to a gated proxy chooses among virtual nodes and stays behind;
    node selectors and tolerations that they add reach the target.
    """
    pod = copy.deepcopy(current)
    spec, original = pod["spec"], source["spec"]
    admitted = admit(source, saved="", finalizers=(), constraints=constraints)["spec"]
    spec.pop("nodeName", None)
    _put_back_constraints(spec, original, admitted)
    for key in (*_TARGET_ONLY, "topologySpreadConstraints", "terminationGracePeriodSeconds"):
        if key in original:
            spec[key] = copy.deepcopy(original[key])
        else:
            spec.pop(key, None)
    _put_back_containers(spec, original)
    taken = {v["name"]: v for v in original.get("volumes") or [] if "persistentVolumeClaim" in v or "ephemeral" in v}
    if spec.get("volumes"):
        spec["volumes"] = [copy.deepcopy(taken.get(v["name"], v)) for v in spec["volumes"]]
    gates = [gate for gate in spec.get("schedulingGates") or [] if gate["name"] != names.CANDIDATES_GATE]
    spec.pop("schedulingGates", None)
    if gates:
        spec["schedulingGates"] = gates
    return pod


def _put_back_constraints(spec: Manifest, original: Manifest, admitted: Manifest) -> None:
    proxy_keys = set(admitted["nodeSelector"]) | {names.PROVIDER_KEY}
    added = {key: value for key, value in (spec.pop("nodeSelector", None) or {}).items() if key not in proxy_keys}
    if selector := (original.get("nodeSelector") or {}) | added:
        spec["nodeSelector"] = selector
    known = [*admitted["tolerations"], *(original.get("tolerations") or [])]
    later = [t for t in spec.pop("tolerations", None) or [] if t not in known]
    if tolerations := [*(original.get("tolerations") or []), *later]:
        spec["tolerations"] = copy.deepcopy(tolerations)
    spec.pop("affinity", None)
    if original.get("affinity"):
        spec["affinity"] = copy.deepcopy(original["affinity"])


def _put_back_containers(spec: Manifest, original: Manifest) -> None:
    sources = {container["name"]: container for container in _containers(original)}
    for container in _containers(spec):
        before = sources.get(container["name"])
        if before is None:
            continue
        host_ports = {
            (port["containerPort"], port.get("protocol", "TCP")): port["hostPort"]
            for port in before.get("ports") or []
            if "hostPort" in port
        }
        for port in container.get("ports") or []:
            key = (port["containerPort"], port.get("protocol", "TCP"))
            if key in host_ports:
                port["hostPort"] = host_ports[key]
        if claims := (before.get("resources") or {}).get("claims"):
            container.setdefault("resources", {})["claims"] = copy.deepcopy(claims)


def _containers(spec: Manifest) -> list[Manifest]:
    return [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]


def tightened_affinity(spec: Manifest, nodes: Sequence[str]) -> Manifest:
    """Return `spec.affinity` with every required node term narrowed to these virtual nodes.

    A gated pod's node affinity may be set where it is absent and only narrowed where it is not.
    """
    return _narrowed(spec, [{"key": names.HOSTNAME, "operator": "In", "values": sorted(nodes)}])


def loosened(spec: Manifest) -> Manifest:
    """Return the spec without what `tightened_affinity` added: what the proxy asked for when it was gated."""
    affinity = copy.deepcopy(spec.get("affinity") or {})
    required = (affinity.get("nodeAffinity") or {}).get(REQUIRED) or {}
    terms = []
    for term in required.get("nodeSelectorTerms") or []:
        *others, last = term.get("matchExpressions") or [{}]
        if (last.get("key"), last.get("operator")) != (names.HOSTNAME, "In"):
            return spec  # not tightened by us
        if others or term.get("matchFields"):
            terms.append(term | {"matchExpressions": others})
    if terms:
        required["nodeSelectorTerms"] = terms
    elif required:
        del affinity["nodeAffinity"][REQUIRED]
    return spec | {"affinity": affinity}


def untied_spec(proxy: ProxyPod) -> Manifest | None:
    """Return what an unbound proxy asks of its node, without our tie; None for a bound one, whose spec is not kept."""
    if proxy.manifest is None:
        return None
    spec: Manifest = proxy.manifest["spec"]
    return loosened(spec) if proxy.ungated_at else spec


def _narrowed(spec: Manifest, alternatives: list[Manifest]) -> Manifest:
    """Return `spec.affinity` whose required node terms also ask for one of these expressions."""
    affinity: Manifest = copy.deepcopy(spec.get("affinity") or {})
    required = affinity.setdefault("nodeAffinity", {}).setdefault(REQUIRED, {})
    required["nodeSelectorTerms"] = [
        term | {"matchExpressions": [*(term.get("matchExpressions") or []), expression]}
        for term in required.get("nodeSelectorTerms") or [{}]
        for expression in alternatives
    ]
    return affinity
