"""Every namespace has a `default` service account and the cluster's root certificate (`kube-root-ca.crt`)."""

from typing import Any

from federation.kube.api import Api
from federation.kube.errors import AlreadyExists, Forbidden, NotFound
from federation.kube.resources import CONFIG_MAPS, SERVICE_ACCOUNTS
from federation.kube.store import Key, Store
from lab.controllers.objects import is_terminating

Manifest = dict[str, Any]

ROOT_CA_NAME = "kube-root-ca.crt"


def _is_live(namespace: Manifest | None) -> bool:
    return namespace is not None and not is_terminating(namespace)


class DefaultServiceAccount:
    """Reconciles one namespace by ("", name)."""

    def __init__(self, api: Api, namespaces: Store[Manifest], accounts: Store[Manifest]) -> None:
        self._api = api
        self._namespaces = namespaces
        self._accounts = accounts

    async def reconcile(self, key: Key) -> None:
        """Make the account where it is missing."""
        _, name = key
        if not _is_live(self._namespaces.get("", name)) or self._accounts.get(name, "default"):
            return
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        await _create_unless_ending(self._api, account)


class RootCertificates:
    """Reconciles one namespace by ("", name); `certificate` is the root's PEM text."""

    def __init__(self, api: Api, namespaces: Store[Manifest], config_maps: Store[Manifest], certificate: str) -> None:
        self._api = api
        self._namespaces = namespaces
        self._config_maps = config_maps
        self._data = {"ca.crt": certificate}

    async def reconcile(self, key: Key) -> None:
        """Make the ConfigMap, or put right what somebody changed."""
        _, name = key
        if not _is_live(self._namespaces.get("", name)):
            return
        old = self._config_maps.get(name, ROOT_CA_NAME)
        metadata = {"name": ROOT_CA_NAME, "namespace": name}
        if old is None:
            await _create_unless_ending(
                self._api, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": self._data}
            )
        elif old.get("data") != self._data:
            version = old["metadata"]["resourceVersion"]
            body = {"metadata": {"resourceVersion": version}, "data": self._data}
            await self._api.patch(CONFIG_MAPS, ROOT_CA_NAME, body, name)


async def _create_unless_ending(api: Api, manifest: Manifest) -> None:
    resource = SERVICE_ACCOUNTS if manifest["kind"] == "ServiceAccount" else CONFIG_MAPS
    try:
        await api.create(resource, manifest)
    except (AlreadyExists, NotFound):
        return
    except Forbidden as error:
        if "being terminated" not in error.message:
            raise
