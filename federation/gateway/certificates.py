"""A serving certificate for one virtual node, signed by itself: for API servers that do not verify kubelets.

An API server with `--kubelet-certificate-authority` wants one that its CA signed; whoever runs the agent then gives
it. Either way the subject is a kubelet's: CN `system:node:<node>`, O `system:nodes`.
"""

import ipaddress
import ssl
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=365)  # nobody verifies it; renewed at every start of the agent
_BACKDATE = timedelta(minutes=5)  # clocks of two machines differ


@dataclass(frozen=True, slots=True)
class ServingCertificate:
    """A certificate and its key, both PEM."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Use it for new connections of `context`. OpenSSL reads files only: the key is on disk for that long."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "serving.pem"
            path.touch(mode=0o600)
            path.write_bytes(self.key_pem + self.certificate_pem)
            context.load_cert_chain(path)


def subject_of(node: str) -> x509.Name:
    """Return the subject that a kubelet's serving certificate has for this node."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, _common_name(node)),
        ]
    )


def _common_name(node: str) -> str:
    return f"system:node:{node}"[:64]  # X.509's limit; longer node names cannot be checked by CN anyway


def self_signed(node: str, address: str, now: datetime) -> ServingCertificate:
    """Return a certificate for `node` at the IP `address`, valid for a year from `now` (aware)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = subject_of(node)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return ServingCertificate(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
