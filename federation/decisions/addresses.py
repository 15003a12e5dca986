"""Which addresses of a target are believed (rule T4).

An address on a proxy becomes an endpoint of home's Services: a target that could choose it would catch home's traffic.
So home's administrator says, by a setting of the agent, which networks a target's pods and nodes are in.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from federation.model.target import Target

Network = IPv4Network | IPv6Network

EVERY_TARGET = "*"


def networks_for(target: Target, settings: Mapping[str, Sequence[Network]]) -> tuple[Network, ...] | None:
    """Return the networks a target's addresses may be in, None where all are believed: it is this very cluster.

    `settings` are networks by `<namespace>/<name>` of a Target, `<name>` of a ClusterTarget, or `*` for all others.
    """
    if target.is_self:
        return None
    name = f"{target.namespace}/{target.name}" if target.namespace else target.name
    return tuple(settings.get(name, settings.get(EVERY_TARGET, ())))


def is_believed(address: object, networks: Sequence[Network] | None) -> bool:
    """Whether an address that a target told may be shown at home. One that only a host knows never is, but at self."""
    if networks is None:
        return True
    found = _parsed(address)
    if found is None or _is_of_a_host(found):
        return False
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    if mapped is not None:
        return False  # `::ffff:127.0.0.1` and its like: another way to write what is judged as IPv4
    return any(found in network for network in networks)


def _parsed(address: object) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address) if isinstance(address, str) else None
    except ValueError:
        return None


def _is_of_a_host(address: IPv4Address | IPv6Address) -> bool:
    return address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
