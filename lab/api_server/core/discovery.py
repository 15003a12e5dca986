"""Discovery: which groups, versions and resources are served, in the classic and in the aggregated form."""

from lab.api_server.core.manifest import Manifest, encode
from lab.api_server.core.request import Request, Response, answer
from lab.api_server.core.routes import Served
from lab.api_server.kinds.model import Kind, Subresource

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Discovery:
    """Describes what is served right now."""

    def __init__(self, served: Served) -> None:
        self.served = served

    def answer(self, request: Request, path: str) -> Response | None:  # noqa: PLR0911 - one return per kind of path
        """Answer a discovery path; None for any other."""
        if path in {"/api", "/apis"}:
            accepted = request.header("accept").replace(" ", "")
            if "as=APIGroupDiscoveryList" in accepted and "v=v2;" in f"{accepted};".replace(",", ";"):
                return Response(200, encode(self._aggregated(is_core=path == "/api")), AGGREGATED)
            return answer(self._versions() if path == "/api" else self._group_list())
        steps = path.strip("/").split("/")
        if steps[0] == "api" and len(steps) == 2:
            return self._resource_list("", steps[1])
        if steps[0] == "apis" and len(steps) == 2 and steps[1] in self._groups():
            head = {"kind": "APIGroup", "apiVersion": "v1"}
            return answer(head | self._group(steps[1]))
        if steps[0] == "apis" and len(steps) == 3:
            return self._resource_list(steps[1], steps[2])
        if path == "/":
            paths = [
                "/api",
                "/apis",
                "/healthz",
                "/livez",
                "/metrics",
                "/openapi/v2",
                "/openapi/v3",
                "/readyz",
                "/version",
            ]
            return answer({"paths": paths})
        return None

    def _groups(self) -> dict[str, list[str]]:
        """Return group -> versions, in the order in which they were registered; the core group is left out."""
        groups: dict[str, list[str]] = {}
        for kind in self.served:
            if kind.group and kind.version not in groups.setdefault(kind.group, []):
                groups[kind.group].append(kind.version)
        return groups

    def _versions(self) -> Manifest:
        addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}]
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}

    def _group_list(self) -> Manifest:
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._group(name) for name in self._groups()]}

    def _group(self, name: str) -> Manifest:
        versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in self._groups()[name]]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def _resource_list(self, group: str, version: str) -> Response | None:
        kinds = [kind for kind in self.served if (kind.group, kind.version) == (group, version)]
        if not kinds:
            return None
        resources = []
        for kind in sorted(kinds, key=lambda one: one.plural):
            resources.append(_classic(kind))
            resources += [_classic_subresource(kind, one) for one in kind.subresources]
        name = f"{group}/{version}" if group else version
        head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name}
        return answer(head | {"resources": resources})

    def _aggregated(self, *, is_core: bool) -> Manifest:
        groups = {"": ["v1"]} if is_core else self._groups()
        items = []
        for group, versions in groups.items():
            listed = [
                {"version": version, "resources": self._aggregated_resources(group, version), "freshness": "Current"}
                for version in versions
            ]
            items.append({"metadata": {"name": group} if group else {}, "versions": listed})
        head = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}}
        return head | {"items": items}

    def _aggregated_resources(self, group: str, version: str) -> list[Manifest]:
        kinds = [kind for kind in self.served if (kind.group, kind.version) == (group, version)]
        return [_aggregated_kind(kind) for kind in sorted(kinds, key=lambda one: one.plural)]


def _classic(kind: Kind) -> Manifest:
    entry: Manifest = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    return entry


def _classic_subresource(kind: Kind, subresource: Subresource) -> Manifest:
    entry: Manifest = {
        "name": f"{kind.plural}/{subresource.name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": _response_kind(kind, subresource)["kind"],
        "verbs": list(subresource.verbs),
    }
    if subresource.kind and "/" in subresource.kind:
        answered = _response_kind(kind, subresource)
        entry |= {"group": answered["group"], "version": answered["version"]}
    return entry


def _response_kind(kind: Kind, subresource: Subresource | None = None) -> Manifest:
    if subresource is None or not subresource.kind:
        return {"group": kind.group, "version": kind.version, "kind": kind.kind}
    api_version, _, name = subresource.kind.rpartition(".")
    group, _, version = api_version.rpartition("/")
    return {"group": group, "version": version, "kind": name}


def _aggregated_kind(kind: Kind) -> Manifest:
    entry: Manifest = {
        "resource": kind.plural,
        "responseKind": _response_kind(kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.subresources:
        entry["subresources"] = [
            {"subresource": one.name, "responseKind": _response_kind(kind, one), "verbs": list(one.verbs)}
            for one in kind.subresources
        ]
    return entry
