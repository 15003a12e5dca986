"""Settings of the lab's commands, from the environment; options on the command line win."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from lab.plan import DEFAULT_CLUSTERS, EngineName


class LabSettings(BaseSettings):
    """What `isthmus lab` does when an option is not given."""

    model_config = SettingsConfigDict(env_prefix="ISTHMUS_LAB_", frozen=True)

    dir: Path = Field(
        default=Path(".isthmus-lab"),
        description="State of the lab. Relative to the working directory, so that two checkouts have two labs.",
    )
    engine: EngineName = Field(
        default=EngineName.EMBEDDED,
        description="Control planes: embedded needs Python only, kube the result of make kube.",
    )
    clusters: str = Field(default=DEFAULT_CLUSTERS, description="name:os/arch[+os/arch],...; the first is the source.")
    fake_nodes: int = Field(
        default=0,
        ge=0,
        le=5000,
        description="This many nodes of each platform, on which kwok only says that pods run; 0: nodes that run them.",
    )
    buildah: Literal["auto", "real", "stand-in"] = Field(
        default="auto",
        description="Whose buildah jobs find: this machine's, the lab's stand-in, or (auto) the first of them that is.",
    )
