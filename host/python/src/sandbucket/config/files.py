"""Reading of files that configuration names: bounded, never blocking.

A path in configuration may lead to an endless device, a FIFO without a writer, or a folder. Only regular files are read, up to a limit;
everything else is an immediate error that names the kind of file. Symbolic links are followed: Kubernetes mounts secrets that way.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

MAX_CONFIG = 1 << 20
"""Bytes of a configuration file, or of AWS's credentials and config files."""
MAX_SECRET = 64 << 10
"""Bytes of a file or a variable that supplies a value: secrets are short."""
MAX_CERTIFICATES = 4 << 20
MAX_PLUGIN = 64 << 20

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO (named pipe)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class FileError(Exception):
    """Why a file was not read, to follow its path in a message. Has nothing of its content."""

    def __init__(self, message: str, *, is_missing: bool = False, is_content: bool = False) -> None:
        super().__init__(message)
        self.is_missing = is_missing
        """Whether there is no such file, or none to read."""
        self.is_content = is_content
        """Whether it was opened, and its content is at fault."""


def _check(status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((kind for test, kind in _KINDS if test(status.st_mode)), "something else")
        message = f"cannot be read: it is {kind}; expected a regular file no longer than {limit} bytes"
        raise FileError(message, is_missing=True)
    if status.st_size > limit:
        raise FileError(f"is longer than {limit} bytes, which is the limit for such a file", is_content=True)


def read_file(path: Path, limit: int) -> bytes:
    """Reads a regular file within the limit.

    Raises:
        FileError: It is none, too long, or cannot be read.
    """
    try:
        # Opening some devices has side effects, so the kind is checked before as well as after.
        _check(os.stat(path), limit)
        # Without O_NONBLOCK, opening a FIFO that replaced the file blocks until somebody writes.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb", closefd=True) as file:
            _check(os.fstat(descriptor), limit)
            content = file.read(limit + 1)
    except OSError as error:
        raise FileError(f"cannot be read: {error.strerror}", is_missing=isinstance(error, FileNotFoundError)) from None
    except ValueError as error:
        raise FileError(f"cannot be read: {error}", is_missing=True) from None
    if len(content) > limit:
        raise FileError(f"is longer than {limit} bytes, which is the limit for such a file", is_content=True)
    return content


def read_text(path: Path, limit: int) -> str:
    """The same, for UTF-8 text."""
    try:
        return read_file(path, limit).decode()
    except UnicodeDecodeError:
        raise FileError("is not UTF-8 text", is_content=True) from None
