"""A profile's config.toml, as gitlab-runner reads it. Pure text; it holds the token, so it only ever goes in a Secret.

`run-single -c config.toml -r NAME` reads the `[[runners]]` entry and ignores the global section. With the kubernetes
executor the node_selector is written even where the cluster has one kind of node only: the executor picks the helper
image by it, and without it takes linux/amd64 ("exec format error" on arm64).
"""

import json
import re
from collections.abc import Mapping

from bridge.profiles import Executor, JobPods, Profile

# Where the runner's container finds its files.
DIRECTORY = "/etc/gitlab-runner"
CA_FILE = f"{DIRECTORY}/certs/ca.crt"
BUILDS = "/builds"
CACHE = "/cache"

Value = str | int | bool | list[str]
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def render(profile: Profile, *, name: str, url: str, runner_id: int, token: str, namespace: str, has_ca: bool) -> str:
    """Return config.toml for one runner. `url` is GitLab's as the pod reaches it: git clones use it too."""
    runner: dict[str, Value] = {
        "name": name,
        "url": url,
        "id": runner_id,
        "token": token,
        "executor": profile.executor.value,
        "shell": "pwsh" if profile.executor is Executor.KUBERNETES and profile.os == "windows" else "bash",
        "clone_url": url,
        "limit": 1,
        "request_concurrency": 1,
    }
    if has_ca:
        runner["tls-ca-file"] = CA_FILE
    if profile.executor is Executor.SHELL:
        runner |= {"builds_dir": BUILDS, "cache_dir": CACHE}
        if has_ca:
            runner["environment"] = [f"SSL_CERT_FILE={CA_FILE}"]  # build tools in jobs push with it
    flags: dict[str, Value] = {"FF_DISABLE_AUTOMATIC_TOKEN_ROTATION": True}
    sections = [
        _table("", {"concurrent": 1, "check_interval": 3}),
        "[[runners]]\n" + _table("", runner),
        _table("runners.feature_flags", flags),
    ]
    if profile.job_pods:
        sections += _kubernetes(profile, profile.job_pods, namespace)
    return "\n".join(sections)


def _kubernetes(profile: Profile, pods: JobPods, namespace: str) -> list[str]:
    selector: dict[str, Value] = {"kubernetes.io/os": profile.os, "kubernetes.io/arch": profile.arch}
    if pods.windows_build:
        selector["node.kubernetes.io/windows-build"] = pods.windows_build
    settings: dict[str, Value] = {"namespace": namespace, "image": pods.image}
    if profile.service_account:
        settings["service_account"] = profile.service_account
    return [
        _table("runners.kubernetes", settings),
        _table("runners.kubernetes.node_selector", selector),
    ]


def _table(header: str, values: Mapping[str, Value]) -> str:
    lines = [f"{_key(key)} = {_value(value)}" for key, value in values.items()]
    return "\n".join([f"[{header}]", *lines] if header else lines) + "\n"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: Value) -> str:
    """Return a TOML value. A JSON string is a TOML basic string, but for DEL, which JSON leaves as it is."""
    return json.dumps(value).replace("\x7f", "\\u007F")
