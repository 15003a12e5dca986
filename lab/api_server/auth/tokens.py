"""Service-account tokens: JWTs as kube-apiserver issues them, signed with RS256 or ES256.

Signing and checking are pure but slow (about 0.1 ms), and clients send the same token with every request, so tokens
that verified are remembered until they expire.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from lab.api_server.core.manifest import Clock, Manifest, encode

ISSUER = "https://kubernetes.default.svc"
REMEMBERED_MAX = 10_000  # tokens; more than any lab has, and only there so that it is bounded
COORDINATE_BYTES = 32  # of P-256
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class TokenRefused(Exception):
    """The token is malformed, not ours, expired, or for somebody else."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a service-account token says."""

    namespace: str
    name: str
    uid: str
    expires: int
    audiences: tuple[str, ...]
    id: str = ""
    pod: Manifest | None = None
    secret: Manifest | None = None


def read_private_key(pem: bytes) -> PrivateKey:
    """Read the signing key."""
    key = load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise TypeError("the service account signing key must be an RSA or an EC key")
    return key


def read_public_keys(pem: bytes) -> list[PublicKey]:
    """Read a key that checks signatures: a public key, or a private key whose public half is meant."""
    if b"PRIVATE KEY" in pem:
        return [read_private_key(pem).public_key()]
    key = load_pem_public_key(pem)
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise TypeError("the service account key must be an RSA or an EC key")
    return [key]


class Tokens:
    """Issues and checks tokens. Without a key one is made, good for this process."""

    def __init__(
        self,
        clock: Clock,
        *,
        issuer: str = ISSUER,
        signing_key: PrivateKey | None = None,
        keys: list[PublicKey] | None = None,
    ) -> None:
        self._clock, self._issuer = clock, issuer
        self._signing_key = signing_key or ec.generate_private_key(ec.SECP256R1())
        self._keys = keys or [self._signing_key.public_key()]
        self._remembered: dict[str, Claims] = {}

    @property
    def issuer(self) -> str:
        """Return the issuer, which is also the audience of the API server itself."""
        return self._issuer

    def issue(self, payload: Manifest, audiences: list[str], seconds: int, token_id: str) -> tuple[str, int]:
        """Sign a token with the claims in `payload`; return it and when it expires."""
        now = int(self._clock().timestamp())
        expires = now + seconds
        claims = {"aud": audiences or [self._issuer], "exp": expires, "iat": now, "iss": self._issuer, "jti": token_id}
        algorithm = "RS256" if isinstance(self._signing_key, rsa.RSAPrivateKey) else "ES256"
        parts = (encode({"alg": algorithm, "typ": "JWT"}), encode(claims | payload | {"nbf": now}))
        signed = b".".join(_encode(part) for part in parts)
        return (signed + b"." + _encode(self._sign(signed))).decode(), expires

    def _sign(self, data: bytes) -> bytes:
        if isinstance(self._signing_key, rsa.RSAPrivateKey):
            return self._signing_key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self._signing_key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")

    def verify(self, token: str, audiences: tuple[str, ...] = ()) -> Claims:
        """Return the claims of a good token for one of `audiences` (default: the API server)."""
        claims = self._remembered.get(token)
        if claims is None:
            claims = self._read(token)
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[token] = claims
        if claims.expires <= self._clock().timestamp():
            raise TokenRefused("token has expired")
        if not set(audiences or (self._issuer,)) & set(claims.audiences):
            raise TokenRefused("token audiences do not match")
        return claims

    def _read(self, token: str) -> Claims:
        try:
            head, body, signature = token.encode().split(b".")
            raw, payload = _decode(signature), orjson.loads(_decode(body))
        except (ValueError, binascii.Error) as error:
            raise TokenRefused("not a JWT") from error
        if not any(_is_signed(key, head + b"." + body, raw) for key in self._keys):
            raise TokenRefused("signature does not match")
        if payload.get("iss") != self._issuer:
            raise TokenRefused("issuer does not match")
        return _claims(payload)


def _claims(payload: Any) -> Claims:
    try:
        ours = payload["kubernetes.io"]
        audiences = payload["aud"] if isinstance(payload["aud"], list) else [payload["aud"]]
        return Claims(
            namespace=ours["namespace"],
            name=ours["serviceaccount"]["name"],
            uid=ours["serviceaccount"]["uid"],
            expires=int(payload["exp"]),
            audiences=tuple(audiences),
            id=payload.get("jti", ""),
            pod=ours.get("pod"),
            secret=ours.get("secret"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise TokenRefused("not a service account token") from error


def _is_signed(key: PublicKey, data: bytes, signature: bytes) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            r, s = (
                int.from_bytes(half, "big") for half in (signature[:COORDINATE_BYTES], signature[COORDINATE_BYTES:])
            )
            key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(data: bytes) -> bytes:
    return base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4))
