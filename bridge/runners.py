"""From a wanted runner to the Kubernetes objects that make it run: a Secret per profile, a Job per runner. Pure.
(Deployments of runners that stay: deployments.py.)

The Job makes one pod, once: GitLab hands the CI job out again if the pod dies before it has taken it, and a runner
that was stopped in the middle must not run the job a second time. `gitlab-runner run-single` exits 0 whatever became
of the CI job, so the Job's success means only that the runner worked.

The pod carries both ends of its journey: node selectors for the node in the target, and, in an annotation, the
virtual nodes it may go to. Its system id comes in by the downward API from an annotation, because annotations reach
the pod in the target unchanged, while names and labels do not.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

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
# The runner's token is in it. Root alone reads it, or, where the image's user is another, that one by its group.
CONFIG_MODE = 0o400
_CONFIG_GROUP = 65532  # any number that no user of an image has as their own group
WORK_MOUNTS = ({"name": "builds", "mountPath": BUILDS}, {"name": "cache", "mountPath": CACHE})


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What all runner pods of a bridge have in common."""

    bridge: str
    namespace: str
    wait_timeout_seconds: int
    start_timeout_seconds: float
    finished_ttl_seconds: int
    idle_timeout_seconds: int = 3600
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
    """Return the Kubernetes Job that runs one runner, for a CI job or as a spare one."""
    profile = wanted.profile
    name, about = _identity(options, wanted)
    wait_seconds = options.wait_timeout_seconds if wanted.job else options.idle_timeout_seconds
    labels = names.labels(options.bridge, profile.name) | {
        names.CI_JOB: str(wanted.ci_job),
        names.ATTEMPT: str(wanted.attempt),
        names.TOKEN: token_fingerprint,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": options.namespace, "labels": labels, "annotations": about},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": options.finished_ttl_seconds,
            "activeDeadlineSeconds": _deadline_seconds(options, profile, wait_seconds),
            "template": {
                "metadata": {"labels": labels, "annotations": about | election(options.namespace, profile)},
                "spec": _pod(options, profile, wait_seconds),
            },
        },
    }


def _identity(options: RunnerOptions, wanted: WantedRunner) -> tuple[str, dict[str, str]]:
    """Return the Job's name, and annotations with the runner's system id and what it was made for."""
    if wanted.job is None:
        name = names.spare_name(options.bridge, wanted.profile.name, wanted.attempt)
        return name, {names.SYSTEM_ID: names.system_id(f"{name} {wanted.seed}")}
    name = names.job_name(options.bridge, wanted.profile.name, wanted.job.id, wanted.attempt)
    return name, {
        names.SYSTEM_ID: names.system_id(name),
        names.CI_JOB_NAME: f"{wanted.job.project}: {wanted.job.name}",
        names.CI_JOB_URL: wanted.job.url,
    }


def _deadline_seconds(options: RunnerOptions, profile: Profile, wait_seconds: int) -> int:
    waiting = wait_seconds + int(options.start_timeout_seconds)
    return profile.maximum_timeout_seconds + waiting + _DEADLINE_MARGIN_SECONDS


def election(namespace: str, profile: Profile) -> dict[str, str]:
    """Return the annotations that have a pod federated, to the profile's targets."""
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


def _pod(options: RunnerOptions, profile: Profile, wait_seconds: int) -> Manifest:
    system_id = {"fieldRef": {"fieldPath": f"metadata.annotations['{names.SYSTEM_ID}']"}}
    sources = [
        *config_sources(options, profile),
        {"downwardAPI": {"items": [{"path": ".runner_system_id", **system_id}]}},
    ]
    command = ["gitlab-runner", "run-single", "-c", f"{DIRECTORY}/config.toml"]
    command += ["-r", names.secret_name(options.bridge, profile.name)]
    command += ["--max-builds", "1", "--wait-timeout", str(wait_seconds)]
    container = {
        "name": "runner",
        "image": options.image or profile.image,
        "command": command,
        "env": environment(options),
        "resources": profile.resources.model_dump(exclude_defaults=True),
        "volumeMounts": [{"name": "config", "mountPath": DIRECTORY, "readOnly": True}, *WORK_MOUNTS],
    }
    config: Manifest = {"name": "config", "projected": {"sources": sources, "defaultMode": CONFIG_MODE}}
    # A deleted pod finishes its job first: the image's stop signal makes the runner take no further one.
    grace = {"terminationGracePeriodSeconds": profile.maximum_timeout_seconds}
    return {"restartPolicy": "Never"} | grace | pod_spec(profile, container, [config])


def pod_spec(profile: Profile, container: Manifest, volumes: Sequence[Manifest]) -> Manifest:
    """Return what runner pods of both modes have in common, around their container."""
    pod: Manifest = {
        "nodeSelector": profile.manager_selector(),
        # The kubernetes executor makes pods in its cluster; a shell runner has no business with the API.
        "automountServiceAccountToken": profile.executor is Executor.KUBERNETES,
        # Without it a runner that is not root could not read its own configuration.
        "securityContext": {"fsGroup": _CONFIG_GROUP},
        "containers": [container],
        "volumes": [*volumes, {"name": "builds", "emptyDir": {}}, {"name": "cache", "emptyDir": {}}],
    }
    if profile.tolerations:
        pod["tolerations"] = [dict(toleration) for toleration in profile.tolerations]
    if profile.service_account:
        pod["serviceAccountName"] = profile.service_account
    return pod


def environment(options: RunnerOptions) -> list[Manifest]:
    """Return the variables of every runner's container: many share one token, so none may replace it."""
    variables = [{"name": "FF_DISABLE_AUTOMATIC_TOKEN_ROTATION", "value": "true"}]
    if options.ca_config_map:
        variables.append({"name": "SSL_CERT_FILE", "value": CA_FILE})
    return variables


def config_sources(options: RunnerOptions, profile: Profile) -> list[Manifest]:
    """Return the sources of the config directory. The token's own key is left out: config.toml has it."""
    items = [{"key": "config.toml", "path": "config.toml"}]
    sources: list[Manifest] = [{"secret": {"name": names.secret_name(options.bridge, profile.name), "items": items}}]
    if options.ca_config_map:
        authority = {"name": options.ca_config_map, "items": [{"key": "ca.crt", "path": "certs/ca.crt"}]}
        sources.append({"configMap": authority})
    return sources
