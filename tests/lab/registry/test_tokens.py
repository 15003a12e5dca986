"""Tokens: what is believed, and what is refused."""

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lab.registry.tokens import Right, TokenRefused, Verifier, challenge, public_key
from tests.lab.registry.running import AUDIENCE, ISSUER, sign
from tests.lab.registry.running import claims as claims_at

KEY = ec.generate_private_key(ec.SECP256R1())
VERIFIER = Verifier(KEY.public_key(), ISSUER, AUDIENCE, leeway_seconds=5)
NOW = 1_800_000_000.0


def claims(*access: tuple[str, str], **changed: Any) -> dict[str, Any]:
    """Claims of a token issued a second ago."""
    return claims_at(*access, **({"nbf": NOW - 1, "exp": NOW + 300} | changed))


def test_a_good_token_grants_each_action_it_lists() -> None:
    token = sign(KEY, claims(("group/app", "pull,push"), ("group/other", "pull")))

    assert VERIFIER.rights(token, NOW) == {
        Right("repository", "group/app", "pull"),
        Right("repository", "group/app", "push"),
        Right("repository", "group/other", "pull"),
    }


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (sign(KEY, claims(iss="someone")), "issuer"),
        (sign(KEY, claims(aud="another-service")), "audience"),
        (sign(KEY, claims(exp=NOW - 6)), "expired"),
        (sign(KEY, claims(nbf=NOW + 6)), "expired or not yet"),
        (sign(KEY, claims(exp="never")), "exp is not a number"),
        (sign(KEY, claims(), algorithm="none"), "not ES256"),
        (sign(KEY, claims(), algorithm="HS256"), "not ES256"),
        (sign(ec.generate_private_key(ec.SECP256R1()), claims()), "signature is wrong"),
        (sign(KEY, claims())[:-8], "not ES256"),
        ("", "not a JSON web token"),
        ("a.b.c", "not a JSON web token"),
        ("e30.e30.", "not ES256"),
    ],
)
def test_a_bad_token_is_refused_with_its_reason(token: str, reason: str) -> None:
    with pytest.raises(TokenRefused, match=reason):
        VERIFIER.rights(token, NOW)


def test_times_have_a_leeway_and_audience_may_be_a_list() -> None:
    assert VERIFIER.rights(sign(KEY, claims(exp=NOW - 4)), NOW) == frozenset()
    assert VERIFIER.rights(sign(KEY, claims(aud=["other", AUDIENCE])), NOW) == frozenset()


def test_a_star_is_every_action() -> None:
    granted = VERIFIER.rights(sign(KEY, claims(("group/app", "*"))), NOW)

    assert granted >= {Right("repository", "group/app", "pull"), Right("repository", "group/app", "push")}


def test_changed_claims_break_the_signature() -> None:
    head, _, signature = sign(KEY, claims()).split(".")
    _, body, _ = sign(KEY, claims(("group/app", "push"))).split(".")

    with pytest.raises(TokenRefused, match="signature is wrong"):
        VERIFIER.rights(f"{head}.{body}.{signature}", NOW)


def test_only_a_p256_public_key_is_taken() -> None:
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    pem = other.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(ValueError, match="P-256"):
        public_key(pem)


def test_challenge_joins_actions_by_repository() -> None:
    rights = [Right("repository", "a/b", "pull"), Right("repository", "a/b", "push"), Right("repository", "c", "pull")]

    assert challenge("https://g/jwt/auth", "container_registry", rights) == (
        'Bearer realm="https://g/jwt/auth",service="container_registry",'
        'scope="repository:a/b:pull,push repository:c:pull"'
    )
    assert "scope" not in challenge("https://g", "s", [])
