"""Makes a choice real: by an extender that binds, or by the pod's Binding.

Raises ExtenderError or ApiError; what then becomes of the pod is the scheduler's affair.
"""

from collections.abc import Collection

from federation.kube.api import Api
from federation.kube.resources import PODS
from lab.scheduler.extender import Extender, ExtenderError
from lab.scheduler.model import Pod


async def bind(api: Api, extenders: Collection[Extender], pod: Pod, node: str) -> None:
    """Bind a pod. The first extender that binds and is interested does it, however long that takes."""
    for extender in extenders:
        if not extender.configuration.bind_verb or not extender.is_interested(pod):
            continue
        try:
            await extender.bind(pod, node)
        except ExtenderError:
            if not extender.configuration.is_ignorable:
                raise
        else:
            return
    await _bind_ourselves(api, pod, node)


async def _bind_ourselves(api: Api, pod: Pod, node: str) -> None:
    namespace, name = pod.key
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, "namespace": namespace, "uid": pod.uid},
        "target": {"kind": "Node", "name": node},
    }
    await api.create(PODS, binding, namespace, name=name, subresource="binding")
