"""Digests, part sizes, escapes and the conversion of values."""

from __future__ import annotations

import os
import zlib

import pytest

from sandbucket import Limits
from sandbucket.digests import Hasher, crc32c, crc64nvme, of_body
from sandbucket.errors import NetworkError, RequestTimeoutError
from sandbucket.part_sizes import GROWN_MEMORY, MAX_PART_SIZE, MAX_PARTS, PartSizes
from sandbucket.retry_quota import RetryQuota
from sandbucket.text import sanitized

MIB = 1 << 20


def test_digests_are_those_of_their_definitions() -> None:
    check = memoryview(b"123456789")
    assert crc32c(check) == 0xE3069283
    assert crc64nvme(check) == 0xAE8B14860A799888
    expected = {"crc32": "cbf43926", "crc32c": "e3069283", "crc64nvme": "ae8b14860a799888", "md5": "25f9e794323b453885f5181f1b624d0b"}
    expected["sha256"] = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
    for record in of_body([check[:4], check[4:]], expected):
        assert isinstance(record["value"], bytes)
        assert record["value"].hex() == expected[str(record["algorithm"])]


def test_digests_in_pieces_are_those_of_the_whole() -> None:
    body = os.urandom(10_007)
    for algorithm in ("sha256", "md5", "crc32", "crc32c", "crc64nvme"):
        whole, pieces = Hasher(algorithm), Hasher(algorithm)
        whole.update(memoryview(body))
        for at in range(0, len(body), 77):
            pieces.update(memoryview(body)[at : at + 77])
        assert whole.digest() == pieces.digest()
    assert int.from_bytes(_sum("crc32", body), "big") == zlib.crc32(body)


def test_checksums_of_the_extra_are_the_same() -> None:
    checksums = pytest.importorskip("awscrt.checksums")
    body = os.urandom(10_007)
    assert crc32c(memoryview(body)) == checksums.crc32c(body)
    assert crc64nvme(memoryview(body)) == checksums.crc64nvme(body)


def _sum(algorithm: str, body: bytes) -> bytes:
    hasher = Hasher(algorithm)
    hasher.update(memoryview(body))
    return hasher.digest()


def test_parts_are_equal_first_and_then_grow() -> None:
    sizes = PartSizes.of(8 * MIB)
    assert {sizes.size(number) for number in range(1, 5001)} == {8 * MIB}
    assert [sizes.size(number) for number in (5001, 5500, 5501)] == [16 * MIB, 16 * MIB, 32 * MIB]
    assert sizes.size(MAX_PARTS) == MAX_PART_SIZE
    written = 0
    for number in range(1, MAX_PARTS + 1):
        size = sizes.size(number)
        assert number <= 5000 or size * 450 <= written
        concurrency = sizes.concurrency(number, 4)
        assert 1 <= concurrency <= 4
        assert size * (concurrency + 1) <= GROWN_MEMORY or concurrency == 1
        written += size
    assert written > 5 << 40
    for announced in (0, 1, 40 << 30, 100 << 30, 5 << 40):
        hinted = PartSizes.of(8 * MIB, announced)
        needed = -(-announced // hinted.base)
        assert needed <= min(MAX_PARTS, hinted.equal)


def test_retries_are_limited_together() -> None:
    quota = RetryQuota(64)
    assert all(quota.take(NetworkError("")) for _ in range(64 * 8))
    assert quota.take(NetworkError("")) is None
    for _ in range(5):
        quota.succeeded(0)
    assert quota.take(RequestTimeoutError("")) is None
    assert quota.take(NetworkError("")) == 5


def test_unsafe_characters_are_escaped() -> None:
    assert sanitized("a\n\x1b\u202e\u200b\U000e0041b", 100) == "a\\n\\u{1b}\\u{202e}\\u{200b}\\u{e0041}b"
    assert sanitized("abcdef", 3) == "abc…"
    assert sanitized("é ü 日本語 🪣", 100) == "é ü 日本語 🪣"


def test_impossible_limits_are_errors() -> None:
    for wrong in ({"memory": 0}, {"call_time": -1}, {"resumes": -1}, {"fuel": 1e16}):
        with pytest.raises(ValueError):
            Limits(**wrong)
