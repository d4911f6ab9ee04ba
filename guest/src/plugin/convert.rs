//! The contract's records to the plain ones, and back.

use crate::bindings::exports::sandbucket::blob::{listing, multipart, types as wit};
use crate::bindings::wasi::clocks::wall_clock::Datetime;
use crate::checksum::Algorithm;
use crate::error::{Failure, Kind};
use crate::model;
use crate::settings;

pub(super) fn setting(setting: &settings::Setting) -> wit::Setting {
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

pub(super) fn read_options(options: wit::ReadOptions) -> model::ReadOptions {
    model::ReadOptions {
        range: range(options.range),
        conditions: conditions(options.conditions),
        version: options.version,
        max_bytes: options.max_bytes,
        call: call(options.call),
    }
}

pub(super) fn span(span: model::Span) -> wit::Span {
    wit::Span { start: span.start, end: span.end }
}

fn range(range: wit::ByteRange) -> model::ByteRange {
    match range {
        wit::ByteRange::Whole => model::ByteRange::Whole,
        wit::ByteRange::From(start) => model::ByteRange::From(start),
        wit::ByteRange::Within(span) => model::ByteRange::Within(model::Span { start: span.start, end: span.end }),
        wit::ByteRange::Last(count) => model::ByteRange::Last(count),
    }
}

pub(super) fn conditions(conditions: wit::ReadConditions) -> model::Conditions {
    model::Conditions {
        if_match: conditions.if_match,
        if_none_match: conditions.if_none_match,
        if_modified_since: conditions.if_modified_since.map(|at| at.seconds),
        if_unmodified_since: conditions.if_unmodified_since.map(|at| at.seconds),
    }
}

pub(super) fn call(call: wit::CallOptions) -> model::CallOptions {
    model::CallOptions { time_limit: call.time_limit, attributes: call.attributes }
}

pub(super) fn info(info: model::BlobInfo) -> wit::BlobInfo {
    wit::BlobInfo {
        size: info.size,
        etag: info.etag,
        last_modified: info.last_modified.map(datetime),
        content_type: info.content_type,
        metadata: info.metadata,
        version: info.version,
        attributes: info.attributes,
    }
}

#[inline(never)]
pub(super) fn error(failure: Failure) -> wit::Error {
    wit::Error {
        kind: match failure.kind {
            Kind::NotFound => wit::ErrorKind::NotFound,
            Kind::PreconditionFailed => wit::ErrorKind::PreconditionFailed,
            Kind::NotModified => wit::ErrorKind::NotModified,
            Kind::InvalidRange => wit::ErrorKind::InvalidRange,
            Kind::Conflict => wit::ErrorKind::Conflict,
            Kind::AccessDenied => wit::ErrorKind::AccessDenied,
            Kind::Throttled => wit::ErrorKind::Throttled,
            Kind::Timeout => wit::ErrorKind::Timeout,
            Kind::Network => wit::ErrorKind::Network,
            Kind::Integrity => wit::ErrorKind::Integrity,
            Kind::InvalidSettings => wit::ErrorKind::InvalidSettings,
            Kind::InvalidArgument => wit::ErrorKind::InvalidArgument,
            Kind::TooLarge => wit::ErrorKind::TooLarge,
            Kind::Unsupported => wit::ErrorKind::Unsupported,
            Kind::OutcomeUnknown => wit::ErrorKind::OutcomeUnknown,
            Kind::Service => wit::ErrorKind::Service,
        },
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
    }
}

pub(super) fn write_options(options: wit::WriteOptions) -> model::WriteOptions {
    model::WriteOptions {
        content_type: options.content_type,
        metadata: options.metadata,
        condition: write_condition(options.condition),
        digests: digests(options.digests),
        call: call(options.call),
    }
}

pub(super) fn part_options(options: multipart::PartOptions) -> model::PartOptions {
    model::PartOptions { digests: digests(options.digests), call: call(options.call) }
}

fn digests(digests: Vec<wit::Digest>) -> Vec<model::Digest> {
    let given = |digest: wit::Digest| model::Digest {
        algorithm: match digest.algorithm {
            wit::DigestAlgorithm::Sha256 => Algorithm::Sha256,
            wit::DigestAlgorithm::Md5 => Algorithm::Md5,
            wit::DigestAlgorithm::Crc32 => Algorithm::Crc32,
            wit::DigestAlgorithm::Crc32c => Algorithm::Crc32c,
            wit::DigestAlgorithm::Crc64nvme => Algorithm::Crc64Nvme,
        },
        value: digest.value,
    };
    digests.into_iter().map(given).collect()
}

pub(super) fn digest(digest: model::Digest) -> wit::Digest {
    wit::Digest { algorithm: algorithm(digest.algorithm), value: digest.value }
}

pub(super) fn algorithm(algorithm: Algorithm) -> wit::DigestAlgorithm {
    match algorithm {
        Algorithm::Sha256 => wit::DigestAlgorithm::Sha256,
        Algorithm::Md5 => wit::DigestAlgorithm::Md5,
        Algorithm::Crc32 => wit::DigestAlgorithm::Crc32,
        Algorithm::Crc32c => wit::DigestAlgorithm::Crc32c,
        Algorithm::Crc64Nvme => wit::DigestAlgorithm::Crc64nvme,
    }
}

pub(super) fn write_condition(condition: wit::WriteCondition) -> model::WriteCondition {
    match condition {
        wit::WriteCondition::Always => model::WriteCondition::Always,
        wit::WriteCondition::IfAbsent => model::WriteCondition::IfAbsent,
        wit::WriteCondition::IfMatch(etag) => model::WriteCondition::IfMatch(etag),
    }
}

pub(super) fn blob_name(name: wit::BlobName) -> model::BlobName {
    model::BlobName { key: name.key, version: name.version }
}

pub(super) fn written(written: model::Written) -> wit::Written {
    wit::Written { etag: written.etag, version: written.version }
}

pub(super) fn list_options(options: listing::ListOptions) -> model::ListOptions {
    model::ListOptions {
        prefix: options.prefix,
        delimiter: options.delimiter,
        start_after: options.start_after,
        page_size: options.page_size,
        continuation: options.continuation,
        call: call(options.call),
    }
}

pub(super) fn entry(entry: model::Entry) -> listing::Entry {
    listing::Entry {
        key: entry.key,
        size: entry.size,
        etag: entry.etag,
        last_modified: entry.last_modified.map(datetime),
        attributes: entry.attributes,
    }
}

pub(super) fn version_entry(entry_: model::VersionEntry) -> listing::VersionEntry {
    listing::VersionEntry {
        blob: entry(entry_.blob),
        version: entry_.version,
        latest: entry_.latest,
        deleted: entry_.deleted,
    }
}

pub(super) fn part(part: model::Part) -> multipart::Part {
    multipart::Part {
        number: part.number,
        size: part.size,
        etag: part.etag,
        last_modified: part.last_modified.map(datetime),
        attributes: part.attributes,
    }
}

pub(super) fn given_part(part: multipart::Part) -> model::Part {
    model::Part {
        number: part.number,
        size: part.size,
        etag: part.etag,
        last_modified: part.last_modified.map(|at| at.seconds),
        attributes: part.attributes,
    }
}

pub(super) fn datetime(seconds: u64) -> Datetime {
    Datetime { seconds, nanoseconds: 0 }
}
