"""Which annotations of a pod reach a target, and under which keys (rule T5)."""

import copy
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from federation import names
from federation.decisions.candidate import chaperon_for, pod_of
from federation.decisions.travelling import let_in, matcher, moved_keys, travelling
from tests.decisions.pods import submitted
from tests.decisions.test_admission import admitted

MESH = "sidecar.istio.io/inject"
INDEX = "batch.kubernetes.io/job-completion-index"


def delegate(annotations: dict[str, str], *allowed: str, **spec: Any) -> dict[str, Any]:
    """The pod in a target whose owner allows these annotations."""
    pod = submitted(**spec)
    pod["metadata"]["annotations"] |= annotations
    proxy = admitted(pod)
    source = orjson.loads(proxy["metadata"]["annotations"][names.SOURCE_POD_MANIFEST])
    made = chaperon_for(proxy, source, None, cluster_name="home", target="ci-arm", is_kept_label=lambda _: False)
    stored = {**copy.deepcopy(made), "metadata": made["metadata"] | {"uid": "chaperon-uid"}}
    return pod_of(stored, matcher(allowed))


def test_T5_a_targets_controllers_see_no_annotation_that_its_owner_does_not_let_in() -> None:
    wanted = {MESH: "true", "k8s.v1.cni.cncf.io/networks": "host", INDEX: "3", "plain": "x"}
    found = delegate(wanted, INDEX)["metadata"]["annotations"]
    own = {key: value for key, value in found.items() if not key.startswith(names.PREFIX)}
    assert own == {INDEX: "3"}
    assert found[names.PREFIX + "inject"] == "true"
    assert delegate(wanted, "sidecar.*", "plain")["metadata"]["annotations"].keys() & wanted.keys() == {MESH, "plain"}


def test_T5_a_source_that_moves_nothing_gets_nothing_in() -> None:
    sent = {MESH: "true", INDEX: "3", names.PARENT_NAME: "p", names.OURS + "note": "n"}
    assert let_in(sent, matcher([INDEX])) == {INDEX: "3", names.PARENT_NAME: "p", names.OURS + "note": "n"}


def test_T5_none_becomes_one_of_ours() -> None:
    found = delegate({"example.com/elect": "", "example.com/is-allowed": "true", "x.io/parent-name": "y"}, "*")
    annotations = found["metadata"]["annotations"]
    assert not {names.ELECT, names.IS_ALLOWED} & annotations.keys()
    assert annotations[names.PARENT_NAME] == "job"


def test_T5_a_record_that_somebody_else_wrote_lets_nothing_of_ours_in() -> None:
    forged = {
        names.PREFIX + "x": "1",
        names.MOVED: f"{names.PREFIX}x={names.ELECT} {names.PREFIX}x={names.SPREAD} broken",
    }
    assert let_in(forged, lambda _: True) == {names.PREFIX + "x": "1"}


def test_T5_what_the_pod_reads_of_its_annotations_it_goes_on_reading() -> None:
    def read(key: str) -> dict[str, Any]:
        return {"fieldRef": {"fieldPath": f"metadata.annotations['{key}']"}}

    container = {"name": "main", "image": "busybox", "env": [{"name": "INDEX", "valueFrom": read(INDEX)}]}
    volume = {"name": "v", "projected": {"sources": [{"downwardAPI": {"items": [{"path": "p", **read(MESH)}]}}]}}
    for allowed in ((), (INDEX, MESH)):
        found = delegate({INDEX: "3", MESH: "x"}, *allowed, containers=[container], volumes=[volume])
        spec, annotations = found["spec"], found["metadata"]["annotations"]
        paths = [
            spec["containers"][0]["env"][0]["valueFrom"]["fieldRef"]["fieldPath"],
            spec["volumes"][0]["projected"]["sources"][0]["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"],
        ]
        assert [annotations[path.split("'")[1]] for path in paths] == ["3", "x"]


keys = st.builds(
    lambda prefix, name: f"{prefix}/{name}" if prefix else name,
    st.sampled_from(["", "a.io", "b.io", "c.example.com"]),
    st.sampled_from(["x", "elect", "is-allowed", "y" * 63, "y" * 62 + "z"]),
)


@given(st.dictionaries(keys, st.text(max_size=3)))
def test_T5_no_two_travel_by_one_key_and_all_come_back(annotations: dict[str, str]) -> None:
    moved = moved_keys(annotations)
    assert len(set(moved.values())) == len(annotations)
    assert all(len(key.removeprefix(names.PREFIX)) <= 63 for key in moved.values())
    back = let_in(travelling(annotations), lambda _: True)
    assert annotations.items() <= back.items()
