"""Strategic merge patch: a merge patch that knows which lists are keyed.

Which list merges by which key comes from the `patchStrategy` and `patchMergeKey` tags of the Kubernetes API types.
The table below names the lists that kubectl and the controllers patch; every list that is not in it is replaced
whole, which is also what upstream does for lists without tags (tolerations, taints, container statuses).
`ports` is keyed differently in containers and services and is told apart by its elements.
"""

from typing import Any

from lab.api_server.core.json_patch import PatchError

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "env": "name",
    "imagePullSecrets": "name",
    "secrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "schedulingGates": "name",
    "resourceClaims": "name",
    "conditions": "type",
    "addresses": "type",
    "podIPs": "ip",
    "ownerReferences": "uid",
    "webhooks": "name",
    "matchConditions": "name",
}
PRIMITIVE_SETS = frozenset({"finalizers", "podCIDRs"})
DELETE_FROM, SET_ORDER, RETAIN = "$deleteFromPrimitiveList/", "$setElementOrder/", "$retainKeys"


def strategic_merge(target: Any, patch: Any) -> Any:
    """Apply a strategic merge patch to an object."""
    if not isinstance(patch, dict):
        return patch
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    result = dict(target) if isinstance(target, dict) else {}
    if RETAIN in patch:
        result = {key: value for key, value in result.items() if key in patch[RETAIN]}
    for key, value in patch.items():
        _merge_member(result, key, value, patch)
    return result


def _merge_member(result: dict[str, Any], key: str, value: Any, patch: dict[str, Any]) -> None:
    if key.startswith(DELETE_FROM):
        name = key.removeprefix(DELETE_FROM)
        result[name] = [one for one in _list(result.get(name)) if one not in value]
    elif key.startswith("$"):
        return
    elif value is None:
        result.pop(key, None)
    elif isinstance(value, list):
        merged = _merge_list(key, _list(result.get(key)), value)
        result[key] = _ordered(merged, key, patch.get(SET_ORDER + key))
    else:
        result[key] = strategic_merge(result.get(key), value)


def _list(value: Any) -> list[Any]:
    """Return the list that is there; anything else is replaced by the patch's."""
    return value if isinstance(value, list) else []


def merge_key(name: str, elements: list[Any]) -> str | None:
    """Return the key by which the list called `name` merges, or None where it is replaced whole."""
    if name != "ports":
        return MERGE_KEYS.get(name)
    is_container = any(isinstance(one, dict) and "containerPort" in one for one in elements)
    return "containerPort" if is_container else "port"


def _merge_list(name: str, target: list[Any], patch: list[Any]) -> list[Any]:
    if name in PRIMITIVE_SETS:
        return [*target, *(one for one in patch if one not in target)]
    key = merge_key(name, [*target, *patch])
    if any(isinstance(one, dict) and one.get("$patch") == "replace" for one in patch):
        return [one for one in patch if not (isinstance(one, dict) and one.get("$patch") == "replace")]
    if key is None or not all(isinstance(one, dict) for one in [*target, *patch]):
        return patch
    result = list(target)
    for element in patch:
        if key not in element:
            raise PatchError(f"map: {element} does not contain declared merge key: {key}")
        _merge_element(result, key, element)
    return result


def _merge_element(result: list[Any], key: str, element: dict[str, Any]) -> None:
    position = next((index for index, one in enumerate(result) if one.get(key) == element[key]), None)
    if element.get("$patch") == "delete":
        if position is not None:
            del result[position]
    elif position is None:
        result.append(strategic_merge({}, element))
    else:
        result[position] = strategic_merge(result[position], element)


def _ordered(merged: list[Any], name: str, order: list[Any] | None) -> list[Any]:
    """Put the elements that the client listed into its order; the server's own keep their place after them."""
    if not order:
        return merged
    key = merge_key(name, merged)
    ranks = {_identity(one, key): rank for rank, one in enumerate(order)}
    return sorted(merged, key=lambda one: ranks.get(_identity(one, key), len(ranks)))


def _identity(element: Any, key: str | None) -> Any:
    return element.get(key) if isinstance(element, dict) and key else str(element)
