"""Demand by either source against the lab's GitLab: both tell the same, and who may use which."""

from datetime import timedelta

import pytest

from bridge.errors import GitLabDenied, GitLabMissing
from bridge.gitlab_api import GitLab
from bridge.observed import Fleet, ManagerPod, PendingJob, Phase
from bridge.reading import Choice, DemandReader, Watched
from bridge.runner_spec import Registered, RunnerSpec
from bridge.sources import GraphQL, Rest
from lab.gitlab import projects
from tests.bridge.gitlab_site import SCOPES, Site

ARM = RunnerSpec("isthmus/arm64", ("arm64",), 3600, "")
PERSON = "glpat-no-administrator"


def person(site: Site) -> str:
    """The token of a user who is no administrator, and a developer of the project."""
    user = projects.create_user(site.state, "bob")
    projects.add_member(site.project, user, 40)
    projects.create_token(site.state, "bob's", SCOPES, PERSON, user)
    return PERSON


def reader(site: Site, gitlab: GitLab, choice: Choice = "auto", *names: str) -> DemandReader:
    """A reader of these projects."""
    watched = Watched(names or ("root/app",), (), timedelta(minutes=5))
    return DemandReader(gitlab, watched, site.now, choice=choice, url=site.url)


def manager(site: Site, system_id: str) -> ManagerPod:
    """A pod that may be busy."""
    return ManagerPod("p", "u", "arm64", system_id, Phase.RUNNING, site.now())


async def at_work(site: Site, gitlab: GitLab, scope: str = "instance") -> Registered:
    """A runner of which one manager has a job, and jobs that wait, over more than a page."""
    registered = await gitlab.create_runner(scope, ARM)
    site.push(**{f"job-{number}": ["arm64"] for number in range(120)})
    assert site.take(registered.token.get_secret_value(), "r_busy00000001")
    return registered


async def test_both_sources_tell_the_same(site_of_either_mode: Site) -> None:
    site = site_of_either_mode
    gitlab = site.client()
    registered = await at_work(site, gitlab)
    site.push(odd=["sparc"], two=["arm64", "big"])
    found: list[list[PendingJob]] = []
    for source in (Rest(gitlab), GraphQL(gitlab, site.url)):
        troubles: dict[str, str] = {}
        found.append(sorted(await source.pending(["root/app"], troubles), key=lambda job: job.id))
        assert troubles == {"root/app": ""}
        busy = await source.busy(registered.id, {"r_busy00000001", "r_idle00000001"})
        # With two-phase commit the job is still pending; its taker is told with it.
        assert busy | {job.taken_by for job in found[-1] if job.taken_by} == {"r_busy00000001"}
    assert len(found[0]) == (122 if site.state.site.two_phase_commit else 121)
    assert found[0] == found[1]


async def test_an_administrator_s_token_takes_graphql_and_one_query_for_the_instance(site: Site) -> None:
    gitlab = site.client()
    registered = await at_work(site, gitlab)
    for number in range(20):
        site.project = projects.create_project(site.state, f"other-{number}")
        site.push(build=["arm64"])
    everything = reader(site, gitlab, "auto", "*")
    await everything.observe(Fleet(), {})
    assert (everything.source, everything.source_reason) == ("graphql", "the token is an administrator's")
    before = gitlab.requests_sent
    fleet = Fleet(managers=[manager(site, f"r_busy0000000{number}") for number in range(1, 9)])
    observed = await everything.observe(fleet, {"arm64": registered})
    assert len(observed.pending) == 139
    assert observed.busy == {"r_busy00000001"}
    assert gitlab.requests_sent - before == 3, "two pages of jobs, and one query for all managers"


async def test_by_rest_a_running_job_is_asked_about_once(site: Site) -> None:
    gitlab = site.client(person(site))
    registered = await at_work(site, gitlab, f"project:{site.project.id}")
    rest, pods = Rest(gitlab), {f"r_busy0000000{number}" for number in range(1, 9)}
    sent = []
    for _ in range(2):
        before = gitlab.requests_sent
        assert await rest.busy(registered.id, pods) == {"r_busy00000001"}
        sent.append(gitlab.requests_sent - before)
    assert sent == [2, 1]


async def test_by_rest_jobs_of_hidden_projects_are_found_by_asking_about_managers(site: Site) -> None:
    gitlab = site.client(person(site))
    registered = await gitlab.create_runner(f"project:{site.project.id}", ARM)
    site.project = projects.create_project(site.state, "hidden")
    site.state.runners[registered.id].project_ids.add(site.project.id)
    (job,) = site.push(build=["arm64"])
    assert site.take(registered.token.get_secret_value(), "r_busy00000001") is job
    with pytest.raises(GitLabMissing):
        await gitlab.manager_of(site.project.id, job.id)
    assert await Rest(gitlab).busy(registered.id, {"r_busy00000001", "r_idle00000001"}) == {"r_busy00000001"}


async def test_only_watched_projects_count_in_either_source(site: Site) -> None:
    site.push(build=["arm64"])
    site.project = projects.create_project(site.state, "other")
    site.push(build=["arm64"])
    for choice in ("graphql", "rest"):
        observed = await reader(site, site.client(), choice).observe(Fleet(), {})
        assert [job.project for job in observed.pending] == ["root/app"]


async def test_others_read_by_rest_because_graphql_would_show_them_an_empty_queue(site: Site) -> None:
    gitlab = site.client(person(site))
    site.push(build=["arm64"])
    assert await GraphQL(gitlab, site.url).pending(["root/app"], {}) == [], "no error: an empty list"
    found = reader(site, gitlab)
    assert len((await found.observe(Fleet(), {})).pending) == 1
    assert found.source == "rest"
    assert "no administrator's" in found.source_reason


async def test_an_administrator_who_sees_no_job_at_all_reads_by_rest_until_there_is_one(site: Site) -> None:
    found = reader(site, site.client())
    await found.observe(Fleet(), {})
    assert found.source == "rest"
    assert "admin_mode" in found.source_reason, "an empty answer could mean that we are not let see"
    site.push(build=["arm64"])
    assert len((await found.observe(Fleet(), {})).pending) == 1
    site.pass_time(minutes=5)
    assert len((await found.observe(Fleet(), {})).pending) == 1
    assert found.source == "graphql"


async def test_what_is_refused_is_read_by_rest_and_tried_again_later(site: Site) -> None:
    gitlab = site.client()
    site.push(build=["arm64"])
    found = reader(site, gitlab)
    await found.observe(Fleet(), {})
    assert found.source == "graphql"
    (token,) = [token for token in site.state.tokens.values() if token.name == "bridge"]
    token.scopes = frozenset({"read_user"})
    with pytest.raises(GitLabDenied):
        await found.observe(Fleet(), {})
    assert found.source == "rest"
    assert "GraphQL was refused" in found.source_reason
    token.scopes = SCOPES
    assert len((await found.observe(Fleet(), {})).pending) == 1
    assert found.source == "rest", "not tried at each look"
    site.pass_time(minutes=10)
    assert len((await found.observe(Fleet(), {})).pending) == 1
    assert found.source == "graphql"
