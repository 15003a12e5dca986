"""Who is who in a cluster of the lab: certificates, keys and kubeconfigs, made before its API server starts.

Every program has an identity of its own with the rights of its role; only the person who runs the lab is an
administrator. The API server's own client certificate, which it shows to kubelets, is no master either: it is bound to
`system:kubelet-api-admin` once the cluster answers.
"""

from dataclasses import dataclass
from pathlib import Path

from lab.kubeconfig import kubeconfig, write_kubeconfig
from lab.pki import Authority, KeyPair, signing_key, write_private

API_SERVER_USER = "isthmus-lab-apiserver"
ADMIN_USER = "isthmus-lab-admin"
KUBELET_USER = "isthmus-lab-kubelet"
SCHEDULER_USER = "system:kube-scheduler"
CONTROLLERS_USER = "system:kube-controller-manager"


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Identities:
    """The authority of one cluster and everything it has signed, under `directory`."""

    def __init__(self, cluster: str, directory: Path) -> None:
        self.cluster = cluster
        self._authority = Authority(f"isthmus-lab-{cluster}")
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.authority = self._files(self._authority.pair, "ca")
        private, public = signing_key()
        self.service_account_key = write_private(directory / "service-account.key", private)
        self.service_account_public_key = write_private(directory / "service-account.pub", public)
        hosts = ("127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
        self.api_server = self._files(self._authority.server("kube-apiserver", hosts), "api-server")
        self.api_server_client = self._files(self._authority.client(API_SERVER_USER), "api-server-kubelet-client")

    @property
    def authority_pem(self) -> bytes:
        """The certificate by which everybody knows this cluster's servers."""
        return self._authority.pair.certificate

    def server(self, name: str) -> KeyFiles:
        """A serving certificate for a program on 127.0.0.1."""
        return self._files(self._authority.server(name, ("127.0.0.1", "localhost")), name)

    def etcd(self) -> KeyFiles:
        """The certificate that etcd shows, and that the API server shows to etcd."""
        return self._files(self._authority.peer("etcd", ("127.0.0.1", "localhost")), "etcd")

    def kubeconfig(self, path: Path, server: str, user: str, groups: tuple[str, ...] = ()) -> Path:
        """Write a kubeconfig with a new client certificate for `user`."""
        pair = self._authority.client(user, groups)
        return write_kubeconfig(path, kubeconfig(self.cluster, server, self.authority_pem, user, pair))

    def _files(self, pair: KeyPair, name: str) -> KeyFiles:
        return KeyFiles(*pair.write(self._directory, name))
