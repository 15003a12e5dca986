"""What the federation makes of a runner's pod: which virtual nodes it may go to, and what reaches the target."""

from typing import Any

import pytest

from bridge import runners
from bridge.demand import WantedRunner
from bridge.names import SYSTEM_ID
from bridge.observed import PendingJob
from bridge.profiles import Profile
from bridge.runners import RunnerOptions
from federation import names as wire
from federation.decisions.admission import admit
from federation.decisions.candidate import chaperon_for
from federation.decisions.eligibility import obstacle
from federation.decisions.travelling import let_in, matcher
from federation.decisions.virtual_node import base_labels, new_node
from federation.model.references import references
from federation.model.scheduling import parse_scheduling_node
from federation.model.target import parse_target
from federation.settings import AgentSettings
from federation.submitted import parse_constraints

OPTIONS = RunnerOptions("isthmus", "ci", 120, 600, 900, ca_config_map="trust")
JOB = PendingJob(101, "group/app", "build", frozenset({"arm64"}))


def profile(**fields: Any) -> Profile:
    """An arm64 profile."""
    return Profile.model_validate({"name": "arm64", "os": "linux", "arch": "arm64", "tags": ["arm64"]} | fields)


def submitted(of: Profile) -> dict[str, Any]:
    """The pod as the Job controller creates it."""
    template = runners.job(OPTIONS, WantedRunner(of, JOB, attempt=0), "f")["spec"]["template"]
    return {"metadata": {"name": "p", "namespace": "ci", "uid": "u", **template["metadata"]}, "spec": template["spec"]}


def is_eligible(of: Profile, target: str, namespace: str = "ci", **labels: str) -> bool:
    """Whether the proxy may go to the virtual node of a Target whose cluster has these labels."""
    source = submitted(of)
    constraints = parse_constraints(source["metadata"]["annotations"])
    proxy = admit(source, saved="", finalizers=(), constraints=constraints)
    manifest = {"metadata": {"name": target, "namespace": namespace, "uid": "t"}, "spec": {"self": True}}
    virtual = parse_target(manifest)
    node = parse_scheduling_node(new_node(virtual, labels | base_labels(virtual)))
    return obstacle(proxy["spec"], node) == ""


@pytest.mark.parametrize(
    ("fields", "target", "namespace", "expected"),
    [
        ({"targets": ["arm-lab"]}, "arm-lab", "ci", True),
        ({"targets": ["arm-lab"]}, "windows-lab", "ci", False),
        ({"targets": ["arm-lab"]}, "arm-lab", "other", False),
        ({"targets": ["a", "b"]}, "b", "ci", True),
        ({"targets": ["y"]}, "y", "ci", True),  # a boolean to some YAML readers
        ({}, "anywhere", "ci", True),
        ({"virtual_node_selector": {"zone": "lab"}}, "anywhere", "ci", False),
    ],
)
def test_targets_choose_virtual_nodes(fields: dict[str, Any], target: str, namespace: str, expected: bool) -> None:
    assert is_eligible(profile(**fields), target, namespace) is expected


def test_a_selector_chooses_virtual_nodes_by_the_labels_of_their_clusters() -> None:
    assert is_eligible(profile(virtual_node_selector={"zone": "lab"}), "anywhere", zone="lab")


def test_node_selector_system_id_and_grace_reach_the_target() -> None:
    source = submitted(profile(targets=["arm-lab"]))
    constraints = parse_constraints(source["metadata"]["annotations"])
    proxy = admit(source, saved="{}", finalizers=(), constraints=constraints)
    assert "kubernetes.io/arch" not in proxy["spec"]["nodeSelector"]
    chaperon = chaperon_for(
        proxy, source, constraints, cluster_name="home", target="ci-arm", is_kept_label=lambda _: False
    )
    assert chaperon["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}
    assert chaperon["spec"]["terminationGracePeriodSeconds"] == 3600
    is_let_in = matcher(AgentSettings.model_fields["allowed_annotations"].default.split(","))
    arrived = let_in(chaperon["metadata"]["annotations"], is_let_in)
    assert arrived[SYSTEM_ID] == source["metadata"]["annotations"][SYSTEM_ID]
    assert wire.PROXY_CONSTRAINTS not in chaperon["metadata"]["annotations"]


def test_token_and_authority_follow_the_pod() -> None:
    found = {(reference.kind, reference.name) for reference in references(submitted(profile())["spec"])}
    assert found == {("Secret", "isthmus-runner-arm64"), ("ConfigMap", "trust")}
