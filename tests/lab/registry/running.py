"""A registry as a process, the issuer of its tokens, and a client that speaks plain HTTP to it.

The issuer stands in for GitLab's `/jwt/auth`: it knows a few users and the repositories each may use, and signs ES256
tokens by RFC 7515 with the cryptography package, independently of how the registry verifies them.
"""

import base64
import datetime
import http.client
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

ISSUER, AUDIENCE = "isthmus-lab-gitlab", "container_registry"
ROOT = Path(__file__).parents[3]


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The private key, unencrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def sign(key: ec.EllipticCurvePrivateKey, claims: dict[str, Any], algorithm: str = "ES256") -> str:
    """A compact JSON web token."""
    parts = [_base64url(json.dumps(part).encode()) for part in ({"alg": algorithm, "typ": "JWT"}, claims)]
    signed = ".".join(parts)
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{_base64url(r.to_bytes(32) + s.to_bytes(32))}"


def claims(*access: tuple[str, str], **changed: Any) -> dict[str, Any]:
    """Claims that grant `(repository, "pull,push")` pairs for five minutes, with some of them changed."""
    now = int(time.time())
    granted = [{"type": "repository", "name": name, "actions": actions.split(",")} for name, actions in access]
    return {"iss": ISSUER, "aud": AUDIENCE, "nbf": now - 1, "exp": now + 300, "access": granted} | changed


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass
class Issuer:
    """Users, what each may use, and the key."""

    key: ec.EllipticCurvePrivateKey
    users: dict[str, tuple[str, set[str]]]
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def token(self, user: str, scopes: list[str]) -> str:
        """A token with the asked rights that the user has."""
        self.asked += scopes
        access = []
        for scope in scopes:
            _, name, actions = scope.split(":")
            if name in self.users[user][1]:
                access.append((name, actions))
        return sign(self.key, claims(*access))

    def user(self, authorization: str) -> str | None:
        """Who the Basic header proves the client to be."""
        encoded = authorization.removeprefix("Basic ")
        name, _, password = base64.b64decode(encoded).decode().partition(":")
        return name if name in self.users and self.users[name][0] == password else None


@contextmanager
def issuing(issuer: Issuer) -> Iterator[Issuer]:
    """Answer `GET /jwt/auth` on a free port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            user = issuer.user(self.headers.get("Authorization", ""))
            scopes = " ".join(parse_qs(urlsplit(self.path).query).get("scope", [])).split()
            body = json.dumps({"token": issuer.token(user, scopes), "expires_in": 300} if user else {"errors": []})
            self.send_response(200 if user else 401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing: a failing test prints what it needs."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    issuer.url = f"http://127.0.0.1:{server.server_port}/jwt/auth"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificate(folder: Path) -> None:
    """Write `ca.pem`, `tls.pem` and `tls-key.pem` for 127.0.0.1."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry test CA")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)

    def builder(name: x509.Name, public: ec.EllipticCurvePublicKey, is_ca: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )

    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1")), x509.DNSName("localhost")])
    root = builder(ca, ca_key.public_key(), True).sign(ca_key, hashes.SHA256())
    leaf = builder(subject, key.public_key(), False).add_extension(names, critical=False).sign(ca_key, hashes.SHA256())
    (folder / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.pem").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    (folder / "tls-key.pem").write_bytes(pem(key))


@dataclass(frozen=True)
class Answer:
    """One response, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The first error code of the specified body."""
        return str(self.json["errors"][0]["code"])


@dataclass(frozen=True)
class RunningRegistry:
    """Where the registry is, and how to get in."""

    folder: Path
    host: str
    issuer: Issuer

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def token(self, *access: tuple[str, str], **changed: Any) -> str:
        """A token straight from the key."""
        return sign(self.issuer.key, claims(*access, **changed))

    def request(
        self, method: str, path: str, token: str = "", body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request over TLS; an iterable body is sent chunked."""
        connection = http.client.HTTPSConnection(self.host, context=ssl.create_default_context(cafile=str(self.ca)))
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            connection.request(method, path, body=body, headers=authorization | (headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def environment(self, home: Path) -> dict[str, str]:
        """For command-line tools: this registry's CA, and a home of their own."""
        home.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "SSL_CERT_FILE": str(self.ca),
            "REGISTRY_AUTH_FILE": str(home / "auth.json"),
            "STORAGE_DRIVER": "vfs",
            "BUILDAH_ISOLATION": "chroot",
            "XDG_RUNTIME_DIR": str(home),
        }


@contextmanager
def running_registry(folder: Path, limits: dict[str, Any] | None = None) -> Iterator[RunningRegistry]:
    """`python -m lab.registry` on a free port, with users `maker` (may use group/...) and `stranger` (nothing)."""
    certificate(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "issuer.pem").write_bytes(public)
    users = {"maker": ("secret", {"group/app", "group/other"}), "stranger": ("secret", set[str]())}
    with issuing(Issuer(key, users)) as issuer:
        config = {
            "tls": {"certificate": str(folder / "tls.pem"), "key": str(folder / "tls-key.pem")},
            "data_dir": str(folder / "data"),
            "token": {"realm": issuer.url, "public_key": str(folder / "issuer.pem")},
            "users": {"fixed": "fixed-password"},
            "limits": limits or {},
        }
        (folder / "config.json").write_text(json.dumps(config))
        command = [sys.executable, "-m", "lab.registry", "--config", str(folder / "config.json")]
        with (
            (folder / "registry.log").open("wb") as log,
            subprocess.Popen(command, cwd=ROOT, stderr=log) as process,
        ):
            try:
                yield RunningRegistry(folder, _address(folder / "registry.log", process), issuer)
            finally:
                process.terminate()
                process.wait(timeout=3)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if (text := log.read_text()) and "listens on https://" in text:
            return text.split("listens on https://")[1].split()[0]
        time.sleep(0.05)
    raise AssertionError(f"registry did not start: {log.read_text()}")
