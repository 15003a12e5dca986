"""From a kubeconfig, or from inside a pod, to the `kubernetes` package's Configuration.

A kubeconfig that comes in a Secret was written by somebody else: it may not make us run a program or read our own
files, so `exec`, `auth-provider` and file references are refused there. One that an operator gives as a file may.
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
    load_kube_config_from_dict,
)

from federation.kube.errors import BadKubeconfig

_UNTRUSTED_USER_FIELDS = ("exec", "auth-provider", "tokenFile", "client-certificate", "client-key")
_UNTRUSTED_CLUSTER_FIELDS = ("certificate-authority",)


def refuse_local_references(kubeconfig: dict[str, Any]) -> None:
    """Raise BadKubeconfig where a kubeconfig from a Secret would run a program or read a file here."""
    for section, inner, fields in (
        ("users", "user", _UNTRUSTED_USER_FIELDS),
        ("clusters", "cluster", _UNTRUSTED_CLUSTER_FIELDS),
    ):
        for entry in kubeconfig.get(section) or []:
            for field in fields:
                if field in (entry.get(inner) or {}):
                    raise BadKubeconfig(
                        f"{section}[{entry.get('name')}].{inner}.{field} is not allowed in a kubeconfig kept in a "
                        f"Secret: put the data itself in (e.g. client-certificate-data, token)"
                    )


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


async def load(kubeconfig: Path | dict[str, Any] | None, context: str = "") -> Configuration:
    """Return the configuration for a kubeconfig file, a kubeconfig as data (untrusted), or the pod we are in (None).

    Raises BadKubeconfig with the reason.
    """
    configuration = Configuration()
    try:
        match kubeconfig:
            case None:
                load_incluster_config(client_configuration=configuration)
            case dict():
                refuse_local_references(kubeconfig)
                await load_kube_config_from_dict(
                    kubeconfig, context=context or None, client_configuration=configuration
                )
            case Path():
                await load_kube_config(
                    str(kubeconfig), context=context or None, client_configuration=configuration, persist_config=False
                )
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        source = kubeconfig if isinstance(kubeconfig, Path) else ("data" if kubeconfig else "in-cluster")
        raise BadKubeconfig(f"kubeconfig ({source}): {error}") from error
    if not str(configuration.host or "").startswith(("https://", "http://")):
        raise BadKubeconfig("clusters[].cluster.server is missing or is not an http(s) URL")
    return configuration
