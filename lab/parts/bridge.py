"""The bridge: watches the lab's GitLab and makes runner pods at home, in the work namespace."""

import json
from collections.abc import Container
from pathlib import Path

from federation.kube.resources import CONFIG_MAPS, SECRETS
from lab.construction import WORK_NAMESPACE, Construction, isthmus, shipped
from lab.parts.manifests import Manifest, apply, create, read
from lab.pki import write_private
from lab.waiting import until_object

BRIDGE_USER = "isthmus-bridge"
AUTHORITY_CONFIG_MAP = "isthmus-lab-ca"

READY_SECONDS = 60
# GitLab is on this machine and has one client: looking every second costs nothing and makes a demo quick.
POLL_SECONDS = 1


async def start_bridge(lab: Construction) -> None:
    """Start the bridge and return when each profile has its runner: token and configuration are in Secrets then."""
    home = lab.source
    (profiles,) = read([shipped("runner-config") / "profiles.yaml"])
    file = lab.directory.service("profiles.json")
    file.write_text(json.dumps(_in_these_clusters(profiles, lab.clusters), indent=2))
    roles = shipped("deploy") / "rbac"
    manifests = read([roles / "bridge.yaml", roles / "bridge-deployments.yaml"])
    await apply(home.api, manifests, _in_work_namespace)
    await create(home.api, CONFIG_MAPS, _config_map(Path(lab.record.services["registry"]["ca_file"])))
    gitlab = lab.record.services["gitlab"]
    token = write_private(lab.directory.service("keys") / "bridge-token", gitlab["token"].encode())
    env = {
        "ISTHMUS_BRIDGE_GITLAB_URL": gitlab["url"],
        "ISTHMUS_BRIDGE_GITLAB_TOKEN_FILE": str(token),
        "ISTHMUS_BRIDGE_KUBECONFIG": str(home.kubeconfig(BRIDGE_USER)),
        "ISTHMUS_BRIDGE_NAMESPACE": WORK_NAMESPACE,
        "ISTHMUS_BRIDGE_PROFILES_FILE": str(file),
        "ISTHMUS_BRIDGE_POLL_INTERVAL_SECONDS": str(POLL_SECONDS),
        "ISTHMUS_BRIDGE_DISCOVERY_INTERVAL_SECONDS": str(POLL_SECONDS),
        "ISTHMUS_BRIDGE_RUNNER_CA_CONFIG_MAP": AUTHORITY_CONFIG_MAP,
    }
    process = lab.start("bridge", isthmus("bridge", "run"), env=env, cluster=home.name)
    count = len(profiles["profiles"])
    await until_object(
        home.api,
        SECRETS,
        lambda secret: (secret["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by") == "isthmus-bridge",
        namespace=WORK_NAMESPACE,
        count=count,
        relies_on=[process],
        what=f"{count} runners registered by the bridge",
        seconds=READY_SECONDS,
    )
    lab.report(f"bridge ready, {count} runners registered")


def _in_these_clusters(profiles: Manifest, clusters: Container[str]) -> Manifest:
    """The profiles that come with Isthmus, without targets that this lab has not; with none left, any will do."""
    adapted = []
    for profile in profiles["profiles"]:
        targets = [target for target in profile.get("targets") or [] if target in clusters]
        adapted.append({**profile, "targets": targets})
    return {**profiles, "profiles": adapted}


def _in_work_namespace(manifest: Manifest) -> Manifest:
    """The file speaks of namespace `ci`; the lab has its jobs where its Targets are."""
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": WORK_NAMESPACE}}


def _config_map(authority: Path) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": AUTHORITY_CONFIG_MAP, "namespace": WORK_NAMESPACE},
        "data": {"ca.crt": authority.read_text()},
    }
