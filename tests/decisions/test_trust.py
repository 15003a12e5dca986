"""What is believed of a target, and what its Target's status says of it (rule S4)."""

from typing import Any

import pytest

from federation.decisions.target_status import TargetFacts, replaces_cluster, status_patch
from federation.decisions.trust import INTACT, doubt, has_lost_too_much, is_accepted
from federation.model.target import Target, parse_target
from federation.names import ACCEPT_LOSS

THEN, NOW, LATER = "2026-11-23T12:00:00Z", "2026-11-23T12:10:00Z", "2026-11-23T12:20:00Z"


def target(*, cluster_id: str = "old", intact: str = "", since: str = THEN, accepted: str = "") -> Target:
    status: dict[str, Any] = {"clusterID": cluster_id} if cluster_id else {}
    if intact:
        condition = {"type": INTACT, "status": intact, "reason": "r", "message": "m", "lastTransitionTime": since}
        status["conditions"] = [condition]
    metadata = {"namespace": "ci", "name": "arm", "uid": "u", "annotations": {ACCEPT_LOSS: accepted}}
    return parse_target({"metadata": metadata, "spec": {"self": True}, "status": status})


@pytest.mark.parametrize(
    ("missing", "expected", "answer"),
    [(0, 0, False), (4, 4, False), (5, 5, True), (5, 49, True), (5, 50, False), (6, 50, True), (100, 1000, False)],
)
def test_S4_too_much_is_more_than_a_tenth_and_at_least_five(missing: int, expected: int, answer: bool) -> None:
    assert has_lost_too_much(missing, expected) is answer


def test_S4_another_clusters_word_is_not_believed() -> None:
    found = doubt(target(), "new", 0, 3)
    assert found is not None
    assert found.reason == "ClusterChanged"
    assert "new" in found.message
    assert ACCEPT_LOSS in found.message, "the message says what to do"
    assert doubt(target(), "old", 0, 3) is None
    assert doubt(target(), "", 0, 3) is None, "one that does not say its id is judged by its chaperons only"
    assert doubt(target(cluster_id=""), "new", 0, 3) is None


def test_S4_a_loss_is_accepted_only_after_it_was_said() -> None:
    assert not is_accepted(target(intact="False", accepted=""))
    assert is_accepted(target(intact="False", accepted=NOW))
    assert not is_accepted(target(intact="False", since=LATER, accepted=NOW)), "that was an earlier loss"
    assert not is_accepted(target(intact="True", accepted=NOW))
    assert not is_accepted(target(intact="False", accepted="yes, please"))


def test_S4_the_first_id_is_recorded_and_another_only_where_the_loss_is_accepted() -> None:
    assert status_patch(target(cluster_id=""), TargetFacts("", "", "", "new"), NOW)["clusterID"] == "new"
    wrong = TargetFacts("", "unreachable since 12:00", "another cluster", "new", doubt(target(), "new", 0, 0))
    patch = status_patch(target(), wrong, NOW)
    assert "clusterID" not in patch
    ready, intact, _ = patch["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "ClusterChanged")
    assert (intact["status"], intact["reason"], intact["lastTransitionTime"]) == ("False", "ClusterChanged", NOW)
    accepted = target(intact="False", accepted=NOW)
    assert replaces_cluster(accepted, wrong)
    patch = status_patch(accepted, wrong, LATER)
    assert patch["clusterID"] == "new"
    assert patch["conditions"][1]["reason"] == "LossAccepted"
    assert patch["conditions"][1]["lastTransitionTime"] == THEN, "or the acceptance would not hold any more"


def test_S4_an_absent_target_keeps_what_was_said_of_it() -> None:
    away = TargetFacts("", "unreachable since 12:00", "refused", "")
    patch = status_patch(target(intact="False"), away, NOW)
    assert [c["status"] for c in patch["conditions"] if c["type"] == INTACT] == ["False"]


def test_S4_a_missing_kind_is_named() -> None:
    trouble = "its PodChaperons cannot be followed (404 NotFound: 404 page not found)"
    patch = status_patch(target(), TargetFacts("", trouble, "", "old", is_kind_missing=True), NOW)
    assert patch["conditions"][0]["reason"] == "KindMissing"
