"""The bridge's loop: read, decide, apply, again.

Level-triggered: a look starts from what GitLab and the cluster say now, and every write has a name that a second
attempt meets again. So it may be killed between any two writes. When GitLab or the cluster cannot be read, nothing
is decided: what runs keeps running, and the next look comes later each time.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from loguru import logger

from bridge import demand, runners
from bridge.cluster import Cluster
from bridge.demand import Plan, ProfileDemand, WantedRunner
from bridge.deploying import Deployer
from bridge.errors import BridgeError, ClusterUnavailable, GitLabError, GitLabUnavailable, RunnerTokenRejected
from bridge.gitlab_api import GitLab
from bridge.observed import Bounds, Observed, Phase
from bridge.profiles import Profile
from bridge.reading import DemandReader
from bridge.registration import Registrar
from bridge.runner_spec import Registered
from bridge.runners import RunnerOptions
from federation.kube.errors import ApiError

_HOLD_SECONDS_MAX = 300.0  # GitLab may be down for long; jobs wait this long at most once it is back
# Before pods are made, their token is tried if that was not done just now: pods with a dead one would only wait.
_CONFIRM_EVERY = timedelta(seconds=30)
_JITTER = 0.2  # several bridges at one GitLab shall not ask in step


@dataclass(frozen=True, slots=True)
class Pace:
    """How often."""

    poll_seconds: float
    heartbeat: timedelta


@dataclass(slots=True)
class _Memory:
    """What may be lost at any time: it only saves requests and log lines."""

    forgotten_managers: set[str] = field(default_factory=set)
    deployed: dict[str, str] = field(default_factory=dict)  # system id of a Deployment's pod -> profile
    surplus_since: dict[str, datetime] = field(default_factory=dict)
    reported: dict[str, str] = field(default_factory=dict)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Bridge:
    """One GitLab, one cluster, some profiles."""

    def __init__(
        self,
        *,
        gitlab: GitLab,
        demand_reader: DemandReader,
        cluster: Cluster,
        registrar: Registrar,
        profiles: Sequence[Profile],
        options: RunnerOptions,
        bounds: Bounds,
        pace: Pace,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._gitlab = gitlab
        self._reader = demand_reader
        self._cluster = cluster
        self._registrar = registrar
        self._deployer = Deployer(gitlab, cluster, options)
        self._profiles = profiles
        self._options = options
        self._bounds = bounds
        self._pace = pace
        self._clock = clock
        self._memory = _Memory()

    async def run(self) -> None:
        """Watch the cluster and look again and again, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._cluster.follow())
            await self._cluster.synced()
            await self._look_for_ever()

    async def _look_for_ever(self) -> None:
        wait = self._pace.poll_seconds
        while True:
            try:
                await self.look()
                wait = self._pace.poll_seconds
                self._report("look", "")
            except (BridgeError, ApiError) as error:
                self._report("look", str(error))
                asked = error.retry_after_seconds if isinstance(error, GitLabUnavailable) else 0.0
                wait = min(max(wait * 2, asked), _HOLD_SECONDS_MAX)
            await asyncio.sleep(wait * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311  # jitter, not a secret

    async def look(self) -> Plan:
        """Read, decide and apply once. Raises BridgeError or ApiError with nothing half done that matters."""
        registrations = await self._register()
        if self._cluster.trouble:
            raise ClusterUnavailable(f"the cluster's watch is down: {self._cluster.trouble}")
        observed = await self._reader.observe(self._cluster.fleet(), registrations)
        now = self._clock()
        plan = demand.decide(self._profiles, observed, self._bounds, now, self._memory.surplus_since)
        self._report_plan(plan)
        for wish in plan.demands:
            await self._apply(wish)
            if wish.scaling and wish.profile.name in registrations:
                await self._deploy(wish, registrations[wish.profile.name], observed, now)
        await self._forget_managers(registrations)
        await self._forget_deployed(observed, registrations)
        return plan

    async def _deploy(self, wish: ProfileDemand, registered: Registered, observed: Observed, now: datetime) -> None:
        """Take a step for one Deployment; one that cannot be taken does not hold up the other profiles."""
        name = wish.profile.name
        assert wish.scaling is not None
        if wish.scaling.surplus_since:
            self._memory.surplus_since[name] = wish.scaling.surplus_since
        else:
            self._memory.surplus_since.pop(name, None)
        try:
            await self._deployer.apply(wish, registered, observed.fleet.deployments.get(name), now)
            self._report(f"deployment of {name}", "")
        except (BridgeError, ApiError) as error:
            self._report(f"deployment of {name}", str(error))

    async def _register(self) -> dict[str, Registered]:
        """Register all profiles; one that cannot be does not hold up the others. Raises if none can."""
        registrations: dict[str, Registered] = {}
        failures: list[GitLabError | ApiError] = []
        for profile in self._profiles:
            try:
                registrations[profile.name] = await self._registrar.ensure(profile, self._clock(), self._pace.heartbeat)
                self._report(f"runner of {profile.name}", "")
            except (GitLabError, ApiError) as error:
                failures.append(error)
                self._report(f"runner of {profile.name}", str(error))
        if failures and not registrations:
            raise failures[0]
        return registrations

    def _report_plan(self, plan: Plan) -> None:
        for project, trouble in self._reader.troubles.items():
            self._report(f"project {project}", trouble)
        for wish in plan.demands:
            self._report(f"jobs of {wish.profile.name}", wish.held)
        lost = {f"job {found.job.id}": found for found in plan.unroutable}
        for about in [known for known in self._memory.reported if known.startswith("job ") and known not in lost]:
            del self._memory.reported[about]  # taken by another runner, or canceled
        for about, found in lost.items():
            self._report(about, f"{found.job.project}: {found.job.name}: {found.reason}")

    async def _apply(self, wish: ProfileDemand) -> None:
        name = wish.profile.name
        for pod in wish.expired:
            logger.warning("runner pod never started", profile=name, job=pod.job, why=pod.detail)
            await self._cluster.delete_job(pod)
        if wish.create:
            registered = await self._registrar.ensure(wish.profile, self._clock(), _CONFIRM_EVERY)
            for wanted in wish.create:
                await self._create(wanted, registered)

    async def _create(self, wanted: WantedRunner, registered: Registered) -> None:
        manifest = runners.job(self._options, wanted, registered.fingerprint)
        if await self._cluster.create_job(manifest):
            logger.info(
                "runner pod created",
                profile=wanted.profile.name,
                job=manifest["metadata"]["name"],
                ci_job=wanted.ci_job,
                project=wanted.job.project if wanted.job else "",
            )

    async def _forget_managers(self, registrations: Mapping[str, Registered]) -> None:
        """Remove finished runners from GitLab's list of managers, which otherwise grows for a week.

        Those of failed pods stay: a job that died with its pod is found by them, until GitLab gives it up.
        """
        ended = {pod.job: pod for pod in self._cluster.runners() if pod.phase is Phase.SUCCEEDED}
        self._memory.forgotten_managers &= ended.keys()
        for job in ended.keys() - self._memory.forgotten_managers:
            pod = ended[job]
            registered = registrations.get(pod.profile)
            if registered is None:
                continue
            try:
                await self._gitlab.delete_manager(registered.token, pod.system_id)
            except RunnerTokenRejected:
                self._registrar.forget(pod.profile)
                continue
            self._memory.forgotten_managers.add(job)

    async def _forget_deployed(self, observed: Observed, registrations: Mapping[str, Registered]) -> None:
        """Remove the managers of pods that a Deployment has deleted, as those of finished Jobs.

        Those of pods that went while we did not look stay for a week, GitLab's own time.
        """
        present = {pod.system_id: pod.profile for pod in observed.fleet.managers}
        for system_id in self._memory.deployed.keys() - present.keys():
            profile = self._memory.deployed[system_id]
            registered = registrations.get(profile)
            if registered is None or await self._gitlab.is_busy(registered.id, system_id):
                continue
            try:
                await self._gitlab.delete_manager(registered.token, system_id)
            except RunnerTokenRejected:
                self._registrar.forget(profile)
        self._memory.deployed = present

    def _report(self, about: str, message: str) -> None:
        """Log a state when it changes, not each time it is seen."""
        if self._memory.reported.get(about, "") == message:
            return
        if message:
            logger.warning("held up", what=about, why=message)
            self._memory.reported[about] = message
        else:
            logger.info("goes on", what=about)
            del self._memory.reported[about]
