"""Reads demand from GitLab: who is busy first, then which jobs wait (demand.py says why in this order).

One request per project and profile, plus one per active pod of a profile that runs something: GitLab's list of a
runner's jobs does not say which manager runs them, so each pod is asked about by its system id.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bridge.demand import Observed, PendingJob, RunnerPod
from bridge.errors import GitLabDenied, GitLabError, GitLabMissing
from bridge.gitlab_api import GitLab, Registered


@dataclass(frozen=True, slots=True)
class Watched:
    """Whose jobs are watched: these projects and those of these groups, or all we are a member of."""

    projects: tuple[str, ...]
    groups: tuple[str, ...]
    discovery_interval: timedelta


class DemandReader:
    """Reads what `demand.decide` needs. `troubles` tells, per project, why it could not be read (or nothing)."""

    def __init__(self, gitlab: GitLab, watched: Watched, clock: Callable[[], datetime]) -> None:
        self._gitlab = gitlab
        self._watched = watched
        self._clock = clock
        self._projects: tuple[str, ...] = ()
        self._discovered_at = datetime.min.replace(tzinfo=UTC)
        self.troubles: dict[str, str] = {}

    async def observe(self, pods: Sequence[RunnerPod], registrations: Mapping[str, Registered]) -> Observed:
        """Read once. `registrations` are by profile. Raises GitLabError if nothing could be read."""
        busy: set[str] = set()
        for profile, registered in registrations.items():
            busy |= await self._busy(registered.id, [pod for pod in pods if pod.profile == profile])
        tokens = {profile: registered.fingerprint for profile, registered in registrations.items()}
        return Observed(frozenset(busy), await self._pending(), pods, tokens)

    async def _busy(self, runner_id: int, pods: Sequence[RunnerPod]) -> set[str]:
        active = [pod for pod in pods if not pod.is_finished]
        try:
            if not active or not await self._gitlab.running_count(runner_id):
                return set()
        except GitLabMissing:  # deleted by someone: registration notices when it next looks
            return set()
        return {pod.system_id for pod in active if await self._gitlab.is_busy(runner_id, pod.system_id)}

    async def _pending(self) -> list[PendingJob]:
        await self._discover()
        jobs: list[PendingJob] = []
        failures: list[GitLabError] = []
        for project in self._projects:
            try:
                jobs += await self._gitlab.pending_jobs(project)
                self.troubles[project] = ""
            except (GitLabMissing, GitLabDenied) as error:
                failures.append(error)
                self.troubles[project] = str(error)
        if failures and len(failures) == len(self._projects):
            raise failures[0]
        return jobs

    async def _discover(self) -> None:
        now = self._clock()
        if not self._projects or now - self._discovered_at >= self._watched.discovery_interval:
            self._projects = await self._gitlab.project_paths(self._watched.projects, self._watched.groups)
            self._discovered_at = now
            self.troubles = {}
