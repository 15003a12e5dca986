"""Builds a container's file system: an empty root in memory, and into it what the steps say.

The new root is entered *before* anything is put into it (sources are opened first), so that a symbolic link met on the
way to a mount point means what it means inside the container and can never lead out of it.

A step is a dict with `do`:

- `bind`: `source` (a host path) appears at `target`; `read_only`; skipped if `optional` and the source is not there;
- `tmpfs`: an empty directory with `mode`;
- `open`: the read-only directory `target` becomes writable for new entries; those it has are kept, except `without`;
- `overlay`: the same, and what it has can be changed too, where the kernel lets us (else it is as with `open`);
- `link`: a symbolic link at `target` to `to`; `file`: `text` with `mode` at `target`;
- `hide`: the directory `target`, if it is there, looks empty; `dev`: what Linux programs expect at /dev.

A mount point inside a read-only tree needs no step: its parents are opened as far as needed.
"""

# pathlib would add a tenth to the start-up time of every container:
# ruff: noqa: PTH101, PTH102, PTH106, PTH108, PTH110, PTH112, PTH114, PTH120, PTH123, PTH208, PTH211

import contextlib
import errno
import os
import stat
from collections.abc import Iterable
from typing import Any

from lab.kubelet.launcher import kernel

Step = dict[str, Any]

_OLD_ROOT = "/.host"
_UPPER = "/.changes"
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "fuse")
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def build(steps: Iterable[Step], place: str) -> None:
    """Make `place` (an empty directory of ours) the root and carry out `steps` in it."""
    kernel.mount("", "/", flags=kernel.MS_PRIVATE | kernel.MS_REC)
    prepared = [(step, _open_source(step)) for step in steps]
    devices = {name: os.open(f"/dev/{name}", os.O_PATH) for name in _DEVICES if os.path.exists(f"/dev/{name}")}
    _enter(place)
    for step, source in prepared:
        _carry_out(step, source, devices)
        if source is not None:
            os.close(source)
    for device in devices.values():
        os.close(device)
    kernel.detach(_OLD_ROOT)
    os.rmdir(_OLD_ROOT)


def _enter(place: str) -> None:
    kernel.mount("isthmus", place, "tmpfs", kernel.MS_NODEV, "mode=0755")
    os.mkdir(place + _OLD_ROOT)
    kernel.pivot_root(place, place + _OLD_ROOT)
    os.chdir("/")
    os.mkdir("/proc")
    try:
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    except PermissionError:
        # Inside another container the kernel allows no fresh /proc; the outer one still serves /proc/self/fd.
        kernel.bind(f"{_OLD_ROOT}/proc", "/proc", read_only=False)


def _open_source(step: Step) -> int | None:
    if step["do"] != "bind":
        return None
    try:
        return os.open(step["source"], os.O_PATH)
    except FileNotFoundError:
        if step.get("optional"):
            return None
        raise


def _carry_out(step: Step, source: int | None, devices: dict[str, int]) -> None:
    target = step.get("target", "")
    match step["do"]:
        case "bind":
            if source is not None:
                _bind(source, target, read_only=step["read_only"])
        case "tmpfs":
            _make_directory(target)
            kernel.mount("isthmus", target, "tmpfs", kernel.MS_NODEV, f"mode={step.get('mode', 0o755):o}")
        case "open":
            open_directory(target, step.get("without", ()))
        case "overlay":
            overlay_directory(target, step.get("without", ()))
        case "link":
            _make_directory(os.path.dirname(target))
            with contextlib.suppress(FileExistsError):
                os.symlink(step["to"], target)
        case "file":
            _write(target, step["text"], step.get("mode", 0o644))
        case "hide" if os.path.isdir(target):
            kernel.mount("isthmus", target, "tmpfs", kernel.MS_NODEV, "mode=0755")
        case "hide":
            return
        case "dev":
            _populate_devices(devices)
        case unknown:
            raise ValueError(f"unknown step {unknown!r}")


def _bind(source: int, target: str, *, read_only: bool) -> None:
    if stat.S_ISDIR(os.fstat(source).st_mode):
        _make_directory(target)
    else:
        _make_file(target)
    kernel.bind(f"/proc/self/fd/{source}", target, read_only=read_only)


def _make_directory(path: str) -> None:
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    _make_directory(parent)
    try:
        os.mkdir(path)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        open_directory(parent, ())
        os.mkdir(path)


def _make_file(path: str) -> None:
    if os.path.exists(path):
        return
    parent = os.path.dirname(path)
    _make_directory(parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        open_directory(parent, ())
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def _write(path: str, text: str, mode: int) -> None:
    _make_file(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def open_directory(path: str, without: Iterable[str]) -> None:
    """Put a writable directory over `path` that has the same entries, each still read-only, except `without`."""
    _make_directory(path)
    original = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    mode = stat.S_IMODE(os.fstat(original).st_mode)
    kernel.mount("isthmus", path, "tmpfs", kernel.MS_NODEV, f"mode={mode | 0o700:o}")
    for name in sorted(set(os.listdir(original)) - set(without)):
        _keep(original, name, f"{path}/{name}")
    os.close(original)


def overlay_directory(path: str, without: Iterable[str]) -> None:
    """Let `path` be changed in memory, without the entries `without`."""
    _make_directory(_UPPER)
    kernel.mount("isthmus", _UPPER, "tmpfs", kernel.MS_NODEV, "mode=0755")
    for name in ("changed", "work"):
        os.mkdir(f"{_UPPER}/{name}")
    layers = f"lowerdir={path},upperdir={_UPPER}/changed,workdir={_UPPER}/work,userxattr"
    try:
        kernel.mount("isthmus", path, "overlay", kernel.MS_NODEV, layers)
    except OSError:  # an old kernel, or a file system that cannot be under an overlay
        open_directory(path, without)
    else:
        for name in set(os.listdir(path)) & set(without):
            _delete(f"{path}/{name}")
    kernel.detach(_UPPER)
    os.rmdir(_UPPER)


def _delete(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        kernel.mount("isthmus", path, "tmpfs", kernel.MS_NODEV, "mode=0755")
    else:
        os.unlink(path)


def _keep(directory: int, name: str, target: str) -> None:
    kind = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    if stat.S_ISLNK(kind):
        os.symlink(os.readlink(name, dir_fd=directory), target)
        return
    if stat.S_ISDIR(kind):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    kernel.bind(f"/proc/self/fd/{directory}/{name}", target, read_only=False)


def _populate_devices(devices: dict[str, int]) -> None:
    kernel.mount("isthmus", _directory("/dev"), "tmpfs", kernel.MS_NOSUID, "mode=0755")
    for name, device in devices.items():
        _bind(device, f"/dev/{name}", read_only=False)
    kernel.mount("devpts", _directory("/dev/pts"), "devpts", kernel.MS_NOSUID, "newinstance,ptmxmode=0666,mode=0620")
    shared_memory = _directory("/dev/shm")  # noqa: S108 - the container's own
    kernel.mount("isthmus", shared_memory, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777")
    for name, to in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd")):
        os.symlink(to, f"/dev/{name}")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"/dev/{name}")


def _directory(path: str) -> str:
    _make_directory(path)
    return path
