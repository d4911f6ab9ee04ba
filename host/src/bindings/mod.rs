//! The contract as Rust sees it, and its types as this crate's own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::blob::{BlobInfo, BlobName, ByteRange, Presigned, PresignedMethod, Setting, SettingKind, Written};
use crate::error::{Error, Failure, ServiceAnswer};

mod collections;
mod functions;

mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        // The imports are linked by hand (see `plugin`), and what a plugin exports is called by hand (see `functions`):
        // of its world only the types are of use here.
        inline: "
            package sandbucket:host@0.1.0;
            world blobs {
                export sandbucket:blob/types@0.1.0;
                export sandbucket:blob/bodies@0.1.0;
                export sandbucket:blob/exchanges@0.1.0;
                export sandbucket:blob/listing@0.1.0;
                export sandbucket:blob/multipart@0.1.0;
            }
        ",
        world: "sandbucket:host/blobs",
        with: { "wasi:io": wasmtime_wasi::p2::bindings::io, "wasi:clocks": wasmtime_wasi::p2::bindings::clocks },
        exports: { default: async },
        require_store_data_send: true,
    });
}

pub(crate) use functions::{Host, HostPre};
pub(crate) use generated::exports::sandbucket::blob::types as wit;
pub(crate) use generated::exports::sandbucket::blob::{exchanges, listing, multipart};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;

/// A moment as the contract has it. One before 1970 becomes 1970.
pub(crate) fn datetime(time: SystemTime) -> Datetime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
}

/// A moment of the plugin's. One that no clock here can hold is none.
fn system_time(time: Datetime) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::new(time.seconds, time.nanoseconds.min(999_999_999)))
}

impl From<ByteRange> for wit::ByteRange {
    fn from(range: ByteRange) -> Self {
        match range {
            ByteRange::Whole => wit::ByteRange::Whole,
            ByteRange::From(start) => wit::ByteRange::From(start),
            ByteRange::Within(range) => wit::ByteRange::Within(wit::Span { start: range.start, end: range.end }),
            ByteRange::Last(count) => wit::ByteRange::Last(count),
        }
    }
}

impl From<wit::BlobInfo> for BlobInfo {
    fn from(info: wit::BlobInfo) -> Self {
        BlobInfo {
            size: info.size,
            etag: info.etag,
            last_modified: info.last_modified.and_then(system_time),
            content_type: info.content_type,
            metadata: info.metadata,
            version: info.version,
            attributes: info.attributes,
        }
    }
}

impl From<wit::Written> for Written {
    fn from(written: wit::Written) -> Self {
        Written { etag: written.etag, version: written.version }
    }
}

impl From<exchanges::Method> for http::Method {
    fn from(method: exchanges::Method) -> Self {
        match method {
            exchanges::Method::Get => http::Method::GET,
            exchanges::Method::Head => http::Method::HEAD,
            exchanges::Method::Post => http::Method::POST,
            exchanges::Method::Put => http::Method::PUT,
            exchanges::Method::Delete => http::Method::DELETE,
        }
    }
}

impl From<BlobName> for wit::BlobName {
    fn from(name: BlobName) -> Self {
        wit::BlobName { key: name.key, version: name.version }
    }
}

impl From<wit::Presigned> for Presigned {
    fn from(presigned: wit::Presigned) -> Self {
        Presigned { url: presigned.url, headers: presigned.headers }
    }
}

impl From<PresignedMethod> for wit::PresignedMethod {
    fn from(method: PresignedMethod) -> Self {
        match method {
            PresignedMethod::Get => wit::PresignedMethod::Get,
            PresignedMethod::Head => wit::PresignedMethod::Head,
            PresignedMethod::Put => wit::PresignedMethod::Put,
            PresignedMethod::Delete => wit::PresignedMethod::Delete,
        }
    }
}

impl From<wit::Setting> for Setting {
    fn from(setting: wit::Setting) -> Self {
        Setting {
            name: setting.name,
            aliases: setting.aliases,
            kind: match setting.kind {
                wit::SettingKind::Text => SettingKind::Text,
                wit::SettingKind::Integer => SettingKind::Integer,
                wit::SettingKind::Boolean => SettingKind::Boolean,
                wit::SettingKind::Duration => SettingKind::Duration,
                wit::SettingKind::Choice => SettingKind::Choice,
                wit::SettingKind::Url => SettingKind::Url,
            },
            default: setting.default,
            required: setting.required,
            secret: setting.secret,
            help: setting.help,
        }
    }
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        let failure = Box::new(Failure {
            message: error.message,
            retryable: error.retryable,
            attempts: error.attempts,
            subject: error.subject,
            answer: error.answer.map(|answer| ServiceAnswer {
                status: answer.status,
                code: answer.code,
                message: answer.message,
                request_id: answer.request_id,
                region: answer.region,
            }),
        });
        match error.kind {
            wit::ErrorKind::NotFound => Error::NotFound(failure),
            wit::ErrorKind::PreconditionFailed => Error::PreconditionFailed(failure),
            wit::ErrorKind::NotModified => Error::NotModified(failure),
            wit::ErrorKind::InvalidRange => Error::InvalidRange(failure),
            wit::ErrorKind::Conflict => Error::Conflict(failure),
            wit::ErrorKind::AccessDenied => Error::AccessDenied(failure),
            wit::ErrorKind::Throttled => Error::Throttled(failure),
            wit::ErrorKind::Timeout => Error::Timeout(failure),
            wit::ErrorKind::Network => Error::Network(failure),
            wit::ErrorKind::Integrity => Error::Integrity(failure),
            wit::ErrorKind::InvalidSettings => Error::InvalidSettings(failure),
            wit::ErrorKind::InvalidArgument => Error::InvalidArgument(failure),
            wit::ErrorKind::TooLarge => Error::TooLarge(failure),
            wit::ErrorKind::Unsupported => Error::Unsupported(failure),
            wit::ErrorKind::OutcomeUnknown => Error::OutcomeUnknown(failure),
            wit::ErrorKind::Service => Error::Service(failure),
        }
    }
}
