"""Exceptions: one class for each kind of error of the contract, and those of the host itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class ServiceResponse:
    """The service's response that an error is based on."""

    status: int
    """HTTP status."""
    code: str | None = None
    """The service's error code, such as `NoSuchKey`."""
    message: str | None = None
    """The service's own message."""
    request_id: str | None = None
    """Request id, for the service's support."""
    region: str | None = None
    """Region of the bucket, if it is not the one that the request went to."""


class SandbucketError(Exception):
    """Base of all errors. The text is one line for people, escaped and bounded; the attributes are for programs."""

    kind: ClassVar[str] = "error"
    """The kind of the error, by its name in the contract."""

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        attempts: int = 0,
        subject: str | None = None,
        response: ServiceResponse | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable
        """Whether the same call may succeed later, unchanged. The retries of the call are over."""
        self.attempts = attempts
        """Number of requests sent."""
        self.subject = subject
        """The setting or argument at fault, by its name in the contract."""
        self.response = response
        """The service's response, if there was one."""

    @property
    def status(self) -> int | None:
        """HTTP status of the response."""
        return None if self.response is None else self.response.status

    @property
    def code(self) -> str | None:
        """The service's error code, such as `NoSuchKey`."""
        return None if self.response is None else self.response.code

    @property
    def request_id(self) -> str | None:
        """Request id of the response."""
        return None if self.response is None else self.response.request_id

    def __reduce__(self) -> tuple[object, ...]:
        state = {name: getattr(self, name) for name in ("retryable", "attempts", "subject", "response")}
        return (_rebuilt, (type(self), self.message, state))


def _rebuilt(kind: type[SandbucketError], message: str, state: dict[str, object]) -> SandbucketError:
    error = kind(message)
    error.__dict__.update(state)
    return error


class NotFoundError(SandbucketError):
    """No such blob, version, upload or bucket; `code` says which, if the service does."""

    kind = "not-found"

    @property
    def is_missing_bucket(self) -> bool:
        """Whether the service says that the bucket itself is missing."""
        return self.code in ("NoSuchBucket", "ContainerNotFound")


class PreconditionFailedError(SandbucketError):
    """A condition does not hold; a write changed nothing."""

    kind = "precondition-failed"


class NotModifiedError(SandbucketError):
    """The blob is still what the caller has."""

    kind = "not-modified"


class InvalidRangeError(SandbucketError):
    """No byte of the blob is in the range."""

    kind = "invalid-range"


class ConflictError(SandbucketError):
    """A concurrent write; or a bucket that exists already, or is not empty."""

    kind = "conflict"


class AccessDeniedError(SandbucketError):
    """The credentials are wrong, expired, or do not permit this."""

    kind = "access-denied"


class ThrottledError(SandbucketError):
    """The service demands fewer requests."""

    kind = "throttled"


class RequestTimeoutError(SandbucketError):
    """No response arrived in time, or the call's time limit passed."""

    kind = "timeout"


class NetworkError(SandbucketError):
    """The service is unreachable, the connection broke, or the address is not allowed."""

    kind = "network"


class IntegrityError(SandbucketError):
    """A response is malformed, truncated, or does not match its checksum."""

    kind = "integrity"


class InvalidSettingsError(SandbucketError):
    """A setting is missing, unknown, malformed or wrong; `subject` names it."""

    kind = "invalid-settings"


class InvalidArgumentError(SandbucketError, ValueError):
    """An argument is not what the contract or the service takes; nothing was sent."""

    kind = "invalid-argument"


class TooLargeError(SandbucketError):
    """The body exceeds a limit."""

    kind = "too-large"


class UnsupportedError(SandbucketError):
    """Neither the plugin nor the service can do this."""

    kind = "unsupported"


class OutcomeUnknownError(SandbucketError):
    """A write was sent, its response lost, and whether it took effect is unknown."""

    kind = "outcome-unknown"


class ServiceError(SandbucketError):
    """Any other error response of the service."""

    kind = "service"


class ArchivedError(ServiceError):
    """The blob is archived (S3's `InvalidObjectState`, Azure's `BlobArchived`): it has to be restored before it can be read or copied."""

    kind = "archived"


class PluginError(SandbucketError):
    """The plugin crashed, exceeded a limit, or returned what the contract does not allow. Its instance was discarded."""

    kind = "plugin"


class OverdueError(SandbucketError):
    """The call took longer than its time limit; a write may or may not have taken effect."""

    kind = "overdue"


class BusyError(SandbucketError):
    """The call waited for too long because of other calls of the same store."""

    kind = "busy"


class ConfigError(SandbucketError):
    """The configuration cannot be used. The text names the file, the line where it is known, and the key."""

    kind = "config"


class BodyError(SandbucketError):
    """What is to be written cannot be read, or what was read cannot be written. `__cause__` has the reason."""

    kind = "io"


_KINDS: dict[str, type[SandbucketError]] = {
    kind.kind: kind
    for kind in (
        NotFoundError,
        PreconditionFailedError,
        NotModifiedError,
        InvalidRangeError,
        ConflictError,
        AccessDeniedError,
        ThrottledError,
        RequestTimeoutError,
        NetworkError,
        IntegrityError,
        InvalidSettingsError,
        InvalidArgumentError,
        TooLargeError,
        UnsupportedError,
        OutcomeUnknownError,
        ServiceError,
    )
}


def of_kind(kind: str) -> type[SandbucketError]:
    """The class of a kind of the contract."""
    return _KINDS[kind]
