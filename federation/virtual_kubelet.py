"""One target's appearance in the source: its virtual node, and the endpoint that answers for it.

Wiring only: what the gateway needs to know comes from the stores, what the node shows of the gateway is its port.
"""

import asyncio

from federation.certificates import KeyPair
from federation.clock import Clock
from federation.controllers.connection import Connection
from federation.controllers.virtual_node import VirtualNodes
from federation.gateway.authentication import Authenticator
from federation.gateway.authorization import Authorizer
from federation.gateway.certificates import load_signed, self_signed
from federation.gateway.endpoint import serve, server_context
from federation.gateway.errors import NoDelegate
from federation.gateway.limits import GatewayLimits
from federation.gateway.node import Delegate, ServedNode
from federation.kube.api import Api, Manifest
from federation.kube.resources import CONFIG_MAPS, PODS
from federation.kube.store import Store
from federation.model.pod import ProxyPod
from federation.model.virtual_node import KubeletAddress


async def client_ca(api: Api) -> str:
    """Return the authority by which this cluster knows client certificates, as every API server publishes it."""
    published = await api.get(CONFIG_MAPS, "extension-apiserver-authentication", "kube-system")
    return str(published["data"]["client-ca-file"])


class VirtualKubelet:
    """Serves connected targets.

    `address` is where the API server reaches us, `client_ca_pem` the authority of client certificates. `certificate`
    serves all nodes; without one each begins with one of its own and asks the cluster to sign another.
    """

    def __init__(
        self,
        *,
        api: Api,
        nodes: VirtualNodes,
        pods: Store[ProxyPod],
        clock: Clock,
        address: str,
        client_ca_pem: str,
        certificate: KeyPair | None = None,
        limits: GatewayLimits | None = None,
    ) -> None:
        self._api = api
        self._nodes = nodes
        self._pods = pods
        self._clock = clock
        self._address = address
        self._client_ca_pem = client_ca_pem
        self._certificate = certificate
        self._limits = limits or GatewayLimits()

    async def serve(self, connection: Connection, port: int = 0) -> None:
        """Serve one target until cancelled. Port 0: any free one."""
        node = connection.target.node_name
        tls = server_context(self._client_ca_pem)
        (self._certificate or self_signed(node, self._address, self._clock())).load_into(tls)
        monotonic = asyncio.get_running_loop().time

        async def find(namespace: str, pod: str) -> Delegate:
            return self._find(connection, namespace, pod)

        async def pods() -> list[Manifest]:
            return (await self._api.list(PODS, field_selector=f"spec.nodeName={node}")).items

        async with (
            serve(
                ServedNode(node, connection.target.name, find, pods),
                address=self._address,
                port=port,
                tls=tls,
                authenticator=Authenticator(self._api, monotonic),
                authorizer=Authorizer(self._api, monotonic),
                limits=self._limits,
            ) as listening,
            asyncio.TaskGroup() as group,
        ):
            if self._certificate is None:
                group.create_task(load_signed(tls, self._api, node, self._address))
            await self._nodes.serve(connection, KubeletAddress(self._address, listening))

    def _find(self, connection: Connection, namespace: str, name: str) -> Delegate:
        """Return the delegate of a proxy bound to this target's node; of no other pod."""
        pod = self._pods.get(namespace, name)
        if pod is None or pod.node_name != connection.target.node_name:
            raise NoDelegate(f'pod "{namespace}/{name}" is not known to run there')
        for chaperon in connection.chaperons.by("parent", f"{namespace}/{name}"):
            if chaperon.parent_uid == pod.uid and chaperon.is_allowed:
                return Delegate(connection.api, chaperon.namespace, chaperon.name)
        raise NoDelegate(f'pod "{namespace}/{name}" has not been let go ahead there yet')
