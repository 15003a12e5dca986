"""The demo, once per engine, and then its lab, kept, with one thing broken at a time: the verification must notice."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from federation.kube.api import connect
from federation.kube.errors import NotFound
from federation.kube.resources import PODS
from lab.construction import WORK_NAMESPACE
from lab.demo.registry_client import split
from lab.directory import LabDirectory, LabRecord
from lab.down import down
from lab.plan import EngineName
from tests.e2e.demo import SECONDS_MAX, left_behind, started, verified

Json = dict[str, Any]

pytestmark = pytest.mark.timeout(2 * SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class KeptDemo:
    """A demo that has ended and left its lab running."""

    directory: Path
    record: LabRecord
    result: Json
    text: str

    def job(self, name: str) -> Json:
        """A row of the result."""
        return next(dict(row) for row in self.result["jobs"] if row["job"] == name)


@pytest.fixture(scope="module")
async def kept(engine: EngineName, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KeptDemo]:
    """The demo with --keep, on each engine."""
    place = tmp_path_factory.mktemp("demo")
    async with started(place / "lab", engine, "--keep", f"--json={place / 'demo.json'}") as demo:
        code = await demo.end()
    record = demo.record if (place / "lab" / "lab.json").exists() else None
    try:
        assert code == 0, demo.text
        assert record is not None
        yield KeptDemo(place / "lab", record, json.loads((place / "demo.json").read_text()), demo.text)
    finally:
        if record is not None:
            await down(LabDirectory(place / "lab"))
            assert left_behind(place / "lab", record) == []


def test_each_job_ran_where_its_tag_says_and_its_image_is_in_the_registry(kept: KeptDemo, engine: EngineName) -> None:
    result = kept.result

    assert (result["ok"], result["engine"], result["problems"]) == (True, engine.value, [])
    assert [(row["job"], row["tag"], row["cluster"], row["node"]) for row in result["jobs"]] == [
        ("build-amd64", "amd64", "home", "home-linux-amd64"),
        ("build-arm64", "arm64", "arm-lab", "arm-lab-linux-arm64"),
        ("build-windows", "windows", "windows-lab", "windows-lab-windows-amd64"),
        ("manifest", "amd64", "home", "home-linux-amd64"),
    ]
    index = result["index"]
    assert [entry["digest"] for entry in index["platforms"]] == [row["digest"] for row in result["jobs"][:3]]
    assert index["digest"] == kept.job("manifest")["digest"]
    assert [(e["os"], e["architecture"], e.get("os.version", "")) for e in index["platforms"]] == [
        ("linux", "amd64", ""),
        ("linux", "arm64", ""),
        ("windows", "amd64", "10.0.20348.2402"),
    ]


def test_what_is_simulated_is_said(kept: KeptDemo, engine: EngineName) -> None:
    simulated = {row["job"]: set(row["simulated"]) for row in kept.result["jobs"]}

    assert {job for job, what in simulated.items() if "node" in what} >= {"build-windows"}
    assert all({"gitlab", "registry", "containers"} <= what for what in simulated.values())
    assert all(("engine" in what) == (engine is EngineName.EMBEDDED) for what in simulated.values())
    assert "Simulated here" in kept.text


def test_every_step_of_every_job_is_shown_in_order(kept: KeptDemo) -> None:
    for row in kept.result["jobs"]:
        told = [line for line in kept.text.splitlines() if f"  {row['job']}: " in line]
        steps = [
            f"runner pod {row['runner_pod']}",
            f"bound to virtual node {row['virtual_node']}",
            f"delegate in cluster {row['cluster']} on node {row['node']}",
            f"registry has {row['image']} as {row['digest']}",
            "success after",
        ]
        places = [next(n for n, line in enumerate(told) if step in line) for step in steps]
        assert places == sorted(places), "\n".join(told)


def test_what_to_try_next_is_true(kept: KeptDemo) -> None:
    for cluster in kept.record.clusters:
        assert f"export KUBECONFIG={cluster.kubeconfig}" in kept.text
    assert kept.record.services["gitlab"]["token"] in kept.text
    assert f"isthmus lab down --dir {kept.directory}" in kept.text


async def test_the_verification_can_be_repeated(kept: KeptDemo, tmp_path: Path) -> None:
    assert await verified(kept.directory, tmp_path / "again.json") == (0, kept.result)


async def test_an_image_under_a_wrong_tag_is_noticed(kept: KeptDemo, tmp_path: Path) -> None:
    arm, amd = kept.job("build-arm64"), kept.job("build-amd64")
    await retag(kept, arm["image"], amd["digest"])
    try:
        code, result = await verified(kept.directory, tmp_path / "wrong.json")
    finally:
        await retag(kept, arm["image"], arm["digest"])

    assert (code, result["ok"]) == (1, False)
    assert any(problem.startswith("build-arm64: ") and arm["digest"] in problem for problem in result["problems"])
    assert (await verified(kept.directory, tmp_path / "right.json"))[0] == 0


async def test_an_index_that_another_has_replaced_is_noticed(kept: KeptDemo, tmp_path: Path) -> None:
    index = kept.job("manifest")
    await retag(kept, index["image"], index["digest"], lambda manifest: manifest["manifests"].pop())
    try:
        code, result = await verified(kept.directory, tmp_path / "wrong.json")
    finally:
        await retag(kept, index["image"], index["digest"])

    assert code == 1
    assert any("lacks the windows/amd64 image" in problem for problem in result["problems"])
    assert (await verified(kept.directory, tmp_path / "right.json"))[0] == 0


async def test_a_delegate_that_is_not_there_is_noticed(kept: KeptDemo, tmp_path: Path) -> None:
    """The last one: the delegate does not come back."""
    row = kept.job("build-arm64")
    async with await connect(LabDirectory(kept.directory).kubeconfig("arm-lab")) as api:
        await api.delete(PODS, row["delegate"], WORK_NAMESPACE, grace_period_seconds=0)
        with suppress(NotFound):
            for _ in range(200):
                await api.get(PODS, row["delegate"], WORK_NAMESPACE)
                await asyncio.sleep(0.1)

    code, result = await verified(kept.directory, tmp_path / "wrong.json")

    assert code == 1
    assert any(problem.startswith("build-arm64: no cluster has a delegate") for problem in result["problems"])


async def retag(
    kept: KeptDemo, image: str, digest: str, change: Callable[[Json], object] = lambda manifest: None
) -> None:
    """Put what has this digest under another image's tag, as whoever may push to the project can."""
    services = kept.record.services
    repository, tag = split(image)
    context = ssl.create_default_context(cafile=services["registry"]["ca_file"])
    login = base64.b64encode(f"root:{services['gitlab']['token']}".encode()).decode()
    scope = {"service": "container_registry", "scope": f"repository:{repository}:pull,push"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        url = f"{services['gitlab']['url']}/jwt/auth"
        async with session.get(url, params=scope, headers={"Authorization": f"Basic {login}"}) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['token']}"}
        manifests = f"{services['registry']['url']}/v2/{repository}/manifests"
        async with session.get(f"{manifests}/{digest}", headers=headers | {"Accept": "*/*"}) as answer:
            content, kind = await answer.read(), answer.content_type
            assert answer.status == 200, content
        manifest = json.loads(content)
        if change(manifest) is not None:
            content = json.dumps(manifest).encode()
        headers |= {"Content-Type": kind}
        async with session.put(f"{manifests}/{tag}", data=content, headers=headers) as answer:
            assert answer.status == 201, await answer.text()
