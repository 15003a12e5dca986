"""Two read-only pages for a browser, at GitLab's addresses: a pipeline's jobs, and a job's trace. Everything is
escaped."""

from __future__ import annotations

import html
import re

from aiohttp import web

from lab.gitlab.model import Job, Pipeline
from lab.gitlab.progress import status_of
from lab.gitlab.shell import number_of, shell_of

# A trace line's prefix (time and stream), terminal colours and section marks are for programs.
_NOISE = re.compile(
    r"^\d{4}-\d\d-\d\dT[\d:.]+Z [0-9a-f]{2}[OE][ +]|\x1b\[[0-9;]*[A-Za-z]|section_(?:start|end):\d+:\w+\r", re.M
)
_PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px sans-serif;margin:2em}} pre{{background:#111;color:#ddd;padding:1em;overflow:auto}}
td{{padding:.2em 1em .2em 0}}</style><h1>{title}</h1>{body}"""


def _page(title: str, body: str) -> web.Response:
    return web.Response(text=_PAGE.format(title=html.escape(title), body=body), content_type="text/html")


async def show_pipeline(request: web.Request) -> web.Response:
    state = shell_of(request).state
    pipeline = state.pipeline(state.project(request.match_info["project"]), number_of(request, "pipeline"))
    error = f"<pre>{html.escape(pipeline.yaml_errors)}</pre>" if pipeline.yaml_errors else ""
    rows = "".join(_row(pipeline, job) for job in pipeline.jobs)
    return _page(f"Pipeline {pipeline.id}: {status_of(pipeline)}", f"{error}<table>{rows}</table>")


def _row(pipeline: Pipeline, job: Job) -> str:
    link = f"/{pipeline.project.full_path}/-/jobs/{job.id}"
    cells = (job.spec.stage, job.status, ", ".join(job.spec.tags), job.runner.description if job.runner else "")
    shown = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
    return f'<tr><td><a href="{html.escape(link)}">{html.escape(job.spec.name)}</a></td>{shown}</tr>'


async def show_job(request: web.Request) -> web.Response:
    state = shell_of(request).state
    job = state.job(state.project(request.match_info["project"]), number_of(request, "job"))
    reason = f" ({job.failure_reason})" if job.failure_reason else ""
    trace = _NOISE.sub("", job.trace.decode(errors="replace"))
    return _page(f"Job {job.id} {job.spec.name}: {job.status}{reason}", f"<pre>{html.escape(trace)}</pre>")


ROUTES = [
    web.get(r"/{project:.+}/-/pipelines/{pipeline:\d+}", show_pipeline),
    web.get(r"/{project:.+}/-/jobs/{job:\d+}", show_job),
]
