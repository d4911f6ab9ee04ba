//! The component's outside: the contract's exports, handed on to [`crate::store`] with the host as its ground.

use std::cell::RefCell;

use crate::bindings;
use crate::bindings::exports::sandbucket::blob::blob_store::{Guest, GuestStore, Store as StoreHandle};
use crate::bindings::exports::sandbucket::blob::types as wit;
use crate::bindings::wasi::clocks::wall_clock::Datetime;
use crate::env::Clock;
use crate::error::{Failure, Kind};
use crate::model;
use crate::settings;
use crate::store;
use crate::transport::Wasi;

struct Plugin;

bindings::export!(Plugin with_types_in bindings);

/// A store, lent to one call at a time: the contract has no others.
struct Open(RefCell<store::Store>);

impl Guest for Plugin {
    type Store = Open;

    fn settings() -> Vec<wit::Setting> {
        settings::TABLE.iter().map(setting).collect()
    }
}

impl GuestStore for Open {
    fn open(settings: Vec<(String, String)>) -> Result<StoreHandle, wit::Error> {
        // The host's clock in full: instances opened in the same second are not to pause alike.
        let seed = Wasi.now() ^ Wasi.wall().rotate_left(32);
        let store = store::Store::open(&settings, seed).map_err(error)?;
        Ok(StoreHandle::new(Open(RefCell::new(store))))
    }

    fn head(&self, key: String, options: wit::HeadOptions) -> Result<wit::BlobInfo, wit::Error> {
        let options = model::HeadOptions {
            conditions: conditions(options.conditions),
            version: options.version,
            call: call(options.call),
        };
        self.0.borrow_mut().head(&mut Wasi, &key, &options).map(info).map_err(error)
    }

    fn get(&self, key: String, options: wit::ReadOptions) -> Result<wit::Blob, wit::Error> {
        let options = model::ReadOptions {
            range: range(options.range),
            conditions: conditions(options.conditions),
            version: options.version,
            max_bytes: options.max_bytes,
            call: call(options.call),
        };
        let blob = self.0.borrow_mut().get(&mut Wasi, &key, &options).map_err(error)?;
        let range = wit::Span { start: blob.range.start, end: blob.range.end };
        Ok(wit::Blob { info: info(blob.info), range, body: blob.body })
    }

    fn put(&self, key: String, body: Vec<u8>, options: wit::WriteOptions) -> Result<wit::Written, wit::Error> {
        let options = model::WriteOptions {
            content_type: options.content_type,
            metadata: options.metadata,
            condition: match options.condition {
                wit::WriteCondition::Always => model::WriteCondition::Always,
                wit::WriteCondition::IfAbsent => model::WriteCondition::IfAbsent,
                wit::WriteCondition::IfMatch(etag) => model::WriteCondition::IfMatch(etag),
            },
            call: call(options.call),
        };
        let written = self.0.borrow_mut().put(&mut Wasi, &key, &body, &options).map_err(error)?;
        Ok(wit::Written { etag: written.etag, version: written.version })
    }

    fn delete(&self, key: String, options: wit::DeleteOptions) -> Result<(), wit::Error> {
        let options = model::DeleteOptions { version: options.version, call: call(options.call) };
        self.0.borrow_mut().delete(&mut Wasi, &key, &options).map_err(error)
    }
}

fn setting(setting: &settings::Setting) -> wit::Setting {
    wit::Setting {
        name: setting.name.to_owned(),
        aliases: setting.aliases.iter().map(|&alias| alias.to_owned()).collect(),
        kind: match setting.kind {
            settings::SettingKind::Text => wit::SettingKind::Text,
            settings::SettingKind::Integer => wit::SettingKind::Integer,
            settings::SettingKind::Boolean => wit::SettingKind::Boolean,
            settings::SettingKind::Duration => wit::SettingKind::Duration,
            settings::SettingKind::Choice => wit::SettingKind::Choice,
            settings::SettingKind::Url => wit::SettingKind::Url,
        },
        default: setting.default.map(str::to_owned),
        required: setting.required,
        secret: setting.secret,
        help: setting.help.to_owned(),
    }
}

fn range(range: wit::ByteRange) -> model::ByteRange {
    match range {
        wit::ByteRange::Whole => model::ByteRange::Whole,
        wit::ByteRange::From(start) => model::ByteRange::From(start),
        wit::ByteRange::Within(span) => model::ByteRange::Within(model::Span { start: span.start, end: span.end }),
        wit::ByteRange::Last(count) => model::ByteRange::Last(count),
    }
}

fn conditions(conditions: wit::ReadConditions) -> model::Conditions {
    model::Conditions {
        if_match: conditions.if_match,
        if_none_match: conditions.if_none_match,
        if_modified_since: conditions.if_modified_since.map(|at| at.seconds),
        if_unmodified_since: conditions.if_unmodified_since.map(|at| at.seconds),
    }
}

fn call(call: wit::CallOptions) -> model::CallOptions {
    model::CallOptions { time_limit: call.time_limit, attributes: call.attributes }
}

fn info(info: model::BlobInfo) -> wit::BlobInfo {
    wit::BlobInfo {
        size: info.size,
        etag: info.etag,
        last_modified: info.last_modified.map(|seconds| Datetime { seconds, nanoseconds: 0 }),
        content_type: info.content_type,
        metadata: info.metadata,
        version: info.version,
        attributes: info.attributes,
    }
}

#[inline(never)]
fn error(failure: Failure) -> wit::Error {
    let told = wit::Failure {
        message: failure.message,
        retryable: failure.retryable,
        attempts: failure.attempts,
        subject: failure.subject.map(|subject| subject.into_owned()),
        answer: failure.answer.map(|answer| wit::ServiceAnswer {
            status: answer.status,
            code: answer.code,
            message: answer.message,
            request_id: answer.request_id,
            region: answer.region,
        }),
    };
    match failure.kind {
        Kind::NotFound => wit::Error::NotFound(told),
        Kind::PreconditionFailed => wit::Error::PreconditionFailed(told),
        Kind::NotModified => wit::Error::NotModified(told),
        Kind::InvalidRange => wit::Error::InvalidRange(told),
        Kind::Conflict => wit::Error::Conflict(told),
        Kind::AccessDenied => wit::Error::AccessDenied(told),
        Kind::Throttled => wit::Error::Throttled(told),
        Kind::Timeout => wit::Error::Timeout(told),
        Kind::Network => wit::Error::Network(told),
        Kind::Integrity => wit::Error::Integrity(told),
        Kind::InvalidSettings => wit::Error::InvalidSettings(told),
        Kind::InvalidArgument => wit::Error::InvalidArgument(told),
        Kind::TooLarge => wit::Error::TooLarge(told),
        Kind::Unsupported => wit::Error::Unsupported(told),
        Kind::OutcomeUnknown => wit::Error::OutcomeUnknown(told),
        Kind::Service => wit::Error::Service(told),
    }
}
