"""Which changes make placement or feedback look at a proxy again: those of what they decide on, and no others.

Under load most changes are of statuses, which placement does not read, or come before a pod is bound, when there is
nothing to feed back; looking all the same was a third of an agent's time.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from federation.kube.store import Key
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod


class Waking:
    """Tells two queues of the changes of proxies and of their chaperons.

    `go_on` has a proxy placed that was asked for already: it may hold room somewhere, and goes before those that were
    not (`place`).
    """

    def __init__(
        self, place: Callable[[Key], None], go_on: Callable[[Key], None], feed_back: Callable[[Key], None]
    ) -> None:
        self._place = place
        self._go_on = go_on
        self._feed_back = feed_back

    def both(self, key: Key) -> None:
        """Look again for another reason."""
        self._place(key)
        self._feed_back(key)

    def on_pod(self, key: Key, old: ProxyPod | None, new: ProxyPod | None) -> None:
        """A proxy came, changed or went. What an unbound one asks for is in its manifest, which is not compared."""
        if new is not None and not new.node_name and not new.is_terminating:
            self._place(key)
        elif old is None or new is None or _but_status(old) != _but_status(new):
            self._go_on(key)
        if new is not None and new.node_name and (old is None or _shown(old) != _shown(new)):
            self._feed_back(key)

    def on_chaperon(self, _: Key, old: Chaperon | None, new: Chaperon | None) -> None:
        """A chaperon came, changed or went."""
        chaperon = new or old
        if chaperon is None or not chaperon.parent_name:
            return
        key = chaperon.parent_namespace, chaperon.parent_name
        if old is None or new is None or _but_status(old) != _but_status(new):
            self._go_on(key)
        if new is not None and new.is_allowed and (old is None or _told(old) != _told(new)):
            self._feed_back(key)


T = TypeVar("T", ProxyPod, Chaperon)


def _but_status(known: T) -> T:
    return replace(known, resource_version="", status_text=b"")


def _shown(proxy: ProxyPod) -> tuple[str, str, bytes]:
    return proxy.uid, proxy.node_name, proxy.status_text


def _told(chaperon: Chaperon) -> tuple[bool, str, bytes]:
    return chaperon.is_allowed, chaperon.parent_uid, chaperon.status_text
