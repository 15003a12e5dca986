"""From a wanted runner to the Kubernetes objects that make it run: a Secret per profile, a Job per runner. Pure.

The Job makes one pod, once: GitLab hands the CI job out again if the pod dies before it has taken it, and a runner
that was stopped in the middle must not run the job a second time. `gitlab-runner run-single` exits 0 whatever became
of the CI job, so the Job's success means only that the runner worked.

The pod carries both ends of its journey: node selectors for the node in the target, and, in an annotation, the
virtual nodes it may go to. Its system id comes in by the downward API from an annotation, because annotations reach
the pod in the target unchanged, while names and labels do not.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any

from bridge import names
from bridge.demand import WantedRunner
from bridge.profiles import Executor, Profile
from bridge.runner_toml import BUILDS, CA_FILE, CACHE, DIRECTORY
from federation import names as wire
from federation.kube.api import Manifest

# Beyond the job's own timeout and all waiting: the Job's deadline is a last resort and must never cut a job short.
_DEADLINE_MARGIN_SECONDS = 300
_PREFERENCE_MAX = 100  # Kubernetes' largest weight
_PREFERENCE_STEP = 10


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What all runner pods of a bridge have in common."""

    bridge: str
    namespace: str
    wait_timeout_seconds: int
    start_timeout_seconds: float
    finished_ttl_seconds: int
    image: str = ""
    ca_config_map: str = ""


def secret(options: RunnerOptions, profile: Profile, runner_id: int, token: str, config: str) -> Manifest:
    """Return the Secret with a profile's runner token and config.toml."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names.secret_name(options.bridge, profile.name),
            "namespace": options.namespace,
            "labels": names.labels(options.bridge, profile.name),
            "annotations": {names.RUNNER_ID: str(runner_id)},
        },
        "type": "Opaque",
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in _secret_texts(token, config).items()},
    }


def _secret_texts(token: str, config: str) -> dict[str, str]:
    return {"token": token, "config.toml": config}


def job(options: RunnerOptions, wanted: WantedRunner, token_fingerprint: str) -> Manifest:
    """Return the Kubernetes Job that runs one runner."""
    profile, ci_job = wanted.profile, wanted.job
    name = names.job_name(options.bridge, profile.name, ci_job.id, wanted.attempt)
    labels = names.labels(options.bridge, profile.name) | {
        names.CI_JOB: str(ci_job.id),
        names.ATTEMPT: str(wanted.attempt),
        names.TOKEN: token_fingerprint,
    }
    about = {
        names.SYSTEM_ID: names.system_id(name),
        names.CI_JOB_NAME: f"{ci_job.project}: {ci_job.name}",
        names.CI_JOB_URL: ci_job.url,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": options.namespace, "labels": labels, "annotations": about},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": options.finished_ttl_seconds,
            "activeDeadlineSeconds": _deadline_seconds(options, profile),
            "template": {
                "metadata": {"labels": labels, "annotations": about | _election(options.namespace, profile)},
                "spec": _pod(options, profile),
            },
        },
    }


def _deadline_seconds(options: RunnerOptions, profile: Profile) -> int:
    waiting = options.wait_timeout_seconds + int(options.start_timeout_seconds)
    return profile.maximum_timeout_seconds + waiting + _DEADLINE_MARGIN_SECONDS


def _election(namespace: str, profile: Profile) -> dict[str, str]:
    annotations = {wire.ELECT: ""}
    if constraints := virtual_node_constraints(namespace, profile):
        # JSON is YAML that nobody can misread: a target called `y` is a boolean to Kubernetes' YAML reader.
        annotations[wire.PROXY_CONSTRAINTS] = json.dumps(constraints)
    return annotations


def virtual_node_constraints(namespace: str, profile: Profile) -> Manifest:
    """Return the PodSpec fragment that says which virtual nodes may be chosen, the first target liked best."""
    if profile.virtual_node_selector:
        return {"nodeSelector": profile.virtual_node_selector}
    if not profile.targets:
        return {}
    return {"affinity": {"nodeAffinity": _target_affinity(namespace, profile.targets)}}


def _target_affinity(namespace: str, targets: tuple[str, ...]) -> Manifest:
    here = {"key": wire.TARGET_NAMESPACE, "operator": "In", "values": [namespace]}
    any_of = {"key": wire.TARGET_NAME, "operator": "In", "values": list(targets)}
    affinity: Manifest = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [any_of, here]}]}
    }
    if len(targets) > 1:
        affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {
                "weight": max(1, _PREFERENCE_MAX - _PREFERENCE_STEP * position),
                "preference": {"matchExpressions": [{"key": wire.TARGET_NAME, "operator": "In", "values": [target]}]},
            }
            for position, target in enumerate(targets)
        ]
    return affinity


def _pod(options: RunnerOptions, profile: Profile) -> Manifest:
    pod: Manifest = {
        "restartPolicy": "Never",
        "nodeSelector": profile.manager_selector(),
        # The kubernetes executor makes pods in its cluster; a shell runner has no business with the API.
        "automountServiceAccountToken": profile.executor is Executor.KUBERNETES,
        # A deleted pod finishes its job first: the image's stop signal makes the runner take no further one.
        "terminationGracePeriodSeconds": profile.maximum_timeout_seconds,
        "containers": [_container(options, profile)],
        "volumes": [
            {"name": "config", "projected": {"sources": _config_sources(options, profile)}},
            {"name": "builds", "emptyDir": {}},
            {"name": "cache", "emptyDir": {}},
        ],
    }
    if profile.tolerations:
        pod["tolerations"] = [dict(toleration) for toleration in profile.tolerations]
    if profile.service_account:
        pod["serviceAccountName"] = profile.service_account
    return pod


def _container(options: RunnerOptions, profile: Profile) -> Manifest:
    environment = [{"name": "FF_DISABLE_AUTOMATIC_TOKEN_ROTATION", "value": "true"}]
    if options.ca_config_map:
        environment.append({"name": "SSL_CERT_FILE", "value": CA_FILE})
    return {
        "name": "runner",
        "image": options.image or profile.image,
        "command": [
            "gitlab-runner",
            "run-single",
            "-c",
            f"{DIRECTORY}/config.toml",
            "-r",
            names.secret_name(options.bridge, profile.name),
            "--max-builds",
            "1",
            "--wait-timeout",
            str(options.wait_timeout_seconds),
        ],
        "env": environment,
        "resources": profile.resources.model_dump(exclude_defaults=True),
        "volumeMounts": [
            {"name": "config", "mountPath": DIRECTORY, "readOnly": True},
            {"name": "builds", "mountPath": BUILDS},
            {"name": "cache", "mountPath": CACHE},
        ],
    }


def _config_sources(options: RunnerOptions, profile: Profile) -> list[dict[str, Any]]:
    """Return the sources of the config directory. The token's own key is left out: config.toml has it."""
    system_id = {"fieldRef": {"fieldPath": f"metadata.annotations['{names.SYSTEM_ID}']"}}
    sources: list[dict[str, Any]] = [
        {
            "secret": {
                "name": names.secret_name(options.bridge, profile.name),
                "items": [{"key": "config.toml", "path": "config.toml"}],
            }
        },
        {"downwardAPI": {"items": [{"path": ".runner_system_id", **system_id}]}},
    ]
    if options.ca_config_map:
        authority = {"name": options.ca_config_map, "items": [{"key": "ca.crt", "path": "certs/ca.crt"}]}
        sources.append({"configMap": authority})
    return sources
