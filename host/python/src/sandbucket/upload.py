"""Uploads: a blob written from a stream of unknown length, with one request if it is small, otherwise in parts."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from .errors import (
    AccessDeniedError,
    BusyError,
    ConflictError,
    InvalidArgumentError,
    InvalidSettingsError,
    NotFoundError,
    NotModifiedError,
    PreconditionFailedError,
    SandbucketError,
    ServiceError,
    ThrottledError,
    TooLargeError,
    UnsupportedError,
)
from .part_sizes import DEFAULT_PART_SIZE, MAX_PARTS, PartSizes
from .types import Part, Written

if TYPE_CHECKING:
    from .core import Core

DEFAULT_CONCURRENCY = 4
MAX_CONCURRENCY = 256
COALESCE_BELOW = 64 << 10
"""Pieces below this size are gathered by a copy: each separate one costs memory and a system call."""
ABORTS = 3
"""Aborts of an upload: parts that were in flight can outlive the first one."""
ABORT_TIME = 60.0

_log = logging.getLogger("sandbucket")

# After one of these the service has certainly not completed the upload. After any other it may have, or may still be at work on it:
# aborting it could destroy the blob.
_NOT_COMPLETED = (
    PreconditionFailedError,
    NotFoundError,
    NotModifiedError,
    ConflictError,
    AccessDeniedError,
    ThrottledError,
    InvalidSettingsError,
    InvalidArgumentError,
    TooLargeError,
    UnsupportedError,
    ServiceError,
    BusyError,
)


def inherited(given: Mapping[str, Any], *, without_key: bool = False) -> dict[str, Any]:
    """Options that further calls inherit: the time limit, and the attributes that affect requests, not those of the stored blob."""
    names = {"request-payer", "expected-bucket-owner"} | (set() if without_key else {"sse-customer-key"})
    attributes = {name: value for name, value in (given.get("attributes") or {}).items() if name in names}
    kept = {name: given[name] for name in ("timeout", "max_retries") if given.get(name) is not None}
    return {**kept, "attributes": attributes or None}


class _Part:
    """The bytes of the part that is filled."""

    def __init__(self) -> None:
        self.pieces: list[memoryview] = []
        self.length = 0
        self._small = bytearray()

    def add(self, piece: memoryview) -> None:
        """Adds bytes. They are copied: what the source gave may change once it is asked for more."""
        self.length += len(piece)
        if len(piece) < COALESCE_BELOW:
            self._small += piece
            if len(self._small) >= COALESCE_BELOW:
                self._flush()
        else:
            self._flush()
            self.pieces.append(piece if piece.readonly else memoryview(bytes(piece)))

    def _flush(self) -> None:
        if self._small:
            self.pieces.append(memoryview(bytes(self._small)))
            self._small.clear()

    def take(self) -> list[memoryview]:
        """Its bytes. The part is empty then."""
        self._flush()
        taken, self.pieces, self.length = self.pieces, [], 0
        return taken


class Upload:
    """One upload. Memory is `part_size` times `concurrency` + 1. The blob appears atomically: an upload that fails is aborted.

    `run` writes a stream. A writer that pushes its bytes calls `write` and `finish`, and `abandon` to give up; an error of the first two
    abandons the upload as well.
    """

    def __init__(self, core: Core, key: str, given: Mapping[str, Any]) -> None:
        self._core = core
        self._key = key
        self._given = {name: value for name, value in given.items() if name not in ("part_size", "concurrency", "length_hint")}
        part_size = given.get("part_size") or DEFAULT_PART_SIZE
        concurrency = given.get("concurrency") or DEFAULT_CONCURRENCY
        if not 1 <= part_size <= 5 << 30:
            raise InvalidArgumentError(core.described("upload", key, f"part_size is {part_size} bytes"), subject="part_size")
        if not 1 <= concurrency <= MAX_CONCURRENCY:
            message = core.described("upload", key, f"concurrency is {concurrency}; it is between 1 and {MAX_CONCURRENCY}")
            raise InvalidArgumentError(message, subject="concurrency")
        self._sizes = PartSizes.of(part_size, given.get("length_hint"))
        self._concurrency = concurrency
        self._upload: str | None = None
        self._begun = 0
        self._part = _Part()
        self._parts: list[Part] = []
        self._running = core.io.tasks()
        self._is_completing = False
        self._is_abandoned = False

    async def run(self, body: AsyncIterator[memoryview]) -> Written:
        """Writes all pieces. The pieces are not used after the next one is asked for, except those that are read-only."""
        async with self._abandoned_on_error():
            async for piece in body:
                await self._add(piece)
            return await self._finish()

    async def write(self, piece: memoryview) -> None:
        """Adds bytes, which are used after the call if they are read-only. Returns when there is room for more."""
        async with self._abandoned_on_error():
            await self._add(piece)

    async def finish(self) -> Written:
        """Makes the blob of what was written."""
        async with self._abandoned_on_error():
            return await self._finish()

    async def abandon(self, error: BaseException | None = None) -> None:
        """Gives up the upload, because of this error. It is aborted unless it may have been completed."""
        await self._core.io.shielded(self._abandon(error))

    @contextlib.asynccontextmanager
    async def _abandoned_on_error(self) -> AsyncGenerator[None, None]:
        if self._is_abandoned:
            raise InvalidArgumentError(self._core.described("upload", self._key, "it was abandoned before"), subject="body")
        try:
            yield
        except BaseException as error:
            await self.abandon(error)
            raise

    async def _abandon(self, error: BaseException | None) -> None:
        if self._is_abandoned:
            return
        self._is_abandoned = True
        if not self._is_completing or isinstance(error, _NOT_COMPLETED):
            await self._abort()
        else:
            _log.warning("the outcome of a completion is unknown: the upload of %r was not aborted", self._key)
            await self._running.stop()

    async def _add(self, piece: memoryview) -> None:
        part = self._part
        while len(piece) > self._sizes.size(self._begun + 1) - part.length:
            # A full part is sent once more bytes arrive: it could be the last one.
            room = self._sizes.size(self._begun + 1) - part.length
            part.add(piece[:room])
            piece = piece[room:]
            await self._send(part.take())
        part.add(piece)

    async def _finish(self) -> Written:
        if self._upload is None:
            return await self._core.put_parts(self._key, self._part.take(), self._given)
        if self._part.length > 0:
            await self._send(self._part.take())
        while len(self._running):
            self._parts.append(await self._running.next())
        self._parts.sort(key=lambda part: part.number)
        conditions: dict[str, Any] = {name: self._given[name] for name in ("if_absent", "if_match") if name in self._given}
        self._is_completing = True
        options: dict[str, Any] = {**inherited(self._given), **conditions}
        return await self._core.complete_upload(self._key, self._upload, self._parts, options)

    async def _send(self, pieces: list[memoryview]) -> None:
        if self._begun == MAX_PARTS:
            what = f"the body is longer than {MAX_PARTS} parts that begin with {self._sizes.size(1)} bytes: set a larger part_size"
            raise TooLargeError(self._core.described("upload", self._key, what), subject="body")
        if self._upload is None:
            # The condition applies to the completion.
            options = {name: value for name, value in self._given.items() if name not in ("if_absent", "if_match")}
            self._upload = await self._core.create_upload(self._key, options)
        while len(self._running) >= self._sizes.concurrency(self._begun + 1, self._concurrency):
            self._parts.append(await self._running.next())
        self._begun += 1
        self._running.start(self._core.upload_part(self._key, self._upload, self._begun, pieces, inherited(self._given)))

    async def _abort(self) -> None:
        """Aborts the upload at the service, and sees that no part of it is left. What it cannot do, it logs: the error that counts is
        another."""
        await self._running.stop()
        if self._upload is None:
            return
        options: dict[str, Any] = {**inherited(self._given, without_key=True), "timeout": ABORT_TIME}
        try:
            for attempt in range(ABORTS):
                # The service may still accept an interrupted part.
                await self._core.io.sleep(0.1 * attempt)
                await self._core.abort_upload(self._key, self._upload, options)
                try:
                    page = await self._core.parts_page(self._key, self._upload, {**options, "page_size": 1})
                except SandbucketError:
                    return
                if not page.parts:
                    return
        except SandbucketError as error:
            _log.warning("an upload of %r could not be aborted, and its parts may stay: %s", self._key, error)
            return
        _log.warning("parts of an aborted upload of %r are still there", self._key)
