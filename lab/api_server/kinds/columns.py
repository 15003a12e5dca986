"""Printed columns of the built-in kinds, as kube-apiserver 1.37 has them. (Pods: `pod_columns`.)

Kinds that are not here print their name and when they were created, as upstream does for kinds without a printer.
"""

from datetime import datetime
from typing import Any

from lab.api_server.core.manifest import Manifest, at
from lab.api_server.kinds import cells, more_columns, pod_columns
from lab.api_server.kinds.ages import age
from lab.api_server.kinds.cells import NONE, UNKNOWN
from lab.api_server.kinds.model import Column, Columns

UNSET = "<unset>"
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


WORKLOAD_WIDE: Columns = (
    Column("Containers", lambda manifest, _now: cells.template(manifest, "name"), priority=1),
    Column("Images", lambda manifest, _now: cells.template(manifest, "image"), priority=1),
    Column("Selector", cells.selector, priority=1),
)


REPLICAS: Columns = (
    NAME,
    number("Desired", "spec", "replicas"),
    number("Current", "status", "replicas"),
    number("Ready", "status", "readyReplicas"),
    AGE,
    *WORKLOAD_WIDE,
)


BINDINGS: Columns = (
    NAME,
    Column("Role", lambda one, _now: f"{one['roleRef']['kind']}/{one['roleRef']['name']}"),
    AGE,
    Column("Users", cells.subjects("User"), priority=1),
    Column("Groups", cells.subjects("Group"), priority=1),
    Column("ServiceAccounts", cells.subjects("ServiceAccount"), priority=1),
)
WEBHOOKS: Columns = (NAME, Column("Webhooks", lambda one, _now: len(one.get("webhooks") or []), type="integer"), AGE)
DATA = Column("Data", lambda one, _now: len(one.get("data") or {}) + len(one.get("binaryData") or {}))


COLUMNS: dict[str, Columns] = {
    **more_columns.COLUMNS,
    "pods": (NAME, *pod_columns.COLUMNS),
    "nodes": (
        NAME,
        Column("Status", cells.node_status),
        Column("Roles", cells.node_roles),
        AGE,
        field("Version", "status", "nodeInfo", "kubeletVersion"),
        Column("Internal-IP", cells.node_address("InternalIP"), priority=1),
        Column("External-IP", cells.node_address("ExternalIP"), priority=1),
        field("OS-Image", "status", "nodeInfo", "osImage", default=UNKNOWN, priority=1),
        Column("Kernel-Version", cells.kernel, priority=1),
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
        Column("External-IP", cells.external),
        Column("Port(s)", cells.ports),
        AGE,
        Column("Selector", cells.selector, priority=1),
    ),
    "events": (
        Column("Last Seen", cells.last_seen),
        field("Type", "type"),
        field("Reason", "reason"),
        Column("Object", cells.involved),
        field("Subobject", "involvedObject", "fieldPath", priority=1),
        Column("Source", cells.source, priority=1),
        Column("Message", lambda event, _now: str(event.get("message") or "").strip()),
        Column("First Seen", cells.first_seen, priority=1),
        Column("Count", cells.count, priority=1),
        Column("Name", NAME.cell, format="name", priority=1),
    ),
    "deployments.apps": (
        NAME,
        Column("Ready", cells.ready_of),
        field("Up-to-date", "status", "updatedReplicas", default=0),
        field("Available", "status", "availableReplicas", default=0),
        AGE,
        *WORKLOAD_WIDE,
    ),
    "replicasets.apps": REPLICAS,
    "replicationcontrollers": REPLICAS,
    "statefulsets.apps": (NAME, Column("Ready", cells.ready_of), AGE, *WORKLOAD_WIDE[:2]),
    "daemonsets.apps": (
        NAME,
        number("Desired", "status", "desiredNumberScheduled"),
        number("Current", "status", "currentNumberScheduled"),
        number("Ready", "status", "numberReady"),
        number("Up-to-date", "status", "updatedNumberScheduled"),
        number("Available", "status", "numberAvailable"),
        Column("Node Selector", lambda one, _now: cells.labels(at(one, "spec", "template", "spec", "nodeSelector"))),
        AGE,
        *WORKLOAD_WIDE,
    ),
    "jobs.batch": (
        NAME,
        Column("Status", cells.job_status),
        Column("Completions", cells.job_completions),
        Column("Duration", cells.job_duration),
        AGE,
        *WORKLOAD_WIDE,
    ),
    "cronjobs.batch": (
        NAME,
        field("Schedule", "spec", "schedule"),
        field("Timezone", "spec", "timeZone", default=NONE),
        Column("Suspend", lambda one, _now: str(bool(at(one, "spec", "suspend")))),
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
        Column("Access Modes", lambda one, _now: more_columns.access_modes(at(one, "status", "accessModes"))),
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
    "customresourcedefinitions.apiextensions.k8s.io": (
        NAME,
        field("Scope", "spec", "scope"),
        Column("Versions", cells.versions),
        field("Created At", "metadata", "creationTimestamp", kind="date"),
        field("Group", "spec", "group", priority=1),
        field("Kind", "spec", "names", "kind", priority=1),
        Column("ShortNames", lambda one, _now: ",".join(one["spec"]["names"].get("shortNames") or []), priority=1),
        Column("Established", cells.established, type="boolean", priority=1),
    ),
}
