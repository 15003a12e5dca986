"""Artifacts: the files a job names, as one zip up to GitLab; those of jobs it depends on, down into its directory."""

from __future__ import annotations

import fnmatch
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

from lab.runner.variables import expand

BadZipFile = zipfile.BadZipFile


def matching(directory: Path, paths: Iterable[str], exclude: Iterable[str]) -> list[Path]:
    """The files (not directories) under the directory that the patterns name, sorted."""
    excluded = list(exclude)
    found: set[Path] = set()
    for pattern in paths:
        for path in directory.glob(pattern.strip().lstrip("/").removeprefix("./") or "*"):
            found.update(path.rglob("*") if path.is_dir() else [path])
    inside = [path for path in found if path.is_file() and path.resolve().is_relative_to(directory.resolve())]
    return sorted(path for path in inside if not _is_excluded(str(path.relative_to(directory)), excluded))


def _is_excluded(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern.replace("**/", "*")) for pattern in patterns)


def pack(directory: Path, files: Iterable[Path], archive: Path) -> None:
    """Writes the zip; names in it are relative to the directory."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in files:
            target.write(path, path.relative_to(directory))


def unpack(data: bytes, directory: Path) -> None:
    """Extracts the zip below the directory, modes included."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        for member in source.infolist():
            path = Path(source.extract(member, directory))
            mode = member.external_attr >> 16 & 0o777
            if mode and path.is_file():
                path.chmod(mode)


def expanded(patterns: object, values: dict[str, str]) -> list[str]:
    """Patterns of the payload with variables filled in."""
    return [expand(str(pattern), values) for pattern in patterns] if isinstance(patterns, list) else []
