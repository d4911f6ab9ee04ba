"""Which addresses a connection may be made to.

An address is first held against what no store may reach whatever its policy: link-local addresses, cloud metadata services, and every
IPv6 form that carries an IPv4 address in it, through which a policy on IPv4 addresses could be passed by. Only then does the policy
count: public addresses, further networks, or all private ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

METADATA = "a cloud's metadata service"
LINK_LOCAL = "a link-local address"
UNSPECIFIED = "an unspecified address"
MULTICAST = "a multicast address"

# AWS's, Google's and most others'; AWS's for containers; Alibaba's, Oracle's, and Azure's, which is a public one.
_METADATA_4 = frozenset(
    IPv4Address(text) for text in ("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)


# `is_loopback` holds for IPv4-mapped addresses as well, from Python 3.13 on.
_LOOPBACK_6 = IPv6Address("::1")


@dataclass(frozen=True, slots=True)
class Prohibition:
    """Why an address may not be connected to."""

    kind: str
    """What kind of address it is."""
    never: bool
    """Whether no policy allows it."""


def _networks_4(*texts: str) -> list[IPv4Network]:
    return [IPv4Network(text) for text in texts]


# Among the link-local ones are Scaleway's metadata service (169.254.42.42) and Tencent's (169.254.0.23).
_NEVER_4: list[tuple[list[IPv4Network], str]] = [
    (_networks_4("169.254.0.0/16"), LINK_LOCAL),
    (_networks_4("0.0.0.0/8"), UNSPECIFIED),
    (_networks_4("224.0.0.0/4"), MULTICAST),
    (_networks_4("255.255.255.255/32"), "the broadcast address"),
]

# IANA's registries of special-purpose addresses (RFC 6890).
_SPECIAL_4: list[tuple[list[IPv4Network], str]] = [
    (_networks_4("127.0.0.0/8"), "a loopback address"),
    (_networks_4("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"), "a private address"),
    (_networks_4("100.64.0.0/10"), "a carrier's private address"),
    (
        _networks_4("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
        "a reserved address",
    ),
]


def _kind_4(address: IPv4Address, table: list[tuple[list[IPv4Network], str]]) -> str | None:
    for networks, kind in table:
        if any(address in network for network in networks):
            return kind
    return None


def _never_4(address: IPv4Address) -> str | None:
    return METADATA if address in _METADATA_4 else _kind_4(address, _NEVER_4)


def _segments(address: IPv6Address) -> tuple[int, ...]:
    packed = address.packed
    return tuple([int.from_bytes(packed[at : at + 2], "big") for at in range(0, 16, 2)])


def _never_6(address: IPv6Address) -> str | None:
    s = _segments(address)
    if not any(s):
        return UNSPECIFIED
    if address == _LOOPBACK_6:
        return None
    # AWS's, Google's, Scaleway's, Linode's; Oracle's and others with the IPv4 address's digits in a private one.
    if (
        s[:6] == (0xFD00, 0xEC2, 0, 0, 0, 0)
        or s == (0xFD20, 0xCE, 0, 0, 0, 0, 0, 0x254)
        or s == (0xFD00, 0x42, 0, 0, 0, 0, 0, 0x42)
        or s[:3] == (0xFD00, 0xA9FE, 0xA9FE)
        or (0xFC00 <= s[0] <= 0xFDFF and s[6:] == (0xA9FE, 0xA9FE))
    ):
        return METADATA
    if 0xFE80 <= s[0] <= 0xFEBF:
        return LINK_LOCAL
    if s[0] >= 0xFF00:
        return MULTICAST
    if s[:6] == (0, 0, 0, 0, 0, 0xFFFF):
        return "an IPv4-mapped address"
    if s[:6] == (0, 0, 0, 0, 0xFFFF, 0):
        return "an IPv4-translated address"
    if s[:6] == (0, 0, 0, 0, 0, 0):
        return "an IPv4-compatible address"
    if s[:6] == (0x64, 0xFF9B, 0, 0, 0, 0):
        # Made up by the name servers of networks without IPv4 (DNS64), so it cannot be refused altogether. It stands for public
        # addresses only (RFC 6052, section 3.1).
        within = IPv4Address(address.packed[12:])
        is_public = _never_4(within) is None and _kind_4(within, _SPECIAL_4) is None
        return None if is_public else "a NAT64 address of an IPv4 address that is not public"
    if s[:2] == (0x64, 0xFF9B):
        return "a local NAT64 address"
    if s[0] == 0x2002:
        return "a 6to4 address"
    if s[:2] == (0x2001, 0):
        return "a Teredo address"
    # With any of the two bits that say whose identifier it is.
    if s[5] == 0x5EFE and s[4] & ~0x0300 == 0:
        return "an ISATAP address"
    return None


def _special_6(address: IPv6Address) -> str | None:
    s = _segments(address)
    if address == _LOOPBACK_6:
        return "a loopback address"
    if 0xFC00 <= s[0] <= 0xFDFF or 0xFEC0 <= s[0] <= 0xFEFF:
        return "a private address"
    if s[:6] == (0x64, 0xFF9B, 0, 0, 0, 0):
        return None  # Judged by the address in it.
    # Those of the IETF's protocols, and of documentation.
    if (s[0] == 0x2001 and (s[1] <= 0x1FF or s[1] == 0xDB8)) or (s[0] == 0x3FFF and s[1] <= 0xFFF):
        return "a reserved address"
    if 0x2000 <= s[0] <= 0x3FFF:
        return None
    return "a reserved address"


def _never(address: IPv4Address | IPv6Address) -> str | None:
    return _never_4(address) if isinstance(address, IPv4Address) else _never_6(address)


def _special(address: IPv4Address | IPv6Address) -> str | None:
    return _kind_4(address, _SPECIAL_4) if isinstance(address, IPv4Address) else _special_6(address)


def refuses(text: str, *, private: bool = False, networks: Iterable[Network] = ()) -> Prohibition | None:
    """Why this address may not be connected to; `None` where it may.

    Args:
        text: An IP address. One with a zone (`fe80::1%eth0`) is judged without it.
        private: Whether private and loopback addresses are allowed.
        networks: Further networks that are.
    """
    address = ip_address(text.partition("%")[0])
    kind = _never(address)
    if kind is not None:
        return Prohibition(kind, never=True)
    kind = _special(address)
    if kind is None or private or any(address in network for network in networks):
        return None
    return Prohibition(kind, never=False)


def is_private(text: str) -> bool:
    """Whether an endpoint at this address is in a private network: not public, and yet a place to connect to."""
    address = ip_address(text)
    return _never(address) is None and _special(address) is not None
