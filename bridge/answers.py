"""What GitLab answers, read within bounds (rule T1): a refusal names the answer and the field, and ends no loop.

Where an answer decides what is deleted (who is busy, which runner is ours) it is read whole or refused, and all is held
until the next look. A pending job that cannot be read is left out: nobody can serve it, and others wait.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from bridge.errors import GitLabUnreadable
from bridge.observed import PendingJob
from federation.model.reading import Unreadable, check, whole
from federation.model.shape import Fields, Flag, Items, Shape, Text, Whole

Row = Mapping[str, Any]

_ID = Whole(0)
_WORD = Text(1024)  # names, paths, system ids; GitLab's own bounds are 255
_LONG = Text(4096)  # addresses, cursors, messages
_TAGS = Items(Text(256), max=256)
_BUILD = "/Ci::Build/"  # in the ids of jobs that runners run; trigger jobs have others

ROW = Fields({"id": _ID}, ("id",))
USER = Fields({"is_admin": Flag()})
PROJECT = Fields({"path_with_namespace": _WORD}, ("path_with_namespace",))
RUNNING = Fields({"id": _ID, "project": ROW}, ("id", "project"))
JOB = Fields(
    {
        "id": _ID,
        "name": _WORD,
        "tag_list": _TAGS,
        "web_url": _LONG,
        "runner": Fields(),
        "runner_manager": Fields({"system_id": _WORD}),
    },
    ("id",),
)
RUNNER = Fields(
    {"id": _ID, "description": _LONG, "tag_list": _TAGS, "run_untagged": Flag(), "maximum_timeout": Whole(0)}
)
CREATED = Fields({"id": _ID, "token": _WORD}, ("id", "token"))
TOKEN = Fields({"token": _WORD}, ("token",))
_MANAGER = Fields({"systemId": _WORD})
_NODE = Fields(
    {
        "id": _WORD,
        "name": _WORD,
        "tags": _TAGS,
        "webPath": _LONG,
        "project": Fields({"fullPath": _WORD}),
        "runner": Fields(),
        "runnerManager": _MANAGER,
    },
    ("id",),
)
_PAGE = Fields(
    {
        "pageInfo": Fields({"hasNextPage": Flag(), "endCursor": _LONG}, ("hasNextPage",)),
        "nodes": Items(Fields({"id": _WORD}, ("id",)), max=1000),  # 100 are asked for
    },
    ("pageInfo", "nodes"),
)
_WITH_MANAGERS = Fields({**_PAGE.known, "nodes": Items(Fields({"runnerManager": _MANAGER}), max=1000)}, _PAGE.required)
BUSY = Fields({"runner": Fields({"jobs": _WITH_MANAGERS}, ("jobs",))})
ANY_JOBS = Fields({"jobs": Fields({"nodes": Items(Fields(), max=1000)}, ("nodes",))}, ("jobs",))
PENDING = Fields({"jobs": _PAGE}, ("jobs",))
GRAPHQL = Fields({"data": Fields(), "errors": Items(Fields({"message": _LONG}))})


def read(value: object, shape: Shape, what: str) -> Any:
    """Return the answer; raises GitLabUnreadable, by `what` was asked, where it has another shape."""
    try:
        check(value, shape, f"GitLab's answer to {what}")
    except Unreadable as error:
        raise GitLabUnreadable(str(error)) from None
    return value


def read_all(rows: Iterable[object], shape: Shape, what: str) -> list[Any]:
    """Return the rows of a list, each read."""
    return [read(row, shape, what) for row in rows]


def pending_job(project: str, row: object) -> PendingJob | None:
    """Return the job of a row of a project's jobs; None for one that cannot be read."""
    job = JOB.fit(row)
    if job is None:
        return None
    return PendingJob(
        id=job["id"],
        project=project,
        name=job.get("name") or "",
        tags=frozenset(job.get("tag_list") or ()),
        url=job.get("web_url") or "",
        is_assigned=bool(job.get("runner")),
        taken_by=(job.get("runner_manager") or {}).get("system_id") or "",
    )


def pending_node(node: object, url: str) -> PendingJob | None:
    """Return the job of a node of GraphQL's jobs; None for a trigger job, and one that cannot be read."""
    job = _NODE.fit(node)
    number = whole(job["id"].rpartition("/")[2]) if job is not None and _BUILD in job["id"] else 0
    if job is None or not number:
        return None
    return PendingJob(
        id=number,
        project=(job.get("project") or {}).get("fullPath") or "",
        name=job.get("name") or "",
        tags=frozenset(job.get("tags") or ()),
        url=f"{url}{job.get('webPath') or ''}",
        is_assigned=bool(job.get("runner")),
        taken_by=(job.get("runnerManager") or {}).get("systemId") or "",
    )
