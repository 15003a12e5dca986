"""The commands that the lab adds to its containers: what a real image would have brought along.

A command is a small script in /usr/local/bin (first on everybody's PATH, also a login shell's): either a module of ours
run by this interpreter, or a program of the machine. Nothing of this leaks into the environment of what it starts.
"""

import importlib.util
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PLACE = "/usr/local/bin"
Buildah = Literal["auto", "real", "stand-in"]

# The packages that a module of the lab's may import; seen by containers, unlike the directory they lie in.
_PACKAGES = ("lab", "federation")


@dataclass(frozen=True, slots=True)
class Script:
    """A command's script, and what a container must see, read-only, for it to run."""

    text: str
    visible: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Which program stands behind a command: `programs` by command name, the rest by what the machine has."""

    programs: Mapping[str, str]
    buildah: Buildah = "auto"


def scripts(names: Iterable[str], settings: Settings) -> dict[str, Script]:
    """The scripts to put on PATH for these commands of an image, by name."""
    found = {name: _script(name, settings) for name in names}
    return {name: script for name, script in found.items() if script is not None}


def _packages() -> list[Path]:
    specs = [importlib.util.find_spec(name) for name in _PACKAGES]
    return [Path(spec.origin).resolve().parent for spec in specs if spec is not None and spec.origin is not None]


def _script(name: str, settings: Settings) -> Script | None:
    if program := settings.programs.get(name):
        return Script(f'#!/bin/sh\nexec {shlex.quote(program)} "$@"\n', (Path(program),))
    match name:
        case "gitlab-runner":
            return module_script("lab.runner")
        case "buildah" if settings.buildah == "stand-in" or (
            settings.buildah == "auto" and not shutil.which("buildah")
        ):
            return module_script("lab.buildah")
        case "busybox" if not shutil.which("busybox"):
            return Script('#!/bin/sh\nexec "$@"\n')
    return None


def module_script(module: str) -> Script:
    """A script that runs a module of ours, whatever the environment, and without changing it."""
    packages = _packages()
    root = packages[0].parent
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import runpy; "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -c {shlex.quote(code)} "$@"\n'
    return Script(text, tuple(dict.fromkeys((Path(sys.base_prefix), Path(sys.prefix), *packages))))
