"""alice writes kubeconfigs into her Secrets: what does not lead to a cluster of somebody's leads nowhere.

Each goes through what opens a Target's connection, with what a lab's administrator allows: this machine, by https.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from federation.controllers.connections import client_for
from federation.kube.dialling import Dialable
from federation.kube.errors import ApiError, BadKubeconfig
from federation.kube.resources import NAMESPACES
from federation.model.target import Target, parse_target
from tests.strangers.attempts import ids_of
from tests.strangers.bad_answers import ALIASES
from tests.strangers.hostile import HostileTarget, Manifest
from tests.strangers.siege import encoded
from tests.strangers.wire import Request, Wire, serving

ALLOWED = Dialable.of(["127.0.0.0/8"])
METADATA = {"name": "hers", "namespace": "research", "uid": "u"}
TARGET: Target = parse_target({"metadata": METADATA, "spec": {"kubeconfigSecret": {"name": "hers"}}})


def leading_to(server: str, **cluster: Any) -> Callable[[Manifest, str, Path], object]:
    """A kubeconfig whose server is another."""

    def change(kubeconfig: Manifest, inner: str, touched: Path) -> object:
        kubeconfig["clusters"][0]["cluster"] |= {"server": server.format(inner=inner)} | {
            key: value.format(inner=inner) if isinstance(value, str) else value for key, value in cluster.items()
        }
        return kubeconfig

    return change


def with_user(make: Callable[[Path], Manifest]) -> Callable[[Manifest, str, Path], object]:
    """A kubeconfig whose user is another."""

    def change(kubeconfig: Manifest, inner: str, touched: Path) -> object:
        kubeconfig["users"][0]["user"] = make(touched)
        return kubeconfig

    return change


EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "touch"}
KUBECONFIGS: dict[str, list[Callable[[Manifest, str, Path], object]]] = {
    "config-bomb": [lambda *_: ALIASES, lambda *_: "[" * 20_000, lambda *_: "a: &a [*a]"],
    "config-shapes": [
        lambda *_: "users: 5\ncontexts: {a: b}\nclusters: x\ncurrent-context: [y]",
        lambda *_: "[1, 2]",
        lambda k, *_: k | {"current-context": {"a": "b"}},
        lambda k, *_: k | {"users": ["u", None, 7]},
        lambda k, *_: k | {"contexts": [{"name": "x", "context": "c"}]},
        lambda k, *_: k | {"clusters": [{"name": "c", "cluster": {"server": ["https://127.0.0.1:1"]}}]},
    ],
    "exec": [with_user(lambda path: {"exec": EXEC | {"args": [str(path)]}})],
    "auth-provider": [
        with_user(
            lambda path: {"auth-provider": {"name": "gcp", "config": {"cmd-path": "touch", "cmd-args": str(path)}}}
        ),
        with_user(lambda _: {"auth-provider": {"name": "oidc", "config": {"idp-issuer-url": "http://192.0.2.1"}}}),
    ],
    "files": [
        with_user(lambda _: {"tokenFile": "/etc/hostname"}),
        with_user(lambda _: {"client-certificate": "/etc/hostname", "client-key": "/etc/hostname"}),
        leading_to("https://127.0.0.1:1", **{"certificate-authority": "/etc/hostname"}),
    ],
    "metadata": [leading_to("http://169.254.169.254"), leading_to("https://169.254.169.254/latest/meta-data")],
    "plain-http": [leading_to("{inner}")],
    "proxy-url": [leading_to("https://192.0.2.1:6443", **{"proxy-url": "{inner}"})],
    "mapped-address": [
        leading_to("https://[::ffff:169.254.169.254]"),
        leading_to("https://0xA9FEA9FE"),
        leading_to("https://2852039166"),
        leading_to("https://[fe80::1]"),
        leading_to("https://0.0.0.0:6443"),
    ],
    "query": [
        leading_to("https://192.0.2.1/?a=b"),
        leading_to("https://192.0.2.1/#a"),
        leading_to("https://user:word@192.0.2.1"),
        leading_to("file:///etc/hostname"),
        leading_to("https://192.0.2.1\r\nX: y"),
    ],
    "token-line-end": [with_user(lambda _: {"token": "a\r\nX-Forged: yes"}), with_user(lambda _: {"token": ["a"]})],
}


@pytest.mark.parametrize("attempt", ids_of("test_user_kubeconfigs::test_a_kubeconfig_that_is_not_used"))
async def test_a_kubeconfig_that_is_not_used(attempt: str, tmp_path: Path) -> None:
    """Refused before anything is dialled, run or read."""
    visits, touched = list[str](), tmp_path / "touched"

    async def visited(request: Request, wire: Wire) -> None:
        visits.append(request.path)
        await wire.json(200, {})

    async with serving(visited, is_tls=False) as (inner, _), HostileTarget.running() as hostile:
        for change in KUBECONFIGS[attempt]:
            base: Manifest = json.loads(json.dumps(hostile.kubeconfig()))
            said = await _refusal(change(base, inner, touched))
            assert len(said) < 4096
            assert "MII" not in said, "no file of the agent's is quoted"
        assert not hostile.asked, "it got a request"
    assert visits == []
    assert not touched.exists()


async def _refusal(kubeconfig: object) -> str:
    """Return why a kubeconfig is not used; where only dialling tells, why nothing was dialled."""
    try:
        api = await client_for(encoded(kubeconfig), TARGET, ALLOWED)
    except BadKubeconfig as error:
        return str(error)
    async with api:
        with pytest.raises(ApiError, match="dial") as refused:
            await api.request("GET", NAMESPACES.path(name="kube-system"), timeout_seconds=5)
    return str(refused.value)
