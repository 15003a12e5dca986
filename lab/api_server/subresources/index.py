"""From the name of a subresource to the part that answers it."""

from collections.abc import Callable

from lab.api_server.auth.tokens import Tokens
from lab.api_server.core.decoding import check_unknown, normalized, read_manifest
from lab.api_server.core.deleting import Deleter
from lab.api_server.core.manifest import Clock, Manifest
from lab.api_server.core.patching import transform_of
from lab.api_server.core.reading import Reader
from lab.api_server.core.request import Answer, Response, answer
from lab.api_server.core.routes import Call
from lab.api_server.core.status import method_not_allowed
from lab.api_server.core.writing import Writer
from lab.api_server.subresources.binding import Binder
from lab.api_server.subresources.eviction import Evictor
from lab.api_server.subresources.scale import Scaler
from lab.api_server.subresources.streams import Streams
from lab.api_server.subresources.token import TokenRequests

Change = Callable[[Manifest, Manifest], Manifest]


class Subresources:
    """Answers everything below an object but its status."""

    def __init__(self, reader: Reader, writer: Writer, deleter: Deleter, tokens: Tokens, clock: Clock) -> None:
        self._reader, self._writer = reader, writer
        self._binder = Binder(reader, writer, clock)
        self._evictor = Evictor(reader, writer, deleter, clock)
        self._scaler = Scaler(reader, writer)
        self._streams = Streams(reader)
        self._token_requests = TokenRequests(reader, tokens)

    async def bind(self, call: Call, manifest: Manifest) -> Response:
        """Answer a Binding posted to the old `bindings` resource."""
        return await self._binder.bind(call, manifest)

    async def answer(self, call: Call) -> Answer:  # noqa: PLR0911 - one return per subresource
        """Answer one call."""
        assert call.subresource is not None
        match call.subresource.name:
            case "binding":
                return await self._binder.bind(call, read_manifest(call.request, "Binding", "v1"))
            case "eviction":
                return await self._evictor.evict(call)
            case "scale":
                return await self._scaler.answer(call)
            case "token":
                return self._token_requests.create(call)
            case "log" | "exec" | "attach" | "portforward":
                return self._streams.relay(call)
            case "finalize":
                return await self._change(call, _finalizers_only)
            case "approval":
                return await self._change(call, _conditions_only)
            case "ephemeralcontainers" | "resize":
                return await self._change(call, _containers_only)
        raise method_not_allowed()

    async def _change(self, call: Call, allowed: Change) -> Response:
        """Read, or write with everything but one part put back."""
        if call.verb == "get":
            return self._reader.get(call)
        if call.verb == "patch":
            wanted = transform_of(call, self._reader.now())
        else:
            given = read_manifest(call.request, call.kind.kind, call.kind.api_version)
            check_unknown(call, given)

            def wanted(_current: Manifest) -> Manifest:
                return normalized(call.kind, given, call.namespace)

        written = await self._writer.rewrite(call, lambda current: allowed(wanted(current), current))
        return answer(written.manifest)


def _finalizers_only(new: Manifest, old: Manifest) -> Manifest:
    finalizers = (new.get("spec") or {}).get("finalizers")
    return old | {"spec": {"finalizers": finalizers} if finalizers else {}}


def _conditions_only(new: Manifest, old: Manifest) -> Manifest:
    conditions = (new.get("status") or {}).get("conditions")
    status = {**(old.get("status") or {}), **({"conditions": conditions} if conditions else {})}
    return old | {"status": status}


def _containers_only(new: Manifest, old: Manifest) -> Manifest:
    spec = dict(old["spec"])
    if "ephemeralContainers" in new["spec"]:
        spec["ephemeralContainers"] = new["spec"]["ephemeralContainers"]
    by_name = {container["name"]: container for container in new["spec"]["containers"]}
    spec["containers"] = [
        container | {"resources": by_name.get(container["name"], container).get("resources", {})}
        for container in spec["containers"]
    ]
    return old | {"spec": spec}
