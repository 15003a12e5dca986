"""The whole API server without a socket: `handle(request)` answers one request.

This is the one place where the parts are put together. A request passes authentication, authorization and admission in
upstream's order and ends in a reader, a writer or a subresource. Time, randomness and the calling of webhooks come in
as arguments.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from lab.api_server.admission.chain import Chain
from lab.api_server.admission.plugins import Cluster
from lab.api_server.admission.webhooks import WebhookCaller, Webhooks, no_caller
from lab.api_server.auth.authenticate import Authenticator
from lab.api_server.auth.escalation import Escalation
from lab.api_server.auth.rbac import Authorizer
from lab.api_server.auth.reviews import Reviews
from lab.api_server.auth.tokens import Tokens
from lab.api_server.core.bootstrap import bootstrap
from lab.api_server.core.counting import Counter
from lab.api_server.core.decoding import warnings
from lab.api_server.core.deleting import Deleter
from lab.api_server.core.discovery import Discovery
from lab.api_server.core.manifest import Clock, Manifest
from lab.api_server.core.plain import Plain
from lab.api_server.core.reading import Reader
from lab.api_server.core.request import Answer, Request, Response, User, answer
from lab.api_server.core.resources import Resources
from lab.api_server.core.routes import Call, Served, Target, parse_target
from lab.api_server.core.settings import Settings
from lab.api_server.core.status import ApiStatus
from lab.api_server.core.store import Store
from lab.api_server.core.watch import Watch
from lab.api_server.core.writing import Writer
from lab.api_server.kinds.catalogue import builtin_kinds, review_kinds
from lab.api_server.kinds.custom import kinds_of
from lab.api_server.subresources.index import Subresources

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


class ApiServer:
    """An API server in memory."""

    def __init__(
        self,
        clock: Clock,
        *,
        random: Random | None = None,
        settings: Settings | None = None,
        call_webhook: WebhookCaller = no_caller,
        static_tokens: dict[str, User] | None = None,
        tokens: Tokens | None = None,
        client_ca: str = "",
        authorizes: bool = True,
    ) -> None:
        random = random or Random()  # noqa: S311 - names, not secrets
        self.settings = settings or Settings()
        self.store = Store(self.settings.log_length)
        self.served = Served([*builtin_kinds(), *review_kinds()])
        cluster = Cluster(self.store)
        self._tokens = tokens or Tokens(clock)
        self._authenticator = Authenticator(static_tokens or {}, self._tokens, cluster)
        self._authorizer = Authorizer(cluster, is_open=not authorizes)
        escalation = Escalation(cluster, self._authorizer)
        admission = Chain(cluster, Webhooks(cluster, call_webhook, random), random, escalation.check)
        self.reader = Reader(self.store, clock, random, self.settings)
        pods = self.served.get("", "v1", "pods")
        assert pods is not None
        writer = Writer(self.store, clock, random, admission, pods)
        writer.listeners[DEFINITIONS] = self._definition_changed
        deleter = Deleter(self.reader, writer)
        reviews = Reviews(self._authenticator, self._authorizer)
        subresources = Subresources(self.reader, writer, deleter, self._tokens, clock)
        self._resources = Resources(self.reader, writer, deleter, subresources, reviews)
        self._counter = Counter()
        self._plain = Plain(Discovery(self.served), self._counter)
        bootstrap(self.store, clock, random, client_ca)

    async def handle(self, request: Request) -> Answer:
        """Answer one request; every failure is an answer too."""
        target = parse_target(request)
        try:
            result = await self._handle(request, target)
        except ApiStatus as status:
            headers = {"Retry-After": "1"} if status.code in {429, 504} else {}
            result = Response(status.code, answer(status.body()).body, headers=headers)
        self._counter.count(request, target, result)
        return result

    async def _handle(self, request: Request, target: Target | None) -> Answer:
        user = self._authorizer.impersonated(self._authenticator.authenticate(request), request, target)
        if target is None or not self.served.has_group_version(target.group, target.version):
            self._authorizer.check_path(user, request)
            return self._plain.answer(request)
        self._authorizer.check(user, target)
        kind, subresource = self.served.resolve(target)
        call = Call(request, user, kind, target.verb, target.namespace, target.name, subresource)
        if kind.shelf == "namespaces" and not target.subresource:
            call = Call(request, user, kind, target.verb, "", target.name, subresource)
        result = await self._resources.answer(call)
        if kind.deprecation and isinstance(result, Response):
            result = replace(result, headers={**warnings([kind.deprecation]), **result.headers})
        return result

    def _definition_changed(self, change: str, definition: Manifest) -> None:
        """Serve what the definitions now define."""
        group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        self.served.replace(group, plural, [] if change == "DELETED" else kinds_of(definition))
        if change == "DELETED":
            self.store.drop(f"{plural}.{group}")

    def compact(self) -> None:
        """Forget history, so that old revisions and continue tokens are told 410. For tests."""
        self.store.compact()
        self.reader.forget_pages()

    def close(self, watches: Sequence[Watch]) -> None:
        """End the given watches."""
        for watch in watches:
            watch.close()
