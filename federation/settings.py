"""What an operator may set, by environment variables with a prefix (or a settings object in tests)."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from federation.kube.dialling import Dialable
from federation.kube.leader import Timing
from federation.kube.limits import STRANGER, Limits


class AgentSettings(BaseSettings):
    """`isthmus agent`; prefix ISTHMUS_AGENT_."""

    model_config = SettingsConfigDict(env_prefix="ISTHMUS_AGENT_", frozen=True, extra="forbid")

    kubeconfig: Path | None = Field(
        default=None, description="Kubeconfig file of the agent's own cluster; unset: the pod's service account."
    )
    context: str = Field(default="", description="Context of that kubeconfig; empty: its current-context.")
    namespace: str = Field(
        default="isthmus", description="Namespace of the agent's own Lease, Secret and Service.", min_length=1
    )
    cluster_name: str = Field(
        default="",
        max_length=63,
        description="Name of this cluster as a source, on chaperons in targets. Must be unique among the sources of "
        "every target; empty: the UID of the namespace kube-system, which is.",
    )
    identity: str = Field(default="", description="This replica's name in the leader's Lease; empty: host and pid.")
    leader_elect: bool = Field(default=True, description="Off only where exactly one agent can run.")
    lease_seconds: int = Field(
        default=4,
        ge=1,
        le=60,
        description="How long other replicas believe in a leader that is silent: a killed one is succeeded after this. "
        "Shorter than an API server's hiccups, the lead changes hands for nothing (rule M9).",
    )
    lease_renew_seconds: float = Field(
        default=3.5,
        gt=0,
        le=60,
        description="How long a leader may fail to renew its Lease before it stops; less than lease_seconds by what "
        "stopping takes.",
    )
    lease_retry_seconds: float = Field(
        default=0.4,
        gt=0,
        le=30,
        description="Pause between two renewals of the Lease, each one small write; several have to fit into "
        "lease_renew_seconds.",
    )
    webhook_bind: str = Field(default="0.0.0.0", description="Address the webhook listens on.")  # noqa: S104  # in a pod
    webhook_port: int = Field(default=9443, ge=0, le=65535, description="Port of the webhook; 0: any free one.")
    webhook_url: str = Field(
        default="", description="How the API server reaches the webhook (https://host:port); empty: by the Service."
    )
    webhook_client_ca_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) that sign the API server's client certificate for webhooks (its "
        "AdmissionConfiguration names it); who shows none is refused. Unset: anybody may ask the webhook, which tells "
        "and changes nothing.",
    )
    webhook_enabled: bool = Field(default=True, description="Off in a cluster that is only ever a target.")
    gateway_address: str = Field(
        default="127.0.0.1",
        description="IP address at which the API server reaches virtual nodes; in a cluster: the pod's IP.",
    )
    workers: int = Field(
        default=16, ge=1, le=256, description="Objects worked on at once per controller; more only queues at the API."
    )
    api_server_url: str = Field(
        default="",
        pattern=r"^(https://\S+)?$",
        description="How other clusters reach this one's API server (https://host:port), written into credentials of "
        "sources; empty: as kubeadm published it in ConfigMap kube-public/cluster-info.",
    )
    api_server_authority_file: Path | None = Field(
        default=None,
        description="Certificates (PEM) by which they know it at that address; unset: the cluster's own root.",
    )
    issue_credentials: bool = Field(
        default=True,
        description="Off: Sources get their roles, and you hand out tokens yourself; the agent then needs none of the "
        "rights of isthmus-agent-issuer.",
    )
    allow_sources_without_policies: bool = Field(
        default=False,
        description="On: Sources are let in although the policies of deploy/policies are not in force, as on an API "
        "server that has none. A source can then read and write every Secret of its namespaces, and through them and "
        "its pods become any service account there (rule T3).",
    )
    credential_seconds: int = Field(
        default=604800,
        ge=600,
        le=31536000,
        description="Life of a source's credential, issued anew at half of it; a source that is away for longer than "
        "a third of it has to be handed a new one. The API server may allow less.",
    )
    own_config_names: str = Field(
        default="",
        pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?(,|$))*$",
        max_length=10_000,
        description="Names, with commas between, of ConfigMaps that every cluster makes for itself in every namespace "
        "(openshift-service-ca.crt, istio-ca-root-cert): not copied, and read by pods as the target has them. "
        "kube-root-ca.crt always is one (rule T6).",
    )
    start_wait_seconds: float = Field(
        default=10.0, ge=0, le=300, description="How long an agent that starts reads before it writes (rule S5)."
    )
    no_room_seconds: float = Field(
        default=300.0,
        gt=0,
        description="How long a pod that is bound to a target, but found its room there gone before it started, waits "
        "for room before its owner may make another (rule M2); as long as Kubernetes waits for a node that is gone.",
    )
    target_lost_seconds: float = Field(
        default=120.0,
        gt=0,
        description="How long a deleted Target that cannot be reached is waited for before it is given up (rule M7); "
        "shorter than an API server's restart leaves pods behind.",
    )
    dialable: str = Field(
        default="",
        description="What a Target's kubeconfig may lead to beyond the rule (https, and no loopback, link-local or "
        "other special address; rule T7), with commas between: networks (`127.0.0.0/8`), names of hosts, whatever they "
        "resolve to (`api.lab`), and URLs (`http://10.0.0.5:80`), exactly as the kubeconfig has them: servers without "
        "TLS, and each `proxy-url`.",
    )
    target_objects_max: int = Field(
        default=20000,
        ge=100,
        le=1000000,
        description="Objects of one kind that a target may show us as ours; one with more is in trouble, as it would "
        "fill the agent's memory (about 2 KB each; rule T1). More than the pods that you have there at once.",
    )
    endpoint_cidrs: Mapping[str, tuple[IPv4Network | IPv6Network, ...]] = Field(
        default={},
        description='Networks of the pods and nodes of targets, as JSON: {"NAMESPACE/TARGET": ["10.0.0.0/8"]}, by '
        "CLUSTERTARGET for a ClusterTarget, or by * for all others. Addresses that a target tells are shown on proxies "
        "only within them; without, home's Services get no endpoints there (rule T4).",
    )
    node_labels: str = Field(
        default="kubernetes.io/arch,kubernetes.io/os",
        description="Labels, separated by commas, that the target of a namespace may set on its virtual node; * at the "
        "end for all that begin so. Targets are made by users with `edit`; those of ClusterTargets may set all but "
        "what Kubernetes keeps for its own nodes.",
    )
    node_capacity_max: Mapping[str, int] = Field(
        default={"cpu": 10_000, "memory": 100 * 2**40, "*": 10**15},
        description="Most that the virtual node of a namespace's target may show, as JSON: CPUs, bytes, pieces, by "
        "resource, or by * for all others.",
    )
    allowed_annotations: str = Field(
        default="bridge.isthmus.dev/*,batch.kubernetes.io/job-completion-index",
        description="As a target: annotations, separated by commas, that pods of sources carry here by their own keys; "
        "* at the end for all that begin so. All others travel under multicluster.admiralty.io/, where this cluster's "
        "controllers do not look (rule T5).",
    )
    followed_annotations: str = Field(
        default="",
        description="As a source: annotations, written alike, that copies of Services and Ingresses carry in targets, "
        "besides the contract's own: io.cilium/global-service and multicluster.admiralty.io/global.",
    )
    log_json: bool = Field(default=False, description="One JSON object a line, for a pod's log.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")

    @property
    def dialled(self) -> Dialable:
        """What Targets' kubeconfigs may lead to."""
        return Dialable.of(entry.strip() for entry in self.dialable.split(",") if entry.strip())

    @property
    def of_strangers(self) -> Limits:
        """What a target may have us hold."""
        return replace(STRANGER, objects_max=self.target_objects_max)

    @field_validator("dialable")
    @classmethod
    def _check_dialable(cls, value: str) -> str:
        Dialable.of(entry.strip() for entry in value.split(",") if entry.strip())
        return value

    @property
    def election(self) -> Timing:
        """The three durations of the leader's election."""
        return Timing(self.lease_seconds, self.lease_renew_seconds, self.lease_retry_seconds)

    @model_validator(mode="after")
    def _leave_time_to_renew(self) -> Self:
        if not 2 * self.lease_retry_seconds <= self.lease_renew_seconds < self.lease_seconds:
            raise ValueError(
                f"ISTHMUS_AGENT_LEASE_RENEW_SECONDS ({self.lease_renew_seconds}) must be less than "
                f"ISTHMUS_AGENT_LEASE_SECONDS ({self.lease_seconds}), and at least twice "
                f"ISTHMUS_AGENT_LEASE_RETRY_SECONDS ({self.lease_retry_seconds})"
            )
        return self

    @property
    def own_configs(self) -> frozenset[str]:
        """The names in `own_config_names`."""
        return frozenset(name for name in self.own_config_names.split(",") if name)


class ExtenderSettings(BaseSettings):
    """`isthmus extender`; prefix ISTHMUS_EXTENDER_."""

    model_config = SettingsConfigDict(env_prefix="ISTHMUS_EXTENDER_", frozen=True, extra="forbid")

    kubeconfig: Path | None = Field(
        default=None, description="Kubeconfig file of the extender's own cluster; unset: the pod's service account."
    )
    context: str = Field(default="", description="Context of that kubeconfig; empty: its current-context.")
    bind: str = Field(default="127.0.0.1", description="Address it listens on; the scheduler runs beside it.")
    port: int = Field(default=8888, ge=0, le=65535, description="Port it listens on; 0: any free one.")
    secret_file: Path | None = Field(
        default=None,
        description="File with the password by which it knows the scheduler: 16 to 128 of A-Z a-z 0-9 _ and -, as in "
        "urlPrefix: http://scheduler:PASSWORD@127.0.0.1:8888.",
    )
    allow_anybody: bool = Field(
        default=False,
        description="On: no password is asked for; whoever reaches the port can bind candidates and end holds.",
    )
    hold_seconds: float = Field(
        default=60.0, gt=0, le=3000, description="How long a node is held where nobody else waits for room (rule M4)."
    )
    hold_contended_seconds: float = Field(
        default=10.0, gt=0, le=3000, description="How long a node is held while other candidates wait for room."
    )
    log_json: bool = Field(default=False, description="One JSON object a line, for a pod's log.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")

    @model_validator(mode="after")
    def _know_the_scheduler(self) -> Self:
        if self.secret_file is None and not self.allow_anybody:
            raise ValueError(
                "ISTHMUS_EXTENDER_SECRET_FILE must name a file with the scheduler's password, "
                "or ISTHMUS_EXTENDER_ALLOW_ANYBODY be true"
            )
        return self
