"""The operations of a store, on the dev server and moto, by both clients."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import pickle
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import Client, Loop

from sandbucket import (
    AccessDeniedError,
    AsyncStore,
    BlobRef,
    BodyError,
    ConflictError,
    CopySource,
    Engine,
    InvalidArgumentError,
    InvalidRangeError,
    InvalidSettingsError,
    NetworkError,
    NotFoundError,
    NotModifiedError,
    PreconditionFailedError,
    Store,
    TooLargeError,
    UnsupportedError,
)
from sandbucket.io import AsyncIo

MIB = 1 << 20


def test_blob_is_written_read_and_deleted(client: Client) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    written = client.put(
        "a b/ü?%", b"hello", content_type="text/plain", metadata={"Colour": "gr\u00fcn"}, attributes={"cache-control": "no-store"}
    )
    info = client.head("a b/ü?%")
    assert (info.size, info.etag, info.content_type) == (5, written.etag, "text/plain")
    assert info.metadata == {"colour": "grün"}
    assert info.attributes["cache-control"] == "no-store"
    assert before < info.last_modified < datetime.now(UTC) + timedelta(seconds=2)
    assert client.read("a b/ü?%") == b"hello"
    assert client.read("a b/ü?%", 1, 3) == b"el"
    assert client.read("a b/ü?%", 3) == b"lo"
    assert client.read("a b/ü?%", last=2) == b"lo"
    assert client.read("a b/ü?%", 2, 2) == b""
    assert client.read("a b/ü?%", 2, 100) == b"llo"
    with pytest.raises(TooLargeError):
        client.read("a b/ü?%", max_bytes=4)
    with pytest.raises(InvalidRangeError):
        client.read("a b/ü?%", 5)
    client.delete("a b/ü?%")
    with pytest.raises(NotFoundError) as caught:
        client.head("a b/ü?%")
    assert (caught.value.kind, caught.value.status, caught.value.retryable) == ("not-found", 404, False)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.status) == (NotFoundError, str(caught.value), 404)


def test_conditions_hold_or_are_errors(client: Client) -> None:
    etag = client.put("k", b"1", if_absent=True).etag
    with pytest.raises(PreconditionFailedError):
        client.put("k", b"2", if_absent=True)
    with pytest.raises(NotModifiedError):
        client.read("k", if_none_match=etag)
    with pytest.raises(PreconditionFailedError):
        client.read("k", if_match='"another"')
    assert client.read("k", if_match=etag) == b"1"
    with pytest.raises(PreconditionFailedError):
        client.head("k", if_unmodified_since=datetime(2001, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("size", [0, 1, 100_000, 9 * MIB])
def test_bodies_of_every_kind_are_written_whole(client: Client, size: int) -> None:
    content = os.urandom(size)

    def pieces() -> Iterator[bytes]:
        for at in range(0, size, 70_001):
            yield content[at : at + 70_001]

    class OnlyRead:
        def __init__(self) -> None:
            self.file = io.BytesIO(content)

        def read(self, count: int, /) -> bytes:
            return self.file.read(min(count, 99_999))

    bodies: list[Any] = [content, bytearray(content), memoryview(content), io.BytesIO(content)]
    for body in bodies:
        client.put("k", body)
        assert client.read("k") == content
    for body in (pieces(), OnlyRead()):
        client.put("k", body, length=size)
        assert client.read("k") == content
    for body in (content, io.BytesIO(content), pieces(), OnlyRead()):
        client.upload("k", body, part_size=5 * MIB)
        assert client.read("k") == content
    file = io.BytesIO(b"skipped" + content)
    file.seek(7)
    client.put("k", file)
    assert client.read("k") == content


def test_asynchronous_bodies_are_written(client: Client) -> None:
    if client.loop is None:
        return
    content = os.urandom(6 * MIB)

    async def pieces() -> Any:
        for at in range(0, len(content), MIB):
            await asyncio.sleep(0)
            yield content[at : at + MIB]

    class Reader:
        def __init__(self) -> None:
            self.file = io.BytesIO(content)

        async def read(self, count: int, /) -> bytes:
            await asyncio.sleep(0)
            return self.file.read(count)

    for body in (pieces(), Reader()):
        client.upload("k", body, part_size=5 * MIB)
        assert client.read("k") == content


def test_blob_is_a_file(client: Client) -> None:
    content = os.urandom(300_000)
    client.put("k", content)
    blob = client.get("k", 10)
    assert blob.info.size == len(content)
    assert blob.range == (10, len(content))
    if client.loop is not None:
        assert client.loop.run(blob.read(5)) == content[10:15]
        assert client.loop.run(blob.read()) == content[15:]
        assert client.loop.run(blob.read()) == b""
        return
    assert blob.read(5) == content[10:15]
    assert io.BufferedReader(blob).read(100_000) == content[15:100_015]
    blob = client.get("k")
    assert b"".join(blob.chunks()) == content
    buffer = bytearray(7)
    blob = client.get("k")
    assert blob.readinto(buffer) == 7
    assert buffer == content[:7]
    blob.close()
    with pytest.raises(ValueError, match="closed"):
        blob.read(1)


def test_upload_of_unknown_length_takes_bounded_memory(client_loop: Loop | None, dev_server: dict[str, Any], engine: Engine) -> None:
    client = Client(client_loop, engine=engine, allow_private=True, **dev_server)
    total = 160 * MIB
    piece = os.urandom(MIB)
    gc.collect()
    tracemalloc.start()
    try:
        written = client.upload("long", (piece for _ in range(total // MIB)), part_size=5 * MIB, concurrency=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert written.etag.endswith('-32"')
    assert client.head("long").size == total
    assert peak < 40 * MIB, peak
    client.delete("long")


def test_failed_upload_is_aborted(client: Client) -> None:
    def pieces(error: Exception) -> Iterator[bytes]:
        for _ in range(12):
            yield bytes(MIB)
        raise error

    for error in (OSError("the disk is gone"), RuntimeError("a bug")):
        with pytest.raises(BodyError, match='upload "k": reading') as caught:
            client.upload("k", pieces(error), part_size=5 * MIB)
        assert caught.value.__cause__ is error
    with pytest.raises(InvalidArgumentError):
        client.upload("k", iter([bytes(6 * MIB), "text"]), part_size=5 * MIB)
    assert client.uploads() == []
    with pytest.raises(NotFoundError):
        client.head("k")


def test_cancelled_upload_is_aborted(loop: Loop, dev_server: dict[str, Any], engine: Engine) -> None:
    async def cancel() -> list[Any]:
        store = await AsyncStore.open(engine=engine, allow_private=True, **dev_server)
        sent = asyncio.Event()

        async def pieces() -> Any:
            for _ in range(12):
                yield bytes(MIB)
            sent.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(store.upload("cancelled", pieces(), part_size=5 * MIB))
        await sent.wait()
        assert len([upload async for upload in store.uploads()]) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [upload async for upload in store.uploads()]

    assert loop.run(cancel()) == []


def test_conditional_upload_of_an_existing_key_fails(client: Client) -> None:
    client.put("k", b"1")
    for size in (1, 6 * MIB):
        with pytest.raises(PreconditionFailedError):
            client.upload("k", iter([bytes(size)]), if_absent=True, part_size=5 * MIB)
    assert client.uploads() == []
    assert client.read("k") == b"1"


@pytest.mark.parametrize("size", [0, 1, MIB, 2 * MIB + 1, 5 * MIB])
def test_download_joins_concurrent_parts(client: Client, size: int, tmp_path: Path) -> None:
    content = os.urandom(size)
    client.put("k", content)
    target = tmp_path / "target"
    target.write_bytes(b"before")
    assert client.download("k", target, part_size=MIB).size == size
    assert target.read_bytes() == content
    buffer = io.BytesIO()
    client.download("k", buffer, part_size=MIB, concurrency=1)
    assert buffer.getvalue() == content
    assert b"".join(client.download_chunks("k", part_size=MIB)) == content
    with pytest.raises(NotFoundError):
        client.download("none", target)
    with pytest.raises(BodyError):
        client.download("k", tmp_path / "no" / "folder")
    assert target.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_lists_are_read_page_by_page(client: Client) -> None:
    keys = sorted(f"{folder}/{n}" for folder in "ab" for n in range(7))
    for key in keys:
        client.put(key, b"x")
    assert [entry.key for entry in client.list(page_size=3)] == keys
    assert [entry.key for entry in client.list("b/")] == keys[7:]
    assert [entry.key for entry in client.list(start_after="a/5")] == keys[6:]
    pages = client.list_pages(delimiter="/", page_size=1)
    assert [prefix for page in pages for prefix in page.prefixes] == ["a/", "b/"]
    page = client.list_page("a/", page_size=2)
    assert [entry.key for entry in page.entries] == keys[:2]
    assert client.list_page("a/", page_size=2, continuation=page.next).entries[0].key == keys[2]
    assert client.list("none") == []


def test_bulk_delete_reports_every_outcome(client: Client) -> None:
    for n in range(5):
        client.put(f"k{n}", b"x")
    assert client.delete_many([f"k{n}" for n in range(4)] + [BlobRef("none")]) == [None] * 5
    assert [entry.key for entry in client.list()] == ["k4"]
    with pytest.raises(InvalidArgumentError):
        client.delete_many(["k"] * 1001)


def test_copies_keep_or_replace_properties(client: Client) -> None:
    client.put("a", b"x", content_type="text/plain", metadata={"n": "1"})
    client.copy("a", "b")
    assert (client.head("b").content_type, client.head("b").metadata) == ("text/plain", {"n": "1"})
    client.copy(CopySource("a"), "c", content_type="text/html", metadata={})
    assert (client.head("c").content_type, client.head("c").metadata) == ("text/html", {})
    with pytest.raises(NotFoundError):
        client.copy("none", "d")


def test_tags_are_replaced(client: Client) -> None:
    client.put("k", b"x", attributes={"tags": "a=1&b=2"})
    assert client.tags("k") == {"a": "1", "b": "2"}
    client.set_tags("k", {"c": "ü"})
    assert client.tags("k") == {"c": "ü"}
    client.set_tags("k", {})
    assert client.tags("k") == {}


def test_buckets_are_made_and_removed(client: Client) -> None:
    assert not client.bucket_exists("another-bucket")
    client.create_bucket("another-bucket")
    assert client.bucket_exists("another-bucket")
    assert "another-bucket" in [bucket.name for bucket in client.buckets()]
    client.delete_bucket("another-bucket")
    with pytest.raises(NotFoundError):
        client.delete_bucket("another-bucket")
    client.put("k", b"x")
    with pytest.raises(ConflictError):
        client.delete_bucket(client.store.bucket)


def test_presigned_urls_are_requests(client_loop: Loop | None, dev_server: dict[str, Any], engine: Engine) -> None:
    import urllib.request

    client = Client(client_loop, engine=engine, allow_private=True, **dev_server)
    put = client.presign("put", "presigned", 60)
    assert dev_server["endpoint"] in put.url
    assert "X-Amz-Signature" not in repr(put)
    urllib.request.urlopen(urllib.request.Request(put.url, b"by url", put.headers, method="PUT"), timeout=10).close()
    with urllib.request.urlopen(client.presign("get", "presigned").url, timeout=10) as response:
        assert response.read() == b"by url"
    client.delete("presigned")


def test_wrong_settings_are_errors_of_their_own(client_loop: Loop | None, dev_server: dict[str, Any], engine: Engine) -> None:
    def opened(**changed: Any) -> Client:
        return Client(client_loop, engine=engine, **{"allow_private": True, **dev_server, **changed})

    for changed, subject in (
        ({"timeout": "soon"}, "timeout"),
        ({"bukket": "b"}, "bukket"),
        ({"bucket": ""}, "bucket"),
        ({"region": "a b"}, "region"),
    ):
        with pytest.raises(InvalidSettingsError) as settings:
            opened(**changed)
        assert settings.value.subject == subject
        assert dev_server["secret_key"] not in f"{settings.value!r}"
    with pytest.raises(AccessDeniedError) as denied:
        opened(secret_key="wrong secret").head("k")
    assert "wrong secret" not in f"{denied.value!r} {denied.value}"
    with pytest.raises(NotFoundError) as missing:
        opened(bucket="no-such-bucket").read("k")
    assert missing.value.is_missing_bucket
    with pytest.raises(UnsupportedError) as unknown:
        opened().put("k", b"x", attributes={"nonsense": "1"})
    assert unknown.value.subject == "nonsense"
    with pytest.raises(NetworkError, match="loopback"):
        opened(allow_private=False).head("k")
    with pytest.raises(NetworkError, match="refused") as refused:
        opened(endpoint="http://127.0.0.1:9", max_retries=0).head("k")
    assert refused.value.retryable
    assert repr(opened().store).startswith(("Store(bucket=", "AsyncStore(bucket="))
    assert dev_server["secret_key"] not in repr(vars(opened().store._core)) + repr(opened().store._core._opened)


def test_store_is_used_from_many_threads(dev_server: dict[str, Any], engine: Engine) -> None:
    store = Store(engine=engine, allow_private=True, **dev_server)
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for n in range(25):
                content = os.urandom(5000)
                store.put(f"t{name}", content)
                assert store.read(f"t{name}") == content, n
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.delete_many([f"t{name}" for name in range(12)]) == [None] * 12
    assert len(store._core._opened.pool._idle) <= engine.limits.instances_per_store


def test_calls_of_asyncio_run_beside_each_other(loop: Loop, dev_server: dict[str, Any], engine: Engine) -> None:
    async def work() -> None:
        async with await AsyncStore.open(engine=engine, allow_private=True, **dev_server) as store:
            await asyncio.gather(*[store.put(f"a{n}", bytes([n]) * 1000) for n in range(100)])
            assert await asyncio.gather(*[store.read(f"a{n}") for n in range(100)]) == [bytes([n]) * 1000 for n in range(100)]
            assert len(store._core._client._idle[next(iter(store._core._client._idle))]) <= engine.limits.idle_connections
            await store.delete_many([f"a{n}" for n in range(100)])

    loop.run(work())


def test_connections_are_kept_and_closed(dev_server: dict[str, Any], engine: Engine) -> None:
    from servers import Agreeable, serving

    with serving(Agreeable(lambda method, path: (200, {"etag": '"e"'}, b"0123456789"))) as server:
        store = Store(engine=engine, allow_private=True, bucket="demo", endpoint=server.endpoint)
        for _ in range(5):
            assert store.read("k") == b"0123456789"
        assert server.connections == 1
        # A body that is not read to its end costs its connection.
        store.get("k").close()
        assert store.read("k") == b"0123456789"
        assert server.connections <= 2
        store.close()
        assert not any(store._core._client._idle.values())


def test_pipes_between_reads_and_uploads_of_a_store_do_not_deadlock(loop: Loop, dev_server: dict[str, Any], engine: Engine) -> None:
    content = os.urandom(MIB)
    pipes = [os.pipe() for _ in range(2 * engine.limits.instances_per_store)]
    files = [(open(read, "rb", buffering=0), open(write, "wb", buffering=0)) for read, write in pipes]

    async def fill(store: AsyncStore, file: Any) -> None:
        with file:
            await store.download("source", file)

    async def work() -> None:
        async with await AsyncStore.open(engine=engine, allow_private=True, **dev_server) as store:
            await store.put("source", content)
            uploads = [asyncio.create_task(store.upload(f"piped{n}", read)) for n, (read, _) in enumerate(files)]
            # All workers would wait for their pipes by now.
            await asyncio.sleep(0.2)
            try:
                async with asyncio.timeout(60):
                    await asyncio.gather(*[fill(store, write) for _, write in files], *uploads)
                for n in range(len(files)):
                    assert await store.read(f"piped{n}") == content
                await store.delete_many(["source", *[f"piped{n}" for n in range(len(files))]])
            finally:
                for _, write in files:
                    write.close()

    loop.run(work())
    for read, _ in files:
        read.close()


def test_step_waits_for_a_worker_no_longer_than_its_time(loop: Loop) -> None:
    async def work() -> None:
        io, held = AsyncIo(1, 1), threading.Event()
        ran: list[int] = []
        holding = asyncio.create_task(io.step(60, held.wait, 60))
        await asyncio.sleep(0)
        try:
            with pytest.raises(TimeoutError):
                await io.step(0.05, ran.append, 1)
            assert await io.call(lambda: "not held up") == "not held up"
        finally:
            held.set()
        assert await holding
        assert await io.step(60, len, ran) == 0
        io.close()

    loop.run(work())


def test_closed_store_keeps_no_thread(loop: Loop, dev_server: dict[str, Any], engine: Engine) -> None:
    before = set(threading.enumerate())

    async def work() -> None:
        store = AsyncStore(engine=engine, allow_private=True, **dev_server)
        await store.put("k", io.BytesIO(b"x"))
        store.close()
        assert await store.read("k") == b"x"
        await store.delete("k")
        assert store._core._opened.pool._idle == []

    loop.run(work())
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("sandbucket"):
            thread.join(10)
            assert not thread.is_alive(), thread.name


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors by /proc")
def test_no_descriptor_is_left_open(dev_server: dict[str, Any], engine: Engine, loop: Loop) -> None:
    def count() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    def work() -> None:
        store = Store(engine=engine, allow_private=True, **dev_server)
        store.put("k", bytes(MIB))
        for _ in range(5):
            store.get("k")
            with pytest.raises(NotFoundError):
                store.read("none")
        store.close()

    work()
    before = count()
    for _ in range(5):
        work()
    assert count() <= before
