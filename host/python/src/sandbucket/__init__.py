"""S3 in a sandbox: the protocol is a WebAssembly component without files, environment or sockets; this package sends its requests.

`Store` blocks, `AsyncStore` runs on asyncio. Both have the same methods.
"""

from .aio import AsyncStore
from .blob import AsyncBlob, Blob
from .config.settings import Config
from .errors import (
    AccessDeniedError,
    ArchivedError,
    BodyError,
    BusyError,
    ConfigError,
    ConflictError,
    IntegrityError,
    InvalidArgumentError,
    InvalidRangeError,
    InvalidSettingsError,
    NetworkError,
    NotFoundError,
    NotModifiedError,
    OutcomeUnknownError,
    OverdueError,
    PluginError,
    PreconditionFailedError,
    RequestTimeoutError,
    SandbucketError,
    ServiceError,
    ServiceResponse,
    ThrottledError,
    TooLargeError,
    UnsupportedError,
)
from .limits import Limits
from .sandbox.engine import Engine
from .store import Store
from .types import (
    BlobInfo,
    BlobRef,
    Bucket,
    CopySource,
    Entry,
    ListPage,
    Presigned,
    Setting,
    VersionEntry,
    Written,
)

__all__ = [
    "AccessDeniedError",
    "ArchivedError",
    "AsyncBlob",
    "AsyncStore",
    "Blob",
    "BlobInfo",
    "BlobRef",
    "BodyError",
    "Bucket",
    "BusyError",
    "Config",
    "ConfigError",
    "ConflictError",
    "CopySource",
    "Engine",
    "Entry",
    "IntegrityError",
    "InvalidArgumentError",
    "InvalidRangeError",
    "InvalidSettingsError",
    "Limits",
    "ListPage",
    "NetworkError",
    "NotFoundError",
    "NotModifiedError",
    "OutcomeUnknownError",
    "OverdueError",
    "PluginError",
    "PreconditionFailedError",
    "Presigned",
    "RequestTimeoutError",
    "SandbucketError",
    "ServiceError",
    "ServiceResponse",
    "Setting",
    "Store",
    "ThrottledError",
    "TooLargeError",
    "UnsupportedError",
    "VersionEntry",
    "Written",
]
