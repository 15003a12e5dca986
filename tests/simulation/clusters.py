"""A cluster in memory: an embedded API server with our kinds and the namespaces that simulations use."""

from pathlib import Path
from random import Random

import yaml

from federation import names
from federation.clock import Clock
from federation.kube.api import Api
from federation.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, SERVICE_ACCOUNTS
from lab.api_server.admission.webhooks import WebhookCaller, no_caller
from lab.api_server.core.request import User
from lab.api_server.core.server import ApiServer
from tests.simulation.memory import MemoryTransport

ADMIN = User("admin", ("system:masters",))
NAMESPACE = "ci"  # of pods and Targets; that of the agents is `isthmus`
DEPLOY = Path(__file__).parents[2] / "deploy"


def admin_of(server: ApiServer) -> Api:
    """Return the administrator's client, whose requests always arrive."""
    return Api(MemoryTransport(server, ADMIN))


async def cluster(clock: Clock, random: Random, call_webhook: WebhookCaller = no_caller) -> ApiServer:
    """Return an API server that knows our kinds, with namespaces `ci` and `isthmus`, both labelled."""
    server = ApiServer(clock, random=random, call_webhook=call_webhook)
    admin = admin_of(server)
    for name in (NAMESPACE, "isthmus"):
        metadata = {"name": name, "labels": {names.NAMESPACE_LABEL: names.NAMESPACE_LABEL_VALUE}}
        await admin.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await admin.create(SERVICE_ACCOUNTS, account, name)
    for file in sorted((DEPLOY / "crds").glob("*.yaml")):
        await admin.create(CUSTOM_RESOURCE_DEFINITIONS, yaml.safe_load(file.read_text()))
    return server
