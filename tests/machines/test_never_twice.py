"""A delegate that may not run twice, as a machine (rule S7): agent, extender, source and owner in any order.

The world is one chaperon in a target and the pod of its name. Agent and extender decide by the real functions on what
they last saw; either may start anew at any point, and forgets what it saw. Whoever owns the target deletes the pod when
he likes, and the kubelet may reject it. The judge counts the pods that have started.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation import names
from federation.decisions import mirroring
from federation.decisions.binding import Step, next_step
from federation.model.chaperon import Chaperon, parse_whole_chaperon
from federation.model.pod import TargetPod
from tests.decisions.pods import NOW
from tests.decisions.test_mirroring import PENDING, REJECTED, RUNNING, pod

OURS = ("agent looks", "agent acts", "agent starts", "extender looks", "extender acts", "mark goes", "allow")
KINDS = (*OURS, "bind", "start", "reject", "delete")


@dataclass
class Agent:
    """What the agent has seen; `last` is the pod as it was when it went."""

    chaperon: Chaperon
    pod: TargetPod | None = None
    last: TargetPod | None = None


class World:
    """One chaperon, by scheduler; its versions fence what is put on record."""

    def __init__(self, scheduler: str, restart: str = "Never") -> None:
        self.marks: dict[str, str] = {}
        self.version = 1
        self.pod: TargetPod | None = None
        self.made = 0
        self.started: set[str] = set()
        self.seconds = 0
        self._spec = {"schedulerName": scheduler, "restartPolicy": restart}
        self.agent = Agent(self.chaperon)
        self.extender: tuple[Chaperon, str] | None = None

    @property
    def chaperon(self) -> Chaperon:
        """The chaperon as the API server has it; its status was never told."""
        metadata = {"name": "job-x", "namespace": "ci", "uid": "c"}
        metadata |= {"resourceVersion": str(self.version), "annotations": dict(self.marks)}  # type: ignore[dict-item]
        return parse_whole_chaperon({"metadata": metadata, "spec": self._spec})

    def step(self, kind: str) -> None:
        """Do one thing; what is impossible is skipped."""
        self.seconds += 2
        match kind:
            case "agent looks":
                self.agent = Agent(self.chaperon, self.pod, None if self.pod else self.agent.last)
            case "agent starts":
                self.agent = Agent(self.chaperon, self.pod)
            case "agent acts":
                self._act()
            case "extender looks":
                self.extender = (self.chaperon, self.pod.uid) if self.pod else None
            case "extender acts":
                self._hold()
            case "mark goes":
                if names.IS_ALLOWED not in self.marks:
                    self._write(dict.fromkeys((names.IS_RESERVED, names.POD_UID)))
            case "allow":
                self._write({names.IS_ALLOWED: "true"})
            case _ if self.pod is not None:
                self._happen(kind, self.pod)

    def _happen(self, kind: str, there: TargetPod) -> None:
        """What becomes of a pod that is there, by its scheduler, its kubelet and the target's owner."""
        is_new = bool(there.node_name) and there.phase == "Pending"
        if kind == "bind" and self._spec["schedulerName"] != names.CANDIDATE_SCHEDULER:
            self.pod = replace(there, node_name="n")
        elif kind == "start" and is_new:
            self.started.add(there.uid)
            self.pod = self._told(RUNNING)
        elif kind == "reject" and is_new:
            self.pod = self._told(REJECTED)
        elif kind == "delete":
            self._remove()

    def _told(self, status: dict[str, Any]) -> TargetPod:
        assert self.pod is not None
        return replace(pod(status, node=self.pod.node_name), uid=self.pod.uid)

    def _remove(self) -> None:
        """The agent's watch tells how the pod was, or was down: then it starts anew sooner or later."""
        assert self.pod is not None
        self.agent = Agent(self.agent.chaperon, None, replace(self.pod, is_final=True))
        self.pod = None

    def _write(self, annotations: dict[str, str | None] | dict[str, str], version: str = "") -> bool:
        if version not in ("", str(self.version)):
            return False  # a Conflict
        known = dict(self.marks) | annotations
        self.marks = {key: value for key, value in known.items() if value is not None}
        self.version += 1
        return True

    def _act(self) -> None:
        seen, now = self.agent, NOW + timedelta(seconds=self.seconds)
        for action in mirroring.decide(seen.chaperon, seen.pod, seen.last, now).actions:
            match action:
                case mirroring.MakePod(remade):
                    if remade:
                        patch = mirroring.remade_patch(seen.chaperon, remade)["metadata"]
                        if not self._write(patch["annotations"], patch["resourceVersion"]):
                            return
                    seen.last = None
                    if self.pod is None:
                        self.made += 1
                        self.pod = replace(pod(PENDING, node=""), uid=f"pod-{self.made}")
                case mirroring.Replaceable(uid, is_once_gone):
                    if is_once_gone and self.pod is not None:
                        return
                    if not self._write({names.REPLACEABLE: uid}, seen.chaperon.resource_version):
                        return
                case mirroring.RemovePod(rejected):
                    if self.pod is not None and self.pod.uid == rejected.uid:
                        self._remove()
                case _:
                    pass

    def _hold(self) -> None:
        """The extender was asked to bind the pod that it saw, by what it saw of the chaperon."""
        if self.extender is None or self._spec["schedulerName"] != names.CANDIDATE_SCHEDULER:
            return
        seen, uid = self.extender
        if not seen.is_allowed:
            self._write({names.IS_RESERVED: "true", names.POD_UID: uid}, seen.resource_version)
            return
        step = next_step(seen, uid)
        if step is Step.RECORD and not self._write({names.POD_UID: uid}, seen.resource_version):
            return
        if self.pod is None or self.pod.uid != uid or self.pod.node_name:
            return  # the API server refuses the Binding
        if step is Step.REFUSE:
            self._remove()
        else:
            self.pod = replace(self.pod, node_name="n")


def after(taken: list[str], scheduler: str) -> World:
    """Return the world after these steps."""
    world = World(scheduler)
    for kind in taken:
        world.step(kind)
    return world


@pytest.mark.parametrize("scheduler", [names.CANDIDATE_SCHEDULER, "default-scheduler"])
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(taken=st.lists(st.sampled_from(KINDS), max_size=50))
def test_S7_no_delegate_runs_twice(scheduler: str, taken: list[str]) -> None:
    assert len(after(taken, scheduler).started) <= 1


RESERVED = ["agent acts", "extender looks", "extender acts", "allow", "extender looks", "extender acts"]
AGAIN = ["agent acts", "agent looks"] * 4 + ["extender looks", "extender acts", "bind", "start"]


def test_S7_what_ran_unseen_is_not_made_again() -> None:
    """The recipe: the agent is away while the pod is let go ahead, runs, and is deleted."""
    world = after([*RESERVED, "start", "delete", "agent starts", *AGAIN], names.CANDIDATE_SCHEDULER)
    assert world.started == {"pod-1"}
    assert world.made == 1


def test_S7_what_surely_never_ran_is() -> None:
    bound_never = [*RESERVED[:5], "delete", "agent looks", *AGAIN]
    rejected = [*RESERVED, "reject", "agent looks", *AGAIN]
    for taken in (bound_never, rejected):
        world = after(taken, names.CANDIDATE_SCHEDULER)
        assert world.started == {f"pod-{world.made}"}
        assert world.made > 1
