"""What a Target says of itself."""

from typing import Any

from federation import names
from federation.decisions.target_status import TargetFacts, status_patch
from federation.model.target import Target, parse_target


def target(status: dict[str, Any] | None = None) -> Target:
    metadata = {"name": "arm", "namespace": "ci", "uid": "u"}
    return parse_target({"metadata": metadata, "spec": {"self": True}, "status": status or {}})


GOOD = TargetFacts("", "", "", "id-1")


def test_a_good_target_is_ready_and_says_so_once() -> None:
    patch = status_patch(target(), GOOD, "now")
    assert patch["virtualNodeName"] == names.virtual_node_name("ci", "arm")
    assert patch["clusterID"] == "id-1"
    assert patch["conditions"][0]["status"] == "True"
    assert status_patch(target(patch), GOOD, "later") == {}


def test_a_change_of_reason_keeps_the_moment_and_a_change_of_status_moves_it() -> None:
    first = status_patch(target(), TargetFacts("", "unreachable since 14:02", "refused", ""), "then")
    assert first["conditions"][0]["message"] == "unreachable since 14:02: refused"
    second = status_patch(target(first), TargetFacts("Secret ci/arm does not exist", "", "", ""), "now")
    assert second["conditions"][0]["reason"] == "BadKubeconfig"
    assert second["conditions"][0]["lastTransitionTime"] == "then"
    third = status_patch(target(first), GOOD, "now")
    assert third["conditions"][0]["lastTransitionTime"] == "now"


def test_what_was_taken_in_of_the_spec_is_said() -> None:
    manifest = {"metadata": {"name": "arm", "namespace": "ci", "uid": "u", "generation": 3}, "spec": {"self": True}}
    assert status_patch(parse_target(manifest), GOOD, "now")["observedGeneration"] == 3
