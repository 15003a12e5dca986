"""The runner manager's `system_id`, kept in `.runner_system_id` next to config.toml so that it outlives the process.

A valid file is used as it is (it may be read-only, such as a downward API volume); anything else is replaced, and if
it cannot be written the id lasts as long as the process.
"""

from __future__ import annotations

import re
import secrets
import string
import sys
from pathlib import Path

_VALID = re.compile(r"^[sr]_[0-9a-zA-Z]{12}$")
FILE_NAME = ".runner_system_id"


def system_id_for(config: Path | None) -> str:
    """The id for a configuration file; a fresh one without a file."""
    if config is None:
        return _fresh()
    path = config.parent / FILE_NAME
    known = _read(path)
    if _VALID.match(known):
        return known
    fresh = _fresh()
    try:
        path.write_text(fresh)
    except OSError as error:
        print(f"WARNING: could not write {path}: {error.strerror}", file=sys.stderr)  # noqa: T201 - the program's log
    return fresh


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _fresh() -> str:
    letters = string.ascii_letters + string.digits
    return "r_" + "".join(secrets.choice(letters) for _ in range(12))
