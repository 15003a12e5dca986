"""The list of clusters, as people type it."""

import pytest

from lab.plan import DEFAULT_CLUSTERS, ClusterPlan, InvalidClusters, Platform, parse_clusters


def test_the_default_is_three_clusters_with_the_source_first() -> None:
    clusters = parse_clusters(DEFAULT_CLUSTERS)
    assert [cluster.name for cluster in clusters] == ["home", "arm-lab", "windows-lab"]
    assert clusters[2].platforms == (Platform("linux", "amd64"), Platform("windows", "amd64"))


def test_what_is_parsed_prints_as_it_was_written() -> None:
    assert ",".join(map(str, parse_clusters(DEFAULT_CLUSTERS))) == DEFAULT_CLUSTERS


def test_every_platform_is_a_node_and_equal_ones_are_numbered() -> None:
    (cluster,) = parse_clusters("c:linux/amd64+linux/arm64+linux/amd64")
    assert cluster == ClusterPlan(
        "c", (Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "amd64"))
    )
    assert list(cluster.nodes()) == ["c-linux-amd64", "c-linux-arm64", "c-linux-amd64-2"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no clusters given"),
        ("home", "cluster 'home': expected name:os/arch"),
        ("home:", "cluster 'home:': expected name:os/arch"),
        ("Home:linux/amd64", "cluster 'Home:linux/amd64': 'Home' is no cluster name"),
        (f"{'a' * 31}:linux/amd64", "at most 30"),
        ("a:linux/amd64,b:linux", "cluster 'b:linux': 'linux' is no platform"),
        ("a:linux/amd64+plan9/amd64", "cluster 'a:linux/amd64+plan9/amd64': unknown system 'plan9'"),
        ("a:linux/x86_64", "unknown architecture 'x86_64' in 'linux/x86_64' (known: amd64"),
        ("a:linux/amd64,a:linux/arm64", "cluster 'a' is given twice"),
    ],
)
def test_errors_name_the_entry_and_what_is_wrong_with_it(text: str, part: str) -> None:
    with pytest.raises(InvalidClusters) as error:
        parse_clusters(text)
    assert part in str(error.value)
