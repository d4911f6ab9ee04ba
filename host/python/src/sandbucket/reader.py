"""A blob being read: bytes are passed on from the connection, and an interrupted read resumes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .digests import Hasher
from .errors import (
    IntegrityError,
    InvalidArgumentError,
    InvalidRangeError,
    PreconditionFailedError,
    RequestTimeoutError,
    SandbucketError,
    TooLargeError,
)
from .http.client import Received
from .http.errors import TransportError
from .types import BlobHead, BlobInfo
from .validate import UNKNOWN_SIZE

if TYPE_CHECKING:
    from .core import Core

FIRST_BACKOFF = 0.05
"""First pause before a read resumes again; it doubles with each consecutive resumption. The first resumption has none."""


LEAST_TIME = 0.001
"""Seconds that a call gets whose time limit has run out: it fails with the error of a timeout."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The part of a blob to read."""

    start: int = 0
    end: int | None = None
    """After the last byte; `None` is the end of the blob."""
    last: int | None = None
    """So many bytes at the end, in place of both."""

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("end", self.end), ("last", self.last)):
            if value is not None and not 0 <= value < UNKNOWN_SIZE:
                raise InvalidArgumentError(f"get: {name} is {value}, which is no place in a blob", subject="range")
        if self.last is not None and (self.start or self.end is not None):
            raise InvalidArgumentError("get: last goes without start and end", subject="range")
        if self.end is not None and self.end < self.start:
            raise InvalidArgumentError(f"get: the range ends at {self.end}, before it starts at {self.start}", subject="range")

    @property
    def is_whole(self) -> bool:
        return self.last is None and self.end is None and self.start == 0

    @property
    def is_empty(self) -> bool:
        """Whether it is empty for every blob: HTTP has no such range."""
        return self.last == 0 or self.end == self.start

    def record(self) -> Any:
        """The `byte-range` of the contract."""
        if self.is_whole:
            return None
        if self.last is not None:
            return ("last", self.last)
        if self.end is None:
            return ("from", self.start)
        return ("within", {"start": self.start, "end": self.end})

    def of(self, size: int) -> tuple[int, int]:
        """The bytes that it selects of a blob of this size."""
        if self.last is not None:
            return max(0, size - self.last), size
        return self.start, size if self.end is None else min(self.end, size)


def _size(info: BlobInfo) -> int:
    return UNKNOWN_SIZE if info.size is None else info.size


def check_ranges(head: BlobHead, wanted: Wanted) -> None:
    """Fails if the plugin does not return the requested bytes: the host does not rely on it."""
    size = _size(head.info)
    if not head.body_start <= head.start <= head.end <= head.body_end <= size:
        message = f"returns the range {head.body_start} to {head.body_end} for {head.start} to {head.end} of a blob of {size} bytes"
        raise IntegrityError(f"get: the plugin {message}", subject="body")
    start, end = wanted.of(size)
    if (start, end) != (head.start, head.end):
        message = f"returns the range {head.start} to {head.end} instead of {start} to {end}"
        raise IntegrityError(f"get: the plugin {message}", subject="body")


class Reader:
    """A blob, or a range of it, being read.

    If the blob was overwritten in between, the read ends in `PreconditionFailedError`. If the service reports a checksum of everything
    that is read, it is verified at the end.
    """

    def __init__(self, core: Core, key: str, options: dict[str, Any], wanted: Wanted, info: BlobInfo) -> None:
        self._core = core
        self._key = key
        self._options = options
        self._wanted = wanted
        self.info = info
        self.start = 0
        self.end = 0
        self.position = 0
        self._received: Received | None = None
        self._given = (0, 0)
        self._resumed = 0
        self._restarts = 0
        self._attempts = 1
        self._limit: float | None = options.get("timeout")
        self._deadline: float | None = None
        self._check: tuple[Hasher, bytes] | None = None
        self._failure: SandbucketError | None = None

    @staticmethod
    async def open(core: Core, key: str, options: dict[str, Any], wanted: Wanted, began: float | None = None) -> Reader:
        """Opens a blob. A time limit in the options covers the whole read; the default one ends with the head of the response, as a
        body may take as long as it makes progress. `began` is the time at which a call began that this read is a part of: now without."""
        began = time.monotonic() if began is None else began
        limit: float | None = options.get("timeout")
        # A limit that is no time is the call's to refuse.
        left = options if limit is None or not limit > 0 else {**options, "timeout": max(LEAST_TIME, began + limit - time.monotonic())}
        if wanted.is_empty:
            info = await core.head(key, left)
            reader = Reader(core, key, options, wanted, info)
            start = min(wanted.start, _size(info)) if wanted.last is None else _size(info)
            reader.start = reader.end = reader.position = start
            return reader
        head, received = await core.open_get(key, left, wanted)
        reader = Reader(core, key, options, wanted, head.info)
        if reader._limit is not None:
            reader._deadline = began + reader._limit
        reader._begin(head, received)
        return reader

    def _begin(self, head: BlobHead, received: Received) -> None:
        self.start = self.position = head.start
        self.end = head.end
        self._given = (head.body_start, head.body_end)
        self._received = received
        # The checksum covers what the service sends, so it is unusable if a part is cut off.
        if head.digest is not None and self._given == (head.start, head.end):
            self._check = (Hasher(head.digest.algorithm), head.digest.value)
        if self.start == self.end:
            self.close()
            self._verify()

    @property
    def ignores_range(self) -> bool:
        """Whether the response has more than the range. Meaningful until the first byte is read."""
        return self._received is not None and self._given != (self.position, self.end)

    def close(self) -> None:
        """Drops the rest of the body."""
        if self._received is not None:
            self._received.close()
            self._received = None

    async def next(self) -> bytes | None:
        """The next bytes, or `None` at the end."""
        if self._failure is not None:
            raise self._failure
        try:
            return await self._next()
        except SandbucketError as error:
            self._failure = error
            self.close()
            raise
        except BaseException:
            self.close()
            raise

    async def _next(self) -> bytes | None:
        while self.position < self.end:
            received = self._received
            if received is None:
                raise self._wrong("it was closed")
            left = self._left()
            try:
                piece = await received.next(left)
            except TransportError as error:
                self._left()
                await self._resume(error.detail, error.error == "connection-read-timeout", error)
                continue
            if piece is None:
                if self._given[1] == UNKNOWN_SIZE:
                    self._ended_at(self._given[0])
                    return None
                await self._resume("it ended", False, None)
                continue
            start, end = self._given
            self._given = (start + len(piece), end)
            if self._given[0] > end:
                raise self._wrong("its body goes on after the bytes announced")
            # A part in front of the range, of a service that ignores ranges, is dropped.
            piece = piece[max(0, self.position - start) : max(0, self.end - start)]
            if not piece:
                continue
            self._resumed = 0
            self.position += len(piece)
            if self._check is not None:
                self._check[0].update(memoryview(piece))
            if self.position == self.end:
                self._finish()
            return piece
        return None

    def _finish(self) -> None:
        """Ends the read after the last byte. The connection is kept if the response has ended as well."""
        received, self._received = self._received, None
        if received is not None and not received.is_over:
            received.finish()
        self._verify()

    def _left(self) -> float | None:
        """The time left for the whole read."""
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            what = f"its time limit of {self._limit:g} s ran out after {self.position - self.start} {self._announced()}"
            raise self._error(RequestTimeoutError, what, "time-limit")
        return left

    def _ended_at(self, size: int) -> None:
        """A body of unknown length has ended."""
        self.close()
        if size <= self.start and not self._wanted.is_whole:
            raise self._error(InvalidRangeError, f"no byte of its {size} bytes is in the range", "range", retryable=False)
        self.info = replace(self.info, size=size)
        self.end = max(size, self.start)
        self.position = self.end
        self._verify()

    def _announced(self) -> str:
        if self.end == UNKNOWN_SIZE:
            return "bytes, where no length was announced"
        return f"of the {self.end - self.start} bytes announced"

    async def _resume(self, words: str, timed_out: bool, cause: TransportError | None) -> None:
        """Resumes an interrupted read, unless that is impossible or was tried too often."""
        self.close()
        received = self.position - self.start
        broken = f"its body broke off after {received} {self._announced()}: {words}"
        most = self._core.limits.resumes
        etag = self.info.etag
        if etag is None or self._resumed >= most or self._restarts >= most:
            if etag is None:
                broken += "; it has no ETag to verify that the rest has the same content"
            elif self._restarts > 0:
                broken += f"; the service ignores Range: the blob was read again from its beginning {self._restarts} times (resumes)"
            error = self._error(RequestTimeoutError if timed_out else IntegrityError, f"the response is invalid: {broken}", "body")
            raise error from cause
        if self._resumed > 0:
            await self._core.io.sleep(FIRST_BACKOFF * 2 ** min(self._resumed, 6))
        self._resumed += 1
        self._attempts += 1
        rest = Wanted(self.position, None if self.end == UNKNOWN_SIZE else self.end)
        # Only a strong ETag can be a condition. The response is checked in any case.
        is_weak = etag.startswith("W/")
        options = {name: value for name, value in self._options.items() if not name.startswith("if_")}
        if not is_weak:
            options["if_match"] = etag
        left = self._left()
        if left is not None:
            options["timeout"] = left
        head, body = await self._core.open_get(self._key, options, rest)
        info = head.info
        # Some services ignore conditions.
        same_size = info.size is None or self.info.size is None or info.size == self.info.size
        if info.etag != etag or not same_size or (is_weak and info.last_modified != self.info.last_modified):
            body.close()
            error = self._error(PreconditionFailedError, "the blob was changed while it was being read", "if-match", retryable=False)
            raise error
        if head.body_start < head.start:
            self._restarts += 1
        # The response for the rest may have metadata that the first one lacks.
        if info.size is not None:
            self.info = replace(self.info, size=info.size)
            self.end = min(self.end, info.size)
        self._received = body
        self._given = (head.body_start, head.body_end)

    def _verify(self) -> None:
        if self._check is not None:
            (hasher, expected), self._check = self._check, None
            if hasher.digest() != expected:
                raise self._wrong("its checksum does not match the received bytes")

    def _wrong(self, words: str) -> SandbucketError:
        return self._error(IntegrityError, f"the response is invalid: {words}", "body")

    def _error(self, kind: type[SandbucketError], what: str, subject: str, *, retryable: bool = True) -> SandbucketError:
        message = self._core.described("get", self._key, what)
        return kind(message, retryable=retryable, attempts=self._attempts, subject=subject)

    async def read_all(self, most: int | None) -> bytes:
        """The rest of the range."""
        pieces = []
        length = 0
        while (piece := await self.next()) is not None:
            length += len(piece)
            if most is not None and length > most:
                self.close()
                raise TooLargeError(self._core.described("get", self._key, f"it has more than {most} bytes"), subject="max-bytes")
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
