"""The client of one HTTP extender: filter, prioritize, bind, exactly as kube-scheduler calls them.

POST to urlPrefix/verb; bodies carry Go's field names; anything but 200 is an error, and so is a filled `Error`. Every
call has the extender's httpTimeout as a whole. The connection is closed when a call times out or is cancelled: an
extender that holds a bind notices by that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from lab.scheduler.configuration import ExtenderConfiguration
from lab.scheduler.model import Node, Pod


class ExtenderError(Exception):
    """A call to an extender failed; the message is what the pod's condition says."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """Node names that may stay, and reasons for the others; `unresolvable` ones are not tried by preemption."""

    names: list[str]
    failed: dict[str, str]
    unresolvable: dict[str, str]


def is_interested(configuration: ExtenderConfiguration, pod: Pod) -> bool:
    """Whether the extender is to be asked about a pod: always, unless it manages resources the pod does not use."""
    managed = {one.name for one in configuration.managed_resources}
    if not managed:
        return True
    containers = [*(pod.spec.get("containers") or []), *(pod.spec.get("initContainers") or [])]
    resources = [container.get("resources") or {} for container in containers]
    return any(managed & {*(one.get("requests") or {}), *(one.get("limits") or {})} for one in resources)


class Extender:
    """One extender. Calls raise ExtenderError."""

    def __init__(self, configuration: ExtenderConfiguration, session: aiohttp.ClientSession) -> None:
        self.configuration = configuration
        self._session = session

    def is_interested(self, pod: Pod) -> bool:
        """See the function of this name."""
        return is_interested(self.configuration, pod)

    async def filter(self, pod: Pod, nodes: Mapping[str, Node]) -> Filtered:
        """Ask which of the nodes that passed our filters may stay."""
        answer = await self._send(self.configuration.filter_verb, self._arguments(pod, nodes))
        names = answer.get("NodeNames") if self.configuration.is_node_cache_capable else None
        if names is None:
            listed = (answer.get("Nodes") or {}).get("items") or []
            names = [item["metadata"]["name"] for item in listed]
        for name in names:
            if name not in nodes:
                url = self.configuration.url_prefix
                raise ExtenderError(
                    f'extender "{url}" claims a filtered node "{name}" which is not found in the input node list'
                )
        return Filtered(names, answer.get("FailedNodes") or {}, answer.get("FailedAndUnresolvableNodes") or {})

    async def prioritize(self, pod: Pod, nodes: Mapping[str, Node]) -> dict[str, float]:
        """Ask for scores; 0 to 10 each, returned as 0 to 100 times the extender's weight."""
        answer = await self._send(self.configuration.prioritize_verb, self._arguments(pod, nodes))
        return {one["Host"]: one["Score"] * 10.0 * self.configuration.weight for one in answer or []}

    async def bind(self, pod: Pod, node: str) -> None:
        """Have the extender bind the pod; it may hold the call as long as httpTimeout allows."""
        namespace, name = pod.key
        body = {"PodName": name, "PodNamespace": namespace, "PodUID": pod.uid, "Node": node}
        await self._send(self.configuration.bind_verb, body)

    def _arguments(self, pod: Pod, nodes: Mapping[str, Node]) -> dict[str, Any]:
        if self.configuration.is_node_cache_capable:
            return {"Pod": pod.manifest, "Nodes": None, "NodeNames": list(nodes)}
        items = [node.manifest for node in nodes.values()]
        return {"Pod": pod.manifest, "Nodes": {"metadata": {}, "items": items}, "NodeNames": None}

    async def _send(self, verb: str, body: dict[str, Any]) -> Any:
        url = f"{self.configuration.url_prefix.rstrip('/')}/{verb}"
        timeout = aiohttp.ClientTimeout(total=self.configuration.http_timeout_seconds)
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(url, data=orjson.dumps(body), headers=headers, timeout=timeout) as response:
                if response.status != 200:
                    raise ExtenderError(f"failed {verb} with extender at URL {url}, code {response.status}")
                answer = orjson.loads(await response.read())
        except TimeoutError as error:
            raise ExtenderError(f'Post "{_without_password(url)}": context deadline exceeded') from error
        except (aiohttp.ClientError, orjson.JSONDecodeError) as error:
            raise ExtenderError(f'Post "{_without_password(url)}": {error}') from error
        if isinstance(answer, dict) and answer.get("Error"):
            raise ExtenderError(str(answer["Error"]))
        return answer


def _without_password(url: str) -> str:
    """Go's net/http says `***` instead of a password in its errors."""
    return re.sub(r"//([^/@:]*):[^/@]*@", r"//\1:***@", url)
