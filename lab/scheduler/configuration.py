"""The part of KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1) that we act on.

Unknown fields are accepted, since the same file is given to the real scheduler; what we do read is checked as there.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: object) -> float:
    """Return a Go duration ("1m30s", "500ms") in seconds. Raises ValueError."""
    if isinstance(text, int | float):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", str(text))
    if not parts or "".join(number + unit for number, unit in parts) != str(text):
        raise ValueError(f"{text!r} is not a duration such as 5s, 500ms or 1m30s")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


Seconds = Annotated[float, BeforeValidator(parse_duration)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class ManagedResource(_Part):
    """An extended resource an extender looks after; ignored by our own fit check where it says so."""

    name: str
    is_ignored: bool = Field(default=False, alias="ignoredByScheduler")


class ExtenderConfiguration(_Part):
    """Where an extender is and which verbs it serves. TLS settings are not supported: the lab's are on localhost."""

    url_prefix: str = Field(alias="urlPrefix")
    filter_verb: str = Field(default="", alias="filterVerb")
    prioritize_verb: str = Field(default="", alias="prioritizeVerb")
    bind_verb: str = Field(default="", alias="bindVerb")
    weight: int = 1
    http_timeout_seconds: Seconds = Field(default=5.0, alias="httpTimeout")
    is_node_cache_capable: bool = Field(default=False, alias="nodeCacheCapable")
    is_ignorable: bool = Field(default=False, alias="ignorable")
    managed_resources: tuple[ManagedResource, ...] = Field(default=(), alias="managedResources")

    @model_validator(mode="after")
    def _check(self) -> "ExtenderConfiguration":
        if not self.url_prefix.startswith("http://"):
            raise ValueError("urlPrefix must start with http:// (the embedded scheduler speaks no TLS to extenders)")
        if self.prioritize_verb and self.weight <= 0:
            raise ValueError("weight must be positive where prioritizeVerb is set")
        return self


class Profile(_Part):
    """Pods with this schedulerName are ours."""

    scheduler_name: str = Field(default="default-scheduler", alias="schedulerName")


class ClientConnection(_Part):
    """How to reach the API server."""

    kubeconfig: Path


class SchedulerConfiguration(_Part):
    """One scheduler process."""

    api_version: Literal["kubescheduler.config.k8s.io/v1"] = Field(alias="apiVersion")
    kind: Literal["KubeSchedulerConfiguration"]
    connection: ClientConnection = Field(alias="clientConnection")
    profiles: tuple[Profile, ...] = (Profile(),)
    extenders: tuple[ExtenderConfiguration, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "SchedulerConfiguration":
        names = [profile.scheduler_name for profile in self.profiles]
        if not names or len(set(names)) != len(names):
            raise ValueError("profiles must be one or more with different schedulerName")
        if sum(1 for extender in self.extenders if extender.bind_verb) > 1:
            raise ValueError("extenders: only one may have a bindVerb")
        managed = [one.name for extender in self.extenders for one in extender.managed_resources]
        if len(set(managed)) != len(managed):
            raise ValueError("extenders: a managedResources name may appear only once")
        return self


class BadConfiguration(Exception):
    """A configuration file that cannot be used, and why."""


def load(path: Path) -> SchedulerConfiguration:
    """Read a configuration file. Raises BadConfiguration naming the field."""
    try:
        content: Any = yaml.safe_load(path.read_text())
        return SchedulerConfiguration.model_validate(content)
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise BadConfiguration(f"{path}: {error}") from error
