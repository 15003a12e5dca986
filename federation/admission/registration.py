"""Keeps the API server able to call our webhook: the authority in its Secret, the caBundle in the configuration."""

import base64
import binascii
from urllib.parse import urlsplit

from federation.certificates import KeyPair, new_authority
from federation.clock import Clock
from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, NotFound
from federation.kube.resources import MUTATING_WEBHOOK_CONFIGURATIONS, SECRETS

CONFIGURATION_NAME = "isthmus"  # deploy/webhook.yaml
WEBHOOK_NAME = "pods.isthmus.dev"
SECRET_NAME = "isthmus-webhook-ca"  # noqa: S105  # an object's name
SERVICE_NAME = "isthmus-agent"


async def authority(api: Api, namespace: str, clock: Clock) -> KeyPair:
    """Return the authority that all replicas share, making it where there is none yet."""
    while True:
        try:
            return _from_secret(await api.get(SECRETS, SECRET_NAME, namespace))
        except NotFound:
            made = new_authority(clock())
        try:
            await api.create(SECRETS, _secret(made, namespace))
        except AlreadyExists:
            continue  # another replica was quicker: use its
        return made


def _secret(pair: KeyPair, namespace: str) -> Manifest:
    data = {"ca.crt": pair.certificate_pem, "ca.key": pair.key_pem}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET_NAME, "namespace": namespace},
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def _from_secret(secret: Manifest) -> KeyPair:
    try:
        data = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
        return KeyPair(data["ca.crt"], data["ca.key"])
    except (KeyError, binascii.Error) as error:
        where = f"{secret['metadata']['namespace']}/{SECRET_NAME}"
        raise ValueError(
            f"Secret {where} lacks a usable ca.crt and ca.key: delete it to have a new one made"
        ) from error


def hosts(url: str, namespace: str) -> list[str]:
    """Return the names the serving certificate must carry: those of our URL, or of our Service."""
    if url:
        return [urlsplit(url).hostname or ""]
    return [f"{SERVICE_NAME}.{namespace}.svc", f"{SERVICE_NAME}.{namespace}.svc.cluster.local"]


async def register(api: Api, pair: KeyPair, *, url: str, namespace: str, path: str) -> None:
    """Point the webhook configuration at us. It must exist (deploy/webhook.yaml): NotFound is raised where not."""
    configuration = await api.get(MUTATING_WEBHOOK_CONFIGURATIONS, CONFIGURATION_NAME)
    bundle = base64.b64encode(pair.certificate_pem).decode()
    client: Manifest = {"caBundle": bundle}
    if url:
        client["url"] = url.rstrip("/") + path
    else:
        client["service"] = {"name": SERVICE_NAME, "namespace": namespace, "path": path, "port": 443}
    webhooks = configuration["webhooks"]
    if all(_same(webhook["clientConfig"], client) for webhook in webhooks):
        return
    for webhook in webhooks:
        webhook["clientConfig"] = client
    await api.replace(MUTATING_WEBHOOK_CONFIGURATIONS, configuration)


def _same(current: Manifest, wanted: Manifest) -> bool:
    return all(current.get(key) == value for key, value in wanted.items()) and ("url" in wanted) == ("url" in current)
