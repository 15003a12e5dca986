"""Deployment mode: a profile's runners as a Deployment whose pods are federated and take one job after the other. Pure.

What keeps running jobs alive through scaling, rolling updates and deletion:

- the runner of a pod that is deleted gets SIGQUIT, whatever the image's stop signal, and finishes its job within a
  grace period that is longer than any job; the proxy at home stays until its delegate in the target has gone;
- a rolling update brings the new pod up before an old one is asked to go (`maxUnavailable: 0`);
- a new token rolls the pods too: those with the old one could ask for nothing more.

Each runner has a `system_id` of its own although all pods are made from one template: a few lines of shell write it
before the runner starts, from the UID of the proxy pod, which the delegate carries as a label (names.py). Left to
itself the runner would derive one from /etc/machine-id, the same for all pods of an image.
"""

import json
from hashlib import sha256

from bridge import names
from bridge.profiles import Profile
from bridge.runner_toml import BUILDS, CA_FILE, CACHE, DIRECTORY
from bridge.runners import CONFIG_MODE, WORK_MOUNTS, RunnerOptions, config_sources, election, environment, pod_spec
from federation import names as wire
from federation.kube.api import Manifest

# After the job's own timeout: after_script, the upload of artifacts, the last of the log.
_GRACE_MARGIN_SECONDS = 300
_JOB_USER = "gitlab-runner"
_MOUNTED = "/etc/isthmus-runner"  # read-only; the runner wants its system id beside config.toml
# Links, so that a runner, which looks at its config.toml every few seconds, sees what kubelet puts there. The shell
# stays, as the container's first process: it takes any stop signal, also one that comes before the runner could, and
# has the runner finish its job (SIGQUIT; SIGTERM would end it). The runner may get that twice, but must not miss it: a
# plain `wait` for it would sleep through a signal that came just before.
# Where the container is root, and its image has the user that gitlab-runner's own images have, jobs run as that one:
# they cannot read the runner's token.
_START = f"""set -eu
ln -sfn {_MOUNTED}/config.toml {DIRECTORY}/config.toml
if [ -d {_MOUNTED}/certs ]; then ln -sfn {_MOUNTED}/certs {DIRECTORY}/certs; fi
uid=${{PROXY_UID:-$POD_UID}}
printf 'r_%s' "$(printf %s "$uid" | tr -d - | cut -c1-12)" > {DIRECTORY}/.runner_system_id
leaving=
trap 'leaving=1' QUIT TERM INT
user=
if [ "$(id -u)" = 0 ] && id -u {_JOB_USER} >/dev/null 2>&1; then
  chmod 1777 {BUILDS} {CACHE}
  user=--user={_JOB_USER}
fi
gitlab-runner run -c {DIRECTORY}/config.toml $user &
runner=$!
pause=5
while kill -0 "$runner" 2>/dev/null; do
  if [ -n "$leaving" ]; then kill -QUIT "$runner" || true; pause=1; fi
  sleep "$pause" &
  wait "$!" || true
done
if [ -n "$leaving" ]; then exit 0; fi
wait "$runner"
"""
assert CA_FILE.startswith(f"{DIRECTORY}/certs/")


def deployment(options: RunnerOptions, profile: Profile, token_fingerprint: str, replicas: int) -> Manifest:
    """Return a profile's Deployment. What it says of its pods is summed up in an annotation, for comparison."""
    template = pod_template(options, profile, token_fingerprint)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": profile.deployment_name,
            "namespace": options.namespace,
            "labels": _selector(options, profile) | names.labels(options.bridge, profile.name),
            "annotations": {names.TEMPLATE: template_hash(template)},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": _selector(options, profile)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": template,
        },
    }


def pod_template(options: RunnerOptions, profile: Profile, token_fingerprint: str) -> Manifest:
    """Return the template of a profile's pods."""
    labels = _selector(options, profile) | names.labels(options.bridge, profile.name)
    return {
        "metadata": {
            "labels": labels | {names.TOKEN: token_fingerprint},
            "annotations": election(options.namespace, profile),
        },
        "spec": _pod(options, profile),
    }


def template_hash(template: Manifest) -> str:
    """Return which template it is: the API server adds defaults, so that the objects cannot be compared."""
    return sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]


def _selector(options: RunnerOptions, profile: Profile) -> dict[str, str]:
    return {names.APP: names.FEDERATED_RUNNER, names.BRIDGE: options.bridge, names.PROFILE: profile.name}


def _pod(options: RunnerOptions, profile: Profile) -> Manifest:
    container = {
        "name": "runner",
        "image": options.image or profile.image,
        "command": ["sh", "-c", _START],
        "env": [
            *environment(options),
            _field("PROXY_UID", f"metadata.labels['{wire.PARENT_UID}']"),
            _field("POD_UID", "metadata.uid"),
        ],
        "resources": profile.resources.model_dump(exclude_defaults=True),
        "volumeMounts": [
            {"name": "config", "mountPath": _MOUNTED, "readOnly": True},
            {"name": "home", "mountPath": DIRECTORY},
            *WORK_MOUNTS,
        ],
    }
    volumes = [
        {"name": "config", "projected": {"sources": config_sources(options, profile), "defaultMode": CONFIG_MODE}},
        {"name": "home", "emptyDir": {}},
    ]
    grace = {"terminationGracePeriodSeconds": profile.maximum_timeout_seconds + _GRACE_MARGIN_SECONDS}
    return grace | pod_spec(profile, container, volumes)


def _field(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
