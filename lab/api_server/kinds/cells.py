"""Cells of printed tables that take more than reading one field; `columns` says which kind shows which.

Each function takes the object and the time, and returns what is printed, worded as upstream's printers word it.
"""

from datetime import datetime
from typing import Any

from lab.api_server.core.manifest import Manifest, at, parse_timestamp
from lab.api_server.kinds.ages import age, duration

NONE, UNKNOWN = "<none>", "<unknown>"
ROLE_PREFIX, ROLE_LABEL = "node-role.kubernetes.io/", "kubernetes.io/role"


def labels(labels: Manifest | None) -> str:
    """Return a map of labels as text."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def selector(manifest: Manifest, _now: datetime) -> str:
    """Return a label selector, or a plain map of labels, as text."""
    selector = at(manifest, "spec", "selector") or {}
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return labels(selector)
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or []:
        values = ",".join(sorted(one.get("values") or []))
        text = {"Exists": one["key"], "DoesNotExist": f"!{one['key']}"}
        parts.append(text.get(one["operator"], f"{one['key']} {one['operator'].lower()} ({values})"))
    return ",".join(parts) or NONE


def template(manifest: Manifest, member: str) -> str:
    """Return one member of all containers of a workload's pod template."""
    path = ("spec", "jobTemplate", "spec", "template") if at(manifest, "spec", "jobTemplate") else ("spec", "template")
    containers = at(manifest, *path, "spec", "containers") or []
    return ",".join(str(one.get(member)) for one in containers)


def ready_of(manifest: Manifest, _now: datetime) -> str:
    """Return ready replicas of wanted ones."""
    return f"{at(manifest, 'status', 'readyReplicas') or 0}/{at(manifest, 'spec', 'replicas') or 0}"


def node_status(node: Manifest, _now: datetime) -> str:
    """Return Ready, NotReady or Unknown, and whether scheduling is off."""
    ready = [one for one in at(node, "status", "conditions") or [] if one.get("type") == "Ready"]
    shown = ["Ready" if one.get("status") == "True" else "NotReady" for one in ready] or ["Unknown"]
    return ",".join([*shown, *(["SchedulingDisabled"] if node["spec"].get("unschedulable") else [])])


def node_roles(node: Manifest, _now: datetime) -> str:
    """Return the roles that labels give a node."""
    labels = node["metadata"].get("labels") or {}
    roles = {key.removeprefix(ROLE_PREFIX) for key in labels if key.startswith(ROLE_PREFIX)}
    roles.add(labels.get(ROLE_LABEL, ""))
    return ",".join(sorted(roles - {""})) or NONE


def node_address(kind: str) -> Any:
    """Return the function that shows a node's address of one kind."""

    def cell(node: Manifest, _now: datetime) -> str:
        addresses = at(node, "status", "addresses") or []
        return next((one["address"] for one in addresses if one.get("type") == kind), NONE)

    return cell


def kernel(node: Manifest, _now: datetime) -> str:
    """Return the kernel's version and architecture."""
    info = at(node, "status", "nodeInfo") or {}
    architecture = f" ({info['architecture']})" if info.get("architecture") else ""
    return f"{info.get('kernelVersion') or UNKNOWN}{architecture}"


def job_status(job: Manifest, _now: datetime) -> str:
    """Return what a Job's conditions amount to."""
    holding = {one["type"] for one in at(job, "status", "conditions") or [] if one.get("status") == "True"}
    if holding & {"Complete", "Failed"}:
        return "Complete" if "Complete" in holding else "Failed"
    if "deletionTimestamp" in job["metadata"]:
        return "Terminating"
    shown = ("Suspended", "FailureTarget", "SuccessCriteriaMet")
    return next((one for one in shown if one in holding), "Running")


def job_completions(job: Manifest, _now: datetime) -> str:
    """Return completions so far of those wanted."""
    succeeded, wanted = at(job, "status", "succeeded") or 0, at(job, "spec", "completions")
    if wanted is not None:
        return f"{succeeded}/{wanted}"
    parallelism = at(job, "spec", "parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def job_duration(job: Manifest, now: datetime) -> str:
    """Return how long a Job ran, or has run until now."""
    started, completed = at(job, "status", "startTime"), at(job, "status", "completionTime")
    if not started:
        return ""
    end = parse_timestamp(completed) if completed else now
    return duration((end - parse_timestamp(started)).total_seconds())


def ports(service: Manifest, _now: datetime) -> str:
    """Return a Service's ports."""
    shown = []
    for port in at(service, "spec", "ports") or []:
        outside = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{outside}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or NONE


def external(service: Manifest, _now: datetime) -> str:
    """Return a Service's addresses outside the cluster."""
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName"))
    nothing = "<pending>" if spec.get("type") == "LoadBalancer" else NONE
    ingress = at(service, "status", "loadBalancer", "ingress") or []
    balanced = [str(one.get("ip") or one.get("hostname")) for one in ingress]
    return ",".join([*balanced, *(spec.get("externalIPs") or [])]) or nothing


def first_seen(event: Manifest, now: datetime) -> str:
    """Return how long ago an event first happened."""
    return age(event.get("firstTimestamp") or event.get("eventTime"), now)


def last_seen(event: Manifest, now: datetime) -> str:
    """Return how long ago it last happened."""
    last = at(event, "series", "lastObservedTime") or event.get("lastTimestamp")
    return age(last, now) if last else first_seen(event, now)


def involved(event: Manifest, _now: datetime) -> str:
    """Return kind and name of the object that an event is about."""
    involved = event.get("involvedObject") or {}
    kind = str(involved.get("kind", "")).lower()
    return f"{kind}/{involved['name']}" if involved.get("name") else kind


def source(event: Manifest, _now: datetime) -> str:
    """Return who reported an event."""
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent") or ""
    host = source.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {host}" if host else component


def count(event: Manifest, _now: datetime) -> int:
    """Return how often it happened."""
    return int(at(event, "series", "count") or event.get("count") or 1)


def subjects(kind: str) -> Any:
    """Return the function that lists a binding's subjects of one kind."""

    def cell(binding: Manifest, _now: datetime) -> str:
        named = [one for one in binding.get("subjects") or [] if one.get("kind") == kind]
        return ", ".join(f"{one['namespace']}/{one['name']}" if one.get("namespace") else one["name"] for one in named)

    return cell


def established(definition: Manifest, _now: datetime) -> bool:
    """Return whether a custom resource is served."""
    conditions = at(definition, "status", "conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def versions(definition: Manifest, _now: datetime) -> str:
    """Return the served versions of a custom resource, and which one is stored."""
    served = [one for one in definition["spec"]["versions"] if one.get("served")]
    return ",".join(sorted(one["name"] + ("(storage)" if one.get("storage") else "") for one in served))
