"""What the screen shows: each job's way so far, each change once, and when waiting has no point any more."""

from dataclasses import replace

from federation import names
from lab.demo.journey import Journey, changes, journeys
from lab.demo.screen import block
from lab.demo.traces import Pushed, plain, pushed, system_id
from lab.demo.watching import LAST_NEWS_SECONDS, LOST_SECONDS, Patience
from tests.lab.demo.pipeline import DIGESTS, PLACES, delegate, proxy, reference, right, trace

ARM = "build-arm64"
PENDING = {"id": 2, "name": ARM, "status": "pending", "tag_list": ["arm64"]}
RUNNING = PENDING | {"status": "running", "duration": 1.0, "runner_manager": {"system_id": f"r_{ARM}"}}


def test_a_job_nobody_has_yet_is_shown_with_the_pod_made_for_it() -> None:
    made = proxy(ARM)
    made["metadata"]["labels"] = {"bridge.isthmus.dev/ci-job": "2"}
    made["spec"] = {}
    made["status"] = {"phase": "Pending", "conditions": [waiting("arm-lab: 0/1 nodes are available")]}

    (journey,) = journeys([PENDING], {"home": [made]}, {})

    assert (journey.runner_pod, journey.virtual_node, journey.node) == (f"runner-{ARM}", "", "")
    assert journey.waits_for == "arm-lab: 0/1 nodes are available"


def waiting(message: str) -> dict[str, str]:
    return {"type": names.RESERVED_CONDITION, "status": "False", "message": message}


def test_a_running_job_is_shown_with_the_pod_whose_runner_has_it() -> None:
    made_for_it, has_it = proxy("build-amd64"), proxy(ARM)
    made_for_it["metadata"]["labels"] = {"bridge.isthmus.dev/ci-job": "2"}

    (journey,) = journeys([RUNNING], {"home": [made_for_it, has_it], "arm-lab": [delegate(ARM)]}, {})

    assert journey.runner_pod == f"runner-{ARM}"
    assert (journey.cluster, journey.node) == ("arm-lab", "arm-lab-linux-arm64")


def test_a_pod_that_took_another_job_is_not_shown_twice() -> None:
    made = proxy("build-amd64")
    made["metadata"]["labels"] = {"bridge.isthmus.dev/ci-job": "2"}
    other = {"id": 1, "name": "build-amd64", "status": "running", "runner_manager": {"system_id": "r_build-amd64"}}

    first, second = journeys([other, PENDING], {"home": [made]}, {})

    assert (first.runner_pod, second.runner_pod) == ("runner-build-amd64", "")


def test_each_change_is_told_once_and_in_order() -> None:
    pods = {cluster.name: cluster.pods for cluster in right().clusters}
    before = journeys([PENDING], {"home": []}, {})
    done = RUNNING | {"status": "success"}
    after = journeys([done], pods, {ARM: Pushed(reference(ARM), DIGESTS[ARM])})

    assert changes([], before) == [f"{ARM}: pending"]
    assert [line.removeprefix(f"{ARM}: ") for line in changes(before, after)] == [
        f"runner pod runner-{ARM}",
        "bound to virtual node virtual-arm-lab",
        "delegate in cluster arm-lab on node arm-lab-linux-arm64",
        f"registry has {reference(ARM)} as {DIGESTS[ARM]}",
        "success after 1.0 s",
    ]
    assert changes(after, after) == []


def test_the_block_fits_a_terminal() -> None:
    name = "admiralty-default-windows-lab-b1de506042"
    longest = Journey(
        "build-windows", "windows", "running", 59.9, "isthmus-windows-3-0-gzlml", "Running", "", name, "windows-lab"
    )
    shown = block([replace(longest, node="windows-lab-windows-amd64")] * len(PLACES))

    lines = [line for text in shown.renderables for line in str(text).splitlines()]
    assert len(lines) < 24
    assert max(len(line) for line in lines) < 80


def test_patience_ends_when_a_runner_is_lost_and_not_before() -> None:
    lost = [Journey(ARM, "arm64", "running", runner_pod="p", phase="Failed")]
    patience = Patience(0.0, 100.0)

    assert patience.ends(lost, 1.0) == ""
    assert patience.ends([Journey(ARM, "arm64", "running", runner_pod="p", phase="Running")], 5.0) == ""
    assert patience.ends(lost, 6.0) == ""
    assert "p has ended" in patience.ends(lost, 6.1 + LOST_SECONDS)


def test_patience_ends_when_pods_never_finish_and_after_all_time() -> None:
    over = [Journey(ARM, "arm64", "success", runner_pod="p", phase="Running")]

    patience = Patience(0.0, 100.0)
    assert patience.ends(over, 1.0) == ""
    assert "not shown as finished" in patience.ends(over, 1.1 + LAST_NEWS_SECONDS)
    assert "not over after 100 s" in Patience(0.0, 100.0).ends([], 101.0)


def test_a_trace_is_read_as_gitlab_runner_writes_it() -> None:
    assert system_id(trace(ARM)) == f"r_{ARM}"
    assert pushed(trace(ARM)) == [Pushed(reference(ARM), DIGESTS[ARM])]
    assert plain(trace(ARM)).splitlines()[2] == '$ echo "pushed $IMAGE@$(cat pushed.txt)"'
    assert system_id("nothing of the kind") == ""
    assert pushed(f"echo pushed {reference(ARM)}@{DIGESTS[ARM]}\npushed {reference(ARM)}@sha256:12") == []
