"""config.toml: the keys of `[[runners]]` that the shell executor needs. Unknown keys are ignored, as the real runner
does."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

OUTPUT_LIMIT_KIB = 4096  # the runner's own default for one job's log


class ConfigError(Exception):
    """A configuration that no runner can be started with; the message names the key."""


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """One `[[runners]]` entry."""

    name: str = ""
    url: str = ""
    token: str = ""
    executor: str = ""
    shell: str = "bash"
    builds_dir: str = ""
    tls_ca_file: str = ""
    clone_url: str = ""
    environment: tuple[str, ...] = ()
    pre_get_sources_script: str = ""
    post_get_sources_script: str = ""
    pre_build_script: str = ""
    post_build_script: str = ""
    output_limit: int = OUTPUT_LIMIT_KIB
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def short_token(self) -> str:
        """The part of the token that is shown in logs."""
        return self.token.removeprefix("glrt-")[:9]

    def checked(self) -> RunnerConfig:
        """Itself, if it can be used; raises ConfigError."""
        for key in ("url", "token", "executor"):
            if not getattr(self, key):
                raise ConfigError(f"{key} is missing: set it in config.toml or with --{key}")
        if self.executor != "shell":
            raise ConfigError(f'executor is "{self.executor}": the lab\'s runner only has "shell"')
        if self.shell not in ("", "bash", "sh"):
            raise ConfigError(f'shell is "{self.shell}": the lab\'s runner only has "bash"')
        return replace(self, url=self.url.rstrip("/"))


def read_runners(path: Path) -> tuple[list[RunnerConfig], int]:
    """The runners of the file and its `check_interval` in seconds."""
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    entries = document.get("runners", [])
    interval = document.get("check_interval", 0)
    common = document.get("labels", {})
    runners = [_runner(entry, common) for entry in entries if isinstance(entry, dict)]
    return runners, interval if isinstance(interval, int) and interval > 0 else 3


def _runner(entry: dict[str, object], common: Mapping[str, str]) -> RunnerConfig:
    values: dict[str, object] = {}
    for known in fields(RunnerConfig):
        key = known.name.replace("tls_ca_file", "tls-ca-file")
        if key in entry:
            values[known.name] = entry[key]
    values["environment"] = tuple(map(str, _list(values.get("environment"))))
    own = values.get("labels")
    values["labels"] = {**common, **(own if isinstance(own, dict) else {})}
    return RunnerConfig(**values)  # type: ignore[arg-type] # TOML's types are the fields' types, or the file is wrong


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
