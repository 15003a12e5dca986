"""A pod's volumes on disk.

Files made of API objects are replaced all at once, as upstream does: they live in a directory of their own, `..data`
links to it, and each name links through `..data`; a container sees either the old set or the new one.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from lab.kubelet.volumes import File


def write(directory: Path, files: Mapping[str, File]) -> None:
    """Make the volume at `directory` have exactly `files`; does nothing where it has them already."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    current = directory / "..data"
    if current.is_symlink() and _read(current.resolve()) == dict(files):
        return
    old = current.resolve() if current.is_symlink() else None
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=directory))
    fresh.chmod(0o755)
    for name, file in files.items():
        _place(fresh / name, file)
    _link(directory / "..data", fresh.name)
    tops = {PurePosixPath(name).parts[0] for name in files}
    for top in tops:
        _link(directory / top, f"..data/{top}")
    for entry in directory.iterdir():
        if not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if old is not None:
        shutil.rmtree(old)


def part(directory: Path, name: str) -> Path:
    """The directory or file `name` within a volume; made (a directory) where it is not there. Raises ValueError."""
    path = directory / name
    real = path.resolve()
    if not real.is_relative_to(directory.resolve()):
        raise ValueError(f"subPath {name!r} leads out of its volume")
    if not real.exists():
        real.mkdir(parents=True)
    return real


def _place(path: Path, file: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(file.content)
    path.chmod(file.mode)


def _link(path: Path, to: str) -> None:
    if path.is_symlink() and str(path.readlink()) == to:
        return
    fresh = path.with_name(f"..link-{path.name}")
    fresh.symlink_to(to)
    fresh.replace(path)


def _read(directory: Path) -> dict[str, File]:
    found = {}
    for path in directory.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(directory))] = File(path.read_bytes(), path.stat().st_mode & 0o7777)
    return found
