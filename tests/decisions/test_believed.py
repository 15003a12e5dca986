"""What of a target's word is shown at home: bounded statuses (T1), addresses that home allows (T4), at a pace."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.decisions.addresses import is_believed, networks_for
from federation.decisions.believed import MESSAGE_BYTES_MAX, PER_CONTAINER_BYTES, STATUS_BYTES_MAX, believed_status
from federation.decisions.pace import BURST, Spent, spend
from federation.decisions.target_status import ENDPOINTS, TargetFacts, status_patch
from federation.model.target import Target, parse_target
from tests.decisions.pods import NOW

NETWORKS = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
MAIN = frozenset({"main"})


def target(namespace: str = "ci", **spec: Any) -> Target:
    metadata = {"name": "far", "uid": "u"} | ({"namespace": namespace} if namespace else {})
    return parse_target({"metadata": metadata, "spec": spec})


@pytest.mark.parametrize(
    ("address", "is_shown"),
    [
        ("10.1.2.3", True),
        ("fd00::1", True),
        ("192.168.0.1", False),
        ("127.0.0.1", False),
        ("::ffff:10.1.2.3", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("10.1.2.3 ", False),
        ("kubernetes.default", False),
        (["10.1.2.3"], False),
    ],
)
def test_T4_an_address_is_shown_within_homes_networks_alone(address: Any, is_shown: bool) -> None:
    everything = (*NETWORKS, ip_network("0.0.0.0/0") if not is_shown and address != "192.168.0.1" else NETWORKS[0])
    assert is_believed(address, everything) is is_shown
    assert not is_believed(address, ()), "without networks none is"
    assert is_believed(address, None), "this cluster's own are"


def test_T4_networks_are_looked_up_outside_namespaced_objects() -> None:
    settings = {"ci/far": NETWORKS[:1], "far": NETWORKS[1:], "*": NETWORKS}
    assert networks_for(target(), settings) == NETWORKS[:1]
    assert networks_for(target(""), settings) == NETWORKS[1:], "a ClusterTarget of that name is another"
    assert networks_for(target("other"), settings) == NETWORKS
    assert networks_for(target(), {}) == ()
    assert networks_for(target(self=True), {}) is None


def test_T4_addresses_outside_are_dropped_from_both_fields() -> None:
    told = {
        "podIP": "192.0.2.1",
        "podIPs": [{"ip": "192.0.2.1"}, {"ip": "fd00::7"}],
        "hostIP": "192.0.2.9",
        "hostIPs": [{"ip": "192.0.2.9"}],
    }
    assert believed_status(told, MAIN, NETWORKS) == {"podIP": "fd00::7", "podIPs": [{"ip": "fd00::7"}]}
    assert believed_status(told, MAIN, None) == told


def test_T4_a_target_says_that_services_have_no_endpoints_there_and_what_to_set() -> None:
    facts = TargetFacts("", "", "", "id", networks=())
    conditions = {c["type"]: c for c in status_patch(target(), facts, "now")["conditions"]}
    assert (conditions[ENDPOINTS]["status"], conditions[ENDPOINTS]["reason"]) == ("False", "NoCIDRs")
    assert 'ISTHMUS_AGENT_ENDPOINT_CIDRS, as in {"ci/far": ["10.0.0.0/8"]}' in conditions[ENDPOINTS]["message"]
    allowed = status_patch(target(), TargetFacts("", "", "", "id", networks=NETWORKS), "now")["conditions"]
    assert {c["type"]: c["status"] for c in allowed}[ENDPOINTS] == "True"


def test_T1_fields_that_pods_do_not_have_and_containers_that_the_pod_has_not_are_dropped() -> None:
    told = {
        "phase": "Running",
        "reason": ["a list"],
        "aFieldOfTomorrow": {"a": 1},
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "True", "x": 1}, {"type": "Ready", "status": "False"}, "text", {}],
        "containerStatuses": [{"name": "main", "ready": True, "x": 1}, {"name": "main"}, {"name": "other"}, None],
        "initContainerStatuses": "text",
    }
    assert believed_status(told, MAIN, ()) == {
        "phase": "Running",
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "main", "ready": True}],
    }
    assert believed_status({"phase": "Elsewhere"}, MAIN, ()) == {}


@pytest.mark.parametrize("moment", ["0000-00-00T00:00:00Z", "2026-13-01T00:00:00Z", "soon", "", 7, ["x"]])
def test_T1_a_time_that_is_none_does_not_cost_the_rest_of_the_status(moment: object) -> None:
    """An API server refuses the whole status for it, and the proxy would show nothing more."""
    state = {"running": {"startedAt": moment}}
    condition = {"type": "Ready", "status": "True", "lastProbeTime": None, "lastTransitionTime": moment}
    told = {"phase": "Running", "startTime": moment, "conditions": [condition]}
    told["containerStatuses"] = [{"name": "main", "state": state}]
    assert believed_status(told, MAIN, NETWORKS) == {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": None}],
        "containerStatuses": [{"name": "main", "state": {"running": {}}}],
    }
    good = "2026-01-02T03:04:05.123456789+01:00"
    assert believed_status({"startTime": good}, MAIN, NETWORKS) == {"startTime": good}


def test_T1_a_message_is_cut() -> None:
    told = believed_status({"phase": "Failed", "message": "ü" * MESSAGE_BYTES_MAX}, MAIN, ())
    assert len(told["message"].encode()) <= MESSAGE_BYTES_MAX
    assert told["message"].endswith("ü...")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20) | st.just("x" * 30_000),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["state", "a", "message"]), inner),
    max_leaves=20,
)
FIELDS = ("phase", "message", "conditions", "containerStatuses", "podIP", "podIPs", "resources", "startTime")


@given(st.dictionaries(st.sampled_from(FIELDS), json_values), st.lists(json_values, max_size=100))
def test_T1_no_status_is_larger_than_home_lets_it_be(told: dict[str, Any], rest: list[Any]) -> None:
    told["containerStatuses"] = [{"name": "main", "state": rest, "resources": rest}]
    shown = believed_status(told, MAIN, NETWORKS)
    assert len(orjson.dumps(shown)) <= STATUS_BYTES_MAX + PER_CONTAINER_BYTES
    assert believed_status(shown, MAIN, NETWORKS) == shown, "a second look finds nothing to write"


def test_T1_a_burst_of_statuses_is_free_and_a_flood_is_not() -> None:
    spent, now = None, NOW
    for _ in range(BURST):
        spent = spend(spent, now)
    assert spend(None, now).rest(now) == 0
    writes = 0
    assert isinstance(spent, Spent)
    while now < NOW + timedelta(hours=1):
        assert 0 < spent.rest(now) <= 60
        now += timedelta(seconds=spent.rest(now))
        assert spent.rest(now) == 0, "and then it may speak"
        spent = spend(spent, now)
        writes += 1
    assert writes < 200
    assert spent.rest(now + timedelta(hours=1)) == 0
