"""`parallel:` turned into several jobs: a number gives `name 1/3`, a matrix gives `name: [arm64, debug]`."""

from __future__ import annotations

import itertools
from dataclasses import replace

from lab.gitlab.ci.spec import JobSpec
from lab.gitlab.ci.values import strings, whole_number
from lab.gitlab.ci.variables import Variable
from lab.gitlab.errors import CiConfigError

PARALLEL_MAX = 200  # GitLab's own bound, for numbers and for matrix permutations


def expand_parallel(job: JobSpec, parallel: object) -> list[JobSpec]:
    """The instances of the job, or the job alone when it is not parallel."""
    where = f"jobs:{job.name}:parallel"
    if parallel is None:
        return [job]
    if isinstance(parallel, dict):
        if set(parallel) != {"matrix"} or not isinstance(parallel["matrix"], list):
            raise CiConfigError(f"{where} config should be a whole number or a hash with a matrix list")
        rows = [row for item in parallel["matrix"] for row in _rows(where, item)]
        names = [f"{job.group}: [{', '.join(row.values())}]" for row in rows]
    else:
        total = whole_number(where, parallel, 1, PARALLEL_MAX)
        rows = [{} for _ in range(total)]
        names = [f"{job.group} {index}/{total}" for index in range(1, total + 1)]
    if not 1 <= len(rows) <= PARALLEL_MAX:
        raise CiConfigError(f"{where}:matrix config generates {len(rows)} jobs; from 1 to {PARALLEL_MAX} are allowed")
    return [
        _instance(job, name, row, index, len(rows))
        for index, (name, row) in enumerate(zip(names, rows, strict=True), 1)
    ]


def _rows(where: str, item: object) -> list[dict[str, str]]:
    if not isinstance(item, dict):
        raise CiConfigError(f"{where}:matrix config should be an array of hashes")
    columns = [
        [str(value) for value in values] if isinstance(values, list) else strings(where, str(values))
        for values in item.values()
    ]
    return [dict(zip(map(str, item), row, strict=True)) for row in itertools.product(*columns)]


def _instance(job: JobSpec, name: str, row: dict[str, str], index: int, total: int) -> JobSpec:
    numbering = (Variable("CI_NODE_INDEX", str(index)), Variable("CI_NODE_TOTAL", str(total)))
    own = tuple(Variable(key, value) for key, value in row.items())
    return replace(job, name=name, variables=(*job.variables, *own, *numbering))
