"""The configuration file of `python -m lab.gitlab --config F`: JSON, every field checked, unknown fields refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Port = Annotated[int, Field(ge=0, le=65535)]


class _Strict(BaseModel):
    # Hidden inputs: a message about a missing field would otherwise show the whole file, tokens and all.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TokenSettings(_Strict):
    """A personal access token that exists from the start, so that a lab can hand it out before anything runs."""

    name: str
    token: SecretStr
    scopes: frozenset[str]
    user: str = "root"  # any other name is made a user who is no administrator


class VariableSettings(_Strict):
    """An instance CI/CD variable, as an administrator sets them: in every job."""

    key: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    value: str
    file: bool = False
    masked: bool = False


class Settings(_Strict):
    """Paths are absolute or relative to the working directory."""

    port: Port = Field(0, description="TCP port on 127.0.0.1; 0 takes a free one and `port_file` tells which")
    port_file: Path | None = Field(None, description="where to write the port once the server listens")
    external_url: str = Field("", description="as jobs and browsers reach it; empty: http://127.0.0.1:<port>")
    data_dir: Path = Field(description="git repositories and artifacts")
    root_token: SecretStr = Field(description="root's personal access token with all scopes, glpat-...")
    tokens: list[TokenSettings] = Field(default_factory=list)
    registry: str = Field("", description="host:port of the container registry, shown as CI_REGISTRY; empty: none")
    jwt_signing_key_file: Path | None = Field(None, description="EC P-256 private key (PEM) for registry tokens")
    long_poll_seconds: float = Field(
        5, ge=0, le=60, description="how long jobs/request is held; GitLab's is 50, short ones let a lab stop quickly"
    )
    two_phase_commit: bool = Field(False, description="GitLab's allow_runner_job_acknowledgement, off as there")
    # After which runner tokens expire; None: never. GitLab's instance setting, which is two hours at least.
    runner_token_lifetime_seconds: Annotated[int, Field(ge=7200)] | None = None
    ca_file: Path | None = Field(None, description="CA certificates; each job gets them as the file in SSL_CERT_FILE")
    variables: list[VariableSettings] = Field(default_factory=list)


def read_settings(path: Path) -> Settings:
    """Reads the file; pydantic's error names the field."""
    return Settings.model_validate_json(path.read_bytes())
