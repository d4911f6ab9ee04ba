"""Where a store may connect to: the table of the Rust host (host/sandbucket/src/http), and connections under it."""

from __future__ import annotations

import random
import socket
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest
from conftest import Client, Loop
from servers import Agreeable, serving

from sandbucket import Engine, InvalidSettingsError, NetworkError, Store
from sandbucket.http.egress import Egress
from sandbucket.http.ip_policy import is_private, refuses

EVERYTHING = [ip_network("0.0.0.0/0"), ip_network("::/0")]

NOT_PUBLIC = [
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.0.0.53",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "240.0.0.1",
    "::1",
    "fc00::1",
    "fd12::1",
    "fec0::1",
    "100::1",
    "2001:2::1",
    "2001:20::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
]

PUBLIC = [
    "1.1.1.1",
    "52.95.110.1",
    "99.255.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "192.0.1.1",
    "2606:4700:4700::1111",
    "2a00:1450::1234:5efe:101:101",
    "2001:200::1",
    "64:ff9b::1.1.1.1",
]

NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "169.254.0.23",
    "169.254.42.42",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:42::42",
    "fd00:c1::a9fe:a9fe",
    "fd00:a9fe:a9fe::1",
    "fe80::a9fe:a9fe",
    "169.254.0.0",
    "169.254.255.255",
    "fe80::1",
    "febf::1",
    "fe80::1%eth0",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "239.255.255.255",
    "255.255.255.255",
    "ff02::1",
    "::ffff:1.1.1.1",
    "::ffff:0:1.1.1.1",
    "::1.1.1.1",
    "64:ff9b:1::1.1.1.1",
    "64:ff9b:2::1",
    "2002:101:101::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2a00::5efe:1.1.1.1",
    "2a00::200:5efe:1.1.1.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::168.63.129.16",
    "64:ff9b::",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_private_address_needs_a_policy_that_allows_it(address: str) -> None:
    prohibition = refuses(address)
    assert prohibition is not None
    assert not prohibition.never
    assert refuses(address, networks=EVERYTHING) is None
    assert refuses(address, private=True) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_reached_under_every_policy(address: str) -> None:
    assert refuses(address) is None
    assert refuses(address, private=True) is None
    assert not is_private(address)


@pytest.mark.parametrize("address", NEVER)
def test_metadata_and_link_local_addresses_are_refused_under_every_policy(address: str) -> None:
    for policy in ({}, {"private": True}, {"networks": EVERYTHING}):
        prohibition = refuses(address, **policy)
        assert prohibition is not None
        assert prohibition.never


def test_listed_network_widens_the_policy_by_itself_alone() -> None:
    listed = [ip_network("10.1.0.0/16"), ip_network("fd12::/16")]
    allowed = {
        address: refuses(address, networks=listed) is None for address in ("10.1.2.3", "fd12::1", "10.2.0.1", "127.0.0.1", "1.1.1.1")
    }
    assert allowed == {"10.1.2.3": True, "fd12::1": True, "10.2.0.1": False, "127.0.0.1": False, "1.1.1.1": True}


def embeddings(four: IPv4Address) -> list[IPv6Address]:
    """All forms in which an IPv6 address carries an IPv4 one, but for the well-known NAT64 prefix."""
    high, low = divmod(int(four), 1 << 16)
    forms = [
        (0, 0, 0, 0, 0, 0xFFFF, high, low),
        (0, 0, 0, 0, 0xFFFF, 0, high, low),
        (0x2002, high, low, 0, 0, 0, 0, 1),
        (0x2001, 0, high, low, 0, 0, 0, 0),
        (0x2001, 0, 0x4136, 0xE378, 0x8000, 0, high ^ 0xFFFF, low ^ 0xFFFF),
        (0x64, 0xFF9B, 1, 0, 0, 0, high, low),
        (0x2001, 0xDB8, 0, 1, 0, 0x5EFE, high, low),
        (0xFE80, 0, 0, 0, 0, 0x5EFE, high, low),
        (0x2A00, 1, 2, 3, 0x200, 0x5EFE, high, low),
        (0xFD12, 1, 2, 3, 0x300, 0x5EFE, high, low),
        (0, 0, 0, 0, 0, 0, high, low),
    ]
    return [IPv6Address(":".join(f"{part:x}" for part in form)) for form in forms]


def test_every_embedding_of_an_ipv4_address_is_refused() -> None:
    numbers = random.Random(7)
    for _ in range(2000):
        for six in embeddings(IPv4Address(numbers.getrandbits(32))):
            if six == IPv6Address("::1"):
                continue
            prohibition = refuses(str(six), private=True, networks=EVERYTHING)
            assert prohibition is not None, six
            assert prohibition.never, six


def of(**settings: str) -> Egress:
    return Egress.from_settings({name.replace("_", "-"): value for name, value in settings.items()})


def allows(egress: Egress, url: str) -> bool:
    scheme, _, rest = url.partition("://")
    return not isinstance(egress.check(scheme == "https", rest.partition("/")[0]), str)


def test_only_the_endpoint_and_its_bucket_are_reached() -> None:
    egress = of(endpoint="https://s3.example.com:9000/base", bucket="b")
    for url in ("https://s3.example.com:9000/b/k", "https://B.s3.Example.com:9000/k"):
        assert allows(egress, url), url
    for url in (
        "http://s3.example.com:9000/",
        "https://s3.example.com/",
        "https://s3.example.com:9001/",
        "https://c.s3.example.com:9000/",
        "https://s3.example.com.evil.test:9000/",
        "https://s3.example.com:9000@evil.test/",
        "https://u@s3.example.com:9000/",
        "https://169.254.169.254/",
        "https://s3.example.com:9000demo/",
        "https://s3.example.com:99999/",
        "https://s3.example.com:+9000/",
        "https:///",
    ):
        assert not allows(egress, url), url
    assert [str(authority) for authority in of(endpoint="[::1]", bucket="b").allowed] == ["https://[::1]"]
    assert allows(of(endpoint="HTTPS://s3.example.com"), "https://s3.example.com:443/k")


def test_without_an_endpoint_it_is_aws() -> None:
    egress = of(region="eu-west-1", bucket="b", endpoint=" ")
    assert allows(egress, "https://b.s3.eu-west-1.amazonaws.com/k")
    assert not allows(egress, "https://s3.eu-west-2.amazonaws.com/b/k")
    assert allows(of(region="cn-north-1"), "https://s3.cn-north-1.amazonaws.com.cn/b/k")
    arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/p"
    for further, host in (
        ({"bucket": "b", "dual_stack": "true"}, "b.s3.dualstack.eu-west-1.amazonaws.com"),
        ({"bucket": "b", "fips": "true"}, "b.s3-fips.eu-west-1.amazonaws.com"),
        ({"bucket": "b", "fips": "true", "dual_stack": "true"}, "b.s3-fips.dualstack.eu-west-1.amazonaws.com"),
        ({"bucket": "b", "accelerate": "true"}, "b.s3-accelerate.amazonaws.com"),
        ({"bucket": "b", "accelerate": "true", "dual_stack": "true"}, "b.s3-accelerate.dualstack.amazonaws.com"),
        ({"bucket": arn}, "p-123456789012.s3-accesspoint.us-west-2.amazonaws.com"),
        ({"bucket": arn, "fips": "true"}, "p-123456789012.s3-accesspoint-fips.us-west-2.amazonaws.com"),
    ):
        egress = of(region="eu-west-1", **further)
        assert allows(egress, f"https://{host}/k"), (further, str(egress))
        assert not allows(egress, "https://b.s3.eu-west-1.amazonaws.com/k")
    assert allows(of(region="eu-west-1", accelerate="true"), "https://s3.eu-west-1.amazonaws.com/other")


def test_nonsense_reaches_nothing() -> None:
    for endpoint in ("ftp://x", "https://", "a b", "http://[::1", "https://x:99999", "javascript://x"):
        assert of(endpoint=endpoint).allowed == (), endpoint
    for settings in (
        {"region": "x.evil.test/"},
        {"region": "evil.test#"},
        {"bucket": "arn:aws:s3:us-west-2:1/evil.test/:accesspoint/p"},
        {"bucket": "arn:aws:s3:us-west-2:123456789012:accesspoint/evil.test/p"},
        {"bucket": "arn:aws:s3:evil.test/:123456789012:accesspoint/p"},
        {"bucket": "arn:aws:s3"},
    ):
        assert of(**settings).allowed == (), settings


PRIVATE = ["http://127.0.0.1:9000", "http://2130706433:9000", "http://0x7f.1:9000", "10.1.2.3", "http://[::1]:9000"]
PRIVATE += ["localhost:9000", "https://myminio:9000", "s3.corp.internal", "minio.localhost"]


@pytest.mark.parametrize("endpoint", PRIVATE)
def test_private_endpoint_needs_an_opt_in(endpoint: str) -> None:
    egress = of(endpoint=endpoint, bucket="demo")
    assert not egress.private
    assert egress.allow_private_endpoint().private


def test_public_endpoint_is_no_opt_in() -> None:
    endpoints = ["s3.amazonaws.com", "1.2.3.4", "https://minio.example.com", "[2606:4700::1]", "169.254.169.254"]
    for endpoint in [*endpoints, "[::ffff:127.0.0.1]", "[fe80::1]", "0.0.0.0"]:
        assert not of(endpoint=endpoint).allow_private_endpoint().private, endpoint


def resolved_to(*addresses: str) -> Any:
    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [
            (
                socket.AF_INET6 if ":" in text else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (text, port, 0, 0) if ":" in text else (text, port),
            )
            for text in addresses
        ]

    return look_up


def test_public_name_that_leads_to_a_private_address_is_refused(
    client_loop: Loop | None, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Agreeable()) as server:
        port = server.server.server_address[1]
        for address in ("127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "::1"):
            monkeypatch.setattr(socket, "getaddrinfo", resolved_to(address))
            client = Client(client_loop, engine=engine, bucket="demo", endpoint=f"http://s3.example.com:{port}", max_retries=0)
            with pytest.raises(NetworkError, match="is at .* which is"):
                client.head("k")
        assert server.connections == 0


def test_connection_is_made_to_the_address_that_was_checked(
    client_loop: Loop | None, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    asked = 0

    def rebinding(host: str, port: int, *arguments: Any, **options: Any) -> Any:
        nonlocal asked
        asked += 1
        return resolved_to(*next(answers))(host, port)

    with serving(Agreeable(lambda method, path: (200, {"etag": '"e"'}, b""))) as server:
        port = server.server.server_address[1]
        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        networks = ("127.0.0.0/8",)
        client = Client(client_loop, engine=engine, allow_networks=networks, bucket="demo", endpoint=f"http://s3.example.com:{port}")
        client.head("k")
        assert (asked, server.connections) == (1, 1)
        assert server.seen[0][2]["host"] == f"s3.example.com:{port}"


def test_addresses_that_are_refused_are_left_out(client_loop: Loop | None, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Agreeable(lambda method, path: (200, {"etag": '"e"'}, b""))) as server:
        port = server.server.server_address[1]
        monkeypatch.setattr(socket, "getaddrinfo", resolved_to("169.254.169.254", "::1", "127.0.0.1"))
        client = Client(client_loop, engine=engine, allow_private=True, bucket="demo", endpoint=f"http://s3.example.com:{port}")
        client.head("k")
        assert server.connections == 1


def test_unknown_name_is_a_network_error(client_loop: Loop | None, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NetworkError, match="not known"):
        Client(client_loop, engine=engine, bucket="demo", endpoint="http://s3.example.com", max_retries=0).head("k")


def test_networks_are_networks(engine: Engine) -> None:
    with pytest.raises(InvalidSettingsError, match="allow_networks"):
        Store(engine=engine, allow_networks=("nonsense",), bucket="demo", endpoint="http://s3.example.com")
