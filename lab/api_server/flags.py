"""The command line: the flags of kube-apiserver that a lab needs, and those it may be given and ignores.

One launcher starts this server and the real one, so the names are the real ones.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from lab.api_server.auth.tokens import ISSUER

FILES = {
    "tls-cert-file": "serving certificate, PEM",
    "tls-private-key-file": "its key, PEM",
    "client-ca-file": "CA of client certificates, PEM",
    "kubelet-client-certificate": "certificate shown to kubelets, PEM",
    "kubelet-client-key": "its key, PEM",
    "kubelet-certificate-authority": "CA of kubelets' serving certificates, PEM; without it they are not verified",
    "token-auth-file": 'lines of token,user,uid,"group,group"',
    "service-account-key-file": "key that checks service-account tokens, PEM",
    "service-account-signing-key-file": "key that signs them, PEM",
}
IGNORED = (
    "etcd-servers",
    "service-cluster-ip-range",
    "endpoint-reconciler-type",
    "kubelet-preferred-address-types",
    "event-ttl",
    "allow-privileged",
    "advertise-address",
    "profiling",
    "max-requests-inflight",
    "max-mutating-requests-inflight",
    "watch-cache",
    "v",
)


@dataclass(frozen=True, slots=True)
class Flags:
    """The parsed command line."""

    bind_address: str
    secure_port: int
    authorization_mode: str
    service_account_issuer: str
    tls_cert_file: Path | None
    tls_private_key_file: Path | None
    client_ca_file: Path | None
    kubelet_client_certificate: Path | None
    kubelet_client_key: Path | None
    kubelet_certificate_authority: Path | None
    token_auth_file: Path | None
    service_account_key_file: Path | None
    service_account_signing_key_file: Path | None


def parse_flags(arguments: list[str]) -> Flags:
    """Parse the command line; exits with a message where it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m lab.api_server", description=__doc__, allow_abbrev=False)
    parser.add_argument("--bind-address", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--secure-port", type=int, default=6443, help="port to listen on; 0 takes a free one")
    parser.add_argument("--authorization-mode", default="Node,RBAC", help="AlwaysAllow switches authorization off")
    parser.add_argument("--service-account-issuer", default=ISSUER, help="issuer of service-account tokens")
    for name, meaning in FILES.items():
        parser.add_argument(f"--{name}", type=Path, help=meaning)
    for name in IGNORED:
        parser.add_argument(f"--{name}", nargs="?", help="accepted and ignored", dest="ignored")
    parsed = vars(parser.parse_args(arguments))
    parsed.pop("ignored")
    if bool(parsed["tls_cert_file"]) is not bool(parsed["tls_private_key_file"]):
        parser.error("--tls-cert-file and --tls-private-key-file belong together")
    return Flags(**parsed)
