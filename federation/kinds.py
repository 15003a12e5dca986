"""Where the six kinds of `multicluster.admiralty.io` live in the API."""

from federation.kube.resources import Resource
from federation.names import CHAPERON_KIND, GROUP, VERSION

TARGETS = Resource(GROUP, VERSION, "targets", "Target")
CLUSTER_TARGETS = Resource(GROUP, VERSION, "clustertargets", "ClusterTarget", is_namespaced=False)
SOURCES = Resource(GROUP, VERSION, "sources", "Source")
CLUSTER_SOURCES = Resource(GROUP, VERSION, "clustersources", "ClusterSource", is_namespaced=False)
POD_CHAPERONS = Resource(GROUP, VERSION, "podchaperons", CHAPERON_KIND)
CLUSTER_SUMMARIES = Resource(GROUP, VERSION, "clustersummaries", "ClusterSummary", is_namespaced=False)


def target_kind(namespace: str) -> Resource:
    """Return the kind of a target: a Target has a namespace, a ClusterTarget none."""
    return TARGETS if namespace else CLUSTER_TARGETS


def source_kind(namespace: str) -> Resource:
    """Return the kind of a source: a Source has a namespace, a ClusterSource none."""
    return SOURCES if namespace else CLUSTER_SOURCES
