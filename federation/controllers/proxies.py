"""The store of a source's proxy pods, with what controllers look them up by."""

from federation.controllers.config_copies import reference_index, reference_keys
from federation.kube.store import Store
from federation.model.pod import ProxyPod, parse_proxy


def proxy_store() -> Store[ProxyPod]:
    """Return an empty store by `node` (the virtual one it is bound to), `spread` (labels), `namespace`, `reference`."""
    return Store(
        parse_proxy,
        {
            "node": lambda pod: [pod.node_name] if pod.node_name else [],
            "namespace": lambda pod: [pod.namespace],
            "reference": lambda pod: [reference_index(*key) for key in reference_keys(pod)],
            "spread": lambda pod: [label for label, _ in pod.spread],
        },
    )
