"""Limits of plugins, calls and connections."""

from __future__ import annotations

from dataclasses import dataclass, fields

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of plugins, calls and connections: times in seconds, sizes in bytes. The defaults are those of the Rust host."""

    memory: int = 84 * MIB
    """Linear memory of one instance. What it may make the host allocate is bounded by wasmtime (128 MiB for a result)."""
    retire_bytes: int = MIB
    """An instance that a response body or a state of this size passed through is not reused: linear memory never shrinks."""
    fuel: int = 5_000_000_000
    """Instructions that the plugin may execute in one call, over all attempts: a few seconds. A list of 1,000 keys takes 9 million."""
    clock_calls: int = 10_000
    """Clock readings of the plugin in one step: they are functions of the host, which take no fuel."""
    call_time: float = 600.0
    """Duration of one call, attempts and backoff included, unless the call sets one."""
    max_call_time: float = 24 * 3600.0
    """The longest duration that a call may set."""
    instances_per_store: int = 4
    """Instances of one store. An instance is held while the plugin computes, not while a request is in flight."""
    calls_per_store: int = 64
    """Calls of one store in flight; further ones wait."""
    header_bytes: int = 64 << 10
    """Header of a response."""
    buffered_bytes: int = 4 * MIB
    """Body of a response that the plugin asks for: a page of 1,000 keys of 1 KiB, each byte escaped, is 3 MiB. The C API takes 32
    bytes of memory for each while it is passed on."""
    resumes: int = 3
    """Resumptions of a download without progress; also new reads from the beginning on a service that ignores ranges."""
    connect_timeout: float = 10.0
    """Name resolution, connecting, and the TLS handshake."""
    first_byte_timeout: float = 600.0
    """From the end of a request to the beginning of its response."""
    between_bytes_timeout: float = 60.0
    """Time without a byte in either direction while a body is in flight."""
    idle_connections: int = 64
    """Idle connections of one store."""
    idle_timeout: float = 18.0
    """Age at which an idle connection is closed. Amazon S3 closes after about 20 s."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("resumes", "idle_connections"):
                if value < 0:
                    raise ValueError(f"the limit {field.name} must not be negative")
            elif not 0 < value < 1e15:
                raise ValueError(f"the limit {field.name} must be above 0, and below 10^15")

    def limit(self, given: float | None) -> float:
        """The time limit of a call whose caller gave this one."""
        return self.call_time if given is None else min(given, max(self.call_time, self.max_call_time))
