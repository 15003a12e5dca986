"""Certificates of a lab: one authority per cluster, ECDSA P-256 throughout.

P-256, because an RSA key takes a hundred times longer to make and a lab makes about thirty. Nothing here outlives the
lab's directory; 30 days are longer than anyone keeps a lab and short enough that a forgotten one is worth nothing.
Private keys are written readable by their owner only.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALIDITY = datetime.timedelta(days=30)
# Clocks of containers and hosts differ by seconds; a certificate "not yet valid" is a puzzling way to learn that.
BACKDATED = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate with its private key, both PEM."""

    certificate: bytes
    key: bytes

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """Write `<name>.crt` and `<name>.key`; returns both paths."""
        directory.mkdir(parents=True, exist_ok=True)
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        certificate.write_bytes(self.certificate)
        write_private(key, self.key)
        return certificate, key


class Authority:
    """A certificate authority that signs client and server certificates for one cluster."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _certificate(self._name, self._key.public_key(), issuer=self._name)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False)
        self.pair = KeyPair(_pem(builder.sign(self._key, hashes.SHA256())), private_pem(self._key))

    def client(self, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """A certificate by which the API server knows `user`, member of `groups`."""
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        name = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, name: str, hosts: Sequence[str]) -> KeyPair:
        """A certificate for a server reached at `hosts` (DNS names or IP addresses)."""
        common = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._issue(common, ExtendedKeyUsageOID.SERVER_AUTH, hosts)

    def peer(self, name: str, hosts: Sequence[str]) -> KeyPair:
        """A certificate for a server that shows the same one as a client: etcd among its members."""
        common = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._issue(common, ExtendedKeyUsageOID.SERVER_AUTH, hosts, also=ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issue(
        self,
        name: x509.Name,
        purpose: x509.ObjectIdentifier,
        hosts: Sequence[str],
        also: x509.ObjectIdentifier | None = None,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = [purpose] if also is None else [purpose, also]
        builder = _certificate(name, key.public_key(), issuer=self._name)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        # Python's ssl in strict mode (3.13's default) refuses certificates without it.
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(authority, critical=False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), False)
        return KeyPair(_pem(builder.sign(self._key, hashes.SHA256())), private_pem(key))


def signing_key() -> tuple[bytes, bytes]:
    """A key pair for signing tokens: private and public half, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private_pem(key), public


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as unencrypted PKCS#8, which Go and Python both read."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(path: Path, content: bytes) -> Path:
    """Write a file that only its owner can read, at no moment anyone else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(content)
    return path


def _certificate(name: x509.Name, key: ec.EllipticCurvePublicKey, *, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + VALIDITY)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
