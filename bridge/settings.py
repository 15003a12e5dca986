"""Everything a bridge can be told, from the environment (ISTHMUS_BRIDGE_...). Nobody else reads it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AnyHttpUrl, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bridge.errors import ConfigurationError

# Names are `a,b,c` in the environment; JSON lists would need quoting in every shell and manifest.
Names = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """One bridge: a GitLab, a cluster, a file of profiles."""

    model_config = SettingsConfigDict(env_prefix="ISTHMUS_BRIDGE_", frozen=True, extra="ignore")

    # Two bridges at one GitLab or in one namespace need different names: it marks runners, Secrets and Jobs as ours.
    name: str = Field(default="isthmus", pattern=r"^[a-z]([a-z0-9-]{0,13}[a-z0-9])?$")

    gitlab_url: AnyHttpUrl
    # A file with a token of scopes create_runner, manage_runner and read_api; a file, so that it can be rotated by
    # whoever mounts it and is in no process list.
    gitlab_token_file: Path
    # PEM file of the authority that signed GitLab's certificate; none: the system's.
    gitlab_ca_file: Path | None = None
    # Under which URL runner pods reach GitLab, where that is not `gitlab_url`.
    runner_gitlab_url: AnyHttpUrl | None = None
    # Seconds for one request. Ten times less fails on a busy GitLab; ten times more delays a stop by as much.
    gitlab_timeout_seconds: float = Field(default=10.0, ge=1, le=120)

    # Whose jobs are watched: full paths or ids. With neither, all projects the token's user is a member of.
    # `*` instead of projects: all of the instance.
    projects: Names = ()
    groups: Names = ()
    # Where pending jobs are read: `graphql` is one query per 100 of them and needs an administrator's token, `rest` one
    # request per project; `auto` takes graphql where the token allows it.
    demand_source: Literal["auto", "graphql", "rest"] = "auto"
    # Seconds until projects are looked up again, where they are not all named: new projects wait that long for their
    # first runner. One request per 100 projects; as long as there are none, every look asks.
    discovery_interval_seconds: float = Field(default=60.0, ge=1, le=86_400)
    # Where runners are created: `instance` (needs an administrator's token), `group:ID` or `project:ID`.
    runner_scope: str = Field(default="instance", pattern=r"^(instance|(group|project):[1-9][0-9]*)$")

    # Kubeconfig of the home cluster; none: the cluster the bridge runs in.
    kubeconfig: Path | None = None
    # Where runner pods are made. It needs the label multicluster-scheduler=enabled, and to exist in the targets.
    namespace: str = Field(default="ci", min_length=1, max_length=63)
    profiles_file: Path = Path("runner-config/profiles.yaml")

    # Seconds between two looks at GitLab (docs/performance.md says how many requests one takes). A job waits half of it
    # on average; GitLab allows 600 lists of project jobs a minute and user.
    poll_interval_seconds: float = Field(default=10.0, ge=0.2, le=600)
    # Seconds between two signs of life per runner. GitLab calls a runner offline after 2 h, and fails jobs whose
    # runners are all offline after 1 h more; three may be lost before that.
    heartbeat_interval_seconds: float = Field(default=1200.0, ge=1, le=3600)
    # Seconds an idle runner waits for a job before it leaves. Short: pods made for jobs that others took cost little.
    # Long: pods are reused by jobs that come soon. GitLab's long poll (50 s) is added.
    wait_timeout_seconds: int = Field(default=120, ge=5, le=3600)
    # Seconds that a spare runner (min, idle of a profile in job mode) waits for a job before another takes its place.
    # Short: many pods come and go for nothing. Long: after min or idle were lowered the surplus stays for so long.
    idle_timeout_seconds: int = Field(default=3600, ge=60, le=604_800)
    # Seconds that a Deployment keeps more replicas than are needed. Short: pods go and come with every pipeline.
    scale_down_delay_seconds: float = Field(default=300.0, ge=0, le=86_400)
    # Pods made per profile in one look. Bounds what a wrong decision or a flood of jobs can cost at once.
    burst_max: int = Field(default=10, ge=1, le=1000)
    # Seconds until a pod that has not started is given up and another one is tried. Image pulls must fit in it.
    start_timeout_seconds: float = Field(default=600.0, ge=10, le=86_400)
    # Seconds that finished Jobs stay, with their logs; at least 600, because waiting times between attempts are
    # derived from them (demand.py).
    finished_ttl_seconds: int = Field(default=900, ge=600, le=604_800)

    # Image of every profile's runner, instead of the profiles file's: for registries that mirror it.
    runner_image: str = ""
    # ConfigMap in `namespace` with key ca.crt: PEM bundle that runners and jobs trust for GitLab and its registry.
    runner_ca_config_map: str = Field(default="", pattern=r"^[a-z0-9.-]*$")

    log_json: bool = False  # one JSON object a line, as pods should; else text for people
    log_level: str = Field(default="INFO", pattern=r"^(TRACE|DEBUG|INFO|WARNING|ERROR)$")

    @field_validator("projects", "groups", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    def gitlab_token(self) -> SecretStr:
        """Read the token. Raises ConfigurationError."""
        try:
            token = self.gitlab_token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(
                f"ISTHMUS_BRIDGE_GITLAB_TOKEN_FILE: {self.gitlab_token_file} cannot be read ({error.strerror})"
            ) from error
        if not token:
            raise ConfigurationError(f"ISTHMUS_BRIDGE_GITLAB_TOKEN_FILE: {self.gitlab_token_file} is empty")
        return SecretStr(token)

    @property
    def gitlab(self) -> str:
        """GitLab's URL as the bridge reaches it, without a slash at the end."""
        return str(self.gitlab_url).rstrip("/")

    @property
    def gitlab_for_runners(self) -> str:
        """GitLab's URL as runner pods reach it."""
        return str(self.runner_gitlab_url or self.gitlab_url).rstrip("/")
