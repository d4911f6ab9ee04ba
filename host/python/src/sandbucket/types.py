"""Data types of the API. Times are aware `datetime`s in UTC; sizes and offsets are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """Properties of a blob."""

    size: int | None
    """Length of the whole blob, also if only a range was read. `None` if the service does not report it."""
    etag: str | None
    """Entity tag as the service spells it, with quotes. For use in conditions."""
    last_modified: datetime | None
    content_type: str | None
    metadata: dict[str, str]
    """User metadata, names in lower case."""
    version: str | None
    """Version that was read or written, in a versioned bucket."""
    attributes: dict[str, str]
    """Further properties, such as `cache-control` or `storage-class`."""


@dataclass(frozen=True, slots=True)
class Written:
    """Result of a write."""

    etag: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A blob in a listing."""

    key: str
    size: int
    etag: str | None
    last_modified: datetime | None
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of a listing."""

    entries: list[Entry]
    prefixes: list[str]
    """Common prefixes, each once, including the delimiter."""
    next: str | None
    """`continuation` of the next page; `None` on the last one."""


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """A version of a blob, or a delete marker."""

    blob: Entry
    version: str | None
    latest: bool
    deleted: bool
    """Whether it is a delete marker."""


@dataclass(frozen=True, slots=True)
class VersionPage:
    """A page of a listing of versions, the newest of each key first."""

    entries: list[VersionEntry]
    prefixes: list[str]
    next: str | None


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A blob to delete."""

    key: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class CopySource:
    """The source of a copy."""

    key: str
    bucket: str | None = None
    """Default: the store's own."""
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Presigned:
    """A presigned request: anybody can send it, without credentials, until it expires."""

    url: str = field(repr=False)
    """URL. Treat it as a secret."""
    headers: dict[str, str] = field(repr=False)
    """Header fields to send with it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart upload."""

    number: int
    size: int
    etag: str
    last_modified: datetime | None = None
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartPage:
    """A page of the parts of an upload."""

    parts: list[Part]
    next: str | None


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that was neither completed nor aborted."""

    key: str
    id: str
    initiated: datetime | None


@dataclass(frozen=True, slots=True)
class UploadPage:
    """A page of uploads."""

    uploads: list[Upload]
    next: str | None


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket."""

    name: str
    created: datetime | None
    region: str | None


@dataclass(frozen=True, slots=True)
class BucketPage:
    """A page of buckets."""

    buckets: list[Bucket]
    next: str | None


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest or checksum of a body, as bytes."""

    algorithm: str
    value: bytes


@dataclass(frozen=True, slots=True)
class BlobHead:
    """The properties of a blob whose body is being read."""

    info: BlobInfo
    start: int
    end: int
    body_start: int
    body_end: int
    digest: Digest | None


@dataclass(frozen=True, slots=True)
class Setting:
    """Documentation of a setting of the plugin."""

    name: str
    aliases: list[str]
    kind: str
    default: str | None
    required: bool
    secret: bool
    help: str


class CallOptions(TypedDict, total=False):
    """Options of every call."""

    timeout: float | None
    """Time limit of the whole call in seconds, without the time in which a body that the caller gave is sent."""
    max_retries: int | None
    attributes: Mapping[str, str] | None
    """Attributes by their names, such as `storage-class` (docs/attributes.md)."""


class ReadOptions(CallOptions, total=False):
    """Options of `head` and `get`."""

    version: str | None
    if_match: str | None
    """The blob's entity tag must be this one; otherwise the error is `PreconditionFailedError`."""
    if_none_match: str | None
    """The blob's entity tag must not be this one; otherwise the error is `NotModifiedError`."""
    if_modified_since: datetime | None
    if_unmodified_since: datetime | None


class VersionOptions(CallOptions, total=False):
    """Options of calls that may name a version."""

    version: str | None


class WriteOptions(CallOptions, total=False):
    """Options of `put` and `upload`."""

    content_type: str | None
    metadata: Mapping[str, str] | None
    if_absent: bool
    """Write only if the key does not exist."""
    if_match: str | None
    """Write only if the stored blob has this entity tag."""


class UploadOptions(WriteOptions, total=False):
    """Options of `upload`."""

    part_size: int
    """Size of the equal parts: at least 5 MiB on S3. Default: 8 MiB."""
    concurrency: int
    """Number of parts in flight. Memory is `part_size` times one more. Default: 4."""
    length_hint: int | None
    """Approximate length of the body: all parts up to it are equal."""


class CopyOptions(CallOptions, total=False):
    """Options of `copy`."""

    if_absent: bool
    if_match: str | None
    """Copy only if the destination has this entity tag."""
    source_if_match: str | None
    """Copy only if the source has this entity tag."""
    source_if_none_match: str | None
    content_type: str | None
    """With `metadata`, replaces all properties of the source."""
    metadata: Mapping[str, str] | None


class PageOptions(CallOptions, total=False):
    """Options of listings."""

    page_size: int | None
    """Entries of a page, 1 to 1,000."""
    continuation: str | None
    """`next` of the page before."""


class ListOptions(PageOptions, total=False):
    """Options of listings of blobs."""

    delimiter: str | None
    """Keys with this text after the prefix are grouped."""
    start_after: str | None
    """Only keys after this one, which need not exist."""


class PrefixOptions(PageOptions, total=False):
    """Options of listings of uploads and buckets."""

    prefix: str | None


class PresignOptions(CallOptions, total=False):
    """Options of `presign`."""

    version: str | None
    headers: Mapping[str, str] | None
    """Header fields that the request must be sent with, names in lower case."""
