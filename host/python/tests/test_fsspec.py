"""The fsspec filesystem: fsspec's own suites, pandas and pyarrow."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import pytest
from conftest import BUCKET
from fsspec.tests import abstract
from servers import Agreeable, Response, serving

from sandbucket import Engine, IntegrityError, SandbucketError
from sandbucket.filesystem import SandbucketFileSystem


def options_of(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "bucket"} | {"allow_private": True}


@pytest.fixture
def filesystem(dev_server: dict[str, Any], engine: Engine) -> Iterator[SandbucketFileSystem]:
    filesystem = SandbucketFileSystem(engine=engine, skip_instance_cache=True, **options_of(dev_server))
    yield filesystem
    if filesystem.find(BUCKET):
        filesystem.rm(filesystem.find(BUCKET))
    filesystem.close()


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, filesystem: SandbucketFileSystem) -> SandbucketFileSystem:
        return filesystem

    @pytest.fixture
    def fs_path(self) -> str:
        return BUCKET

    @pytest.fixture
    def fs_join(self) -> Any:
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass


def test_filesystem_is_found_by_its_protocol(dev_server: dict[str, Any], engine: Engine) -> None:
    options = options_of(dev_server)
    with fsspec.open(f"sandbucket://{BUCKET}/opened.txt", "w", **options) as file:
        file.write("by the protocol")
    filesystem, path = fsspec.url_to_fs(f"sandbucket://{BUCKET}/opened.txt", **options)
    assert isinstance(filesystem, SandbucketFileSystem)
    assert filesystem.cat(path) == b"by the protocol"
    filesystem.rm(path)
    assert not filesystem.exists(path)


def test_long_file_is_a_multipart_upload_and_a_failed_one_leaves_nothing(filesystem: SandbucketFileSystem) -> None:
    content = os.urandom(13 << 20)
    path = f"{BUCKET}/long"
    with filesystem.open(path, "wb", block_size=5 << 20) as file:
        for at in range(0, len(content), 700_001):
            file.write(content[at : at + 700_001])
    assert filesystem.info(path)["ETag"].endswith('-3"')
    with filesystem.open(path, "rb", block_size=1 << 20) as file:
        assert file.read(10) == content[:10]
        file.seek(-7, 2)
        assert file.read() == content[-7:]
        file.seek(6 << 20)
        assert file.read(3 << 20) == content[6 << 20 : 9 << 20]
    file = filesystem.open(f"{BUCKET}/broken", "wb", block_size=5 << 20)
    with contextlib.suppress(ZeroDivisionError), file:
        file.write(content)
        raise ZeroDivisionError
    assert not filesystem.exists(f"{BUCKET}/broken")

    async def uploads() -> list[Any]:
        return [upload async for upload in (await filesystem.store(BUCKET)).uploads()]

    assert fsspec.asyn.sync(filesystem.loop, uploads) == []


class Uploads:
    """What a service with multipart uploads responds, and `refuse` decides otherwise."""

    def __init__(self, refuse: Callable[[str, str], Response | None]) -> None:
        self._refuse = refuse

    def __call__(self, method: str, path: str) -> Response:
        refused = self._refuse(method, path)
        if refused is not None:
            return refused
        if method == "POST" and "uploadId" in path:
            return 200, {}, b"<CompleteMultipartUploadResult><ETag>&quot;e-2&quot;</ETag></CompleteMultipartUploadResult>"
        if method == "POST":
            return 200, {}, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
        if method == "DELETE":
            return 204, {}, b""
        if method == "GET" and "uploadId" in path:
            return 404, {}, b"<Error><Code>NoSuchUpload</Code></Error>"
        return 200, {"etag": '"e"'}, b""


MIB = 1 << 20
REFUSED: Response = (403, {}, b"<Error><Code>AccessDenied</Code></Error>")


@contextlib.contextmanager
def uploading(engine: Engine, refuse: Callable[[str, str], Response | None], **options: Any) -> Iterator[tuple[Agreeable, Any]]:
    """A file of the bucket `demo` that is written in parts of 5 MiB."""
    with serving(Agreeable(Uploads(refuse))) as server:
        settings: dict[str, Any] = {"access_key": "a", "secret_key": "s", "allow_insecure_sse_customer_key": True}
        filesystem = SandbucketFileSystem(engine=engine, skip_instance_cache=True, endpoint=server.endpoint, allow_private=True, **settings)
        yield server, filesystem.open("demo/k", "wb", block_size=5 * MIB, **options)
        filesystem.close()


def sent(server: Agreeable, method: str, part: str = "") -> list[dict[str, str]]:
    """The headers of the requests with this method, and with `part` in the path."""
    return [headers for name, path, headers, _ in server.seen if name == method and part in path]


def test_file_whose_completion_may_have_succeeded_is_not_aborted(engine: Engine) -> None:
    def refuse(method: str, path: str) -> Response | None:
        if method == "POST" and "uploadId" in path:
            raise ConnectionAbortedError("the response is lost")
        return (503, {}, b"") if method in ("GET", "HEAD") else None

    with uploading(engine, refuse, max_retries=0) as (server, file):
        file.write(bytes(6 * MIB))
        with pytest.raises(SandbucketError) as caught:
            file.close()
        assert caught.value.kind in ("network", "outcome-unknown")
        file.discard()
        assert sent(server, "DELETE") == []
        assert len(sent(server, "POST", "uploadId")) == 1


def test_file_whose_completion_was_refused_is_aborted(engine: Engine) -> None:
    with uploading(engine, lambda method, path: REFUSED if method == "POST" and "uploadId" in path else None) as (server, file):
        file.write(bytes(6 * MIB))
        with pytest.raises(PermissionError):
            file.close()
        assert len(sent(server, "DELETE", "uploadId")) == 1


def test_file_with_a_failed_part_is_closed_and_aborted(engine: Engine) -> None:
    with uploading(engine, lambda method, path: REFUSED if "partNumber=2" in path else None) as (server, file):
        with pytest.raises(PermissionError):
            file.writelines([bytes(5 * MIB)] * 12)
        file.close()
        assert sent(server, "POST", "uploadId") == []
        assert len(sent(server, "DELETE", "uploadId")) == 1


def test_all_requests_of_a_file_have_its_options(engine: Engine) -> None:
    attributes = {"expected-bucket-owner": "111122223333", "sse-customer-key": base64.b64encode(bytes(32)).decode(), "tags": "a=1"}
    with uploading(engine, lambda method, path: None, attributes=attributes, timeout=50) as (server, file):
        file.write(bytes(11 * MIB))
        file.close()
        assert len(sent(server, "PUT", "partNumber")) == 3
        for headers in sent(server, "PUT") + sent(server, "POST"):
            assert headers["x-amz-expected-bucket-owner"] == "111122223333"
        for headers in sent(server, "PUT") + sent(server, "POST", "uploads"):
            assert "x-amz-server-side-encryption-customer-key" in headers
        assert file.fs.open("demo/k", "rb", attributes=attributes).read() == b""
        assert "x-amz-server-side-encryption-customer-key" in sent(server, "HEAD")[0]


def test_file_that_is_replaced_while_it_is_read_is_an_error(filesystem: SandbucketFileSystem) -> None:
    path = f"{BUCKET}/replaced"
    filesystem.pipe(path, b"a" * 100_000)
    with filesystem.open(path, "rb", block_size=1000, cache_type="none") as file:
        assert file.read(10) == b"a" * 10
        filesystem.pipe(path, b"b" * 100_000)
        with pytest.raises(OSError, match="changed while it was being read"):
            file.read(10)


def test_errors_are_those_of_files(filesystem: SandbucketFileSystem, dev_server: dict[str, Any], engine: Engine) -> None:
    with pytest.raises(FileNotFoundError):
        filesystem.cat(f"{BUCKET}/none")
    with pytest.raises(FileNotFoundError):
        filesystem.open(f"{BUCKET}/none", "rb")
    with pytest.raises(FileNotFoundError):
        filesystem.ls(f"{BUCKET}/none")
    wrong = {**options_of(dev_server), "secret_key": "wrong"}
    with pytest.raises(PermissionError):
        SandbucketFileSystem(engine=engine, skip_instance_cache=True, **wrong).cat(f"{BUCKET}/none")
    assert not issubclass(IntegrityError, OSError)


def test_buckets_are_the_top_folders(filesystem: SandbucketFileSystem) -> None:
    filesystem.mkdir("another-bucket")
    with pytest.raises(FileExistsError):
        filesystem.mkdir("another-bucket")
    assert {"another-bucket", BUCKET} <= set(filesystem.ls("", detail=False))
    filesystem.pipe(f"{BUCKET}/a", b"1")
    filesystem.cp_file(f"{BUCKET}/a", "another-bucket/b")
    assert filesystem.ls("another-bucket", detail=False) == ["another-bucket/b"]
    filesystem.rm("another-bucket", recursive=True)
    assert "another-bucket" not in filesystem.ls("", detail=False)


def test_bulk_calls_and_globs(filesystem: SandbucketFileSystem) -> None:
    blobs = {f"{BUCKET}/folder/{n}/x.txt": bytes([n]) for n in range(20)}
    filesystem.pipe(blobs)
    assert filesystem.cat(list(blobs)) == blobs
    assert sorted(filesystem.glob(f"{BUCKET}/folder/*/x.txt")) == sorted(blobs)
    assert len(filesystem.ls(f"{BUCKET}/folder")) == 20
    assert filesystem.du(f"{BUCKET}/folder") == 20
    assert filesystem.cat_file(f"{BUCKET}/folder/5/x.txt", -1) == b"\x05"
    url = filesystem.sign(f"{BUCKET}/folder/5/x.txt")
    assert "X-Amz-Signature" in url


def test_pandas_writes_and_reads_parquet(dev_server: dict[str, Any]) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"n": range(10_000), "text": [f"row {n}" for n in range(10_000)]})
    url = f"sandbucket://{BUCKET}/table.parquet"
    options = options_of(dev_server)
    table.to_parquet(url, storage_options=options)
    assert pandas.read_parquet(url, storage_options=options).equals(table)
    column = pandas.read_parquet(url, columns=["n"], storage_options=options)
    assert column["n"].sum() == 9999 * 5000
    csv = f"sandbucket://{BUCKET}/table.csv"
    table.to_csv(csv, index=False, storage_options=options)
    assert pandas.read_csv(csv, storage_options=options).equals(table)
    fsspec.filesystem("sandbucket", **options).rm([url, csv])


def test_pyarrow_writes_and_reads_a_partitioned_dataset(filesystem: SandbucketFileSystem) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import dataset, fs

    table = pyarrow.table({"part": [n % 4 for n in range(1000)], "n": list(range(1000))})
    arrow = fs.PyFileSystem(fs.FSSpecHandler(filesystem))
    path = f"{BUCKET}/dataset"
    dataset.write_dataset(table, path, filesystem=arrow, format="parquet", partitioning=["part"])
    assert len(filesystem.find(path)) == 4
    read = dataset.dataset(path, filesystem=arrow, format="parquet", partitioning=["part"])
    found = read.to_table(filter=dataset.field("part") == 2).column("n").to_pylist()
    assert sorted(found) == list(range(2, 1000, 4))
