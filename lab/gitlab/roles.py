"""What a user may do where: GitLab's access levels, inherited from groups, as far as they decide an answer. Pure.

An administrator may do everything. A project that is not private can be read by anyone with an account.
"""

from __future__ import annotations

from enum import IntEnum

from lab.gitlab.model import Group, Project, Runner, User


class Role(IntEnum):
    """GitLab's numbers for access levels."""

    NONE = 0
    GUEST = 10
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50


def role_in(user: User, place: Project | Group) -> Role:
    """The highest role the user has in a project or group, its parents included."""
    if user.is_admin:
        return Role.OWNER
    readable = isinstance(place, Project) and place.visibility != "private"
    own = Role(place.members.get(user.id, Role.REPORTER if readable else Role.NONE))
    above = place.group if isinstance(place, Project) else place.parent
    return own if above is None else max(own, role_in(user, above))


def is_member(user: User, project: Project) -> bool:
    """Whether the project is one of the user's own, not merely readable."""
    place: Project | Group | None = project
    while place is not None:
        if user.id in place.members:
            return True
        place = place.group if isinstance(place, Project) else place.parent
    return False


def may_create_runner(user: User, group: Group | None, project: Project | None) -> bool:
    """Administrators for the instance, owners for a group, maintainers for a project."""
    if project is not None:
        return role_in(user, project) >= Role.MAINTAINER
    return user.is_admin if group is None else role_in(user, group) >= Role.OWNER


def may_manage_runner(user: User, runner: Runner, projects: list[Project]) -> bool:
    """Who may change a runner, reset its token, take it away, or see its jobs; `projects`: those it is assigned to."""
    if runner.runner_type == "project_type":
        return any(role_in(user, project) >= Role.MAINTAINER for project in projects)
    return may_create_runner(user, runner.group, None)


def may_see_runner(user: User, runner: Runner, projects: list[Project]) -> bool:
    """Instance runners are everybody's to see; the others are their managers'."""
    return runner.runner_type == "instance_type" or may_manage_runner(user, runner, projects)
