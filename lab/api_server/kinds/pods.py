"""Pods: defaults, what a new pod must look like, and how long its deletion takes.

What may change later is in `pod_updates`; pod templates of workloads share the defaults. Messages are upstream's.
"""

from typing import Any

from lab.api_server.core.manifest import Manifest, at
from lab.api_server.core.metadata import label
from lab.api_server.core.status import FieldError, duplicate, forbidden_field, required, unsupported, wrong
from lab.api_server.kinds import pod_updates
from lab.api_server.kinds.model import Strategy, keep_status_only, spec_changed
from lab.api_server.kinds.quantities import quantity

CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")
DEFAULT_MODE_SOURCES = ("configMap", "secret", "projected", "downwardAPI")
GATED = {
    "type": "PodScheduled",
    "status": "False",
    "lastProbeTime": None,
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}


def default_pod(pod: Manifest) -> None:
    """Fill in what a pod gets when it is decoded."""
    spec = pod.setdefault("spec", {})
    if isinstance(spec, dict):
        default_pod_spec(spec)
        spec.setdefault("enableServiceLinks", True)
        for list_name in CONTAINER_LISTS:
            for container in _objects(spec.get(list_name)):
                _default_requests(container)
        if spec.get("hostNetwork"):
            _default_host_ports(spec)


def default_pod_spec(spec: Manifest) -> None:
    """Fill in a pod spec, of a pod or of a template."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    _mirror_service_account(spec)
    for list_name in CONTAINER_LISTS:
        for container in _objects(spec.get(list_name)):
            _default_container(container)
    for volume in _objects(spec.get("volumes")):
        _default_volume(volume)
    for constraint in _objects(spec.get("topologySpreadConstraints")):
        constraint.setdefault("whenUnsatisfiable", "DoNotSchedule")
    for member in ("tolerations", "volumes", "initContainers", "imagePullSecrets", "schedulingGates", "nodeSelector"):
        if spec.get(member) in ([], {}):
            del spec[member]


def _objects(items: Any) -> list[Manifest]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _mirror_service_account(spec: Manifest) -> None:
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _default_container(container: Manifest) -> None:
    image = str(container.get("image", ""))
    tail = image.rsplit("/", 1)[-1]
    is_latest = "@" not in image and (":" not in tail or tail.endswith(":latest"))
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("imagePullPolicy", "Always" if is_latest else "IfNotPresent")
    for port in _objects(container.get("ports")):
        port.setdefault("protocol", "TCP")
    for member in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(member), dict):
            _default_probe(container[member])
    for variable in _objects(container.get("env")):
        reference = at(variable, "valueFrom", "fieldRef")
        if isinstance(reference, dict):
            reference.setdefault("apiVersion", "v1")


def _default_requests(container: Manifest) -> None:
    """Ask for what a container is limited to; of pods only, templates keep what was written."""
    resources = container.get("resources")
    if isinstance(resources, dict) and isinstance(resources.get("limits"), dict):
        requests = resources.setdefault("requests", {})
        for name, limit in resources["limits"].items():
            requests.setdefault(name, limit)


def _default_probe(probe: Manifest) -> None:
    if isinstance(probe.get("httpGet"), dict):
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")
    for member, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        probe.setdefault(member, value)


def _default_volume(volume: Manifest) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for member in DEFAULT_MODE_SOURCES:
        if isinstance(volume.get(member), dict):
            volume[member].setdefault("defaultMode", 420)
    if isinstance(volume.get("hostPath"), dict):
        volume["hostPath"].setdefault("type", "")
    parts = _objects(at(volume, "projected", "sources"))
    for source in parts:
        if isinstance(source.get("serviceAccountToken"), dict):
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    for listed in [volume, *parts]:
        for item in _objects(at(listed, "downwardAPI", "items")):
            if isinstance(item.get("fieldRef"), dict):
                item["fieldRef"].setdefault("apiVersion", "v1")


def _default_host_ports(spec: Manifest) -> None:
    for list_name in ("initContainers", "containers"):
        for container in _objects(spec.get(list_name)):
            for port in _objects(container.get("ports")):
                port.setdefault("hostPort", port.get("containerPort"))


def prepare_create(pod: Manifest) -> None:
    """Give a new pod the only status it may have."""
    pod["status"] = {"phase": "Pending", "qosClass": qos_class(pod["spec"])}
    if pod["spec"].get("schedulingGates"):
        condition = GATED | {"lastTransitionTime": pod["metadata"]["creationTimestamp"]}
        pod["status"]["conditions"] = [condition]


def qos_class(spec: Manifest) -> str:
    """Return Guaranteed, Burstable or BestEffort, from cpu and memory of all containers."""
    asked = limited = False
    guaranteed = True
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        resources = container.get("resources") or {}
        requests = _compute(resources.get("requests"))
        limits = _compute(resources.get("limits"))
        asked, limited = asked or bool(requests), limited or bool(limits)
        guaranteed = guaranteed and set(limits) == {"cpu", "memory"} and requests == limits
    if not asked and not limited:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _compute(resources: Manifest | None) -> dict[str, object]:
    found = (
        {name: quantity(resources[name]) for name in ("cpu", "memory") if name in (resources or {})}
        if resources
        else {}
    )
    return {name: value for name, value in found.items() if value}


def validate(pod: Manifest) -> list[FieldError]:
    """Check a new pod."""
    errors = validate_pod_spec(pod["spec"], "spec")
    if pod["spec"].get("schedulingGates") and pod["spec"].get("nodeName"):
        errors.append(forbidden_field("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
    return errors


def validate_pod_spec(spec: Manifest, field: str) -> list[FieldError]:
    """Check what a kubelet or scheduler would stumble over; `field` is the path of the spec."""
    errors: list[FieldError] = []
    volumes: set[str] = set()
    for index, volume in enumerate(_objects(spec.get("volumes"))):
        name, where = volume.get("name", ""), f"{field}.volumes[{index}].name"
        errors += [required(where)] if not name else [wrong(where, name, message) for message in label(name)]
        if name in volumes:
            errors.append(duplicate(where, name))
        volumes.add(name)
    if not spec.get("containers"):
        errors.append(required(f"{field}.containers"))
    names: set[str] = set()
    for list_name in ("containers", "initContainers"):
        for index, container in enumerate(_objects(spec.get(list_name))):
            errors += _validate_container(container, f"{field}.{list_name}[{index}]", volumes, names)
    if spec["restartPolicy"] not in {"Always", "OnFailure", "Never"}:
        errors.append(unsupported(f"{field}.restartPolicy", spec["restartPolicy"], ("Always", "OnFailure", "Never")))
    if spec["dnsPolicy"] not in {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"}:
        allowed = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
        errors.append(unsupported(f"{field}.dnsPolicy", spec["dnsPolicy"], allowed))
    gates = [gate.get("name", "") for gate in _objects(spec.get("schedulingGates"))]
    for index, gate in enumerate(gates):
        if gate in gates[:index]:
            errors.append(duplicate(f"{field}.schedulingGates[{index}]", gate))
    return errors + _validate_tolerations(spec, field)


def _validate_tolerations(spec: Manifest, field: str) -> list[FieldError]:
    errors = []
    for index, toleration in enumerate(_objects(spec.get("tolerations"))):
        where = f"{field}.tolerations[{index}]"
        if not toleration.get("key") and toleration.get("operator") != "Exists":
            detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            errors.append(wrong(f"{where}.operator", toleration.get("operator", ""), detail))
        if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.append(wrong(f"{where}.effect", toleration.get("effect", ""), detail))
    return errors


def _validate_container(container: Manifest, field: str, volumes: set[str], names: set[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    name = container.get("name", "")
    errors += (
        [wrong(f"{field}.name", name, message) for message in label(name)] if name else [required(f"{field}.name")]
    )
    if name and name in names:
        errors.append(duplicate(f"{field}.name", name))
    names.add(name)
    if not container.get("image"):
        errors.append(required(f"{field}.image"))
    mounted: set[str] = set()
    for index, mount in enumerate(_objects(container.get("volumeMounts"))):
        where = f"{field}.volumeMounts[{index}]"
        if mount.get("name") not in volumes:
            errors.append(FieldError(f"{where}.name", f'Not found: "{mount.get("name", "")}"', "FieldValueNotFound"))
        if not mount.get("mountPath"):
            errors.append(required(f"{where}.mountPath"))
        elif mount["mountPath"] in mounted:
            errors.append(wrong(f"{where}.mountPath", mount["mountPath"], "must be unique"))
        mounted.add(mount.get("mountPath", ""))
    for index, variable in enumerate(_objects(container.get("env"))):
        if not variable.get("name"):
            errors.append(required(f"{field}.env[{index}].name"))
    return errors + _validate_resources(container.get("resources") or {}, f"{field}.resources")


def _validate_resources(resources: Manifest, field: str) -> list[FieldError]:
    errors = []
    limits = resources.get("limits") or {}
    for name, request in (resources.get("requests") or {}).items():
        limit = limits.get(name)
        if limit is not None and quantity(request) > quantity(limit):
            detail = f"must be less than or equal to {name} limit of {limit}"
            errors.append(wrong(f"{field}.requests", request, detail))
    return errors


def prepare_update(new: Manifest, old: Manifest) -> None:
    """Keep the status, which only its subresource writes."""
    if "status" in old:
        new["status"] = old["status"]
    else:
        new.pop("status", None)


def prepare_status(new: Manifest, old: Manifest) -> None:
    """Keep spec and QoS class; a status write may add neither."""
    keep_status_only(new, old)
    status = new.setdefault("status", {})
    for condition in _objects(status.get("conditions")):
        condition.setdefault("lastProbeTime", None)
        condition.setdefault("lastTransitionTime", None)
    quality = at(old, "status", "qosClass")
    if quality:
        status["qosClass"] = quality


def grace_seconds(pod: Manifest, asked: int | None) -> int:
    """Return how long a deletion waits for the kubelet: not at all where there is no kubelet or nothing runs."""
    seconds = asked if asked is not None else pod["spec"].get("terminationGracePeriodSeconds", 30)
    if not pod["spec"].get("nodeName") or at(pod, "status", "phase") in {"Failed", "Succeeded"}:
        return 0
    return max(int(seconds), 0) if seconds >= 0 else 1


STRATEGY = Strategy(
    default=default_pod,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    prepare_status=prepare_status,
    validate=validate,
    validate_update=pod_updates.validate_update,
    changes_generation=spec_changed,
    grace_seconds=grace_seconds,
    returns_deleted=True,
)
