"""The HTTP client of one store: its idle connections, its egress policy, and the exchange of a request for a response."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol, cast

import h11

from ..io import Address, Io
from ..limits import Limits
from .connection import Connection, open_connection
from .egress import Egress
from .errors import TransportError
from .request import Request
from .tls import Tls

_COMBINED = 64 << 10
"""A head and the first piece of a body below this size leave in one packet."""


class Source(Protocol):
    """The body of a request."""

    length: int

    def pieces(self) -> AsyncGenerator[memoryview, None]:
        """Its bytes, from the beginning."""
        ...


class Stopwatch:
    """Measures time in which bodies are sent. It is excluded from deadlines."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.monotonic() - self._since


class Received:
    """A response. Its body is read from the connection, or dropped with it."""

    def __init__(self, client: Client, connection: Connection, key: object, head: h11.Response, reads: float) -> None:
        self.status = head.status_code
        self.headers = b"".join(b"%b:%b\n" % (name, value) for name, value in head.headers).decode("utf-8", "replace")
        self.timeout = reads
        """The longest silence within the body."""
        self._client = client
        self._connection: Connection | None = connection
        self._key = key
        self.is_over = False
        """Whether the whole body has arrived and was taken."""
        self._ahead: bytes | None = None
        event = self._event()
        if isinstance(event, h11.Data):
            self._ahead = bytes(event.data)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def _event(self) -> object:
        """The next event of the body: data, its end, or `NEED_DATA` if nothing more has arrived."""
        assert self._connection is not None
        try:
            event = self._connection.http.next_event()
        except h11.RemoteProtocolError as error:
            raise TransportError("http-response-incomplete", f"the body broke off: {error}") from None
        if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or event is h11.PAUSED:
            self.is_over = True
            self._client.give_back(self._key, self._connection)
            self._connection = None
        return event

    async def next(self, timeout: float | None = None) -> bytes | None:
        """The next bytes of the body, or `None` at its end.

        Raises:
            TransportError: It broke off (`http-response-incomplete`), or nothing came in time (`connection-read-timeout`).
        """
        if self._ahead is not None:
            piece, self._ahead = self._ahead, None
            return piece
        if self.is_over:
            return None
        if self._connection is None:
            raise TransportError("http-response-incomplete", "the body was closed")
        waits = self.timeout if timeout is None else min(timeout, self.timeout)
        end = time.monotonic() + waits
        try:
            while True:
                event = self._event()
                if isinstance(event, h11.Data):
                    return bytes(event.data)
                if self.is_over:
                    return None
                try:
                    # Bytes of the framing, such as the size of a chunk, do not move the deadline.
                    data = await self._connection.stream.receive(end - time.monotonic())
                except TimeoutError:
                    raise TransportError("connection-read-timeout", f"nothing of the body arrived for {waits:g} s") from None
                except OSError as error:
                    raise TransportError("http-response-incomplete", f"the body broke off: {error}") from None
                self._connection.feed(data)
        except BaseException:
            self.close()
            raise

    def finish(self) -> None:
        """Keeps the connection if the response has ended; drops it if more is to come."""
        if self._connection is not None and self._ahead is None:
            with contextlib.suppress(TransportError):
                self._event()
        self.close()

    def close(self) -> None:
        """Drops what was not read, and with it the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Client:
    """Sends the requests of one store. No connection is shared with another store."""

    def __init__(self, io: Io, egress: Egress, tls: Tls, limits: Limits) -> None:
        self._io = io
        self.egress = egress
        self._limits = limits
        self._tls = tls.context() if any(authority.https for authority in egress.allowed) else None
        self._idle: dict[object, list[Connection]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Closes the idle connections, and those in use when they are given back."""
        with self._lock:
            self._closed = True
            for connections in self._idle.values():
                for connection in connections:
                    connection.close()
            self._idle.clear()

    def give_back(self, key: object, connection: Connection) -> None:
        """Keeps a connection whose response was read to its end."""
        http = connection.http
        # Bytes after a response belong to no request: the next one must not take them for its own.
        is_over = not connection.stream.received and not http.trailing_data[0]
        if http.our_state is h11.DONE and http.their_state is h11.DONE and is_over:
            http.start_next_cycle()
            connection.begin()
            connection.idle_since = time.monotonic()
            with self._lock:
                if not self._closed and sum(map(len, self._idle.values())) < self._limits.idle_connections:
                    self._idle.setdefault(key, []).append(connection)
                    return
        connection.close()

    def _take_idle(self, key: object) -> Connection | None:
        """The connection that was used last, if it is still open. Those that are too old are closed."""
        oldest = time.monotonic() - self._limits.idle_timeout
        while True:
            with self._lock:
                connections = self._idle.get(key)
                if not connections:
                    return None
                connection = connections.pop()
            if connection.idle_since >= oldest and connection.stream.is_usable():
                return connection
            connection.close()

    async def _addresses(self, host: str, port: int, timeout: float) -> list[Address]:
        """The addresses of a host that may be connected to."""
        try:
            found = await self._io.resolve(host, port, timeout)
        except TimeoutError:
            raise TransportError("connection-timeout", f"{host}: the name was not looked up in time") from None
        except (OSError, UnicodeError) as error:
            raise TransportError("dns-error", f"{host}: {getattr(error, 'strerror', None) or error}") from None
        allowed, prohibition = [], None
        for family, place in found:
            refused = self.egress.refuses(str(place[0]))
            if refused is None:
                allowed.append((family, place))
            elif prohibition is None:
                advice = "" if refused.never else "; if it is meant, allow private addresses for this store (allow_private)"
                prohibition = f"{host} is at {place[0]}, which is {refused.kind} and forbidden to this store{advice}"
        if allowed:
            return allowed
        if prohibition is None:
            raise TransportError("dns-error", f"{host}: the name has no address")
        raise TransportError("destination-ip-prohibited", prohibition)

    async def _open(self, request: Request, timeout: float) -> Connection:
        authority = request.authority
        end = time.monotonic() + timeout
        addresses = await self._addresses(authority.host, authority.port, timeout)
        tls: ssl.SSLContext | None = None
        if authority.https:
            tls = self._tls
            assert tls is not None, "an authority with https has a context"
        stream = await open_connection(self._io, addresses, tls, authority.host, str(authority), end - time.monotonic())
        return Connection(stream, self._limits.header_bytes)

    async def send(self, request: Request, body: Source, timeout: float, left: float, fresh: bool, sending: Stopwatch) -> Received:
        """Sends a request and waits for the head of its response.

        `timeout` is the longest wait without progress, `left` that for all, without the time in which the body is sent, which `sending`
        measures.

        Raises:
            TransportError: There is no response.
        """
        key = request.authority
        limits = self._limits
        began = time.monotonic()
        connection = None if fresh else self._take_idle(key)
        try:
            while True:
                is_reused = connection is not None
                if connection is None:
                    connects = min(timeout, limits.connect_timeout, left - (time.monotonic() - began - sending.seconds))
                    connection = await self._open(request, connects)
                try:
                    with sending:
                        head = await self._send(connection, request, body, min(timeout, limits.between_bytes_timeout))
                    if head is None:
                        waits = min(timeout, limits.first_byte_timeout, left - (time.monotonic() - began - sending.seconds))
                        head = await self._response(connection, time.monotonic() + waits)
                    break
                except _Unanswered as error:
                    if not is_reused or request.method not in ("GET", "HEAD"):
                        raise TransportError(error.error, error.detail) from None
                    # The service closed the idle connection when it was used again.
                    connection.close()
                    connection = None
            is_sent = connection.http.our_state in (h11.DONE, h11.MUST_CLOSE)
            if not is_sent and 200 <= head.status_code < 300:
                raise TransportError("connection-terminated", "a success before the whole request was sent")
            reads = min(timeout, limits.between_bytes_timeout)
            return Received(self, connection, key, head, reads)
        except BaseException:
            if connection is not None:
                connection.close()
            raise

    async def _send(self, connection: Connection, request: Request, body: Source, timeout: float) -> h11.Response | None:
        """Sends the request, and stops where a response comes before its end: that response."""
        http = connection.http
        try:
            head = http.send(h11.Request(method=request.method, target=request.target, headers=request.headers)) or b""
        except h11.LocalProtocolError as error:
            raise TransportError("http-request-denied", f"the plugin returned a request that HTTP does not have: {error}") from None
        if request.length == 0:
            http.send(h11.EndOfMessage())
            return await self._write(connection, memoryview(head), timeout)
        async with aclosing(body.pieces()) as pieces:
            async for piece in pieces:
                http.send_with_data_passthrough(h11.Data(data=cast(bytes, piece)))
                if head:
                    if len(head) + len(piece) < _COMBINED:
                        piece, head = memoryview(head + piece), b""
                    else:
                        early = await self._write(connection, memoryview(head), timeout)
                        head = b""
                        if early is not None:
                            return early
                early = await self._write(connection, piece, timeout)
                if early is not None:
                    return early
        # Only now: the state of h11 shows whether the whole request was sent.
        http.send(h11.EndOfMessage())
        return None

    async def _write(self, connection: Connection, data: memoryview, timeout: float) -> h11.Response | None:
        stream = connection.stream
        end = time.monotonic() + timeout
        while data or stream.has_unsent:
            try:
                data, end = await stream.send(data, timeout, end)
            except TimeoutError:
                raise TransportError("connection-write-timeout", f"the service took no byte for {timeout:g} s") from None
            except OSError as error:
                return await self._after_break(connection, error, timeout)
            if stream.received or stream.ended:
                early = self._arrived(connection)
                if early is not None:
                    return early
        return None

    def _arrived(self, connection: Connection) -> h11.Response | None:
        """The response, if its head has arrived."""
        stream = connection.stream
        if stream.received:
            connection.feed(stream.take())
        event = connection.next_event()
        if isinstance(event, h11.Response):
            return event
        if stream.ended:
            raise _Unanswered("the service closed the connection while the request was sent")
        return None

    async def _after_break(self, connection: Connection, error: OSError, timeout: float) -> h11.Response:
        """A service that refuses a body may respond, and close the connection: the response has arrived then."""
        try:
            return await self._response(connection, time.monotonic() + min(timeout, 1.0))
        except _Unanswered:
            raise _Unanswered(f"the connection broke while the request was sent: {error}") from None
        except TransportError:
            raise TransportError("connection-terminated", f"the connection broke while the request was sent: {error}") from None

    async def _response(self, connection: Connection, end: float) -> h11.Response:
        """Waits for the head of the response."""
        stream = connection.stream
        began = False
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                return event
            try:
                data = await stream.receive(end - time.monotonic())
            except TimeoutError:
                raise TransportError("http-response-timeout", "no response in time") from None
            except OSError as error:
                if began:
                    raise TransportError("http-response-incomplete", f"the connection broke within the response: {error}") from None
                raise _Unanswered(f"the connection broke before a response: {error}") from None
            if not data:
                if began:
                    raise TransportError("http-response-incomplete", "the connection was closed within the head of the response")
                raise _Unanswered("the connection was closed before a response")
            began = True
            connection.feed(data)


class _Unanswered(TransportError):
    """The connection broke, and not a byte of a response arrived."""

    def __init__(self, detail: str) -> None:
        super().__init__("connection-terminated", detail)
