"""Two ways to read demand from GitLab, by what the bridge's token allows.

*graphql*, for administrators: one query returns the pending jobs of the whole instance, 100 a page; which managers are
busy takes one query per runner. *rest*, for everybody: one list per project and per runner, and one request for each
job that has begun to run, because lists do not say which manager runs a job.

There is no third way for others: GraphQL gives the jobs of one project per query only, and to those who are no
administrators it gives an empty list of the instance's jobs instead of an error. So the source is chosen by who we are
and by seeing any job at all (reading.py), never by an empty queue.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from bridge.answers import ANY_JOBS, BUSY, PENDING, pending_node, read
from bridge.errors import GitLabDenied, GitLabError, GitLabMissing, GitLabUnreadable
from bridge.gitlab_api import GitLab
from bridge.observed import PendingJob

_PAGES_MAX = 2000  # of a query: 200 000 jobs
# 100 a page is GitLab's most.
_PENDING = """
query($after: String) {
  jobs(statuses: [PENDING], first: 100, after: $after) {
    pageInfo { hasNextPage endCursor }
    nodes { id name tags webPath project { fullPath } runner { id } ... on CiJob { runnerManager { systemId } } }
  }
}
"""
_BUSY = """
query($runner: CiRunnerID!, $after: String) {
  runner(id: $runner) {
    jobs(statuses: [RUNNING], first: 100, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { id ... on CiJob { runnerManager { systemId } } }
    }
  }
}
"""


class Source(Protocol):
    """Where demand is read."""

    name: str

    async def busy(self, runner_id: int, system_ids: Collection[str]) -> set[str]:
        """Return which of a runner's managers run a job now."""
        ...

    async def pending(self, projects: Sequence[str], troubles: dict[str, str]) -> list[PendingJob]:
        """Return the pending jobs of these projects; note in `troubles` which could not be read, and why."""
        ...


class Rest:
    """One list per project."""

    name = "rest"

    def __init__(self, gitlab: GitLab) -> None:
        self._gitlab = gitlab
        self._managers: dict[int, dict[int, str]] = {}  # by runner: running job -> system id, which never changes

    async def busy(self, runner_id: int, system_ids: Collection[str]) -> set[str]:
        """Ask what the runner runs, and once per job which manager has it.

        A job of a project that is hidden from us does not tell: then each manager is asked about.
        """
        running = await self._gitlab.running_jobs(runner_id)
        known = self._managers.get(runner_id, {})
        managers = {job: known.get(job) or await self._manager(job, project) for job, project in running.items()}
        self._managers[runner_id] = managers
        found = set(system_ids) & set(managers.values())
        if "" in managers.values():
            found |= {one for one in set(system_ids) - found if await self._gitlab.is_busy(runner_id, one)}
        return found

    async def _manager(self, job: int, project: int) -> str:
        try:
            return await self._gitlab.manager_of(project, job)
        except (GitLabMissing, GitLabDenied):
            return ""

    async def pending(self, projects: Sequence[str], troubles: dict[str, str]) -> list[PendingJob]:
        """Ask project by project; raises only if none could be read."""
        jobs: list[PendingJob] = []
        failures: list[GitLabError] = []
        for project in projects:
            try:
                jobs += await self._gitlab.pending_jobs(project)
                troubles[project] = ""
            except (GitLabMissing, GitLabDenied) as error:
                failures.append(error)
                troubles[project] = str(error)
        if failures and len(failures) == len(projects):
            raise failures[0]
        return jobs


class GraphQL:
    """One query for the instance."""

    name = "graphql"

    def __init__(self, gitlab: GitLab, url: str, *, pages_max: int = _PAGES_MAX) -> None:
        self._gitlab = gitlab
        self._url = url
        self._pages_max = pages_max

    async def sees_jobs(self) -> bool:
        """Whether the instance shows us any job, of whatever status."""
        data = await self._gitlab.graphql("{ jobs(first: 1) { nodes { id } } }", {})
        return bool(read(data, ANY_JOBS, "the query for any job")["jobs"]["nodes"])

    async def busy(self, runner_id: int, system_ids: Collection[str]) -> set[str]:
        """Ask for the runner's running jobs with their managers."""
        found: set[str] = set()
        variables = {"runner": f"gid://gitlab/Ci::Runner/{runner_id}"}
        after: str | None = None
        for _ in range(self._pages_max):
            data = await self._gitlab.graphql(_BUSY, {**variables, "after": after})
            if (
                read(data, BUSY, "the query for busy managers").get("runner") is None
            ):  # deleted by someone: registration notices when it next looks
                return set()
            page = data["runner"]["jobs"]
            managers = [node.get("runnerManager") or {} for node in page["nodes"]]
            found |= {manager["systemId"] for manager in managers if manager.get("systemId")}
            if not page["pageInfo"]["hasNextPage"]:
                return found & set(system_ids)
            after = page["pageInfo"].get("endCursor")
        raise self._endless("busy managers")

    async def pending(self, projects: Sequence[str], troubles: dict[str, str]) -> list[PendingJob]:
        """Ask for all, and keep those of the projects."""
        watched = set(projects)
        jobs: dict[int, PendingJob] = {}
        after: str | None = None
        for _ in range(self._pages_max):
            data = await self._gitlab.graphql(_PENDING, {"after": after})
            page = read(data, PENDING, "the query for pending jobs")["jobs"]
            for node in page["nodes"]:
                job = pending_node(node, self._url)
                if job is not None and job.project in watched:
                    jobs[job.id] = job
            if not page["pageInfo"]["hasNextPage"]:
                troubles.update(dict.fromkeys(projects, ""))
                return list(jobs.values())
            after = page["pageInfo"].get("endCursor")
        raise self._endless("pending jobs")

    def _endless(self, what: str) -> GitLabUnreadable:
        return GitLabUnreadable(f"GitLab's answer to the query for {what} has more than {self._pages_max} pages")
