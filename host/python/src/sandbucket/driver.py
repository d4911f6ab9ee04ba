"""The driver: runs an operation of the contract to its end.

The plugin makes each request and interprets each response; the driver waits, sends and resumes. Bodies go past the sandbox, and no
instance is held while a request is in flight. The retry policy is the plugin's. The driver bounds it: requests per operation, pauses,
the store's retry quota, and the operation's deadline.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any

from . import validate
from .body import Source
from .errors import BusyError, OverdueError, PluginError, SandbucketError
from .http.client import Client, Received, Stopwatch
from .http.errors import TransportError
from .http.request import Denied, checked
from .io import Io
from .limits import Limits
from .operations import Operation
from .retry_quota import RetryQuota
from .sandbox.pool import Pool

ERROR_BODY = 64 << 10
"""Bytes of the body of a response that is no success; its status is already known."""
ERROR_BODY_TIME = 5.0
MIN_BACKOFF = 0.01
"""Pause before each request beyond those that are free. It doubles up to `MAX_BACKOFF`."""
MAX_BACKOFF = 1.0
LATE_REQUESTS = 4
"""Requests that an operation may still ask for when its time is over, such as to determine the outcome of a write. They fail without
being sent."""
STEP_TIME = 5.0
"""How much longer than its operation's time a step waits for an instance."""

_MAX_NANOS = (1 << 64) - 1
_OUT_OF_RETRIES = "not tried again: so many requests of this store failed lately that its retry quota is used up"


def nanos(seconds: float) -> int:
    """A duration of the contract."""
    return max(0, min(_MAX_NANOS, int(seconds * 1e9)))


class _Bytes:
    """The bytes that a plugin sends."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.length = len(content)

    async def pieces(self) -> AsyncGenerator[memoryview, None]:
        if self._content:
            yield memoryview(self._content)


class Driver:
    """The driver of one store."""

    def __init__(self, io: Io, pool: Pool, client: Client, quota: RetryQuota | None = None) -> None:
        self.io = io
        self.pool = pool
        self.client = client
        self.limits: Limits = pool.engine.limits
        self.quota = quota or RetryQuota(self.limits.calls_per_store)

    async def run(self, operation: Operation, limit: float | None, source: Source | None = None) -> tuple[Any, Received | None]:
        """Runs an operation: its output and, of a read, the response whose body is the caller's. `limit` is the caller's own."""
        began = time.monotonic()
        time_limit = self.limits.limit(limit)
        if not await self.io.acquire(time_limit):
            calls = self.limits.calls_per_store
            message = f"{operation.name}: waited for other calls of the same store, which make all of the {calls} at once (calls_per_store)"
            raise BusyError(message, retryable=True)
        try:
            return await _Running(self, operation, source, began, time_limit).run()
        finally:
            self.io.release()


class _Running:
    """An operation in flight."""

    def __init__(self, driver: Driver, operation: Operation, source: Source | None, began: float, limit: float) -> None:
        self._driver = driver
        self._operation = operation
        self._name = operation.name
        self._source = source
        self._began = began
        self._limit = limit
        self._uncounted = 0.0  # Time spent sending bodies of the caller; excluded from the deadline.
        self._fuel_used = 0
        self._sent = 0
        self._late = 0
        self._taken = 0
        self._wrote = False
        self._cause: TransportError | None = None

    @property
    def _elapsed(self) -> float:
        return max(0.0, time.monotonic() - self._began - self._uncounted)

    @property
    def _left(self) -> float:
        return max(0.0, self._limit - self._elapsed)

    async def run(self) -> tuple[Any, Received | None]:
        operation = self._operation
        kind, value = await self._step("begin", (operation.case, operation.arguments))
        body: Received | None = None
        try:
            while True:
                if kind == "failed":
                    raise self._caused(validate.error(value))
                if kind == "done":
                    output = self._output(value, body)
                    self._driver.quota.succeeded(self._taken)
                    received, body = body, None
                    return output, received
                if body is not None:
                    body.close()
                resumption, body = await self._send(value)
                kind, value = await self._step("resume", resumption)
        finally:
            if body is not None:
                body.close()

    async def _step(self, name: str, item: Any) -> tuple[str, Any]:
        limits = self._driver.limits
        left = limits.fuel - self._fuel_used
        if left <= 0:
            raise PluginError(f"{self._name}: the plugin was stopped after as many instructions as the limit fuel allows it")
        deadline = time.monotonic() + self._left + STEP_TIME
        try:
            step = self._driver.pool.step
            result, used = await self._driver.io.step(deadline - time.monotonic(), step, name, item, left, deadline, self._name)
        except TimeoutError:
            raise self._driver.pool.busy(self._name) from None
        except PluginError as error:
            if self._wrote:
                error = PluginError(f"{error.message}; a write that was sent may or may not have taken effect")
            raise error from None
        self._fuel_used += used
        return result  # type: ignore[no-any-return]

    def _violation(self, what: str) -> PluginError:
        self._driver.pool.discard()
        return PluginError(f"plugin: {self._name}: {what}")

    def _output(self, value: Any, body: Received | None) -> Any:
        case, payload = value
        if case != self._operation.case:
            raise self._violation("its output is that of another operation")
        if case == "get" and body is None:
            raise self._violation("it is done, and there is no body to read")
        try:
            output = validate.output(case, payload)
        except PluginError:
            self._driver.pool.discard()
            raise
        if case == "presign":
            self._check_presigned(output.url)
        return output

    def _check_presigned(self, url: str) -> None:
        scheme, separator, rest = url.partition("://")
        authority = rest.partition("/")[0].partition("?")[0].partition("#")[0]
        if (
            not separator
            or scheme not in ("http", "https")
            or isinstance(self._driver.client.egress.check(scheme == "https", authority), str)
        ):
            raise self._violation("it returned a URL that leads to where the store may not send requests")

    def _caused(self, error: SandbucketError) -> SandbucketError:
        """Adds the failure of the last request to the error that it led to."""
        if self._cause is not None:
            error.__cause__ = self._cause
        return error

    def _admit(self, retries: Any, is_consumed: bool) -> None:
        """Fails if the operation may send no further request: with the error that a retry is about, or for the plugin's asking too
        much."""
        operation = self._operation
        too_many = self._sent >= operation.max_requests
        is_late = self._sent > 0 and self._left <= 0
        if retries is not None:
            error = validate.error(retries)
            if too_many or is_late or is_consumed:
                raise self._caused(error)
            taken = self._driver.quota.take(error)
            if taken is None:
                error.message = f"{error.message} ({_OUT_OF_RETRIES})"
                error.args = (error.message,)
                raise self._caused(error)
            self._taken = taken
            return
        if is_consumed:
            raise self._violation("it sends a body again that can be read once")
        if too_many:
            raise self._violation(f"it sent {operation.max_requests} requests for one operation already")
        self._late += is_late
        if self._late > LATE_REQUESTS:
            message = f"{self._name}: the call was stopped after {self._limit:g} s; a write may or may not have taken effect"
            raise OverdueError(message, retryable=operation.is_read)

    def _least_pause(self) -> float:
        further = self._sent - self._operation.free_requests
        return 0.0 if further < 0 else min(MAX_BACKOFF, MIN_BACKOFF * 2.0 ** min(further, 16))

    async def _send(self, exchange: Any) -> tuple[Any, Received | None]:
        """Sends a request after its delay: what to resume with, and the response whose body is the caller's to read."""
        kind, content = exchange["body"]
        is_callers = kind == "caller"
        source = self._source
        if is_callers and (source is None or not self._operation.has_body):
            raise self._violation("it sends a body, and the operation has none")
        size = len(exchange["state"]) + (len(content) if kind == "bytes" else 0)
        if size > self._operation.exchange_bytes:
            raise self._violation(f"its state and request take {size} bytes, and {self._operation.exchange_bytes} are allowed")
        self._admit(exchange["retries"], is_callers and source is not None and bool(getattr(source, "is_consumed", False)))
        delay = exchange["delay"] / 1e9
        if exchange["retries"] is not None and self._sent > 0 and delay >= self._left:
            raise self._caused(validate.error(exchange["retries"]))
        pause = min(max(delay, self._least_pause()), self._left)
        if pause > 0:
            await self._driver.io.sleep(pause)
        self._sent += 1
        self._cause = None
        if self._left <= 0:
            return self._failed(exchange, "http-response-timeout", "there was no time left to send the request"), None
        body: Any = source if is_callers else _Bytes(content if kind == "bytes" else b"")
        try:
            request = checked(exchange["request"], self._operation.methods, self._driver.client.egress, body.length)
        except Denied as denied:
            return self._failed(exchange, "http-request-denied", str(denied)), None
        self._wrote = self._wrote or request.method not in ("GET", "HEAD")
        timeout = max(exchange["timeout"] / 1e9, 0.001)
        sending = Stopwatch()
        try:
            received = await self._driver.client.send(request, body, timeout, self._left, exchange["fresh-connection"], sending)
        except TransportError as error:
            self._cause = error
            self._uncounted += sending.seconds if is_callers else 0.0
            return self._failed(exchange, error.error, error.detail), None
        self._uncounted += sending.seconds if is_callers else 0.0
        return await self._receive(exchange, received)

    def _failed(self, exchange: Any, error: str, detail: str) -> Any:
        event = ("failed", {"error": error, "detail": detail})
        return {"state": exchange["state"], "elapsed": nanos(self._elapsed), "event": event}

    async def _receive(self, exchange: Any, received: Received) -> tuple[Any, Received | None]:
        """Reads as much of a response's body as the plugin is to have."""
        kind, most = exchange["response-body"]
        is_callers = received.is_success and kind == "caller"
        content, truncated = b"", False
        if is_callers:
            truncated = not received.is_over
        elif not received.is_over:
            try:
                if received.is_success:
                    bound = min(most, self._driver.limits.buffered_bytes)
                    content, truncated, error = await self._read(received, bound, self._left)
                    if error is not None:
                        self._cause = error
                        return self._failed(exchange, error.error, error.detail), None
                else:
                    # That it breaks off does not matter: what arrived until then says why.
                    content, truncated, _ = await self._read(received, ERROR_BODY, ERROR_BODY_TIME)
            finally:
                received.close()
        response = {"status": received.status, "headers": received.headers, "body": content, "truncated": truncated}
        resumption = {"state": exchange["state"], "elapsed": nanos(self._elapsed), "event": ("response", response)}
        return resumption, received if is_callers else None

    async def _read(self, received: Received, most: int, within: float) -> tuple[bytes, bool, TransportError | None]:
        """Up to so many bytes of a body, whether it continues, and why it broke off."""
        end = time.monotonic() + within
        content = bytearray()
        try:
            while True:
                left = end - time.monotonic()
                if left <= 0:
                    error = TransportError("http-response-timeout", "there was no time left to read the response")
                    return bytes(content), True, error
                piece = await received.next(left)
                if piece is None:
                    return bytes(content), False, None
                content += piece
                if len(content) > most:
                    del content[most:]
                    return bytes(content), True, None
        except TransportError as error:
            return bytes(content), True, error
