"""The table, runners and what they do: the runner protocol, runners by REST, artifacts; then all that is no REST."""

from __future__ import annotations

from gitlab.v4.objects import CurrentUserRunnerManager

from tests.conformance.gitlab.rest_rows import GONE, J, P, in_app
from tests.conformance.gitlab.rows import TOTALS, WHOLE, Row, Try

A = "/api/v4"
RUNNER: dict[str, object] = {"token": "{runner_token}", "system_id": "{system_id}"}
NO_TOKEN = Try("no token", 400, body={"system_id": "{system_id}"})
HELD = f"{A}/jobs/{{running}}"
FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\nPK\r\n--b--\r\n'

PROTOCOL = (
    Row("POST", f"{A}/runners/verify", who="runner", body=RUNNER, wrong=(NO_TOKEN,)),
    Row("POST", f"{A}/jobs/request", 204, "runner", body=RUNNER),
    Row("POST", f"{A}/runners/reset_authentication_token", 201, "runner", body=RUNNER, wrong=(NO_TOKEN,)),
    Row("DELETE", f"{A}/runners", 204, "runner", body=RUNNER, wrong=(NO_TOKEN,)),
    Row(
        "DELETE",
        f"{A}/runners/managers",
        204,
        "runner",
        body=RUNNER,
        wrong=(
            Try("no system id", 400, body={"token": "{runner_token}"}),
            Try("a manager that is not there", 404, body={"token": "{runner_token}", "system_id": "r_999999999999"}),
        ),
    ),
    Row("GET", f"{A}/runners/router/discovery", 501, "anyone"),
    Row("POST", f"{A}/runners", 410, "anyone", body={"token": "registration"}),
    Row(
        "PUT",
        f"{A}/jobs/{{job}}",
        who="job",
        path=HELD,
        body={"state": "success"},
        missing=f"{A}/jobs/999",
        wrong=(
            Try("a state that is none", 400, body={"state": "rainy"}),
            Try("a trace that is not what was sent", 412, body={"state": "success", "output": {"bytesize": 5}}),
            Try("a job that is over", 403, f"{A}/jobs/{{done}}", body={"state": "success"}),
        ),
    ),
    Row(
        "PATCH",
        f"{A}/jobs/{{job}}/trace",
        202,
        "job",
        path=f"{HELD}/trace",
        body=b"hello",
        headers=(("Content-Range", "0-4"),),
        missing=f"{A}/jobs/999/trace",
        wrong=(Try("a job that is over", 403, f"{A}/jobs/{{done}}/trace", body=b"hello"),),
    ),
    Row(
        "POST",
        f"{A}/jobs/{{job}}/artifacts/authorize",
        who="job",
        path=f"{HELD}/artifacts/authorize",
        missing=f"{A}/jobs/999/artifacts/authorize",
        wrong=(
            Try("too large", 413, query="filesize=999999999999"),
            Try("a type that is none", 400, query="artifact_type=rain"),
        ),
    ),
    Row(
        "POST",
        f"{A}/jobs/{{job}}/artifacts",
        201,
        "job",
        path=f"{HELD}/artifacts",
        query="artifact_type=archive&artifact_format=zip&expire_in=1+day",
        body=FORM,
        missing=f"{A}/jobs/999/artifacts",
        wrong=(
            Try("a type that is none", 400, body=FORM, query="artifact_type=rain"),
            Try("a format that is none", 400, body=FORM, query="artifact_format=rar"),
            Try("no duration", 400, body=FORM, query="expire_in=soon"),
            Try("no file", 400, body=FORM.replace(b'"file"', b'"tile"')),
            Try("a job that is over", 403, f"{A}/jobs/{{done}}/artifacts", body=FORM),
        ),
    ),
    Row(
        "GET",
        f"{A}/jobs/{{job}}/artifacts",
        who="job",
        path=f"{A}/jobs/{{done}}/artifacts",
        denied=401,
        missing=f"{A}/jobs/{{pending}}/artifacts",
        wrong=(Try("a job that is not there", 403, f"{A}/jobs/999/artifacts"),),
    ),
    Row("GET", f"{A}/job", who="job", denied=401),
)
RUNNERS = (
    Row(
        "POST",
        f"{A}/user/runners",
        201,
        body={"runner_type": "instance_type", "tag_list": ["x"]},
        stranger=403,
        wrong=(
            Try("a type that is none", 400, body={"runner_type": "rainy_type"}),
            Try("no group", 400, body={"runner_type": "group_type"}),
            Try("a group that is not there", 404, body={"runner_type": "group_type", "group_id": 999}),
            Try("too short a timeout", 400, body={"runner_type": "instance_type", "maximum_timeout": 5}),
        ),
        client=lambda gl, _: CurrentUserRunnerManager(gl).create({"runner_type": "instance_type"}),
    ),
    Row("GET", f"{A}/runners", stranger=200, pages=TOTALS, client=lambda gl, _: gl.runners.list(get_all=True)),
    Row(
        "GET",
        f"{A}/runners/all",
        who="admin",
        stranger=403,
        pages=TOTALS,
        client=lambda gl, _: gl.runners_all.list(get_all=True),
    ),
    Row(
        "GET",
        f"{A}/runners/{{runner}}",
        path=f"{A}/runners/{{own}}",
        stranger=403,
        missing=f"{A}/runners/999",
        client=lambda gl, w: gl.runners.get(w["runner"]),
    ),
    Row(
        "PUT",
        f"{A}/runners/{{runner}}",
        body={"paused": True},
        stranger=403,
        missing=f"{A}/runners/999",
        wrong=(
            Try("nothing to change", 400, body={}),
            Try("too short a timeout", 400, body={"maximum_timeout": 5}),
            Try("an access level that is none", 400, body={"access_level": "open"}),
        ),
        client=lambda gl, w: gl.runners.update(w["runner"], {"description": "new"}),
    ),
    Row(
        "DELETE",
        f"{A}/runners/{{runner}}",
        204,
        stranger=403,
        missing=f"{A}/runners/999",
        client=lambda gl, w: gl.runners.delete(w["runner"]) or True,
    ),
    Row(
        "POST",
        f"{A}/runners/{{runner}}/reset_authentication_token",
        201,
        stranger=403,
        missing=f"{A}/runners/999/reset_authentication_token",
        client=lambda gl, w: gl.http_post(f"/runners/{w['runner']}/reset_authentication_token"),
    ),
    Row(
        "GET",
        f"{A}/runners/{{runner}}/managers",
        stranger=200,
        missing=f"{A}/runners/999/managers",
        pages=WHOLE,
        client=lambda gl, w: gl.http_list(f"/runners/{w['runner']}/managers", get_all=True),
    ),
    Row(
        "GET",
        f"{A}/runners/{{runner}}/jobs",
        stranger=403,
        missing=f"{A}/runners/999/jobs",
        pages=TOTALS,
        keyset="order_by=id&sort=asc",
        wrong=(
            Try("a status that is none", 400, query="status=rainy"),
            Try("a manager that is not there", 404, query="system_id=r_999999999999"),
        ),
        client=lambda gl, w: gl.runners.get(w["runner"], lazy=True).jobs.list(get_all=True),
    ),
    Row(
        "GET",
        f"{P}/runners",
        missing=f"{GONE}/runners",
        pages=TOTALS,
        client=in_app(lambda app, _: app.runners.list(get_all=True)),
    ),
    Row(
        "POST",
        f"{P}/runners",
        201,
        body={"runner_id": "{away}"},
        missing=f"{GONE}/runners",
        wrong=(
            Try("one that is here already", 400, body={"runner_id": "{own}"}),
            Try("one that is locked", 403, body={"runner_id": "{locked}"}),
            Try("one that is not there", 404, body={"runner_id": 999}),
            Try("none", 400, body={}),
        ),
        client=in_app(lambda app, w: app.runners.create({"runner_id": w["away"]})),
    ),
    Row(
        "DELETE",
        f"{P}/runners/{{runner}}",
        204,
        path=f"{P}/runners/{{own}}",
        missing=f"{P}/runners/999",
        wrong=(Try("its last project", 403, f"{P}/runners/{{alone}}"),),
        client=in_app(lambda app, w: app.runners.delete(w["own"]) or True),
    ),
    Row(
        "GET",
        f"{A}/groups/{{group}}/runners",
        missing=f"{A}/groups/nope/runners",
        pages=TOTALS,
        client=lambda gl, _: gl.groups.get("team", lazy=True).runners.list(get_all=True),
    ),
)
LATEST = f"{P}/jobs/artifacts/main"
ARTIFACTS = (
    Row(
        "GET",
        f"{J}/artifacts",
        missing=f"{P}/jobs/{{pending}}/artifacts",
        client=in_app(lambda app, w: app.jobs.get(w["job"], lazy=True).artifacts()),
    ),
    Row(
        "GET",
        f"{J}/artifacts/{{path}}",
        path=f"{J}/artifacts/out/a.txt",
        missing=f"{J}/artifacts/out/b.txt",
        wrong=(Try("a directory", 400, f"{J}/artifacts/out/"),),
        client=in_app(lambda app, w: app.jobs.get(w["job"], lazy=True).artifact("out/a.txt")),
    ),
    Row(
        "GET",
        f"{P}/jobs/artifacts/{{ref}}/download",
        path=f"{LATEST}/download",
        query="job=build",
        missing=f"{P}/jobs/artifacts/nope/download",
        wrong=(Try("no job", 400, query="x=1"), Try("a job without an archive", 404, query="job=check")),
        client=in_app(lambda app, _: app.artifacts.download("main", "build")),
    ),
    Row(
        "GET",
        f"{P}/jobs/artifacts/{{ref}}/raw/{{path}}",
        path=f"{LATEST}/raw/out/a.txt",
        query="job=build",
        missing=f"{LATEST}/raw/out/b.txt",
        wrong=(Try("no job", 400, query="x=1"),),
        client=in_app(lambda app, _: app.artifacts.raw("main", "out/a.txt", "build")),
    ),
    Row(
        "POST",
        f"{J}/artifacts/keep",
        missing=f"{P}/jobs/{{pending}}/artifacts/keep",
        client=in_app(lambda app, w: app.jobs.get(w["job"], lazy=True).keep_artifacts() or True),
    ),
    Row(
        "DELETE",
        f"{J}/artifacts",
        204,
        missing=f"{P}/jobs/999/artifacts",
        client=in_app(lambda app, w: app.jobs.get(w["job"], lazy=True).delete_artifacts() or True),
    ),
    Row(
        "POST",
        f"{J}/erase",
        201,
        missing=f"{P}/jobs/999/erase",
        wrong=(Try("one that is not over", 403, f"{P}/jobs/{{running}}/erase"),),
        client=in_app(lambda app, w: app.jobs.get(w["job"], lazy=True).erase() or True),
    ),
    Row(
        "DELETE",
        f"{P}/artifacts",
        202,
        missing=f"{GONE}/artifacts",
        client=in_app(lambda app, _: app.artifacts.delete() or True),
    ),
)
JWT = "service=container_registry&scope=repository:root/app:pull"
OTHER = (
    Row(
        "POST",
        "/api/graphql",
        body={"query": "{ jobs(statuses: [PENDING]) { nodes { id } } }"},
        stranger=200,
        wrong=(Try("too long a query", 422, body={"query": "x" * 10_001}),),
    ),
    Row(
        "GET",
        "/jwt/auth",
        who="password",
        query=JWT,
        wrong=(Try("another service", 404, query="service=other"),),
    ),
    Row(
        "GET",
        "/{project}/-/pipelines/{pipeline}",
        who="anyone",
        path="/root/app/-/pipelines/{pipeline}",
        missing="/root/app/-/pipelines/999",
    ),
    Row(
        "GET",
        "/{project}/-/jobs/{job}",
        who="anyone",
        path="/root/app/-/jobs/{job}",
        missing="/root/app/-/jobs/999",
    ),
    Row(
        "GET",
        "/{project}/{service}",
        who="password",
        path="/root/app.git/info/refs",
        query="service=git-upload-pack",
        missing="/root/nope.git/info/refs",
    ),
    Row(
        "POST",
        "/{project}/{service}",
        who="password",
        path="/root/app.git/git-upload-pack",
        body=b"0000",
        headers=(("Content-Type", "application/x-git-upload-pack-request"),),
        missing="/root/nope.git/git-upload-pack",
    ),
)
ROWS = (*PROTOCOL, *RUNNERS, *ARTIFACTS, *OTHER)
