"""The layers of docs/other-hosts.md: nothing imports upwards, and each library is known in one place."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import sandbucket
from sandbucket import errors

SOURCE = Path(sandbucket.__file__).parent

LIBRARIES = {
    "wasmtime": {"sandbox/codec.py", "sandbox/engine.py"},
    "h11": {"http/client.py", "http/connection.py"},
    "ssl": {"http/client.py", "http/connection.py", "http/errors.py", "http/tls.py"},
    "asyncio": {"io.py", "aio.py", "filesystem.py"},
    "fsspec": {"filesystem.py"},
    "subprocess": {"config/process.py"},
    "ctypes": {"sandbox/codec.py"},
}
PUBLIC = {"store", "aio", "filesystem", "client", "blob"}
OPERATIONS = {"core", "reader", "upload", "download"}


def imports(path: Path) -> set[str]:
    """The modules that a file imports; those of the package by their names in it."""
    found = set()
    package = path.relative_to(SOURCE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - (node.level - 1)])
            module = [*base, *(node.module or "").split(".")]
            found.add("." + ".".join(part for part in module if part))
    return found


def test_each_library_is_known_in_one_place() -> None:
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        for library, allowed in LIBRARIES.items():
            assert library not in imports(path) or name in allowed, f"{name} imports {library}"


def test_nothing_imports_upwards() -> None:
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).with_suffix("").as_posix().replace("/", ".")
        own = {module.removeprefix(".").partition(".")[0] for module in imports(path) if module.startswith(".")}
        if name == "__init__" or name in PUBLIC:
            continue
        assert not own & PUBLIC, f"{name} imports {own & PUBLIC}"
        if name not in OPERATIONS:
            assert not own & OPERATIONS, f"{name} imports {own & OPERATIONS}"
        if name.startswith(("http.", "sandbox.", "config.")):
            assert "driver" not in own, name


def test_every_kind_of_error_has_a_class_that_can_be_pickled() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SandbucketError)]
    assert len({kind.kind for kind in kinds}) == len(kinds)
    response = errors.ServiceResponse(404, "Code", "message", "id", None)
    for kind in kinds:
        assert kind is errors.SandbucketError or getattr(sandbucket, kind.__name__) is kind
        error = kind("what happened", retryable=True, attempts=3, subject="body", response=response)
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (kind, "what happened", vars(error))
        assert (again.status, again.code, again.request_id) == (404, "Code", "id")
