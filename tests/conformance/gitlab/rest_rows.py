"""The table, REST for people and programs: the server, users, groups, projects, pipelines, jobs."""

from __future__ import annotations

from gitlab.v4.objects import Project

from tests.conformance.gitlab.rows import NO_TOTALS, TOTALS, Client, Row, Try

P = "/api/v4/projects/{project}"
GONE = "/api/v4/projects/999"
J = f"{P}/jobs/{{job}}"
PL = f"{P}/pipelines/{{pipeline}}"


def in_app(call: object) -> Client:
    """The call on the project, without a request for the project itself."""
    assert callable(call)
    return lambda gl, w: call(_app(gl.projects.get(w["project"], lazy=True)), w)


def _app(project: object) -> Project:
    assert isinstance(project, Project)
    return project


SERVER = (
    Row("GET", "/api/v4/version", stranger=200, client=lambda gl, _: gl.http_get("/version")),
    Row("GET", "/api/v4/metadata", stranger=200, client=lambda gl, _: gl.http_get("/metadata")),
    Row("GET", "/api/v4/user", stranger=200, client=lambda gl, _: gl.http_get("/user")),
    Row("GET", "/api/v4/users", stranger=200, pages=TOTALS, client=lambda gl, _: gl.users.list(get_all=True)),
    Row(
        "GET",
        "/api/v4/users/{user}",
        stranger=200,
        missing="/api/v4/users/999",
        client=lambda gl, w: gl.users.get(w["user"]),
    ),
    Row(
        "POST",
        "/api/v4/users",
        201,
        "admin",
        body={"username": "fay", "name": "Fay", "email": "fay@example.com"},
        stranger=403,
        wrong=(
            Try("a name that is taken", 409, body={"username": "dave", "name": "D", "email": "d@example.com"}),
            Try("no name", 400, body={"username": "gil", "email": "g@example.com"}),
        ),
        client=lambda gl, _: gl.users.create({"username": "hal", "name": "H", "email": "h@example.com"}),
    ),
    Row(
        "POST",
        "/api/v4/users/{user}/personal_access_tokens",
        201,
        "admin",
        body={"name": "t", "scopes": ["api"], "expires_at": "2099-01-01"},
        stranger=403,
        missing="/api/v4/users/999/personal_access_tokens",
        wrong=(
            Try("an unknown scope", 400, body={"name": "t", "scopes": ["everything"]}),
            Try("no date", 400, body={"name": "t", "scopes": ["api"], "expires_at": "soon"}),
        ),
        client=lambda gl, w: gl.users.get(w["user"], lazy=True).personal_access_tokens.create(
            {"name": "t", "scopes": ["read_api"]}
        ),
    ),
    Row(
        "GET",
        "/api/v4/personal_access_tokens",
        stranger=200,
        pages=TOTALS,
        client=lambda gl, _: gl.personal_access_tokens.list(get_all=True),
    ),
    Row(
        "GET",
        "/api/v4/personal_access_tokens/self",
        stranger=200,
        client=lambda gl, _: gl.personal_access_tokens.get("self"),
    ),
    Row(
        "DELETE",
        "/api/v4/personal_access_tokens/{token}",
        204,
        missing="/api/v4/personal_access_tokens/999",
        client=lambda gl, w: gl.personal_access_tokens.delete(w["token"]) or True,
    ),
    Row("GET", "/api/v4/groups", stranger=200, pages=TOTALS, client=lambda gl, _: gl.groups.list(get_all=True)),
    Row(
        "POST",
        "/api/v4/groups",
        201,
        body={"name": "new", "path": "new"},
        stranger=201,
        wrong=(
            Try("a path that is taken", 400, body={"name": "t", "path": "Team"}),
            Try("no path", 400, body={"name": "t"}),
            Try("a parent that is not there", 404, body={"name": "t", "path": "t", "parent_id": 999}),
        ),
        client=lambda gl, _: gl.groups.create({"name": "x", "path": "x"}),
    ),
    Row("GET", "/api/v4/groups/{group}", missing="/api/v4/groups/nope", client=lambda gl, _: gl.groups.get("team")),
    Row(
        "GET",
        "/api/v4/groups/{group}/projects",
        missing="/api/v4/groups/nope/projects",
        pages=TOTALS,
        client=lambda gl, _: gl.groups.get("team", lazy=True).projects.list(get_all=True),
    ),
    Row(
        "GET",
        "/api/v4/groups/{group}/members",
        missing="/api/v4/groups/nope/members",
        pages=TOTALS,
        client=lambda gl, _: gl.groups.get("team", lazy=True).members.list(get_all=True),
    ),
    Row(
        "POST",
        "/api/v4/groups/{group}/members",
        201,
        body={"user_id": "{stranger}", "access_level": 30},
        missing="/api/v4/groups/nope/members",
        wrong=(
            Try("a member already", 409, body={"user_id": "{user}", "access_level": 30}),
            Try("no such level", 400, body={"user_id": "{stranger}", "access_level": 31}),
        ),
        client=lambda gl, w: gl.groups.get("team", lazy=True).members.create(
            {"user_id": w["stranger"], "access_level": 20}
        ),
    ),
)
PROJECTS = (
    Row(
        "GET",
        "/api/v4/projects",
        stranger=200,
        pages=TOTALS,
        keyset="order_by=id",
        wrong=(Try("keyset in an order that has none", 405, query="pagination=keyset&order_by=name"),),
        client=lambda gl, _: gl.projects.list(get_all=True),
    ),
    Row(
        "POST",
        "/api/v4/projects",
        201,
        body={"name": "new"},
        stranger=201,
        wrong=(
            Try("a path that is taken", 400, body={"name": "APP"}),
            Try("no name", 400, body={}),
            Try("a path with a slash", 400, body={"path": "a/b"}),
            Try("a namespace that is not there", 400, body={"name": "x", "namespace_id": 999}),
        ),
        client=lambda gl, _: gl.projects.create({"name": "made"}),
    ),
    Row("GET", P, missing=GONE, client=lambda gl, w: gl.projects.get(w["project"])),
    Row(
        "PUT",
        P,
        body={"build_timeout": 7200},
        missing=GONE,
        wrong=(Try("no number", 400, body={"build_timeout": "long"}),),
        client=lambda gl, w: gl.projects.update(w["project"], {"shared_runners_enabled": False}),
    ),
    Row("DELETE", P, 202, missing=GONE, client=lambda gl, w: gl.projects.delete(w["project"]) or True),
    Row(
        "GET",
        f"{P}/members",
        missing=f"{GONE}/members",
        pages=TOTALS,
        client=in_app(lambda app, _: app.members.list(get_all=True)),
    ),
    Row(
        "POST",
        f"{P}/members",
        201,
        body={"user_id": "{stranger}", "access_level": 30},
        missing=f"{GONE}/members",
        wrong=(
            Try("a member already", 409, body={"user_id": "{user}", "access_level": 30}),
            Try("a user that is not there", 404, body={"user_id": 999, "access_level": 30}),
            Try("no level", 400, body={"user_id": "{stranger}"}),
        ),
        client=in_app(lambda app, w: app.members.create({"user_id": w["stranger"], "access_level": 20})),
    ),
    Row(
        "GET",
        f"{P}/variables",
        missing=f"{GONE}/variables",
        pages=TOTALS,
        client=in_app(lambda app, _: app.variables.list(get_all=True)),
    ),
    Row(
        "POST",
        f"{P}/variables",
        201,
        body={"key": "THIRD", "value": "3"},
        missing=f"{GONE}/variables",
        wrong=(
            Try("a key that is taken", 400, body={"key": "FIRST", "value": "1"}),
            Try("no key", 400, body={"value": "1"}),
        ),
        client=in_app(lambda app, _: app.variables.create({"key": "FOURTH", "value": "4"})),
    ),
    Row(
        "GET",
        f"{P}/repository/commits/{{revision}}",
        path=f"{P}/repository/commits/{{sha}}",
        missing=f"{P}/repository/commits/{'0' * 40}",
        client=in_app(lambda app, w: app.commits.get(w.names["sha"])),
    ),
    Row(
        "GET",
        f"{P}/repository/branches",
        missing=f"{GONE}/repository/branches",
        pages=TOTALS,
        client=in_app(lambda app, _: app.branches.list(get_all=True)),
    ),
)
LINTED: dict[str, object] = {"content": "job: {script: [x]}", "include_jobs": True}
PIPELINES = (
    Row(
        "GET",
        f"{P}/jobs",
        missing=f"{GONE}/jobs",
        pages=NO_TOTALS,
        keyset="sort=desc",
        wrong=(
            Try("a scope that is none", 400, query="scope[]=rainy"),
            Try("keyset in an order that has none", 405, query="pagination=keyset&order_by=name"),
        ),
        client=in_app(lambda app, _: app.jobs.list(get_all=True)),
    ),
    Row("GET", J, missing=f"{P}/jobs/999", client=in_app(lambda app, w: app.jobs.get(w["job"]))),
    Row(
        "GET",
        f"{J}/trace",
        missing=f"{P}/jobs/999/trace",
        client=in_app(lambda app, w: app.jobs.get(w["job"], lazy=True).trace()),
    ),
    Row(
        "POST",
        f"{J}/cancel",
        201,
        path=f"{P}/jobs/{{pending}}/cancel",
        missing=f"{P}/jobs/999/cancel",
        wrong=(Try("one that is over: stays as it is", 201, f"{P}/jobs/{{done}}/cancel"),),
        client=in_app(lambda app, w: app.jobs.get(w["pending"], lazy=True).cancel()),
    ),
    Row(
        "POST",
        f"{J}/retry",
        201,
        missing=f"{P}/jobs/999/retry",
        wrong=(Try("one that is not over", 403, f"{P}/jobs/{{pending}}/retry"),),
        client=in_app(lambda app, w: app.jobs.get(w["job"], lazy=True).retry()),
    ),
    Row(
        "POST",
        f"{J}/play",
        path=f"{P}/jobs/{{manual}}/play",
        missing=f"{P}/jobs/999/play",
        wrong=(Try("one that waits for nobody", 400, f"{P}/jobs/{{done}}/play"),),
    ),
    Row(
        "GET",
        f"{P}/pipelines",
        missing=f"{GONE}/pipelines",
        pages=TOTALS,
        client=in_app(lambda app, _: app.pipelines.list(get_all=True)),
    ),
    Row(
        "POST",
        f"{P}/pipeline",
        201,
        body={"ref": "main"},
        missing=f"{GONE}/pipeline",
        wrong=(
            Try("a ref that is not there", 400, body={"ref": "nope"}),
            Try("no ref", 400, body={}),
        ),
        client=in_app(lambda app, _: app.pipelines.create({"ref": "main"})),
    ),
    Row("GET", PL, missing=f"{P}/pipelines/999", client=in_app(lambda app, w: app.pipelines.get(w["pipeline"]))),
    Row(
        "DELETE",
        PL,
        204,
        missing=f"{P}/pipelines/999",
        client=in_app(lambda app, w: app.pipelines.delete(w["pipeline"]) or True),
    ),
    Row(
        "GET",
        f"{PL}/jobs",
        missing=f"{P}/pipelines/999/jobs",
        pages=TOTALS,
        wrong=(Try("a scope that is none", 400, query="scope[]=rainy"),),
        client=in_app(lambda app, w: app.pipelines.get(w["pipeline"], lazy=True).jobs.list(get_all=True)),
    ),
    Row(
        "POST",
        f"{PL}/cancel",
        missing=f"{P}/pipelines/999/cancel",
        wrong=(Try("one that is over: stays as it is", 200, f"{P}/pipelines/{{finished}}/cancel"),),
        client=in_app(lambda app, w: app.pipelines.get(w["pipeline"], lazy=True).cancel()),
    ),
    Row(
        "POST",
        f"{PL}/retry",
        201,
        missing=f"{P}/pipelines/999/retry",
        client=in_app(lambda app, w: app.pipelines.get(w["pipeline"], lazy=True).retry()),
    ),
    Row("GET", f"{P}/ci/lint", missing=f"{GONE}/ci/lint", client=in_app(lambda app, _: app.ci_lint.get())),
    Row(
        "POST",
        f"{P}/ci/lint",
        body=dict(LINTED),
        missing=f"{GONE}/ci/lint",
        client=in_app(lambda app, _: app.ci_lint.create(dict(LINTED))),
    ),
)
ROWS = (*SERVER, *PROJECTS, *PIPELINES)
