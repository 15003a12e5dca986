"""`isthmus source`: for the owner of a target: whom it lets in, and the kubeconfig to hand to one of them.

Talks to the API server as the person who calls it, by their kubeconfig, and needs no more than kubectl would.
"""

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from federation.controllers.issuer import SECONDS_MIN, request_token
from federation.decisions.credential import Endpoint, kubeconfig_for
from federation.kinds import CLUSTER_SOURCES, SOURCES
from federation.kube.api import Api, Manifest, connect
from federation.kube.credentials import default_kubeconfig, namespace_of
from federation.kube.errors import ApiError, BadKubeconfig, Forbidden, NotFound
from federation.kube.resources import CONFIG_MAPS, SECRETS
from federation.kube.transport import SocketTransport
from federation.model.source import Reference, Source, parse_source
from federation.model.times import parse_time

T = TypeVar("T")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PIPED_COLUMNS = 200  # nothing is cut off that a script or a log shall show

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Whom this cluster lets in as a source of pods.")

File = Annotated[Path | None, typer.Option("--kubeconfig", help="Yours [default: $KUBECONFIG, or ~/.kube/config]")]
Context = Annotated[str, typer.Option(help="Context of that kubeconfig [default: its current-context]")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the Source [default: the context's]")]


class Wrong(Exception):
    """What the person who called can put right."""


@app.command("list")
def list_sources(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array, for programs")] = False,
    kubeconfig: File = None,
    context: Context = "",
) -> None:
    """Show all Sources and ClusterSources and how they stand."""
    rows = _or_exit(_list(kubeconfig, context))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    console = Console(highlight=False)
    table = Table("KIND", "NAMESPACE", "NAME", "READY", "USER", "SERVICE ACCOUNT", "EXPIRES", "MESSAGE", box=None)
    for row in rows:
        table.add_row(*(_shown(row[key]) for key in row if key not in ("secret", "reason")))
    Console(highlight=False, width=None if console.is_terminal else _PIPED_COLUMNS).print(table)


@app.command("kubeconfig")
def print_kubeconfig(
    name: Annotated[str, typer.Argument(help="Name of the Source")],
    namespace: Namespace = "",
    is_cluster: Annotated[bool, typer.Option("--cluster", help="It is a ClusterSource")] = False,
    duration: Annotated[
        str,
        typer.Option(help="Ask for a token of your own making and this life (24h, 30m, 7d), which nobody renews"),
    ] = "",
    server: Annotated[str, typer.Option(help="With --duration: the address other clusters reach this one by")] = "",
    kubeconfig: File = None,
    context: Context = "",
) -> None:
    """Print the kubeconfig to hand to a source: what the agent issued, or with --duration one of your own.

    Who may not read it in the agent's namespace, but may create tokens of the service account (edit and admin of its
    namespace do), gets a token of their own making that is renewed all the same. Whoever has it can act as the source:
    pass it on as you would a password.
    """
    found = _or_exit(_kubeconfig(name, namespace, duration, server, kubeconfig, context, is_cluster=is_cluster))
    typer.echo(json.dumps(found, indent=2))


async def _list(kubeconfig: Path | None, context: str) -> list[dict[str, Any]]:
    async with await connect(kubeconfig or default_kubeconfig(), context) as api:
        listings = await asyncio.gather(api.list(CLUSTER_SOURCES), api.list(SOURCES))
    return [_row(parse_source(manifest)) for listing in listings for manifest in listing.items]


def _row(source: Source) -> dict[str, Any]:
    ready = _condition(source, "Ready")
    credential = source.status.get("credential") or {}
    where = (credential.get("secretNamespace"), credential.get("secretName"))
    return {
        "kind": source.kind,
        "namespace": source.namespace,
        "name": source.name,
        "ready": ready.get("status") == "True",
        "user": source.user_name,
        "serviceAccount": f"{source.account_namespace}/{source.account_name}" if source.account_name else "",
        "secret": "/".join(part for part in where if part),
        "expires": credential.get("expiresAt", ""),
        "reason": ready.get("reason", ""),
        "message": ready.get("message", "no agent has looked at it yet"),
    }


def _shown(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value or "-")


def _condition(source: Source, kind: str) -> Manifest:
    return next((dict(c) for c in source.status.get("conditions") or [] if c["type"] == kind), {})


async def _kubeconfig(  # as the command line has them
    name: str, namespace: str, duration: str, server: str, kubeconfig: Path | None, context: str, *, is_cluster: bool
) -> Manifest:
    file = kubeconfig or default_kubeconfig()
    seconds = _seconds(duration) if duration else 0
    if server and not seconds:
        raise Wrong("--server: only with --duration; the agent's own is ISTHMUS_AGENT_API_SERVER_URL")
    where = "" if is_cluster else namespace or namespace_of(file, context)
    async with await connect(file, context) as api:
        source = await _source(api, name, where)
        if source.account is None:
            raise Wrong(
                f"{_named(source)} has no service account, only user {source.user_name!r}: make its credential "
                "as this cluster's users get theirs"
            )
        if not seconds:
            return await _issued(api, source)
        endpoint = await _endpoint(api, source, server)
        return kubeconfig_for(source, endpoint, "target", await _token(api, source, seconds), None)


async def _token(api: Api, source: Source, seconds: int) -> str:
    """Return a token that ends with the Source; where its credential is not the agent's, with the service account."""
    try:
        answer = await request_token(api, source, seconds)
    except NotFound:
        answer = await request_token(api, source, seconds, is_anchored=False)
    return str(answer["token"])


async def _source(api: Api, name: str, namespace: str) -> Source:
    try:
        return parse_source(await api.get(SOURCES if namespace else CLUSTER_SOURCES, name, namespace))
    except NotFound as error:
        if not namespace:
            raise Wrong(
                f"no ClusterSource {name} ({error.message}); without --cluster a Source is looked for"
            ) from None
        raise Wrong(
            f"no Source {name} in namespace {namespace} ({error.message}); see `isthmus source list`; "
            "a ClusterSource needs --cluster"
        ) from None


def _credential(source: Source) -> Manifest:
    """Return what a Source's status says of its credential."""
    credential = source.status.get("credential")
    if not credential:
        found = _condition(source, "CredentialIssued")
        why = found.get("message", "no agent has looked at it yet: does `isthmus agent` run in this cluster?")
        raise Wrong(f"{_named(source)}: no credential is issued: {why}")
    return dict(credential)


async def _issued(api: Api, source: Source) -> Manifest:
    """Return what the agent issued, or where that may not be read, the same with a token of the caller's making."""
    credential = _credential(source)
    try:
        secret = await api.get(SECRETS, credential["secretName"], credential["secretNamespace"])
    except Forbidden:
        successors = Reference("Secret", credential["secretNamespace"], credential["secretName"])
        answer = await request_token(api, source, _life_seconds(credential))
        return kubeconfig_for(source, _told(credential), "target", str(answer["token"]), successors)
    try:
        found = json.loads(base64.b64decode(secret["data"][credential["key"]]))
    except (KeyError, ValueError) as error:
        raise Wrong(f"Secret {credential['secretName']} is just being written, or damaged: try again") from error
    return dict(found)


def _life_seconds(credential: Manifest) -> int:
    until, since = (parse_time(credential[key]) for key in ("expiresAt", "issuedAt"))
    assert until is not None, "the agent writes both"
    assert since is not None, "the agent writes both"
    return max(int((until - since).total_seconds()), SECONDS_MIN)


def _told(credential: Manifest) -> Endpoint:
    """Return how other clusters reach this one, as the agent says."""
    return Endpoint(credential["server"], base64.b64decode(credential["certificateAuthorityData"]).decode())


async def _endpoint(api: Api, source: Source, server: str) -> Endpoint:
    """Return the address given, else the one that the agent issues for, else our own."""
    with contextlib.suppress(Wrong):
        if not server:
            return _told(_credential(source))
    root = await api.get(CONFIG_MAPS, "kube-root-ca.crt", source.account_namespace)
    assert isinstance(api.transport, SocketTransport)
    return Endpoint(server or api.transport.host, str(root["data"]["ca.crt"]))


def _seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)([smhd])", text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if seconds < SECONDS_MIN:
        raise Wrong(f"--duration {text}: a number and s, m, h or d, at least 10m (e.g. 24h)")
    return seconds


def _named(source: Source) -> str:
    return f"{source.kind} {source.namespace}/{source.name}" if source.namespace else f"{source.kind} {source.name}"


def _or_exit(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (Wrong, ApiError, BadKubeconfig) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.secho(f"isthmus source: {message}", err=True, fg=typer.colors.RED)
    raise typer.Exit(1)
