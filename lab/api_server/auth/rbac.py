"""Who may do what: RBAC from the stored roles and bindings, and a rough Node authorizer.

`system:masters` may do everything. Users `system:node:*` in the group `system:nodes` may do what the ClusterRole
`system:node` says, to all objects: upstream's Node authorizer narrows that to the objects of the node's own pods, which
the lab does not. Roles that aggregate others by label are resolved when they are read, so no controller is needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lab.api_server.admission.plugins import Cluster
from lab.api_server.core.manifest import Manifest
from lab.api_server.core.request import Request, User
from lab.api_server.core.routes import Target
from lab.api_server.core.selectors import labels_match, parse_label_selector
from lab.api_server.core.status import ApiStatus, forbidden

GROUP = "rbac.authorization.k8s.io"
MASTERS, NODES = "system:masters", "system:nodes"
METHOD_VERBS = {"GET": "get", "HEAD": "get", "POST": "post", "PUT": "put", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody wants to do: to a resource, or (with `path`) to a URL that is none."""

    verb: str
    group: str = ""
    resource: str = ""  # with subresource: pods/log
    name: str = ""
    namespace: str = ""
    path: str = ""


class Authorizer:
    """Decides from the objects as they are now."""

    def __init__(self, cluster: Cluster, *, is_open: bool = False) -> None:
        self._cluster, self.is_open = cluster, is_open

    def check(self, user: User, target: Target) -> None:
        """Refuse a request to a resource, in upstream's words."""
        resource = f"{target.plural}/{target.subresource}" if target.subresource else target.plural
        namespace = target.namespace
        if target.plural == "namespaces" and not target.group:
            namespace = target.name  # upstream: a namespace lies in itself
        action = Action(target.verb, target.group, resource, target.name, namespace)
        if self.allows(user, action):
            return
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        why = f'User "{user.name}" cannot {action.verb} resource "{resource}" in API group "{target.group}" {where}'
        raise forbidden(target.group, target.plural, target.name, why)

    def check_path(self, user: User, request: Request) -> None:
        """Refuse a request to a path that is no resource."""
        verb = METHOD_VERBS.get(request.method, request.method.lower())
        if not self.allows(user, Action(verb, path=request.path)):
            message = f'forbidden: User "{user.name}" cannot {verb} path "{request.path}"'
            raise ApiStatus(403, "Forbidden", message, {})

    def impersonated(self, user: User, request: Request, target: Target | None) -> User:
        """Return whom the caller acts as: himself, or with the right to it the user that the headers name.

        Without the right, upstream tells of the narrower one that it looked for last: to act as somebody *on* this.
        """
        name, uid = request.header("impersonate-user"), request.header("impersonate-uid")
        groups = tuple(one for one in request.header("impersonate-group").split(",") if one)
        if not name:
            return user
        for resource, subject in (("users", name), *(("groups", group) for group in groups)):
            if not self.allows(user, Action("impersonate", resource=resource, name=subject)):
                if target is not None:
                    self.check(user, replace(target, verb=f"impersonate-on:user-info:{target.verb}"))
                why = f'User "{user.name}" cannot impersonate resource "{resource}" in API group ""'
                raise forbidden("", resource, subject, f"{why} at the cluster scope")
        return User(name, (*groups, "system:authenticated"), uid)

    def allows(self, user: User, action: Action) -> bool:
        """Return whether any rule allows the action."""
        if self.is_open or MASTERS in user.groups:
            return True
        return any(covers(rule, action) for rule in self.rules(user, action.namespace))

    def rules(self, user: User, namespace: str) -> Iterator[Manifest]:
        """Yield every rule that holds for `user` in a namespace ("" = cluster-wide ones only)."""
        if NODES in user.groups and user.name.startswith("system:node:"):
            yield from self._role("ClusterRole", "", "system:node")
        for version in self._cluster.all(f"clusterrolebindings.{GROUP}"):
            binding = version.manifest
            if _is_bound(binding, user, ""):
                yield from self._role("ClusterRole", "", binding["roleRef"]["name"])
        if not namespace:
            return
        for version in self._cluster.all(f"rolebindings.{GROUP}", namespace):
            binding = version.manifest
            if _is_bound(binding, user, namespace):
                yield from self._role(binding["roleRef"]["kind"], namespace, binding["roleRef"]["name"])

    def _role(self, kind: str, namespace: str, name: str) -> Iterator[Manifest]:
        if kind == "Role":
            role = self._cluster.find(f"roles.{GROUP}", namespace, name)
        else:
            role = self._cluster.find(f"clusterroles.{GROUP}", "", name)
        if role is not None:
            yield from self.role_rules(role, name)

    def role_rules(self, role: Manifest, name: str) -> Iterator[Manifest]:
        """Yield the rules of a role, and of those that it aggregates."""
        yield from role.get("rules") or []
        aggregation = role.get("aggregationRule") or {}
        for selector in aggregation.get("clusterRoleSelectors") or []:
            requirements = parse_label_selector(selector)
            for version in self._cluster.all(f"clusterroles.{GROUP}"):
                if version.key[1] != name and labels_match(requirements, version.manifest["metadata"].get("labels")):
                    yield from self._role("ClusterRole", "", version.key[1])


def _is_bound(binding: Manifest, user: User, namespace: str) -> bool:
    for subject in binding.get("subjects") or []:
        match subject.get("kind"):
            case "User" if subject["name"] == user.name:
                return True
            case "Group" if subject["name"] in user.groups:
                return True
            case "ServiceAccount":
                home = subject.get("namespace") or namespace
                if user.name == f"system:serviceaccount:{home}:{subject['name']}":
                    return True
    return False


def covers(rule: Manifest, action: Action) -> bool:
    """Return whether a rule allows an action."""
    if not _has(rule.get("verbs"), action.verb):
        return False
    if action.path:
        return any(_path_matches(pattern, action.path) for pattern in rule.get("nonResourceURLs") or [])
    names = rule.get("resourceNames")
    return (
        _has(rule.get("apiGroups"), action.group)
        and any(_resource_matches(pattern, action.resource) for pattern in rule.get("resources") or [])
        and (not names or action.name in names)
    )


def _has(values: list[str] | None, value: str) -> bool:
    return value in (values or []) or "*" in (values or [])


def _resource_matches(pattern: str, resource: str) -> bool:
    if pattern in {"*", resource}:
        return True
    return pattern.startswith("*/") and resource.endswith(pattern[1:])


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in {"*", path} or (pattern.endswith("*") and path.startswith(pattern[:-1]))
