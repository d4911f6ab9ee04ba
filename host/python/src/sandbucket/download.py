"""Downloads: a large blob read over several connections, in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

from .errors import InvalidArgumentError, PreconditionFailedError, SandbucketError
from .part_sizes import DEFAULT_PART_SIZE
from .reader import Reader, Wanted
from .types import BlobInfo
from .upload import DEFAULT_CONCURRENCY, MAX_CONCURRENCY
from .validate import UNKNOWN_SIZE

if TYPE_CHECKING:
    from .core import Core


class Download:
    """A download. Parts are requested concurrently, all of the same content: if the blob is overwritten in between, it ends in
    `PreconditionFailedError`. One connection is used for a blob that fits a part, that has no strong entity tag or no known size, and for
    a service that ignores ranges. Memory is `part_size` times `concurrency`."""

    def __init__(self, core: Core, key: str, given: Mapping[str, Any], part_size: int | None, concurrency: int | None) -> None:
        self._core = core
        self._key = key
        self._given = dict(given)
        self._part_size = DEFAULT_PART_SIZE if part_size is None else part_size
        self._concurrency = DEFAULT_CONCURRENCY if concurrency is None else concurrency
        if self._part_size < 1:
            raise InvalidArgumentError(core.described("download", key, f"part_size is {part_size} bytes"), subject="part_size")
        if not 1 <= self._concurrency <= MAX_CONCURRENCY:
            message = core.described("download", key, f"concurrency is {concurrency}; it is between 1 and {MAX_CONCURRENCY}")
            raise InvalidArgumentError(message, subject="concurrency")
        self.info: BlobInfo | None = None
        """The properties of the blob, once its first bytes have arrived."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The bytes, in order. A time limit covers all of them."""
        core, size = self._core, self._part_size
        began = time.monotonic()
        try:
            first = await Reader.open(core, self._key, self._given, Wanted(0, size), began)
        except SandbucketError as error:
            if error.kind != "invalid-range":
                raise
            # An empty blob has no first byte.
            first = await Reader.open(core, self._key, self._given, Wanted(), began)
        self.info = info = first.info
        is_strong = info.etag is not None and not info.etag.startswith("W/")
        if info.size is None or first.end == UNKNOWN_SIZE or not is_strong or first.ignores_range:
            if first.end != info.size or info.size is None:
                first.close()
                first = await Reader.open(core, self._key, self._given, Wanted(), began)
                self.info = first.info
            try:
                while (piece := await first.next()) is not None:
                    yield piece
            finally:
                first.close()
            return
        options = {name: value for name, value in self._given.items() if not name.startswith("if_")} | {"if_match": info.etag}
        running = core.io.tasks()
        ready: dict[int, list[bytes]] = {}
        waiting: deque[int] = deque()
        starts = iter(range(first.end, info.size, size))

        async def fetch(start: int) -> tuple[int, list[bytes]]:
            reader = await Reader.open(core, self._key, options, Wanted(start, min(start + size, info.size or 0)), began)
            try:
                # Some services ignore conditions.
                if (reader.info.size, reader.info.etag) != (info.size, info.etag):
                    message = core.described("download", self._key, "the blob was changed while it was being read")
                    raise PreconditionFailedError(message, subject="if-match")
                pieces = []
                while (piece := await reader.next()) is not None:
                    pieces.append(piece)
                return start, pieces
            finally:
                reader.close()

        def prefetch(most: int) -> None:
            while len(waiting) < most and (start := next(starts, None)) is not None:
                waiting.append(start)
                running.start(fetch(start))

        try:
            prefetch(self._concurrency - 1)
            while (piece := await first.next()) is not None:
                yield piece
            prefetch(self._concurrency)
            while waiting:
                while waiting[0] not in ready:
                    start, pieces = await running.next()
                    ready[start] = pieces
                for piece in ready.pop(waiting.popleft()):
                    yield piece
                prefetch(self._concurrency)
        finally:
            first.close()
            await core.io.shielded(running.stop())
