"""What both clients have in common: how a store is opened."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from .config.settings import Config
from .core import Core
from .errors import BodyError
from .http.tls import Tls
from .io import AsyncIo, BlockingIo
from .opened import open_store, settings_of
from .sandbox.engine import Engine, default_engine


def config_of(
    settings: Mapping[str, object], allow_private: bool, allow_networks: tuple[str, ...], ca_file: object, allow_invalid_certs: bool
) -> Config:
    """The configuration of keyword arguments."""
    tls = Tls(None if ca_file is None else Path(str(ca_file)), allow_invalid_certs)
    return Config.of_settings(settings_of(settings), allow_private=allow_private, allow_networks=allow_networks, tls=tls)


def core_of(io: type[BlockingIo] | type[AsyncIo], config: Config, engine: Engine | None) -> Core:
    """Opens a store."""
    engine = engine or default_engine()
    limits = engine.limits
    return Core(io(limits.calls_per_store, limits.instances_per_store), open_store(engine, config), limits)


class Target:
    """Where a download goes: a file object, or a path, which is replaced once all bytes are written."""

    def __init__(self, target: Any, what: str) -> None:
        self._what = what
        self._path: Path | None = None
        self._beside: Path | None = None
        self._file: Any = target
        if isinstance(target, str | os.PathLike):
            self._path = Path(target)
            self._beside = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}.part")
            try:
                self._file = open(self._beside, "xb")
            except OSError as error:
                raise BodyError(f"{what}: writing what was read: {error}") from error

    @property
    def file(self) -> IO[bytes]:
        file: IO[bytes] = self._file
        return file

    def write(self, piece: bytes) -> object:
        """Writes all bytes of a piece. The result may be awaitable."""
        try:
            if self._path is not None:
                return self._file.write(piece)
            written = self._file.write(piece)
            while isinstance(written, int) and written < len(piece):
                piece = piece[written:]
                written = self._file.write(piece)
            return written
        except (OSError, ValueError) as error:
            raise BodyError(f"{self._what}: writing what was read: {error}") from error

    def finish(self) -> None:
        """Puts the file in its place."""
        if self._path is not None and self._beside is not None:
            try:
                self._file.close()
                os.replace(self._beside, self._path)
            except OSError as error:
                self.discard()
                raise BodyError(f"{self._what}: writing what was read: {error}") from error

    def discard(self) -> None:
        """Removes what was written to a path. A file object keeps it."""
        if self._beside is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                os.unlink(self._beside)
