"""The configuration file of the process kubelet: JSON, one file for all the nodes of one cluster.

    {"kubeconfig": "kubeconfig", "root_dir": "kubelet", "client_ca_file": "ca.crt",
     "nodes": [{"name": "arm-1", "arch": "arm64", "tls_cert_file": "arm-1.crt", "tls_private_key_file": "arm-1.key"}]}

Relative paths are relative to the file.
"""

import platform
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lab.kubelet import catalogue, commands, quantities
from lab.kubelet.restarts import BackOff

# Python's and Debian's names of machines -> Go's, which Kubernetes uses.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Taint(_Part):
    """A taint the node registers with."""

    key: str
    value: str = ""
    effect: str = Field("NoSchedule", pattern="^(NoSchedule|PreferNoSchedule|NoExecute)$")


class Node(_Part):
    """One node of the cluster."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")
    os: str = "linux"  # what it says it is; containers are processes of this machine whatever it says
    arch: str = "amd64"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    cpu: str = "4"  # what the scheduler may give out; nothing is enforced
    memory: str = "8Gi"
    ephemeral_storage: str = "20Gi"
    pods: int = Field(110, ge=0, le=10_000)  # 110 is upstream's default
    extra_resources: dict[str, str] = {}
    tls_cert_file: Path
    tls_private_key_file: Path
    port: int = Field(0, ge=0, le=65535)  # 0: a free one; the Node object says which
    simulated: bool | None = None  # None: simulated if os or arch are not this machine's

    @field_validator("cpu", "memory", "ephemeral_storage")
    @classmethod
    def _is_quantity(cls, value: str) -> str:
        quantities.parse(value)
        return value

    @property
    def is_simulated(self) -> bool:
        """Whether it claims to be what this machine is not."""
        if self.simulated is not None:
            return self.simulated
        machine = platform.machine()
        return (self.os, self.arch) != ("linux", _ARCHITECTURES.get(machine, machine))


class Image(_Part):
    """An image the catalogue is to have besides its own; `image` is a pattern like `my/tool*`."""

    image: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ("sh",)
    environment: dict[str, str] = {}
    directory: str = "/"
    commands: tuple[str, ...] = ()

    def entry(self) -> catalogue.Image:
        """As the catalogue has it."""
        return catalogue.Image(
            self.image, self.entrypoint, self.command, self.environment, self.directory, self.commands
        )


class Config(_Part):
    """The whole file."""

    kubeconfig: Path
    root_dir: Path  # pods' volumes and logs; never seen by a container
    client_ca_file: Path  # who may call the nodes' HTTPS ports
    nodes: tuple[Node, ...] = Field(min_length=1)
    images: tuple[Image, ...] = ()
    environment: dict[str, str] = {}  # given to every container, e.g. SSL_CERT_FILE
    visible: tuple[Path, ...] = ()  # more paths that containers see, read-only, e.g. that certificate file
    hidden: tuple[Path, ...] = ()  # directories that look empty to containers, e.g. the lab's
    programs: dict[str, str] = {}  # command of an image -> program of this machine, e.g. gitlab-runner
    buildah: commands.Buildah = "auto"
    back_off_seconds: float = Field(10.0, gt=0, le=300)  # upstream's; tests take less
    back_off_seconds_max: float = Field(300.0, gt=0, le=3600)
    lease_seconds: float = Field(10.0, gt=0, le=20)  # the Lease is renewed this often; 40 s is its duration
    node_status_seconds: float = Field(60.0, gt=0, le=300)  # posted when it changed, and this often
    volume_refresh_seconds: float = Field(60.0, gt=0, le=3600)  # ConfigMap, Secret and token volumes

    @property
    def back_off(self) -> BackOff:
        """How long failing containers wait."""
        return BackOff(self.back_off_seconds, self.back_off_seconds_max)


def read(path: Path) -> Config:
    """The configuration in the file. Raises OSError, or ValueError that names the field."""
    config = resolve(Config.model_validate_json(path.read_bytes()), path.parent.resolve())
    files = {"kubeconfig": config.kubeconfig, "client_ca_file": config.client_ca_file}
    for number, node in enumerate(config.nodes):
        files[f"nodes[{number}].tls_cert_file"] = node.tls_cert_file
        files[f"nodes[{number}].tls_private_key_file"] = node.tls_private_key_file
    for field, file in files.items():
        if not file.is_file():
            raise ValueError(f"{path}: {field}: there is no file {file}")
    return config


def resolve(config: Config, directory: Path) -> Config:
    """The same with all paths absolute."""
    update: dict[str, Any] = {
        name: directory / getattr(config, name) for name in ("kubeconfig", "root_dir", "client_ca_file")
    }
    update |= {name: tuple(directory / path for path in getattr(config, name)) for name in ("visible", "hidden")}
    update["nodes"] = tuple(
        node.model_copy(
            update={name: directory / getattr(node, name) for name in ("tls_cert_file", "tls_private_key_file")}
        )
        for node in config.nodes
    )
    return config.model_copy(update=update)
