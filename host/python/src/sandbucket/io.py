"""What the client waits for: sockets, names, time, blocking functions and concurrent parts. Twice: blocking, and on asyncio.

All above this file is written once, as coroutines. On asyncio they run as usual. The blocking client steps through the same
coroutines by `run`: what they await blocks the thread and never suspends.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ipaddress
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

Address = tuple[int, tuple[Any, ...]]
"""Family and socket address."""

MAX_LOOKUPS = 8
"""Names that one store looks up at once: a name server that does not answer holds a thread each."""

MAX_BLOCKED = 1024
"""Functions of callers that block at once, one for each body in flight. Further ones wait."""

FOREVER = 10 * 365 * 24 * 3600.0
"""The longest wait: no deadline is further away."""


class Tasks(Protocol[T]):
    """Coroutines that run beside each other, and end in any order."""

    def start(self, coroutine: Coroutine[Any, Any, T]) -> None:
        """Runs a coroutine beside the others."""
        ...

    async def next(self) -> T:
        """Waits for one that ends, and gives its result or raises its error."""
        ...

    def __len__(self) -> int:
        """How many have not been waited for."""
        ...

    async def stop(self) -> None:
        """Stops all as soon as possible, and waits until they have ended."""
        ...


class Io(Protocol):
    """Ways of waiting. Times are in seconds; what does not end in time is `TimeoutError`."""

    async def ready(self, sock: socket.socket, read: bool, write: bool, timeout: float) -> tuple[bool, bool]:
        """Waits until the socket can be read or written: which of them."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        ...

    async def resolve(self, host: str, port: int, timeout: float) -> list[Address]:
        """The addresses of a name. An unknown name is `OSError`."""
        ...

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Runs a function that computes, or that blocks for as long as the caller's file, program or iterator does."""
        ...

    async def step(self, timeout: float, function: Callable[..., T], *arguments: Any) -> T:
        """Runs a step of the plugin. `TimeoutError` if it has not begun in time."""
        ...

    async def acquire(self, timeout: float) -> bool:
        """Takes one of the places of the store's calls; false if none is free in time."""
        ...

    def release(self) -> None:
        """Gives a place back."""
        ...

    def close(self) -> None:
        """Ends its threads."""
        ...

    def tasks(self) -> Tasks[Any]:
        """A group of tasks."""
        ...

    async def shielded(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end, although the caller was cancelled."""
        ...


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that waits by `BlockingIo`."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine of the blocking client waited for something else")


def address_of(host: str, port: int) -> list[Address] | None:
    """The address that the host is, if it is none to look up."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    if address.version == 4:
        return [(socket.AF_INET, (str(address), port))]
    return [(socket.AF_INET6, (str(address), port, 0, 0))]


def _look_up(host: str, port: int, found: Callable[[list[Address] | BaseException], None]) -> None:
    """Looks a name up in a thread, which outlives the wait for it: the system's resolver cannot be interrupted."""

    def work() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except BaseException as error:
            found(error)
        else:
            found([(family, place) for family, _, _, _, place in infos if family in (socket.AF_INET, socket.AF_INET6)])

    threading.Thread(target=work, name="sandbucket-lookup", daemon=True).start()


class BlockingTasks(Generic[T]):
    """Threads, one for each coroutine."""

    def __init__(self) -> None:
        self._ended: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
        self._count = 0

    def start(self, coroutine: Coroutine[Any, Any, T]) -> None:
        def work() -> None:
            try:
                self._ended.put((run(coroutine), None))
            except BaseException as error:
                self._ended.put((None, error))

        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(work,), name="sandbucket", daemon=True)
        self._count += 1
        thread.start()

    async def next(self) -> T:
        result, error = self._ended.get()
        self._count -= 1
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def __len__(self) -> int:
        return self._count

    async def stop(self) -> None:
        # Each has deadlines of its own.
        while self._count:
            self._ended.get()
            self._count -= 1


class BlockingIo:
    """Waits that block the thread."""

    def __init__(self, calls: int, workers: int) -> None:
        self._places = threading.Semaphore(calls)
        self._lookups = threading.Semaphore(MAX_LOOKUPS)

    def close(self) -> None:
        pass

    async def ready(self, sock: socket.socket, read: bool, write: bool, timeout: float) -> tuple[bool, bool]:
        events = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
        with selectors.DefaultSelector() as selector:
            selector.register(sock, events)
            found = selector.select(max(0.0, min(timeout, FOREVER)))
        if not found:
            raise TimeoutError
        happened = found[0][1]
        return bool(happened & selectors.EVENT_READ), bool(happened & selectors.EVENT_WRITE)

    async def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, min(seconds, FOREVER)))

    async def resolve(self, host: str, port: int, timeout: float) -> list[Address]:
        known = address_of(host, port)
        if known is not None:
            return known
        end = time.monotonic() + timeout
        if not self._lookups.acquire(timeout=max(0.0, min(timeout, threading.TIMEOUT_MAX))):
            raise TimeoutError
        answer: queue.SimpleQueue[list[Address] | BaseException] = queue.SimpleQueue()

        def end_of_lookup(found: list[Address] | BaseException) -> None:
            self._lookups.release()
            answer.put(found)

        _look_up(host, port, end_of_lookup)
        try:
            found = answer.get(timeout=max(0.001, end - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(found, BaseException):
            raise found
        return found

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        return function(*arguments)

    async def step(self, timeout: float, function: Callable[..., T], *arguments: Any) -> T:
        return function(*arguments)

    async def acquire(self, timeout: float) -> bool:
        return self._places.acquire(timeout=max(0.0, min(timeout, threading.TIMEOUT_MAX)))

    def release(self) -> None:
        self._places.release()

    def tasks(self) -> Tasks[Any]:
        return BlockingTasks()

    async def shielded(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return await coroutine


class AsyncTasks(Generic[T]):
    """Tasks of asyncio."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[T]] = set()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._tasks.add(asyncio.create_task(coroutine))

    async def next(self) -> T:
        ended, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        task = ended.pop()
        self._tasks.discard(task)
        return task.result()

    def __len__(self) -> int:
        return len(self._tasks)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()


class _Threads:
    """Threads that are started when they are needed, and kept until `close`. Calls in flight end after it, and those that follow take a
    thread each that ends with them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: ThreadPoolExecutor | None = None
        self._is_closed = False

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        if self._is_closed:
            once = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbucket")
            try:
                return once.submit(function, *arguments)
            finally:
                once.shutdown(wait=False)
        if self._kept is None:
            self._kept = ThreadPoolExecutor(max_workers=self._most, thread_name_prefix="sandbucket")
        return self._kept.submit(function, *arguments)

    def close(self) -> None:
        self._is_closed = True
        if self._kept is not None:
            self._kept.shutdown(wait=False)


class AsyncIo:
    """Waits on the event loop that runs the caller."""

    def __init__(self, calls: int, workers: int) -> None:
        self._places = asyncio.Semaphore(calls)
        self._lookups = asyncio.Semaphore(MAX_LOOKUPS)
        # Steps of the plugin: they compute, and must not hold up the loop, nor the steps of other stores.
        self._workers = _Threads(workers)
        # Functions of callers may wait for each other by way of this store, such as the two ends of a pipe: none may wait for a thread.
        self._callers = _Threads(MAX_BLOCKED)

    def close(self) -> None:
        self._workers.close()
        self._callers.close()

    async def ready(self, sock: socket.socket, read: bool, write: bool, timeout: float) -> tuple[bool, bool]:
        loop = asyncio.get_running_loop()
        happened: asyncio.Future[tuple[bool, bool]] = loop.create_future()

        def notice(which: tuple[bool, bool]) -> None:
            if not happened.done():
                happened.set_result(which)

        descriptor = sock.fileno()
        if read:
            loop.add_reader(descriptor, notice, (True, False))
        if write:
            loop.add_writer(descriptor, notice, (False, True))
        try:
            async with asyncio.timeout(max(0.0, min(timeout, FOREVER))):
                return await happened
        finally:
            if read:
                loop.remove_reader(descriptor)
            if write:
                loop.remove_writer(descriptor)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, min(seconds, FOREVER)))

    async def resolve(self, host: str, port: int, timeout: float) -> list[Address]:
        known = address_of(host, port)
        if known is not None:
            return known
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Address] | BaseException] = loop.create_future()

        def end_of_lookup(found: list[Address] | BaseException) -> None:
            self._lookups.release()
            if not answer.done():
                answer.set_result(found)

        def from_thread(found: list[Address] | BaseException) -> None:
            with contextlib.suppress(RuntimeError):  # The loop was closed meanwhile.
                loop.call_soon_threadsafe(end_of_lookup, found)

        async with asyncio.timeout(max(0.0, min(timeout, FOREVER))):
            await self._lookups.acquire()
            _look_up(host, port, from_thread)
            found = await answer
        if isinstance(found, BaseException):
            raise found
        return found

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.wrap_future(self._callers.submit(function, *arguments))

    async def step(self, timeout: float, function: Callable[..., T], *arguments: Any) -> T:
        job = self._workers.submit(function, *arguments)
        result = asyncio.wrap_future(job)
        try:
            ended, _ = await asyncio.wait([result], timeout=max(0.0, min(timeout, FOREVER)))
            if not ended and job.cancel():
                raise TimeoutError
            return await result
        except asyncio.CancelledError:
            result.cancel()
            raise

    async def acquire(self, timeout: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, min(timeout, FOREVER))):
                await self._places.acquire()
        except TimeoutError:
            return False
        return True

    def release(self) -> None:
        self._places.release()

    def tasks(self) -> Tasks[Any]:
        return AsyncTasks()

    async def shielded(self, coroutine: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(coroutine)
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                if task.cancelled():
                    raise
        return task.result()
