"""get, list and watch.

Lists are cut together from the JSON that each version carries already. Pages of one list all show the revision of the
first page: the versions of that moment are kept until the last page was read or too many newer lists were begun.
"""

import base64
import binascii
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from itertools import count
from random import Random

import orjson

from lab.api_server.core.manifest import Clock, Manifest, encode, is_true
from lab.api_server.core.request import JSON, Answer, Request, Response
from lab.api_server.core.routes import Call
from lab.api_server.core.selectors import Selector, parse_selector
from lab.api_server.core.settings import Settings
from lab.api_server.core.status import ApiStatus, FieldError, bad_request, expired, invalid, not_acceptable, not_found
from lab.api_server.core.store import Store, Version
from lab.api_server.core.watch import Watch
from lab.api_server.kinds import tables
from lab.api_server.kinds.model import Kind

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
EXPIRED_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results."
)
Show = Callable[[Manifest], Manifest]


class Reader:
    """Answers everything that changes nothing."""

    def __init__(self, store: Store, clock: Clock, random: Random, settings: Settings) -> None:
        self._store, self._clock, self._settings, self.random = store, clock, settings, random
        self._pages: OrderedDict[str, list[Version]] = OrderedDict()
        self._page_numbers = count(1)
        self._watches = count(1)

    def require(self, kind: Kind, namespace: str, name: str) -> Version:
        """Return a stored version, or 404."""
        version = self._store.shelf(kind.shelf).get((namespace, name))
        if version is None:
            raise not_found(kind.group, kind.plural, name)
        return version

    def find(self, resource: str, namespace: str, name: str) -> Manifest | None:
        """Return a stored object, or None."""
        version = self._store.shelf(resource).get((namespace, name))
        return None if version is None else version.manifest

    def get(self, call: Call) -> Response:
        """Answer with one object."""
        version = self.require(call.kind, call.namespace, call.name)
        return self.show(call, version.manifest, version.raw)

    def show(self, call: Call, manifest: Manifest, raw: bytes = b"", status: int = 200) -> Response:
        """Answer with an object in the form that the client asked for."""
        form = tables.form_of(call.request.header("accept"))
        if form == "Table":
            revision = manifest.get("metadata", {}).get("resourceVersion", "")
            return Response(status, encode(self._table(call, [manifest], {"resourceVersion": revision})))
        if form == tables.METADATA:
            return Response(status, encode(tables.partial(manifest)))
        if form == tables.METADATA_LIST:
            raise not_acceptable(f"you requested {form}, but the requested object is not a list ({call.kind.kind})")
        if call.kind.from_storage is not None:
            return Response(status, encode(call.kind.from_storage(manifest)))
        return Response(status, raw or encode(manifest))

    def _table(self, call: Call, manifests: list[Manifest], metadata: Manifest) -> Manifest:
        include = call.request.parameter("includeObject") or "Metadata"
        return tables.table(call.kind, manifests, metadata, self._clock(), include)

    def selector(self, request: Request, kind: Kind) -> Selector:
        """Parse the selectors of a request."""
        return parse_selector(request.parameter("labelSelector"), request.parameter("fieldSelector"), kind.fields)

    def matching(self, kind: Kind, namespace: str, selector: Selector) -> list[Version]:
        """Return the selected versions of a namespace, or of all, ordered by key."""
        selected = self._store.shelf(kind.shelf).select(namespace)
        return [one for one in selected if selector.is_everything or selector.matches(one.manifest)]

    def listing(self, call: Call) -> Response:
        """Answer with a collection, or a page of it."""
        request = call.request
        selector = self.selector(request, call.kind)
        self._store.check_reached(_revision(request))
        limit = _number(request, "limit")
        token = request.parameter("continue")
        if token:
            revision, versions = self._continued(token)
        else:
            revision = self._store.revision
            versions = self.matching(call.kind, call.namespace, selector)
        metadata: Manifest = {"resourceVersion": str(revision)}
        if limit and len(versions) > limit:
            metadata["continue"] = self._keep(revision, versions[limit:])
            metadata["remainingItemCount"] = len(versions) - limit
            if not selector.is_everything:
                del metadata["remainingItemCount"]
            versions = versions[:limit]
        return self._collection(call, versions, metadata)

    def _collection(self, call: Call, versions: list[Version], metadata: Manifest) -> Response:
        form, kind = tables.form_of(call.request.header("accept")), call.kind
        if form == "Table":
            return Response(200, encode(self._table(call, [one.manifest for one in versions], metadata)))
        if form == tables.METADATA:
            raise not_acceptable(f"you requested {form}, but the requested object is a list ({call.kind.kind}List)")
        if form == tables.METADATA_LIST:
            items = [tables.partial(one.manifest) for one in versions]
            head = {"kind": form, "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
            return Response(200, encode(head | {"items": items}))
        raws = [one.raw for one in versions]
        if kind.from_storage is not None:
            raws = [encode(kind.from_storage(one.manifest)) for one in versions]
        return Response(200, _list_body(kind, raws, metadata), JSON)

    def _continued(self, token: str) -> tuple[int, list[Version]]:
        try:
            read = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            revision, page = int(read["rv"]), str(read["start"])
        except (binascii.Error, ValueError, KeyError, TypeError) as error:
            raise bad_request(f"invalid continue token: continue key is not valid: {error}") from error
        versions = self._pages.get(page)
        if versions is None:
            raise expired(EXPIRED_CONTINUE)
        return revision, versions

    def _keep(self, revision: int, rest: list[Version]) -> str:
        page = str(next(self._page_numbers))
        self._pages[page] = rest
        while len(self._pages) > self._settings.continue_tokens:
            self._pages.popitem(last=False)
        token = encode({"v": "meta.k8s.io/v1", "rv": revision, "start": page})
        return base64.urlsafe_b64encode(token).decode().rstrip("=")

    def forget_pages(self) -> None:
        """Expire every continue token, as a compaction does."""
        self._pages.clear()

    def watch(self, call: Call) -> Answer:
        """Start a watch; what is wrong with its revision is told inside the stream, as upstream does."""
        request, kind = call.request, call.kind
        selector = self.selector(request, kind)
        revision = _revision(request)
        wants_bookmarks = is_true(request.parameter("allowWatchBookmarks"))
        sends_initial = _sends_initial(request)
        shelf = self._store.shelf(kind.shelf)
        watch = Watch(
            shelf,
            selector,
            namespace=call.namespace,
            bookmark=lambda ends_initial: self._bookmark(kind, ends_initial=ends_initial),
            wants_bookmarks=wants_bookmarks,
            show=self._watch_form(call),
            timeout_seconds=_number(request, "timeoutSeconds") or self._default_timeout(),
        )
        try:
            self._store.check_reached(revision)
            from_start = bool(sends_initial) or (sends_initial is None and revision == 0)
            initial = self.matching(kind, call.namespace, selector) if from_start else []
            replayed = [] if from_start or not request.parameter("resourceVersion") else shelf.since(revision)
            watch.start(initial, replayed, marks_initial=bool(sends_initial) and wants_bookmarks)
        except ApiStatus as status:
            watch.fail(status)
        return watch

    def _default_timeout(self) -> float:
        """Return upstream's 30 to 60 minutes, spread so that clients do not all come back at once."""
        return 1800.0 + 60.0 * (next(self._watches) % 30)

    def _bookmark(self, kind: Kind, *, ends_initial: bool) -> Manifest:
        metadata: Manifest = {"resourceVersion": str(self._store.revision)}
        if ends_initial:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        return {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}

    def _watch_form(self, call: Call) -> Show | None:
        form = tables.form_of(call.request.header("accept"))
        if form == "Table":
            return lambda manifest: self._table(
                call, [manifest], {"resourceVersion": manifest["metadata"]["resourceVersion"]}
            )
        if form == tables.METADATA:
            return tables.partial
        return call.kind.from_storage

    def now(self) -> datetime:
        """Return the server's time."""
        return self._clock()


def _list_body(kind: Kind, raws: list[bytes], metadata: Manifest) -> bytes:
    """Return the JSON of a list. Items of built-in kinds carry no kind and apiVersion, those of custom ones do."""
    head = encode({"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": metadata})
    if not kind.is_custom:
        prefix = len(encode({"kind": kind.kind, "apiVersion": kind.api_version}))
        raws = [b"{" + raw[prefix:] for raw in raws]
    return head[:-1] + b',"items":[' + b",".join(raws) + b"]}"


def _number(request: Request, name: str) -> int:
    text = request.parameter(name)
    if text and not text.isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text or 0)


def _revision(request: Request) -> int:
    text = request.parameter("resourceVersion")
    if text and not text.isdigit():
        raise ApiStatus(
            500, "", f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text or 0)


def _sends_initial(request: Request) -> bool | None:
    """Return sendInitialEvents, or None where it was not given; it must come with its matching parameters."""
    given, match = request.parameter("sendInitialEvents"), request.parameter("resourceVersionMatch")
    if not given:
        if match:
            raise _bad_options("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
        return None
    if match != "NotOlderThan":
        raise _bad_options("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    return is_true(given)


def _bad_options(why: str) -> ApiStatus:
    error = FieldError("resourceVersionMatch", f"Forbidden: {why}", "FieldValueForbidden")
    return invalid("meta.k8s.io", "ListOptions", "", [error])
