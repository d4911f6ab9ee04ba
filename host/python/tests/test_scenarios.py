"""The table of driver scenarios that all languages share (tests/drivers), on both clients."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT, SECRET_KEY, Client, Loop, program, read_json

from sandbucket import Engine, SandbucketError

TABLE = ROOT / "tests/drivers/scenarios.json"
SCENARIOS = json.loads(TABLE.read_text())["scenarios"]
PIECE = 64 << 10


def content(described: Any) -> bytes:
    """The bytes that the table describes."""
    if isinstance(described, str):
        return described.encode()
    if "pattern" in described:
        length: int = described["pattern"]
        return (bytes(range(251)) * (length // 251 + 1))[:length]
    if "repeat" in described:
        repeated: bytes = described["repeat"].encode() * described["times"]
        return repeated
    return b"".join(content(part) for part in described["join"])


class Server:
    """The program that plays the scenarios."""

    def __init__(self) -> None:
        command = [str(program("sandbucket-scenarios")), str(TABLE)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.started: dict[str, Any] = read_json(self.process)

    def report(self, name: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name}\n".encode())
        self.process.stdin.flush()
        return read_json(self.process)

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


# A scenario can be played once per process: each client has its own.
@pytest.fixture(scope="module")
def servers() -> Iterator[dict[bool, Server]]:
    servers = {False: Server(), True: Server()}
    yield servers
    for server in servers.values():
        server.stop()


def stream_of(body: bytes, fails: bool) -> Iterator[bytes]:
    for at in range(0, len(body), PIECE):
        yield body[at : at + PIECE]
    if fails:
        raise OSError("the source fails")


def limit_of(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"timeout": arguments["time-limit-ms"] / 1000} if "time-limit-ms" in arguments else {}


def play(client: Client, call: dict[str, Any]) -> dict[str, Any]:
    """Makes a call, and gives its outcome."""
    ((name, arguments),) = call.items()
    match name:
        case "get":
            options = limit_of(arguments)
            if "if-none-match" in arguments:
                options["if_none_match"] = arguments["if-none-match"]
            blob = client.get(arguments["key"], *arguments.get("range", ()), **options)
            body = client.loop.run(blob.read()) if client.loop is not None else blob.read()
            return {"body": body, "size": blob.info.size, "etag": blob.info.etag}
        case "download":
            target = io.BytesIO()
            info = client.download(arguments["key"], target, part_size=arguments["part-size"], concurrency=arguments["concurrency"])
            return {"body": target.getvalue(), "size": info.size, "etag": info.etag}
        case "head":
            info = client.head(arguments["key"])
            return {"size": info.size, "etag": info.etag}
        case "put":
            options = {"if_absent": True} if arguments.get("if-absent") else {}
            if "if-match" in arguments:
                options["if_match"] = arguments["if-match"]
            if "write-id" in arguments:
                options["attributes"] = {"write-id": arguments["write-id"]}
            body = content(arguments["body"])
            if "stream-length" not in arguments:
                return {"etag": client.put(arguments["key"], body, **options).etag}
            stream = stream_of(body, arguments.get("stream-fails", False))
            return {"etag": client.put(arguments["key"], stream, length=arguments["stream-length"], **options).etag}
        case "upload":
            stream = stream_of(content(arguments["body"]), False)
            sizes = {"part_size": arguments["part-size"], "concurrency": arguments["concurrency"]}
            return {"etag": client.upload(arguments["key"], stream, **sizes).etag}
        case "delete":
            client.delete(arguments["key"])
            return {}
        case "delete-many":
            keys = arguments["keys"]
            outcomes = zip(keys, client.delete_many(keys), strict=True)
            return {"failed": [{"key": key, "kind": error.kind, "code": error.code} for key, error in outcomes if error]}
        case "list":
            return {"keys": [entry.key for entry in client.list(arguments["prefix"])]}
        case "copy":
            return {"etag": client.copy(arguments["from"], arguments["to"]).etag}
        case "get-tags":
            return {"tags": client.tags(arguments["key"])}
        case _:
            pytest.fail(f"the call {name} is unknown to this test")


def check_error(expected: dict[str, Any], error: SandbucketError) -> None:
    assert error.kind in expected["kind"], repr(error)
    for name, value in expected.items():
        match name:
            case "kind":
                pass
            case "says":
                assert value in str(error)
            case "retryable" | "status" | "code" | "subject" | "request-id":
                assert getattr(error, name.replace("-", "_")) == value, (name, repr(error))
            case _:
                pytest.fail(f"the expectation {name} is unknown to this test")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
def test_scenario(scenario: dict[str, Any], servers: dict[bool, Server], client_loop: Loop | None, engine: Engine) -> None:
    server = servers[client_loop is not None]
    settings = {name.replace("-", "_"): value for name, value in server.started[scenario["name"]]["settings"].items()}
    allows_private = scenario.get("private-networks", True)
    client = Client(client_loop, engine=engine, allow_private=allows_private, **settings)
    expected = scenario["expect"]
    try:
        outcome = play(client, scenario["call"])
    except SandbucketError as error:
        assert "error" in expected, repr(error)
        check_error(expected["error"], error)
        assert SECRET_KEY not in f"{error} {error!r} {error.__cause__!r}"
    else:
        assert "ok" in expected, f"succeeded with {outcome}"
        for name, value in expected["ok"].items():
            assert outcome[name] == (content(value) if name == "body" else value), name
    report = server.report(scenario["name"])
    assert report["mismatches"] == []
    if allows_private:
        # No fault breaks a store.
        client.put("after", b"after")
        assert client.read("after") == b"after"
    client.store.close()
