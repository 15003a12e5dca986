"""T7, T9: a kubeconfig that somebody else wrote is read by few fields, and nothing of it lands on the disk."""

import asyncio
import base64
import builtins
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from federation.kube.access import foreign
from federation.kube.api import connect
from federation.kube.dialling import NOTHING_MORE, Dialable
from federation.kube.errors import BadKubeconfig, Unreachable
from federation.kube.resources import CONFIG_MAPS
from lab.running import RunningLab

SERVER = "https://10.0.0.1:6443"


def kubeconfig(user: Any = None, cluster: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": SERVER} if cluster is None else cluster}],
        "users": [{"name": "x", "user": {"token": "t"} if user is None else user}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    } | fields


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "insecure": (kubeconfig(cluster={"server": SERVER, "insecure-skip-tls-verify": True}), "insecure-skip-tls-verify"),
    "impersonation": (kubeconfig({"token": "t", "as": "admin"}), r"user\.as is not allowed"),
    "a program": (kubeconfig({"exec": {"command": "sh"}}), "exec"),
    "a plugin": (kubeconfig({"auth-provider": {"name": "gcp"}}), "auth-provider"),
    "a file": (kubeconfig({"tokenFile": "/etc/passwd"}), "tokenFile"),
    "authority in a file": (kubeconfig(cluster={"server": SERVER, "certificate-authority": "/x"}), "authority is not"),
    "a token of two lines": (kubeconfig({"token": "a\r\nX-Remote-User: admin"}), "token"),
    "a token of letters": (kubeconfig({"token": "ä"}), "token"),
    "a token that is a number": (kubeconfig({"token": 7}), "token"),
    "a token without end": (kubeconfig({"token": "t" * 70_000}), "token"),
    "authority of nonsense": (kubeconfig(cluster={"server": SERVER, "certificate-authority-data": "%%%"}), "authority"),
    "authority that is none": (
        kubeconfig(cluster={"server": SERVER, "certificate-authority-data": encoded("x")}),
        "authority",
    ),
    "half a certificate": (kubeconfig({"client-certificate-data": encoded("x")}), "client-certificate-data"),
    "no server": (kubeconfig(cluster={}), "server"),
    "server of a number": (kubeconfig(cluster={"server": 7}), "server"),
    "server name": (kubeconfig(cluster={"server": SERVER, "tls-server-name": "a\r\nb"}), "tls-server-name"),
    "clusters are a text": (kubeconfig(clusters="x"), "clusters"),
    "a cluster is a text": (kubeconfig(clusters=["x"]), "clusters"),
    "a user is a list": (kubeconfig([1]), "users"),
    "no context": (kubeconfig(contexts=None), "contexts"),
    "context is a number": (kubeconfig(**{"current-context": 7}), "current-context"),
    "nothing": ({}, "contexts"),
}


@pytest.mark.parametrize("name", BAD)
def test_t7_what_cannot_be_used_is_named(name: str) -> None:
    config, field = BAD[name]
    with pytest.raises(BadKubeconfig, match=field):
        foreign(config, "", NOTHING_MORE)


async def test_an_encrypted_key_asks_nobody_for_its_password(bare_lab: RunningLab) -> None:
    key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    config = kubeconfig({"client-certificate-data": encoded("x"), "client-key-data": encoded(key)})
    with pytest.raises(BadKubeconfig, match="client-key-data"):
        foreign(config, "", NOTHING_MORE)


async def test_basic_and_token_are_shown() -> None:
    basic = foreign(kubeconfig({"username": "u", "password": "p"}), "", NOTHING_MORE)
    assert await basic.authorization() == "Basic " + encoded("u:p")
    access = foreign(kubeconfig({"token": " t\n"}), "", NOTHING_MORE)
    assert await access.authorization() == "Bearer t"
    assert access.use_token("next")
    assert not access.use_token("a\nb")
    assert await access.authorization() == "Bearer next"
    assert "next" not in repr(access)


def with_data(file: Path) -> dict[str, Any]:
    """Return a kubeconfig that holds what it names files of."""
    config: dict[str, Any] = yaml.safe_load(file.read_text())
    user, cluster = config["users"][0]["user"], config["clusters"][0]["cluster"]
    for section, name in ((user, "client-certificate"), (user, "client-key"), (cluster, "certificate-authority")):
        if name in section:
            section[f"{name}-data"] = encoded(Path(section.pop(name)).read_text())
    assert "client-key-data" in user
    return config


async def test_t9_a_client_certificate_is_in_no_file(
    bare_lab: RunningLab, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read and used, with every other way to a file closed meanwhile."""
    config = with_data(bare_lab.kubeconfig())
    opened: list[str] = []
    really: Callable[..., Any] = builtins.open

    def watched(file: Any, *arguments: Any, **options: Any) -> Any:
        opened.append(str(file))
        return really(file, *arguments, **options)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a temporary file")

    monkeypatch.setattr(builtins, "open", watched)
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    async with await connect(config, dialable=Dialable.of(["127.0.0.0/8"])) as api:
        monkeypatch.undo()
        assert await api.list(CONFIG_MAPS, namespace)
    assert all(file.isdigit() for file in opened), "descriptors only"


async def test_the_server_must_be_who_it_says(bare_lab: RunningLab) -> None:
    """Without the authority in the kubeconfig, the machine's own are asked, and do not know it."""
    host = bare_lab.api().transport.host  # type: ignore[attr-defined]  # on sockets
    async with await connect(kubeconfig(cluster={"server": host}), dialable=Dialable.of(["127.0.0.0/8"])) as api:
        assert api.transport.tls.verify_mode is ssl.CERT_REQUIRED  # type: ignore[attr-defined]
        with pytest.raises(Unreachable, match=r"[Cc]ertificate"):
            async with asyncio.timeout(20):
                await api.look(CONFIG_MAPS, "a", "ns", timeout_seconds=5)
