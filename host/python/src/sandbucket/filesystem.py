"""An fsspec filesystem: `sandbucket://bucket/key`, for pandas, pyarrow, dask and others.

S3 has no folders: one exists while there are keys below it, and making one does nothing. Listings are not cached.
"""

from __future__ import annotations

import asyncio
import contextlib
import io as streams
import os
from collections.abc import AsyncIterator, Awaitable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from fsspec.asyn import AsyncFileSystem, sync
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractBufferedFile

from .aio import AsyncStore
from .config.settings import Config
from .errors import (
    AccessDeniedError,
    ConflictError,
    InvalidRangeError,
    NotFoundError,
    PreconditionFailedError,
)
from .opened import settings_of
from .part_sizes import DEFAULT_PART_SIZE
from .sandbox.engine import Engine
from .types import BlobRef, CopySource, Entry
from .upload import Upload, inherited

T = TypeVar("T")

BULK = 1000
"""Blobs that one request deletes."""


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    """The exceptions that users of file systems expect, from those of this package."""
    try:
        yield
    except NotFoundError as error:
        raise FileNotFoundError(2, str(error), path) from error
    except AccessDeniedError as error:
        raise PermissionError(13, str(error), path) from error
    except PreconditionFailedError as error:
        raise FileExistsError(17, str(error), path) from error


class SandbucketFileSystem(AsyncFileSystem):
    """Blobs as files.

    Args:
        config: A TOML file with the section `[store.blob.s3]`, or `env` for AWS's variables and shared files, which is the default if
            there are no settings. Both belong to the operator.
        settings: Settings as of `Store`, without `bucket`: they are all that is used if there is no `config`, and override it
            otherwise. `allow_private`, `allow_networks`, `ca_file` and `allow_invalid_certs` are those of `Store`.
    """

    protocol = "sandbucket"
    root_marker = ""
    default_block_size = DEFAULT_PART_SIZE
    async_impl = True
    mirror_sync_methods = True
    cachable = True

    def __init__(
        self,
        *,
        config: str | os.PathLike[str] | None = None,
        engine: Engine | None = None,
        asynchronous: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        batch_size: int | None = None,
        use_listings_cache: bool = False,
        skip_instance_cache: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(asynchronous=asynchronous, loop=loop, batch_size=batch_size, skip_instance_cache=skip_instance_cache)
        self._config = "env" if config is None and not settings else config
        self._engine = engine
        self._settings = settings
        self._stores: dict[str, AsyncStore] = {}

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(item) for item in path]
        path = os.fspath(path)
        path = path.removeprefix("sandbucket://").removeprefix("sandbucket:")
        return path.strip("/") if path.startswith("/") or path.endswith("/") else path

    def split_path(self, path: str) -> tuple[str, str]:
        """Bucket and key."""
        bucket, _, key = self._strip_protocol(path).partition("/")
        return bucket, key

    def _open_store(self, bucket: str) -> AsyncStore:
        named = {"bucket": bucket} if bucket else {}
        if self._config is None:
            return AsyncStore(engine=self._engine, **{"bucket": "none", **self._settings, **named})
        if self._config == "env":
            config = Config.from_environment(bucket or "none")
        else:
            config = Config.load(Path(self._config))
        own = settings_of({**self._settings, **named})
        return AsyncStore.of_config(config.with_settings(own), engine=self._engine)

    async def store(self, bucket: str) -> AsyncStore:
        """The store of a bucket, which is opened when it is first used."""
        store = self._stores.get(bucket)
        if store is None:
            store = await asyncio.to_thread(self._open_store, bucket)
            store = self._stores.setdefault(bucket, store)
        return store

    # Properties

    @staticmethod
    def _described(bucket: str, entry: Entry) -> dict[str, Any]:
        return {
            "name": f"{bucket}/{entry.key}",
            "type": "file",
            "size": entry.size,
            "ETag": entry.etag,
            "LastModified": entry.last_modified,
        }

    async def _info(self, path: str, **options: Any) -> dict[str, Any]:
        bucket, key = self.split_path(path)
        folder = {"name": f"{bucket}/{key}".rstrip("/"), "type": "directory", "size": 0}
        if not bucket:
            return folder
        store = await self.store(bucket)
        with _translated(path):
            if key:
                try:
                    info = await store.head(key, **inherited(options))
                    return {
                        "name": f"{bucket}/{key}",
                        "type": "file",
                        "size": info.size,
                        "ETag": info.etag,
                        "LastModified": info.last_modified,
                        "ContentType": info.content_type,
                        "VersionId": info.version,
                        "metadata": info.metadata,
                    }
                except NotFoundError:
                    pass
            page = await store.list_page(f"{key}/" if key else "", page_size=1, **inherited(options, without_key=True))
        if page.entries or not key:
            return folder
        raise FileNotFoundError(2, "no such blob, and no keys below it", path)

    async def _ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        bucket, key = self.split_path(path)
        if not bucket:
            store = await self.store("")
            found = [
                {"name": item.name, "type": "directory", "size": 0} async for item in store.buckets(**inherited(options, without_key=True))
            ]
        else:
            found = await self._list(bucket, f"{key}/" if key else "", inherited(options, without_key=True))
            if not found and key:
                info = await self._info(path, **options)
                found = [info] if info["type"] == "file" else []
        return found if detail else sorted(item["name"] for item in found)

    async def _list(self, bucket: str, prefix: str, options: dict[str, Any]) -> list[dict[str, Any]]:
        """What is in a folder."""
        store = await self.store(bucket)
        found: list[dict[str, Any]] = []
        with _translated(bucket):
            async for page in store.list_pages(prefix, delimiter="/", **options):
                found += [{"name": f"{bucket}/{name.rstrip('/')}", "type": "directory", "size": 0} for name in page.prefixes]
                found += [self._described(bucket, entry) for entry in page.entries if entry.key != prefix]
        return found

    async def _find(self, path: str, maxdepth: int | None = None, withdirs: bool = False, **options: Any) -> Any:
        """All blobs below a folder, by one listing."""
        detail, prefix = options.pop("detail", False), options.pop("prefix", "")
        bucket, key = self.split_path(path)
        if not bucket or maxdepth is not None or withdirs:
            return await super()._find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **options)
        store = await self.store(bucket)
        with _translated(path):
            entries = store.list((f"{key}/" if key else "") + prefix, **inherited(options, without_key=True))
            below = [self._described(bucket, entry) async for entry in entries]
        found = {item["name"]: item for item in below if not item["name"].endswith("/")}
        if not found and key and not prefix:
            with contextlib.suppress(FileNotFoundError):
                info = await self._info(path, **options)
                if info["type"] == "file":
                    found = {info["name"]: info}
        return found if detail else sorted(found)

    async def _exists(self, path: str, **options: Any) -> bool:
        try:
            await self._info(path, **options)
        except FileNotFoundError:
            return False
        return True

    def modified(self, path: str) -> datetime:
        """The time of the last modification."""
        modified: datetime = self.info(path)["LastModified"]
        return modified

    def created(self, path: str) -> datetime:
        """The same: blobs are written as a whole."""
        return self.modified(path)

    def ukey(self, path: str) -> str:
        """The entity tag, which changes with the content."""
        return str(self.info(path)["ETag"])

    def checksum(self, path: str) -> int:
        """A number that changes with the content."""
        return int.from_bytes(self.ukey(path).encode()[:16], "big")

    def sign(self, path: str, expiration: float = 3600, **_: Any) -> str:
        """A URL that permits to read the blob, for so many seconds."""

        async def sign() -> str:
            bucket, key = self.split_path(path)
            return (await (await self.store(bucket)).presign("get", key, expiration)).url

        url: str = sync(self.loop, sign)
        return url

    # Reading

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        bucket, key = self.split_path(path)
        store = await self.store(bucket)
        with _translated(path):
            if (start is not None and start < 0) or (end is not None and end < 0):
                size = (await self._info(path, **options))["size"]
                start, end = _absolute(start, 0, size), _absolute(end, size, size)
            if end is not None and (start or 0) >= end:
                return b""
            try:
                return await store.read(key, start or 0, end, **options)
            except InvalidRangeError:
                return b""

    async def _get_file(self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, **options: Any) -> None:
        bucket, key = self.split_path(rpath)
        if not key or (isinstance(lpath, str | os.PathLike) and os.path.isdir(lpath)):
            return
        store = await self.store(bucket)
        info = await self._info(rpath, **options)
        if info["type"] == "directory":
            os.makedirs(lpath, exist_ok=True)
            return
        callback.set_size(info["size"])
        if isinstance(lpath, str | os.PathLike):
            parent = os.path.dirname(os.fspath(lpath))
            if parent:
                os.makedirs(parent, exist_ok=True)
        with _translated(rpath):
            await store.download(key, lpath, **inherited(options))
        callback.absolute_update(info["size"])

    # Writing

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        bucket, key = self.split_path(path)
        store = await self.store(bucket)
        with _translated(path):
            await store.upload(key, bytes(value), if_absent=mode == "create", length_hint=len(value), **_kept(options))

    async def _put_file(self, lpath: Any, rpath: str, callback: Any = DEFAULT_CALLBACK, mode: str = "overwrite", **options: Any) -> None:
        if os.path.isdir(lpath):
            return
        bucket, key = self.split_path(rpath)
        store = await self.store(bucket)
        size = os.path.getsize(lpath)
        callback.set_size(size)

        async def pieces() -> AsyncIterator[bytes]:
            with open(lpath, "rb") as file:
                while piece := await asyncio.to_thread(file.read, 1 << 20):
                    yield piece
                    callback.relative_update(len(piece))

        with _translated(rpath):
            await store.upload(key, pieces(), if_absent=mode == "create", length_hint=size, **_kept(options))

    async def _cp_file(self, path1: str, path2: str, **options: Any) -> None:
        bucket, key = self.split_path(path1)
        to_bucket, to_key = self.split_path(path2)
        info = await self._info(path1, **options)
        if info["type"] == "directory":
            return
        store = await self.store(to_bucket)
        with _translated(path1):
            await store.copy(CopySource(key, bucket=None if bucket == to_bucket else bucket), to_key, **_kept(options))

    async def _touch(self, path: str, truncate: bool = True, **options: Any) -> None:
        if truncate or not await self._exists(path, **options):
            await self._pipe_file(path, b"", **options)

    def touch(self, path: str, truncate: bool = True, **options: Any) -> None:
        """Writes an empty blob; without `truncate` only if there is none."""
        sync(self.loop, self._touch, path, truncate=truncate, **options)

    async def _rm_file(self, path: str, **options: Any) -> None:
        bucket, key = self.split_path(path)
        store = await self.store(bucket)
        with _translated(path):
            await store.delete(key, **inherited(options, without_key=True))

    async def _rm(self, path: Any, recursive: bool = False, batch_size: int | None = None, **options: Any) -> None:
        call = inherited(options, without_key=True)
        paths = await self._expand_path(path, recursive=recursive)
        by_bucket: dict[str, list[str]] = {}
        for item in paths:
            bucket, key = self.split_path(item)
            if key:
                by_bucket.setdefault(bucket, []).append(key)
        for bucket, keys in by_bucket.items():
            store = await self.store(bucket)
            chunks = [keys[at : at + BULK] for at in range(0, len(keys), BULK)]
            with _translated(bucket):
                for outcomes in await asyncio.gather(*[store.delete_many([BlobRef(key) for key in chunk], **call) for chunk in chunks]):
                    for error in outcomes:
                        if error is not None:
                            raise error
        if recursive and isinstance(path, str) and not self.split_path(path)[1]:
            await self._rmdir(path)

    async def _mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        bucket, key = self.split_path(path)
        if key or not bucket:
            return
        store = await self.store(bucket)
        with _translated(path):
            try:
                await store.create_bucket(bucket)
            except ConflictError as error:
                raise FileExistsError(17, str(error), path) from error

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        if not self.split_path(path)[1]:
            try:
                await self._mkdir(path)
            except FileExistsError:
                if not exist_ok:
                    raise

    async def _rmdir(self, path: str) -> None:
        bucket, key = self.split_path(path)
        if key or not bucket:
            return
        store = await self.store(bucket)
        with _translated(path):
            await store.delete_bucket(bucket)

    # Files

    def _open(
        self, path: str, mode: str = "rb", block_size: int | None = None, autocommit: bool = True, cache_options: Any = None, **options: Any
    ) -> SandbucketFile:
        if mode not in ("rb", "wb", "xb"):
            raise NotImplementedError(f"{path}: the mode {mode}: blobs are written as a whole")
        if mode == "xb" and self.exists(path, **options):
            raise FileExistsError(17, "there is such a blob", path)
        return SandbucketFile(self, path, mode, block_size or self.default_block_size, autocommit, cache_options=cache_options, **options)

    def close(self) -> None:
        """Closes the stores. The filesystem opens them again when it is used."""
        stores, self._stores = self._stores, {}
        for store in stores.values():
            store.close()


def _absolute(place: int | None, default: int, size: int) -> int:
    """A place in a blob, which may be given from its end."""
    if place is None:
        return default
    return max(0, size + place if place < 0 else place)


def _kept(options: dict[str, Any]) -> dict[str, Any]:
    """Of the options that callers of fsspec pass on, those of a write."""
    names = ("content_type", "metadata", "attributes", "timeout", "max_retries")
    return {name: value for name, value in options.items() if name in names}


class SandbucketFile(AbstractBufferedFile):
    """A blob as a file: read by blocks, or written once. A file that fits a block is one request, a longer one is a multipart upload with
    parts in flight beside the writer. The blob appears when the file is closed."""

    fs: SandbucketFileSystem
    _details: dict[str, Any] | None = None

    def __init__(self, fs: SandbucketFileSystem, path: str, mode: str, block_size: int, autocommit: bool, **options: Any) -> None:
        self._write_options = _kept(options)
        self._read_options = inherited(options)
        self._upload: Upload | None = None
        self._is_exclusive = mode == "xb"
        self.buffer: streams.BytesIO
        self.closed: bool
        self.bucket, self.key = fs.split_path(path)
        super().__init__(fs, path, mode, block_size=block_size, autocommit=autocommit, **options)

    @property
    def details(self) -> dict[str, Any]:
        """The properties of the blob that is read."""
        if self._details is None:
            details: dict[str, Any] = self.fs.info(self.path, **self._read_options)
            self._details = details
        return self._details

    @details.setter
    def details(self, value: dict[str, Any]) -> None:
        self._details = value
        self.size = value["size"]

    def _sync(self, coroutine: Awaitable[T]) -> T:
        async def wait() -> T:
            return await coroutine

        with _translated(self.path):
            result: T = sync(self.fs.loop, wait)
            return result

    def _fetch_range(self, start: int, end: int) -> bytes:
        # All blocks are of the same content, or the read fails.
        etag = self.details.get("ETag")
        options = {**self._read_options, **({"if_match": etag} if etag and not etag.startswith("W/") else {})}
        try:
            return self._sync(self.fs._cat_file(self.path, start, end, **options))
        except FileExistsError as error:
            raise OSError(f"{self.path}: the blob was changed while it was being read") from error

    # AbstractBufferedFile calls `_initiate_upload` once, `_upload_chunk` with what has gathered in `buffer`, and `commit` or `discard`.

    def _initiate_upload(self) -> None:
        async def upload() -> Upload:
            core = (await self.fs.store(self.bucket))._core
            return Upload(core, self.key, {**self._write_options, "if_absent": self._is_exclusive, "part_size": self.blocksize})

        self._upload = self._sync(upload())

    def _upload_chunk(self, final: bool = False) -> bool:
        assert self._upload is not None, "it was initiated"
        with self._closed_on_error():
            self._sync(self._upload.write(memoryview(self.buffer.getvalue())))
        if final and self.autocommit:
            self.commit()
        return True

    @contextlib.contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        """After an error the file takes no more bytes: closing it must not make a blob without those that failed."""
        try:
            yield
        except BaseException:
            self.discard()
            self.closed = True
            raise

    def commit(self) -> None:
        """Makes the blob of what was written."""
        if self._upload is not None:
            with self._closed_on_error():
                self._sync(self._upload.finish())
                self._upload = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None and self.mode != "rb" and not self.closed:
            # What was written until an error is no file.
            self.discard()
            self.closed = True
        self.close()

    def discard(self) -> None:
        """Drops what was written."""
        upload, self._upload = self._upload, None
        if upload is not None:
            self._sync(upload.abandon())
