"""A GitLab with at least two of everything, so that each endpoint has something to show, to refuse and to page."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, field

import gitlab

from lab.gitlab import artifacts, jobs, pipelines, projects, runners
from lab.gitlab.ci.variables import Variable
from lab.gitlab.model import Commit, Job, Pipeline, Project, Runner
from lab.gitlab.shell import Shell
from lab.gitlab.state import State
from tests.lab.gitlab.conftest import ROOT_TOKEN

CI_TEXT = """
build: {script: [make], artifacts: {paths: [out]}}
check: {script: [check]}
rare: {script: [x], tags: [rare]}
hold: {script: [x], when: manual}
"""
SYSTEM_ID = "r_000000000001"
INFO: dict[str, object] = {"features": {"two_phase_job_commit": True}}
STRANGER = "glpat-stranger"  # a user who is a member of nothing
WITHOUT_SCOPE = "glpat-code-only"  # root's, good for git alone
REVOKED = "glpat-revoked"


def zipped(**files: str) -> bytes:
    """A zip; names come with `__` for a slash and `_` for a dot."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return target.getvalue()


@dataclass
class World:
    """The server, and by name what its endpoints can be asked for."""

    shell: Shell
    names: dict[str, object] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.shell.state.site.url

    @property
    def state(self) -> State:
        return self.shell.state

    def fill(self, template: str) -> str:
        """The template with the names filled in."""
        return template.format_map(self.names)

    def client(self, token: str = ROOT_TOKEN) -> gitlab.Gitlab:
        return gitlab.Gitlab(self.url, private_token=token, timeout=10)

    def __getitem__(self, name: str) -> int:
        """A number among the names."""
        number = self.names[name]
        assert isinstance(number, int)
        return number


def populated(shell: Shell, commit: Commit) -> World:
    """The world around a server whose repository 1 has this commit on main."""
    world = World(shell, {"sha": commit.sha})
    app = _projects_and_people(world)
    _runners(world, app)
    _pipelines(world, app, commit)
    return world


def _projects_and_people(world: World) -> Project:
    state = world.state
    stranger = projects.create_user(state, "stranger")
    dave, erin = projects.create_user(state, "dave"), projects.create_user(state, "erin")
    projects.create_token(state, "stranger's", projects.SCOPES, STRANGER, stranger)
    code = projects.create_token(state, "code", frozenset({"read_repository"}), WITHOUT_SCOPE)
    projects.create_token(state, "dead", projects.SCOPES, REVOKED).is_revoked = True
    app, other = projects.create_project(state, "app"), projects.create_project(state, "other")
    team, crew = projects.create_group(state, "team"), projects.create_group(state, "crew")
    for name in ("one", "two"):
        projects.create_project(state, name, namespace_id=team.id)
    for place in (app, team):
        projects.add_member(place, dave, 40)
        projects.add_member(place, erin, 20)
    app.variables = {key: Variable(key, "value", public=False) for key in ("FIRST", "SECOND")}
    world.names |= {"project": app.id, "other": other.id, "group": "team", "crew": crew.id, "token": code.id}
    world.names |= {"user": dave.id, "stranger": stranger.id}
    return app


def _runners(world: World, app: Project) -> None:
    state = world.state
    team = state.group("team")
    any_job = runners.RunnerSettings()
    shared = runners.create(state, "instance_type", any_job)
    runners.create(state, "instance_type", runners.RunnerSettings(tags=("arm64",)))
    for _ in range(2):
        runners.create(state, "group_type", any_job, group=team)
    own, alone = (runners.create(state, "project_type", any_job, project=app) for _ in range(2))
    own.project_ids.add(world["other"])
    away = runners.create(state, "project_type", any_job, project=state.project("root/other"))
    locked = runners.create(state, "project_type", runners.RunnerSettings(is_locked=True), project=app)
    world.names |= {"runner": shared.id, "own": own.id, "alone": alone.id, "away": away.id, "locked": locked.id}
    world.names |= {"runner_token": shared.token, "system_id": SYSTEM_ID}
    runners.heartbeat(state, shared, "r_000000000002", INFO)


def _pipelines(world: World, app: Project, commit: Commit) -> None:
    """The first is under way, with a job in every state; the second is done, with an archive to find by its ref."""
    state = world.state
    shared = state.runners[world["runner"]]
    first = _pipeline(state, app, commit, CI_TEXT)
    done = _taken(world, shared, "build")
    _send(world, done, zipped(out__a_txt="first"))
    jobs.append_trace(done, 0, b"hello\n")
    jobs.update(state, done, jobs.Update("success"))
    running = _taken(world, shared, "check")
    by_name = {job.spec.name: job for job in first.jobs}
    second = _pipeline(state, app, commit, "build: {script: [make]}")
    latest = _taken(world, shared, "build")
    _send(world, latest, zipped(out__a_txt="second"))
    jobs.update(state, latest, jobs.Update("success"))
    world.names |= {"done": done.id, "running": running.id, "job_token": running.token, "job": done.id}
    world.names |= {"pending": by_name["rare"].id, "manual": by_name["hold"].id, "latest": latest.id}
    world.names |= {"pipeline": first.id, "finished": second.id}


def _pipeline(state: State, project: Project, commit: Commit, text: str) -> Pipeline:
    made = pipelines.create(state, project, commit, pipelines.Trigger("main"), text)
    assert made is not None
    assert not made.yaml_errors
    return made


def _taken(world: World, runner: Runner, name: str) -> Job:
    job = jobs.request(world.state, runner.token, SYSTEM_ID, INFO)
    assert job is not None
    assert job.spec.name == name
    return job


def _send(world: World, job: Job, archive: bytes) -> None:
    digest = hashlib.sha256(archive).hexdigest()
    artifacts.add(world.state, job, artifacts.Upload("artifacts.zip", len(archive), digest, expire_in="1 day"))
    place = world.shell.artifact_path(job.id)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(archive)
