"""Keeps true: each profile in deployment mode has its Deployment, written for its runner's token and scaled as decided.

The steps come from replicas.py, one a look. A pause of the runner at GitLab is put on record before it is made and
struck off after it was ended, so that whoever comes after us ends it; one that a person made is left in place.
"""

from datetime import datetime

from loguru import logger

from bridge import deployments
from bridge.cluster import Cluster
from bridge.demand import ProfileDemand
from bridge.deployments import template_hash
from bridge.gitlab_api import GitLab
from bridge.observed import RunnerDeployment
from bridge.replicas import Step
from bridge.runner_spec import Registered
from bridge.runners import RunnerOptions


class Deployer:
    """Writes Deployments, their pods' deletion costs, and pauses at GitLab."""

    def __init__(self, gitlab: GitLab, cluster: Cluster, options: RunnerOptions) -> None:
        self._gitlab = gitlab
        self._cluster = cluster
        self._options = options

    async def apply(
        self, wish: ProfileDemand, registered: Registered, known: RunnerDeployment | None, now: datetime
    ) -> None:
        """Take this look's step for one profile. Raises BridgeError, ApiError."""
        scaling = wish.scaling
        assert scaling is not None
        manifest = deployments.deployment(self._options, wish.profile, registered.fingerprint, scaling.replicas)
        if known is None:
            await self._cluster.create_deployment(manifest)
            logger.info("deployment created", profile=wish.profile.name, replicas=scaling.replicas)
            return
        for pod, cost in scaling.costs:
            await self._cluster.set_deletion_cost(pod, cost)
        if known.template != template_hash(manifest["spec"]["template"]):
            await self._cluster.write_template(known, manifest)
            logger.info("deployment rolled", profile=wish.profile.name, deployment=known.name)
        match scaling.step:
            case Step.RAISE:
                await self._scale(wish, known)
            case Step.PAUSE:
                await self._pause(registered, known, now)
            case Step.SHRINK if await self._is_paused(registered, known, now):
                await self._scale(wish, known)
            case _:
                pass
        if scaling.resumes:
            await self._resume(registered, known)

    async def _scale(self, wish: ProfileDemand, known: RunnerDeployment) -> None:
        assert wish.scaling is not None
        if await self._cluster.scale(known, wish.scaling.replicas):
            logger.info(
                "deployment scaled", profile=wish.profile.name, replicas=wish.scaling.replicas, before=known.replicas
            )

    async def _pause(self, registered: Registered, known: RunnerDeployment, now: datetime) -> None:
        is_paused_already = bool((await self._gitlab.runner(registered.id)).get("paused"))
        await self._cluster.mark_pause(known, now, keeps=is_paused_already)
        if not is_paused_already:
            await self._gitlab.set_paused(registered.id, is_paused=True)

    async def _is_paused(self, registered: Registered, known: RunnerDeployment, now: datetime) -> bool:
        """Whether the pause on record was really made, before the busy managers were read; if not, make it now."""
        if (await self._gitlab.runner(registered.id)).get("paused"):
            return True
        await self._cluster.mark_pause(known, now)
        await self._gitlab.set_paused(registered.id, is_paused=True)
        return False

    async def _resume(self, registered: Registered, known: RunnerDeployment) -> None:
        if not known.keeps_pause:
            await self._gitlab.set_paused(registered.id, is_paused=False)
        await self._cluster.mark_pause(known, None)
