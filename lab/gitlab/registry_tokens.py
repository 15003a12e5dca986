"""Registry tokens: what `GET /jwt/auth` grants, and the signed JWT that says so.

The registry trusts the signature (ES256, GitLab's public key is in its configuration) and the claims; a token lives
five minutes, so that one job's token is soon worthless. A name belongs to the project whose path it is or lies below.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lab.gitlab.access import Credentials
from lab.gitlab.model import Project

ISSUER = "isthmus-lab-gitlab"
AUDIENCE = "container_registry"
LIFETIME_SECONDS = 300  # as GitLab's default; a long upload asks for a new one
Access = dict[str, object]


def granted(scopes: Iterable[str], credentials: Credentials, projects: Iterable[Project]) -> list[Access]:
    """The part of the requested `repository:<name>:<actions>` scopes that these credentials may have."""
    by_path = {project.registry_path: project for project in projects}
    grants: list[Access] = []
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        project = _project_of(by_path, name)
        if kind != "repository" or project is None:
            continue
        allowed = [action for action in actions.split(",") if _may(credentials, project, action)]
        if allowed:
            grants.append({"type": "repository", "name": name, "actions": allowed})
    return grants


def _project_of(by_path: dict[str, Project], name: str) -> Project | None:
    while name:
        if name in by_path:
            return by_path[name]
        name = name.rpartition("/")[0]
    return None


def _may(credentials: Credentials, project: Project, action: str) -> bool:
    if action == "pull":
        return credentials.may_pull_image(project)
    return action in ("push", "delete", "*") and credentials.may_push_image(project)


class Signer:
    """Signs registry tokens with an EC P-256 key."""

    def __init__(self, pem: bytes) -> None:
        key = load_pem_private_key(pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise TypeError("jwt_signing_key_file: must hold an EC P-256 private key (ES256)")
        self._key = key

    def token(self, access: list[Access], subject: str, now: datetime, token_id: str) -> str:
        """A compact JWT; valid from five seconds ago to LIFETIME_SECONDS from now."""
        issued = int(now.timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "jti": token_id,
            "iat": issued,
            "nbf": issued - 5,
            "exp": issued + LIFETIME_SECONDS,
            "access": access,
        }
        signed = f"{_encode({'alg': 'ES256', 'typ': 'JWT'})}.{_encode(claims)}"
        r, s = utils.decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _encode(part: object) -> str:
    return _base64url(json.dumps(part, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
