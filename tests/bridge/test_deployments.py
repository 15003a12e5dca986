"""Deployments of runners: what the manifest says, and its few lines of shell, run by a shell."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge import deployments, names
from bridge.profiles import Profile
from bridge.runner_toml import DIRECTORY
from bridge.runners import RunnerOptions
from federation import names as wire
from federation.decisions.admission import admit
from federation.decisions.candidate import chaperon_for
from federation.submitted import parse_constraints

OPTIONS = RunnerOptions("isthmus", "ci", 120, 600, 900, ca_config_map="trust")
PROXY_UID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def profile(**fields: Any) -> Profile:
    """An arm64 profile in deployment mode."""
    needed = {"name": "arm64", "os": "linux", "arch": "arm64", "tags": ["arm64"], "mode": "deployment"}
    return Profile.model_validate(needed | fields)


def spec(**fields: Any) -> dict[str, Any]:
    """The pods' spec."""
    found: dict[str, Any] = deployments.pod_template(OPTIONS, profile(**fields), "f")["spec"]
    return found


def test_the_talk_s_deployment() -> None:
    made = deployments.deployment(OPTIONS, profile(deployment="gitlab-runner-federated"), "f", 3)
    assert made["metadata"]["name"] == "gitlab-runner-federated"
    assert deployments.deployment(OPTIONS, profile(), "f", 3)["metadata"]["name"] == "gitlab-runner-federated-arm64"
    assert made["spec"]["replicas"] == 3
    template = made["spec"]["template"]
    assert wire.ELECT in template["metadata"]["annotations"]
    assert made["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_trap_1_9_a_pod_that_goes_has_longer_than_any_job_and_the_next_comes_first() -> None:
    made = deployments.deployment(OPTIONS, profile(maximum_timeout_seconds=7200), "f", 1)["spec"]
    assert made["template"]["spec"]["terminationGracePeriodSeconds"] > 7200
    assert made["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_trap_1_9_no_pod_replaces_the_token_that_it_shares() -> None:
    (container,) = spec()["containers"]
    assert {"name": "FF_DISABLE_AUTOMATIC_TOKEN_ROTATION", "value": "true"} in container["env"]


def test_a_new_token_or_profile_rolls_the_pods_and_nothing_else_does() -> None:
    def mark(fingerprint: str, replicas: int, **fields: Any) -> str:
        made = deployments.deployment(OPTIONS, profile(**fields), fingerprint, replicas)
        return str(made["metadata"]["annotations"][names.TEMPLATE])

    assert mark("f", 1) == mark("f", 9, max=50, min=2)
    assert len({mark("f", 1), mark("g", 1), mark("f", 1, service_account="x")}) == 3


def test_trap_1_11_the_delegate_knows_its_proxy_and_has_the_whole_grace() -> None:
    template = deployments.pod_template(OPTIONS, profile(), "f")
    source = {"metadata": {"name": "p", "namespace": "ci", "uid": PROXY_UID, **template["metadata"]}} | {
        "spec": template["spec"]
    }
    constraints = parse_constraints(source["metadata"]["annotations"])
    proxy = admit(source, saved="{}", finalizers=(), constraints=constraints)
    chaperon = chaperon_for(proxy, source, constraints, cluster_name="home", target="ci", is_kept_label=lambda _: False)
    assert chaperon["metadata"]["labels"][wire.PARENT_UID] == PROXY_UID
    environment = {entry["name"]: entry for entry in chaperon["spec"]["containers"][0]["env"]}
    reference = environment["PROXY_UID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert reference == f"metadata.labels['{wire.PARENT_UID}']"
    assert names.APP not in chaperon["metadata"]["labels"], "labels do not survive the way: the mark at home is enough"
    assert chaperon["spec"]["terminationGracePeriodSeconds"] == template["spec"]["terminationGracePeriodSeconds"]


RUNNER = """
import pathlib, signal, sys, time
log = pathlib.Path(sys.argv[1])
def note(what):
    with log.open("a") as file:
        print(what, file=file)
asked = []
signal.signal(signal.SIGQUIT, lambda *_: (note("asked"), asked.append(True)))
signal.signal(signal.SIGTERM, lambda *_: (note("killed"), sys.exit(1)))
note("working")
while not asked:
    time.sleep(0.1)
time.sleep(2.5)
note("finished")
"""


class Pod:
    """The container's command with its directories in a temporary one, and a stand-in for the runner."""

    def __init__(self, directory: Path, runner: str) -> None:
        self.home, self.mounted, self.log = directory / "home", directory / "mounted", directory / "log"
        self.home.mkdir()
        (self.mounted / "certs").mkdir(parents=True)
        (self.mounted / "config.toml").write_text("concurrent = 1\n")
        program = directory / "bin" / "gitlab-runner"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho started >> {self.log}\n{runner}\n")
        program.chmod(0o755)
        self.path = f"{program.parent}:/usr/bin:/bin"

    async def start(self, **environment: str) -> asyncio.subprocess.Process:
        """Start it, and wait until the runner has started."""
        (container,) = spec()["containers"]
        script = container["command"][2].replace("/etc/isthmus-runner", str(self.mounted))
        script = script.replace(DIRECTORY, str(self.home))
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", script),
            env={"PATH": self.path, "POD_UID": "ffffffff-ffff", **environment},
            # As in a container; whoever runs the tests in the background ignores it, and so would all that they start.
            preexec_fn=lambda: signal.signal(signal.SIGQUIT, signal.SIG_DFL),
        )
        async with asyncio.timeout(10):
            while not self.log.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return process


async def test_trap_1_7_the_system_id_is_the_proxy_s_and_config_is_read_through_links(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "exit 0")
    process = await pod.start(PROXY_UID=PROXY_UID)
    assert await process.wait() == 0
    assert (pod.home / ".runner_system_id").read_text() == names.system_id_of_pod(PROXY_UID) == "r_0f8fad5bd9cb"
    (pod.mounted / "config.toml").write_text("concurrent = 2\n")
    assert (pod.home / "config.toml").read_text() == "concurrent = 2\n"
    assert (pod.home / "certs").is_dir()


async def test_a_pod_that_is_not_federated_uses_its_own_uid(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "exit 3")
    process = await pod.start(PROXY_UID="", POD_UID=PROXY_UID)
    assert await process.wait() == 3, "the runner's own end is the container's"
    assert (pod.home / ".runner_system_id").read_text() == names.system_id_of_pod(PROXY_UID)


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM], ids=["quit", "term"])
async def test_trap_1_9_whatever_the_image_s_stop_signal_the_runner_finishes_its_job(
    tmp_path: Path, number: signal.Signals
) -> None:
    # In Python: a shell cannot take a signal that was ignored when it started, as a runner's may be here.
    program = tmp_path / "runner.py"
    program.write_text(RUNNER)
    job = f"exec {sys.executable} {program} {tmp_path}/log"
    pod = Pod(tmp_path, job)
    process = await pod.start(PROXY_UID=PROXY_UID)
    async with asyncio.timeout(10):
        while "working" not in pod.log.read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    process.send_signal(number)
    async with asyncio.timeout(20):
        assert await process.wait() == 0
    told = pod.log.read_text().split()
    assert told[0] == "started"
    assert "asked" in told
    assert told[-1] == "finished"
    assert "killed" not in told


@pytest.mark.parametrize(
    ("uid", "has_user", "told"), [("0", True, "--user=gitlab-runner"), ("0", False, ""), ("1000", True, "")]
)
async def test_T9_jobs_run_as_another_user_than_a_runner_that_is_root(
    tmp_path: Path, uid: str, has_user: bool, told: str
) -> None:
    pod = Pod(tmp_path, f'echo "$@" >> {tmp_path}/told')
    known = "echo 999" if has_user else "exit 1"
    for name, script in (
        ("id", f'[ -n "$2" ] || {{ echo {uid}; exit 0; }}; {known}'),
        ("chmod", f"echo $* >> {tmp_path}/opened"),
    ):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    process = await pod.start(PROXY_UID=PROXY_UID)
    assert await process.wait() == 0
    assert (tmp_path / "told").read_text().split()[3:] == told.split()
    assert (tmp_path / "opened").exists() is bool(told), "that user can write where builds are"


def test_T9_the_configuration_is_for_root_alone() -> None:
    (config,) = [volume for volume in spec()["volumes"] if volume["name"] == "config"]
    assert config["projected"]["defaultMode"] == 0o400
