"""The HTTP side: routes, the answers' headers, and TLS. Rules live in the modules it calls.

Routes are those of the OCI distribution specification 1.1 under /v2/. A middleware turns ProtocolError into the
specified body; requests that were refused before their body was read close the connection, so that a large refused
upload is not read to its end.
"""

import ssl
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from aiohttp import web
from loguru import logger

from lab.registry import manifests, names
from lab.registry.access import Door
from lab.registry.errors import ProtocolError
from lab.registry.names import Digest
from lab.registry.settings import Settings, Tls
from lab.registry.store import Store
from lab.registry.uploads import Upload, Uploads

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
_CHUNK_BYTES = 1 << 18  # read at once from a socket; far larger holds the loop while hashing (256 KiB is ~0.2 ms)
_API_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}


class Registry:
    """One registry: its store, its sessions, its door, and a method per operation of the specification."""

    def __init__(self, settings: Settings) -> None:
        self._limits = settings.limits
        self._store = Store(settings.data_dir)
        self._uploads = Uploads(self._store, settings.limits, time.monotonic)
        self._door = Door(settings)

    def application(self) -> web.Application:
        """The routes, behind the door."""
        application = web.Application(middlewares=[self._answer_errors])
        repository = "/v2/{name:.+}"
        application.add_routes(
            [
                web.get("/v2/", self._version),
                web.get("/v2/_catalog", self._catalog),
                web.get(repository + "/tags/list", self._tags),
                web.get(repository + "/referrers/{digest}", self._referrers),
                web.post(repository + "/blobs/uploads/", self._start_upload),
                web.get(repository + "/blobs/uploads/{upload}", self._upload_state),
                web.patch(repository + "/blobs/uploads/{upload}", self._append),
                web.put(repository + "/blobs/uploads/{upload}", self._finish_upload),
                web.delete(repository + "/blobs/uploads/{upload}", self._cancel_upload),
                web.get(repository + "/blobs/{digest}", self._blob),
                web.delete(repository + "/blobs/{digest}", self._delete_blob),
                web.get(repository + "/manifests/{reference}", self._manifest),
                web.put(repository + "/manifests/{reference}", self._put_manifest),
                web.delete(repository + "/manifests/{reference}", self._delete_manifest),
            ]
        )
        return application

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Answer) -> web.StreamResponse:
        try:
            if request.path.startswith("/v2/"):
                self._door.admit(request)
            response = await handler(request)
        except ProtocolError as error:
            response = web.Response(
                status=error.status, body=error.body(), headers=error.headers, content_type="application/json"
            )
            if request.can_read_body:
                response.force_close()
        if not response.prepared:
            response.headers.update(_API_VERSION)
        logger.debug("Request", method=request.method, path=request.path, status=response.status)
        return response

    # Blobs

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        digest = names.digest(request.match_info["digest"])
        path = self._store.blob(_name(request), digest)
        headers = {"Docker-Content-Digest": str(digest), "Content-Type": "application/octet-stream"}
        return web.FileResponse(path, headers=headers | _API_VERSION)  # HEAD, Range and 416 are its own

    async def _delete_blob(self, request: web.Request) -> web.StreamResponse:
        self._store.remove_blob(_name(request), names.digest(request.match_info["digest"]))
        return web.Response(status=202)

    async def _start_upload(self, request: web.Request) -> web.StreamResponse:
        repository, mount = _name(request), request.query.get("mount")
        if mount is not None and self._mount(request, digest := names.digest(mount)):
            return _created(f"/v2/{repository}/blobs/{digest}", digest)
        self._check_length(request)
        upload = self._uploads.start(repository)
        if "digest" in request.query:
            return await self._receive_rest(request, upload)
        return _progress(upload, 202)

    def _mount(self, request: web.Request, digest: Digest) -> bool:
        """Link a blob of another repository that the client may read; False makes the client upload it."""
        source = request.query.get("from")
        if source is None or not self._door.may_pull(request, source):
            return False
        if not self._store.has_blob(names.repository(source), digest):
            return False
        self._store.link_blob(_name(request), digest)
        return True

    async def _upload_state(self, request: web.Request) -> web.StreamResponse:
        return _progress(self._upload(request), 204)

    async def _append(self, request: web.Request) -> web.StreamResponse:
        upload = self._upload(request)
        self._check_length(request)
        await self._uploads.append(upload, request.content.iter_chunked(_CHUNK_BYTES), _chunk_start(request))
        return _progress(upload, 202)

    async def _finish_upload(self, request: web.Request) -> web.StreamResponse:
        upload = self._upload(request)
        self._check_length(request)
        return await self._receive_rest(request, upload)

    async def _receive_rest(self, request: web.Request, upload: Upload) -> web.StreamResponse:
        digest = names.digest(request.query.get("digest", ""))
        await self._uploads.append(upload, request.content.iter_chunked(_CHUNK_BYTES), _chunk_start(request))
        self._uploads.finish(upload, digest)
        return _created(f"/v2/{upload.repository}/blobs/{digest}", digest)

    async def _cancel_upload(self, request: web.Request) -> web.StreamResponse:
        self._uploads.cancel(self._upload(request))
        return web.Response(status=204)

    def _upload(self, request: web.Request) -> Upload:
        return self._uploads.get(_name(request), request.match_info["upload"])

    def _check_length(self, request: web.Request) -> None:
        if (request.content_length or 0) > self._limits.blob_bytes_max:
            raise ProtocolError("SIZE_INVALID", f"larger than {self._limits.blob_bytes_max} bytes (blob_bytes_max)")

    # Manifests

    async def _manifest(self, request: web.Request) -> web.StreamResponse:
        repository, reference = _name(request), names.reference(request.match_info["reference"])
        digest = self._store.resolve(repository, reference)
        body, media_type = self._store.manifest(repository, digest)
        if not manifests.is_acceptable(media_type, request.headers.getall("Accept", [])):
            raise ProtocolError("MANIFEST_UNKNOWN", f"{reference} is {media_type}, which the Accept header leaves out")
        headers = {"Docker-Content-Digest": str(digest), "Content-Type": media_type, "ETag": f'"{digest}"'}
        return web.Response(body=body, headers=headers)

    async def _put_manifest(self, request: web.Request) -> web.StreamResponse:
        repository, reference = _name(request), names.reference(request.match_info["reference"])
        body = await self._manifest_body(request)
        media_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
        referred = manifests.references(body, media_type)
        self._require(repository, referred)
        if isinstance(reference, Digest) and reference != (found := names.digest_of(body)):
            raise ProtocolError("DIGEST_INVALID", f"the manifest is {found}, not {reference}")
        tag = reference if isinstance(reference, str) else None
        digest = self._store.add_manifest(repository, body, media_type, tag)
        logger.info("Manifest stored", repository=repository, reference=str(reference), digest=str(digest))
        response = _created(f"/v2/{repository}/manifests/{reference}", digest)
        if referred.subject is not None:
            response.headers["OCI-Subject"] = str(referred.subject)
        return response

    async def _manifest_body(self, request: web.Request) -> bytes:
        body = bytearray()
        async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > self._limits.manifest_bytes_max:
                raise ProtocolError("SIZE_INVALID", f"manifest is larger than {self._limits.manifest_bytes_max} bytes")
        return bytes(body)

    def _require(self, repository: str, referred: manifests.References) -> None:
        missing = [digest for digest in referred.blobs if not self._store.has_blob(repository, digest)]
        missing += [digest for digest in referred.manifests if not self._store.has_manifest(repository, digest)]
        if missing:
            raise ProtocolError("MANIFEST_BLOB_UNKNOWN", f"{repository} lacks {', '.join(map(str, missing))}")

    async def _delete_manifest(self, request: web.Request) -> web.StreamResponse:
        self._store.remove_manifest(_name(request), names.reference(request.match_info["reference"]))
        return web.Response(status=202)

    async def _referrers(self, request: web.Request) -> web.StreamResponse:
        repository, subject = _name(request), names.digest(request.match_info["digest"])
        found = []
        for digest in self._store.manifests(repository):
            body, media_type = self._store.manifest(repository, digest)
            if manifests.references(body, media_type).subject == subject:
                found.append(manifests.descriptor(body, media_type, digest))
        kind = request.query.get("artifactType")
        listed = [one for one in found if kind in (None, one.get("artifactType"))]
        headers = {"OCI-Filters-Applied": "artifactType"} if kind else {}
        index = {"schemaVersion": 2, "mediaType": manifests.OCI_INDEX, "manifests": listed}
        return web.json_response(index, headers=headers, content_type=manifests.OCI_INDEX)

    # Lists

    async def _version(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({})

    async def _tags(self, request: web.Request) -> web.StreamResponse:
        repository = _name(request)
        tags, headers = self._page(request, self._store.tags(repository))
        return web.json_response({"name": repository, "tags": tags}, headers=headers)

    async def _catalog(self, request: web.Request) -> web.StreamResponse:
        repositories, headers = self._page(request, self._store.repositories())
        return web.json_response({"repositories": repositories}, headers=headers)

    def _page(self, request: web.Request, everything: list[str]) -> tuple[list[str], dict[str, str]]:
        """One page after `last`, at most `n` long, and the Link header where more follows."""
        text = request.query.get("n", str(self._limits.page_size_max))
        if not text.isascii() or not text.isdigit():
            raise ProtocolError("PAGINATION_NUMBER_INVALID", f"n={text!r}: want a number, 0 or more")
        size = min(int(text), self._limits.page_size_max)
        rest = [name for name in everything if name > request.query.get("last", "")]
        page = rest[:size]
        if not page or len(rest) == len(page):
            return page, {}
        query = urlencode({"n": size, "last": page[-1]})
        return page, {"Link": f'<{request.path}?{query}>; rel="next"'}


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Server side, TLS 1.2 and up, no client certificates."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.certificate, tls.key)
    return context


def _name(request: web.Request) -> str:
    return names.repository(request.match_info["name"])


def _chunk_start(request: web.Request) -> int | None:
    """Where a chunk starts by its Content-Range (`<start>-<end>`, no unit), None if the header is absent."""
    header = request.headers.get("Content-Range")
    if header is None:
        return None
    start = header.removeprefix("bytes").strip().partition("-")[0]
    if not start.isdigit():
        raise ProtocolError("BLOB_UPLOAD_INVALID", f"Content-Range {header!r}: want <start>-<end>")
    return int(start)


def _progress(upload: Upload, status: int) -> web.Response:
    headers = {
        "Location": f"/v2/{upload.repository}/blobs/uploads/{upload.identity}",
        "Range": upload.received,
        "Docker-Upload-UUID": upload.identity,
    }
    return web.Response(status=status, headers=headers)


def _created(location: str, digest: Digest) -> web.Response:
    return web.Response(status=201, headers={"Location": location, "Docker-Content-Digest": str(digest)})
