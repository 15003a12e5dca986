"""Where a server is and how it is shown who we are: what a kubeconfig comes to.

`trusted` takes it from the `kubernetes` package's Configuration, for a kubeconfig of our own user. `foreign` reads one
that somebody else wrote: by a reader of our own that knows few fields, refuses what would run a program, read a file
or dial where it may not (rule T7), and puts nothing on the disk: the package writes certificates and keys to files.
"""

import base64
import binascii
import os
import re
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from federation.kube.dialling import Dialable, Guard
from federation.kube.errors import BadKubeconfig

_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")  # what a header can carry; a JWT has some 1 000 characters
_SERVER_NAME = re.compile(r"[A-Za-z0-9._:*-]{1,253}")
_USER_FIELDS = {"token", "client-certificate-data", "client-key-data", "username", "password", "extensions"}
_CLUSTER_FIELDS = {
    *("server", "certificate-authority-data", "tls-server-name", "proxy-url"),
    *("disable-compression", "extensions", "insecure-skip-tls-verify"),
}


@dataclass(slots=True)
class Access:
    """One server: its URL without a trailing slash, TLS, and whom we show ourselves as."""

    host: str
    tls: ssl.SSLContext
    server_name: str = ""  # to expect in its certificate where it is not the host
    proxy: str = ""
    guard: Guard = field(default_factory=Guard)
    configuration: Configuration | None = field(default=None, repr=False)  # where the package refreshes the token
    _authorization: str = field(default="", repr=False)

    async def authorization(self) -> str:
        """Return the Authorization header's value, or an empty string; refreshed tokens included."""
        if self.configuration is None:
            return self._authorization
        settings: Any = await self.configuration.auth_settings()
        return str(settings.get("BearerToken", {}).get("value") or "")

    def use_token(self, token: str) -> bool:
        """Show this bearer token from now on; returns whether it can be one."""
        if not _TOKEN.fullmatch(token):
            return False
        if self.configuration is not None:
            self.configuration.api_key["BearerToken"] = f"Bearer {token}"
        self._authorization = f"Bearer {token}"
        return True


def trusted(configuration: Configuration) -> Access:
    """Return the access that the package has read from a kubeconfig of our own user."""
    return Access(
        host=str(configuration.host).rstrip("/"),
        tls=RESTClientObject(configuration).ssl_context,
        server_name=str(configuration.tls_server_name or ""),
        proxy=str(configuration.proxy or ""),
        configuration=configuration,
    )


def foreign(kubeconfig: dict[str, Any], context: str, dialable: Dialable) -> Access:
    """Return the access by a kubeconfig that somebody else wrote; `context` empty: its current-context.

    Raises BadKubeconfig with the field and what to do.
    """
    chosen = _entry(kubeconfig, "contexts", "context", context or _text(kubeconfig, "current-context", ""))
    cluster_name, user_name = _text(chosen, "cluster", "contexts[].context"), chosen.get("user")
    cluster = _entry(kubeconfig, "clusters", "cluster", cluster_name)
    user = _entry(kubeconfig, "users", "user", user_name) if isinstance(user_name, str) and user_name else {}
    _refuse(cluster, _CLUSTER_FIELDS, f"clusters[{cluster_name}].cluster")
    _refuse(user, _USER_FIELDS, f"users[{user_name}].user")
    if cluster.get("insecure-skip-tls-verify"):
        raise BadKubeconfig(
            "clusters[].cluster.insecure-skip-tls-verify: anybody on the way could be that cluster; "
            "put its certificate in (certificate-authority-data)"
        )
    server = _text(cluster, "server", "clusters[].cluster")
    proxy = _text(cluster, "proxy-url", "clusters[].cluster")
    server_name = _text(cluster, "tls-server-name", "clusters[].cluster")
    if server_name and not _SERVER_NAME.fullmatch(server_name):
        raise BadKubeconfig("clusters[].cluster.tls-server-name is no host name")
    if not server.startswith(("https://", "http://")):
        raise BadKubeconfig("clusters[].cluster.server is missing or is not an http(s) URL")
    return Access(
        host=server.rstrip("/"),
        tls=_tls(cluster, user),
        server_name=server_name,
        proxy=proxy,
        guard=dialable.guard(server, proxy),
        _authorization=_authorization(user),
    )


def _refuse(section: dict[str, Any], known: set[str], where: str) -> None:
    for name in section:
        if name not in known:
            raise BadKubeconfig(
                f"{where}.{str(name)[:100]} is not allowed in a kubeconfig kept in a Secret: "
                "put the data itself in (e.g. client-certificate-data, token)"
            )


def _text(section: dict[str, Any], name: str, where: str) -> str:
    value = section.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadKubeconfig(f"{where}.{name}: a text is expected".lstrip("."))
    return value.strip()


def _entry(kubeconfig: dict[str, Any], section: str, inner: str, name: str) -> dict[str, Any]:
    entries = kubeconfig.get(section)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and name and entry.get("name") == name:
            found = entry.get(inner)
            if found is None:
                return {}
            if isinstance(found, dict):
                return found
            raise BadKubeconfig(f"{section}[{name[:100]}].{inner}: a mapping is expected")
    raise BadKubeconfig(f"{section}: there is none of the name {name[:100]!r}")


def _authorization(user: dict[str, Any]) -> str:
    if token := _text(user, "token", "users[].user"):
        if not _TOKEN.fullmatch(token):
            raise BadKubeconfig("users[].user.token is no bearer token (printable characters, at most 64 KiB)")
        return f"Bearer {token}"
    name, password = _text(user, "username", "users[].user"), _text(user, "password", "users[].user")
    if name or password:
        return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    return ""


def _pem(section: dict[str, Any], name: str, where: str) -> str:
    text = _text(section, name, where)
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise BadKubeconfig(f"{where}.{name}: base64 of PEM is expected") from None


def _tls(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = _pem(cluster, "certificate-authority-data", "clusters[].cluster")
    certificate = _pem(user, "client-certificate-data", "users[].user")
    key = _pem(user, "client-key-data", "users[].user")
    try:
        context = ssl.create_default_context(cadata=authority or None)
    except (ssl.SSLError, ValueError) as error:
        raise BadKubeconfig(f"clusters[].cluster.certificate-authority-data: {error}") from None
    if certificate or key:
        try:
            with _in_memory(f"{certificate}\n{key}\n") as path:
                # An encrypted key would have OpenSSL ask a terminal for its password.
                context.load_cert_chain(path, password=lambda: b"")
        except (ssl.SSLError, ValueError, OSError) as error:
            raise BadKubeconfig(f"users[].user.client-certificate-data and client-key-data: {error}") from None
    return context


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Give a path, which OpenSSL insists on, to a text that is in no file system; elsewhere than on Linux, in one."""
    if not hasattr(os, "memfd_create"):
        with tempfile.NamedTemporaryFile() as file:
            file.write(text.encode())
            file.flush()
            yield file.name
        return
    descriptor = os.memfd_create("kubeconfig", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
