"""A hostile plugin (tests/rogue): each misdeed ends in an error of its own call, and other stores go on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Client, Loop
from servers import Agreeable, digits, serving

from sandbucket import (
    Engine,
    IntegrityError,
    InvalidArgumentError,
    Limits,
    NetworkError,
    PluginError,
    SandbucketError,
    Store,
)
from sandbucket.io import run

LIMITS = Limits(memory=16 << 20, fuel=300_000_000, call_time=20.0)
CONTROL = "\n\r\x1b\x9b\u202e\u2028"


@pytest.fixture(scope="module")
def rogue() -> Engine:
    folders = [os.environ.get("SANDBUCKET_BIN"), os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target")) + "/component"]
    for folder in folders:
        if folder and (path := Path(folder, "sandbucket-rogue.wasm")).is_file():
            return Engine(path, limits=LIMITS)
    pytest.fail("the rogue plugin is not built: run `cargo test --package sandbucket-tests --no-run`, or set SANDBUCKET_BIN to its folder")


@pytest.fixture
def server() -> Iterator[Agreeable]:
    with serving(Agreeable()) as server:
        yield server


def opened(loop: Loop | None, rogue: Engine, server: Agreeable, mode: str, target: str | None = None) -> Client:
    return Client(loop, engine=rogue, allow_private=True, mode=mode, endpoint=server.endpoint, target=target or server.authority)


# The operations of the contract: the method of their own request, further ones that they may send, and how to call them.
OPERATIONS: dict[str, tuple[str, str, Any]] = {
    "head": ("head", "", lambda client: client.head("k")),
    "get": ("get", "head", lambda client: client.read("k")),
    "put": ("put", "get head", lambda client: client.put("k", b"x")),
    "delete": ("delete", "", lambda client: client.delete("k")),
    "delete-many": ("post", "delete", lambda client: client.delete_many(["k"])),
    "list": ("get", "head", lambda client: client.list()),
    "list-versions": ("get", "head", lambda client: client.versions()),
    "copy": ("put", "get head", lambda client: client.copy("k", "to")),
    "get-tags": ("get", "head", lambda client: client.tags("k")),
    "set-tags": ("put", "delete", lambda client: client.set_tags("k", {"a": "b"})),
    "create-upload": ("post", "get head", lambda client: run(client.store._core.create_upload("k", {}))),
    "upload-part": ("put", "get head", lambda client: run(client.store._core.upload_part("k", "u", 1, [memoryview(b"x")], {}))),
    "list-parts": ("get", "head", lambda client: run(client.store._core.parts_page("k", "u", {}))),
    "complete-upload": ("post", "get head put", lambda client: run(client.store._core.complete_upload("k", "u", [], {}))),
    "abort-upload": ("delete", "get put", lambda client: client.abort_upload("k", "u")),
    "list-uploads": ("get", "head", lambda client: client.uploads()),
    "create-bucket": ("put", "get head", lambda client: client.create_bucket("another")),
    "delete-bucket": ("delete", "get head", lambda client: client.delete_bucket("another")),
    "bucket-exists": ("head", "get", lambda client: client.bucket_exists("another")),
    "list-buckets": ("get", "head", lambda client: client.buckets()),
}
HAVE_BODY = ("put", "upload-part", "delete-many", "set-tags", "complete-upload")


def call(client: Client, operation: str) -> Any:
    return OPERATIONS[operation][2](client)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_honest_requests_are_sent(rogue: Engine, server: Agreeable, operation: str) -> None:
    call(opened(None, rogue, server, ""), operation)
    assert [(method.lower(), headers["host"]) for method, _, headers, _ in server.seen] == [(OPERATIONS[operation][0], server.authority)]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_its_methods(rogue: Engine, operation: str) -> None:
    own, further, _ = OPERATIONS[operation]
    with serving(Agreeable()) as server:
        for method in ("get", "head", "post", "put", "delete"):
            server.seen.clear()
            with contextlib.suppress(NetworkError, IntegrityError, PluginError):
                call(opened(None, rogue, server, f"method-{method}"), operation)
            # A body goes with a method that has one.
            is_allowed = method in (own, *further.split()) and (operation not in HAVE_BODY or method in ("put", "post"))
            assert [seen[0].lower() for seen in server.seen] == ([method] if is_allowed else []), method


@pytest.mark.parametrize("step", ["begin", "resume"])
@pytest.mark.parametrize("misdeed", ["loop", "allocate", "recurse", "unreachable", "panic", "overrun", "sleep", "handles", "asks"])
def test_trap_fails_its_call_and_no_other(rogue: Engine, server: Agreeable, step: str, misdeed: str) -> None:
    client = opened(None, rogue, server, f"{step}-{misdeed}")
    for _ in range(2):
        with pytest.raises(PluginError, match="head: ") as caught:
            client.head("k")
        assert not any(character in str(caught.value) for character in CONTROL)
    assert opened(None, rogue, server, "").put("k", b"x").etag == '"rogue"'


def test_trapped_write_may_have_taken_effect(client_loop: Loop | None, rogue: Engine, server: Agreeable) -> None:
    with pytest.raises(PluginError, match="may or may not have taken effect"):
        opened(client_loop, rogue, server, "resume-unreachable").put("k", b"x")
    with pytest.raises(PluginError) as caught:
        opened(client_loop, rogue, server, "resume-unreachable").head("k")
    assert "taken effect" not in str(caught.value)


@pytest.mark.parametrize("mode", ["begin-no-results", "begin-more-results", "resume-no-results", "resume-countless-results"])
def test_miscounted_results_fail_the_operation(client_loop: Loop | None, rogue: Engine, server: Agreeable, mode: str) -> None:
    with pytest.raises(PluginError, match="results"):
        opened(client_loop, rogue, server, mode).head("k")


@pytest.mark.parametrize("mode", ["few-outcomes", "more-outcomes"])
def test_miscounted_outcomes_fail_a_bulk_delete(client_loop: Loop | None, rogue: Engine, server: Agreeable, mode: str) -> None:
    with pytest.raises(IntegrityError, match="outcomes"):
        opened(client_loop, rogue, server, mode).delete_many(["a", "b"])


@pytest.mark.parametrize("step", ["begin", "resume"])
@pytest.mark.parametrize("output", ["head", "get", "put", "list", "set-tags", "bucket-exists", "delete-many"])
def test_outputs_of_other_operations_are_refused(rogue: Engine, server: Agreeable, step: str, output: str) -> None:
    client = opened(None, rogue, server, f"{step}-output-{output}")
    for operation in ("head", "get", "put", "list", "set-tags"):
        # A get is done only with a response, and a page or a blob without a body is none.
        if output == operation and operation != "get":
            call(client, operation)
        elif output != operation or step == "begin":
            with pytest.raises(PluginError):
                call(client, operation)


@pytest.mark.parametrize(("mode", "status"), [("get-of-error-response", 500), ("buffered-get", 200)])
def test_body_for_the_caller_needs_an_unread_successful_response(client_loop: Loop | None, rogue: Engine, mode: str, status: int) -> None:
    with serving(Agreeable(lambda method, path: (status, {}, b"0123456789"))) as server, pytest.raises(PluginError, match="no body"):
        opened(client_loop, rogue, server, mode).read("k")


@pytest.mark.parametrize(
    ("mode", "error", "words"),
    [
        ("body-of-another-range", IntegrityError, "the plugin returns"),
        ("body-shorter-than-range", IntegrityError, "the plugin returns"),
        ("backward-body", IntegrityError, "the plugin returns"),
        ("body-past-the-end", IntegrityError, "the plugin returns"),
        ("wrong-digest", IntegrityError, "checksum"),
        ("short-digest", PluginError, "digest"),
        ("long-digest", PluginError, "digest"),
        ("vast-size", IntegrityError, "get"),
    ],
)
def test_ranges_and_digests_are_validated(client_loop: Loop | None, rogue: Engine, mode: str, error: type[Exception], words: str) -> None:
    with serving(Agreeable(digits)) as server:
        with pytest.raises(error, match=words):
            opened(client_loop, rogue, server, mode).read("k")
        assert opened(client_loop, rogue, server, "unknown-size").read("k") == b"0123456789"


FOREIGN = ["127.0.0.1:1", "localhost", "169.254.169.254", "[::1]:80", " ", "a b", "evil.test", "x@{}", "{}@evil.test", "{}1"]


@pytest.mark.parametrize("target", FOREIGN)
def test_foreign_authorities_are_denied(client_loop: Loop | None, rogue: Engine, server: Agreeable, target: str) -> None:
    with pytest.raises(NetworkError, match="HttpRequestDenied"):
        opened(client_loop, rogue, server, "", target=target.format(server.authority)).head("k")
    with pytest.raises(NetworkError, match="HttpRequestDenied"):
        opened(client_loop, rogue, server, "foreign-scheme").head("k")
    assert server.seen == []


FIELDS = ["connection", "expect", "te", "trailer", "transfer-encoding", "upgrade", "via", "forwarded", "keep-alive", "cookie"]
FIELDS += ["proxy-authorization", "x-forwarded-for", "accept-encoding", "host", "x-http-method-override"]
LINES = ["a b:c\n", ":v\n", "x\n", "x-amz-a:\r\n", "x-amz-a:\x00\n", "X-Amz-A:1\n", " x-amz-a:1\n", "x-amz-a :1\n"]
ODD = [f"field-{name}" for name in FIELDS] + [f"headers+{line}" for line in LINES] + ["headers="]
ODD += ["many-lines", "tiny-lines", "some-lines", "long-line", "long-path"]
ODD += ["path=", "path=no", "path=/a b", "path=/a#b", "path=/\x07", "path=http://evil.test/"]


@pytest.mark.parametrize("mode", ODD)
def test_request_that_http_or_a_blob_store_does_not_have_is_refused(rogue: Engine, server: Agreeable, mode: str) -> None:
    for operation in ("head", "put"):
        with pytest.raises((NetworkError, PluginError)):
            call(opened(None, rogue, server, mode), operation)
    assert server.seen == []


def test_host_and_content_length_are_those_of_the_request(rogue: Engine, server: Agreeable) -> None:
    host = f"host:{server.authority}\n"
    for headers in (host * 2, "host:evil.test\n", "content-length:1\n", f"{host}content-length:1\n"):
        with pytest.raises(NetworkError, match="HttpRequestDenied"):
            opened(None, rogue, server, f"headers={headers}").head("k")
    for length in ("", "content-length:2\n", "content-length:1\n" * 2, "content-length:+1\n", "content-length: 1\n"):
        with pytest.raises(NetworkError, match="HttpRequestDenied"):
            opened(None, rogue, server, f"headers={host}{length}").put("k", b"x")
    assert server.seen == []


@pytest.mark.parametrize("operation", ["head", "get", "list", "copy", "delete"])
def test_body_of_the_caller_is_sent_only_by_operations_that_have_one(rogue: Engine, server: Agreeable, operation: str) -> None:
    with pytest.raises(PluginError, match="the operation has none"):
        call(opened(None, rogue, server, "caller-body"), operation)
    assert server.seen == []


def test_presigning_sends_no_request(client_loop: Loop | None, rogue: Engine, server: Agreeable) -> None:
    with pytest.raises((NetworkError, PluginError)):
        opened(client_loop, rogue, server, "presign-sends").presign("get", "k")
    assert server.seen == []


@pytest.mark.parametrize("mode", ["huge-state", "huge-body", "huge-retries", "resume-huge-error", "forged-retries", "begin-forged-error"])
def test_oversized_and_forged_texts_are_refused_or_cut(client_loop: Loop | None, rogue: Engine, server: Agreeable, mode: str) -> None:
    with pytest.raises(SandbucketError) as caught:
        opened(client_loop, rogue, server, mode).put("k", b"x", timeout=1)
    assert len(str(caught.value)) < 30_000
    assert not any(character in str(caught.value) for character in CONTROL)


def test_endless_requests_end_the_operation(client_loop: Loop | None, rogue: Engine, server: Agreeable) -> None:
    # Pauses are forced after the first few requests: the time limit comes before the bound on their number.
    for mode, words in (("endless-sends", "head|time"), ("endless-retries", "and again")):
        server.seen.clear()
        with pytest.raises(SandbucketError, match=words):
            opened(client_loop, rogue, server, mode).head("k", timeout=1)
        assert 4 < len(server.seen) < 20


def test_delays_and_timeouts_are_bounded(client_loop: Loop | None, rogue: Engine, server: Agreeable) -> None:
    for mode in (f"delay-{(1 << 64) - 1}", f"delay-{1 << 62}"):
        with pytest.raises(SandbucketError):
            opened(client_loop, rogue, server, mode).head("k", timeout=0.3)
    opened(client_loop, rogue, server, f"timeout-{(1 << 64) - 1}").head("k")


@pytest.mark.parametrize(
    "mode", ["long-etag", "forged-etag", "long-version", "forged-type", "many-metadata", "most-metadata", "many-attributes"]
)
def test_odd_properties_are_refused(rogue: Engine, server: Agreeable, mode: str) -> None:
    for operation in ("head", "get"):
        with pytest.raises(PluginError):
            call(opened(None, rogue, server, mode), operation)


@pytest.mark.parametrize(
    ("operation", "mode"),
    [("list", mode) for mode in ("long-key", "many-entries", "most-entries", "many-prefixes", "long-token", "aliased-keys")]
    + [("list-versions", "many-entries"), ("list-parts", "many-entries"), ("get-tags", "many-entries"), ("create-upload", "long-token")],
)
def test_oversized_outputs_are_refused(rogue: Engine, server: Agreeable, operation: str, mode: str) -> None:
    with pytest.raises(PluginError):
        call(opened(None, rogue, server, mode), operation)


def test_dates_beyond_the_calendar_are_absent(rogue: Engine, server: Agreeable) -> None:
    assert opened(None, rogue, server, "far-date").head("k").last_modified is None
    assert [entry.last_modified for entry in opened(None, rogue, server, "far-dates").list()] == [None, None]


URLS = ["http://evil.test/k", "https://{}/k", "ftp://{}/k", "//{}/k", "", "http://{}@evil.test/", "http://u@{}/k", "http://{}\n/"]


@pytest.mark.parametrize("url", URLS)
def test_presigned_url_of_a_foreign_authority_is_refused(rogue: Engine, server: Agreeable, url: str) -> None:
    with pytest.raises(PluginError):
        opened(None, rogue, server, f"presigned-{url.format(server.authority)}").presign("get", "k")
    assert opened(None, rogue, server, f"presigned-http://{server.authority}/k").presign("get", "k").url.endswith("/k")


def test_steps_send_no_requests_over_wasi_http(client_loop: Loop | None, rogue: Engine, server: Agreeable) -> None:
    with pytest.raises(PluginError):
        opened(client_loop, rogue, server, "sends-in-steps").head("k")
    assert server.seen == []


def test_computing_is_limited_per_operation(rogue: Engine, server: Agreeable) -> None:
    # 10 million iterations in each step: no single one exceeds the limit.
    with pytest.raises(PluginError, match="fuel"):
        opened(None, rogue, server, "computes-10").head("k")


def test_misdeed_while_opening_is_an_error_of_the_store(rogue: Engine, server: Agreeable) -> None:
    for misdeed in ("loop", "allocate", "recurse", "unreachable", "sleep", "asks"):
        with pytest.raises(PluginError):
            Store(engine=rogue, allow_private=True, mode=f"open-{misdeed}", endpoint=server.endpoint, target=server.authority)
    assert server.seen == []


def test_other_components_are_no_plugins() -> None:
    for code in (b"", b"\0asm\1\0\0\0", b"(component)", b'(component (import "wasi:cli/environment@0.2.0" (instance)))'):
        with pytest.raises(PluginError):
            Engine(code, cache=False)
    with pytest.raises(PluginError, match="cannot be read"):
        Engine(Path("/no/such.wasm"))


def test_wrong_arguments_send_nothing(client_loop: Loop | None, rogue: Engine, server: Agreeable) -> None:
    client = opened(client_loop, rogue, server, "")
    wrong: list[Any] = [lambda: client.get("k", 5, 4), lambda: client.get("k", -1), lambda: client.read("k", 1, last=2)]
    wrong += [lambda: client.put("k", "text"), lambda: client.put("k", iter([b"x"])), lambda: client.upload("k", b"x", concurrency=1000)]
    wrong += [lambda: client.put("k", b"x", if_absent=True, if_match='"e"'), lambda: client.head("k", timeout=0)]
    for attempt in wrong:
        with pytest.raises(InvalidArgumentError):
            attempt()
    with pytest.raises(TypeError, match="no option"):
        client.head("k", nonsense=1)
    assert server.seen == []
