"""The registry's configuration file: one JSON object, checked whole before anything listens.

A key that is not known is an error, so that a misspelt limit cannot silently be the default. Paths are used as given;
relative ones start at the working directory of the process.
"""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class Section(BaseModel):
    """What every part of the file has in common: immutable, and no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Tls(Section):
    """The server's certificate, PEM. Clients need the CA that signed it (`SSL_CERT_FILE`)."""

    certificate: Path
    key: Path


class Token(Section):
    """Who issues Bearer tokens, and how they are recognised."""

    realm: str = Field(description="URL that issues tokens, for GitLab `<url>/jwt/auth`")
    service: str = "container_registry"
    issuer: str = "isthmus-lab-gitlab"
    public_key: Path = Field(description="PEM of the issuer's P-256 public key (ES256)")
    leeway_seconds: float = Field(
        default=5.0, ge=0, le=60, description="clocks of one machine agree; more would make expiry meaningless"
    )


class Limits(Section):
    """Bounds on what one client can make the registry hold."""

    blob_bytes_max: int = Field(
        default=8 << 30, ge=1, description="one layer; Windows base layers are 2-4 GiB, a runaway upload fills the disk"
    )
    manifest_bytes_max: int = Field(
        default=4 << 20, ge=1024, description="manifests are read into memory; 4 MiB is what real registries accept"
    )
    uploads_max: int = Field(
        default=256, ge=1, description="sessions open at once; buildah opens 6 per push, ten times fewer blocks jobs"
    )
    upload_idle_seconds: float = Field(
        default=3600.0, gt=0, description="an upload without a byte for so long is dropped; shorter breaks slow links"
    )
    page_size_max: int = Field(
        default=1000, ge=1, description="tags or repositories per answer; larger lists follow the Link header"
    )


class Settings(Section):
    """The whole file. At least one of `token` and `users` must be there: nothing is served to strangers."""

    bind_address: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535, description="0 takes a free one, which the log then names")
    tls: Tls
    data_dir: Path
    token: Token | None = None
    users: dict[str, SecretStr] = Field(default={}, description="name to password, full rights: for tests")
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _someone_may_enter(self) -> Self:
        if self.token is None and not self.users:
            raise ValueError("set `token` (GitLab issues tokens) or `users` (fixed passwords): nobody could log in")
        return self
