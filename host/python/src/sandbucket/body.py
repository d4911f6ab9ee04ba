"""Bodies of writes: bytes, files, and iterators."""

from __future__ import annotations

import io as streams
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from typing import Any, Protocol, TypeAlias

from .errors import BodyError, InvalidArgumentError
from .io import Io

PIECE = 256 << 10
"""Bytes that are read from a file at once."""

Buffer: TypeAlias = bytes | bytearray | memoryview


class Readable(Protocol):
    """A binary file, or something like one."""

    def read(self, size: int, /) -> Any:
        """Up to so many bytes; none at the end. May be a coroutine function in the asyncio client."""
        ...


Body: TypeAlias = Buffer | Readable | Iterable[Buffer]
"""What the blocking client writes: bytes, a binary file, or an iterable of bytes."""

AsyncBody: TypeAlias = Body | AsyncIterable[Buffer]
"""What the asyncio client writes: also an asynchronous iterable, or a file whose `read` is a coroutine function."""


def view_of(piece: object, what: str) -> memoryview:
    """The bytes of a piece."""
    if isinstance(piece, str) or piece is None:
        raise InvalidArgumentError(f"{what}: the body has to be bytes, not {type(piece).__name__}", subject="body")
    try:
        return memoryview(piece).cast("B")  # type: ignore[arg-type]
    except TypeError:
        raise InvalidArgumentError(f"{what}: the body has to be bytes, not {type(piece).__name__}", subject="body") from None


class BytesSource:
    """A body in memory, which can be sent again."""

    def __init__(self, parts: list[memoryview]) -> None:
        self._parts = parts
        self.length = sum(map(len, parts))

    def views(self) -> list[memoryview]:
        """The bytes, for a digest."""
        return self._parts

    async def pieces(self) -> AsyncGenerator[memoryview, None]:
        """The bytes, from the beginning."""
        for part in self._parts:
            if part:
                yield part


class FileSource:
    """A file that can be read again."""

    def __init__(self, io: Io, file: Any, length: int, what: str) -> None:
        self._io = io
        self._file = file
        self._start = file.tell()
        self._what = what
        self.length = length

    async def pieces(self) -> AsyncGenerator[memoryview, None]:
        """The bytes, from where the file was."""
        left = self.length
        try:
            await self._io.call(self._file.seek, self._start)
        except (OSError, ValueError) as error:
            raise BodyError(f"{self._what}: reading what is to be written: {error}") from error
        while left > 0:
            piece = await _read(self._io, self._file, min(PIECE, left), self._what)
            if not piece:
                raise InvalidArgumentError(
                    f"{self._what}: the body has {self.length - left} bytes, and {self.length} were announced", subject="body"
                )
            left -= len(piece)
            yield piece


class OnceSource:
    """A stream of a known length that can be read once."""

    def __init__(self, io: Io, body: Any, length: int, what: str) -> None:
        self._pieces = exactly(pieces_of(io, body, what), length, what)
        self.length = length
        self.is_consumed = False

    async def pieces(self) -> AsyncGenerator[memoryview, None]:
        """The bytes. The last piece is held back until the stream ends: one with more bytes than announced must not be sent whole."""
        self.is_consumed = True
        held: memoryview | None = None
        async for piece in self._pieces:
            if held is not None:
                yield held
            held = piece
        if held is not None:
            yield held


Source: TypeAlias = BytesSource | FileSource | OnceSource


async def exactly(pieces: AsyncIterator[memoryview], length: int, what: str) -> AsyncGenerator[memoryview, None]:
    """Passes on the pieces, and fails if they do not have `length` bytes in total."""
    received = 0
    async for piece in pieces:
        received += len(piece)
        if received > length:
            raise InvalidArgumentError(f"{what}: the body has {received} bytes or more, and {length} were announced", subject="body")
        yield piece
    if received < length:
        raise InvalidArgumentError(f"{what}: the body has {received} bytes, and {length} were announced", subject="body")


async def _read(io: Io, file: Any, size: int, what: str) -> memoryview:
    try:
        piece = await io.call(file.read, size)
        if hasattr(piece, "__await__"):
            piece = await piece
    except (OSError, ValueError) as error:
        raise BodyError(f"{what}: reading what is to be written: {error}") from error
    return view_of(b"" if piece is None else piece, what)


async def pieces_of(io: Io, body: Any, what: str) -> AsyncGenerator[memoryview, None]:
    """The bytes of any body, once. An error of its source is `BodyError`."""
    if isinstance(body, bytes | bytearray | memoryview):
        yield view_of(body, what)
    elif hasattr(body, "read"):
        while piece := await _read(io, body, PIECE, what):
            yield piece
    elif hasattr(body, "__aiter__"):
        iterator = aiter(body)
        while True:
            try:
                item = await anext(iterator)
            except StopAsyncIteration:
                return
            except Exception as error:
                raise BodyError(f"{what}: reading what is to be written: {error}") from error
            if piece := view_of(item, what):
                yield piece
    elif isinstance(body, Iterable) and not isinstance(body, str):
        items = iter(body)
        end = object()
        while True:
            try:
                item = await io.call(next, items, end)
            except Exception as error:
                raise BodyError(f"{what}: reading what is to be written: {error}") from error
            if item is end:
                return
            if piece := view_of(item, what):
                yield piece
    else:
        view_of(body, what)


def length_of(body: Any) -> int | None:
    """The length of a body that can be read again; `None` for a stream."""
    if isinstance(body, bytes | bytearray | memoryview):
        return memoryview(body).nbytes
    if hasattr(body, "read") and hasattr(body, "seek") and hasattr(body, "tell"):
        try:
            if hasattr(body, "seekable") and body.seekable() is not True:
                return None
            here = body.tell()
            end = body.seek(0, os.SEEK_END)
            body.seek(here)
        except (OSError, ValueError, streams.UnsupportedOperation):
            return None
        if isinstance(here, int) and isinstance(end, int):
            return max(0, end - here)
    return None
