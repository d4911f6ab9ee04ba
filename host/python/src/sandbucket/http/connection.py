"""A connection: a socket, TLS on it, and HTTP/1.1."""

from __future__ import annotations

import os
import socket
import ssl
import time

import h11

from ..io import Address, Io
from .errors import TransportError, of_connecting

READ_SIZE = 256 << 10
"""Bytes that one system call reads. Smaller ones cost time for large bodies."""

MAX_INFORMATIONAL = 64
"""Responses with a status of 1xx before the final one."""

_SEND_SIZE = 128 << 10
"""Bytes of a body that are encrypted at once."""


def _left(end: float) -> float:
    """The time until a deadline. Raises `TimeoutError` if it is over, so that a peer whose bytes never pause cannot keep it away."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class Stream:
    """A non-blocking socket, with TLS or without. Bytes that arrive while others are sent are kept."""

    def __init__(self, io: Io, sock: socket.socket) -> None:
        self._io = io
        self._sock = sock
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unsent = memoryview(b"")
        self.received = bytearray()
        """Bytes that arrived and were not taken."""
        self.ended = False
        """Whether the peer will send no more."""

    def close(self) -> None:
        """Closes it at once."""
        self._sock.close()

    def is_usable(self) -> bool:
        """Whether an idle connection can take a request: it was not closed, and no bytes arrived, which would belong to no request."""
        try:
            self._pull()
        except OSError:
            return False
        return not self.ended and not self.received

    async def start_tls(self, context: ssl.SSLContext, host: str, timeout: float) -> None:
        """Makes a TLS session. Raises `ssl.SSLError`, `TimeoutError` or another `OSError`."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        end = time.monotonic() + timeout
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush(end)
                await self._io.ready(self._sock, True, False, _left(end))
                data = self._read_socket()
                if data == b"":
                    raise ConnectionResetError("the connection was closed during the handshake") from None
                if data:
                    self._incoming.write(data)
            except ssl.SSLError:
                await self._flush(end)  # The alert.
                raise
            else:
                break
        await self._flush(end)
        self._tls = tls

    async def _flush(self, end: float) -> None:
        pending = memoryview(self._outgoing.read())
        while pending:
            try:
                pending = pending[self._sock.send(pending) :]
            except BlockingIOError:
                await self._io.ready(self._sock, False, True, _left(end))

    def _read_socket(self) -> bytes | None:
        """What arrived: no bytes at the end, `None` if there are none yet."""
        try:
            return self._sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return None

    def _pull(self) -> bool:
        """Takes what has arrived. Whether anything has."""
        data = self._read_socket()
        if data is None:
            return False
        if self._tls is None:
            self.received += data
            self.ended = self.ended or not data
            return True
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        while True:
            try:
                piece = self._tls.read(READ_SIZE)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                # The framing of HTTP shows whether anything is missing.
                self.ended = True
                break
            if not piece:
                self.ended = True
                break
            self.received += piece
        if not data:
            self.ended = True
        return True

    def take(self) -> bytes:
        """Takes the bytes that arrived."""
        data = bytes(self.received)
        self.received.clear()
        return data

    async def send(self, data: memoryview, timeout: float, end: float) -> tuple[memoryview, float]:
        """Sends bytes until all are with the system, or until others arrive: those that are still to be sent, and their deadline.

        `end` is the deadline of the next byte, on the monotonic clock. Each write moves it to `timeout` from then; bytes that arrive do
        not. Raises `TimeoutError` or another `OSError`.
        """
        while data or self._unsent:
            if self._tls is not None and not self._unsent:
                piece = data[:_SEND_SIZE]
                self._tls.write(piece)
                data = data[len(piece) :]
                self._unsent = memoryview(self._outgoing.read())
            try:
                if self._tls is None:
                    data = data[self._sock.send(data) :]
                else:
                    self._unsent = self._unsent[self._sock.send(self._unsent) :]
                end = time.monotonic() + timeout
                continue
            except (BlockingIOError, InterruptedError):
                pass
            readable, _ = await self._io.ready(self._sock, not self.ended, True, _left(end))
            if readable and self._pull():
                break
        return data, end

    @property
    def has_unsent(self) -> bool:
        """Whether encrypted bytes wait for the system."""
        return bool(self._unsent)

    async def receive(self, timeout: float) -> bytes:
        """Waits for bytes: none at the end of the stream. Raises `TimeoutError` or another `OSError`.

        Encrypted bytes that do not yet make a record are not waited for longer.
        """
        end = time.monotonic() + timeout
        while not self.received and not self.ended:
            arrived = self._pull()
            if self.received or self.ended:
                break
            left = _left(end)
            if not arrived:
                await self._io.ready(self._sock, True, False, left)
        return self.take()


async def connect(io: Io, address: Address, timeout: float) -> Stream:
    """A connection to this address, whatever the name said. Raises `OSError`."""
    family, place = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect(place)
        except (BlockingIOError, InterruptedError):
            await io.ready(sock, False, True, timeout)
            failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                raise OSError(failed, os.strerror(failed)) from None
    except BaseException:
        sock.close()
        raise
    return Stream(io, sock)


class Connection:
    """An HTTP/1.1 connection."""

    def __init__(self, stream: Stream, header_bytes: int) -> None:
        self.stream = stream
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=header_bytes)
        self.idle_since = 0.0
        self._informational = 0

    def close(self) -> None:
        """Closes it at once."""
        self.stream.close()

    def next_event(self) -> object:
        """What arrived so far: an event of h11, or `h11.NEED_DATA`."""
        while True:
            try:
                event = self.http.next_event()
            except h11.RemoteProtocolError as error:
                if error.error_status_hint == 431:
                    raise TransportError("http-response-header-section-size", "the response's header is too large") from None
                raise TransportError("http-protocol-error", f"the response is not HTTP: {error}") from None
            if isinstance(event, h11.Response) and event.http_version not in (b"1.0", b"1.1"):
                raise TransportError("http-protocol-error", "the response is of another version of HTTP")
            if not isinstance(event, h11.InformationalResponse):
                return event
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL or event.status_code == 101:
                raise TransportError("http-protocol-error", "informational responses without end")

    def feed(self, data: bytes) -> None:
        """Passes on what arrived; no bytes are the end of the stream."""
        try:
            self.http.receive_data(data)
        except RuntimeError:
            raise TransportError("http-protocol-error", "bytes after the end of the connection") from None

    def begin(self) -> None:
        """Prepares the next request of a connection that was used."""
        self._informational = 0


async def open_connection(io: Io, addresses: list[Address], tls: ssl.SSLContext | None, host: str, where: str, timeout: float) -> Stream:
    """A connection to the first of these addresses that accepts one.

    Raises:
        TransportError: None does.
    """
    end = time.monotonic() + timeout
    failure: OSError = TimeoutError()
    for place, address in enumerate(addresses):
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            # One that does not answer leaves time for the others.
            stream = await connect(io, address, left / (len(addresses) - place))
        except OSError as error:
            failure = error
            continue
        if tls is None:
            return stream
        try:
            await stream.start_tls(tls, host.strip("[]"), end - time.monotonic())
            return stream
        except (OSError, ValueError) as error:
            stream.close()
            if isinstance(error, ConnectionError) or not isinstance(error, OSError):
                raise TransportError("tls-protocol-error", f"{where}: {error}") from None
            failure = error
            break
        except BaseException:
            stream.close()
            raise
    raise of_connecting(failure, where)
