"""Pages of lists, offset and keyset, with GitLab's headers.

Offset is for every list: totals are left out where GitLab leaves them out (project jobs; lists beyond 10 000). Keyset
is for those that GitLab offers it for, and looks the same from outside in both of its forms: only `Link` says that
there is more, and following it is stable while new items arrive.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Generic, TypeVar

from aiohttp import web

from lab.gitlab.errors import GitLabError, Missing
from lab.gitlab.shell import shell_of

PER_PAGE_DEFAULT = 20
PER_PAGE_MAX = 100
TOTAL_MAX = 10_000  # GitLab does not count further
OFFSET_MAX = 50_000  # of lists that have keyset pages

Item = TypeVar("Item")
View = Callable[[Item], dict[str, object]]


class NotPageable(GitLabError):
    """A way of paging that this list does not have."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    key = "error"


@dataclass(frozen=True, slots=True)
class Keyset(Generic[Item]):
    """How a list has keyset pages: by id, in `order_by` orders that allow it.

    `cursor_name` is the parameter of the next page: an opaque `cursor`, or `id_after` (`id_before` where ids fall).
    """

    kind: str  # GitLab's name for the items, in messages
    id_of: Callable[[Item], int]
    is_order_needed: bool = False  # whether `order_by=id` has to be asked for
    cursor_name: str = "cursor"


def page(
    request: web.Request,
    items: Sequence[Item],
    view: View[Item],
    *,
    with_total: bool = True,
    keyset: Keyset[Item] | None = None,
) -> web.Response:
    """One page of the items, already in their order (by falling id unless `sort=asc` is asked for, with keyset)."""
    if keyset is not None and request.query.get("sort") == "asc":
        items = items[::-1]
    if keyset is not None and request.query.get("pagination") == "keyset":
        return _keyset_page(request, items, view, keyset)
    number, size = max(_number(request, "page", 1), 1), _per_page(request)
    if keyset is not None and number * size > OFFSET_MAX:
        raise NotPageable(
            f"Offset pagination has a maximum allowed offset of {OFFSET_MAX} for requests that return objects of type "
            f"{keyset.kind}. Remaining records can be retrieved using keyset pagination."
        )
    return _offset_page(request, items, view, (number, size), with_total=with_total and len(items) <= TOTAL_MAX)


def _offset_page(
    request: web.Request, items: Sequence[Item], view: View[Item], at: tuple[int, int], *, with_total: bool
) -> web.Response:
    number, size = at
    start = (number - 1) * size
    last = max(1, -(-len(items) // size))
    before, after = number > 1, len(items) > start + size
    headers = {
        "X-Page": str(number),
        "X-Per-Page": str(size),
        "X-Next-Page": str(number + 1) if after else "",
        "X-Prev-Page": str(number - 1) if before else "",
    }
    links = [*([("prev", number - 1)] if before else []), *([("next", number + 1)] if after else []), ("first", 1)]
    if with_total:
        headers |= {"X-Total": str(len(items)), "X-Total-Pages": str(last)}
        links.append(("last", last))
    headers["Link"] = ", ".join(_link(request, relation, page=str(to), per_page=str(size)) for relation, to in links)
    return web.json_response([view(item) for item in items[start : start + size]], headers=headers)


def _keyset_page(request: web.Request, items: Sequence[Item], view: View[Item], keyset: Keyset[Item]) -> web.Response:
    if request.query.get("order_by", "" if keyset.is_order_needed else "id") != "id":
        raise NotPageable("Keyset pagination is not yet available for this type of request")
    rises = request.query.get("sort") == "asc"
    name = keyset.cursor_name if keyset.cursor_name == "cursor" else "id_after" if rises else "id_before"
    place = _place(request.query.get(name, ""), is_opaque=name == "cursor")
    sign = 1 if rises else -1
    left = [item for item in items if place is None or sign * keyset.id_of(item) > sign * place]
    size = _per_page(request)
    shown, headers = left[:size], {}
    if len(left) > size:
        last = str(keyset.id_of(shown[-1]))
        there = base64.urlsafe_b64encode(last.encode()).decode() if name == "cursor" else last
        headers["Link"] = _link(request, "next", **{name: there})
    return web.json_response([view(item) for item in shown], headers=headers)


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.lstrip("-").isdecimal():
        raise Missing(f"{name} is invalid")
    return int(text)


def _per_page(request: web.Request) -> int:
    size = _number(request, "per_page", PER_PAGE_DEFAULT)
    if size == 0:
        raise Missing("per_page has a value not allowed")
    return min(size, PER_PAGE_MAX) if size > 0 else PER_PAGE_DEFAULT


def _place(text: str, *, is_opaque: bool) -> int | None:
    try:
        return int(base64.urlsafe_b64decode(text) if is_opaque else text) if text else None
    except (binascii.Error, ValueError):
        raise Missing("cursor is invalid") from None


def _link(request: web.Request, relation: str, **changed: str) -> str:
    base = shell_of(request).state.site.url
    target = request.rel_url.update_query(changed)
    return f'<{base}{target.raw_path_qs}>; rel="{relation}"'
