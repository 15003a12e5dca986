"""Services follow the pods they select, Ingresses the Services they lead to."""

from collections.abc import Callable

from federation import names
from federation.decisions import ingresses, services
from federation.kube.api import Manifest
from federation.kube.resources import INGRESSES, SERVICES
from federation.kube.store import Store
from federation.model.copied import Copy, Original
from federation.model.pod import ProxyPod
from federation.submitted import parse_kept_labels


class ServiceRule:
    """A Service is followed while its original selector matches a proxy pod of a labelled namespace."""

    resource = SERVICES
    # A Deployment of strategy Recreate has no pod for a moment; undone at once, its copies would lose their addresses.
    linger_seconds = 10.0

    def __init__(
        self, pods: Store[ProxyPod], is_labelled: Callable[[str], bool], is_let_out: Callable[[str], bool]
    ) -> None:
        self._pods = pods
        self._is_labelled = is_labelled
        self._is_let_out = is_let_out

    def is_wanted(self, original: Original) -> bool:
        """Whether some proxy pod is one of its own."""
        selector = services.original_selector(original)
        if not selector or not self._is_labelled(original.namespace) or not services.leads_to_pods(original):
            return False
        return any(services.selects(selector, pod.labels) for pod in self._pods.by("namespace", original.namespace))

    def change(self, original: Original, *, is_followed: bool) -> Manifest:
        """Reroute it, or undo that."""
        if original.is_terminating or not is_followed:
            return services.undoing(original)
        return services.rerouting(original, parse_kept_labels(dict(original.annotations)))

    def copy_of(self, original: Original, cluster_name: str, existing: Copy | None) -> Manifest | None:
        """Return the copy to write, or None."""
        return services.copy_of(original, cluster_name, existing, self._is_let_out)

    def must_be_made_anew(self, original: Original, existing: Copy) -> bool:
        """Whether a copy has to be deleted first."""
        return services.must_be_made_anew(original, existing)


class IngressRule:
    """An Ingress is followed while a Service that it leads to is."""

    resource = INGRESSES
    linger_seconds = 0.0  # its Services linger already

    def __init__(self, followed: Store[Original], is_let_out: Callable[[str], bool]) -> None:
        self._services = followed
        self._is_let_out = is_let_out

    def is_wanted(self, original: Original) -> bool:
        """Whether a backend is a followed Service."""
        found = (self._services.get(original.namespace, name) for name in ingresses.backends(original.manifest))
        return any(service is not None and service.annotations.get(names.GLOBAL) == "true" for service in found)

    def change(self, original: Original, *, is_followed: bool) -> Manifest:
        """Mark it, or take the mark off."""
        return ingresses.marking(original) if is_followed else ingresses.unmarking(original)

    def copy_of(self, original: Original, cluster_name: str, existing: Copy | None) -> Manifest | None:
        """Return the copy to write, or None."""
        return ingresses.copy_of(original, cluster_name, existing, self._is_let_out)

    def must_be_made_anew(self, original: Original, existing: Copy) -> bool:
        """Nothing of an Ingress is immutable."""
        return False
