"""Validation of what a plugin returns, applied once, where its values become the types of this package.

A plugin is an attacker. wasmtime has checked the types; what is left is that each value can be used without a second look: lengths,
counts, dates, and characters that could forge a header or a line of a log. What does not hold is `PluginError`; text for people is
escaped and cut instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from . import errors
from .digests import LENGTHS
from .errors import PluginError, SandbucketError, ServiceResponse
from .text import has_controls, sanitized
from .types import (
    BlobHead,
    BlobInfo,
    Bucket,
    BucketPage,
    Digest,
    Entry,
    ListPage,
    Part,
    PartPage,
    Presigned,
    Upload,
    UploadPage,
    VersionEntry,
    VersionPage,
    Written,
)

UNKNOWN_SIZE = (1 << 64) - 1
"""The end of a range where the service reports no size."""

MAX_MESSAGE = 4 << 10
MAX_WORD = 256
MAX_KEY = 4 << 10
MAX_TAG = 2 << 10
MAX_TOKEN = 16 << 10
MAX_VALUE = 64 << 10
MAX_PAIRS = 2048
MAX_PAGE = 10_000
MAX_URL = 32 << 10
MAX_SECONDS = 253_402_300_799
"""The last second of the year 9999: calendars have no later one."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ARCHIVED = frozenset({"InvalidObjectState", "BlobArchived", "BlobBeingRehydrated"})
"""Codes of S3 and Azure for blobs that have to be restored first."""
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def _bounded(what: str, text: str, most: int) -> str:
    if len(text) > most or len(text.encode("utf-8", "surrogatepass")) > most:
        raise PluginError(f"plugin: it returned {what} longer than the {most} bytes that are taken")
    return text


def _counted(what: str, items: list[Any], most: int) -> list[Any]:
    if len(items) > most:
        raise PluginError(f"plugin: it returned {len(items)} {what}, and at most {most} are taken")
    return items


def _plain(what: str, text: str, most: int) -> str:
    if has_controls(_bounded(what, text, most)):
        raise PluginError(f"plugin: it returned {what} with control characters")
    return text


def _tag(what: str, text: str | None) -> str | None:
    return None if text is None else _plain(what, text, MAX_TAG)


def _pairs(what: str, pairs: list[tuple[str, str]]) -> dict[str, str]:
    return {_plain("a name", name, MAX_TAG): _bounded("a value", value, MAX_VALUE) for name, value in _counted(what, pairs, MAX_PAIRS)}


def _attributes(pairs: list[tuple[str, str]]) -> dict[str, str]:
    return {
        _plain("a name", name, MAX_TAG): _plain("an attribute", value, MAX_VALUE)
        for name, value in _counted("attributes", pairs, MAX_PAIRS)
    }


def _time(record: dict[str, int] | None) -> datetime | None:
    if record is None or record["seconds"] > MAX_SECONDS:
        return None
    return _EPOCH + timedelta(seconds=record["seconds"], microseconds=min(record["nanoseconds"], 999_999_999) // 1000)


def _next(token: str | None) -> str | None:
    return None if token is None else _bounded("a continuation token", token, MAX_TOKEN)


def _prefixes(prefixes: list[str]) -> list[str]:
    return [_bounded("a key", prefix, MAX_KEY) for prefix in _counted("prefixes in a page", prefixes, MAX_PAGE)]


def _info(record: Any) -> BlobInfo:
    return BlobInfo(
        size=record["size"],
        etag=_tag("an entity tag", record["etag"]),
        last_modified=_time(record["last-modified"]),
        content_type=_tag("a media type", record["content-type"]),
        metadata=_pairs("pieces of metadata", record["metadata"]),
        version=_tag("a version", record["version"]),
        attributes=_attributes(record["attributes"]),
    )


def _written(record: Any) -> Written:
    return Written(_tag("an entity tag", record["etag"]), _tag("a version", record["version"]))


def _entry(record: Any) -> Entry:
    return Entry(
        key=_bounded("a key", record["key"], MAX_KEY),
        size=record["size"],
        etag=_tag("an entity tag", record["etag"]),
        last_modified=_time(record["last-modified"]),
        attributes=_attributes(record["attributes"]),
    )


def _version(record: Any) -> VersionEntry:
    return VersionEntry(_entry(record["blob"]), _tag("a version", record["version"]), record["latest"], record["deleted"])


def _part(record: Any) -> Part:
    return Part(
        number=record["number"],
        size=record["size"],
        etag=_plain("an entity tag", record["etag"], MAX_TAG),
        last_modified=_time(record["last-modified"]),
        attributes=_attributes(record["attributes"]),
    )


def _head(record: Any) -> BlobHead:
    digest = record["digest"]
    if digest is not None and len(digest["value"]) != LENGTHS[digest["algorithm"]]:
        raise PluginError(f"plugin: it returned a digest {digest['algorithm']} of {len(digest['value'])} bytes")
    return BlobHead(
        info=_info(record["info"]),
        start=record["range"]["start"],
        end=record["range"]["end"],
        body_start=record["body-range"]["start"],
        body_end=record["body-range"]["end"],
        digest=None if digest is None else Digest(digest["algorithm"], digest["value"]),
    )


def _presigned(record: Any) -> Presigned:
    headers = {}
    for name, value in _counted("headers", record["headers"], 128):
        if not name or len(name) > MAX_TAG or not _TOKEN.issuperset(name.lower()):
            raise PluginError("plugin: it returned a header that HTTP does not have")
        headers[name] = _plain("a header", value, MAX_VALUE)
    return Presigned(_plain("a URL", record["url"], MAX_URL), headers)


def error(record: Any) -> SandbucketError:
    """The exception of an error of the plugin. Its texts are escaped and cut, never refused: they may say what is wrong."""

    def word(text: str | None) -> str | None:
        return None if text is None else sanitized(text, MAX_WORD)

    response = record["response"]
    if response is not None:
        response = ServiceResponse(
            status=response["status"],
            code=word(response["code"]),
            message=None if response["message"] is None else sanitized(response["message"], MAX_MESSAGE),
            request_id=word(response["request-id"]),
            region=word(response["region"]),
        )
    kind = errors.of_kind(record["kind"])
    if kind is errors.ServiceError and response is not None and response.code in _ARCHIVED:
        kind = errors.ArchivedError
    return kind(
        sanitized(record["message"], MAX_MESSAGE),
        retryable=record["retryable"],
        attempts=record["attempts"],
        subject=word(record["subject"]),
        response=response,
    )


def _outcomes(results: Iterable[Any]) -> list[SandbucketError | None]:
    return [None if case == "ok" else error(value) for case, value in results]


def output(case: str, value: Any) -> Any:
    """The output of an operation as a type of this package."""
    match case:
        case "head":
            return _info(value)
        case "get":
            return _head(value)
        case "put" | "copy" | "complete-upload":
            return _written(value)
        case "delete-many":
            return _outcomes(value)
        case "list":
            entries = [_entry(entry) for entry in _counted("entries in a page", value["entries"], MAX_PAGE)]
            return ListPage(entries, _prefixes(value["prefixes"]), _next(value["next"]))
        case "list-versions":
            versions = [_version(entry) for entry in _counted("entries in a page", value["entries"], MAX_PAGE)]
            return VersionPage(versions, _prefixes(value["prefixes"]), _next(value["next"]))
        case "presign":
            return _presigned(value)
        case "get-tags":
            return _pairs("tags", value)
        case "create-upload":
            return _plain("an upload's id", value, MAX_TAG)
        case "upload-part" | "copy-part":
            return _part(value)
        case "list-parts":
            parts = [_part(part) for part in _counted("parts in a page", value["parts"], MAX_PAGE)]
            return PartPage(parts, _next(value["next"]))
        case "list-uploads":
            uploads = [
                Upload(
                    _bounded("a key", upload["key"], MAX_KEY),
                    _plain("an upload's id", upload["id"], MAX_TAG),
                    _time(upload["initiated"]),
                )
                for upload in _counted("uploads in a page", value["uploads"], MAX_PAGE)
            ]
            return UploadPage(uploads, _next(value["next"]))
        case "list-buckets":
            buckets = [
                Bucket(_plain("a bucket's name", bucket["name"], MAX_TAG), _time(bucket["created"]), _tag("a region", bucket["region"]))
                for bucket in _counted("buckets in a page", value["buckets"], MAX_PAGE)
            ]
            return BucketPage(buckets, _next(value["next"]))
        case _:
            # `delete`, `bucket-exists` and outputs without a value.
            return value
