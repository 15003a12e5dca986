"""Nobody gives away more than they have: the check of writes to roles and bindings, worded as upstream's.

A role may hold only rules that its writer has, unless the writer may `escalate` roles. A binding may name only a role
whose rules its writer has, or that its writer may `bind`. `system:masters` may do anything.
"""

from collections.abc import Iterable, Iterator
from itertools import product

from lab.api_server.admission.plugins import Attributes, Cluster
from lab.api_server.auth.rbac import GROUP, MASTERS, Action, Authorizer, covers
from lab.api_server.core.manifest import Manifest
from lab.api_server.core.request import User
from lab.api_server.core.status import forbidden, not_found

ROLES, BINDINGS = ("roles", "clusterroles"), ("rolebindings", "clusterrolebindings")
EVERYTHING: Manifest = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
COLLECTED = ("ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation")


class Escalation:
    """Checks writes of one API server."""

    def __init__(self, cluster: Cluster, authorizer: Authorizer) -> None:
        self._cluster, self._authorizer = cluster, authorizer

    def check(self, attributes: Attributes) -> None:
        """Refuse a write that would give away more than its writer has."""
        kind, user = attributes.kind, attributes.user
        if kind.group != GROUP or attributes.operation not in {"CREATE", "UPDATE"} or attributes.subresource:
            return
        if self._authorizer.is_open or MASTERS in user.groups or _changes_only_what_gc_needs(attributes):
            return
        if kind.plural in ROLES:
            self._check_role(attributes)
        elif kind.plural in BINDINGS:
            self._check_binding(attributes)

    def _check_role(self, attributes: Attributes) -> None:
        name = attributes.name if attributes.operation == "UPDATE" else ""
        escalates = Action("escalate", GROUP, attributes.kind.plural, name, attributes.namespace)
        if self._authorizer.allows(attributes.user, escalates):
            return
        self._confirm(attributes, attributes.new.get("rules") or [])
        if attributes.new.get("aggregationRule") and self._missing(attributes.user, "", [EVERYTHING]):
            raise self._forbidden(attributes, "must have cluster-admin privileges to use the aggregationRule")

    def _check_binding(self, attributes: Attributes) -> None:
        reference = attributes.new.get("roleRef") or {}
        plural = "roles" if reference.get("kind") == "Role" else "clusterroles"
        name, namespace = str(reference.get("name") or ""), attributes.namespace
        if self._authorizer.allows(attributes.user, Action("bind", GROUP, plural, name, namespace)):
            return
        role = self._cluster.find(f"{plural}.{GROUP}", namespace if plural == "roles" else "", name)
        if role is None:
            raise not_found(GROUP, attributes.kind.plural, name)  # upstream names the resource that was asked for
        self._confirm(attributes, list(self._authorizer.role_rules(role, name)))

    def _confirm(self, attributes: Attributes, rules: list[Manifest]) -> None:
        user = attributes.user
        missing = self._missing(user, attributes.namespace, rules)
        if missing:
            what = "\n".join(sorted(_described(missing)))
            who = f'user "{user.name}" (groups={_listed(user.groups)})'
            why = f"{who} is attempting to grant RBAC permissions not currently held:\n{what}"
            raise self._forbidden(attributes, why)

    def _missing(self, user: User, namespace: str, rules: list[Manifest]) -> list[Action]:
        held = list(self._authorizer.rules(user, namespace))
        return [action for rule in rules for action in _actions(rule) if not any(covers(one, action) for one in held)]

    @staticmethod
    def _forbidden(attributes: Attributes, why: str) -> Exception:
        name = attributes.name or attributes.new["metadata"].get("name", "")
        return forbidden(GROUP, attributes.kind.plural, name, why)


def _actions(rule: Manifest) -> Iterator[Action]:
    """Yield all that a rule allows, one thing at a time."""
    verbs = rule.get("verbs") or []
    for path, verb in product(rule.get("nonResourceURLs") or [], verbs):
        yield Action(verb, path=path)
    names = rule.get("resourceNames") or [""]
    for group, resource, name, verb in product(rule.get("apiGroups") or [], rule.get("resources") or [], names, verbs):
        yield Action(verb, group, resource, name)


def _described(missing: list[Action]) -> list[str]:
    """Return the rules that are missing, verbs of one thing together, as upstream prints them."""
    verbs: dict[Action, list[str]] = {}
    for action in missing:
        thing = Action("", action.group, action.resource, action.name, path=action.path)
        if action.verb not in (listed := verbs.setdefault(thing, [])):
            listed.append(action.verb)
    return [_one(thing, listed) for thing, listed in verbs.items()]


def _one(thing: Action, verbs: list[str]) -> str:
    parts = [("NonResourceURLs", [thing.path])] if thing.path else []
    if not thing.path:
        parts = [("APIGroups", [thing.group]), ("Resources", [thing.resource])]
        parts += [("ResourceNames", [thing.name])] if thing.name else []
    parts.append(("Verbs", verbs))
    return "{" + ", ".join(f"{name}:{_listed(values)}" for name, values in parts) + "}"


def _listed(values: Iterable[str]) -> str:
    return "[" + " ".join(f'"{value}"' for value in values) + "]"


def _changes_only_what_gc_needs(attributes: Attributes) -> bool:
    """Return whether an update touches finalizers and owners only, which must stay possible for everybody."""
    if attributes.old is None:
        return False

    def rest(manifest: Manifest) -> Manifest:
        metadata = {key: value for key, value in manifest["metadata"].items() if key not in COLLECTED}
        return {**manifest, "metadata": metadata}

    return rest(attributes.new) == rest(attributes.old)
