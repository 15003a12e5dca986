"""Runner profiles: which tags mean which hardware, and how the pods that serve them look.

A profile is one runner object at GitLab and up to `max` runner pods. The file is edited by people, so every error
names the file, the profile, the field and what to write instead.

Two profiles must not both fit a job by accident: GitLab gives a job to any runner whose tags contain the job's, and
knows no "not". So a tag may be shared only where one profile's tags contain all of the other's and both are the
same os and arch (`[arm64]` and `[arm64, gpu]`): then a job that fits both is counted for the smaller one, and it
does no harm if GitLab gives it to the larger.
"""

import re
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bridge.errors import ConfigurationError

# With a bridge's name, a CI job's id and an attempt it still makes a Kubernetes name (63).
_NAME = r"^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$"
# Pods of a Deployment have its name and 17 characters more in theirs.
_DEPLOYMENT = r"^([a-z0-9]([a-z0-9-]{0,44}[a-z0-9])?)?$"
_OS = "kubernetes.io/os"
_ARCH = "kubernetes.io/arch"
_TAG = re.compile(r"[^\s,]{1,255}")
_QUANTITY = r"^[0-9.]+(m|[kMGTPE]i?)?$"


class Executor(StrEnum):
    """Who runs a job's script."""

    SHELL = "shell"  # the runner's own container: one pod per job
    KUBERNETES = "kubernetes"  # a pod that the runner makes in its cluster: needs rights there


class Mode(StrEnum):
    """How a profile's runners live."""

    JOB = "job"  # one pod per CI job, made when the job waits
    DEPLOYMENT = "deployment"  # a Deployment of pods that take one job after the other


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Quantity = Annotated[str, BeforeValidator(_as_text), Field(pattern=_QUANTITY)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Resources(_Strict):
    """What a runner's container asks for, in Kubernetes quantities."""

    requests: dict[str, Quantity] = Field(default_factory=dict)
    limits: dict[str, Quantity] = Field(default_factory=dict)


class JobPods(_Strict):
    """The pods that the kubernetes executor makes for jobs."""

    image: str = Field(min_length=1)  # for jobs that name none
    windows_build: str = Field(default="", pattern=r"^(10\.0\.\d+)?$")  # picks nodes and the helper image


class Profile(_Strict):
    """One kind of hardware, as jobs ask for it."""

    name: str = Field(pattern=_NAME)
    os: Literal["linux", "windows"]
    arch: Literal["amd64", "arm64", "arm", "386", "ppc64le", "riscv64", "s390x"]
    tags: tuple[str, ...] = Field(min_length=1)
    runners_max: int = Field(default=10, ge=0, le=1000, alias="max")
    runners_min: int = Field(default=0, ge=0, le=1000, alias="min")
    idle: int = Field(default=0, ge=0, le=1000)
    mode: Mode = Mode.JOB
    replicas: Literal["auto"] | Annotated[int, Field(ge=0, le=1000)] | None = None  # deployment mode; None is auto
    deployment: str = Field(default="", pattern=_DEPLOYMENT)
    targets: tuple[str, ...] = ()
    virtual_node_selector: dict[str, str] = Field(default_factory=dict)
    executor: Executor = Executor.SHELL
    image: str = Field(default="docker.io/gitlab/gitlab-runner:alpine", min_length=1)
    job_pods: JobPods | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    resources: Resources = Resources()
    service_account: str = ""
    maximum_timeout_seconds: int = Field(default=3600, ge=600, le=604_800)  # GitLab refuses less than 600
    run_untagged: Literal[False] = False

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for tag in self.tags:
            if not _TAG.fullmatch(tag):
                raise ValueError(f"tags: {tag!r} is no GitLab tag; write 1 to 255 characters without spaces or commas")
        if self.targets and self.virtual_node_selector:
            raise ValueError("targets and virtual_node_selector exclude each other; keep one")
        if self.executor is Executor.KUBERNETES and self.job_pods is None:
            raise ValueError("job_pods: the kubernetes executor needs it; write job_pods: {image: ...}")
        if self.executor is Executor.SHELL and self.job_pods is not None:
            raise ValueError("job_pods: only the kubernetes executor makes any; remove it or set executor: kubernetes")
        for fault in _scaling_faults(self):
            raise ValueError(fault)
        return self

    @property
    def owns_replicas(self) -> bool:
        """Whether the bridge, and no person, decides how many replicas the Deployment has."""
        return not isinstance(self.replicas, int)

    @property
    def deployment_name(self) -> str:
        """The Deployment of a profile in deployment mode."""
        return self.deployment or f"gitlab-runner-federated-{self.name}"

    def fits(self, tags: frozenset[str]) -> bool:
        """Whether GitLab may give a job with these tags to this profile's runner."""
        return bool(tags) and tags <= set(self.tags)

    def manager_selector(self) -> dict[str, str]:
        """Return the labels of the node, in the target, that the runner's own pod needs.

        With the kubernetes executor that pod is only the manager, which exists for Linux alone.
        """
        platform = {_OS: self.os, _ARCH: self.arch}
        if self.executor is Executor.KUBERNETES:
            platform = {_OS: "linux"}
        return platform | self.node_selector


def _scaling_faults(profile: Profile) -> list[str]:
    faults = []
    for name, number in (("min", profile.runners_min), ("idle", profile.idle), ("replicas", profile.replicas)):
        if isinstance(number, int) and number > profile.runners_max:
            faults.append(f"{name}: {number} is more than max: {profile.runners_max}; lower {name} or raise max")
    if profile.mode is Mode.JOB:
        for name, value in (("replicas", profile.replicas), ("deployment", profile.deployment or None)):
            if value is not None:
                faults.append(f"{name}: only a Deployment has any; remove it or set mode: deployment")
    elif not profile.owns_replicas and (profile.runners_min or profile.idle):
        faults.append("replicas: with a number a person decides, and min and idle mean nothing; keep one or the others")
    return faults


_FIXES = {
    "name": "write lower-case letters, digits and -, at most 24",
    "os": "write linux or windows",
    "arch": "write it as Kubernetes does: amd64, arm64, ...",
    "tags": "list the tags jobs use, for example [arm64, aarch64]",
    "max": "write how many runners may exist at once, 0 to 1000",
    "min": "write how many runners shall always exist, 0 to max",
    "idle": "write how many free runners shall be ready beyond the busy ones, 0 to max",
    "mode": "write job (one pod per CI job) or deployment (pods that stay)",
    "replicas": "write auto, or the number to start with and to scale by hand",
    "deployment": "write a name of lower-case letters, digits and -, at most 46",
    "maximum_timeout_seconds": "write seconds, 600 (GitLab's least) to 604800",
    "run_untagged": "remove it: a job without tags says nothing about its hardware",
    "executor": "write shell or kubernetes",
    "resources": "write Kubernetes quantities, for example {requests: {cpu: 100m, memory: 128Mi}}",
    "job_pods": 'write for example {image: "alpine:3"}',
}


def load(path: Path) -> tuple[Profile, ...]:
    """Read and validate a profiles file. Raises ConfigurationError with every fault found."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: cannot be read ({error.strerror}); set ISTHMUS_BRIDGE_PROFILES_FILE"
        ) from error


def parse(text: str, file: str) -> tuple[Profile, ...]:
    """Validate the text of a profiles file; `file` is for messages."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file}: not YAML: {error}") from error
    if not isinstance(document, dict) or set(document) != {"profiles"} or not isinstance(document["profiles"], list):
        raise ConfigurationError(f"{file}: write one key, profiles, with a list below it")
    if not document["profiles"]:
        raise ConfigurationError(f"{file}: profiles: the list is empty; write at least one profile")
    profiles: list[Profile] = []
    faults: list[str] = []
    for number, entry in enumerate(document["profiles"], start=1):
        try:
            profiles.append(Profile.model_validate(entry))
        except ValidationError as error:
            name = entry.get("name", f"number {number}") if isinstance(entry, dict) else f"number {number}"
            faults += [f"{file}: profile {name}: {fault}" for fault in _faults(error)]
    faults += [f"{file}: {fault}" for fault in _conflicts(profiles)]
    if faults:
        raise ConfigurationError("\n".join(faults))
    return tuple(profiles)


def _faults(error: ValidationError) -> list[str]:
    faults = []
    for fault in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = f"there is no such field; known are {', '.join(_fields())}"
        fix = _FIXES.get(str(fault["loc"][0])) if fault["loc"] else None
        faults.append((f"{where}: " if where else "") + message + (f"; {fix}" if fix else ""))
    return faults


def _fields() -> list[str]:
    return [field.alias or name for name, field in Profile.model_fields.items()]


def _conflicts(profiles: list[Profile]) -> list[str]:
    faults = []
    for one, other in combinations(profiles, 2):
        first, second = set(one.tags), set(other.tags)
        both = f"profiles {one.name} and {other.name}"
        if one.name == other.name:
            faults.append(f"{both}: name: is used twice; give each profile a name of its own")
        elif one.mode is other.mode is Mode.DEPLOYMENT and one.deployment_name == other.deployment_name:
            faults.append(f"{both}: deployment: {one.deployment_name} would belong to both; name another one")
        elif shared := ", ".join(sorted(first & second)):
            is_nested = first < second or second < first
            if not is_nested:
                faults.append(f"{both}: tags: a job tagged [{shared}] would fit both; keep the tag in one of them")
            elif (one.os, one.arch) != (other.os, other.arch):
                faults.append(f"{both}: tags: [{shared}] would mean two kinds of hardware; keep the tag in one of them")
    return faults


def remarks(profile: Profile) -> list[str]:
    """Return what is allowed but will surprise on a real cluster."""
    found = []
    if (
        profile.os == "windows"
        and profile.executor is Executor.SHELL
        and profile.manager_selector().get(_OS) != "linux"
    ):
        found.append(
            "the runner itself is placed on a Windows node, which only the lab simulates; on a real cluster set "
            "executor: kubernetes with job_pods, or node_selector: {kubernetes.io/os: linux} for cross builds"
        )
    if profile.executor is Executor.KUBERNETES and not profile.service_account:
        found.append(
            "the kubernetes executor makes pods in its cluster: set service_account to one that may "
            "(deploy/rbac/runner-kubernetes-executor.yaml)"
        )
    if profile.mode is Mode.JOB and profile.runners_min + profile.idle > 0:
        found.append(
            "min and idle keep pods that wait for up to ISTHMUS_BRIDGE_IDLE_TIMEOUT_SECONDS and are then made anew; "
            "mode: deployment keeps them for good"
        )
    return found
