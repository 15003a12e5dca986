"""From a call on a resource to the part that answers it."""

from lab.api_server.auth.reviews import Reviews
from lab.api_server.core.decoding import check_unknown, normalized, read_manifest
from lab.api_server.core.deleting import Deleter
from lab.api_server.core.manifest import Manifest
from lab.api_server.core.patching import APPLY_PATCH, patch_type, transform_of
from lab.api_server.core.reading import Reader
from lab.api_server.core.request import Answer, Response
from lab.api_server.core.routes import Call
from lab.api_server.core.status import method_not_allowed
from lab.api_server.core.writing import Writer, Written
from lab.api_server.subresources.index import Subresources


class Resources:
    """Answers calls on resources and their subresources."""

    def __init__(
        self, reader: Reader, writer: Writer, deleter: Deleter, subresources: Subresources, reviews: Reviews
    ) -> None:
        self._reader, self._writer, self._deleter = reader, writer, deleter
        self._subresources, self._reviews = subresources, reviews

    async def answer(self, call: Call) -> Answer:  # noqa: PLR0911 - one return per verb
        """Answer one call."""
        if call.subresource is not None and call.subresource.name != "status":
            return await self._subresources.answer(call)
        if call.kind.verbs == ("create",):
            return await self._answer_review(call)
        match call.verb:
            case "get":
                return self._reader.get(call)
            case "list":
                return self._reader.listing(call)
            case "watch":
                return self._reader.watch(call)
            case "delete":
                return await self._deleter.delete(call)
            case "deletecollection":
                return await self._deleter.delete_collection(call)
            case "create":
                return await self._create(call)
            case "update":
                return await self._update(call)
            case "patch":
                return await self._patch(call)
        raise method_not_allowed()

    async def _answer_review(self, call: Call) -> Answer:
        manifest = read_manifest(call.request, call.kind.kind, call.kind.api_version)
        if call.kind.kind == "Binding":
            return await self._subresources.bind(call, manifest)
        return self._reviews.answer(call, manifest)

    async def _create(self, call: Call) -> Response:
        manifest, headers = self._read(call)
        return self._show(call, await self._writer.create(call, manifest), headers, is_create=True)

    async def _update(self, call: Call) -> Response:
        manifest, headers = self._read(call)
        creates = call.kind.strategy.create_on_update and call.subresource is None
        written = await self._writer.update(
            call,
            lambda _current: normalized(call.kind, manifest, call.namespace),
            when_missing=(lambda: manifest) if creates else None,
        )
        return self._show(call, written, headers)

    async def _patch(self, call: Call) -> Response:
        headers: dict[str, str] = {}
        transform = transform_of(call, self._reader.now(), headers)
        creates = patch_type(call) == APPLY_PATCH and call.subresource is None
        written = await self._writer.update(call, transform, when_missing=(lambda: transform({})) if creates else None)
        return self._show(call, written, headers)

    def _read(self, call: Call) -> tuple[Manifest, dict[str, str]]:
        manifest = read_manifest(call.request, call.kind.kind, call.kind.api_version)
        headers = check_unknown(call, manifest)
        return normalized(call.kind, manifest, call.namespace), headers

    def _show(self, call: Call, written: Written, headers: dict[str, str], *, is_create: bool = False) -> Response:
        status = 201 if written.is_new or is_create else 200
        shown = self._reader.show(call, written.manifest, written.raw, status)
        return Response(shown.status, shown.body, shown.content_type, headers) if headers else shown
