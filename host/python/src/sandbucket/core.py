"""The operations of a store, written once for both clients: as coroutines over `Io`."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

from . import digests, options
from .body import BytesSource, FileSource, OnceSource, Source, exactly, length_of, pieces_of, view_of
from .driver import Driver, nanos
from .errors import AccessDeniedError, ConfigError, IntegrityError, InvalidArgumentError, SandbucketError, TooLargeError
from .http.client import Client, Received
from .io import Io
from .limits import Limits
from .opened import Opened
from .operations import Operation
from .reader import LEAST_TIME, Wanted, check_ranges
from .retry_quota import RetryQuota
from .text import shown
from .types import (
    BlobHead,
    BlobInfo,
    BlobRef,
    Bucket,
    BucketPage,
    CopySource,
    Entry,
    ListPage,
    Part,
    PartPage,
    Presigned,
    UploadPage,
    VersionEntry,
    VersionPage,
    Written,
)
from .types import Upload as PendingUpload

MAX_PUT = 5 << 30
"""Largest blob written with one request: S3's own limit."""

MAX_PAGES = 1_000_000
"""Pages of one listing: a billion keys. Their continuations are remembered, to end one that goes in a circle."""

MAX_RENEWALS = 3
"""How often an operation is run again with other credentials. More than once only if they change meanwhile as often."""
RENEW_BEFORE = 300.0
"""Seconds before their expiration at which credentials are looked for again."""
RENEW_EVERY = 5.0
"""Seconds between two such searches: one may run a program or read files."""
REJECTED = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
"""Error codes for credentials that others can replace."""


class Core:
    """The operations of one store. Options are those of `types`, as mappings."""

    def __init__(self, io: Io, opened: Opened, limits: Limits) -> None:
        self.io = io
        self.limits = limits
        self._opened = opened
        self._client = Client(io, opened.egress, opened.tls, limits)
        self._quota = RetryQuota(limits.calls_per_store)
        self._driver = Driver(io, opened.pool, self._client, self._quota)
        # Guards what a renewal replaces.
        self._lock = threading.Lock()
        self._renewal: threading.Event | None = None
        self._is_closed = False
        self._renewed_at = time.monotonic() - RENEW_EVERY

    @property
    def bucket(self) -> str:
        return self._opened.bucket

    def close(self) -> None:
        """Closes idle connections, and drops the instances with their secrets."""
        self._client.close()
        self.io.close()
        with self._lock:
            self._is_closed = True
            self._opened.pool.close()

    def described(self, call: str, key: str, what: str) -> str:
        """The message of an error that the host finds itself."""
        blob = f' "{shown(key)}"' if key else ""
        return f'{call}{blob} in bucket "{shown(self.bucket)}" at {self._opened.endpoint}: {what}'

    async def _drive(self, operation: Operation, given: Mapping[str, Any], source: Source | None = None) -> tuple[Any, Received | None]:
        """Runs an operation. If the service rejects credentials that were found outside the settings, it is run again with others."""
        began, limit = time.monotonic(), given.get("timeout")

        def left() -> float | None:
            return None if limit is None else max(LEAST_TIME, limit - (time.monotonic() - began))

        for renewals in range(MAX_RENEWALS + 1):
            expires = self._opened.config.expires
            if expires is not None and time.time() > expires - RENEW_BEFORE:
                # Those at hand are used as long as the service takes them.
                await self._renewed(self._opened, left() if time.time() > expires else 0.0)
            opened, driver = self._opened, self._driver
            try:
                return await driver.run(operation, left(), source)
            except AccessDeniedError as error:
                is_last = renewals == MAX_RENEWALS or error.code not in REJECTED or opened.config.rediscover is None
                if is_last or getattr(source, "is_consumed", False) or not await self._renewed(opened, left()):
                    raise
        raise AssertionError("the last round returns or raises")

    async def _renewed(self, opened: Opened, wait: float | None) -> bool:
        """Starts to look for other credentials than those of `opened`, and waits so many seconds, which may be none: whether the store
        has others now."""
        with self._lock:
            if self._opened is not opened:
                return True
            renewal = self._renewal
            if renewal is None and time.monotonic() >= self._renewed_at + RENEW_EVERY:
                # In a thread, as it may run a program that takes longer than this call may.
                renewal = threading.Event()
                thread = threading.Thread(target=self._renew, args=(opened, renewal), name="sandbucket-credentials", daemon=True)
                thread.start()
                self._renewal = renewal
        if renewal is not None and wait != 0.0:
            await self.io.call(renewal.wait, self.limits.limit(wait))
        return self._opened is not opened

    def _renew(self, opened: Opened, renewal: threading.Event) -> None:
        """Looks for other credentials than those of `opened`. Blocks. An error leaves those, and shows when the service rejects them."""
        renewed = None
        try:
            with contextlib.suppress(ConfigError, SandbucketError):
                renewed = opened.renewed()
        finally:
            with self._lock:
                self._renewal = None
                self._renewed_at = time.monotonic()
                if renewed is not None:
                    # Operations in flight end with the old ones.
                    self._opened = renewed
                    self._driver = Driver(self.io, renewed.pool, self._client, self._quota)
                    if self._is_closed:
                        renewed.pool.close()
            renewal.set()

    async def _run(self, case: str, arguments: Any, given: Mapping[str, Any], source: Source | None = None) -> Any:
        output, received = await self._drive(Operation(case, arguments), given, source)
        if received is not None:
            received.close()
        return output

    def _call(self, given: Mapping[str, Any]) -> Any:
        return options.call(given, self.limits)

    # Reading

    def _read_options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"conditions": options.conditions(given), "version": given.get("version"), "call": self._call(given)}

    async def head(self, key: str, given: Mapping[str, Any]) -> BlobInfo:
        info: BlobInfo = await self._run("head", {"key": key, "options": self._read_options(given)}, given)
        return info

    async def open_get(self, key: str, given: Mapping[str, Any], wanted: Wanted) -> tuple[BlobHead, Received]:
        """Opens a blob for reading, with ranges that are checked."""
        record = {**self._read_options(given), "range": wanted.record()}
        operation = Operation("get", {"key": key, "options": record})
        head, received = await self._drive(operation, given)
        assert isinstance(head, BlobHead) and received is not None, "the driver gives a body with the head of a read"
        try:
            check_ranges(head, wanted)
        except SandbucketError:
            received.close()
            raise
        return head, received

    async def tags(self, key: str, given: Mapping[str, Any]) -> dict[str, str]:
        record = {"version": given.get("version"), "call": self._call(given)}
        tags: dict[str, str] = await self._run("get-tags", {"key": key, "options": record}, given)
        return tags

    # Writing

    def _put_options(self, given: Mapping[str, Any], sums: list[dict[str, object]] | None) -> dict[str, Any]:
        return {
            "content-type": given.get("content_type"),
            "metadata": options.pairs(given.get("metadata")),
            "condition": options.condition(given),
            "digests": sums,
            "call": self._call(given),
        }

    async def _digests(self, source: BytesSource | FileSource) -> list[dict[str, object]]:
        wanted = self._opened.wanted_digests
        if not wanted:
            return []
        if isinstance(source, BytesSource):
            return await self.io.call(digests.of_body, source.views(), wanted)
        hashers = {algorithm: digests.Hasher(algorithm) for algorithm in wanted}
        async for piece in source.pieces():
            for hasher in hashers.values():
                await self.io.call(hasher.update, piece)
        return [{"algorithm": algorithm, "value": hasher.digest()} for algorithm, hasher in hashers.items()]

    async def put(self, key: str, body: Any, length: int | None, given: Mapping[str, Any]) -> Written:
        """Writes a blob with one request."""
        what = f'put "{shown(key)}"'
        own = length_of(body)
        if own is not None and length is not None and own != length:
            message = self.described("put", key, f"the body has {own} bytes, and {length} were announced")
            raise InvalidArgumentError(message, subject="body")
        length = own if length is None else length
        if length is None:
            message = "the length of the body is not known: give `length`, or write it with `upload`"
            raise InvalidArgumentError(self.described("put", key, message), subject="length")
        if not 0 <= length <= MAX_PUT:
            message = self.described("put", key, f"the body has {length} bytes; {MAX_PUT} go with one request: `upload` writes it in parts")
            raise TooLargeError(message, subject="body")
        if own is None:
            # A stream is gathered first if digests must precede the body, if a conditional write may have to be retried after a lost
            # response, or if the announced length is 0, which would hide excess bytes.
            is_sent = length > 0 and not self._opened.wanted_digests and options.condition(given) is None
            if is_sent:
                return await self.put_source(key, OnceSource(self.io, body, length, what), [], given)
            from .upload import Upload

            upload = Upload(self, key, {**given, "length_hint": length})
            return await upload.run(exactly(pieces_of(self.io, body, what), length, what))
        source: BytesSource | FileSource
        source = FileSource(self.io, body, length, what) if hasattr(body, "read") else BytesSource([view_of(body, what)])
        return await self.put_source(key, source, await self._digests(source), given)

    async def put_parts(self, key: str, parts: list[memoryview], given: Mapping[str, Any]) -> Written:
        """Writes a blob from memory."""
        source = BytesSource(parts)
        return await self.put_source(key, source, await self._digests(source), given)

    async def put_source(self, key: str, source: Source, sums: list[dict[str, object]], given: Mapping[str, Any]) -> Written:
        record = {"key": key, "length": source.length, "options": self._put_options(given, sums)}
        written: Written = await self._run("put", record, given, source)
        return written

    async def set_tags(self, key: str, tags: Mapping[str, str], given: Mapping[str, Any]) -> None:
        record = {"version": given.get("version"), "call": self._call(given)}
        await self._run("set-tags", {"key": key, "tags": options.pairs(tags), "options": record}, given)

    async def copy(self, source: str | CopySource, to: str, given: Mapping[str, Any]) -> Written:
        """Copies a blob at the service."""
        properties = None
        if given.get("content_type") is not None or given.get("metadata") is not None:
            properties = {"content-type": given.get("content_type"), "metadata": options.pairs(given.get("metadata"))}
        record = {
            "source-conditions": options.conditions(given, "source_"),
            "condition": options.condition(given),
            "properties": properties,
            "call": self._call(given),
        }
        written: Written = await self._run("copy", {"source": _source(source), "to": to, "options": record}, given)
        return written

    # Deleting

    async def delete(self, key: str, given: Mapping[str, Any]) -> bool | None:
        record = {"version": given.get("version"), "call": self._call(given)}
        existed: bool | None = await self._run("delete", {"key": key, "options": record}, given)
        return existed

    async def delete_many(self, blobs: Iterable[str | BlobRef], given: Mapping[str, Any]) -> list[SandbucketError | None]:
        refs = [BlobRef(blob) if isinstance(blob, str) else blob for blob in blobs]
        record = {
            "blobs": [{"key": ref.key, "version": ref.version} for ref in refs],
            "options": {"call": self._call(given)},
        }
        outcomes: list[SandbucketError | None] = await self._run("delete-many", record, given)
        if len(outcomes) != len(refs):
            message = f"delete several blobs: the plugin returned {len(outcomes)} outcomes for {len(refs)} blobs to delete"
            raise IntegrityError(message, subject="blobs")
        return outcomes

    # Listing

    async def list_page(self, given: Mapping[str, Any]) -> ListPage:
        page: ListPage = await self._run("list", options.listing(given, self.limits), given)
        return page

    async def versions_page(self, given: Mapping[str, Any]) -> VersionPage:
        page: VersionPage = await self._run("list-versions", options.listing(given, self.limits), given)
        return page

    async def uploads_page(self, given: Mapping[str, Any]) -> UploadPage:
        record = {"prefix": given.get("prefix"), **options.page(given, self.limits)}
        page: UploadPage = await self._run("list-uploads", record, given)
        return page

    async def buckets_page(self, given: Mapping[str, Any]) -> BucketPage:
        record = {"prefix": given.get("prefix"), **options.page(given, self.limits)}
        page: BucketPage = await self._run("list-buckets", record, given)
        return page

    async def parts_page(self, key: str, upload: str, given: Mapping[str, Any]) -> PartPage:
        record = {"key": key, "upload": upload, "options": options.page(given, self.limits)}
        page: PartPage = await self._run("list-parts", record, given)
        return page

    async def _pages(self, page_of: Any, given: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """The pages of a listing. A service whose continuations form a circle is an error."""
        seen: set[str] = set()
        given = dict(given)
        while True:
            page = await page_of(given)
            yield page
            token = page.next
            if token is None:
                return
            if token in seen or len(seen) >= MAX_PAGES:
                message = self.described("list", "", "the service's continuations form a circle: the listing would never end")
                raise IntegrityError(message, subject="continuation")
            seen.add(token)
            given["continuation"] = token

    async def pages(self, given: Mapping[str, Any]) -> AsyncGenerator[ListPage, None]:
        async for page in self._pages(self.list_page, given):
            yield page

    async def entries(self, given: Mapping[str, Any]) -> AsyncGenerator[Entry, None]:
        async for page in self._pages(self.list_page, given):
            for entry in page.entries:
                yield entry

    async def versions(self, given: Mapping[str, Any]) -> AsyncGenerator[VersionEntry, None]:
        async for page in self._pages(self.versions_page, given):
            for entry in page.entries:
                yield entry

    async def uploads(self, given: Mapping[str, Any]) -> AsyncGenerator[PendingUpload, None]:
        async for page in self._pages(self.uploads_page, given):
            for upload in page.uploads:
                yield upload

    async def buckets(self, given: Mapping[str, Any]) -> AsyncGenerator[Bucket, None]:
        async for page in self._pages(self.buckets_page, given):
            for bucket in page.buckets:
                yield bucket

    # Presigned requests

    async def presign(self, method: str, key: str, expires_in: float, given: Mapping[str, Any]) -> Presigned:
        record = {
            "headers": options.pairs(given.get("headers")),
            "version": given.get("version"),
            "call": self._call(given),
        }
        arguments = {"method": method, "key": key, "expires-in": nanos(expires_in), "options": record}
        presigned: Presigned = await self._run("presign", arguments, given)
        return presigned

    # Multipart uploads

    async def create_upload(self, key: str, given: Mapping[str, Any]) -> str:
        upload: str = await self._run("create-upload", {"key": key, "options": self._put_options(given, None)}, given)
        return upload

    async def upload_part(self, key: str, upload: str, number: int, parts: list[memoryview], given: Mapping[str, Any]) -> Part:
        source = BytesSource(parts)
        record = {
            "key": key,
            "upload": upload,
            "number": number,
            "length": source.length,
            "options": {"digests": await self._digests(source), "call": self._call(given)},
        }
        part: Part = await self._run("upload-part", record, given, source)
        if part.number != number or part.size != source.length:
            message = f"the plugin returned part {part.number} of {part.size} bytes for part {number} of {source.length}"
            raise IntegrityError(self.described("upload a part", key, message), subject="part")
        return part

    async def complete_upload(self, key: str, upload: str, parts: list[Part], given: Mapping[str, Any]) -> Written:
        records = [
            {
                "number": part.number,
                "size": part.size,
                "etag": part.etag,
                "last-modified": None,
                "attributes": list(part.attributes.items()),
            }
            for part in parts
        ]
        record = {
            "key": key,
            "upload": upload,
            "parts": records,
            "options": {"condition": options.condition(given), "call": self._call(given)},
        }
        written: Written = await self._run("complete-upload", record, given)
        return written

    async def abort_upload(self, key: str, upload: str, given: Mapping[str, Any]) -> None:
        record = {"key": key, "upload": upload, "options": {"call": self._call(given)}}
        await self._run("abort-upload", record, given)

    # Buckets

    async def _bucket(self, case: str, name: str, given: Mapping[str, Any]) -> Any:
        return await self._run(case, {"name": name, "options": {"call": self._call(given)}}, given)

    async def create_bucket(self, name: str, given: Mapping[str, Any]) -> None:
        await self._bucket("create-bucket", name, given)

    async def delete_bucket(self, name: str, given: Mapping[str, Any]) -> None:
        await self._bucket("delete-bucket", name, given)

    async def bucket_exists(self, name: str, given: Mapping[str, Any]) -> bool:
        exists: bool = await self._bucket("bucket-exists", name, given)
        return exists


def _source(source: str | CopySource) -> Any:
    if isinstance(source, str):
        source = CopySource(source)
    return {"bucket": source.bucket, "key": source.key, "version": source.version}
