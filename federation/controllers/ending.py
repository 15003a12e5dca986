"""Keeps our finalizer on Targets and their kubeconfig Secrets, and ends Targets in order (rule M7).

Without it, deleting a namespace would take the credentials first, and nobody could clear up what runs in the target. A
Secret that is deleted while its Target stays is let go at once: then it is being replaced.
"""

import contextlib
from collections.abc import Callable
from datetime import timedelta

from loguru import logger

from federation import names
from federation.clock import Clock
from federation.controllers.left_behind import LostTargets
from federation.controllers.outlook import Outlook
from federation.decisions.ending import Remains, Stage, Step, lost_in_seconds, next_step
from federation.kinds import POD_CHAPERONS, target_kind
from federation.kube.api import Api, Manifest
from federation.kube.errors import BadName, NotFound
from federation.kube.resources import NAMESPACES, NODES, SECRETS
from federation.kube.store import Store
from federation.model.pod import ProxyPod
from federation.model.scheduling import SchedulingNode
from federation.model.target import Target

Key = tuple[str, str]

_LOOK_SECONDS = 5.0  # while something ends; its events wake the queue only where it is ours


class TargetEndings:
    """Reconciles targets by (namespace, name). `wake(target)` has all its proxies looked at, and its node."""

    def __init__(
        self,
        *,
        api: Api,
        targets: list[Store[Target]],
        pods: Store[ProxyPod],
        nodes: Store[SchedulingNode],
        outlook: Outlook,
        lost: LostTargets,
        clock: Clock,
        lost_after: timedelta,
        wake: Callable[[Target], None],
    ) -> None:
        self._api = api
        self._targets = targets
        self._pods = pods
        self._nodes = nodes
        self._outlook = outlook
        self._lost = lost
        self._clock = clock
        self._lost_after = lost_after
        self._wake = wake
        self._woken: set[str] = set()
        self.also_held: Callable[[Target], int] = lambda _: 0  # how much else carries its finalizer

    def begin_term(self) -> None:
        """Forget which Targets' ends others were told of: they begin with everything as well."""
        self._woken.clear()

    def stage(self, node_name: str) -> Stage:
        """Return how far the Target of a virtual node is."""
        target = next((t for store in self._targets for t in store.values() if t.node_name == node_name), None)
        if target is None:
            return Stage.GONE
        if not target.is_going:
            return Stage.KEPT
        step = next_step(self._remains(target), self._clock(), self._lost_after)
        return Stage.DRAINED if step in (Step.REMOVE_NODE, Step.RELEASE) else Stage.GOING

    def remains(self, target: Target) -> str:
        """Return what is left of a Target that is being deleted, for people."""
        remains = self._remains(target)
        left = f"being deleted: {remains.proxies} pods or Services and {remains.chaperons} PodChaperons are left"
        if remains.away_since is None:
            return left
        return (
            f"{left}; it cannot be reached, and is given up {self._lost_after.total_seconds():.0f} s after that began"
        )

    async def reconcile(self, key: Key) -> float | None:
        """Hold a Target, or bring the end of one a step further."""
        target = next((found for store in self._targets if (found := store.get(*key)) is not None), None)
        if target is None:
            return None
        if not target.is_going:
            return await self._hold(target)
        if not target.is_held or not self._pods.is_fresh:
            return None if not target.is_held else _LOOK_SECONDS
        if target.uid not in self._woken:
            self._woken.add(target.uid)
            self._wake(target)
        return await self._go_on(target)

    # -- while it is kept --------------------------------------------------------------------------------------------

    async def _hold(self, target: Target) -> float | None:
        secret = "" if target.is_self or target.flaw else f"{target.secret_namespace}/{target.secret_name}"
        if not target.is_held or target.held_secret != secret:
            if target.held_secret and target.held_secret != secret:
                await self._release_secret(target, target.held_secret)
            await self._mark(target, secret)
        if secret:
            await self._hold_secret(target)
        return None

    async def _mark(self, target: Target, secret: str) -> None:
        live = await self._api.get(target_kind(target.namespace), target.name, target.namespace)
        metadata = live["metadata"]
        finalizers = [name for name in metadata.get("finalizers") or [] if name != names.TARGET_FINALIZER]
        patch = {
            **_held(metadata),
            "finalizers": [*finalizers, names.TARGET_FINALIZER],
            "annotations": {names.HELD_SECRET: secret or None},
        }
        await self._api.patch(target_kind(target.namespace), target.name, {"metadata": patch}, target.namespace)

    async def _hold_secret(self, target: Target) -> None:
        try:
            live = await self._api.get(SECRETS, target.secret_name, target.secret_namespace)
        except (NotFound, BadName):
            return  # said in the Target's status; made later, its event brings us back
        finalizers = live["metadata"].get("finalizers") or []
        is_going, is_held = "deletionTimestamp" in live["metadata"], target.secret_finalizer in finalizers
        if is_going and is_held and not await self._goes_with_namespace(target):
            await self._release_secret(target, target.held_secret)
        elif not is_going and not is_held:
            patch = {**_held(live["metadata"]), "finalizers": [*finalizers, target.secret_finalizer]}
            await self._api.patch(SECRETS, target.secret_name, {"metadata": patch}, target.secret_namespace)

    async def _goes_with_namespace(self, target: Target) -> bool:
        """Whether the Target is about to be deleted too, with its namespace."""
        if not target.namespace:
            return False
        namespace = await self._api.get(NAMESPACES, target.namespace)
        return "deletionTimestamp" in namespace["metadata"]

    # -- while it goes -----------------------------------------------------------------------------------------------

    def _remains(self, target: Target) -> Remains:
        proxies = sum(target.finalizer in pod.finalizers for pod in self._pods.values() if target.serves(pod.namespace))
        proxies += self.also_held(target)
        return self._outlook.remains(
            target, proxies=proxies, has_node=self._nodes.get("", target.node_name) is not None
        )

    async def _go_on(self, target: Target) -> float | None:
        remains = self._remains(target)
        match next_step(remains, self._clock(), self._lost_after):
            case Step.WAIT:
                wait = lost_in_seconds(remains, self._clock(), self._lost_after)
                return min(wait, _LOOK_SECONDS) if wait is not None and wait > 0 else _LOOK_SECONDS
            case Step.RECORD:
                await self._lost.put_on_record(target)
                self._wake(target)
                return 0.1
            case Step.REMOVE_NODE:
                self._wake(target)  # the virtual-node controller deletes it, and makes no other
                return 1.0
            case Step.RELEASE:
                if await self._is_empty(target, is_lost=remains.away_since is not None):
                    await self._release(target)
                    return None
                return _LOOK_SECONDS

    async def _is_empty(self, target: Target, *, is_lost: bool) -> bool:
        """Whether Node and, in a target that answers, chaperons are gone, live."""
        with contextlib.suppress(NotFound):
            await self._api.get(NODES, target.node_name)
            return False
        connection = self._outlook.connection(target)
        if is_lost or connection is None:
            return True
        listing = await connection.api.list(POD_CHAPERONS, target.namespace, label_selector=connection.selector)
        return not listing.items

    async def _release(self, target: Target) -> None:
        if target.held_secret:
            await self._release_secret(target, target.held_secret)
        with contextlib.suppress(NotFound):
            live = await self._api.get(target_kind(target.namespace), target.name, target.namespace)
            finalizers = [name for name in live["metadata"]["finalizers"] if name != names.TARGET_FINALIZER]
            patch = {**_held(live["metadata"]), "finalizers": finalizers}
            await self._api.patch(target_kind(target.namespace), target.name, {"metadata": patch}, target.namespace)
        logger.info("target ended", target=target.name, namespace=target.namespace)

    async def _release_secret(self, target: Target, secret: str) -> None:
        namespace, _, name = secret.partition("/")
        with contextlib.suppress(NotFound, BadName):  # what never had a name was never held
            live = await self._api.get(SECRETS, name, namespace)
            finalizers = live["metadata"].get("finalizers") or []
            if target.secret_finalizer in finalizers:
                kept = [one for one in finalizers if one != target.secret_finalizer]
                patch = {**_held(live["metadata"]), "finalizers": kept}
                await self._api.patch(SECRETS, name, {"metadata": patch}, namespace)


def _held(metadata: Manifest) -> Manifest:
    return {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
