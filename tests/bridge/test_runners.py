"""What a wanted runner becomes: a Job, a Secret, a config.toml, each with what gitlab-runner and federation need."""

import json
import re
import tomllib

import yaml

from bridge import names, runner_toml, runners
from bridge.demand import WantedRunner
from bridge.observed import PendingJob
from bridge.profiles import Executor, JobPods, Profile
from bridge.runners import RunnerOptions
from federation import names as wire

OPTIONS = RunnerOptions("isthmus", "ci", wait_timeout_seconds=120, start_timeout_seconds=600, finished_ttl_seconds=900)
WITH_CA = RunnerOptions("isthmus", "ci", 120, 600, 900, ca_config_map="trust")
ARM = Profile(name="arm64", os="linux", arch="arm64", tags=("arm64",), targets=("arm-lab", "gpu-west"))
WINDOWS = Profile(
    name="windows",
    os="windows",
    arch="amd64",
    tags=("windows",),
    executor=Executor.KUBERNETES,
    job_pods=JobPods(image="servercore", windows_build="10.0.20348"),
    service_account="isthmus-runner",
)
JOB = PendingJob(101, "group/app", "build-arm64", frozenset({"arm64"}), url="https://gitlab.test/j/101")
TOKEN = "glrt-abcdefgh12345678"


def config(profile: Profile, *, has_ca: bool = False, token: str = TOKEN) -> str:
    return runner_toml.render(
        profile,
        name="isthmus-runner-x",
        url="https://gitlab.test",
        runner_id=7,
        token=token,
        namespace="ci",
        has_ca=has_ca,
    )


def test_trap_1_10_config_toml_of_a_shell_runner() -> None:
    parsed = tomllib.loads(config(ARM, has_ca=True))
    (runner,) = parsed["runners"]
    # What section 1.8 calls mandatory for run-single, and what 1.10 lets us say.
    assert (runner["url"], runner["token"], runner["executor"]) == ("https://gitlab.test", TOKEN, "shell")
    assert (runner["name"], runner["id"], runner["shell"]) == ("isthmus-runner-x", 7, "bash")
    assert runner["clone_url"] == "https://gitlab.test"
    assert (runner["limit"], runner["request_concurrency"]) == (1, 1)
    assert runner["tls-ca-file"] == "/etc/gitlab-runner/certs/ca.crt"
    assert runner["environment"] == ["SSL_CERT_FILE=/etc/gitlab-runner/certs/ca.crt"]
    assert runner["feature_flags"] == {"FF_DISABLE_AUTOMATIC_TOKEN_ROTATION": True}
    assert parsed["concurrent"] == 1  # 0 is forbidden
    assert "kubernetes" not in runner


def test_trap_1_10_a_kubernetes_runner_always_selects_os_and_arch_so_that_its_helper_image_fits() -> None:
    (runner,) = tomllib.loads(config(WINDOWS))["runners"]
    assert (runner["executor"], runner["shell"]) == ("kubernetes", "pwsh")
    assert runner["kubernetes"]["node_selector"] == {
        "kubernetes.io/os": "windows",
        "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/windows-build": "10.0.20348",
    }
    assert (runner["kubernetes"]["namespace"], runner["kubernetes"]["image"]) == ("ci", "servercore")
    assert runner["kubernetes"]["service_account"] == "isthmus-runner"


def test_config_toml_quotes_whatever_it_is_given() -> None:
    odd = 'a"b\\c\n\x7f\té'
    assert tomllib.loads(config(ARM, token=odd))["runners"][0]["token"] == odd


def made(profile: Profile, options: RunnerOptions = OPTIONS) -> dict[str, object]:
    return runners.job(options, WantedRunner(profile, JOB, attempt=2), "fingerprint")


def test_the_job_runs_one_pod_once_and_outlasts_the_longest_ci_job() -> None:
    job = runners.job(OPTIONS, WantedRunner(ARM, JOB, attempt=2), "fingerprint")
    assert job["metadata"]["name"] == "isthmus-arm64-101-2"
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"], pod["restartPolicy"]) == (0, 900, "Never")
    assert spec["activeDeadlineSeconds"] > 3600 + 120 + 600
    assert pod["terminationGracePeriodSeconds"] == 3600
    assert pod["automountServiceAccountToken"] is False
    command = " ".join(pod["containers"][0]["command"])
    expected = "gitlab-runner run-single -c /etc/gitlab-runner/config.toml -r isthmus-runner-arm64 --max-builds 1"
    assert command == f"{expected} --wait-timeout 120"


def test_the_pod_says_which_virtual_nodes_and_which_node_there() -> None:
    job = runners.job(OPTIONS, WantedRunner(ARM, JOB, attempt=0), "fingerprint")
    template = job["spec"]["template"]
    assert template["metadata"]["annotations"][wire.ELECT] == ""
    assert template["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}
    affinity = yaml.safe_load(template["metadata"]["annotations"][wire.PROXY_CONSTRAINTS])["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [
        {"key": wire.TARGET_NAME, "operator": "In", "values": ["arm-lab", "gpu-west"]},
        {"key": wire.TARGET_NAMESPACE, "operator": "In", "values": ["ci"]},
    ]
    weights = [term["weight"] for term in affinity["preferredDuringSchedulingIgnoredDuringExecution"]]
    assert weights == [100, 90]


def test_one_target_needs_no_preference_and_none_no_constraints() -> None:
    single = runners.virtual_node_constraints("ci", ARM.model_copy(update={"targets": ("arm-lab",)}))
    assert list(single["affinity"]["nodeAffinity"]) == ["requiredDuringSchedulingIgnoredDuringExecution"]
    assert runners.virtual_node_constraints("ci", WINDOWS) == {}
    selected = ARM.model_copy(update={"targets": (), "virtual_node_selector": {"zone": "lab"}})
    assert runners.virtual_node_constraints("ci", selected) == {"nodeSelector": {"zone": "lab"}}


def test_a_kubernetes_executor_s_manager_goes_to_linux_with_its_account() -> None:
    pod = runners.job(OPTIONS, WantedRunner(WINDOWS, JOB, attempt=0), "f")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert (pod["automountServiceAccountToken"], pod["serviceAccountName"]) == (True, "isthmus-runner")


def test_the_system_id_is_gitlab_s_form_and_reaches_the_runner_by_an_annotation() -> None:
    template = runners.job(OPTIONS, WantedRunner(ARM, JOB, attempt=0), "f")["spec"]["template"]
    system_id = template["metadata"]["annotations"][names.SYSTEM_ID]
    assert re.fullmatch(r"[sr]_[0-9a-zA-Z]{12}", system_id)
    (config_volume,) = [volume for volume in template["spec"]["volumes"] if volume["name"] == "config"]
    items = [
        source["downwardAPI"]["items"] for source in config_volume["projected"]["sources"] if "downwardAPI" in source
    ]
    assert items == [
        [{"path": ".runner_system_id", "fieldRef": {"fieldPath": f"metadata.annotations['{names.SYSTEM_ID}']"}}]
    ]


def test_the_authority_is_mounted_and_named_to_the_runner() -> None:
    pod = runners.job(WITH_CA, WantedRunner(ARM, JOB, attempt=0), "f")["spec"]["template"]["spec"]
    assert {"name": "SSL_CERT_FILE", "value": "/etc/gitlab-runner/certs/ca.crt"} in pod["containers"][0]["env"]
    assert pod["volumes"][0]["projected"]["defaultMode"] == 0o400, "a job under another uid cannot read the token (T9)"
    sources = pod["volumes"][0]["projected"]["sources"]
    assert {"configMap": {"name": "trust", "items": [{"key": "ca.crt", "path": "certs/ca.crt"}]}} in sources


def test_the_token_is_in_the_secret_and_nowhere_else() -> None:
    secret = runners.secret(OPTIONS, ARM, 7, TOKEN, config(ARM))
    assert TOKEN not in json.dumps(secret["metadata"])
    job = json.dumps(made(ARM))
    assert TOKEN not in job
    assert names.token_fingerprint(TOKEN) not in TOKEN
