"""What a container sees: the machine's programs and libraries read-only, its volumes, and else only what is its own.

Gives the steps that `launcher.filesystem` carries out. Whatever a container writes outside its volumes is in memory
and gone with it. The lab's own directory is never seen: it lies outside what is bound, or is covered where it does not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.kubelet import commands

Step = dict[str, Any]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROGRAMS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt", "nix")
# Of /etc, not for containers: secrets of the machine, and what is written anew for each pod.
_PRIVATE = ("shadow", "shadow-", "gshadow", "gshadow-", "sudoers", "sudoers.d", "ssh", "machine-id")
_REWRITTEN = ("hosts", "hostname", "resolv.conf")
_OWN_DIRECTORIES = {"/tmp": 0o1777, "/var/tmp": 0o1777, "/run": 0o755, "/root": 0o700, "/home": 0o755}  # noqa: S108
TERMINATION_LOG = "/dev/termination-log"


@dataclass(frozen=True, slots=True)
class Machine:
    """The parts of the machine's file system that all containers share, looked up once."""

    directories: Mapping[str, str | None]  # name under / -> where it links to, None for a directory
    hosts: str
    resolv_conf: str

    @classmethod
    def look(cls) -> "Machine":
        """See what this machine has."""
        found: dict[str, str | None] = {}
        for name in _PROGRAMS:
            path = Path("/") / name
            if path.is_symlink():
                found[name] = str(path.readlink())
            elif path.is_dir():
                found[name] = None
        return cls(found, _text(Path("/etc/hosts")), _text(Path("/etc/resolv.conf")))


@dataclass(frozen=True, slots=True)
class Placed:
    """A directory or file of the host at a place of the container."""

    source: Path
    target: str
    read_only: bool


def steps(
    machine: Machine,
    *,
    hostname: str,
    host_aliases: Iterable[Mapping[str, Any]],
    scripts: Mapping[str, str],
    packages: Iterable[Path],
    visible: Iterable[Path],
    hidden: Iterable[Path],
    volumes: Sequence[Placed],
) -> list[Step]:
    """All steps of one container's file system, in order."""
    result: list[Step] = []
    for name, link in machine.directories.items():
        result.append(_link(name, link) if link is not None else _bind(Path("/") / name))
    result += [_bind(Path("/etc")), {"do": "overlay", "target": "/etc", "without": [*_PRIVATE, *_REWRITTEN]}]
    result += [_file("/etc/hostname", f"{hostname}\n"), _file("/etc/resolv.conf", machine.resolv_conf)]
    result.append(_file("/etc/hosts", machine.hosts + _aliases(hostname, host_aliases)))
    result += [{"do": "dev"}, _bind(Path("/sys"))]
    result += [{"do": "tmpfs", "target": target, "mode": mode} for target, mode in _OWN_DIRECTORIES.items()]
    result.append({"do": "link", "target": "/var/run", "to": "../run"})
    if scripts:
        result.append({"do": "open", "target": commands.PLACE, "without": list(scripts)})
        result += [_file(f"{commands.PLACE}/{name}", text, mode=0o755) for name, text in scripts.items()]
    result += [_bind(path) for path in packages if not _is_seen(path, machine)]
    result += [{"do": "hide", "target": str(path)} for path in hidden]
    result += [_bind(path) for path in visible if not _is_seen(path, machine)]
    result += [_place(volume) for volume in volumes]
    return result


def _is_seen(path: Path, machine: Machine) -> bool:
    """Whether the shared parts contain it already."""
    return path.parts[1] in machine.directories


def _bind(path: Path) -> Step:
    return {"do": "bind", "source": str(path), "target": str(path), "read_only": True, "optional": True}


def _place(placed: Placed) -> Step:
    return {"do": "bind", "source": str(placed.source), "target": placed.target, "read_only": placed.read_only}


def _link(name: str, to: str) -> Step:
    return {"do": "link", "target": f"/{name}", "to": to}


def _file(target: str, text: str, *, mode: int = 0o644) -> Step:
    return {"do": "file", "target": target, "text": text, "mode": mode}


def _aliases(hostname: str, aliases: Iterable[Mapping[str, Any]]) -> str:
    lines = [f"127.0.0.1\t{hostname}"]
    lines += [f"{alias['ip']}\t{' '.join(alias.get('hostnames') or ())}" for alias in aliases]
    return "\n".join(["", "# of the pod", *lines, ""])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
