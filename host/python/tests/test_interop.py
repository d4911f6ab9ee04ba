"""Objects of boto3 are read by this package, and the other way round."""

from __future__ import annotations

import os
from typing import Any

import pytest
from conftest import Client

boto3 = pytest.importorskip("boto3")


@pytest.fixture
def boto(service: dict[str, Any]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=service["endpoint"],
        region_name=service["region"],
        aws_access_key_id=service["access_key"],
        aws_secret_access_key=service["secret_key"],
    )


KEYS = ["plain", "a b+c%20d", "ü/日本語/🪣", "a//b", "q?x=1&y#z"]


@pytest.mark.parametrize("size", [0, 5, 100_000])
def test_objects_of_boto3_are_read(client: Client, boto: Any, size: int) -> None:
    content = os.urandom(size)
    for key in KEYS:
        boto.put_object(
            Bucket=client.store.bucket, Key=key, Body=content, ContentType="text/x", Metadata={"a": "1"}, ChecksumAlgorithm="CRC32"
        )
        assert client.read(key) == content
        info = client.head(key)
        assert (info.size, info.content_type, info.metadata) == (size, "text/x", {"a": "1"})
        assert info.etag == boto.head_object(Bucket=client.store.bucket, Key=key)["ETag"]
    assert [entry.key for entry in client.list()] == sorted(KEYS, key=str.encode)


@pytest.mark.parametrize("size", [0, 5, 11 << 20])
def test_objects_of_this_package_are_read_by_boto3(client: Client, boto: Any, size: int) -> None:
    content = os.urandom(size)
    for key in KEYS:
        client.upload(key, content, content_type="text/x", metadata={"a": "1"}, part_size=5 << 20)
        found = boto.get_object(Bucket=client.store.bucket, Key=key)
        assert found["Body"].read() == content
        assert (found["ContentType"], found["Metadata"]) == ("text/x", {"a": "1"})
    listed = boto.list_objects_v2(Bucket=client.store.bucket)["Contents"]
    assert [item["Key"] for item in listed] == sorted(KEYS, key=str.encode)


@pytest.mark.parametrize("checksum", ["crc32", "crc32c", "crc64nvme", "sha256", "md5", "none"])
def test_checksums_are_verified_by_the_service(service: dict[str, Any], engine: Any, boto: Any, checksum: str) -> None:
    client = Client(None, engine=engine, allow_private=True, **service, checksum=checksum)
    content = os.urandom(10_000)
    client.put("sum", content)
    assert boto.get_object(Bucket=client.store.bucket, Key="sum")["Body"].read() == content
    assert client.read("sum") == content
    client.delete("sum")
