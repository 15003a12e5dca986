"""What clusters, GitLab and registry say, as they said it: all that a verdict is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from federation.names import PROVIDER, PROVIDER_KEY
from lab.demo.registry_client import Image

Json = dict[str, Any]

# The lab's own programs say so in their versions and revisions; nothing else is called this.
LAB = "isthmus-lab"


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job as GitLab has it, and its log."""

    job: Json
    trace: str


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """One cluster, as its administrator sees it. `server` is its API server's URL."""

    name: str
    server: str
    version: str
    nodes: Sequence[Json]
    pods: Sequence[Json]
    chaperons: Sequence[Json]

    def node(self, name: str) -> Json | None:
        """A node of the cluster's own: not a virtual one."""
        return next((node for node in self.nodes if name_of(node) == name and not is_virtual(node)), None)

    def virtual_node(self, name: str) -> Json | None:
        """A node that stands for a target."""
        return next((node for node in self.nodes if name_of(node) == name and is_virtual(node)), None)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything. The first cluster is the source; `targets` has the API server of each Target by its namespace and
    name, and an empty string for the source itself; `images` has what tags and `repository@digest` stand for."""

    project: Json
    gitlab_revision: str
    pipeline: Json | None
    jobs: Sequence[JobFacts]
    clusters: Sequence[ClusterFacts]
    targets: Mapping[tuple[str, str], str]
    images: Mapping[str, Image]

    @property
    def source(self) -> ClusterFacts:
        """Where work is submitted."""
        return self.clusters[0]


def name_of(manifest: Json) -> str:
    """An object's name."""
    return str(manifest["metadata"]["name"])


def annotation(manifest: Json, key: str) -> str:
    """An annotation's value, or nothing."""
    return str((manifest["metadata"].get("annotations") or {}).get(key, ""))


def label(manifest: Json, key: str) -> str:
    """A label's value, or nothing."""
    return str((manifest["metadata"].get("labels") or {}).get(key, ""))


def phase(pod: Json) -> str:
    """A pod's phase."""
    return str((pod.get("status") or {}).get("phase", ""))


def node_name(pod: Json) -> str:
    """The node a pod is bound to, or nothing."""
    return str(pod["spec"].get("nodeName") or "")


def is_virtual(node: Json) -> bool:
    """Whether a node stands for a target."""
    return label(node, PROVIDER_KEY) == PROVIDER
