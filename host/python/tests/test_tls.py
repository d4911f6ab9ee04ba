"""TLS: certificates are verified for the host, and plain HTTP is never used in place of it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Client, Loop
from servers import Agreeable, serving
from test_connections import OK, drip, listening, opened

from sandbucket import ConfigError, Engine, NetworkError, RequestTimeoutError, Store

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key."""
    return made(tmp_path_factory.mktemp("tls") / "own.pem", "IP:127.0.0.1")


def made(path: Path, name: str) -> Path:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext"]
    command += [f"subjectAltName={name}", "-keyout", f"{path}.key", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.key").read_text())
    return path


def respond(method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {"etag": '"e"'}, b"x" * 1_000_000 if method == "GET" else b""


def test_trusted_certificate_is_needed(client_loop: Loop | None, engine: Engine, certificate: Path) -> None:
    with serving(Agreeable(respond), certificate) as server:
        arguments = {"engine": engine, "allow_private": True, "bucket": "demo", "endpoint": f"https://{server.authority}", "max_retries": 0}
        with pytest.raises(NetworkError, match="[Cc]ertificate"):
            Client(client_loop, **arguments).head("k")
        assert server.seen == []
        client = Client(client_loop, ca_file=certificate, **arguments)
        assert client.read("k") == b"x" * 1_000_000
        client.put("k", bytes(3_000_000))
        assert len(server.seen[-1][3]) == 3_000_000
        assert Client(client_loop, allow_invalid_certs=True, **arguments).read("k") == b"x" * 1_000_000


def test_certificate_of_another_host_is_refused(client_loop: Loop | None, engine: Engine, tmp_path: Path) -> None:
    certificate = made(tmp_path / "other.pem", "DNS:other.test")
    with serving(Agreeable(respond), certificate) as server:
        endpoint = f"https://{server.authority}"
        client = Client(
            client_loop, engine=engine, allow_private=True, ca_file=certificate, bucket="demo", endpoint=endpoint, max_retries=0
        )
        with pytest.raises(NetworkError, match="127.0.0.1"):
            client.head("k")
        assert server.seen == []


def test_service_without_tls_is_an_error(client_loop: Loop | None, engine: Engine) -> None:
    with serving(Agreeable(respond)) as server:
        endpoint = f"https://{server.authority}"
        client = Client(client_loop, engine=engine, allow_private=True, bucket="demo", endpoint=endpoint, max_retries=0, timeout="2s")
        with pytest.raises(NetworkError):
            client.head("k")
        assert server.seen == []


def encrypted(connection: socket.socket, certificate: Path) -> Callable[[bytes], bytes]:
    """Accepts a TLS session and a request: what encrypts the bytes of the response."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_side=True)

    def encrypt(data: bytes) -> bytes:
        session.write(data)
        return outgoing.read()

    for step in (session.do_handshake, session.read):
        while True:
            try:
                step()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                data = connection.recv(65536)
                if not data:
                    raise ConnectionResetError from None
                incoming.write(data)
        connection.sendall(outgoing.read())
    return encrypt


@pytest.mark.parametrize("whole", [b"", OK.removesuffix(b"ok")], ids=["head", "body"])
def test_bytes_of_a_record_do_not_move_the_deadline_of_a_read(
    client_loop: Loop | None, engine: Engine, certificate: Path, whole: bytes
) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        encrypt = encrypted(connection, certificate)
        connection.sendall(encrypt(whole) if whole else b"")
        drip(connection, encrypt(OK.removeprefix(whole)))

    with listening(serve) as (endpoint, _):
        authority = endpoint.removeprefix("http://")
        client = opened(client_loop, engine, f"https://{authority}", ca_file=certificate)
        with pytest.raises(RequestTimeoutError):
            client.read("k", if_match='"e"')


def test_odd_ca_file_is_named(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("nothing")
    for name, words in (("none", "cannot be read"), ("empty", "no certificate"), (".", "a folder")):
        with pytest.raises(ConfigError, match=words):
            Store(engine=engine, ca_file=tmp_path / name, bucket="demo", endpoint="https://s3.example.com")
