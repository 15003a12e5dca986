"""Services that follow their pods: what one looks like at home while followed, and what its copies are.

A followed Service is *rerouted*: its selector is rewritten by the rule for delegates' labels, so that it selects the
delegates, in every cluster where one of its copies is; a mesh joins what bears the same name (for Cilium: annotation
`io.cilium/global-service`). The selector as its user wrote it is kept in an annotation, and put back when no pod of it
is federated any more.
"""

from collections.abc import Callable, Mapping
from typing import Any

from federation import names
from federation.decisions.copying import copied_metadata, nothing
from federation.decisions.patches import merge_patch
from federation.model.copied import Copy, Original

Manifest = dict[str, Any]
Selector = Mapping[str, str]

# A target's own API server gives these, and they cannot, or should not, be the source's.
_ALLOCATED = ("clusterIP", "clusterIPs", "ipFamilies", "healthCheckNodePort")
# Addresses of the source's machines: in a target they would catch traffic that is not the source's.
_OF_THE_SOURCE = ("externalIPs", "loadBalancerIP")
# Set by API servers where nobody did; an older one at home may not know them yet.
_DEFAULTED = (
    "allocateLoadBalancerNodePorts",
    "externalTrafficPolicy",
    "internalTrafficPolicy",
    "ipFamilyPolicy",
    "sessionAffinity",
)
_EXTERNAL_NAME, _HEADLESS = "ExternalName", "None"


def format_selector(selector: Selector) -> str:
    """Return `k=v,k2=v2`, sorted, as Admiralty writes it."""
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


def parse_selector(text: str) -> dict[str, str]:
    """Return what `format_selector` was given; empty for a text that it never wrote."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(key and equals for key, equals, _ in pairs):
        return {}
    return {key: value for key, _, value in pairs}


def original_selector(service: Original) -> dict[str, str]:
    """Return the selector as its user wants it.

    A user who applies their manifest again adds unprefixed keys beside the rewritten ones, or replaces them: the
    unprefixed part is then the new original. Where they took the selector away, there is none.
    """
    selector: dict[str, str] = service.manifest["spec"].get("selector") or {}
    recorded = parse_selector(service.annotations.get(names.ORIGINAL_SELECTOR, ""))
    if not recorded or not selector:
        return selector
    if _is_rewritten_from(recorded, selector):
        return recorded
    return {key: value for key, value in selector.items() if not key.startswith(names.PREFIX)} or recorded


def _is_rewritten_from(recorded: Selector, selector: Selector) -> bool:
    """Whether a selector is the recorded one with some keys rewritten, whichever the label rule kept at the time."""
    forms = {key: _prefixed(key) for key in recorded}
    possible = {(form, recorded[key]) for key, moved in forms.items() for form in (key, moved)}
    has_one_form_of_each = all((key in selector) != (moved in selector) or key == moved for key, moved in forms.items())
    return has_one_form_of_each and set(selector.items()) <= possible


def _prefixed(key: str) -> str:
    return next(iter(names.delegate_labels({key: ""}, lambda _: False)))


def selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether a Service's selector matches a pod's labels; an empty one matches nothing."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def leads_to_pods(service: Original) -> bool:
    """Whether a Service's selector means anything: one that is a name for another host has no pods to follow.

    A target lets no source make such a one either, for it would lead the owner's pods elsewhere (rule T3).
    """
    return bool(service.manifest["spec"].get("type") != _EXTERNAL_NAME)


def rerouting(service: Original, is_kept: Callable[[str], bool]) -> Manifest:
    """Return the patch that makes the original a followed one; empty where it is."""
    selector = original_selector(service)
    annotations = {
        names.CILIUM_GLOBAL: "true",
        names.GLOBAL: "true",
        names.ORIGINAL_SELECTOR: format_selector(selector),
    }
    return _patch(service, {**service.annotations, **annotations}, names.delegate_labels(selector, is_kept))


def undoing(service: Original) -> Manifest:
    """Return the patch that gives the original back its selector; empty where it was never rerouted."""
    if names.ORIGINAL_SELECTOR not in service.annotations:
        return {}
    ours = (names.CILIUM_GLOBAL, names.GLOBAL, names.ORIGINAL_SELECTOR)
    annotations = {key: value for key, value in service.annotations.items() if key not in ours}
    return _patch(service, annotations, original_selector(service))


def _patch(service: Original, annotations: Mapping[str, str], selector: Selector) -> Manifest:
    patch: Manifest = {}
    if changed := merge_patch(service.annotations, annotations):
        patch["metadata"] = {"annotations": changed}
    if changed := merge_patch(service.manifest["spec"].get("selector") or {}, selector):
        patch["spec"] = {"selector": changed}
    return patch


def copy_of(
    service: Original, cluster_name: str, existing: Copy | None, is_let_out: Callable[[str], bool] = nothing
) -> Manifest | None:
    """Return the copy as it should be in a target, or None where it is so already.

    What the target allocated (addresses, node ports) and defaulted is kept; everything else is the original's.
    """
    spec = _own_spec(service.manifest["spec"])
    metadata = copied_metadata(service, cluster_name, existing, is_let_out)
    if existing is None:
        return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    known = existing.manifest["spec"]
    spec = _with_allocated(spec, known)
    if spec == known and metadata == existing.manifest["metadata"]:
        return None
    return {**existing.manifest, "metadata": metadata, "spec": spec}


def must_be_made_anew(service: Original, existing: Copy) -> bool:
    """Whether a copy cannot become what it should be: a headless Service never gets an address, nor the reverse."""
    wanted, known = service.manifest["spec"], existing.manifest["spec"]
    return bool((wanted.get("clusterIP") == _HEADLESS) != (known.get("clusterIP") == _HEADLESS))


def _own_spec(spec: Manifest) -> Manifest:
    left_out = {*_ALLOCATED, *_OF_THE_SOURCE, "ports"}
    own = {key: value for key, value in spec.items() if key not in left_out}
    if spec.get("clusterIP") == _HEADLESS:
        own["clusterIP"] = _HEADLESS
    if "ports" in spec:
        own["ports"] = [{key: value for key, value in port.items() if key != "nodePort"} for port in spec["ports"]]
    return own


def _with_allocated(spec: Manifest, known: Manifest) -> Manifest:
    if spec.get("type") != known.get("type"):
        return spec  # the API server gives anew what the other type needs
    kept = {key: known[key] for key in (*_ALLOCATED, *_DEFAULTED) if key in known and key not in spec}
    if spec.get("externalTrafficPolicy") != "Local":
        kept.pop("healthCheckNodePort", None)
    given = {
        (port.get("protocol"), port["port"]): port["nodePort"]
        for port in known.get("ports") or []
        if "nodePort" in port
    }
    if "ports" not in spec:
        return spec | kept
    ports = [
        {**port, "nodePort": given[at]} if (at := (port.get("protocol"), port["port"])) in given else port
        for port in spec["ports"]
    ]
    return spec | kept | {"ports": ports}
