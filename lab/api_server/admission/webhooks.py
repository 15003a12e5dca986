"""Mutating and validating webhooks: which are asked, what they are sent, and what their answers mean.

The HTTPS call itself is the shell's (`WebhookCaller`). Webhooks of Services cannot be reached in the lab, which routes
no Service addresses; they fail as an unreachable one does. Match conditions in CEL are not evaluated: a webhook that
has some fails by its failure policy instead of being skipped or called wrongly.
"""

import base64
from dataclasses import dataclass
from random import Random
from typing import Protocol

import orjson

from lab.api_server.admission.plugins import Attributes, Cluster
from lab.api_server.core.json_patch import PatchError, json_patch
from lab.api_server.core.manifest import Manifest, at, encode
from lab.api_server.core.names import uid
from lab.api_server.core.selectors import labels_match, parse_label_selector
from lab.api_server.core.status import ApiStatus, internal_error

GROUP = "admissionregistration.k8s.io"
MUTATING, VALIDATING = f"mutatingwebhookconfigurations.{GROUP}", f"validatingwebhookconfigurations.{GROUP}"


class WebhookFailed(Exception):
    """A webhook gave no usable answer."""


class WebhookCaller(Protocol):
    """The shell's part: POST a review, return the body of a 200."""

    async def __call__(self, url: str, ca_bundle: bytes, body: bytes, timeout_seconds: float) -> bytes:
        """Send `body`; raise WebhookFailed where no 200 comes back."""


async def no_caller(url: str, ca_bundle: bytes, body: bytes, timeout_seconds: float) -> bytes:
    """Stand in where nobody can make calls."""
    raise WebhookFailed(f'Post "{url}": this server cannot call webhooks')


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook of one configuration."""

    configuration: str
    spec: Manifest

    @property
    def name(self) -> str:
        """Return its full name."""
        return str(self.spec["name"])


class Webhooks:
    """Calls the webhooks that a write matches."""

    def __init__(self, cluster: Cluster, call: WebhookCaller, random: Random) -> None:
        self._cluster, self._call, self._random = cluster, call, random

    def has_mutating(self) -> bool:
        """Return whether any mutating webhook is configured."""
        return bool(self._cluster.all(MUTATING))

    async def mutate(self, attributes: Attributes) -> None:
        """Let every matching webhook patch the object; those that ask for it see later changes once more."""
        again: list[Webhook] = []
        asked: list[Webhook] = []
        for webhook in self._matching(MUTATING, attributes):
            if await self._mutate_once(webhook, attributes):
                again = list(asked)
            asked.append(webhook)
        for webhook in again:
            if webhook.spec.get("reinvocationPolicy") == "IfNeeded":
                await self._mutate_once(webhook, attributes)

    async def _mutate_once(self, webhook: Webhook, attributes: Attributes) -> bool:
        """Ask one webhook; return whether it changed the object."""
        response = await self._ask(webhook, attributes)
        if response is None or not response.get("patch"):
            return False
        try:
            operations = orjson.loads(base64.b64decode(response["patch"]))
            changed = json_patch(attributes.new, operations)
        except (PatchError, ValueError) as error:
            raise internal_error(str(error)) from error
        is_changed = changed != attributes.new
        attributes.new = changed
        return is_changed

    async def validate(self, attributes: Attributes) -> None:
        """Ask every matching validating webhook."""
        for webhook in self._matching(VALIDATING, attributes):
            await self._ask(webhook, attributes)

    def _matching(self, resource: str, attributes: Attributes) -> list[Webhook]:
        if attributes.kind.group == GROUP:
            return []
        configurations = self._cluster.all(resource)
        webhooks = [
            Webhook(version.key[1], spec)
            for version in configurations
            for spec in version.manifest.get("webhooks") or []
        ]
        return [webhook for webhook in webhooks if self._matches(webhook.spec, attributes)]

    def _matches(self, spec: Manifest, attributes: Attributes) -> bool:
        return (
            any(_rule_matches(rule, attributes) for rule in spec.get("rules") or [])
            and self._namespace_matches(spec.get("namespaceSelector"), attributes)
            and _object_matches(spec.get("objectSelector"), attributes)
        )

    def _namespace_matches(self, selector: Manifest | None, attributes: Attributes) -> bool:
        requirements = parse_label_selector(selector)
        if not requirements:
            return True
        if attributes.kind.shelf == "namespaces":
            return labels_match(requirements, attributes.new["metadata"].get("labels"))
        if not attributes.kind.namespaced:
            return True
        namespace = self._cluster.find("namespaces", "", attributes.namespace) or {}
        return labels_match(requirements, at(namespace, "metadata", "labels"))

    async def _ask(self, webhook: Webhook, attributes: Attributes) -> Manifest | None:
        """Return the response of a webhook that allows; None where its failure is ignored."""
        review_uid = uid(self._random)
        try:
            response = await self._post(webhook, review(attributes, review_uid), review_uid)
        except WebhookFailed as error:
            if webhook.spec.get("failurePolicy") == "Ignore":
                return None
            raise internal_error(f'failed calling webhook "{webhook.name}": {error}') from error
        if not response.get("allowed"):
            raise _denied(webhook.name, response.get("status") or {})
        return response

    async def _post(self, webhook: Webhook, body: Manifest, review_uid: str) -> Manifest:
        spec = webhook.spec
        if spec.get("matchConditions"):
            raise WebhookFailed("match conditions are not supported by the lab's API server")
        url, timeout_seconds = at(spec, "clientConfig", "url"), int(spec.get("timeoutSeconds", 10))
        if not url:
            service = at(spec, "clientConfig", "service") or {}
            raise WebhookFailed(f"the lab routes no Services: {service.get('namespace')}/{service.get('name')}")
        joiner = "&" if "?" in url else "?"
        ca_bundle = base64.b64decode(at(spec, "clientConfig", "caBundle") or "")
        target = f"{url}{joiner}timeout={timeout_seconds}s"
        try:
            answer = orjson.loads(await self._call(target, ca_bundle, encode(body), timeout_seconds))
        except orjson.JSONDecodeError as error:
            raise WebhookFailed(f"couldn't get version/kind; json parse error: {error}") from error
        response = at(answer, "response")
        if not isinstance(response, dict):
            raise WebhookFailed("failed to call webhook: webhook response was absent")
        if response.get("uid") != review_uid:
            raise WebhookFailed(f"expected response.uid={review_uid!r}, got {response.get('uid')!r}")
        return response


def _rule_matches(rule: Manifest, attributes: Attributes) -> bool:
    kind = attributes.kind
    scope = rule.get("scope", "*")
    return (
        _listed(rule.get("operations"), attributes.operation)
        and _listed(rule.get("apiGroups"), kind.group)
        and _listed(rule.get("apiVersions"), kind.version)
        and any(_resource_matches(pattern, attributes) for pattern in rule.get("resources") or [])
        and scope in {"*", "Namespaced" if kind.namespaced else "Cluster"}
    )


def _listed(values: list[str] | None, value: str) -> bool:
    return "*" in (values or []) or value in (values or [])


def _resource_matches(pattern: str, attributes: Attributes) -> bool:
    resource, _, subresource = pattern.partition("/")
    if pattern == "*/*":
        return True
    return resource in {"*", attributes.kind.plural} and subresource in {attributes.subresource, "*"} - (
        {"*"} if not subresource else set()
    )


def _object_matches(selector: Manifest | None, attributes: Attributes) -> bool:
    requirements = parse_label_selector(selector)
    if not requirements:
        return True
    objects = [one for one in (attributes.new, attributes.old) if one]
    return any(labels_match(requirements, at(one, "metadata", "labels")) for one in objects)


def review(attributes: Attributes, review_uid: str) -> Manifest:
    """Return the AdmissionReview that is sent."""
    kind, user = attributes.kind, attributes.user
    group_kind = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    resource = {"group": kind.group, "version": kind.version, "resource": kind.plural}
    request: Manifest = {
        "uid": review_uid,
        "kind": group_kind,
        "resource": resource,
        "requestKind": group_kind,
        "requestResource": resource,
        "name": attributes.name,
        "namespace": attributes.namespace,
        "operation": attributes.operation,
        "userInfo": {"username": user.name, "uid": user.uid, "groups": list(user.groups)},
        "object": None if attributes.operation == "DELETE" else attributes.new,
        "oldObject": attributes.old,
        "dryRun": attributes.is_dry_run,
        "options": attributes.options or _options(attributes.operation),
    }
    if attributes.subresource:
        request |= {"subResource": attributes.subresource, "requestSubResource": attributes.subresource}
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}


def _options(operation: str) -> Manifest:
    return {"kind": f"{operation.capitalize()}Options", "apiVersion": "meta.k8s.io/v1"}


def _denied(name: str, status: Manifest) -> ApiStatus:
    why = status.get("message") or status.get("reason")
    message = f'admission webhook "{name}" denied the request' + (f": {why}" if why else " without explanation")
    code = int(status.get("code") or 0)
    return ApiStatus(code if code >= 400 else 400, str(status.get("reason") or ""), message, status.get("details"))
