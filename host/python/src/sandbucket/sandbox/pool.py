"""The instances of one store, which share its settings and nothing else."""

from __future__ import annotations

import threading
import time
from typing import Any

from ..errors import BusyError, PluginError
from .engine import Engine, Instance, StepError


class Pool:
    """Instances of one store. A step leases one; one that failed is dropped, as its memory is in an unknown state."""

    def __init__(self, engine: Engine, settings: list[tuple[str, str]]) -> None:
        self.engine = engine
        self._settings = settings
        self._idle: list[Instance] = []
        self._places = threading.Semaphore(engine.limits.instances_per_store)
        self._lock = threading.Lock()
        self._is_closed = False

    def __repr__(self) -> str:
        return "Pool(...)"  # The settings have secrets.

    def open(self) -> Any:
        """Opens the store in a first instance, which shows whether the settings are right: the record of an error, or `None`."""
        instance = self.engine.instance()
        error = instance.open(self._settings)
        if error is None:
            self.wanted_digests = instance.wanted_digests()
            self._idle.append(instance)
        return error

    def _take(self) -> Instance:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._fresh()

    def _fresh(self) -> Instance:
        instance = self.engine.instance()
        if instance.open(self._settings) is not None:
            raise PluginError("plugin: it opened the store before, and now refuses the same settings")
        return instance

    def step(self, name: str, item: Any, fuel: int, deadline: float, operation: str) -> tuple[Any, int]:
        """Runs a step of one operation: its result, and the fuel it took. Blocks while the plugin computes.

        A step that traps is repeated once in a new instance: its state is the driver's, so the trap of an instance that others used
        before costs the operation nothing.

        Raises:
            PluginError: It trapped again, or exceeded a limit.
        """
        if not self._places.acquire(timeout=max(0.0, min(deadline - time.monotonic(), threading.TIMEOUT_MAX))):
            raise self.busy(operation)
        try:
            used = 0
            for attempt in (1, 2):
                instance = self._take() if attempt == 1 else self._fresh()
                if used >= fuel:
                    break
                try:
                    (result,) = instance.step(name, [item], fuel - used)
                except StepError as error:
                    used += instance.fuel_used
                    failure = error
                    continue
                if not _is_large(item, result, self.engine.limits.retire_bytes):
                    with self._lock:
                        if not self._is_closed:
                            self._idle.append(instance)
                return result, used + instance.fuel_used
        finally:
            self._places.release()
        if used >= fuel:
            raise PluginError(f"{operation}: the plugin was stopped after as many instructions as the limit fuel allows it")
        raise PluginError(f"{operation}: the plugin failed ({failure}); its instance was discarded")

    def busy(self, operation: str) -> BusyError:
        """The error of a step for which no instance was free in time."""
        limit = self.engine.limits.instances_per_store
        return BusyError(f"{operation}: waited for one of the {limit} instances of this store (instances_per_store)", retryable=True)

    def close(self) -> None:
        """Drops the idle instances, and those in use when their step ends."""
        self._is_closed = True
        self.discard()

    def discard(self) -> None:
        """Drops the idle instances, after an output that breaks the contract: any of them may have made it."""
        with self._lock:
            self._idle.clear()


def _is_large(item: Any, result: Any, most: int) -> bool:
    """Whether the instance's memory may have grown: its size is not known outside."""
    size = 0
    for value in (item, result):
        if isinstance(value, dict):
            size += len(value.get("state") or b"")
            event = value.get("event")
            if event and event[0] == "response":
                size += len(event[1]["body"])
        elif isinstance(value, tuple) and value[0] == "send":
            size += len(value[1]["state"])
    return size > most
