"""Image names: `docker://host:port/group/app:tag@sha256:...`, and the short forms people type.

A name without a registry is local (`app` is `localhost/app:latest`), as buildah shows it. Where buildah would go
through the machine's search registries for a short name, the stand-in goes nowhere: it uses no public registry.
"""

import platform
import re
from dataclasses import dataclass, replace

from lab.buildah.errors import BuildahError

TRANSPORT = "docker://"
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed name. `digest` wins over `tag` where both are given."""

    host: str
    repository: str
    tag: str = "latest"
    digest: str = ""

    def __str__(self) -> str:
        name = f"{self.host}/{self.repository}"
        return f"{name}@{self.digest}" if self.digest else f"{name}:{self.tag}"

    @property
    def is_local(self) -> bool:
        """Whether it names no registry."""
        return self.host == "localhost"

    @property
    def version(self) -> str:
        """What a registry is asked for: the digest, or else the tag."""
        return self.digest or self.tag

    def at(self, digest: str) -> "Reference":
        """The same repository, by digest."""
        return replace(self, digest=digest)


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image is for. An empty field is not known or does not matter."""

    os: str = "linux"
    architecture: str = ""
    variant: str = ""
    os_version: str = ""

    def accepts(self, described: dict[str, str]) -> bool:
        """Whether an index entry's `platform` serves this one; os.version may be given by its beginning."""
        return (
            described.get("os") == self.os
            and described.get("architecture") == self.architecture
            and (not self.variant or described.get("variant", self.variant) == self.variant)
            and described.get("os.version", "").startswith(self.os_version)
        )

    def as_index_entry(self) -> dict[str, str]:
        """The `platform` object of an index."""
        named = {
            "architecture": self.architecture,
            "os": self.os,
            "os.version": self.os_version,
            "variant": self.variant,
        }
        return {key: value for key, value in named.items() if value}

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def parse(text: str) -> Reference:
    """Parse a name; raises BuildahError."""
    name, _, digest = text.removeprefix(TRANSPORT).partition("@")
    first, slash, rest = name.partition("/")
    has_host = bool(slash) and (first == "localhost" or "." in first or ":" in first)
    host, path = (first, rest) if has_host else ("localhost", name)
    repository, _, tag = path.partition(":")
    if not _REPOSITORY.fullmatch(repository) or (tag and not _TAG.fullmatch(tag)):
        raise BuildahError(f'image name "{text}": want [docker://]host[:port]/path[:tag], path in lower case')
    if digest and not _DIGEST.fullmatch(digest):
        raise BuildahError(f'image name "{text}": digest must be sha256:<64 hexadecimal digits>')
    return Reference(host, repository, tag or "latest", digest)


def host_architecture() -> str:
    """This machine's architecture in Go's words, which images use."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def parse_platform(text: str) -> Platform:
    """Parse `os/arch[/variant]`, or `os` alone; raises BuildahError."""
    system, _, rest = text.partition("/")
    architecture, _, variant = rest.partition("/")
    if not system or "/" in variant:
        raise BuildahError(f'--platform "{text}": want os/arch[/variant], such as linux/arm64')
    return Platform(system, architecture or host_architecture(), variant)
