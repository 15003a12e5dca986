"""The store of a source's proxy pods, with what controllers look them up by."""

from federation.kube.store import Store
from federation.model.pod import ProxyPod, parse_proxy


def proxy_store() -> Store[ProxyPod]:
    """Return an empty store with the indexes `node` (the virtual node that a pod is bound to) and `spread` (labels)."""
    return Store(
        parse_proxy,
        {
            "node": lambda pod: [pod.node_name] if pod.node_name else [],
            "spread": lambda pod: [label for label, _ in pod.spread],
        },
    )
