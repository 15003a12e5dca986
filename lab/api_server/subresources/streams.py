"""log, exec, attach and portforward: found out here, carried by the shell to the kubelet of the pod's node.

SPDY is not spoken; a client that asks for it gets a 400 that says so. kubectl asks for WebSockets first.
"""

from lab.api_server.core.manifest import Manifest, at
from lab.api_server.core.reading import Reader
from lab.api_server.core.request import Relay, Response, text
from lab.api_server.core.routes import Call
from lab.api_server.core.status import bad_request, not_found

LOG_QUERY = ("follow", "limitBytes", "previous", "sinceSeconds", "sinceTime", "tailLines", "timestamps", "stream")
EXEC_QUERY = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}


class Streams:
    """Finds the kubelet and the path."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def relay(self, call: Call) -> Relay | Response:
        """Return where the stream goes; the log of a pod without a node is empty."""
        assert call.subresource is not None
        pod = self._reader.require(call.kind, call.namespace, call.name).manifest
        name = call.subresource.name
        container = "" if name == "portforward" else _container(pod, call.request.parameter("container"))
        if name == "log" and not pod["spec"].get("nodeName"):
            return text("")
        host, port = self._kubelet(pod)
        if name != "log":
            _check_upgrade(call)
        place = f"{call.namespace}/{call.name}"
        match name:
            case "log":
                query = tuple(pair for pair in call.request.query if pair[0] in LOG_QUERY)
                return Relay(host, port, f"/containerLogs/{place}/{container}", query, is_upgrade=False)
            case "portforward":
                path, query = f"/portForward/{place}", tuple(call.request.query)
            case _:
                path, query = f"/{name}/{place}/{container}", _exec_query(call)
        offered = call.request.header("sec-websocket-protocol")
        protocols = tuple(one.strip() for one in offered.split(",") if one.strip())
        return Relay(host, port, path, query, is_upgrade=True, protocols=protocols)

    def _kubelet(self, pod: Manifest) -> tuple[str, int]:
        node_name = pod["spec"].get("nodeName")
        if not node_name:
            raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
        node = self._reader.find("nodes", "", node_name)
        if node is None:
            raise not_found("", "nodes", node_name)
        addresses = at(node, "status", "addresses") or []
        host = next((one["address"] for one in addresses if one.get("type") == "InternalIP"), None)
        if host is None:
            raise bad_request(f"no preferred addresses found; known addresses: {addresses}")
        return host, int(at(node, "status", "daemonEndpoints", "kubeletEndpoint", "Port") or 10250)


def _container(pod: Manifest, asked: str) -> str:
    """Return which container is meant: the one asked for, or the only one there is."""
    name = pod["metadata"]["name"]
    spec = pod["spec"]
    regular = [one["name"] for one in spec.get("containers") or []]
    others = [one["name"] for key in ("initContainers", "ephemeralContainers") for one in spec.get(key) or []]
    if asked:
        if asked not in [*regular, *others]:
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    default = at(pod, "metadata", "annotations", "kubectl.kubernetes.io/default-container")
    if default in regular:
        return str(default)
    if len(regular) == 1:
        return str(regular[0])
    listed = " ".join(regular)
    raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{listed}]")


def _check_upgrade(call: Call) -> None:
    upgrade = call.request.header("upgrade").lower()
    if "spdy" in upgrade:
        raise bad_request("this API server speaks WebSocket, not SPDY: use kubectl 1.31 or newer")
    if upgrade != "websocket":
        raise bad_request("Upgrade request required")


def _exec_query(call: Call) -> tuple[tuple[str, str], ...]:
    """Return the query as kubelets read it: command repeated, flags as 1."""
    query = [("command", value) for value in call.request.parameters("command")]
    flags = [
        (kubelet_name, "1")
        for name, kubelet_name in EXEC_QUERY.items()
        if call.request.parameter(name).lower() in {"1", "true"}
    ]
    return (*query, *flags)
