"""Facts of a pipeline where everything is right, to be spoilt one thing at a time."""

import copy
from dataclasses import replace
from typing import Any

from federation import names
from lab.demo.facts import ClusterFacts, Facts, JobFacts
from lab.demo.registry_client import INDEX_TYPES, Image

Json = dict[str, Any]
PREFIX = "127.0.0.1:5000/root/app"
PLACES = {
    "build-amd64": ("amd64", "home", "linux", "amd64"),
    "build-arm64": ("arm64", "arm-lab", "linux", "arm64"),
    "build-windows": ("windows", "windows-lab", "windows", "amd64"),
    "manifest": ("amd64", "home", "linux", "amd64"),
}


def digest(letter: str) -> str:
    """A digest that is easy to tell from others."""
    return "sha256:" + letter * 64


DIGESTS = {job: digest(letter) for job, letter in zip(PLACES, "abcd", strict=True)}
SUFFIX = {"build-amd64": "-amd64", "build-arm64": "-arm64", "build-windows": "-windows", "manifest": ""}


def reference(job: str) -> str:
    """The image that a job pushes."""
    return f"{PREFIX}:0123abcd{SUFFIX[job]}"


def trace(job: str) -> str:
    """What the runner and the job's script write."""
    return (
        f"2026-11-23T22:57:16.261142Z 00O Running with gitlab-runner 19.3.0 (isthmus-lab)\n"
        f"2026-11-23T22:57:16.261226Z 00O   on isthmus-runner Abc, system ID: r_{job}\n"
        f'2026-11-23T22:57:17.261226Z 01O \x1b[32;1m$ echo "pushed $IMAGE@$(cat pushed.txt)"\x1b[0;m\n'
        f"2026-11-23T22:57:17.261226Z 01O pushed {reference(job)}@{DIGESTS[job]}\n"
    )


def gitlab_job(number: int, job: str) -> JobFacts:
    """A job as GitLab has it."""
    facts: Json = {"id": number, "name": job, "status": "success", "duration": 1.5, "tag_list": [PLACES[job][0]]}
    facts["runner_manager"] = {"system_id": f"r_{job}"}
    return JobFacts(facts, trace(job))


def proxy(job: str) -> Json:
    """A runner pod at home."""
    annotations = {names.ELECT: "", "bridge.isthmus.dev/system-id": f"r_{job}"}
    metadata = {"name": f"runner-{job}", "uid": f"uid-{job}", "annotations": annotations, "labels": {}}
    return {
        "metadata": metadata | {"creationTimestamp": "2026-11-23T22:57:15Z"},
        "spec": {"nodeName": f"virtual-{PLACES[job][1]}"},
        "status": {"phase": "Succeeded"},
    }


def delegate(job: str) -> Json:
    """The pod that does its work."""
    _, cluster, os, arch = PLACES[job]
    owner = {"kind": names.CHAPERON_KIND, "name": f"runner-{job}-0", "uid": f"chaperon-{job}"}
    metadata = {
        "name": f"runner-{job}-0",
        "uid": f"delegate-{job}",
        "annotations": {"bridge.isthmus.dev/system-id": f"r_{job}"},
        "labels": {names.PARENT_UID: f"uid-{job}"},
        "ownerReferences": [owner],
    }
    return {"metadata": metadata, "spec": {"nodeName": f"{cluster}-{os}-{arch}"}, "status": {"phase": "Succeeded"}}


def chaperon(job: str) -> Json:
    """What owns it."""
    labels = {names.PARENT_UID: f"uid-{job}"}
    return {"metadata": {"name": f"runner-{job}-0", "uid": f"chaperon-{job}", "labels": labels}}


def node(cluster: str, os: str, arch: str) -> Json:
    """A node of a cluster's own."""
    labels = {"kubernetes.io/os": os, "kubernetes.io/arch": arch}
    annotations = {"isthmus.dev/containers": "processes"}
    if (os, arch) != ("linux", "amd64"):
        annotations["isthmus.dev/simulates"] = f"{os}/{arch}"
    return {"metadata": {"name": f"{cluster}-{os}-{arch}", "labels": labels, "annotations": annotations}}


def virtual_node(target: str) -> Json:
    """A node that stands for a target."""
    labels = {
        names.PROVIDER_KEY: names.PROVIDER,
        names.TARGET_NAMESPACE: "default",
        names.TARGET_NAME: target,
    }
    return {"metadata": {"name": f"virtual-{target}", "labels": labels}}


def cluster_facts(name: str, *nodes: Json) -> ClusterFacts:
    """A cluster and what runs there; the first is the source."""
    jobs = [job for job, place in PLACES.items() if place[1] == name]
    is_source = name == "home"
    return ClusterFacts(
        name=name,
        server=f"https://{name}",
        version="v1.37.2-isthmus-lab",
        nodes=[*nodes, *([virtual_node(t) for t in ("home", "arm-lab", "windows-lab")] if is_source else [])],
        pods=[*(delegate(job) for job in jobs), *([proxy(job) for job in PLACES] if is_source else [])],
        chaperons=[chaperon(job) for job in jobs],
    )


def images() -> dict[str, Image]:
    """What the registry has."""
    found: dict[str, Image] = {}
    entries = []
    for job in [job for job in PLACES if job != "manifest"]:
        _, _, os, arch = PLACES[job]
        version = {"os.version": "10.0.20348.2402"} if os == "windows" else {}
        labels = {"io.buildah.version": "isthmus lab stand-in"}
        config = {"os": os, "architecture": arch, "config": {"Labels": labels}, **version}
        image = Image(DIGESTS[job], "application/vnd.oci.image.manifest.v1+json", {"layers": []}, config)
        found[reference(job)] = found[f"{PREFIX}@{DIGESTS[job]}"] = image
        entries.append({"digest": DIGESTS[job], "platform": {"os": os, "architecture": arch, **version}})
    found[reference("manifest")] = Image(DIGESTS["manifest"], INDEX_TYPES[0], {"manifests": entries})
    return found


def right() -> Facts:
    """Facts of which every row is right."""
    facts = Facts(
        project={"path_with_namespace": "root/app", "container_registry_image_prefix": PREFIX},
        gitlab_revision="isthmus-lab",
        pipeline={"id": 1, "status": "success"},
        jobs=[gitlab_job(number, job) for number, job in enumerate(PLACES, start=1)],
        clusters=[
            cluster_facts("home", node("home", "linux", "amd64")),
            cluster_facts("arm-lab", node("arm-lab", "linux", "arm64")),
            cluster_facts("windows-lab", node("windows-lab", "windows", "amd64")),
        ],
        targets={
            ("default", "home"): "",
            ("default", "arm-lab"): "https://arm-lab",
            ("default", "windows-lab"): "https://windows-lab",
        },
        images=images(),
    )
    return copy.deepcopy(facts)


def with_image(facts: Facts, name: str, **change: Any) -> Facts:
    """The same with another image under a name."""
    return replace(facts, images={**facts.images, name: replace(facts.images[name], **change)})
