"""What each role may do, from guest to owner; by python-gitlab, as a member of one project and one group."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import gitlab
import pytest
from gitlab.v4.objects import CurrentUserRunnerManager

from lab.gitlab import projects
from lab.gitlab.roles import Role
from tests.conformance.gitlab.world import World

Call = Callable[[gitlab.Gitlab, World], object]
LEVELS = tuple(Role)[1:]
TOKEN = "glpat-member"


def runner_for(**scope: str) -> Call:
    """Creates a runner of the kind that the scope names."""
    [(key, name)] = scope.items()
    kind = key.removesuffix("_id")

    def create(gl: gitlab.Gitlab, w: World) -> object:
        return CurrentUserRunnerManager(gl).create({"runner_type": f"{kind}_type", key: w.names[name]})

    return create


CALLS: dict[str, tuple[Role, Call]] = {
    "read the project": (Role.GUEST, lambda gl, w: gl.projects.get(w["project"])),
    "list jobs": (Role.REPORTER, lambda gl, w: _app(gl, w).jobs.list(get_all=True)),
    "read a trace": (Role.REPORTER, lambda gl, w: _app(gl, w).jobs.get(w["job"], lazy=True).trace()),
    "read artifacts": (Role.REPORTER, lambda gl, w: _app(gl, w).jobs.get(w["job"], lazy=True).artifacts()),
    "cancel a job": (Role.DEVELOPER, lambda gl, w: _app(gl, w).jobs.get(w["pending"], lazy=True).cancel()),
    "retry a pipeline": (Role.DEVELOPER, lambda gl, w: _app(gl, w).pipelines.get(w["pipeline"], lazy=True).retry()),
    "cancel by force": (
        Role.MAINTAINER,
        lambda gl, w: gl.http_post(f"/projects/{w['project']}/jobs/{w['running']}/cancel", post_data={"force": True}),
    ),
    "read variables": (Role.MAINTAINER, lambda gl, w: _app(gl, w).variables.list(get_all=True)),
    "list runners": (Role.MAINTAINER, lambda gl, w: _app(gl, w).runners.list(get_all=True)),
    "read a project runner": (Role.MAINTAINER, lambda gl, w: gl.runners.get(w["own"])),
    "pause a project runner": (Role.MAINTAINER, lambda gl, w: gl.runners.update(w["own"], {"paused": True})),
    "create a project runner": (Role.MAINTAINER, runner_for(project_id="project")),
    "create a group runner": (Role.OWNER, runner_for(group_id="crew")),
    "delete the project": (Role.OWNER, lambda gl, w: gl.projects.delete(w["project"])),
}
NOBODYS: dict[str, Call] = {
    "create an instance runner": lambda gl, _: CurrentUserRunnerManager(gl).create({"runner_type": "instance_type"}),
    "list all runners": lambda gl, _: gl.runners_all.list(get_all=True),
    "pause an instance runner": lambda gl, w: gl.runners.update(w["runner"], {"paused": True}),
    "see what an instance runner runs": lambda gl, w: gl.runners.get(w["runner"], lazy=True).jobs.list(get_all=True),
    "create users": lambda gl, _: gl.users.create({"username": "x", "name": "x", "email": "x@example.com"}),
}


def _app(gl: gitlab.Gitlab, world: World) -> gitlab.v4.objects.Project:
    return gl.projects.get(world["project"], lazy=True)


def member(world: World, level: Role) -> gitlab.Gitlab:
    """A client for somebody with this role in the project `app` and the group `crew`."""
    state = world.state
    user = projects.create_user(state, "member")
    projects.create_token(state, "member's", projects.SCOPES, TOKEN, user)
    projects.add_member(state.project("root/app"), user, level)
    projects.add_member(state.group("crew"), user, level)
    return world.client(TOKEN)


async def may(world: World, client: gitlab.Gitlab, call: Call) -> bool:
    """Whether the call is allowed; it may fail with 403 only."""
    try:
        await asyncio.to_thread(lambda: call(client, world))
    except gitlab.GitlabError as error:
        if error.response_code != 403:
            raise
        return False
    return True


@pytest.mark.parametrize("name", CALLS)
async def test_the_least_role_that_may(name: str, world: World) -> None:
    least, call = CALLS[name]
    below = [level for level in LEVELS if level < least]
    if below:
        client = member(world, below[-1])
        assert not await may(world, client, call)
        user = world.state.user("member")
        world.state.project("root/app").members[user.id] = world.state.group("crew").members[user.id] = least
    else:
        client = member(world, least)
    assert await may(world, client, call)


@pytest.mark.parametrize("name", NOBODYS)
async def test_what_only_administrators_may(name: str, world: World) -> None:
    assert not await may(world, member(world, Role.OWNER), NOBODYS[name])
    assert await may(world, world.client(), NOBODYS[name])


async def test_lists_show_what_is_ones_own_to_see(world: World) -> None:
    client = member(world, Role.MAINTAINER)
    names = await asyncio.to_thread(lambda: [p.path for p in client.projects.list(get_all=True)])
    assert names == ["app"]
    own = await asyncio.to_thread(lambda: {r.runner_type for r in client.runners.list(get_all=True)})
    assert own == {"project_type"}
    assert await asyncio.to_thread(lambda: [g.path for g in client.groups.list(get_all=True)]) == ["crew"]
    tokens = await asyncio.to_thread(lambda: client.personal_access_tokens.list(get_all=True))
    assert [token.name for token in tokens] == ["member's"]
