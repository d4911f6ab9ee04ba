"""The blocking client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, TypeVar, Unpack, cast

from .blob import Blob
from .body import Body, pieces_of
from .client import Target, config_of, core_of
from .config.settings import Config
from .download import Download
from .errors import SandbucketError
from .io import BlockingIo, run
from .limits import Limits
from .opened import settings_of
from .options import CALL, COPY, LIST, PAGE, PREFIX, PRESIGN, READ, UPLOAD, VERSION, WRITE, known
from .reader import Reader, Wanted
from .sandbox.engine import Engine
from .text import shown
from .types import (
    BlobInfo,
    BlobRef,
    Bucket,
    CallOptions,
    CopyOptions,
    CopySource,
    Entry,
    ListOptions,
    ListPage,
    PageOptions,
    PrefixOptions,
    Presigned,
    PresignOptions,
    ReadOptions,
    UploadOptions,
    VersionEntry,
    VersionOptions,
    WriteOptions,
    Written,
)
from .types import Upload as PendingUpload
from .upload import Upload

T = TypeVar("T")


def _iterate(generator: AsyncGenerator[T, None]) -> Iterator[T]:
    """The items of a generator that waits by `BlockingIo`."""
    try:
        while True:
            try:
                item = run(cast(Any, generator.__anext__()))
            except StopAsyncIteration:
                return
            yield item
    finally:
        run(cast(Any, generator.aclose()))


class Store:
    """A store: one bucket with its settings, instances and connections. It may be used from any thread.

    Settings are keyword arguments with the names of docs/configuration.md, with `_` for `-`: `bucket`, `region`, `endpoint`, `access_key`,
    `secret_key`, `session_token`, `timeout`, `max_retries`, `key_prefix` and so on. They may come from a tenant: whatever `endpoint` is,
    the store reaches public addresses only, unless private ones are allowed. Nothing is read from the environment; see `from_toml` and
    `from_env` for settings of the operator.

    Args:
        engine: The compiled plugin. Default: that of the process.
        allow_private: Whether private and loopback addresses are allowed. Not for settings that a tenant may write.
        allow_networks: Private networks that are, such as `10.20.0.0/24`.
        ca_file: A PEM file with further certificate authorities, or with the service's own certificate.
        allow_invalid_certs: Accept any certificate: for a test bench, never for secrets.

    Raises:
        InvalidSettingsError: A setting is missing, unknown or malformed. Wrong credentials show in the first call.
    """

    def __init__(
        self,
        *,
        engine: Engine | None = None,
        allow_private: bool = False,
        allow_networks: tuple[str, ...] = (),
        ca_file: str | PathLike[str] | None = None,
        allow_invalid_certs: bool = False,
        **settings: str | int | float | bool | None,
    ) -> None:
        config = config_of(settings, allow_private, allow_networks, ca_file, allow_invalid_certs)
        self._core = core_of(BlockingIo, config, engine)

    @classmethod
    def of_config(cls, config: Config, *, engine: Engine | None = None) -> Self:
        """Opens a store of a configuration."""
        store = cls.__new__(cls)
        store._core = core_of(BlockingIo, config, engine)
        return store

    @classmethod
    def from_toml(cls, path: str | PathLike[str], *, engine: Engine | None = None, **settings: str | int | float | bool | None) -> Self:
        """Opens the store of the section `[store.blob.s3]` of a file, with these settings overriding those of the section.

        The file belongs to the operator: it can read files and variables, and reach private addresses. What it lacks (credentials, region,
        endpoint, certificate authorities) is looked for in AWS's variables and shared files.

        Raises:
            ConfigError: With file, line and key.
        """
        config = Config.load(Path(path))
        return cls.of_config(config.with_settings(settings_of(settings)) if settings else config, engine=engine)

    @classmethod
    def from_env(cls, bucket: str | None = None, *, engine: Engine | None = None, **settings: str | int | float | bool | None) -> Self:
        """Opens the store that AWS's variables and shared files describe. The bucket is `bucket`, or `SANDBUCKET_BUCKET`.

        Raises:
            ConfigError: What is found cannot be used.
        """
        config = Config.from_environment(bucket)
        return cls.of_config(config.with_settings(settings_of(settings)) if settings else config, engine=engine)

    def close(self) -> None:
        """Closes idle connections, and drops the instances with the secrets in their memory."""
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store(bucket={self._core.bucket!r})"

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._core.bucket

    @property
    def limits(self) -> Limits:
        """The limits of the store."""
        return self._core.limits

    # Reading

    def head(self, key: str, **options: Unpack[ReadOptions]) -> BlobInfo:
        """Reads the properties of a blob.

        Raises:
            NotFoundError: There is none.
        """
        return run(self._core.head(key, known("head", options, READ)))

    def get(self, key: str, start: int = 0, end: int | None = None, *, last: int | None = None, **options: Unpack[ReadOptions]) -> Blob:
        """Opens a blob for reading: whole, from `start` to before `end`, or its `last` bytes. A range beyond the end is truncated.

        The result is a file to read from; close it, or use it in a `with` statement. A `timeout` covers the whole read.

        Raises:
            NotFoundError: There is no such blob.
            InvalidRangeError: No byte of the blob is in the range.
        """
        reader = Reader.open(self._core, key, known("get", options, READ), Wanted(start, end, last))
        return Blob(run(reader))

    def read(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        last: int | None = None,
        max_bytes: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> bytes:
        """Reads a blob, or a range of it, into memory.

        Raises:
            TooLargeError: It has more than `max_bytes`.
        """

        async def read() -> bytes:
            reader = await Reader.open(self._core, key, known("read", options, READ), Wanted(start, end, last))
            try:
                return await reader.read_all(max_bytes)
            finally:
                reader.close()

        return run(read())

    def download(
        self,
        key: str,
        target: str | PathLike[str] | IO[bytes],
        *,
        part_size: int | None = None,
        concurrency: int | None = None,
        **options: Unpack[ReadOptions],
    ) -> BlobInfo:
        """Reads a blob over several connections, and writes it to a path or a binary file, in order.

        A path is replaced once all bytes are written. Memory is `part_size` (8 MiB) times `concurrency` (4).
        """

        async def download() -> BlobInfo:
            download = Download(self._core, key, known("download", options, READ), part_size, concurrency)
            place = Target(target, f'download "{shown(key)}"')
            try:
                async with aclosing(download.pieces()) as pieces:
                    async for piece in pieces:
                        written = await self._core.io.call(place.write, piece)
                        if hasattr(written, "__await__"):
                            await written
                await self._core.io.call(place.finish)
            except BaseException:
                place.discard()
                raise
            assert download.info is not None
            return download.info

        return run(download())

    def download_chunks(
        self, key: str, *, part_size: int | None = None, concurrency: int | None = None, **options: Unpack[ReadOptions]
    ) -> Iterator[bytes]:
        """Reads a blob over several connections, as pieces in order."""
        download = Download(self._core, key, known("download_chunks", options, READ), part_size, concurrency)
        return _iterate(download.pieces())

    def tags(self, key: str, **options: Unpack[VersionOptions]) -> dict[str, str]:
        """Reads the tags of a blob."""
        return run(self._core.tags(key, known("tags", options, VERSION)))

    # Writing

    def put(self, key: str, body: Body, *, length: int | None = None, **options: Unpack[WriteOptions]) -> Written:
        """Writes a blob with one request, atomically: bytes, a binary file that can seek, or a stream of a given `length`.

        Bytes and files that can seek are sent again on a retry, a stream is not. `upload` writes streams of unknown length.

        Raises:
            PreconditionFailedError: `if_absent` or `if_match` does not hold; nothing was written.
            OutcomeUnknownError: The response was lost, and it is unknown whether the write took effect.
        """
        return run(self._core.put(key, body, length, known("put", options, WRITE)))

    def upload(self, key: str, body: Body, **options: Unpack[UploadOptions]) -> Written:
        """Writes a blob of any length from bytes, a file or an iterable: with one request if it fits a part, otherwise in parts.

        The blob appears atomically. An upload that fails or is cancelled is aborted at the service. Memory is `part_size` times
        `concurrency` + 1.

        Raises:
            BodyError: The body cannot be read.
        """
        upload = Upload(self._core, key, known("upload", options, UPLOAD))
        return run(upload.run(pieces_of(self._core.io, body, f'upload "{shown(key)}"')))

    def copy(self, source: str | CopySource, to: str, **options: Unpack[CopyOptions]) -> Written:
        """Copies a blob at the service, onto another key or (with other properties) itself.

        Raises:
            TooLargeError: The source is larger than the service copies at once (S3: 5 GiB).
        """
        return run(self._core.copy(source, to, known("copy", options, COPY)))

    def set_tags(self, key: str, tags: Mapping[str, str], **options: Unpack[VersionOptions]) -> None:
        """Replaces the tags of a blob."""
        return run(self._core.set_tags(key, tags, known("set_tags", options, VERSION)))

    # Deleting

    def delete(self, key: str, **options: Unpack[VersionOptions]) -> bool | None:
        """Deletes a blob. A missing one is no error. Returns whether it existed, if the service says so."""
        return run(self._core.delete(key, known("delete", options, VERSION)))

    def delete_many(self, blobs: Iterable[str | BlobRef], **options: Unpack[CallOptions]) -> list[SandbucketError | None]:
        """Deletes up to 1,000 blobs. Returns for each, in order, its error or `None`."""
        return run(self._core.delete_many(blobs, known("delete_many", options, CALL)))

    # Listing

    def list(self, prefix: str = "", **options: Unpack[ListOptions]) -> Iterator[Entry]:
        """Lists blobs whose keys begin with `prefix`, page by page as they are read."""
        return _iterate(self._core.entries({**known("list", options, LIST), "prefix": prefix}))

    def list_pages(self, prefix: str = "", **options: Unpack[ListOptions]) -> Iterator[ListPage]:
        """Lists blobs as pages. With a `delimiter`, their `prefixes` are like folders."""
        return _iterate(self._core.pages({**known("list_pages", options, LIST), "prefix": prefix}))

    def list_page(self, prefix: str = "", **options: Unpack[ListOptions]) -> ListPage:
        """Lists one page. Its `next` is the `continuation` of the next one."""
        return run(self._core.list_page({**known("list_page", options, LIST), "prefix": prefix}))

    def versions(self, prefix: str = "", **options: Unpack[ListOptions]) -> Iterator[VersionEntry]:
        """Lists versions, the newest of each key first."""
        return _iterate(self._core.versions({**known("versions", options, LIST), "prefix": prefix}))

    def uploads(self, prefix: str = "", **options: Unpack[PageOptions]) -> Iterator[PendingUpload]:
        """Lists uploads that were neither completed nor aborted."""
        return _iterate(self._core.uploads({**known("uploads", options, PAGE), "prefix": prefix}))

    def abort_upload(self, key: str, upload: str, **options: Unpack[CallOptions]) -> None:
        """Drops an upload and its parts. A missing one is no error."""
        return run(self._core.abort_upload(key, upload, known("abort_upload", options, CALL)))

    # Presigned requests

    def presign(
        self, method: Literal["get", "head", "put", "delete"], key: str, expires_in: float = 3600, **options: Unpack[PresignOptions]
    ) -> Presigned:
        """Makes a URL that permits one request for so many seconds. Sends no request."""
        return run(self._core.presign(method, key, expires_in, known("presign", options, PRESIGN)))

    # Buckets

    def create_bucket(self, name: str, **options: Unpack[CallOptions]) -> None:
        """Creates a bucket, in the store's region.

        Raises:
            ConflictError: It exists.
        """
        return run(self._core.create_bucket(name, known("create_bucket", options, CALL)))

    def delete_bucket(self, name: str, **options: Unpack[CallOptions]) -> None:
        """Deletes an empty bucket."""
        return run(self._core.delete_bucket(name, known("delete_bucket", options, CALL)))

    def bucket_exists(self, name: str, **options: Unpack[CallOptions]) -> bool:
        """Whether a bucket exists."""
        return run(self._core.bucket_exists(name, known("bucket_exists", options, CALL)))

    def buckets(self, **options: Unpack[PrefixOptions]) -> Iterator[Bucket]:
        """Lists the buckets of the account."""
        return _iterate(self._core.buckets(known("buckets", options, PREFIX)))
