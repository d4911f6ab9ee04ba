"""Failures of a request, by the names of the contract's `transport-error`."""

from __future__ import annotations

import errno
import socket
import ssl

from ..text import sanitized

MAX_DETAIL = 1 << 10


class TransportError(Exception):
    """A request without a response, or with a truncated one."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error
        """The case of `transport-error`."""
        self.detail = sanitized(detail, MAX_DETAIL)
        """For people. Has no secret."""


_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL})


def of_connecting(error: OSError, where: str) -> TransportError:
    """The failure of a connection that was not made: nothing was sent."""
    if isinstance(error, socket.gaierror):
        return TransportError("dns-error", f"{where}: {error.strerror or error}")
    if isinstance(error, TimeoutError):
        return TransportError("connection-timeout", f"{where}: not connected in time")
    if isinstance(error, ConnectionRefusedError):
        return TransportError("connection-refused", f"{where}: connection refused")
    if error.errno in _UNREACHABLE:
        return TransportError("destination-unavailable", f"{where}: {error.strerror}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return TransportError("tls-certificate-error", f"{where}: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return TransportError("tls-protocol-error", f"{where}: {error.reason or error}")
    return TransportError("connection-refused", f"{where}: {error.strerror or error}")
