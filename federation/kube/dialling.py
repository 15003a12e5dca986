"""Which servers a kubeconfig of somebody else may have us dial (rule T7).

Who writes a Target's kubeconfig chooses whom this process connects to, from inside its own network, and reads part of
the answer in a status. So: https only, and never an address that is this machine's own or that means something else
everywhere: loopback, link-local (cloud metadata), unspecified, multicast, reserved. A name is judged by the address
that is really dialled, at that moment, so that another answer of the DNS a second later changes nothing.

What an administrator lists may be dialled all the same. Private networks may always: that is where clusters are.
"""

import errno
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from federation.kube.errors import BadKubeconfig

_URL_LENGTH_MAX = 2048
_URL_TEXT = re.compile(r"[A-Za-z0-9._~:/\[\]-]+")  # no userinfo, query, fragment, escapes, spaces
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")
_NAT64 = IPv6Network("64:ff9b::/96")  # carries an IPv4 address in its last 32 bits,
_COMPATIBLE = IPv6Network("::/96")  # as these deprecated ones do
_RESERVED = (
    (IPv4Network("0.0.0.0/8"), "unspecified"),
    (IPv4Network("240.0.0.0/4"), "reserved"),
    # Where clouds answer with credentials, besides 169.254.0.0/16.
    (IPv4Network("100.100.100.200/32"), "a cloud's metadata"),
    (IPv4Network("168.63.129.16/32"), "a cloud's metadata"),
    (IPv6Network("fd00:ec2::254/128"), "a cloud's metadata"),
)
_HOW = "an administrator may allow it by ISTHMUS_AGENT_DIALABLE"

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class NotDialled(OSError):
    """An address that may not be dialled; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EACCES, message)


@dataclass(frozen=True, slots=True)
class Guard:
    """What one connection may dial: anything where `is_free`, else what is neither refused nor in `networks`."""

    is_free: bool = True
    networks: tuple[Network, ...] = ()

    def check(self, text: str) -> None:
        """Raise NotDialled unless the address (as a socket address has it) may be dialled."""
        if self.is_free:
            return
        address = _meant(ip_address(text.partition("%")[0]))
        if any(address in network for network in self.networks):
            return
        if kind := _kind(address):
            raise NotDialled(f"{text} is {kind} and is not dialled for a kubeconfig in a Secret; {_HOW}")


@dataclass(frozen=True, slots=True)
class Dialable:
    """What an administrator allows beyond the rule: networks, names of hosts (lower case), URLs."""

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    is_anywhere: bool = False

    @classmethod
    def of(cls, entries: Iterable[str]) -> "Dialable":
        """Return the list that these entries make: `10.0.0.0/8`, `127.0.0.1`, `api.example.org`, `http://proxy:3128`.

        A network or an address may be dialled although it is loopback or the like; a host by its name, whatever that
        resolves to; a URL, exactly as the kubeconfig has it, although it is http, or as a `proxy-url`. Raises
        ValueError with the entry that is none of these.
        """
        networks: list[Network] = []
        hosts, urls = set(), set()
        for entry in entries:
            if "://" in entry:
                _split(entry, "entry")
                urls.add(entry.rstrip("/"))
            elif (network := _network(entry)) is not None:
                networks.append(network)
            elif _HOST_NAME.fullmatch(entry):
                hosts.add(entry.lower())
            else:
                raise ValueError(f"{entry!r} is no network (10.0.0.0/8), host name or URL (http://host:port)")
        return cls(tuple(networks), frozenset(hosts), frozenset(urls))

    def guard(self, server: str, proxy: str = "") -> Guard:
        """Return what a connection to a kubeconfig's `server`, by its `proxy-url` if any, may dial.

        Raises BadKubeconfig where the URL alone refuses it.
        """
        if self.is_anywhere:
            return Guard()
        url = _split_server(server)
        is_listed = server.rstrip("/") in self.urls
        if url.scheme != "https" and not is_listed:
            raise BadKubeconfig(f"clusters[].cluster.server: https is expected, not {url.scheme}; {_HOW}")
        if proxy and proxy.rstrip("/") not in self.urls:
            raise BadKubeconfig(f"clusters[].cluster.proxy-url is not allowed in a kubeconfig in a Secret; {_HOW}")
        host = (url.hostname or "").lower()
        guard = Guard(is_listed or bool(proxy) or host in self.hosts, self.networks)
        try:
            address = ip_address(host)
        except ValueError:
            return guard  # a name: judged when it is dialled
        try:
            Guard(is_listed or host in self.hosts, self.networks).check(str(address))
        except NotDialled as error:
            raise BadKubeconfig(f"clusters[].cluster.server: {error.strerror}") from None
        return guard


NOTHING_MORE = Dialable()
ANYWHERE = Dialable(is_anywhere=True)  # for kubeconfigs of our own user


def _network(text: str) -> Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None


def _split(text: str, what: str) -> SplitResult:
    """Return the parts of a URL that is nothing but scheme, host, port and plain path; raises ValueError."""
    if len(text) > _URL_LENGTH_MAX or not _URL_TEXT.fullmatch(text):
        raise ValueError(f"{what}: only https://host:port/path is expected, without user, query or escapes")
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    if url.scheme not in ("https", "http") or not url.hostname:
        raise ValueError(f"{what} is missing or is not an http(s) URL")
    if _is_odd_number(url.hostname):
        raise ValueError(f"{what}: {url.hostname} is neither a name nor an address in its usual form")
    if any(part in (".", "..") for part in url.path.split("/")) or "//" in url.path:
        raise ValueError(f"{what}: its path has empty or relative parts")
    return url


def _is_odd_number(host: str) -> bool:
    """Whether a host is one of the many other forms of an address (`127.1`, `2130706433`, `0x7f.1`)."""
    last = host.rstrip(".").rpartition(".")[2]
    return re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last) is not None and _network(host) is None


def _split_server(server: str) -> SplitResult:
    try:
        return _split(server, "clusters[].cluster.server")
    except ValueError as error:
        raise BadKubeconfig(str(error)) from None


def _meant(address: Address) -> Address:
    """Return the IPv4 address within an IPv6 one that only carries it, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _kind(address: Address) -> str:
    """Return why an address is refused, or an empty string."""
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    if address.is_unspecified:
        return "unspecified"
    if address.is_multicast:
        return "multicast"
    return next((kind for network, kind in _RESERVED if address in network), "")
