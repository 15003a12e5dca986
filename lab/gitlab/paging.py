"""Pages of lists, offset and keyset, with GitLab's headers. Totals are left out where GitLab leaves them out (project
jobs)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from aiohttp import web

from lab.gitlab.errors import Missing
from lab.gitlab.shell import shell_of

PER_PAGE_DEFAULT = 20
PER_PAGE_MAX = 100

Item = TypeVar("Item")
View = Callable[[Item], dict[str, object]]


def page(request: web.Request, items: Sequence[Item], view: View[Item], *, with_total: bool = True) -> web.Response:
    """One offset page of the items, already in their order."""
    number, size = _positive(request, "page", 1), min(_positive(request, "per_page", PER_PAGE_DEFAULT), PER_PAGE_MAX)
    start = (number - 1) * size
    shown = items[start : start + size]
    has_more = len(items) > start + size
    headers = {
        "X-Page": str(number),
        "X-Per-Page": str(size),
        "X-Next-Page": str(number + 1) if has_more else "",
        "X-Prev-Page": str(number - 1) if number > 1 else "",
    }
    if with_total:
        headers["X-Total"] = str(len(items))
        headers["X-Total-Pages"] = str(max(1, -(-len(items) // size)))
    links = [
        ("first", 1),
        *([("prev", number - 1)] if number > 1 else []),
        *([("next", number + 1)] if has_more else []),
    ]
    headers["Link"] = ", ".join(_link(request, relation, page=str(target)) for relation, target in links)
    return web.json_response([view(item) for item in shown], headers=headers)


def keyset_page(
    request: web.Request, items: Sequence[Item], view: View[Item], id_of: Callable[[Item], int]
) -> web.Response:
    """One keyset page of items in falling order of id: stable while new ones arrive. Only `Link` says there is more."""
    size = min(_positive(request, "per_page", PER_PAGE_DEFAULT), PER_PAGE_MAX)
    below = _cursor(request.query.get("cursor", ""))
    left = [item for item in items if below is None or id_of(item) < below]
    shown = left[:size]
    headers = {}
    if len(left) > size:
        cursor = base64.urlsafe_b64encode(str(id_of(shown[-1])).encode()).decode()
        headers["Link"] = _link(request, "next", cursor=cursor)
    return web.json_response([view(item) for item in shown], headers=headers)


def _positive(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise Missing(f"{name} does not have a valid value")
    return int(text)


def _cursor(text: str) -> int | None:
    try:
        return int(base64.urlsafe_b64decode(text)) if text else None
    except (binascii.Error, ValueError):
        raise Missing("cursor is invalid") from None


def _link(request: web.Request, relation: str, **changed: str) -> str:
    base = shell_of(request).state.site.url
    target = request.rel_url.update_query(changed)
    return f'<{base}{target.raw_path_qs}>; rel="{relation}"'
