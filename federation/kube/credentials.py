"""From a kubeconfig, or from inside a pod, to a server and an identity there.

A kubeconfig that an operator gives as a file is read by the `kubernetes` package, and may run programs and name files.
One that comes as data was written by somebody else: see `access.foreign`.
"""

import os
from pathlib import Path
from typing import Any

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import (
    ConfigException,
    list_kube_config_contexts,
    load_incluster_config,
    load_kube_config,
)

from federation.kube.access import Access, foreign, trusted
from federation.kube.dialling import ANYWHERE, Dialable
from federation.kube.errors import BadKubeconfig


def default_kubeconfig() -> Path:
    """Return the kubeconfig that kubectl would take."""
    return Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")


def namespace_of(kubeconfig: Path, context: str) -> str:
    """Return the namespace that a kubeconfig's context, or its current one, works in. Raises BadKubeconfig."""
    try:
        contexts, current = list_kube_config_contexts(str(kubeconfig))
        chosen = next((one for one in contexts if one["name"] == context), current)
        return str(chosen["context"].get("namespace") or "default")
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadKubeconfig(f"kubeconfig ({kubeconfig}): {error}") from error


async def load(kubeconfig: Path | dict[str, Any] | None, context: str = "", dialable: Dialable = ANYWHERE) -> Access:
    """Return the access by a kubeconfig file, by one as data (untrusted), or from the pod we are in (None).

    `dialable` bounds where data may have us go. Raises BadKubeconfig with the reason.
    """
    if isinstance(kubeconfig, dict):
        return foreign(kubeconfig, context, dialable)
    configuration = Configuration()
    try:
        if kubeconfig is None:
            load_incluster_config(client_configuration=configuration)
        else:
            await load_kube_config(
                str(kubeconfig), context=context or None, client_configuration=configuration, persist_config=False
            )
        if not str(configuration.host or "").startswith(("https://", "http://")):
            raise BadKubeconfig("clusters[].cluster.server is missing or is not an http(s) URL")
        return trusted(configuration)
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadKubeconfig(f"kubeconfig ({kubeconfig or 'in-cluster'}): {error}") from error
