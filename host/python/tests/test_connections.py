"""Connections at the level of sockets: what a keep-alive connection and a slow or hostile peer do."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Client, Loop

from sandbucket import Engine, NetworkError, PreconditionFailedError, RequestTimeoutError, SandbucketError, Store

Serve = Callable[[socket.socket, int], None]
OK = b'HTTP/1.1 200 OK\r\netag: "e"\r\ncontent-length: 2\r\n\r\nok'


@contextlib.contextmanager
def listening(serve: Serve) -> Iterator[tuple[str, list[socket.socket]]]:
    """A listener whose connections are served by a function, with their numbers."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                accepted.append(connection)
                threading.Thread(target=serve_one, args=(connection, len(accepted)), daemon=True).start()

    def serve_one(connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), connection:
            serve(connection, number)

    threading.Thread(target=run, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", accepted
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def head_of(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionResetError
        head += piece
    return head


def opened(loop: Loop | None, engine: Engine, endpoint: str, **settings: Any) -> Client:
    return Client(
        loop, engine=engine, allow_private=True, bucket="demo", endpoint=endpoint, **{"max_retries": 0, "timeout": "1s", **settings}
    )


def test_get_on_a_connection_that_was_closed_meanwhile_is_sent_again(client_loop: Loop | None, engine: Engine) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        head_of(connection)
        connection.sendall(OK)
        if number == 1:
            # Closes when it is used again: after the next request has arrived.
            head_of(connection)
            return
        while True:
            head_of(connection)
            connection.sendall(OK)

    with listening(serve) as (endpoint, accepted):
        client = opened(client_loop, engine, endpoint)
        assert [client.read("k") for _ in range(3)] == [b"ok"] * 3
        assert len(accepted) == 2


def test_put_on_a_connection_that_was_closed_meanwhile_is_the_plugins_to_repeat(client_loop: Loop | None, engine: Engine) -> None:
    heads = []

    def serve(connection: socket.socket, number: int) -> None:
        heads.append(head_of(connection))
        connection.sendall(b'HTTP/1.1 200 OK\r\netag: "e"\r\ncontent-length: 0\r\n\r\n')
        heads.append(head_of(connection))

    with listening(serve) as (endpoint, _):
        client = opened(client_loop, engine, endpoint)
        client.put("k", b"")
        with pytest.raises(NetworkError) as caught:
            client.put("k", b"")
        assert (caught.value.retryable, len(heads)) == (True, 2)


def test_bytes_of_no_request_close_a_connection(client_loop: Loop | None, engine: Engine) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        head_of(connection)
        connection.sendall(OK + (b'HTTP/1.1 200 OK\r\netag: "e"\r\ncontent-length: 6\r\n\r\nforged' if number == 1 else b""))
        head_of(connection)

    with listening(serve) as (endpoint, accepted):
        client = opened(client_loop, engine, endpoint)
        assert [client.read("k") for _ in range(2)] == [b"ok"] * 2
        assert len(accepted) == 2


def test_silent_peer_is_a_timeout_in_every_phase(client_loop: Loop | None, engine: Engine) -> None:
    gone = threading.Event()

    def silent(connection: socket.socket, number: int) -> None:
        gone.wait(20)

    def half(connection: socket.socket, number: int) -> None:
        head_of(connection)
        connection.sendall(b'HTTP/1.1 200 OK\r\netag: "e"\r\n')
        gone.wait(20)

    try:
        for serve in (silent, half):
            with listening(serve) as (endpoint, _):
                client = opened(client_loop, engine, endpoint)
                with pytest.raises(RequestTimeoutError):
                    client.read("k")
                with pytest.raises(RequestTimeoutError):
                    client.put("k", bytes(64 << 20))
    finally:
        gone.set()


def drip(connection: socket.socket, data: bytes) -> None:
    """Sends byte by byte, each well within the client's timeout of a second, and all of them well beyond it."""
    for at in range(len(data)):
        connection.sendall(data[at : at + 1])
        time.sleep(0.2)


def test_bytes_that_arrive_do_not_move_the_deadline_of_a_write(client_loop: Loop | None, engine: Engine) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        drip(connection, b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 20)
        connection.sendall(b"\r\ncontent-length: 0\r\n\r\n")
        head_of(connection)

    with listening(serve) as (endpoint, _):
        client = opened(client_loop, engine, endpoint)
        with pytest.raises(RequestTimeoutError, match="took no byte for 1 s"):
            client.put("k", bytes(64 << 20))


def test_bytes_of_the_framing_do_not_move_the_deadline_of_a_body(client_loop: Loop | None, engine: Engine) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        head_of(connection)
        connection.sendall(b'HTTP/1.1 200 OK\r\netag: "e"\r\ntransfer-encoding: chunked\r\n\r\n')
        drip(connection, b"2;" + b"a" * 20)
        connection.sendall(b"\r\nok\r\n0\r\n\r\n")

    with listening(serve) as (endpoint, _):
        client = opened(client_loop, engine, endpoint)
        with pytest.raises(RequestTimeoutError, match="nothing of the body arrived for 1 s"):
            client.read("k")


def parts_of(etag: Callable[[int], str], size: Callable[[int], int], pause: float) -> Serve:
    """A service that ignores conditions: ranges of 2 bytes, by their start."""

    def serve(connection: socket.socket, number: int) -> None:
        while True:
            start = int(head_of(connection).lower().partition(b"range: bytes=")[2].partition(b"-")[0])
            time.sleep(pause)
            head = f'HTTP/1.1 206 X\r\netag: "{etag(start)}"\r\ncontent-range: bytes {start}-{start + 1}/{size(start)}\r\n'
            connection.sendall(head.encode() + b"content-length: 2\r\n\r\nok")

    return serve


@pytest.mark.parametrize(
    ("etag", "size"), [(lambda at: "a" if at < 4 else "b", lambda at: 8), (lambda at: "a", lambda at: 8 if at < 4 else 10)]
)
def test_parts_of_a_download_are_of_the_same_blob(
    client_loop: Loop | None, engine: Engine, etag: Callable[[int], str], size: Callable[[int], int]
) -> None:
    with listening(parts_of(etag, size, 0)) as (endpoint, _):
        client = opened(client_loop, engine, endpoint)
        with pytest.raises(PreconditionFailedError, match="changed while it was being read"):
            client.download("k", io.BytesIO(), part_size=2)


def test_time_limit_covers_all_parts_of_a_download(client_loop: Loop | None, engine: Engine) -> None:
    with listening(parts_of(lambda at: "a", lambda at: 20, 0.3)) as (endpoint, _):
        client = opened(client_loop, engine, endpoint)
        assert client.download("k", io.BytesIO(), part_size=2, concurrency=2).size == 20
        with pytest.raises(RequestTimeoutError):
            client.download("k", io.BytesIO(), part_size=2, concurrency=1, timeout=1)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"\x16\x03\x01\x00\x02\x02\x28",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
    ],
    ids=["endless-100", "upgrade", "long-head", "two-lengths", "negative-length", "nul", "version", "tls", "ssh", "nothing"],
)
def test_response_that_is_not_http_is_an_error(client_loop: Loop | None, engine: Engine, response: bytes) -> None:
    def serve(connection: socket.socket, number: int) -> None:
        head_of(connection)
        connection.sendall(response)

    with listening(serve) as (endpoint, _):
        client = opened(client_loop, engine, endpoint)
        for name, arguments in (("head", ("k",)), ("put", ("k", b"x"))):
            with pytest.raises(SandbucketError) as caught:
                getattr(client, name)(*arguments)
            assert caught.value.kind in ("network", "integrity", "outcome-unknown"), repr(caught.value)


def test_call_waits_for_others_of_the_store_no_longer_than_its_time(engine: Engine) -> None:
    from sandbucket import BusyError, Limits

    held = threading.Event()

    def serve(connection: socket.socket, number: int) -> None:
        head_of(connection)
        held.wait(20)
        connection.sendall(OK)

    limited = Engine(limits=Limits(calls_per_store=1))
    with listening(serve) as (endpoint, _):
        store = Store(engine=limited, allow_private=True, bucket="demo", endpoint=endpoint)
        read: list[bytes] = []
        first = threading.Thread(target=lambda: read.append(store.read("k")))
        first.start()
        while store._core._driver.io._places._value != 0:  # type: ignore[attr-defined]
            pass
        try:
            with pytest.raises(BusyError) as caught:
                store.head("k", timeout=0.2)
            assert caught.value.retryable
        finally:
            held.set()
            first.join()
        assert read == [b"ok"]
