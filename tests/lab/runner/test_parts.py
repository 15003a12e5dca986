"""The runner's pure parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.runner.config import ConfigError, RunnerConfig, read_runners
from lab.runner.masking import Masker
from lab.runner.scripts import Sources, sources
from lab.runner.system_id import system_id_for
from lab.runner.trace import Trace
from lab.runner.variables import Variables

CODE = Sources("http://gitlab-ci-token:t0k@git.test/g/p.git", "ab" * 20, "main", ("+refs/heads/main:refs/x",), 20)


def test_a_valid_system_id_is_kept_also_read_only(tmp_path: Path) -> None:
    path = tmp_path / ".runner_system_id"
    path.write_text("r_0123456789ab\n")
    path.chmod(0o400)
    assert system_id_for(tmp_path / "config.toml") == "r_0123456789ab"


@pytest.mark.parametrize("content", [None, "", "r_short", "x_0123456789ab"])
def test_a_missing_or_invalid_system_id_is_made_once(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / ".runner_system_id").write_text(content)
    first = system_id_for(tmp_path / "config.toml")
    assert first.startswith("r_")
    assert len(first) == 14
    assert system_id_for(tmp_path / "config.toml") == first


def test_config_toml_is_read_with_unknown_keys_ignored(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("""
concurrent = 4
check_interval = 7
[labels]
cluster = "home"
[[runners]]
  name = "arm"
  url = "http://git.test/"
  token = "glrt-abc"
  executor = "shell"
  tls-ca-file = "/ca.pem"
  environment = ["A=1"]
  request_concurrency = 2
  [runners.labels]
    profile = "arm64"
  [runners.feature_flags]
    FF_DISABLE_AUTOMATIC_TOKEN_ROTATION = true
  [runners.kubernetes]
    namespace = "ci"
""")
    [runner], interval = read_runners(path)
    assert (runner.checked().url, runner.tls_ca_file, runner.environment) == ("http://git.test", "/ca.pem", ("A=1",))
    assert (interval, dict(runner.labels)) == (7, {"cluster": "home", "profile": "arm64"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (RunnerConfig(), "url is missing"),
        (RunnerConfig(url="http://x", token="t"), "executor is missing"),
        (RunnerConfig(url="http://x", token="t", executor="docker"), 'executor is "docker"'),
        (RunnerConfig(url="http://x", token="t", executor="shell", shell="pwsh"), 'shell is "pwsh"'),
    ],
)
def test_a_runner_that_cannot_work_names_the_key(config: RunnerConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.checked()


def test_clone_url_replaces_the_server_and_keeps_the_credentials() -> None:
    code = Sources(CODE.repo_url, CODE.sha, "main", (), 0, clone_url="https://inside.test:8443/git/")
    assert code.url == "https://gitlab-ci-token:t0k@inside.test:8443/git/g/p.git"


@pytest.mark.parametrize(
    ("strategy", "has", "has_not"),
    [
        ("", ["git fetch", "--depth 20", "git checkout", "git clean"], ["rm -rf"]),
        ("clone", ["rm -rf /p", "git fetch"], []),
        ("none", ["mkdir -p /p"], ["git fetch", "rm -rf"]),
        ("empty", ["rm -rf /p"], ["git fetch"]),
    ],
)
def test_git_strategies(strategy: str, has: list[str], has_not: list[str]) -> None:
    variables = Variables([], Path("/files"))
    variables.values["GIT_STRATEGY"] = strategy
    script = sources(CODE, variables, "/p")
    assert all(part in script for part in has)
    assert not any(part in script for part in has_not)


@given(st.lists(st.sampled_from([b"abc", b"abcd", b"ab", b"c", b"xabcdx", b"\n", b"glrt-", b"z9"]), max_size=12))
def test_a_secret_is_masked_however_the_output_is_cut(pieces: list[bytes]) -> None:
    masker = Masker(["abcd"], ["glrt-"])
    shown = b"".join([*(masker.feed(piece) for piece in pieces), masker.flush()])
    assert b"abcd" not in shown
    assert b"glrt-z9" not in shown
    whole = Masker(["abcd"], ["glrt-"])
    assert shown == whole.feed(b"".join(pieces)) + whole.flush()


def test_a_long_line_is_recorded_in_pieces_joined_by_plus() -> None:
    trace = Trace([], [], 10**6, lambda: 1_800_000_000.25)
    trace.write("01O", b"x" * 20_000)
    trace.write("01O", b"y\n")
    first, second, _ = trace.since(0, 10**6).decode().split("\n")
    assert first.startswith("2027-01-15T08:00:00.250000Z 01O xxx")
    assert second == "2027-01-15T08:00:00.250000Z 01O+y"
