"""What `isthmus bridge status` and `check` print: as data first, then as tables made from that data."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from bridge.demand import Plan, ProfileDemand
from bridge.observed import Fleet, ManagerPod, Observed, RunnerPod
from bridge.profiles import Mode, Profile

Report = dict[str, Any]


def report(plan: Plan, observed: Observed, runner_ids: Mapping[str, int], source: tuple[str, str]) -> Report:
    """Return the state of all profiles and the jobs nobody takes, ready for JSON. `source` is (name, why)."""
    return {
        "demand_source": {"name": source[0], "reason": source[1]},
        "profiles": [_profile(wish, observed, runner_ids) for wish in plan.demands],
        "unroutable": [
            {"id": lost.job.id, "project": lost.job.project, "name": lost.job.name, "reason": lost.reason}
            for lost in plan.unroutable
        ],
    }


def _profile(wish: ProfileDemand, observed: Observed, runner_ids: Mapping[str, int]) -> Report:
    profile, fleet = wish.profile, observed.fleet
    pods = sorted((p for p in fleet.pods if p.profile == profile.name), key=lambda pod: (pod.ci_job, pod.attempt))
    managers = sorted((p for p in fleet.managers if p.profile == profile.name), key=lambda pod: pod.pod)
    return {
        "name": profile.name,
        "platform": f"{profile.os}/{profile.arch}",
        "tags": list(profile.tags),
        "mode": profile.mode.value,
        "max": profile.runners_max,
        "min": profile.runners_min,
        "idle": profile.idle,
        "targets": list(profile.targets),
        "runner": runner_ids.get(profile.name),
        "pending": [{"id": job.id, "project": job.project, "name": job.name} for job in wish.pending],
        "active": wish.active,
        "busy": wish.busy,
        "free": wish.free,
        "held": wish.held,
        "deployment": _deployment(profile, fleet) if profile.mode is Mode.DEPLOYMENT else None,
        "pods": [_pod(pod) for pod in pods] + [_manager(pod, observed) for pod in managers],
    }


def _deployment(profile: Profile, fleet: Fleet) -> Report:
    found = fleet.deployments.get(profile.name)
    return {
        "name": profile.deployment_name,
        "replicas": found.replicas if found else None,
        "scaled_by": "the bridge" if profile.owns_replicas else "hand",
        "runner_paused": bool(found and found.paused_since),
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


def _manager(pod: ManagerPod, observed: Observed) -> Report:
    state = "leaving" if pod.is_leaving else pod.phase.value
    return {
        "job": "",
        "pod": pod.pod,
        "phase": f"{state}, busy" if pod.system_id in observed.busy else state,
        "node": pod.node,
        "made_for": 0,
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
        table = Table("JOB OR POD", "PHASE", "VIRTUAL NODE", "MADE FOR JOB", "DETAIL", box=None)
        for pod in pods:
            made_for = str(pod["made_for"] or "any")
            table.add_row(pod["job"] or pod["pod"], pod["phase"], pod["node"], made_for, pod["detail"])
        console.print("", table)
    source = data["demand_source"]
    console.print(f"\ndemand is read by {source['name']}: {source['reason']}", markup=False)
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
        f"{_numbers(profile)} ({profile.executor.value} executor; runner on nodes with {node})"
    )


def _numbers(profile: Profile) -> str:
    """Return how many runners there are, and who says so."""
    most = f"at most {profile.runners_max} at once"
    least = f", at least {profile.runners_min}" if profile.runners_min else ""
    ready = f", {profile.idle} free ones kept ready" if profile.idle else ""
    if profile.mode is Mode.JOB:
        return most + least + ready
    if not profile.owns_replicas:
        return f"in Deployment {profile.deployment_name}, {profile.replicas} replicas until scaled by hand"
    return f"in Deployment {profile.deployment_name}, {most}{least}{ready}"
