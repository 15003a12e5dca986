"""Kubeconfigs with their data inside: each can be copied, mounted or put into a Secret as it is.

Written as JSON, which is YAML that nobody can misread: to Kubernetes' YAML reader a cluster called `y` is a boolean.
"""

import base64
import json
from pathlib import Path
from typing import Any

from lab.pki import KeyPair, write_private


def kubeconfig(cluster: str, server: str, authority: bytes, user: str, pair: KeyPair) -> dict[str, Any]:
    """The kubeconfig by which `user` reaches `server`, the API server of `cluster`."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server, "certificate-authority-data": _data(authority)}}],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _data(pair.certificate),
                    "client-key-data": _data(pair.key),
                },
            }
        ],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
        "current-context": cluster,
    }


def write_kubeconfig(path: Path, content: dict[str, Any]) -> Path:
    """Write it, readable by its owner only."""
    return write_private(path, json.dumps(content, indent=2).encode())


def _data(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
