"""The credential of a source: a kubeconfig with a token of limited life, how long it is good, and what makes it stale.

The token is bound to an empty Secret beside the service account, the anchor: deleting that revokes every token ever
issued. The kubeconfig says, in an extension, which Secret of its cluster holds the next one; whoever uses it fetches
its successor there in time. Issued anew at half of its life, fetched at two thirds: either side may be away for a third
of it.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from federation import names
from federation.model.reading import check, fitting, json_text
from federation.model.shape import Fields, Items, Text, Whole, is_object_name
from federation.model.source import Reference, Source
from federation.model.times import format_time, parse_time

Manifest = dict[str, Any]

_WORD = Text(4096)  # names, addresses
KUBECONFIG = Fields(
    {
        "clusters": Items(Fields({"name": _WORD, "cluster": Fields({"server": _WORD})})),
        "users": Items(Fields({"name": _WORD, "user": Fields({"token": Text()})})),
        "contexts": Items(Fields({"name": _WORD, "context": Fields({"cluster": _WORD, "user": _WORD})})),
        "current-context": _WORD,
    }
)
_RENEWAL = Fields(
    {"extension": Fields({"namespace": _WORD, "secret": _WORD, "key": _WORD}, ("namespace", "secret"))},
    ("name", "extension"),
)
# Of what a JWT consists: it becomes part of a header, where a line end would begin another.
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_TOKEN_MAX = 64 * 1024  # a token of kube-apiserver has 1-2 KB
_SECONDS_MAX = 32_503_680_000  # the year 3000
_CLAIMS = Fields({"iat": Whole(0, _SECONDS_MAX), "exp": Whole(0, _SECONDS_MAX)}, ("iat", "exp"))
KEY = "config"  # the key that a Target's kubeconfigSecret has by default
_ISSUE_AFTER = 1 / 2
_FETCH_AFTER = 2 / 3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How other clusters reach this one's API server, and by which authority (PEM) they know it."""

    url: str
    authority_pem: str

    @property
    def authority_data(self) -> str:
        """The authority as kubeconfigs have it."""
        return base64.b64encode(self.authority_pem.encode()).decode()


@dataclass(frozen=True, slots=True)
class Term:
    """From when to when a credential is good."""

    since: datetime
    until: datetime

    @property
    def issue_at(self) -> datetime:
        """When its successor is to be issued."""
        return self.since + (self.until - self.since) * _ISSUE_AFTER

    @property
    def fetch_at(self) -> datetime:
        """When its user is to fetch the successor."""
        return self.since + (self.until - self.since) * _FETCH_AFTER


@dataclass(frozen=True, slots=True)
class Issued:
    """A credential that is there: in which Secret, how long it is good, and where it leads."""

    secret: Reference
    term: Term
    endpoint: Endpoint


def purpose(anchor: Manifest, account_uid: str, endpoint: Endpoint, lifetime_seconds: int) -> str:
    """Return a digest of all that a credential depends on: where any of it changes, it is issued anew."""
    parts = [anchor["metadata"]["uid"], account_uid, endpoint.url, endpoint.authority_pem, str(lifetime_seconds)]
    return _digest("\n".join(parts))


def term_of(secret: Manifest, wanted_purpose: str) -> Term | None:
    """Return the term of the credential in a Secret; None where it holds none, or another than we wrote."""
    annotations = secret["metadata"].get("annotations") or {}
    since, until = (parse_time(annotations.get(key)) for key in (names.ISSUED_AT, names.EXPIRES_AT))
    content = (secret.get("data") or {}).get(KEY, "")
    is_as_written = annotations.get(names.ISSUED_FOR) == f"{wanted_purpose}.{_digest(content)}"
    return Term(since, until) if since and until and is_as_written else None


def secret_patch(secret: Manifest, kubeconfig: Manifest, term: Term, wanted_purpose: str) -> Manifest:
    """Return the merge patch that puts a credential into its Secret."""
    content = base64.b64encode(json.dumps(kubeconfig, indent=2).encode()).decode()
    annotations = {
        names.ISSUED_AT: format_time(term.since)[:19] + "Z",
        names.EXPIRES_AT: format_time(term.until)[:19] + "Z",
        names.ISSUED_FOR: f"{wanted_purpose}.{_digest(content)}",
    }
    held = {"uid": secret["metadata"]["uid"], "resourceVersion": secret["metadata"]["resourceVersion"]}
    return {"metadata": held | {"annotations": annotations}, "data": {KEY: content}}


def kubeconfig_for(
    source: Source, endpoint: Endpoint, cluster: str, token: str, successors: Reference | None
) -> Manifest:
    """Return the kubeconfig that holds a token, with the Secret in which its `successors` will be, if it has any."""
    account = f"{source.account_namespace}:{source.account_name}"
    user: Manifest = {"token": token}
    if successors is not None:
        where = {"namespace": successors.namespace, "secret": successors.name, "key": KEY}
        user["extensions"] = [{"name": names.RENEWAL, "extension": where}]
    context = {"cluster": cluster, "user": account} | ({"namespace": source.namespace} if source.namespace else {})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster,
                "cluster": {"server": endpoint.url, "certificate-authority-data": endpoint.authority_data},
            }
        ],
        "users": [{"name": account, "user": user}],
        "contexts": [{"name": cluster, "context": context}],
        "current-context": cluster,
    }


# -- on the side of its user ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Renewable:
    """A token that its user can renew, from a Secret of the cluster that issued it."""

    token: str
    term: Term
    namespace: str
    secret: str
    key: str


def renewable(kubeconfig: Manifest, context: str = "") -> Renewable | None:
    """Return the token of a kubeconfig that says where its successor is; None for any other kubeconfig."""
    user = _user(kubeconfig, context)
    term = token_term(str(user.get("token") or ""))
    for extension in fitting(user.get("extensions") or [], Items(_RENEWAL)) or []:
        where = extension["extension"]
        is_possible = is_object_name(where["namespace"]) and is_object_name(where["secret"])
        if extension["name"] == names.RENEWAL and term and is_possible:
            return Renewable(user["token"], term, where["namespace"], where["secret"], where.get("key") or KEY)
    return None


def successor(held: Renewable, kubeconfig: Manifest) -> str | None:
    """Return the token of the kubeconfig found where the successor should be, if it is good for longer."""
    token = str(_user(kubeconfig, "").get("token") or "")
    term = token_term(token)
    return token if term is not None and term.until > held.term.until else None


def new_token(old: Manifest, new: Manifest, context: str) -> str | None:
    """Return the token of a kubeconfig that differs from another in nothing else; None where more has changed."""
    token = _user(new, context).get("token")
    return str(token) if token and with_token(old, context, str(token)) == new else None


def with_token(kubeconfig: Manifest, context: str, token: str) -> Manifest:
    """Return the kubeconfig with another token and nothing else changed: the other side does not redirect us."""
    name = _user_name(kubeconfig, context)
    users = [
        {**entry, "user": {**(entry.get("user") or {}), "token": token}} if entry.get("name") == name else entry
        for entry in kubeconfig.get("users") or []
    ]
    return {**kubeconfig, "users": users}


def token_term(token: str) -> Term | None:
    """Return when a JWT was issued and when it expires, as it says itself; None where it does not say so."""
    parts = token.split(".") if len(token) <= _TOKEN_MAX else []
    if len(parts) != 3 or not all(map(_BASE64URL.fullmatch, parts)):  # header, claims, signature
        return None
    try:
        claims = json_text(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), "a token")
        check(claims, _CLAIMS, "a token")
    except ValueError:  # Unreadable is one, and so is what base64 raises
        return None
    since, until = (datetime.fromtimestamp(claims[key], tz=UTC) for key in ("iat", "exp"))
    return Term(since, until) if since < until else None


def _user_name(kubeconfig: Manifest, context: str) -> str:
    wanted = context or kubeconfig.get("current-context")
    entries = kubeconfig.get("contexts") or []
    found: Manifest = next((entry for entry in entries if entry.get("name") == wanted), {})
    return str((found.get("context") or {}).get("user") or "")


def _user(kubeconfig: Manifest, context: str) -> Manifest:
    name = _user_name(kubeconfig, context)
    entries = kubeconfig.get("users") or []
    return next((entry.get("user") or {} for entry in entries if entry.get("name") == name), {})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
