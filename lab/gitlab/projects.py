"""Users, groups, projects, memberships and access tokens: made, found, removed."""

from __future__ import annotations

import re

from lab.gitlab.errors import Conflict, Invalid, Missing
from lab.gitlab.model import AccessToken, Group, Project, User
from lab.gitlab.roles import Role
from lab.gitlab.state import State

SCOPES = frozenset(
    {
        "api",
        "read_api",
        "read_user",
        "create_runner",
        "manage_runner",
        "read_repository",
        "write_repository",
        "read_registry",
        "write_registry",
        "admin_mode",
    }
)
_PATH = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")


def create_root_namespace(state: State) -> Group:
    """The administrator, root, with the personal namespace where its projects go that name no other."""
    create_user(state, "root", "Administrator", is_admin=True)
    return namespace_of(state, state.user("root"))


def create_user(state: State, username: str, name: str = "", *, is_admin: bool = False) -> User:
    """A user with a personal namespace; sees nothing but what it is a member of, unless an administrator."""
    _check_path(username)
    if any(user.username.lower() == username.lower() for user in state.users.values()):
        raise Conflict("Username has already been taken")
    user = User(state.number("user"), username, name or username, is_admin)
    group = Group(state.number("namespace"), username, username, kind="user", members={user.id: Role.OWNER})
    state.users[user.id], state.groups[group.id] = user, group
    return user


def namespace_of(state: State, user: User) -> Group:
    """The user's personal namespace."""
    return next(g for g in state.groups.values() if g.kind == "user" and g.path == user.username)


def add_member(place: Project | Group, user: User, level: int) -> None:
    """Gives the user a role in the project or group."""
    if level not in tuple(Role)[1:]:
        raise Missing("access_level does not have a valid value")
    if user.id in place.members:
        raise Conflict("Member already exists")
    place.members[user.id] = Role(level)


def create_group(state: State, path: str, parent: Group | None = None) -> Group:
    _check_path(path)
    full_path = f"{parent.full_path}/{path}" if parent else path
    if any(group.full_path.lower() == full_path.lower() for group in state.groups.values()):
        raise Invalid('Failed to save group {:path=>["has already been taken"]}')
    group = Group(state.number("namespace"), path, full_path, parent=parent)
    state.groups[group.id] = group
    return group


def create_project(state: State, path: str, name: str = "", namespace_id: int | None = None) -> Project:
    """A new project; its git repository is the shell's to make."""
    path = path or re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-").lower()
    if not path:
        raise Missing("name is missing, path is missing, at least one parameter must be provided")
    _check_path(path)
    group = next(iter(state.groups.values())) if namespace_id is None else state.groups.get(namespace_id)
    if group is None:
        raise Invalid({"namespace": ["is not valid"]})
    if any(p.group is group and p.path.lower() == path.lower() for p in state.projects.values()):
        raise Invalid({"path": ["has already been taken"], "name": ["has already been taken"]})
    project = Project(state.number("project"), name or path, path, group, state.clock())
    state.projects[project.id] = project
    return project


def delete_project(state: State, project: Project) -> None:
    """Forgets the project with its pipelines and jobs; running jobs find their token dead."""
    del state.projects[project.id]
    for pipeline in [p for p in state.pipelines.values() if p.project is project]:
        del state.pipelines[pipeline.id]
        for job in pipeline.jobs:
            for file_type in job.artifacts:
                state.on_artifact_gone(job.id, file_type)
            state.jobs.pop(job.id, None)


def create_token(
    state: State, name: str, scopes: frozenset[str], value: str = "", user: User | None = None
) -> AccessToken:
    """A personal access token, root's unless a user is named; `value` is for tokens fixed in the configuration."""
    unknown = sorted(scopes - SCOPES)
    if unknown or not scopes:
        raise Missing(f"scopes does not have a valid value: {', '.join(unknown) or 'empty'}")
    owner = user or state.user("root")
    token = AccessToken(state.number("token"), name, value or state.mint("glpat-"), scopes, state.clock(), owner)
    state.tokens[token.value] = token
    return token


def _check_path(path: str) -> None:
    if not _PATH.match(path) or path.endswith((".git", ".atom", ".")):
        raise Invalid({"path": ["can contain only letters, digits, '_', '-' and '.'"]})
