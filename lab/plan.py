"""What a lab shall be: its clusters and their nodes, its engine, its components. Pure: parsing and nothing else.

`--clusters` is a list of `name:os/arch[+os/arch]`; the first cluster is the source (where people submit and GitLab
jobs are seen), all of them are targets. Every platform is one node, or `--fake-nodes` many. Errors name the entry,
because the list is typed by hand.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

DEFAULT_CLUSTERS = "home:linux/amd64,arm-lab:linux/arm64,windows-lab:linux/amd64+windows/amd64"

# Kubernetes' own values of the labels kubernetes.io/os and kubernetes.io/arch.
SYSTEMS = ("linux", "windows")
ARCHITECTURES = ("amd64", "arm64", "arm", "386", "ppc64le", "riscv64", "s390x")

# A cluster's name becomes part of node and file names, and of virtual nodes' names: 30 leaves room for the rest of 63.
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


class EngineName(StrEnum):
    """Which control plane the lab's clusters run."""

    EMBEDDED = "embedded"
    KUBE = "kube"


class Component(StrEnum):
    """What a lab has beyond control planes and nodes; `bridge` needs the other two. The registry is GitLab's."""

    FEDERATION = "federation"
    GITLAB = "gitlab"
    BRIDGE = "bridge"


class InvalidClusters(ValueError):
    """The list of clusters cannot be read; the message names the entry and what is expected."""


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and an architecture, in Kubernetes' words."""

    os: str
    arch: str

    def __str__(self) -> str:
        return f"{self.os}/{self.arch}"


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """One cluster of the lab: its name and the platform of each of its nodes.

    With `fake_nodes` there are that many nodes of each platform, and nothing runs on them: kwok says that it does.
    """

    name: str
    platforms: tuple[Platform, ...]
    fake_nodes: int = 0

    def nodes(self) -> dict[str, Platform]:
        """The cluster's nodes by name: `<cluster>-<os>-<arch>`, numbered from the second of a kind on."""
        nodes: dict[str, Platform] = {}
        same: Counter[Platform] = Counter()
        for platform in self.platforms * (self.fake_nodes or 1):
            name = f"{self.name}-{platform.os}-{platform.arch}"
            same[platform] += 1
            nodes[f"{name}-{same[platform]}" if same[platform] > 1 else name] = platform
        return nodes

    def __str__(self) -> str:
        return f"{self.name}:{'+'.join(map(str, self.platforms))}"


@dataclass(frozen=True, slots=True)
class LabPlan:
    """Everything `lab up` has to know.

    `api_server_flags` are given to every API server beside the lab's own (audit logs, for instance), with `{directory}`
    in them replaced by the directory of its cluster.
    """

    directory: Path
    engine: EngineName
    clusters: tuple[ClusterPlan, ...]
    components: frozenset[Component] = frozenset()
    api_server_flags: tuple[str, ...] = ()

    @property
    def source(self) -> ClusterPlan:
        """The cluster where work is submitted."""
        return self.clusters[0]


def parse_clusters(text: str, fake_nodes: int = 0) -> tuple[ClusterPlan, ...]:
    """Read `name:os/arch[+os/arch],...`; raises InvalidClusters."""
    clusters = tuple(
        replace(_parse_cluster(entry.strip()), fake_nodes=fake_nodes) for entry in text.split(",") if entry.strip()
    )
    if not clusters:
        raise InvalidClusters(f"no clusters given: expected name:os/arch[+os/arch],..., for example {DEFAULT_CLUSTERS}")
    if twice := _twice(cluster.name for cluster in clusters):
        raise InvalidClusters(f"cluster {twice!r} is given twice: every cluster needs a name of its own")
    return clusters


def _parse_cluster(entry: str) -> ClusterPlan:
    name, colon, platforms = entry.partition(":")
    if not colon or not platforms:
        raise InvalidClusters(f"cluster {entry!r}: expected name:os/arch[+os/arch], for example home:linux/amd64")
    if not NAME.fullmatch(name):
        raise InvalidClusters(
            f"cluster {entry!r}: {name!r} is no cluster name (lower-case letters, digits and -, at most 30)"
        )
    return ClusterPlan(name, tuple(_parse_platform(entry, platform.strip()) for platform in platforms.split("+")))


def _parse_platform(entry: str, text: str) -> Platform:
    os, slash, arch = text.partition("/")
    if not slash:
        raise InvalidClusters(f"cluster {entry!r}: {text!r} is no platform: expected os/arch, for example linux/arm64")
    if os not in SYSTEMS:
        raise InvalidClusters(f"cluster {entry!r}: unknown system {os!r} in {text!r} (known: {', '.join(SYSTEMS)})")
    if arch not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise InvalidClusters(f"cluster {entry!r}: unknown architecture {arch!r} in {text!r} (known: {known})")
    return Platform(os, arch)


def _twice(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""
