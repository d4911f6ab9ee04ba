"""Services to test on, and both clients behind one interface."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import types
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from sandbucket import AsyncStore, Config, Engine, Limits, Store

T = TypeVar("T")

ROOT = Path(__file__).parents[3]
BUCKET = "sandbucket-tests"
ACCESS_KEY = "tester"
SECRET_KEY = "a secret that must not show"


def program(name: str) -> Path:
    """A program of this repository: from the folder `SANDBUCKET_BIN`, or as cargo built it."""
    folders = [os.environ.get("SANDBUCKET_BIN"), os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target")) + "/debug"]
    for folder in folders:
        if folder and (path := Path(folder, name)).is_file():
            return path
    pytest.fail(f"{name} is not built: run `cargo build --bin {name}`, or set SANDBUCKET_BIN to its folder")


class Loop:
    """An event loop in a thread, so that one test drives both clients."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=120)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Client:
    """A store, by the blocking or the asyncio client: methods return plain values."""

    def __init__(self, loop: Loop | None, **arguments: Any) -> None:
        self.loop = loop
        self.store: Any = Store(**arguments) if loop is None else AsyncStore(**arguments)

    @classmethod
    def of_config(cls, loop: Loop | None, config: Config, engine: Engine) -> Client:
        client = cls.__new__(cls)
        client.loop = loop
        client.store = (Store if loop is None else AsyncStore).of_config(config, engine=engine)
        return client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result = method(*arguments, **options)
            if self.loop is None:
                return list(result) if isinstance(result, types.GeneratorType) else result
            if hasattr(result, "__anext__"):
                return self.loop.run(_listed(result))
            return self.loop.run(result) if hasattr(result, "__await__") else result

        return call

    def empty(self) -> None:
        """Removes all blobs and uploads of the bucket."""
        for upload in self.uploads():
            self.abort_upload(upload.key, upload.id)
        keys = [entry.key for entry in self.list()]
        assert not keys or self.delete_many(keys) == [None] * len(keys)


async def _listed(items: Any) -> list[Any]:
    return [item async for item in items]


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.stop()


@pytest.fixture(params=["blocking", "asyncio"])
def client_loop(request: pytest.FixtureRequest, loop: Loop) -> Loop | None:
    """The loop of the asyncio client, or none for the blocking one."""
    return loop if request.param == "asyncio" else None


def read_json(process: subprocess.Popen[bytes]) -> Any:
    """The first JSON value that a program prints, which may take several lines."""
    assert process.stdout is not None
    text = b""
    while line := process.stdout.readline():
        text += line
        try:
            return json.loads(text)
        except ValueError:
            continue
    pytest.fail(f"the program ended: {text!r}")


@pytest.fixture(scope="session")
def dev_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The settings of a store on the dev server."""
    command = [str(program("sandbucket")), "dev-server", "--listen", "127.0.0.1:0", "--json", "--bucket", BUCKET]
    command += ["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path_factory.mktemp("dev-server"))
    try:
        endpoint = read_json(process)["endpoint"]
        yield {
            "bucket": BUCKET,
            "endpoint": endpoint,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "region": "us-east-1",
        }
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def moto() -> Iterator[dict[str, Any]]:
    """The settings of a store on moto, with authentication."""
    command = [sys.executable, str(ROOT / "tests/interop/server.py"), BUCKET]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        started = read_json(process)
        yield {
            "bucket": BUCKET,
            "endpoint": started["endpoint"],
            "access_key": started["access_key"],
            "secret_key": started["secret_key"],
            "region": "us-east-1",
        }
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


@pytest.fixture(params=["dev server", "moto"])
def service(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of a store on each service."""
    settings: dict[str, Any] = request.getfixturevalue(request.param.replace(" ", "_"))
    return settings


@pytest.fixture
def client(client_loop: Loop | None, service: dict[str, Any], engine: Engine) -> Iterator[Client]:
    """A store on each service by each client, with an empty bucket."""
    client = Client(client_loop, engine=engine, allow_private=True, **service)
    client.empty()
    yield client
    client.empty()
    client.store.close()


__all__ = ["ACCESS_KEY", "BUCKET", "SECRET_KEY", "Client", "Limits", "Loop", "program"]
