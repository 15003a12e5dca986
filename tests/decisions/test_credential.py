"""How long a credential is good, what makes it stale, and what its user takes over."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from federation.decisions.credential import (
    Endpoint,
    Issued,
    Renewable,
    Term,
    kubeconfig_for,
    new_token,
    purpose,
    renewable,
    secret_patch,
    successor,
    term_of,
    token_term,
    with_token,
)
from federation.decisions.source_status import (
    BOUND,
    BY_USER,
    ISSUED,
    NO_ADDRESS,
    refused,
    status_patch,
    turned_bad,
)
from federation.model.source import Reference, Source, parse_source

Manifest = dict[str, Any]

START = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ENDPOINT = Endpoint("https://arm.example:6443", "PEM")


WHERE = Reference("Secret", "isthmus", "isthmus-source-ci-cd")


def jwt(since: datetime = START, hours: int = 12) -> str:
    claims = {"iat": int(since.timestamp()), "exp": int((since + hours * HOUR).timestamp())}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


def source(status: Manifest | None = None, **spec: Any) -> Source:
    metadata = {"name": "cd", "namespace": "ci", "uid": "u", "generation": 2}
    spec = spec or {"serviceAccountName": "robot"}
    return parse_source({"metadata": metadata, "spec": spec, "status": status or {}})


def kubeconfig(token: str, *, is_renewed: bool = True) -> Manifest:
    return kubeconfig_for(source(), ENDPOINT, "arm-lab", token, WHERE if is_renewed else None)


def secret(purpose_of: str, term: Term) -> Manifest:
    found: Manifest = {"metadata": {"uid": "s", "resourceVersion": "1"}}
    patch = secret_patch(found, kubeconfig(jwt()), term, purpose_of)
    return {"metadata": patch["metadata"], "data": patch["data"]}


def test_each_side_has_a_third_of_its_life_to_be_away() -> None:
    term = Term(START, START + 12 * HOUR)
    assert (term.issue_at, term.fetch_at) == (START + 6 * HOUR, START + 8 * HOUR)


def test_a_term_is_that_of_the_token() -> None:
    assert token_term(jwt()) == Term(START, START + 12 * HOUR)


@pytest.mark.parametrize("token", ["", "a.b", "e30.e30.x", "opaque", jwt(hours=0), "a.bm90IGpzb24.c"])
def test_a_token_that_does_not_say_when_it_ends_is_not_renewed(token: str) -> None:
    assert token_term(token) is None
    assert renewable(kubeconfig(token)) is None


def test_a_credential_is_kept_while_all_it_depends_on_is_the_same() -> None:
    term = Term(START, START + 12 * HOUR)
    held: Manifest = {"metadata": {"uid": "s"}}
    same = purpose(held, "account", ENDPOINT, 3600)
    assert term_of(secret(same, term), same) == term
    for other in (
        purpose({"metadata": {"uid": "made anew"}}, "account", ENDPOINT, 3600),
        purpose(held, "account made anew", ENDPOINT, 3600),
        purpose(held, "account", Endpoint("https://moved:6443", "PEM"), 3600),
        purpose(held, "account", Endpoint(ENDPOINT.url, "another authority"), 3600),
        purpose(held, "account", ENDPOINT, 7200),
    ):
        assert term_of(secret(same, term), other) is None


def test_a_secret_that_is_empty_or_was_written_by_others_holds_no_credential() -> None:
    term, same = Term(START, START + 12 * HOUR), purpose({"metadata": {"uid": "s"}}, "account", ENDPOINT, 3600)
    changed = secret(same, term)
    changed["data"]["config"] = base64.b64encode(b"theirs").decode()
    assert term_of(changed, same) is None
    assert term_of({"metadata": {"uid": "s"}}, same) is None


def test_the_kubeconfig_says_where_its_successor_will_be() -> None:
    held = renewable(kubeconfig(jwt()))
    assert held == Renewable(jwt(), Term(START, START + 12 * HOUR), "isthmus", "isthmus-source-ci-cd", "config")
    assert renewable(kubeconfig(jwt(), is_renewed=False)) is None
    assert renewable({"users": [], "contexts": []}) is None
    assert renewable(kubeconfig(jwt()), "another context") is None


def test_only_a_token_that_is_good_for_longer_is_a_successor() -> None:
    held = renewable(kubeconfig(jwt()))
    assert held is not None
    later = jwt(START + 6 * HOUR)
    assert successor(held, kubeconfig(later)) == later
    for other in (jwt(), jwt(START - HOUR), "opaque"):
        assert successor(held, kubeconfig(other)) is None


def test_only_the_token_is_taken_over() -> None:
    first, later = kubeconfig(jwt()), kubeconfig(jwt(START + HOUR))
    assert with_token(first, "", later["users"][0]["user"]["token"]) == later
    assert new_token(first, later, "") == later["users"][0]["user"]["token"]
    moved = kubeconfig_for(source(), Endpoint("https://elsewhere", "PEM"), "arm-lab", jwt(START + HOUR), WHERE)
    assert new_token(first, moved, "") is None


def conditions(status: Manifest) -> dict[str, tuple[str, str]]:
    return {found["type"]: (found["status"], found["reason"]) for found in status["conditions"]}


def test_a_status_says_it_once() -> None:
    issued = Issued(WHERE, Term(START, START + 12 * HOUR), ENDPOINT)
    first = status_patch(source(), BOUND, ISSUED, issued, "then")
    assert conditions(first) == {"Ready": ("True", "Bound"), "CredentialIssued": ("True", "Issued")}
    assert first["credential"]["expiresAt"] == "2030-01-01T12:00:00Z"
    assert first["serviceAccount"] == {"namespace": "ci", "name": "robot"}
    where = {"secretNamespace": "isthmus", "secretName": "isthmus-source-ci-cd", "server": ENDPOINT.url}
    assert where.items() <= first["credential"].items()
    assert base64.b64decode(first["credential"]["certificateAuthorityData"]).decode() == ENDPOINT.authority_pem
    assert status_patch(source(first), BOUND, ISSUED, issued, "now") == {}


def test_a_source_whose_credential_cannot_be_issued_is_not_ready_and_says_why_once() -> None:
    first = status_patch(source(), BOUND, NO_ADDRESS, None, "then")
    assert conditions(first)["Ready"] == ("False", "NoAddress")
    assert [reason for reason, _ in turned_bad(source(), first)] == ["NoAddress"]
    assert turned_bad(source(first), status_patch(source(first), BOUND, NO_ADDRESS, None, "now")) == []
    second = status_patch(source(first), refused("no"), NO_ADDRESS, None, "now")
    assert [reason for reason, _ in turned_bad(source(first), second)] == ["Refused"]
    assert second["conditions"][0]["lastTransitionTime"] == "then"


def test_a_user_gets_no_credential_here_and_is_ready() -> None:
    found = status_patch(source(userName="ann"), BOUND, BY_USER, None, "now")
    assert conditions(found) == {"Ready": ("True", "Bound"), "CredentialIssued": ("False", "NoServiceAccount")}
    assert turned_bad(source(userName="ann"), found) == []


def claims(text: str) -> str:
    return f"e30.{base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    "token",
    [
        claims('{"iat": 1, "exp": 1e999}'),
        claims('{"iat": "²", "exp": "³"}'),
        claims('{"iat": 1, "exp": 99999999999999999}'),
        claims('{"iat": -99999999999999999, "exp": 1}'),
        claims('{"iat": 1, "exp": ' + "9" * 5000 + "}"),
        claims("[" * 2000),
        claims('["iat", "exp"]'),
        claims('{"iat": true, "exp": 5}'),
        "a." + "a" * 1_000_000 + ".c",
        "a.é.c",
        "a.b.c.d",
        jwt().replace("e30", "e30\r\nX-Forged: yes\r\n"),
        jwt() + "\n",
    ],
)
def test_a_token_of_a_strangers_making_ends_nothing(token: str) -> None:
    assert token_term(token) is None


@pytest.mark.parametrize(
    "where",
    [
        {"namespace": "ci", "secret": "../../kube-system/secrets/key"},
        {"namespace": "../x", "secret": "good"},
        {"namespace": ["ci"], "secret": "good"},
        {"namespace": "ci"},
        "ci/good",
        None,
    ],
)
def test_t2_a_successor_is_looked_for_only_where_an_object_can_be(where: object) -> None:
    found = kubeconfig(jwt())
    found["users"][0]["user"]["extensions"] = [7, {"name": 7}, {"name": "isthmus.dev/renewal", "extension": where}]
    assert renewable(found) is None
    found["users"][0]["user"]["extensions"].append(
        {"name": "isthmus.dev/renewal", "extension": {"namespace": "ci", "secret": "good"}}
    )
    assert renewable(found) is not None
