"""What a request that a plugin builds may look like: its method, its header fields, its size.

Framing and routing of a message belong to the host (RFC 9112): a field that changes how a connection is used or where a message ends is
in no list here. The lists are of what blob stores take; a field beyond them is an error that names it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..text import sanitized
from .egress import Authority, Egress

MAX_HEADER = 64 << 10
"""Bytes of a request's header fields. S3 takes 8 KiB; tags of a blob, percent-encoded, can be 36 KiB."""
MAX_FIELDS = 1024
MAX_PATH = 32 << 10
"""Bytes of path and query: a key of 1,024 bytes, percent-encoded, and a continuation token."""

_COMMON = frozenset({"accept", "authorization", "date", "user-agent"})
_EXTENSIONS = ("x-amz-", "x-ms-", "x-goog-")
_CONDITIONS = frozenset({"if-match", "if-modified-since", "if-none-match", "if-unmodified-since"})
_CONTENT = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-md5",
        "content-type",
        "expires",
    }
)
_WITH_BODY = frozenset({"put", "post"})
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+\Z")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*\Z")
_PATH = re.compile(r"/[\x21\x22\x24-\x7e]*\Z")


class Denied(Exception):
    """The request must not be sent. The text says why, for people."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may be sent."""

    method: str
    authority: Authority
    target: str
    headers: list[tuple[bytes, bytes]]
    length: int

    def __repr__(self) -> str:
        return f"Request({self.method} to {self.authority})"  # It is signed: anybody could send it.


def _is_allowed(method: str, name: str) -> bool:
    return (
        name in _COMMON
        or name.startswith(_EXTENSIONS)
        or name in _CONDITIONS
        or (name == "range" and method == "get")
        or (name in _CONTENT and method in _WITH_BODY)
    )


def _fields(method: str, headers: str) -> list[tuple[str, str]]:
    fields = []
    lines = headers.split("\n")
    if lines[-1] == "":
        lines.pop()
    if len(lines) > MAX_FIELDS:
        raise Denied(f"the plugin built a request with more than {MAX_FIELDS} header fields")
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.match(name) or not _VALUE.match(value):
            raise Denied("the plugin returned a request with a header that HTTP does not have")
        if name not in ("host", "content-length") and not _is_allowed(method, name):
            raise Denied(f"the plugin built a request with the header {sanitized(name, 64)}, which is not allowed here")
        fields.append((name, value))
    return fields


def checked(record: Any, methods: frozenset[str], egress: Egress, length: int) -> Request:
    """The request of a plugin, whose body has so many bytes, as it is sent.

    Raises:
        Denied: It breaks a rule, or leads to where the store may not send requests.
    """
    method, authority, path, headers = record["method"], record["authority"], record["path-with-query"], record["headers"]
    for part, text, most in (("a header", headers, MAX_HEADER), ("a path and query", path, MAX_PATH)):
        if len(text) > most or len(text.encode()) > most:
            raise Denied(f"the plugin built a request with {part} of more than the {most} bytes that are allowed")
    if method not in methods:
        allowed = ", ".join(sorted(methods)).upper() or "none"
        raise Denied(f"the plugin built a request with the method {method.upper()}, and only {allowed} is allowed here")
    if method not in _WITH_BODY and length > 0:
        raise Denied(f"the plugin built a request with the method {method.upper()} and a body of {length} bytes")
    if not _PATH.match(path):
        raise Denied("the plugin returned a request with a path that HTTP does not have")
    fields = _fields(method, headers)
    if [value for name, value in fields if name == "host"] != [authority]:
        raise Denied("the plugin built a request whose host is not its authority")
    lengths = [value for name, value in fields if name == "content-length"]
    if not lengths and length == 0:
        if method in _WITH_BODY:
            # A PUT without a body has a length all the same (RFC 9110, section 8.6).
            fields.append(("content-length", "0"))
    elif lengths != [str(length)]:
        raise Denied(f"the plugin built a request whose content-length is not its body's, which is {length}")
    allowed_authority = egress.check(record["https"], authority)
    if isinstance(allowed_authority, str):
        raise Denied(allowed_authority)
    encoded = [(name.encode("ascii"), value.encode()) for name, value in fields]
    return Request(method.upper(), allowed_authority, path, encoded, length)
