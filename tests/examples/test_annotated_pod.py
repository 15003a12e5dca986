"""examples/02-annotated-pod: a plain Job, and one annotation that makes it go elsewhere.

That it does go elsewhere is shown by the federation's and the demo's tests; here the file is what its README says.
"""

import subprocess

import yaml

from federation import names
from tests.lab.registry.running import ROOT

EXAMPLE = ROOT / "examples" / "02-annotated-pod"
JOB = yaml.safe_load((EXAMPLE / "job.yaml").read_text())


def test_the_pods_are_elected_and_nothing_else_is_special() -> None:
    assert (JOB["apiVersion"], JOB["kind"], JOB["metadata"]["namespace"]) == ("batch/v1", "Job", "default")
    assert JOB["spec"]["template"]["metadata"]["annotations"] == {names.ELECT: ""}
    assert "annotations" not in JOB["metadata"]


def test_the_readme_labels_the_namespace() -> None:
    readme = (EXAMPLE / "README.md").read_text()

    assert f"kubectl label namespace default {names.NAMESPACE_LABEL}=enabled" in readme


def test_the_container_prints_where_it_runs() -> None:
    (container,) = JOB["spec"]["template"]["spec"]["containers"]
    environment = {"POD_NAME": "p", "POD_NAMESPACE": "default", "NODE_NAME": "arm-lab-1", "PATH": "/usr/bin:/bin"}

    done = subprocess.run(
        [*container["command"], *container["args"]], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("pod:  p in default\nnode: arm-lab-1\nhost: Linux ")
