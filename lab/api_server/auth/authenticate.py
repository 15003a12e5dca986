"""Who is asking: client certificate, then bearer token, else nobody in particular."""

from lab.api_server.admission.plugins import Cluster
from lab.api_server.auth.tokens import Claims, TokenRefused, Tokens
from lab.api_server.core.request import Request, User
from lab.api_server.core.status import unauthorized

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
AUTHENTICATED = "system:authenticated"


def read_token_file(text: str) -> dict[str, User]:
    """Parse the lines `token,user,uid,"group,group"` of a static token file."""
    users = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        token, name, uid, *groups = (part.strip() for part in line.split(",", 3))
        listed = groups[0].strip('"').split(",") if groups else []
        users[token] = User(name, tuple(one.strip() for one in listed if one.strip()), uid)
    return users


class Authenticator:
    """Recognises callers."""

    def __init__(self, static_tokens: dict[str, User], tokens: Tokens, cluster: Cluster) -> None:
        self._static, self._tokens, self._cluster = static_tokens, tokens, cluster

    def authenticate(self, request: Request) -> User:
        """Return the caller; 401 where a token was shown that is not good."""
        if request.certificate is not None:
            return _known(request.certificate)
        scheme, _, token = request.header("authorization").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            user = self.by_token(token.strip())
            if user is None:
                raise unauthorized()
            return user
        if scheme:
            raise unauthorized()
        return ANONYMOUS

    def by_token(self, token: str, audiences: tuple[str, ...] = ()) -> User | None:
        """Return whose token this is, or None."""
        if token in self._static:
            return _known(self._static[token])
        try:
            claims = self._tokens.verify(token, audiences)
        except TokenRefused:
            return None
        return _known(_account(claims)) if self._is_current(claims) else None

    def _is_current(self, claims: Claims) -> bool:
        """Return whether the account, and what the token is bound to, are still the ones it was issued for."""
        account = self._cluster.find("serviceaccounts", claims.namespace, claims.name)
        if account is None or account["metadata"]["uid"] != claims.uid:
            return False
        bound = (("pods", claims.pod), ("secrets", claims.secret))
        for resource, reference in bound:
            if reference:
                found = self._cluster.find(resource, claims.namespace, reference["name"])
                if found is None or found["metadata"]["uid"] != reference.get("uid"):
                    return False
        return True


def _known(user: User) -> User:
    if AUTHENTICATED in user.groups:
        return user
    return User(user.name, (*user.groups, AUTHENTICATED), user.uid, user.extra)


def _account(claims: Claims) -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{claims.namespace}")
    extra = {"authentication.kubernetes.io/credential-id": (f"JTI={claims.id}",)} if claims.id else {}
    if claims.pod:
        extra["authentication.kubernetes.io/pod-name"] = (claims.pod["name"],)
        extra["authentication.kubernetes.io/pod-uid"] = (claims.pod.get("uid", ""),)
    return User(f"system:serviceaccount:{claims.namespace}:{claims.name}", groups, claims.uid, extra)
