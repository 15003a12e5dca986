"""The verdict: right where all is right, and wrong, in the right row, wherever one thing is not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from federation import names
from lab.demo.facts import Facts, JobFacts
from lab.demo.verdict import judge
from tests.lab.demo.pipeline import DIGESTS, PREFIX, digest, reference, right, virtual_node, with_image

ARM = "build-arm64"


def test_all_right() -> None:
    report = judge(right())

    assert report.all_problems == []
    assert report.is_right
    assert [(row.job, row.tag, row.cluster, row.node) for row in report.rows] == [
        ("build-amd64", "amd64", "home", "home-linux-amd64"),
        ("build-arm64", "arm64", "arm-lab", "arm-lab-linux-arm64"),
        ("build-windows", "windows", "windows-lab", "windows-lab-windows-amd64"),
        ("manifest", "amd64", "home", "home-linux-amd64"),
    ]
    assert [str(entry) for entry in report.index.platforms] == [
        "linux/amd64",
        "linux/arm64",
        "windows/amd64 10.0.20348.2402",
    ]


def test_what_is_simulated_is_said_of_each_row() -> None:
    everywhere = {"engine", "gitlab", "registry", "runner", "containers", "buildah"}

    assert {row.job: set(row.simulated) for row in judge(right()).rows} == {
        "build-amd64": everywhere,
        "build-arm64": everywhere | {"node"},
        "build-windows": everywhere | {"node"},
        "manifest": everywhere,
    }


def test_json_has_a_key_for_everything() -> None:
    data = judge(right()).to_json()

    assert (data["ok"], data["engine"], data["problems"]) == (True, "embedded", [])
    assert data["jobs"][1] == {
        "job": ARM,
        "tag": "arm64",
        "status": "success",
        "cluster": "arm-lab",
        "virtual_node": "virtual-arm-lab",
        "node": "arm-lab-linux-arm64",
        "runner_pod": f"runner-{ARM}",
        "delegate": f"runner-{ARM}-0",
        "seconds": 1.5,
        "image": reference(ARM),
        "digest": DIGESTS[ARM],
        "simulated": ["engine", "gitlab", "registry", "runner", "node", "containers", "buildah"],
    }
    assert data["index"]["platforms"][2] == {
        "os": "windows",
        "architecture": "amd64",
        "os.version": "10.0.20348.2402",
        "digest": DIGESTS["build-windows"],
    }


def pod(facts: Facts, cluster: int, name: str) -> dict[str, Any]:
    """A pod of the facts, to be changed."""
    return next(found for found in facts.clusters[cluster].pods if found["metadata"]["name"] == name)


def job(facts: Facts, name: str) -> JobFacts:
    """A job of the facts, to be changed."""
    return next(found for found in facts.jobs if found.job["name"] == name)


def without_delegate(facts: Facts) -> Facts:
    clusters = [replace(c, pods=[] if c.name == "arm-lab" else c.pods) for c in facts.clusters]
    return replace(facts, clusters=clusters)


def second_delegate(facts: Facts) -> Facts:
    copy = pod(facts, 1, f"runner-{ARM}-0")
    clusters = [replace(c, pods=[*c.pods, copy] if c.name == "windows-lab" else c.pods) for c in facts.clusters]
    return replace(facts, clusters=clusters)


def candidate_left(facts: Facts) -> Facts:
    left = facts.clusters[1].chaperons[0]
    clusters = [
        replace(c, chaperons=[*c.chaperons, left] if c.name == "windows-lab" else c.chaperons) for c in facts.clusters
    ]
    return replace(facts, clusters=clusters)


def wrong_node(facts: Facts) -> Facts:
    facts.clusters[1].nodes[0]["metadata"]["labels"]["kubernetes.io/arch"] = "amd64"
    return facts


def no_such_node(facts: Facts) -> Facts:
    pod(facts, 1, f"runner-{ARM}-0")["spec"]["nodeName"] = "elsewhere"
    return facts


def delegate_failed(facts: Facts) -> Facts:
    pod(facts, 1, f"runner-{ARM}-0")["status"]["phase"] = "Failed"
    return facts


def delegate_of_another(facts: Facts) -> Facts:
    pod(facts, 1, f"runner-{ARM}-0")["metadata"]["labels"][names.PARENT_UID] = "another"
    return facts


def other_virtual_node(facts: Facts) -> Facts:
    pod(facts, 0, f"runner-{ARM}")["spec"]["nodeName"] = "virtual-home"
    return facts


def bound_to_a_real_node(facts: Facts) -> Facts:
    pod(facts, 0, f"runner-{ARM}")["spec"]["nodeName"] = "home-linux-amd64"
    return facts


def target_leads_elsewhere(facts: Facts) -> Facts:
    return replace(facts, targets={**facts.targets, ("default", "arm-lab"): "https://windows-lab"})


def target_gone(facts: Facts) -> Facts:
    return replace(facts, targets={k: v for k, v in facts.targets.items() if k[1] != "arm-lab"})


def other_runner(facts: Facts) -> Facts:
    job(facts, ARM).job["runner_manager"]["system_id"] = "r_other"
    return facts


def job_failed(facts: Facts) -> Facts:
    job(facts, ARM).job["status"] = "failed"
    return facts


def other_tag(facts: Facts) -> Facts:
    job(facts, ARM).job["tag_list"] = ["amd64"]
    return facts


def nothing_pushed(facts: Facts) -> Facts:
    jobs = [JobFacts(found.job, found.trace.replace("pushed ", "")) for found in facts.jobs if found.job["name"] == ARM]
    return replace(facts, jobs=[jobs[0] if found.job["name"] == ARM else found for found in facts.jobs])


def not_in_registry(facts: Facts) -> Facts:
    return replace(facts, images={name: image for name, image in facts.images.items() if name != reference(ARM)})


def blob_missing(facts: Facts) -> Facts:
    return with_image(facts, reference(ARM), missing=(digest("f"),))


def retagged(facts: Facts) -> Facts:
    return replace(facts, images={**facts.images, reference(ARM): facts.images[reference("build-amd64")]})


def other_architecture(facts: Facts) -> Facts:
    config = {**(facts.images[reference(ARM)].config or {}), "architecture": "amd64"}
    return with_image(facts, reference(ARM), config=config)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_delegate, "no cluster has a delegate pod"),
        (second_delegate, "2 delegate pods"),
        (candidate_left, "still has pods or chaperons in windows-lab"),
        (wrong_node, "ran on a linux/amd64 node"),
        (no_such_node, "has no node 'elsewhere'"),
        (delegate_failed, "is Failed"),
        (delegate_of_another, "is another pod's"),
        (other_virtual_node, "leads to home"),
        (bound_to_a_real_node, "no virtual node"),
        (target_leads_elsewhere, "leads to windows-lab"),
        (target_gone, "stands for no Target"),
        (other_runner, "runner r_other"),
        (job_failed, "GitLab says failed"),
        (other_tag, "its tag is [amd64]"),
        (nothing_pushed, "0 pushed images"),
        (not_in_registry, "is not in the registry"),
        (blob_missing, "is missing"),
        (retagged, "the job pushed"),
        (other_architecture, "is for linux/amd64, not for linux/arm64"),
    ],
)
def test_one_broken_link_is_found_in_its_row(spoil: Callable[[Facts], Facts], words: str) -> None:
    report = judge(spoil(right()))

    assert not report.is_right
    row = next(row for row in report.rows if row.job == ARM)
    assert [problem for problem in row.problems if words in problem], report.all_problems


def entries(facts: Facts) -> list[dict[str, Any]]:
    """The entries of the index."""
    found: list[dict[str, Any]] = facts.images[reference("manifest")].manifest["manifests"]
    return found


def entry_missing(facts: Facts) -> None:
    del entries(facts)[1]


def entry_of_nobody(facts: Facts) -> None:
    entries(facts)[1]["digest"] = digest("e")


def entry_with_wrong_platform(facts: Facts) -> None:
    entries(facts)[1]["platform"]["architecture"] = "amd64"


def no_os_version(facts: Facts) -> None:
    del entries(facts)[2]["platform"]["os.version"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (entry_missing, f"lacks the linux/arm64 image {DIGESTS[ARM]}"),
        (entry_of_nobody, "which no job pushed"),
        (entry_with_wrong_platform, "it was built for linux/arm64"),
        (no_os_version, "no os.version"),
    ],
)
def test_an_index_that_is_not_right_is_found(spoil: Callable[[Facts], None], words: str) -> None:
    facts = right()
    spoil(facts)

    report = judge(facts)

    assert not report.is_right
    assert [problem for problem in report.rows[-1].problems if words in problem], report.all_problems


def test_an_image_of_another_project_does_not_count() -> None:
    facts = right()
    jobs = [JobFacts(found.job, found.trace.replace(PREFIX, "127.0.0.1:5000/other/app")) for found in facts.jobs]

    assert len([p for p in judge(replace(facts, jobs=jobs)).all_problems if "not in the project's registry" in p]) == 4


def test_a_pipeline_without_a_job_or_without_jobs_is_wrong() -> None:
    facts = right()

    assert judge(replace(facts, jobs=facts.jobs[:-1])).all_problems == ["manifest: the pipeline has no such job"]
    assert not judge(replace(facts, jobs=[])).is_right
    assert judge(replace(facts, pipeline=None)).all_problems == ["project root/app has no pipeline"]


def test_real_components_are_not_called_simulated() -> None:
    facts = right()
    home = replace(facts.clusters[0], version="v1.37.2")
    real = replace(facts, gitlab_revision="1a2b3c", clusters=[home, *facts.clusters[1:]])

    report = judge(real)

    assert report.engine == "kube"
    assert not {"engine", "gitlab", "registry"} & {what for row in report.rows for what in row.simulated}


def test_a_virtual_node_is_no_node_to_run_on() -> None:
    facts = right()
    facts.clusters[1].nodes[0]["metadata"] = {**virtual_node("arm-lab")["metadata"], "name": "arm-lab-linux-arm64"}

    assert not judge(facts).is_right
