"""Questions about identity and rights, answered without storing anything."""

from lab.api_server.auth.authenticate import Authenticator
from lab.api_server.auth.rbac import Action, Authorizer
from lab.api_server.core.manifest import Manifest
from lab.api_server.core.request import Response, User, answer
from lab.api_server.core.routes import Call
from lab.api_server.core.status import bad_request, method_not_allowed


class Reviews:
    """Answers TokenReview, the three access reviews, and their self variants."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator, self._authorizer = authenticator, authorizer

    def answer(self, call: Call, manifest: Manifest) -> Response:
        """Answer one review: the object as sent, with its status filled in."""
        spec = manifest.get("spec") or {}
        match call.kind.kind:
            case "TokenReview":
                status = self._token(spec)
            case "SelfSubjectReview":
                status = {"userInfo": user_info(call.user)}
            case "SubjectAccessReview" | "LocalSubjectAccessReview":
                status = self._access(_subject(spec), spec)
            case "SelfSubjectAccessReview":
                status = self._access(call.user, spec)
            case "SelfSubjectRulesReview":
                status = self._rules(call.user, spec.get("namespace", ""))
            case _:
                raise method_not_allowed()
        head = {"kind": call.kind.kind, "apiVersion": call.kind.api_version, "metadata": manifest.get("metadata") or {}}
        body = {"spec": spec} if call.kind.kind != "SelfSubjectReview" else {}
        return answer(head | body | {"status": status}, 201)

    def _token(self, spec: Manifest) -> Manifest:
        audiences = tuple(spec.get("audiences") or ())
        user = self._authenticator.by_token(spec.get("token", ""), audiences)
        if user is None:
            return {"user": {}, "error": "[invalid bearer token, Unauthorized]"}
        status: Manifest = {"authenticated": True, "user": user_info(user)}
        if audiences:
            status["audiences"] = list(audiences)
        return status

    def _access(self, user: User, spec: Manifest) -> Manifest:
        allowed = self._authorizer.allows(user, _action(spec))
        return {"allowed": True, "reason": "RBAC"} if allowed else {"allowed": False}

    def _rules(self, user: User, namespace: str) -> Manifest:
        rules = list(self._authorizer.rules(user, namespace))
        resource = [
            {key: rule[key] for key in ("verbs", "apiGroups", "resources", "resourceNames") if key in rule}
            for rule in rules
            if rule.get("resources")
        ]
        paths = [
            {key: rule[key] for key in ("verbs", "nonResourceURLs")} for rule in rules if rule.get("nonResourceURLs")
        ]
        return {"resourceRules": resource, "nonResourceRules": paths, "incomplete": False}


def user_info(user: User) -> Manifest:
    """Return a user as authentication.k8s.io UserInfo."""
    info: Manifest = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _subject(spec: Manifest) -> User:
    if not spec.get("user") and not spec.get("groups"):
        raise bad_request("spec.user: at least one of user or group must be specified")
    return User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""))


def _action(spec: Manifest) -> Action:
    attributes, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if path:
        return Action(path.get("verb", ""), path=path.get("path", ""))
    if not attributes:
        raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
    resource, subresource = attributes.get("resource", ""), attributes.get("subresource")
    return Action(
        verb=attributes.get("verb", ""),
        group=attributes.get("group", ""),
        resource=f"{resource}/{subresource}" if subresource else resource,
        name=attributes.get("name", ""),
        namespace=attributes.get("namespace", ""),
    )
