"""TLS by the data of a kubeconfig, without a Kubernetes client."""

import base64
import ssl
import tempfile
from pathlib import Path
from typing import Any


def tls_of(kubeconfig: dict[str, Any]) -> ssl.SSLContext:
    """Return the context of a kubeconfig whose certificates are inline."""
    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    if "client-certificate-data" in user:
        with tempfile.TemporaryDirectory() as directory:
            pair = Path(directory) / "pair.pem"
            pair.write_bytes(
                base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"])
            )
            context.load_cert_chain(pair)
    return context
