"""The engine: a compiled plugin, and what its instances have in common."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from importlib import resources
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import component as wasm
from wasmtime._config import Config

from ..config.files import MAX_PLUGIN, FileError, read_file
from ..errors import PluginError
from ..limits import Limits
from ..text import sanitized, shown
from ..types import Setting
from .codec import Function

# What a plugin may import. It has no files, environment, sockets or randomness.
_ALLOWED = re.compile(r"wasi:(clocks/(monotonic-clock|wall-clock)|http/(outgoing-handler|types)|io/(error|poll|streams))@0\.2\.\d+\Z")
_STORE = re.compile(r"sandbucket:blob/store@0\.2\.\d+\Z")
_SANS_IO = re.compile(r"sandbucket:blob/sans-io@0\.2\.\d+\Z")

_KEBAB = re.compile(r"[a-z0-9-]{1,256}\Z")
MAX_SETTINGS = 256
MAX_HELP = 4 << 10

# A stack of the guest's own, well below that of a Python thread (8 MiB, 512 KiB on macOS beside the interpreter's).
_STACK = 256 << 10


def message_of(error: BaseException) -> str:
    """What wasmtime says, for people: its text may quote the component."""
    return sanitized(str(error).strip(), 1000)


class _Time:
    """A value of the record `datetime`."""

    def __init__(self, nanoseconds: int) -> None:
        self.seconds, self.nanoseconds = divmod(nanoseconds, 1_000_000_000)


class Clocks(threading.local):
    """How often the plugin may still read a clock in the step that runs in this thread."""

    left: int = 0

    def read(self) -> None:
        """Counts a reading, and stops the plugin when there are too many."""
        self.left -= 1
        if self.left < 0:
            raise wasmtime.WasmtimeError("too many readings of the clock in one step")


class Engine:
    """A compiled plugin. One for a process is enough; stores share it, and it may be used from any thread.

    Compiling takes some seconds once on a machine, and 20 ms afterwards: wasmtime caches the machine code in the user's cache folder.

    Args:
        plugin: A component to load instead of the built-in one: its path, or its bytes.
        limits: The limits of its stores.
        cache: Whether compiled code is cached on disk.
    """

    def __init__(self, plugin: str | Path | bytes | None = None, *, limits: Limits | None = None, cache: bool = True) -> None:
        self.limits = limits or Limits()
        if plugin is None:
            code = (resources.files("sandbucket") / "sandbucket-s3.wasm").read_bytes()
        elif isinstance(plugin, bytes):
            code = plugin
        else:
            try:
                code = read_file(Path(plugin), MAX_PLUGIN)
            except FileError as error:
                raise PluginError(f"plugin: {shown(str(plugin))} {error}") from None
        config = Config()
        config.consume_fuel = True
        config.max_wasm_stack = _STACK
        if cache:
            # Without a cache folder it compiles at each start.
            with contextlib.suppress(wasmtime.WasmtimeError):
                config.cache = True
        self._engine = wasmtime.Engine(config)
        try:
            self._component = wasm.Component(self._engine, code)
        except wasmtime.WasmtimeError as error:
            raise PluginError(f"plugin: it does not load: {message_of(error)}") from None
        self.digest = hashlib.sha256(code).hexdigest()
        """SHA-256 of the component."""
        self._clocks = Clocks()
        self._types: dict[str, Function] = {}
        self._lock = threading.Lock()
        ty = self._component.type
        refused = [name for name in ty.imports(self._engine) if not _ALLOWED.match(name)]
        if refused:
            raise PluginError(f"plugin: it imports {sanitized(', '.join(refused), 300)}, which no plugin may have")
        exports = list(ty.exports(self._engine))
        self._store = next((name for name in exports if _STORE.match(name)), None)
        self._sans_io = next((name for name in exports if _SANS_IO.match(name)), None)
        if self._store is None or self._sans_io is None:
            raise PluginError("plugin: this component does not export sandbucket:blob/store@0.2 and sandbucket:blob/sans-io@0.2")
        self._linker = self._link(list(ty.imports(self._engine)))

    def _link(self, imports: list[str]) -> wasm.Linker:
        linker = wasm.Linker(self._engine)
        clocks = self._clocks

        def wall(_: Any) -> _Time:
            clocks.read()
            return _Time(time.time_ns())

        def monotonic(_: Any) -> int:
            clocks.read()
            return time.monotonic_ns()

        with linker.root() as root:
            for name in imports:
                if name.startswith("wasi:clocks/"):
                    with root.add_instance(name) as instance:
                        instance.add_func("now", wall if "wall" in name else monotonic)
        # Requests are the driver's: whatever a plugin calls of wasi:http and wasi:io ends its step. Waiting is among them, so that no
        # plugin holds a thread without computing.
        linker.define_unknown_imports_as_traps(self._component)
        return linker

    def function(self, store: Any, name: str, function: Any) -> Function:
        """The types of a function, which are those of all instances."""
        with self._lock:
            known = self._types.get(name)
            if known is None:
                ty = function.type(store)
                if ty.result is None:
                    raise PluginError(f"plugin: {name} has no result")
                known = self._types[name] = Function([param for _, param in ty.params], ty.result)
            return known

    def instance(self) -> Instance:
        """A new instance."""
        return Instance(self)

    def settings(self) -> list[Setting]:
        """The settings that the plugin documents, in display order.

        Raises:
            PluginError: They are not what the contract allows.
        """
        records = [vars(record) for record in self.instance().settings()]
        if len(records) > MAX_SETTINGS:
            raise PluginError(f"plugin: it has {len(records)} settings, and at most {MAX_SETTINGS} are taken")
        for record in records:
            if not all(_KEBAB.match(name) for name in [record["name"], *record["aliases"][:MAX_SETTINGS]]):
                raise PluginError("plugin: it names a setting that is not in kebab-case")
        return [
            Setting(
                name=record["name"],
                aliases=record["aliases"][:MAX_SETTINGS],
                kind=record["kind"],
                default=None if record["default"] is None else sanitized(record["default"], MAX_HELP),
                required=record["required"],
                secret=record["secret"],
                help=sanitized(record["help"], MAX_HELP),
            )
            for record in records
        ]


_default: Engine | None = None
_default_lock = threading.Lock()


def default_engine() -> Engine:
    """The engine of the built-in plugin, which is compiled when it is first used."""
    global _default
    with _default_lock:
        if _default is None:
            _default = Engine()
        return _default


class StepError(Exception):
    """A step trapped, or its result cannot be read: the instance is in an unknown state."""


class Instance:
    """An instantiated component. It runs one call at a time, and is dropped after a failure."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        limits = engine.limits
        self._memory = wasmtime.Store(engine._engine)
        self._memory.set_limits(memory_size=limits.memory, table_elements=100_000, instances=64, tables=64, memories=16)
        self._opened: Any = None
        self.fuel_used = 0
        """Fuel of the last step."""
        self._begin_step(limits.fuel)
        try:
            self._instance = engine._linker.instantiate(self._memory, engine._component)
        except wasmtime.WasmtimeError as error:
            raise PluginError(f"plugin: no instance of it can be made: {message_of(error)}") from None
        component = engine._component
        self._exports = {name: component.get_export_index(name) for name in (engine._store, engine._sans_io) if name}

    def _begin_step(self, fuel: int) -> None:
        self._memory.set_fuel(fuel)
        self._engine._clocks.left = self._engine.limits.clock_calls

    def _function(self, interface: str | None, name: str) -> Any:
        index = self._engine._component.get_export_index(name, self._exports[interface or ""])
        function = None if index is None else self._instance.get_func(self._memory, index)
        if function is None:
            raise PluginError(f"plugin: it does not export {name}")
        return function

    def _stock(self, name: str, *arguments: Any) -> Any:
        """Calls a function of the interface `store`, rarely: by the conversion of the `wasmtime` package."""
        function = self._function(self._engine._store, name)
        self._begin_step(self._engine.limits.fuel)
        try:
            return function(self._memory, *arguments)
        except (wasmtime.WasmtimeError, wasmtime.Trap, ValueError, TypeError, UnicodeDecodeError) as error:
            raise PluginError(f"plugin: {name} failed: {message_of(error)}") from None

    def open(self, settings: list[tuple[str, str]]) -> Any:
        """Opens the store. Returns the record of an error, or `None`."""
        opened = self._stock("[static]store.open", settings)
        if not isinstance(opened, wasm.ResourceAny):
            return opened
        self._opened = opened
        return None

    def settings(self) -> list[Any]:
        """The settings that the plugin documents."""
        settings: list[Any] = self._stock("settings")
        return settings

    def wanted_digests(self) -> list[str]:
        """The digests that the store sends with a body."""
        wanted: list[str] = self._stock("[method]store.wanted-digests", self._opened)
        return wanted

    def step(self, name: str, items: list[Any], fuel: int) -> list[Any]:
        """Calls `begin` or `resume`.

        Raises:
            StepError: The instance must not be used again.
        """
        function = self.__dict__.get(name)
        if function is None:
            function = self.__dict__[name] = self._function(self._engine._sans_io, name)
        types = self._engine.function(self._memory, name, function)
        self._begin_step(fuel)
        try:
            results: list[Any] = types.call(self._memory, function, self._opened, items)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise StepError(message_of(error)) from None
        except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
            raise StepError(f"its result cannot be read: {message_of(error)}") from None
        finally:
            self.fuel_used = fuel - self._memory.get_fuel()
        if len(results) != len(items):
            raise StepError(f"{name} returned {len(results)} results for {len(items)} operations")
        return results
