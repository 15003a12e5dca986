"""Reads demand from GitLab: who is busy first, then which jobs wait (demand.py says why in this order).

The source (sources.py) is chosen once, by whose token ours is and whether it sees any job at all. If GitLab refuses it
later (rights were taken away, an older GitLab knows no such field), the look is done by REST, and the choice is made
again after a while.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from loguru import logger

from bridge.errors import GitLabError, GitLabMissing, GitLabUnavailable
from bridge.gitlab_api import GitLab
from bridge.observed import Fleet, ManagerPod, Observed, PendingJob, RunnerPod
from bridge.runner_spec import Registered
from bridge.sources import GraphQL, Rest, Source

EVERYWHERE = "*"  # in place of projects: all of the instance
_CHOOSE_AGAIN = timedelta(minutes=10)

_BLIND = (
    "GraphQL shows the token, an administrator's, no job of the instance: there is none yet, or the token lacks the "
    "scope admin_mode where Admin Mode is on"
)

Choice = Literal["auto", "graphql", "rest"]


@dataclass(frozen=True, slots=True)
class Watched:
    """Whose jobs are watched: these projects and those of these groups, or all we are a member of, or all there are."""

    projects: tuple[str, ...]
    groups: tuple[str, ...]
    discovery_interval: timedelta


class DemandReader:
    """Reads what `demand.decide` needs. `troubles` tells, per project, why it could not be read (or nothing)."""

    def __init__(
        self,
        gitlab: GitLab,
        watched: Watched,
        clock: Callable[[], datetime],
        *,
        choice: Choice = "auto",
        url: str = "",
    ) -> None:
        self._gitlab = gitlab
        self._watched = watched
        self._clock = clock
        self._choice = choice
        self._rest = Rest(gitlab)
        self._graphql = GraphQL(gitlab, url)
        self._source: Source | None = None
        self._choose_again = _CHOOSE_AGAIN
        self._chosen_at = datetime.min.replace(tzinfo=UTC)
        self._projects: tuple[str, ...] = ()
        self._discovered_at = datetime.min.replace(tzinfo=UTC)
        self.source_reason = ""
        self.troubles: dict[str, str] = {}

    @property
    def source(self) -> str:
        """The name of the source in use; empty before the first look."""
        return self._source.name if self._source else ""

    async def observe(self, fleet: Fleet, registrations: Mapping[str, Registered]) -> Observed:
        """Read once. `registrations` are by profile. Raises GitLabError if nothing could be read."""
        source = await self._choose()
        await self._discover()
        try:
            return await self._observe(source, fleet, registrations)
        except GitLabUnavailable:
            raise
        except GitLabError as error:
            if source is self._rest or self._choice == "graphql":
                raise
            self._take(self._rest, f"GraphQL was refused: {error}")
            return await self._observe(self._rest, fleet, registrations)

    async def _observe(self, source: Source, fleet: Fleet, registrations: Mapping[str, Registered]) -> Observed:
        busy: set[str] = set()
        for profile, registered in registrations.items():
            everyone: list[RunnerPod | ManagerPod] = [*fleet.pods, *fleet.managers]
            crew = [pod for pod in everyone if pod.profile == profile and not pod.is_finished]
            busy |= await self._busy(source, registered.id, {pod.system_id for pod in crew})
        tokens = {profile: registered.fingerprint for profile, registered in registrations.items()}
        pending: list[PendingJob] = await source.pending(self._projects, self.troubles)
        return Observed(frozenset(busy), pending, fleet, tokens)

    async def _busy(self, source: Source, runner_id: int, system_ids: set[str]) -> set[str]:
        try:
            return await source.busy(runner_id, system_ids) if system_ids else set()
        except GitLabMissing:  # deleted by someone: registration notices when it next looks
            return set()

    async def _choose(self) -> Source:
        """Return the source in use; chosen at first, and again some time after GitLab refused it."""
        is_final = self._choice != "auto" or self._source is self._graphql
        if self._source and (is_final or self._clock() - self._chosen_at < self._choose_again):
            return self._source
        self._choose_again = _CHOOSE_AGAIN
        if self._choice == "rest":
            return self._take(self._rest, "it is what ISTHMUS_BRIDGE_DEMAND_SOURCE says")
        if self._choice == "graphql":
            return self._take(self._graphql, "it is what ISTHMUS_BRIDGE_DEMAND_SOURCE says")
        if not await self._gitlab.is_administrator():
            return self._take(self._rest, "the token is no administrator's, so GraphQL shows it no queue")
        if await self._sees_jobs():
            return self._take(self._graphql, "the token is an administrator's")
        self._choose_again = self._watched.discovery_interval
        return self._take(self._rest, _BLIND)

    async def _sees_jobs(self) -> bool:
        """Whether GraphQL shows us any job of the instance: else an empty queue would prove nothing."""
        try:
            return await self._graphql.sees_jobs()
        except GitLabUnavailable:
            raise
        except GitLabError:
            return False

    def _take(self, source: Source, reason: str) -> Source:
        if (source, reason) != (self._source, self.source_reason):
            logger.info("demand is read", source=source.name, why=reason)
        self._source, self.source_reason, self._chosen_at = source, reason, self._clock()
        return source

    async def _discover(self) -> None:
        now = self._clock()
        if not self._projects or now - self._discovered_at >= self._watched.discovery_interval:
            if EVERYWHERE in self._watched.projects:
                self._projects = await self._gitlab.all_project_paths()
            else:
                self._projects = await self._gitlab.project_paths(self._watched.projects, self._watched.groups)
            self._discovered_at = now
            self.troubles = {}
