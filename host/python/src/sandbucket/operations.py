"""What the driver has to know of each operation: its name for people, the methods of its requests, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_REQUESTS = 128
"""Requests that one operation may send: more than any setting asks for (`max-retries` is at most 100)."""
PER_UPLOADS = 50
"""Requests of a listing of uploads, besides."""
FREE_REQUESTS = 4
"""Requests that may follow one another as soon as the plugin likes."""

_LOOK = frozenset({"get", "head"})
_PUT = frozenset({"put", "get", "head"})
_POST = frozenset({"post", "get", "head"})

# After a write whose response is lost, the plugin looks what is stored: hence the reads among the methods of writes.
_OPERATIONS: dict[str, tuple[str, frozenset[str]]] = {
    "head": ("head", frozenset({"head"})),
    "get": ("get", _LOOK),
    "put": ("put", _PUT),
    "delete": ("delete", frozenset({"delete"})),
    "delete-many": ("delete several blobs", frozenset({"post", "delete"})),
    "list": ("list", _LOOK),
    "list-versions": ("list versions", _LOOK),
    "copy": ("copy", _PUT),
    "presign": ("presign", frozenset()),
    "get-tags": ("get tags", _LOOK),
    "set-tags": ("set tags", frozenset({"put", "delete"})),
    "create-upload": ("begin an upload", _POST),
    "upload-part": ("upload a part", _PUT),
    "copy-part": ("copy a part", _PUT),
    "list-parts": ("list parts", _LOOK),
    "complete-upload": ("complete an upload", frozenset({"post", "put", "get", "head"})),
    "abort-upload": ("abort an upload", frozenset({"delete", "get", "put"})),
    "list-uploads": ("list uploads", _LOOK),
    "create-bucket": ("create a bucket", _PUT),
    "delete-bucket": ("delete a bucket", frozenset({"delete", "get", "head"})),
    "bucket-exists": ("look for a bucket", _LOOK),
    "list-buckets": ("list buckets", _LOOK),
}

_STEP = 256 << 10
_PER_ITEM = 1 << 10
_PER_BYTE = 16


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the contract with its arguments, as a record of the contract."""

    case: str
    arguments: Any

    @property
    def name(self) -> str:
        """The operation, for people."""
        return _OPERATIONS[self.case][0]

    @property
    def methods(self) -> frozenset[str]:
        """Methods of its requests."""
        return _OPERATIONS[self.case][1]

    @property
    def key(self) -> str:
        """The key or the bucket, where it is of one."""
        arguments = self.arguments or {}
        return str(arguments.get("key") or arguments.get("to") or arguments.get("name") or "")

    @property
    def has_body(self) -> bool:
        """Whether a body of the caller is sent."""
        return self.case in ("put", "upload-part")

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.methods <= _LOOK

    @property
    def further(self) -> int:
        """Requests beyond those of other operations: a bulk delete can fall back to one for each blob, and Azure is asked for the
        blocks of each key of a page of uploads."""
        if self.case == "delete-many":
            return len(self.arguments["blobs"])
        return PER_UPLOADS if self.case == "list-uploads" else 0

    @property
    def max_requests(self) -> int:
        """Requests in all."""
        return MAX_REQUESTS + self.further

    @property
    def free_requests(self) -> int:
        """Requests before the driver forces a pause before each."""
        return FREE_REQUESTS + self.further

    @property
    def exchange_bytes(self) -> int:
        """Bytes that the state and the body of an exchange may have: the documents of some operations grow with their input."""
        arguments = self.arguments or {}
        texts: list[str] = []
        for blob in arguments.get("blobs", ()):
            texts += [blob["key"], blob.get("version") or ""]
        for name, value in arguments.get("tags", ()):
            texts += [name, value]
        for part in arguments.get("parts", ()):
            texts.append(part["etag"])
            texts += [text for pair in part["attributes"] for text in pair]
        return _STEP + sum(_PER_ITEM + _PER_BYTE * len(text.encode()) for text in texts)
