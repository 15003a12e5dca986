"""Artifacts: the files a job names, as one zip (or gzip, for reports) up to GitLab; those of jobs it depends on, down.

Patterns are those of the real runner: `*` stays within a directory, `**` does not, a directory stands for all in it.
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterable
from pathlib import Path

from lab.runner.variables import expand

BadZipFile = zipfile.BadZipFile
_GLOB = re.compile(r"\*\*/|\*\*|\*|\?|\{[^{}]*\}|\[[^\]]*\]")


def matching(directory: Path, paths: Iterable[str], exclude: Iterable[str]) -> list[Path]:
    """The files (not directories) under the directory that the patterns name, sorted; links out of it are left."""
    wanted, excluded = ([_regex(_within(pattern, directory)) for pattern in side] for side in (paths, exclude))
    found = []
    for path in directory.rglob("*"):
        name = path.relative_to(directory).as_posix()
        places = [*(parent.as_posix() for parent in Path(name).parents), name]
        if (
            path.is_file()
            and any(pattern.fullmatch(place) for pattern in wanted for place in places)
            and not any(pattern.fullmatch(name) for pattern in excluded)
            and path.resolve().is_relative_to(directory.resolve())
        ):
            found.append(path)
    return sorted(found)


def _within(pattern: str, directory: Path) -> str:
    """The pattern relative to the directory, which it may name in full."""
    return pattern.strip().removeprefix(f"{directory}/").removeprefix("./").rstrip("/") or "."


def _regex(pattern: str) -> re.Pattern[str]:
    """A pattern with `**` as a regular expression over the whole path."""
    parts, end = [], 0
    for match in _GLOB.finditer(pattern):
        parts += [re.escape(pattern[end : match.start()]), _wildcard(match[0])]
        end = match.end()
    return re.compile("".join([*parts, re.escape(pattern[end:])]))


def _wildcard(text: str) -> str:
    if text.startswith("{"):
        return f"(?:{'|'.join(_regex(choice).pattern for choice in text[1:-1].split(','))})"
    if text.startswith("["):
        return text.replace("[!", "[^", 1)
    return {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}[text]


def untracked(directory: Path) -> list[str]:
    """Names of the files that git does not know, ignored ones too."""
    command = ["git", "ls-files", "--others", "-z"]
    listing = subprocess.run(command, cwd=directory, capture_output=True, check=False).stdout
    return [name for name in listing.decode(errors="surrogateescape").split("\0") if name]


def pack(directory: Path, files: Iterable[Path], archive: Path) -> None:
    """Writes the zip; names in it are relative to the directory."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in files:
            target.write(path, path.relative_to(directory))


def compress(files: Iterable[Path], archive: Path) -> None:
    """Writes the files one after the other, each a gzip member, as the real runner sends reports."""
    with archive.open("wb") as target:
        for path in files:
            with path.open("rb") as source, gzip.GzipFile(path.name, "wb", fileobj=target) as member:
                shutil.copyfileobj(source, member)


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
