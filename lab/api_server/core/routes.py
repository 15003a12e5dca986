"""From a URL to what is asked of which resource.

`Served` is the table of resources at this moment: the built-in ones, and those of the CustomResourceDefinitions. A
path that no resource serves is a 404, a method that a resource does not offer a 405, both worded as upstream.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lab.api_server.core.manifest import is_true
from lab.api_server.core.request import Request, User
from lab.api_server.core.status import method_not_allowed, no_such_resource
from lab.api_server.kinds.model import Kind, Subresource

ON_COLLECTION = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
ON_OBJECT = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
ON_SUBRESOURCE = ON_OBJECT | {"POST": "create"}
OPERATIONS = {"create": "CREATE", "update": "UPDATE", "patch": "UPDATE", "delete": "DELETE", "connect": "CONNECT"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a resource path names."""

    verb: str
    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a resource that exists, by somebody who may."""

    request: Request
    user: User
    kind: Kind
    verb: str
    namespace: str = ""
    name: str = ""
    subresource: Subresource | None = None

    @property
    def is_dry_run(self) -> bool:
        """Return whether nothing may be stored."""
        return "All" in self.request.parameters("dryRun")


class Served:
    """All kinds by group, version and plural."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = {(kind.group, kind.version, kind.plural): kind for kind in kinds}

    def __iter__(self) -> Iterator[Kind]:
        return iter(tuple(self._kinds.values()))

    def get(self, group: str, version: str, plural: str) -> Kind | None:
        """Return the kind, or None."""
        return self._kinds.get((group, version, plural))

    def find(self, group: str, plural: str) -> Kind | None:
        """Return the kind in whichever version is served."""
        return next((kind for kind in self if (kind.group, kind.plural) == (group, plural)), None)

    def replace(self, group: str, plural: str, kinds: Iterable[Kind]) -> None:
        """Serve `kinds`, and no others, as versions of one custom resource."""
        self._kinds = {key: kind for key, kind in self._kinds.items() if (kind.group, kind.plural) != (group, plural)}
        self._kinds |= {(kind.group, kind.version, kind.plural): kind for kind in kinds}

    def has_group_version(self, group: str, version: str) -> bool:
        """Return whether anything is served there, which decides how a 404 looks."""
        return any((key[0], key[1]) == (group, version) for key in self._kinds)

    def resolve(self, target: Target) -> tuple[Kind, Subresource | None]:
        """Return the kind and subresource of a target, or fail as upstream's router does."""
        kind = self.get(target.group, target.version, target.plural)
        if kind is None or (target.namespace and not kind.namespaced):
            raise no_such_resource()
        subresource = kind.subresource(target.subresource) if target.subresource else None
        if target.subresource and subresource is None:
            raise no_such_resource()
        if kind.namespaced and target.name and not target.namespace:
            raise no_such_resource()
        verbs = subresource.verbs if subresource else kind.verbs
        needs_namespace = kind.namespaced and target.verb not in {"list", "watch"} and not target.namespace
        if target.verb not in verbs or needs_namespace:
            raise method_not_allowed()
        return kind, subresource


def parse_target(request: Request) -> Target | None:
    """Read a resource path; None for every other path (health, discovery, and what does not exist)."""
    steps = [step for step in request.path.split("/") if step]
    if len(steps) >= 3 and steps[0] == "api":
        group, version, rest = "", steps[1], steps[2:]
    elif len(steps) >= 4 and steps[0] == "apis":
        group, version, rest = steps[1], steps[2], steps[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and not (not group and rest[2] in {"status", "finalize"}):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    verb = _verb(request, name, subresource)
    return Target(verb, group, version, plural, namespace, name, subresource)


def _verb(request: Request, name: str, subresource: str) -> str:
    by_depth = ON_OBJECT if name else ON_COLLECTION
    verb = (ON_SUBRESOURCE if subresource else by_depth).get(request.method, "")
    if verb == "list" and is_true(request.parameter("watch")):
        return "watch"
    return verb
