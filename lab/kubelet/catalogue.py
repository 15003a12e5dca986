"""Which local command stands for which image.

The lab pulls nothing: an image name is looked up here, whatever its registry, tag or digest, and gives the machine's
own userland with the entry point, command and extra commands of that image. Patterns match the last parts of the
repository's path (`busybox` matches `docker.io/library/busybox:1.36`, `gitlab/gitlab-runner*` the last two parts).
More come from the configuration (`images`).
"""

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

_REFERENCE = re.compile(
    r"(?P<name>[a-zA-Z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*|[a-z0-9._-]+(/[a-z0-9._-]+)*)"
    r"(:(?P<tag>[\w][\w.-]{0,127}))?(@(?P<digest>[a-z0-9]+:[0-9a-f]{32,}))?"
)


class InvalidImageName(Exception):
    """The reference cannot be an image's name."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a container of this image runs unless its pod says otherwise."""

    pattern: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    commands: tuple[str, ...] = ()  # of the lab, offered on PATH; see `commands.py`
    stop_signal: int = signal.SIGTERM  # what its main process gets when the pod is to end


_BUILD = ("buildah",)
# What a real buildah needs where it may not mount overlays or make cgroups: always works, and is fast enough here.
_BUILD_SETTINGS = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}

CATALOGUE: tuple[Image, ...] = (
    Image("pause", entrypoint=("sleep", "infinity")),
    Image(
        "gitlab-runner*",
        ("gitlab-runner",),
        ("run",),
        _BUILD_SETTINGS,
        commands=("gitlab-runner", *_BUILD),
        stop_signal=signal.SIGQUIT,
    ),
    Image("buildah*", (), ("bash",), _BUILD_SETTINGS, commands=_BUILD),
    Image("buildah/*", (), ("bash",), _BUILD_SETTINGS, commands=_BUILD),
    Image("skopeo/*", entrypoint=("skopeo",)),
    Image("skopeo", entrypoint=("skopeo",)),
    Image("python", command=("python3",)),
    Image("alpine/git", entrypoint=("git",)),
    Image("bash", command=("bash",)),
    Image("busybox*", command=("sh",), commands=("busybox",)),
    Image("alpine", command=("/bin/sh",), commands=("busybox",)),
    Image("debian", command=("bash",)),
    Image("ubuntu", command=("bash",)),
    Image("fedora", command=("/bin/bash",)),
    Image("buildpack-deps", command=("bash",)),
)


def resolve(reference: str, additions: Sequence[Image] = ()) -> Image | None:
    """The image that `reference` names, or None if the lab has no such image. Raises InvalidImageName."""
    parts = repository(reference).split("/")
    for image in (*additions, *CATALOGUE):
        depth = image.pattern.count("/") + 1
        if len(parts) >= depth and fnmatchcase("/".join(parts[-depth:]), image.pattern):
            return image
    return None


def repository(reference: str) -> str:
    """The path of an image reference without tag and digest. Raises InvalidImageName."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise InvalidImageName(f'Failed to apply default image tag "{reference}": invalid reference format')
    return match["name"]


def absence(reference: str, additions: Sequence[Image] = ()) -> str:
    """What to tell a person who asked for an image that is not here."""
    names = ", ".join(sorted(image.pattern for image in (*additions, *CATALOGUE)))
    return (
        f'the lab pulls no images and has none for "{reference}"; it has: {names}. '
        "Add one under `images` of the kubelet's configuration, or in lab/kubelet/catalogue.py"
    )
