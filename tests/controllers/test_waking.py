"""Which changes wake placement and feedback."""

from dataclasses import replace

import pytest

from federation.controllers.waking import Waking
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod
from tests.decisions.pods import chaperon, proxy

KEY = ("ci", "job")
RUNNING = {"phase": "Running", "containerStatuses": [{"name": "main", "state": {"running": {}}}]}


def woken(old: ProxyPod | None, new: ProxyPod | None) -> str:
    told: list[str] = []
    Waking(*(lambda _, what=what: told.append(what) for what in ("place", "go on", "feed back"))).on_pod(KEY, old, new)
    return ", ".join(told)


def woken_by(old: Chaperon | None, new: Chaperon | None) -> str:
    told: list[str] = []
    waking = Waking(
        lambda key: told.append(f"place {key[1]}"),
        lambda key: told.append(f"go on {key[1]}"),
        lambda key: told.append(f"feed back {key[1]}"),
    )
    waking.on_chaperon(("ci", "job-x"), old, new)
    return ", ".join(told)


BOUND = proxy(node="x")


@pytest.mark.parametrize(
    ("old", "new", "who"),
    [
        (None, proxy(), "place"),
        (proxy(), proxy(), "place"),  # what it asks for may have changed
        (proxy(gated=False), BOUND, "go on, feed back"),
        (BOUND, replace(BOUND, resource_version="8"), ""),
        (BOUND, replace(BOUND, resource_version="8", status_text=b'{"podIP":"10.0.0.1"}'), "feed back"),
        (BOUND, proxy(node="x", phase="Failed"), "go on, feed back"),
        (BOUND, replace(BOUND, is_terminating=True), "go on"),
        (BOUND, None, "go on"),
    ],
)
def test_a_pod_wakes_who_decides_on_what_changed(old: ProxyPod | None, new: ProxyPod | None, who: str) -> None:
    assert woken(old, new) == who


@pytest.mark.parametrize(
    ("old", "new", "who"),
    [
        (None, chaperon(), "go on job"),
        (chaperon(), chaperon(reserved=True), "go on job"),
        (chaperon(reserved=True), chaperon(reserved=True, allowed=True), "go on job, feed back job"),
        (chaperon(allowed=True), chaperon(allowed=True, status=RUNNING), "feed back job"),
        (chaperon(), chaperon(status={"phase": "Pending", "qosClass": "Burstable"}), ""),
        (chaperon(), chaperon(refusal="no room"), "go on job"),
        (chaperon(allowed=True, status=RUNNING), chaperon(allowed=True, status=RUNNING), ""),
        (chaperon(allowed=True), None, "go on job"),
    ],
)
def test_so_does_a_chaperon(old: Chaperon | None, new: Chaperon | None, who: str) -> None:
    assert woken_by(old, new) == who
