"""What `isthmus bridge status` and `check` print: as data first, then as tables made from that data."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from bridge.demand import Plan, ProfileDemand, RunnerPod
from bridge.profiles import Profile

Report = dict[str, Any]


def report(plan: Plan, pods: Sequence[RunnerPod], runner_ids: Mapping[str, int]) -> Report:
    """Return the state of all profiles and the jobs nobody takes, ready for JSON."""
    return {
        "profiles": [
            _profile(wish, [pod for pod in pods if pod.profile == wish.profile.name], runner_ids)
            for wish in plan.demands
        ],
        "unroutable": [
            {"id": lost.job.id, "project": lost.job.project, "name": lost.job.name, "reason": lost.reason}
            for lost in plan.unroutable
        ],
    }


def _profile(wish: ProfileDemand, pods: Sequence[RunnerPod], runner_ids: Mapping[str, int]) -> Report:
    profile = wish.profile
    return {
        "name": profile.name,
        "platform": f"{profile.os}/{profile.arch}",
        "tags": list(profile.tags),
        "max": profile.runners_max,
        "targets": list(profile.targets),
        "runner": runner_ids.get(profile.name),
        "pending": [{"id": job.id, "project": job.project, "name": job.name} for job in wish.pending],
        "active": wish.active,
        "busy": wish.busy,
        "free": wish.free,
        "held": wish.held,
        "pods": [_pod(pod) for pod in sorted(pods, key=lambda pod: (pod.ci_job, pod.attempt))],
    }


def _pod(pod: RunnerPod) -> Report:
    return {
        "job": pod.job,
        "pod": pod.pod,
        "phase": pod.phase.value,
        "node": pod.node,
        "made_for": pod.ci_job,
        "system_id": pod.system_id,
        "detail": pod.detail,
    }


def show(data: Report, console: Console) -> None:
    """Print the report as tables."""
    table = Table("PROFILE", "PLATFORM", "TAGS", "RUNNER", "PENDING", "PODS", "BUSY", "MAX", "HELD", box=None)
    for profile in data["profiles"]:
        table.add_row(
            profile["name"],
            profile["platform"],
            ",".join(profile["tags"]),
            str(profile["runner"] or "none yet"),
            str(len(profile["pending"])),
            str(profile["active"]),
            str(profile["busy"]),
            str(profile["max"]),
            profile["held"],
        )
    console.print(table)
    if pods := [pod for profile in data["profiles"] for pod in profile["pods"]]:
        table = Table("POD OF", "PHASE", "VIRTUAL NODE", "MADE FOR JOB", "DETAIL", box=None)
        for pod in pods:
            table.add_row(pod["job"], pod["phase"], pod["node"], str(pod["made_for"]), pod["detail"])
        console.print("", table)
    for lost in data["unroutable"]:
        console.print(f"job {lost['id']} ({lost['project']}: {lost['name']}): {lost['reason']}", markup=False)


def meaning(profile: Profile) -> str:
    """Return one line that says what a profile does."""
    where = ", then ".join(profile.targets) or (
        f"virtual nodes with {profile.virtual_node_selector}" if profile.virtual_node_selector else "any target"
    )
    node = ", ".join(f"{key}={value}" for key, value in profile.manager_selector().items())
    return (
        f"{profile.name}: jobs tagged [{', '.join(profile.tags)}] run on {profile.os}/{profile.arch} in {where}, "
        f"at most {profile.runners_max} at once ({profile.executor.value} executor; runner on nodes with {node})"
    )
