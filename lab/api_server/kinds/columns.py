"""Printed columns of the built-in kinds, as kube-apiserver 1.37 has them. (Pods: `pod_columns`.)

Kinds that are not here print their name and when they were created, as upstream does for kinds without a printer.
"""

from datetime import datetime
from typing import Any

from lab.api_server.core.manifest import Manifest, at, parse_timestamp
from lab.api_server.kinds import pod_columns
from lab.api_server.kinds.ages import age, duration
from lab.api_server.kinds.model import Column, Columns

NONE, UNSET, UNKNOWN = "<none>", "<unset>", "<unknown>"
ROLE_PREFIX, ROLE_LABEL = "node-role.kubernetes.io/", "kubernetes.io/role"
NAME = Column(
    "Name",
    lambda manifest, _now: manifest["metadata"].get("name"),
    format="name",
    description="Name must be unique within a namespace.",
)
AGE = Column("Age", lambda manifest, now: age(manifest["metadata"].get("creationTimestamp"), now))


def field(name: str, *path: str, default: Any = "", kind: str = "string", priority: int = 0) -> Column:
    """Return a column that shows one field."""

    def cell(manifest: Manifest, _now: datetime) -> Any:
        value = at(manifest, *path)
        return default if value in (None, "") else value

    return Column(name, cell, type=kind, priority=priority)


def number(name: str, *path: str) -> Column:
    """Return a column that shows a number, 0 where it is absent."""
    return field(name, *path, default=0, kind="integer")


def _labels(labels: Manifest | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def _selector(manifest: Manifest, _now: datetime) -> str:
    """Return a label selector, or a plain map of labels, as text."""
    selector = at(manifest, "spec", "selector") or {}
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return _labels(selector)
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or []:
        values = ",".join(sorted(one.get("values") or []))
        text = {"Exists": one["key"], "DoesNotExist": f"!{one['key']}"}
        parts.append(text.get(one["operator"], f"{one['key']} {one['operator'].lower()} ({values})"))
    return ",".join(parts) or NONE


def _template(manifest: Manifest, member: str) -> str:
    path = ("spec", "jobTemplate", "spec", "template") if at(manifest, "spec", "jobTemplate") else ("spec", "template")
    containers = at(manifest, *path, "spec", "containers") or []
    return ",".join(str(one.get(member)) for one in containers)


WORKLOAD_WIDE: Columns = (
    Column("Containers", lambda manifest, _now: _template(manifest, "name"), priority=1),
    Column("Images", lambda manifest, _now: _template(manifest, "image"), priority=1),
    Column("Selector", _selector, priority=1),
)


def _ready_of(manifest: Manifest, _now: datetime) -> str:
    return f"{at(manifest, 'status', 'readyReplicas') or 0}/{at(manifest, 'spec', 'replicas') or 0}"


REPLICAS: Columns = (
    NAME,
    number("Desired", "spec", "replicas"),
    number("Current", "status", "replicas"),
    number("Ready", "status", "readyReplicas"),
    AGE,
    *WORKLOAD_WIDE,
)


def _node_status(node: Manifest, _now: datetime) -> str:
    ready = [one for one in at(node, "status", "conditions") or [] if one.get("type") == "Ready"]
    shown = ["Ready" if one.get("status") == "True" else "NotReady" for one in ready] or ["Unknown"]
    return ",".join([*shown, *(["SchedulingDisabled"] if node["spec"].get("unschedulable") else [])])


def _node_roles(node: Manifest, _now: datetime) -> str:
    labels = node["metadata"].get("labels") or {}
    roles = {key.removeprefix(ROLE_PREFIX) for key in labels if key.startswith(ROLE_PREFIX)}
    roles.add(labels.get(ROLE_LABEL, ""))
    return ",".join(sorted(roles - {""})) or NONE


def _node_address(kind: str) -> Any:
    def cell(node: Manifest, _now: datetime) -> str:
        addresses = at(node, "status", "addresses") or []
        return next((one["address"] for one in addresses if one.get("type") == kind), NONE)

    return cell


def _kernel(node: Manifest, _now: datetime) -> str:
    info = at(node, "status", "nodeInfo") or {}
    architecture = f" ({info['architecture']})" if info.get("architecture") else ""
    return f"{info.get('kernelVersion') or UNKNOWN}{architecture}"


def _job_status(job: Manifest, _now: datetime) -> str:
    holding = {one["type"] for one in at(job, "status", "conditions") or [] if one.get("status") == "True"}
    if holding & {"Complete", "Failed"}:
        return "Complete" if "Complete" in holding else "Failed"
    if "deletionTimestamp" in job["metadata"]:
        return "Terminating"
    shown = ("Suspended", "FailureTarget", "SuccessCriteriaMet")
    return next((one for one in shown if one in holding), "Running")


def _job_completions(job: Manifest, _now: datetime) -> str:
    succeeded, wanted = at(job, "status", "succeeded") or 0, at(job, "spec", "completions")
    if wanted is not None:
        return f"{succeeded}/{wanted}"
    parallelism = at(job, "spec", "parallelism") or 0
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _job_duration(job: Manifest, now: datetime) -> str:
    started, completed = at(job, "status", "startTime"), at(job, "status", "completionTime")
    if not started:
        return ""
    end = parse_timestamp(completed) if completed else now
    return duration((end - parse_timestamp(started)).total_seconds())


def _ports(service: Manifest, _now: datetime) -> str:
    shown = []
    for port in at(service, "spec", "ports") or []:
        outside = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{outside}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or NONE


def _external(service: Manifest, _now: datetime) -> str:
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName"))
    nothing = "<pending>" if spec.get("type") == "LoadBalancer" else NONE
    ingress = at(service, "status", "loadBalancer", "ingress") or []
    balanced = [str(one.get("ip") or one.get("hostname")) for one in ingress]
    return ",".join([*balanced, *(spec.get("externalIPs") or [])]) or nothing


def _first_seen(event: Manifest, now: datetime) -> str:
    return age(event.get("firstTimestamp") or event.get("eventTime"), now)


def _last_seen(event: Manifest, now: datetime) -> str:
    last = at(event, "series", "lastObservedTime") or event.get("lastTimestamp")
    return age(last, now) if last else _first_seen(event, now)


def _involved(event: Manifest, _now: datetime) -> str:
    involved = event.get("involvedObject") or {}
    kind = str(involved.get("kind", "")).lower()
    return f"{kind}/{involved['name']}" if involved.get("name") else kind


def _source(event: Manifest, _now: datetime) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent") or ""
    host = source.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {host}" if host else component


def _count(event: Manifest, _now: datetime) -> int:
    return int(at(event, "series", "count") or event.get("count") or 1)


def _subjects(kind: str) -> Any:
    def cell(binding: Manifest, _now: datetime) -> str:
        named = [one for one in binding.get("subjects") or [] if one.get("kind") == kind]
        return ", ".join(f"{one['namespace']}/{one['name']}" if one.get("namespace") else one["name"] for one in named)

    return cell


BINDINGS: Columns = (
    NAME,
    Column("Role", lambda one, _now: f"{one['roleRef']['kind']}/{one['roleRef']['name']}"),
    AGE,
    Column("Users", _subjects("User"), priority=1),
    Column("Groups", _subjects("Group"), priority=1),
    Column("ServiceAccounts", _subjects("ServiceAccount"), priority=1),
)
WEBHOOKS: Columns = (NAME, Column("Webhooks", lambda one, _now: len(one.get("webhooks") or []), type="integer"), AGE)
DATA = Column("Data", lambda one, _now: len(one.get("data") or {}) + len(one.get("binaryData") or {}))


def _versions(definition: Manifest, _now: datetime) -> str:
    return ",".join(one["name"] for one in definition["spec"]["versions"])


COLUMNS: dict[str, Columns] = {
    "pods": (NAME, *pod_columns.COLUMNS),
    "nodes": (
        NAME,
        Column("Status", _node_status),
        Column("Roles", _node_roles),
        AGE,
        field("Version", "status", "nodeInfo", "kubeletVersion"),
        Column("Internal-IP", _node_address("InternalIP"), priority=1),
        Column("External-IP", _node_address("ExternalIP"), priority=1),
        field("OS-Image", "status", "nodeInfo", "osImage", default=UNKNOWN, priority=1),
        Column("Kernel-Version", _kernel, priority=1),
        field("Container-Runtime", "status", "nodeInfo", "containerRuntimeVersion", default=UNKNOWN, priority=1),
    ),
    "namespaces": (NAME, field("Status", "status", "phase"), AGE),
    "configmaps": (NAME, DATA, AGE),
    "secrets": (NAME, field("Type", "type"), DATA, AGE),
    "serviceaccounts": (NAME, AGE),
    "services": (
        NAME,
        field("Type", "spec", "type"),
        field("Cluster-IP", "spec", "clusterIP", default=NONE),
        Column("External-IP", _external),
        Column("Port(s)", _ports),
        AGE,
        Column("Selector", _selector, priority=1),
    ),
    "events": (
        Column("Last Seen", _last_seen),
        field("Type", "type"),
        field("Reason", "reason"),
        Column("Object", _involved),
        field("Subobject", "involvedObject", "fieldPath", priority=1),
        Column("Source", _source, priority=1),
        Column("Message", lambda event, _now: str(event.get("message") or "").strip()),
        Column("First Seen", _first_seen, priority=1),
        Column("Count", _count, priority=1),
        Column("Name", NAME.cell, format="name", priority=1),
    ),
    "deployments.apps": (
        NAME,
        Column("Ready", _ready_of),
        field("Up-to-date", "status", "updatedReplicas", default=0),
        field("Available", "status", "availableReplicas", default=0),
        AGE,
        *WORKLOAD_WIDE,
    ),
    "replicasets.apps": REPLICAS,
    "replicationcontrollers": REPLICAS,
    "statefulsets.apps": (NAME, Column("Ready", _ready_of), AGE, *WORKLOAD_WIDE[:2]),
    "daemonsets.apps": (
        NAME,
        number("Desired", "status", "desiredNumberScheduled"),
        number("Current", "status", "currentNumberScheduled"),
        number("Ready", "status", "numberReady"),
        number("Up-to-date", "status", "updatedNumberScheduled"),
        number("Available", "status", "numberAvailable"),
        Column("Node Selector", lambda one, _now: _labels(at(one, "spec", "template", "spec", "nodeSelector"))),
        AGE,
        *WORKLOAD_WIDE,
    ),
    "jobs.batch": (
        NAME,
        Column("Status", _job_status),
        Column("Completions", _job_completions),
        Column("Duration", _job_duration),
        AGE,
        *WORKLOAD_WIDE,
    ),
    "cronjobs.batch": (
        NAME,
        field("Schedule", "spec", "schedule"),
        field("Timezone", "spec", "timeZone", default=NONE),
        Column("Suspend", lambda one, _now: bool(at(one, "spec", "suspend")), type="boolean"),
        Column("Active", lambda one, _now: len(at(one, "status", "active") or []), type="integer"),
        Column(
            "Last Schedule",
            lambda one, now: age(last, now) if (last := at(one, "status", "lastScheduleTime")) else NONE,
        ),
        AGE,
        *WORKLOAD_WIDE,
    ),
    "leases.coordination.k8s.io": (NAME, field("Holder", "spec", "holderIdentity"), AGE),
    "rolebindings.rbac.authorization.k8s.io": BINDINGS,
    "clusterrolebindings.rbac.authorization.k8s.io": BINDINGS,
    "priorityclasses.scheduling.k8s.io": (
        NAME,
        number("Value", "value"),
        Column("Global-Default", lambda one, _now: bool(one.get("globalDefault")), type="boolean"),
        AGE,
        field("PreemptionPolicy", "preemptionPolicy"),
    ),
    "storageclasses.storage.k8s.io": (
        NAME,
        field("Provisioner", "provisioner"),
        field("ReclaimPolicy", "reclaimPolicy"),
        field("VolumeBindingMode", "volumeBindingMode"),
        Column("AllowVolumeExpansion", lambda one, _now: str(bool(one.get("allowVolumeExpansion"))).lower()),
        AGE,
    ),
    "persistentvolumeclaims": (
        NAME,
        field("Status", "status", "phase"),
        field("Volume", "spec", "volumeName"),
        field("Capacity", "status", "capacity", "storage"),
        Column("Access Modes", lambda one, _now: ",".join(at(one, "status", "accessModes") or [])),
        field("StorageClass", "spec", "storageClassName"),
        field("VolumeAttributesClass", "spec", "volumeAttributesClassName", default=UNSET),
        AGE,
        field("VolumeMode", "spec", "volumeMode", default=UNSET, priority=1),
    ),
    "poddisruptionbudgets.policy": (
        NAME,
        field("Min Available", "spec", "minAvailable", default="N/A"),
        field("Max Unavailable", "spec", "maxUnavailable", default="N/A"),
        number("Allowed Disruptions", "status", "disruptionsAllowed"),
        AGE,
    ),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": WEBHOOKS,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": WEBHOOKS,
}
