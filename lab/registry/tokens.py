"""Bearer tokens: which rights a request needs, what a token grants, and the challenge that asks for one.

The flow is the Docker token authentication that GitLab speaks: the registry answers 401 and names realm, service and
scope; the client fetches a JWT there and comes back. A token is believed for its signature (ES256, the issuer's public
key), issuer, audience and times; no other algorithm is accepted, whatever its header says.
No clock here: `now` is seconds since the epoch, given by the caller.
"""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_COORDINATE_BYTES = 32  # P-256: r and s are 32 bytes each (RFC 7518 3.4)


@dataclass(frozen=True, slots=True)
class Right:
    """One action on one resource: `repository:group/app:push`, or `registry:catalog:*`."""

    kind: str
    name: str
    action: str


class TokenRefused(Exception):
    """A token that must not be believed, with the reason."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a good token looks like."""

    key: EllipticCurvePublicKey
    issuer: str
    audience: str
    leeway_seconds: float

    def rights(self, token: str, now: float) -> frozenset[Right]:
        """The rights a token grants; raises TokenRefused."""
        claims = _verified_claims(token, self.key)
        audience = claims.get("aud")
        if claims.get("iss") != self.issuer:
            raise TokenRefused(f"issuer is not {self.issuer}")
        if self.audience not in (audience if isinstance(audience, list) else [audience]):
            raise TokenRefused(f"audience is not {self.audience}")
        if (
            not _number(claims, "nbf", now) - self.leeway_seconds
            <= now
            <= _number(claims, "exp", 0) + (self.leeway_seconds)
        ):
            raise TokenRefused("token is expired or not yet valid")
        return frozenset(_granted(claims.get("access")))


def public_key(pem: bytes) -> EllipticCurvePublicKey:
    """Read the issuer's key; raises ValueError if it is not a P-256 public key in PEM."""
    key = load_pem_public_key(pem)
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError(  # noqa: TRY004 - the file holds another key, the caller did nothing wrong
            "token.public_key: want an elliptic-curve P-256 public key (ES256) in PEM"
        )
    return key


def challenge(realm: str, service: str, wanted: Iterable[Right]) -> str:
    """The Www-Authenticate value that asks for a token with these rights."""
    actions: dict[tuple[str, str], list[str]] = {}
    for right in wanted:
        actions.setdefault((right.kind, right.name), []).append(right.action)
    scope = " ".join(f"{kind}:{name}:{','.join(granted)}" for (kind, name), granted in actions.items())
    parts = {"realm": realm, "service": service} | ({"scope": scope} if scope else {})
    return "Bearer " + ",".join(f'{key}="{value}"' for key, value in parts.items())


def _verified_claims(token: str, key: EllipticCurvePublicKey) -> dict[str, Any]:
    try:
        signed, _, signature_text = token.rpartition(".")
        header_text, _, claims_text = signed.partition(".")
        header, claims = json.loads(_decode(header_text)), json.loads(_decode(claims_text))
        signature = _decode(signature_text)
    except (ValueError, binascii.Error) as error:
        raise TokenRefused("not a JSON web token") from error
    if not isinstance(header, dict) or header.get("alg") != "ES256" or len(signature) != 2 * _COORDINATE_BYTES:
        raise TokenRefused("signature is not ES256")
    r, s = (int.from_bytes(half) for half in (signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:]))
    try:
        key.verify(encode_dss_signature(r, s), signed.encode(), ECDSA(SHA256()))
    except InvalidSignature as error:
        raise TokenRefused("signature is wrong") from error
    if not isinstance(claims, dict):
        raise TokenRefused("claims are not an object")
    return claims


def _granted(access: Any) -> Iterable[Right]:
    for entry in access if isinstance(access, list) else []:
        for action in entry.get("actions") or []:
            # `skopeo delete` asks for, and gets, every action at once.
            for one in ("pull", "push", "*") if action == "*" else (action,):
                yield Right(str(entry.get("type")), str(entry.get("name")), str(one))


def _number(claims: dict[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRefused(f"{name} is not a number")
    return value


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
