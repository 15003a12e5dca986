"""Profiles: the shipped file is valid, and every fault names file, profile, field and fix."""

from pathlib import Path

import pytest

from bridge import profiles, reports
from bridge.errors import ConfigurationError

SHIPPED = Path(__file__).parents[2] / "runner-config" / "profiles.yaml"


def test_shipped_profiles_are_valid_and_cover_the_three_platforms() -> None:
    loaded = {profile.name: profile for profile in profiles.load(SHIPPED)}
    platforms = {name: (profile.os, profile.arch) for name, profile in loaded.items()}
    assert platforms == {"amd64": ("linux", "amd64"), "arm64": ("linux", "arm64"), "windows": ("windows", "amd64")}
    assert loaded["arm64"].manager_selector() == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}


def test_the_windows_choices_that_the_shipped_file_describes_are_valid() -> None:
    text = SHIPPED.read_text()
    start, end = text.index("  #   executor: kubernetes"), text.index("  # or, where jobs only")
    advice = "\n".join(line.removeprefix("  #").split("  # ")[0] for line in text[start:end].splitlines())
    chosen = text + "\n".join(line.replace("   ", "    ", 1) for line in advice.splitlines())
    windows = next(profile for profile in profiles.parse(chosen, "edited") if profile.name == "windows")
    assert windows.manager_selector() == {"kubernetes.io/os": "linux"}
    assert windows.job_pods is not None
    assert profiles.remarks(windows) == []


def one(**fields: object) -> str:
    profile = {"name": "arm64", "os": "linux", "arch": "arm64", "tags": ["arm64"]} | fields
    return "profiles:\n- " + str(profile)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (one(arch="aarch64"), "file: profile arm64: arch: .*write it as Kubernetes does"),
        (one(tags=[]), "file: profile arm64: tags: .*list the tags jobs use"),
        (one(tags=["a b"]), "file: profile arm64: tags: 'a b' is no GitLab tag"),
        (one(max=-1), "file: profile arm64: max: .*0 to 1000"),
        (one(min=5, max=3), "file: profile arm64: min: 5 is more than max: 3; lower min or raise max"),
        (one(idle=11), "file: profile arm64: idle: 11 is more than max: 10; lower idle or raise max"),
        (one(min=-1), "file: profile arm64: min: .*write how many runners shall always exist, 0 to max"),
        (one(idle="some"), "file: profile arm64: idle: .*write how many free runners shall be ready"),
        (one(mode="pods"), r"mode: .*write job \(one pod per CI job\) or deployment"),
        (one(replicas=2), "replicas: only a Deployment has any; remove it or set mode: deployment"),
        (one(deployment="x"), "deployment: only a Deployment has any; remove it or set mode: deployment"),
        (one(mode="deployment", replicas=11), "replicas: 11 is more than max: 10; lower replicas or raise max"),
        (one(mode="deployment", replicas=2, idle=1), "replicas: with a number a person decides"),
        (one(mode="deployment", replicas="many"), "replicas.*write auto, or the number to start with"),
        (one(mode="deployment", deployment="A_b"), "deployment: .*lower-case letters, digits and -"),
        (one(maximum_timeout_seconds=60), "maximum_timeout_seconds: .*600"),
        (one(run_untagged=True), "run_untagged: .*remove it"),
        (one(arhc="x"), "arhc: there is no such field; known are name, os, arch, tags, max"),
        (one(executor="kubernetes"), "job_pods: the kubernetes executor needs it"),
        (one(job_pods={"image": "x"}), "job_pods: only the kubernetes executor"),
        (one(targets=["a"], virtual_node_selector={"a": "b"}), "targets and virtual_node_selector exclude each other"),
        (one(resources={"requests": {"cpu": "lots"}}), "resources.requests.cpu: .*Kubernetes quantities"),
        ("profiles: []", "file: profiles: the list is empty"),
        ("- a", "file: write one key, profiles"),
        ("profiles: [}", "file: not YAML"),
        ("profiles: [text]", "file: profile number 1: "),
    ],
)
def test_faults_name_file_profile_field_and_fix(text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        profiles.parse(text, "file")


def test_all_faults_are_told_at_once() -> None:
    text = one(arch="z80") + "\n- " + str({"name": "X", "os": "beos", "arch": "arm64", "tags": ["x"]})
    with pytest.raises(ConfigurationError) as caught:
        profiles.parse(text, "file")
    assert len(str(caught.value).splitlines()) == 3


def two(first: dict[str, object], second: dict[str, object]) -> str:
    platform = {"os": "linux", "arch": "arm64"}
    return f"profiles:\n- {platform | first}\n- {platform | second}"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (
            {"name": "a", "tags": ["linux", "x"]},
            {"name": "b", "tags": ["linux", "y"]},
            r"tagged \[linux\] would fit both",
        ),
        ({"name": "a", "tags": ["x"]}, {"name": "b", "tags": ["x"]}, r"tagged \[x\] would fit both"),
        ({"name": "a", "tags": ["x"]}, {"name": "b", "tags": ["x", "y"], "arch": "amd64"}, "two kinds of hardware"),
        ({"name": "a", "tags": ["x"]}, {"name": "a", "tags": ["y"]}, "used twice"),
        (
            {"name": "a", "tags": ["x"], "mode": "deployment", "deployment": "gitlab-runner-federated"},
            {"name": "b", "tags": ["y"], "mode": "deployment", "deployment": "gitlab-runner-federated"},
            "deployment: gitlab-runner-federated would belong to both; name another one",
        ),
    ],
)
def test_profiles_that_fit_a_job_by_accident_are_refused(
    first: dict[str, object], second: dict[str, object], expected: str
) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        profiles.parse(two(first, second), "file")


def test_nested_profiles_of_one_platform_are_allowed() -> None:
    assert len(profiles.parse(two({"name": "a", "tags": ["x"]}, {"name": "gpu", "tags": ["x", "gpu"]}), "file")) == 2


def test_a_missing_file_says_which_setting_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ISTHMUS_BRIDGE_PROFILES_FILE"):
        profiles.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "at most 10 at once (shell"),
        ({"min": 2, "idle": 1}, "at most 10 at once, at least 2, 1 free ones kept ready (shell"),
        ({"mode": "deployment"}, "in Deployment gitlab-runner-federated-arm64, at most 10 at once (shell"),
        ({"mode": "deployment", "replicas": 3}, "arm64, 3 replicas until scaled by hand (shell"),
    ],
)
def test_check_says_how_many_runners_there_are_and_who_says_so(fields: dict[str, object], expected: str) -> None:
    (profile,) = profiles.parse(one(**fields), "file")
    assert expected in reports.meaning(profile)


def test_kept_one_job_runners_are_remarked_upon() -> None:
    (profile,) = profiles.parse(one(idle=1), "file")
    assert any("ISTHMUS_BRIDGE_IDLE_TIMEOUT_SECONDS" in remark for remark in profiles.remarks(profile))
