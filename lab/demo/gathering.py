"""Asks clusters, GitLab and registry for everything that a verdict needs. Reads only, and judges nothing."""

import asyncio
import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from federation.kinds import POD_CHAPERONS, TARGETS
from federation.kube.api import Api, connect
from federation.kube.resources import NODES, PODS, SECRETS
from lab.construction import WORK_NAMESPACE
from lab.demo import traces
from lab.demo.facts import ClusterFacts, Facts, JobFacts
from lab.demo.gitlab_client import GitLabClient, gitlab
from lab.demo.registry_client import Image, RegistryClient, registry, split
from lab.directory import ClusterRecord, LabRecord

Json = dict[str, Any]


async def gather(record: LabRecord, project_path: str) -> Facts:
    """Read it all. Raises GitLabFailed, RegistryFailed, ApiError."""
    forge, images = record.services["gitlab"], record.services["registry"]
    async with (
        gitlab(forge["url"], forge["token"]) as client,
        registry(images["url"], images["ca_file"], forge["url"], forge["token"]) as reader,
    ):
        clusters = await asyncio.gather(*(_cluster(cluster) for cluster in record.clusters))
        targets = await _targets(record.clusters[0])
        project = await client.project(project_path)
        pipeline = await client.newest_pipeline(project["id"])
        jobs = await _jobs(client, project["id"], pipeline["id"]) if pipeline else []
        return Facts(
            project=project,
            gitlab_revision=str((await client.metadata())["revision"]),
            pipeline=pipeline,
            jobs=jobs,
            clusters=clusters,
            targets=targets,
            images=await _images(reader, project, jobs),
        )


async def _jobs(client: GitLabClient, project: int, pipeline: int) -> list[JobFacts]:
    jobs = await client.jobs(project, pipeline)
    logs = await asyncio.gather(*(client.trace(project, job["id"]) for job in jobs))
    return [JobFacts(job, log) for job, log in zip(jobs, logs, strict=True)]


async def _cluster(record: ClusterRecord) -> ClusterFacts:
    async with await connect(Path(record.kubeconfig)) as api:
        version = json.loads((await api.request("GET", "/version")).body)
        return ClusterFacts(
            name=record.name,
            server=_server(_read(record.kubeconfig)),
            version=version["gitVersion"],
            nodes=(await api.list(NODES)).items,
            pods=(await api.list(PODS, WORK_NAMESPACE)).items,
            chaperons=(await api.list(POD_CHAPERONS, WORK_NAMESPACE)).items,
        )


async def _targets(source: ClusterRecord) -> dict[tuple[str, str], str]:
    async with await connect(Path(source.kubeconfig)) as api:
        found = (await api.list(TARGETS, WORK_NAMESPACE)).items
        return {(WORK_NAMESPACE, target["metadata"]["name"]): await _target_server(api, target) for target in found}


async def _target_server(api: Api, target: Json) -> str:
    """Where a Target leads: the server in the kubeconfig of its Secret."""
    reference = target["spec"].get("kubeconfigSecret")
    if not reference:
        return ""
    secret = await api.get(SECRETS, reference["name"], WORK_NAMESPACE)
    return _server(yaml.safe_load(base64.b64decode(secret["data"][reference.get("key", "config")])))


def _read(kubeconfig: str) -> Json:
    return dict(yaml.safe_load(Path(kubeconfig).read_text()))


def _server(kubeconfig: Json) -> str:
    return str(kubeconfig["clusters"][0]["cluster"]["server"])


async def _images(reader: RegistryClient, project: Json, jobs: Sequence[JobFacts]) -> dict[str, Image]:
    """What the tags that the jobs name stand for now, and the images that indexes list."""
    images: dict[str, Image] = {}
    ours = str(project["container_registry_image_prefix"])
    for name in {pushed.image for job in jobs for pushed in traces.pushed(job.trace)}:
        repository, tag = split(name)
        if not name.startswith(f"{ours}:"):
            continue  # another project's: the verdict will say so
        if image := await reader.image(repository, tag):
            images[name] = image
            for entry in image.manifest["manifests"] if image.is_index else ():
                if part := await reader.image(repository, entry["digest"]):
                    images[f"{ours}@{entry['digest']}"] = part
    return images
