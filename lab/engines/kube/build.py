"""`make kube`: builds etcd, the Kubernetes programs and kwok from the modules that the `go.mod` files here pin.

    python -m lab.engines.kube.build

About twelve minutes on two cores, once: what is there in the right version is left alone, and a program appears under
its name only when it is whole. Nothing of Kubernetes is copied into this repository; Go's ordinary client gets and
verifies the modules. The version is stamped in as upstream does it, because kubectl and kubelets compare versions.
"""

import asyncio
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.engines.engine import KUBE_VERSION, KWOK, kube_directory

ETCD_VERSION = "3.7.3"
KWOK_VERSION = "0.8.0"
GO_NEEDED = (1, 26)

HERE = Path(__file__).resolve().parent

# A build log in CI gets a line this often; a terminal gets one line that changes.
REPORT_SECONDS = 30
REDRAW_SECONDS = 0.5


class CannotBuild(Exception):
    """Something is missing or failed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program to build: its package, the module it is pinned in, and how it says its version."""

    name: str
    package: str
    module: Path
    version_arguments: tuple[str, ...]
    version: str

    def is_built(self, directory: Path) -> bool:
        """Whether it is there, runs, and says the right version."""
        try:
            answer = subprocess.run(
                [str(directory / self.name), *self.version_arguments],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return answer.returncode == 0 and self.version in answer.stdout.split()


def programs() -> list[Program]:
    """All programs, the quickest to build first."""
    kubernetes = [
        Program(name, f"k8s.io/kubernetes/cmd/{name}", HERE, ("--version",), f"v{KUBE_VERSION}")
        for name in ("kube-apiserver", "kube-scheduler", "kube-controller-manager")
    ]
    kubectl = Program("kubectl", "k8s.io/kubernetes/cmd/kubectl", HERE, ("version", "--client"), f"v{KUBE_VERSION}")
    etcd = Program("etcd", "go.etcd.io/etcd/server/v3", HERE / "etcd", ("--version",), ETCD_VERSION)
    kwok = Program(KWOK, "sigs.k8s.io/kwok/cmd/kwok", HERE / "kwok", ("--version",), f"v{KWOK_VERSION}")
    return [etcd, *kubernetes, kubectl, kwok]


def linker_flags() -> str:
    """Strip, and stamp the version in."""
    major, minor, _ = KUBE_VERSION.split(".")
    stamps = {"gitVersion": f"v{KUBE_VERSION}", "gitMajor": major, "gitMinor": minor}
    package = "k8s.io/component-base/version"
    return " ".join(["-s -w", *(f"-X {package}.{name}={value}" for name, value in stamps.items())])


async def build(directory: Path) -> None:
    """Build what is missing; raises CannotBuild."""
    with _alone(directory):
        missing = [program for program in programs() if not program.is_built(directory)]
        if not missing:
            print(f"Kubernetes {KUBE_VERSION}, etcd {ETCD_VERSION} and kwok {KWOK_VERSION} are in {directory}.")  # noqa: T201  # its purpose
            return
        go = _go()
        await _check_go_version(go)
        for number, program in enumerate(missing, 1):
            await _build_one(go, program, directory, f"[{number}/{len(missing)}] {program.name}")
        print(f"Done: {directory}")  # noqa: T201  # its purpose


async def _build_one(go: str, program: Program, directory: Path, title: str) -> None:
    temporary = directory / f".{program.name}.{os.getpid()}.tmp"
    progress = Progress(title)
    progress.say("getting modules ...")
    try:
        packages = await _run([go, "list", "-deps", program.package], program.module)
        progress.total = len(packages)
        command = [go, "build", "-v", "-trimpath", "-ldflags", linker_flags(), "-o", str(temporary), program.package]
        await _run(command, program.module, progress)
        temporary.replace(directory / program.name)
    finally:
        temporary.unlink(missing_ok=True)
    if not program.is_built(directory):
        raise CannotBuild(f"{directory / program.name} was built but does not say version {program.version}")
    progress.finish((directory / program.name).stat().st_size)


class Progress:
    """How far a build is: one line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self, title: str) -> None:
        self.total = 0
        self._title = title
        self._compiled = 0
        self._started = time.monotonic()
        self._said = 0.0
        self._is_terminal = sys.stdout.isatty()

    def count(self) -> None:
        """One more package was compiled."""
        self._compiled += 1

    def tick(self) -> None:
        """Time passes: say how far we are, if it is time to."""
        every = REDRAW_SECONDS if self._is_terminal else REPORT_SECONDS
        if time.monotonic() - self._said >= every:
            # Packages that an earlier program needed too are in Go's cache and are not compiled again.
            self.say(f"{self._compiled} packages compiled, {self.total} in all")

    def say(self, text: str) -> None:
        """Show a line in place of the last one."""
        self._said = time.monotonic()
        line = f"{self._title}: {text} ({self._elapsed()})"
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line[:width]:<{width}}", end="", flush=True)  # noqa: T201  # progress is its purpose
        else:
            print(line, flush=True)  # noqa: T201  # progress is its purpose

    def finish(self, size_bytes: int) -> None:
        """Say that the program is there."""
        self.say(f"built, {size_bytes / 1e6:.0f} MB")
        if self._is_terminal:
            print()  # noqa: T201  # progress is its purpose

    def _elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        return f"{minutes}:{seconds:02}"


async def _run(command: Sequence[str], directory: Path, progress: Progress | None = None) -> list[str]:
    """Run a Go command; returns its output's lines. With `progress`, the lines of its errors are counted packages."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=directory,
        env={**os.environ, "CGO_ENABLED": "0"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    ticking = asyncio.create_task(_tick(progress)) if progress else None
    try:
        output, errors = await asyncio.gather(process.stdout.read(), _read_errors(process.stderr, progress))
        if await process.wait() != 0:
            tail = "\n".join(errors[-20:])
            raise CannotBuild(f"{' '.join(command[:3])} failed in {directory}:\n{tail}")
    finally:
        if ticking:
            ticking.cancel()
        if process.returncode is None:  # broken off: Go ends its compilers itself
            process.terminate()
            await process.wait()
    return output.decode().splitlines()


async def _read_errors(stream: asyncio.StreamReader, progress: Progress | None) -> list[str]:
    lines = []
    async for line in stream:
        text = line.decode(errors="replace").rstrip()
        # `go build -v` prints one import path per compiled package; everything else is worth keeping.
        if progress and " " not in text:
            progress.count()
        else:
            lines.append(text)
    return lines


async def _tick(progress: Progress) -> None:
    while True:
        progress.tick()
        await asyncio.sleep(REDRAW_SECONDS)


def _go() -> str:
    if found := shutil.which("go"):
        return found
    raise CannotBuild(
        f"the kube engine needs Go >= {_dotted(GO_NEEDED)}, and there is no `go` on PATH.\n"
        "Install it (https://go.dev/dl/; Debian's is too old), or put prebuilt etcd, kube-apiserver, kube-scheduler,\n"
        "kube-controller-manager and kubectl into a directory and set ISTHMUS_KUBE_BIN to it."
    )


async def _check_go_version(go: str) -> None:
    # In the module's directory: a `go` that may fetch the toolchain which go.mod asks for does so and is fine.
    (text,) = await _run([go, "env", "GOVERSION"], HERE)
    found = re.match(r"go(\d+)\.(\d+)", text)
    if not found or (int(found[1]), int(found[2])) < GO_NEEDED:
        raise CannotBuild(f"the kube engine needs Go >= {_dotted(GO_NEEDED)}, {go} is {text}: see https://go.dev/dl/")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Wait for another build into the same directory: it does the same work."""
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def main() -> None:
    """Build what is missing, or say what stands in the way."""
    try:
        asyncio.run(build(kube_directory()))
    except CannotBuild as error:
        sys.exit(f"make kube: {error}")
    except KeyboardInterrupt:
        sys.exit("\nmake kube: broken off; what is built is kept, the next make kube goes on from there")


if __name__ == "__main__":
    main()
