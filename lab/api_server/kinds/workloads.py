"""Deployments, ReplicaSets, Jobs and the other kinds that make pods: defaults and what must match."""

from lab.api_server.core.manifest import Manifest, at
from lab.api_server.core.selectors import labels_match, parse_label_selector
from lab.api_server.core.status import FieldError, required, wrong
from lab.api_server.kinds.model import Strategy, keep_status_only, spec_changed
from lab.api_server.kinds.pods import default_pod_spec, validate_pod_spec

JOB_UID, JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"


def _default_template(manifest: Manifest) -> Manifest:
    spec: Manifest = manifest.setdefault("spec", {})
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))
    return spec


def _default_deployment(manifest: Manifest) -> None:
    spec = _default_template(manifest)
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def _default_replicas(manifest: Manifest) -> None:
    _default_template(manifest).setdefault("replicas", 1)


def _default_controller(manifest: Manifest) -> None:
    _default_replicas(manifest)
    spec = manifest["spec"]
    labels = at(spec, "template", "metadata", "labels") or {}
    spec["selector"] = spec.get("selector") or labels
    metadata = manifest.setdefault("metadata", {})
    metadata["labels"] = metadata.get("labels") or dict(labels)


def _default_daemon_set(manifest: Manifest) -> None:
    spec = _default_template(manifest)
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)


def _default_stateful_set(manifest: Manifest) -> None:
    spec = _default_template(manifest)
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    policy = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    policy.setdefault("whenDeleted", "Retain")
    policy.setdefault("whenScaled", "Retain")


def _default_job(manifest: Manifest) -> None:
    spec = _default_template(manifest)
    _default_job_spec(spec)
    metadata = manifest.setdefault("metadata", {})
    labels = at(spec, "template", "metadata", "labels")
    if labels and not metadata.get("labels"):
        metadata["labels"] = dict(labels)


def _default_job_spec(spec: Manifest) -> None:
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    if "backoffLimitPerIndex" not in spec:
        spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    for rule in at(spec, "podFailurePolicy", "rules") or []:
        for pattern in rule.get("onPodConditions") or []:
            pattern.setdefault("status", "True")


def _label_job(manifest: Manifest) -> None:
    """Select a new Job's pods by the Job's own UID."""
    manifest.pop("status", None)
    manifest["status"] = {}
    spec = manifest["spec"]
    if spec.get("manualSelector"):
        return
    uid, name = manifest["metadata"]["uid"], manifest["metadata"]["name"]
    labels = spec["template"]["metadata"].setdefault("labels", {})
    labels |= {"controller-uid": uid, "job-name": name, JOB_UID: uid, JOB_NAME: name}
    spec.setdefault("selector", {}).setdefault("matchLabels", {})[JOB_UID] = uid


def _default_cron_job(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    for member, value in (("concurrencyPolicy", "Allow"), ("suspend", False)):
        spec.setdefault(member, value)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    job = spec.setdefault("jobTemplate", {}).setdefault("spec", {})
    job.setdefault("template", {}).setdefault("metadata", {})
    default_pod_spec(job["template"].setdefault("spec", {}))


def _empty_status(manifest: Manifest) -> None:
    manifest["status"] = {}


def _zero_replicas(manifest: Manifest) -> None:
    manifest["status"] = {"replicas": 0}


def _keep_status(new: Manifest, old: Manifest) -> None:
    if "status" in old:
        new["status"] = old["status"]
    else:
        new.pop("status", None)


def _validate_selector(manifest: Manifest) -> list[FieldError]:
    spec = manifest["spec"]
    labels = at(spec, "template", "metadata", "labels") or {}
    selector = spec.get("selector")
    errors: list[FieldError] = []
    if not selector:
        errors.append(required("spec.selector"))
    if not selector or not labels_match(parse_label_selector(selector), labels):
        listed = ",".join(f'"{key}":"{value}"' for key, value in sorted(labels.items()))
        shown = "{" + listed + "}" if listed else None
        errors.append(wrong("spec.template.metadata.labels", shown, "`selector` does not match template `labels`"))
    return errors + _validate_template(manifest) + _validate_always(spec)


def _validate_always(spec: Manifest) -> list[FieldError]:
    policy = spec["template"]["spec"]["restartPolicy"]
    if policy == "Always":
        return []
    message = f'Unsupported value: "{policy}": supported values: "Always"'
    return [FieldError("spec.template.spec.restartPolicy", message, "FieldValueNotSupported")]


def _validate_template(manifest: Manifest) -> list[FieldError]:
    return validate_pod_spec(manifest["spec"]["template"]["spec"], "spec.template.spec")


def _validate_job(manifest: Manifest) -> list[FieldError]:
    errors = _validate_template(manifest)
    if manifest["spec"]["template"]["spec"]["restartPolicy"] == "Always":
        errors.append(required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"'))
    return errors


def _validate_cron_job(manifest: Manifest) -> list[FieldError]:
    schedule = str(at(manifest, "spec", "schedule") or "")
    fields = schedule.split()
    if not schedule:
        return [required("spec.schedule")]
    if schedule.startswith("@") or len(fields) == 5:
        return []
    detail = f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
    return [wrong("spec.schedule", schedule, detail)]


def _immutable_selector(new: Manifest, old: Manifest) -> list[FieldError]:
    if at(new, "spec", "selector") == at(old, "spec", "selector"):
        return []
    return [wrong("spec.selector", str(at(new, "spec", "selector")), "field is immutable")]


def _immutable_job(new: Manifest, old: Manifest) -> list[FieldError]:
    errors = _immutable_selector(new, old)
    may_change_template = at(old, "spec", "suspend") and not at(old, "status", "startTime")
    if not may_change_template and at(new, "spec", "template") != at(old, "spec", "template"):
        errors.append(wrong("spec.template", "{...}", "field is immutable"))
    if at(new, "spec", "completionMode") != at(old, "spec", "completionMode"):
        errors.append(wrong("spec.completionMode", at(new, "spec", "completionMode"), "field is immutable"))
    return errors


def _keep_job_labels(new: Manifest, old: Manifest) -> None:
    """Give an update that was written without the generated selector and labels what they were."""
    _keep_status(new, old)
    if not at(new, "spec", "selector"):
        new["spec"]["selector"] = at(old, "spec", "selector")
    labels = at(old, "spec", "template", "metadata", "labels") or {}
    generated = {key: labels[key] for key in ("controller-uid", "job-name", JOB_UID, JOB_NAME) if key in labels}
    template = new["spec"]["template"]["metadata"]
    template["labels"] = generated | (template.get("labels") or {})


def _workload(default: str, *, replicas: bool = False) -> Strategy:
    return Strategy(
        default=DEFAULTS[default],
        prepare_create=_zero_replicas if replicas else _empty_status,
        prepare_update=_keep_status,
        prepare_status=keep_status_only,
        validate=_validate_selector,
        validate_update=_immutable_selector,
        changes_generation=spec_changed,
    )


DEFAULTS = {
    "deployments": _default_deployment,
    "replicasets": _default_replicas,
    "daemonsets": _default_daemon_set,
    "statefulsets": _default_stateful_set,
}
STRATEGIES = {
    "deployments.apps": _workload("deployments"),
    "replicasets.apps": _workload("replicasets", replicas=True),
    "daemonsets.apps": _workload("daemonsets"),
    "statefulsets.apps": _workload("statefulsets"),
    "replicationcontrollers": Strategy(
        default=_default_controller,
        prepare_create=_zero_replicas,
        prepare_update=_keep_status,
        validate=_validate_template,
        changes_generation=spec_changed,
        orphans_dependents=True,
    ),
    "jobs.batch": Strategy(
        default=_default_job,
        prepare_create=_label_job,
        prepare_update=_keep_job_labels,
        validate=_validate_job,
        validate_update=_immutable_job,
        changes_generation=spec_changed,
        orphans_dependents=True,
    ),
    "cronjobs.batch": Strategy(
        default=_default_cron_job,
        validate=_validate_cron_job,
        validate_update=lambda new, _old: _validate_cron_job(new),
        prepare_create=_empty_status,
        prepare_update=_keep_status,
        changes_generation=spec_changed,
    ),
}
