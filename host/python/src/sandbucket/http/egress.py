"""What a store may reach: its endpoint, and nothing else."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_network
from urllib.parse import urlsplit

from .ip_policy import Network, Prohibition, is_private, refuses

_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
_LABEL = re.compile(r"[A-Za-z0-9-]+\Z")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?#\\\s\x00-\x20\x7f]+)(:(?P<port>[0-9]{1,5}))?\Z")


@dataclass(frozen=True, slots=True)
class Authority:
    """A scheme, host and port."""

    https: bool
    host: str
    port: int

    def __str__(self) -> str:
        scheme = "https" if self.https else "http"
        port = "" if self.port == default_port(self.https) else f":{self.port}"
        return f"{scheme}://{self.host}{port}"


def default_port(https: bool) -> int:
    """The port of a scheme."""
    return 443 if https else 80


def authority_of(https: bool, text: str) -> Authority | None:
    """The host and port of a request. With user information, or a port that is none, there is nothing that it could be."""
    found = _AUTHORITY.match(text)
    if found is None:
        return None
    port = int(found["port"]) if found["port"] else default_port(https)
    host = found["host"].lower()
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1])}]"
        except ValueError:
            return None
    return Authority(https, host, port) if port <= 65535 else None


@dataclass(frozen=True, slots=True)
class Egress:
    """The authorities that the plugin of a store may send requests to, and the kind of address they may lead to.

    Both are checked: the authority of each request, and the address of each connection when it is made. Whatever the endpoint is, a
    policy allows public addresses only: settings may come from a tenant, who must not reach the host's own network by naming
    `127.0.0.1` or a name that leads there. `allow_private` and `allow_private_endpoint` are for endpoints that the operator chose.
    """

    allowed: tuple[Authority, ...] = ()
    private: bool = False
    networks: tuple[Network, ...] = ()
    is_local: bool = False
    """Whether the endpoint is itself a private address, or a name for the network at hand."""

    @staticmethod
    def from_settings(settings: Mapping[str, str]) -> Egress:
        """What a store with these settings has to reach: the host that `endpoint` names, or AWS's for `region` and what else is wanted
        of it, each also with the name `bucket` before it; for the ARN of an access point, its host alone.

        This is the one thing that the host itself reads from a plugin's settings: a plugin cannot say what it should be kept
        from. Where they make no sense it is nothing; the plugin will say what is wrong with them.
        """

        def of(name: str) -> str | None:
            return settings.get(name, "").strip() or None

        endpoint, bucket = of("endpoint"), of("bucket")
        if endpoint is None:
            if bucket is not None and bucket.startswith("arn:"):
                endpoint, bucket = _access_point(bucket, of), None
            else:
                endpoint = _aws(of)
        parsed = None if endpoint is None else _parse(endpoint)
        if parsed is None:
            return Egress()
        authority, is_local = parsed
        allowed = [authority]
        if bucket is not None and not _is_address(authority.host):
            allowed.append(replace(authority, host=f"{bucket.lower()}.{authority.host}"))
        # Operations on buckets go to the region's own host, which transfer acceleration does not know.
        if of("endpoint") is None and _is_on(of, "accelerate") and not (of("bucket") or "").startswith("arn:"):
            host = _regional(of)
            regional = None if host is None else _parse(host)
            if regional is not None:
                allowed.append(regional[0])
        return Egress(tuple(allowed), is_local=is_local)

    def allow_private(self) -> Egress:
        """Allows private and loopback addresses, whatever the endpoint is. Not for settings that a tenant may write."""
        return replace(self, private=True)

    def allow_private_endpoint(self) -> Egress:
        """Allows private and loopback addresses if the endpoint is plainly meant for them: such an address, a bare name, or a name
        below `.localhost`, `.local`, `.internal`, `.lan` or `.home.arpa`. Not for settings that a tenant may write."""
        return self.allow_private() if self.is_local else self

    def allow_networks(self, networks: Iterable[str]) -> Egress:
        """Allows these private networks, such as `10.20.0.0/24`."""
        return replace(self, networks=tuple(ip_network(network) for network in networks))

    def check(self, https: bool, authority: str) -> Authority | str:
        """The authority that a request may go to, or why it may not."""
        found = authority_of(https, authority)
        if found is not None and found in self.allowed:
            return found
        return f"the plugin returned a request to {found or 'a host that is none'}, but this store may only reach {self}"

    def refuses(self, address: str) -> Prohibition | None:
        """Why this address may not be connected to; `None` where it may."""
        return refuses(address, private=self.private, networks=self.networks)

    def __str__(self) -> str:
        return " or ".join(map(str, self.allowed)) or "nothing"


_Of = Callable[[str], str | None]


def _aws(of: _Of) -> str | None:
    """AWS's host for these settings, without a bucket."""
    if _is_on(of, "accelerate"):
        domain = _domain(_region(of))
        return None if domain is None else f"s3-accelerate{_dual_stack(of)}.{domain}"
    return _regional(of)


def _regional(of: _Of) -> str | None:
    region = _region(of)
    domain = _domain(region)
    return None if domain is None else f"s3{_fips(of)}{_dual_stack(of)}.{region}.{domain}"


def _access_point(arn: str, of: _Of) -> str | None:
    """The host of an access point: `arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME`."""
    fields = arn.split(":", 5)
    if len(fields) != 6:
        return None
    region, account, resource = fields[3:]
    kind, name = resource[: len("accesspoint")], resource[len("accesspoint") + 1 :]
    separator = resource[len("accesspoint") : len("accesspoint") + 1]
    domain = _domain(region)
    if kind != "accesspoint" or separator not in ("/", ":") or domain is None or not (_LABEL.match(name) and _LABEL.match(account)):
        return None
    return f"{name}-{account}.s3-accesspoint{_fips(of)}{_dual_stack(of)}.{region}.{domain}"


def _region(of: _Of) -> str:
    return of("region") or "us-east-1"


def _is_on(of: _Of, name: str) -> bool:
    return (of(name) or "").lower() == "true"


def _dual_stack(of: _Of) -> str:
    return ".dualstack" if _is_on(of, "dual-stack") else ""


def _fips(of: _Of) -> str:
    return "-fips" if _is_on(of, "fips") else ""


def _domain(region: str) -> str | None:
    """What AWS's hosts in this region end in; none where it cannot be a region."""
    if not _LABEL.match(region):
        return None
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def _is_address(host: str) -> bool:
    return host.startswith("[") or _number(host) is not None


def _number(host: str) -> str | None:
    """The IPv4 address that this is, in any form that connecting takes: `127.1`, `0x7f000001`, `2130706433`."""
    last = host.rstrip(".").rpartition(".")[2]
    if not re.match(r"(0[xX][0-9A-Fa-f]*|[0-9]+)\Z", last):
        return None
    try:
        return socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))
    except (OSError, ValueError):
        return None


def _parse(endpoint: str) -> tuple[Authority, bool] | None:
    """The authority of an endpoint, and whether it is one of the network at hand."""
    text = endpoint if "://" in endpoint else f"https://{endpoint}"
    if any(character.isspace() or ord(character) < 32 for character in text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    https = parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    host = parts.netloc.rpartition("@")[2]
    if host.startswith("["):
        try:
            address = str(IPv6Address(host[1 : host.index("]")]))
        except ValueError:
            return None
        host, is_local = f"[{address}]", is_private(address)
    else:
        host = parts.hostname.lower()
        number = _number(host)
        if number is not None:
            host, is_local = number, is_private(number)
        else:
            try:
                host = host if host.isascii() else host.encode("idna").decode()
            except UnicodeError:
                return None
            is_local = _is_local_name(host)
    if port == 0:
        return None
    authority = authority_of(https, host)
    return None if authority is None else (replace(authority, port=default_port(https) if port is None else port), is_local)


def _is_local_name(name: str) -> bool:
    """A name that can only be meant for the network at hand."""
    name = name.rstrip(".")
    return "." not in name or any(len(name) > len(suffix) and name.endswith(suffix) for suffix in _LOCAL_SUFFIXES)
