"""Blobs being read, as files."""

from __future__ import annotations

import io as streams
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .io import run
from .reader import Reader
from .types import BlobInfo

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _Buffered:
    """The bytes that were read and not taken."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._left = memoryview(b"")

    def _taken(self, size: int) -> bytes:
        piece, self._left = self._left[:size], self._left[size:]
        return bytes(piece)

    async def some(self, size: int) -> bytes:
        """Up to so many bytes, as soon as there are any; none at the end."""
        if not self._left:
            self._left = memoryview(await self._reader.next() or b"")
        return self._taken(size)

    async def exactly(self, size: int) -> bytes:
        """So many bytes, or fewer at the end; with a negative number all."""
        if size < 0:
            return b"".join([self._taken(len(self._left)), await self._reader.read_all(None)])
        pieces = []
        while size > 0 and (piece := await self.some(size)):
            pieces.append(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Blob(streams.RawIOBase):
    """A blob, or a range of it, being read: a binary file that cannot be rewound.

    Bytes are passed on from the connection. A read that is interrupted resumes with the rest of the same content. Close it, or use it in a
    `with` statement, unless it is read to its end: the connection is held until then.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._buffered = _Buffered(reader)

    @property
    def info(self) -> BlobInfo:
        """The properties of the whole blob. The size of a chunked response is known at its end."""
        return self._reader.info

    @property
    def range(self) -> tuple[int, int]:
        """The bytes of the blob that this reads: first, and after the last one."""
        return self._reader.start, self._reader.end

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """So many bytes, fewer at the end only; all without a size."""
        self._check()
        return run(self._buffered.exactly(-1 if size is None else size))

    def readall(self) -> bytes:
        """The rest."""
        return self.read()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fills a buffer with up to its length of bytes, as soon as there are any."""
        self._check()
        view = memoryview(buffer).cast("B")
        piece = run(self._buffered.some(len(view)))
        view[: len(piece)] = piece
        return len(piece)

    def chunks(self) -> Iterator[bytes]:
        """The rest, in pieces as they arrive."""
        while piece := run(self._buffered.some(1 << 62)):
            yield piece

    def _check(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def close(self) -> None:
        """Drops the rest, and with it the connection."""
        if not self.closed:
            self._reader.close()
        super().close()

    def __enter__(self) -> Self:
        return self


class AsyncBlob:
    """A blob, or a range of it, being read on asyncio. See `Blob`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._buffered = _Buffered(reader)

    @property
    def info(self) -> BlobInfo:
        """The properties of the whole blob."""
        return self._reader.info

    @property
    def range(self) -> tuple[int, int]:
        """The bytes of the blob that this reads: first, and after the last one."""
        return self._reader.start, self._reader.end

    async def read(self, size: int = -1) -> bytes:
        """So many bytes, fewer at the end only; all without a size."""
        return await self._buffered.exactly(size)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The rest, in pieces as they arrive."""
        while piece := await self._buffered.some(1 << 62):
            yield piece

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()

    def close(self) -> None:
        """Drops the rest, and with it the connection."""
        self._reader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
