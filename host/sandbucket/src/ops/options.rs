//! Options of operations, as the builders collect them, and their conversion to the contract's records.
//!
//! In the contract a record without any field is equivalent to none, and more expensive to pass: the macro `record!`
//! decides. Options common to all calls are converted separately, because the driver sets the time limit that the plugin
//! gets.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use crate::sandbox::bindings::{buckets, datetime, listing, multipart, wit};
use crate::support::deadline::nanos;
use crate::types::blob::{BlobName, ByteRange, PresignedMethod};
use crate::types::digest::Digest;
use crate::types::multipart::Part;

type Pairs = Vec<(String, String)>;

/// Options common to all calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallOptions {
    /// Time limit of the whole call. Default: that of the store.
    pub(crate) time_limit: Option<Duration>,
    pub(crate) attributes: Pairs,
}

/// Conditions of a read.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadConditions {
    pub(crate) if_match: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) if_modified_since: Option<SystemTime>,
    pub(crate) if_unmodified_since: Option<SystemTime>,
}

/// The condition of a write.
#[derive(Clone, Debug, Default)]
pub(crate) enum WriteCondition {
    #[default]
    Always,
    IfAbsent,
    IfMatch(String),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct HeadOptions {
    pub(crate) conditions: ReadConditions,
    pub(crate) version: Option<String>,
    pub(crate) call: CallOptions,
}

#[derive(Clone, Debug)]
pub(crate) struct GetOptions {
    pub(crate) range: ByteRange,
    pub(crate) conditions: ReadConditions,
    pub(crate) version: Option<String>,
    pub(crate) call: CallOptions,
}

impl Default for GetOptions {
    fn default() -> Self {
        let (conditions, call) = (ReadConditions::default(), CallOptions::default());
        GetOptions { range: ByteRange::Whole, conditions, version: None, call }
    }
}

/// Options of `put` and `create-upload`.
#[derive(Clone, Debug, Default)]
pub(crate) struct PutOptions {
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: Pairs,
    pub(crate) condition: WriteCondition,
    pub(crate) call: CallOptions,
}

/// The properties of a copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Properties {
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: Pairs,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct CopyOptions {
    pub(crate) source_conditions: ReadConditions,
    pub(crate) condition: WriteCondition,
    pub(crate) properties: Option<Properties>,
    pub(crate) call: CallOptions,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct PresignOptions {
    pub(crate) headers: Pairs,
    pub(crate) version: Option<String>,
    pub(crate) call: CallOptions,
}

/// Options of `list` and `list-versions`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) start_after: Option<String>,
    pub(crate) page_size: Option<u32>,
    pub(crate) continuation: Option<String>,
    pub(crate) call: CallOptions,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct CopyPartOptions {
    pub(crate) range: Option<Range<u64>>,
    pub(crate) source_conditions: ReadConditions,
    pub(crate) call: CallOptions,
}

/// Options of the other listings: parts (which have no prefix), uploads and buckets.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageOptions {
    pub(crate) prefix: String,
    pub(crate) continuation: Option<String>,
    pub(crate) page_size: Option<u32>,
    pub(crate) call: CallOptions,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct CompleteOptions {
    pub(crate) condition: WriteCondition,
    pub(crate) call: CallOptions,
}

/// Options of operations with a version only: `delete`, `get-tags`, `set-tags`.
#[derive(Clone, Debug, Default)]
pub(crate) struct VersionOptions {
    pub(crate) version: Option<String>,
    pub(crate) call: CallOptions,
}

/// The source of a copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct CopySource {
    /// Its bucket. Default: the store's.
    pub(crate) bucket: Option<String>,
    pub(crate) blob: BlobName,
}

impl From<BlobName> for CopySource {
    fn from(blob: BlobName) -> Self {
        CopySource { bucket: None, blob }
    }
}

fn is_none<T>(field: &Option<T>) -> bool {
    field.is_none()
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn pairs(pairs: &Pairs) -> Option<Pairs> {
    (!pairs.is_empty()).then(|| pairs.clone())
}

/// A record with these fields, or `None` if every field is `None`.
macro_rules! record {
    ($($record:ident)::+ { $($field:ident $(: $value:expr)?),* $(,)? }) => {{
        $($(let $field = $value;)?)*
        let is_empty = $(is_none(&$field))&&*;
        (!is_empty).then_some($($record)::+ { $($field),* })
    }};
}

type Call = Option<wit::CallOptions>;

impl CallOptions {
    /// Converts them, with this time limit for the plugin.
    pub(crate) fn record(&self, time_limit: Option<Duration>) -> Call {
        record!(wit::CallOptions {
            time_limit: time_limit.map(nanos),
            max_retries: None::<u32>,
            attributes: pairs(&self.attributes),
        })
    }
}

impl ReadConditions {
    fn record(&self) -> Option<wit::ReadConditions> {
        record!(wit::ReadConditions {
            if_match: self.if_match.clone(),
            if_none_match: self.if_none_match.clone(),
            if_modified_since: self.if_modified_since.map(datetime),
            if_unmodified_since: self.if_unmodified_since.map(datetime),
        })
    }
}

impl WriteCondition {
    fn record(&self) -> Option<wit::WriteCondition> {
        match self {
            WriteCondition::Always => None,
            WriteCondition::IfAbsent => Some(wit::WriteCondition::IfAbsent),
            WriteCondition::IfMatch(etag) => Some(wit::WriteCondition::IfMatch(etag.clone())),
        }
    }
}

impl HeadOptions {
    pub(crate) fn record(&self, call: Call) -> Option<wit::HeadOptions> {
        record!(wit::HeadOptions { conditions: self.conditions.record(), version: self.version.clone(), call })
    }
}

impl GetOptions {
    pub(crate) fn record(&self, call: Call) -> Option<wit::GetOptions> {
        let range = match &self.range {
            ByteRange::Whole => None,
            ByteRange::From(start) => Some(wit::ByteRange::From(*start)),
            ByteRange::Within(range) => Some(wit::ByteRange::Within(span(range))),
            ByteRange::Last(count) => Some(wit::ByteRange::Last(*count)),
        };
        record!(wit::GetOptions {
            range,
            conditions: self.conditions.record(),
            version: self.version.clone(),
            max_bytes: None::<u64>,
            call,
        })
    }
}

impl PutOptions {
    pub(crate) fn record(&self, digests: Vec<Digest>, call: Call) -> Option<wit::PutOptions> {
        record!(wit::PutOptions {
            content_type: self.content_type.clone(),
            metadata: pairs(&self.metadata),
            condition: self.condition.record(),
            digests: digest_records(digests),
            call,
        })
    }
}

impl CopyOptions {
    pub(crate) fn record(&self, call: Call) -> Option<wit::CopyOptions> {
        let properties = self.properties.as_ref().map(|properties| wit::Properties {
            content_type: properties.content_type.clone(),
            metadata: pairs(&properties.metadata),
        });
        record!(wit::CopyOptions {
            source_conditions: self.source_conditions.record(),
            condition: self.condition.record(),
            properties,
            call,
        })
    }
}

impl PresignOptions {
    pub(crate) fn record(&self, call: Call) -> Option<wit::PresignOptions> {
        record!(wit::PresignOptions { headers: pairs(&self.headers), version: self.version.clone(), call })
    }
}

impl ListOptions {
    pub(crate) fn record(&self, call: Call) -> Option<listing::ListOptions> {
        record!(listing::ListOptions {
            prefix: text(&self.prefix),
            delimiter: self.delimiter.clone(),
            start_after: self.start_after.clone(),
            page_size: self.page_size,
            continuation: self.continuation.clone(),
            call,
        })
    }
}

impl CopyPartOptions {
    pub(crate) fn record(&self, call: Call) -> Option<multipart::CopyPartOptions> {
        record!(multipart::CopyPartOptions {
            range: self.range.as_ref().map(span),
            source_conditions: self.source_conditions.record(),
            call,
        })
    }
}

impl PageOptions {
    pub(crate) fn parts(&self, call: Call) -> Option<multipart::ListPartsOptions> {
        record!(multipart::ListPartsOptions {
            continuation: self.continuation.clone(),
            page_size: self.page_size,
            call,
        })
    }

    pub(crate) fn uploads(&self, call: Call) -> Option<multipart::ListUploadsOptions> {
        record!(multipart::ListUploadsOptions {
            prefix: text(&self.prefix),
            continuation: self.continuation.clone(),
            page_size: self.page_size,
            call,
        })
    }

    pub(crate) fn buckets(&self, call: Call) -> Option<buckets::ListBucketsOptions> {
        record!(buckets::ListBucketsOptions {
            prefix: text(&self.prefix),
            continuation: self.continuation.clone(),
            page_size: self.page_size,
            call,
        })
    }
}

impl CompleteOptions {
    pub(crate) fn record(&self, call: Call) -> Option<multipart::CompleteOptions> {
        record!(multipart::CompleteOptions { condition: self.condition.record(), call })
    }
}

impl VersionOptions {
    pub(crate) fn delete(&self, call: Call) -> Option<wit::DeleteOptions> {
        record!(wit::DeleteOptions { version: self.version.clone(), call })
    }

    pub(crate) fn tags(&self, call: Call) -> Option<wit::TagOptions> {
        record!(wit::TagOptions { version: self.version.clone(), call })
    }
}

/// Options of an operation without options of its own.
pub(crate) fn only_call<T>(call: Call, record: impl FnOnce(Call) -> T) -> Option<T> {
    call.is_some().then(|| record(call))
}

/// The digests of a body in the contract's form; none if there are none.
fn digest_records(digests: Vec<Digest>) -> Option<Vec<wit::Digest>> {
    (!digests.is_empty()).then(|| digests.into_iter().map(Into::into).collect())
}

pub(crate) fn part(digests: Vec<Digest>, call: Call) -> Option<multipart::PartOptions> {
    record!(multipart::PartOptions { digests: digest_records(digests), call })
}

impl From<&CopySource> for wit::CopySource {
    fn from(source: &CopySource) -> Self {
        let CopySource { bucket, blob } = source;
        wit::CopySource { bucket: bucket.clone(), key: blob.key.clone(), version: blob.version.clone() }
    }
}

impl From<BlobName> for wit::BlobRef {
    fn from(name: BlobName) -> Self {
        wit::BlobRef { key: name.key, version: name.version }
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

impl From<Part> for multipart::Part {
    fn from(part: Part) -> Self {
        multipart::Part {
            number: part.number,
            size: part.size,
            etag: part.etag,
            last_modified: part.last_modified.map(datetime),
            attributes: part.attributes,
        }
    }
}

fn span(range: &Range<u64>) -> wit::Span {
    wit::Span { start: range.start, end: range.end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_options_convert_to_none() {
        assert!(CallOptions::default().record(None).is_none());
        assert!(HeadOptions::default().record(None).is_none());
        assert!(GetOptions::default().record(None).is_none());
        assert!(PutOptions::default().record(Vec::new(), None).is_none());
        assert!(CopyOptions::default().record(None).is_none());
        assert!(ListOptions::default().record(None).is_none());
        assert!(VersionOptions::default().delete(None).is_none());
        assert!(part(Vec::new(), None).is_none());
        let call = CallOptions::default().record(Some(Duration::from_secs(1)));
        assert_eq!(call.as_ref().and_then(|call| call.time_limit), Some(1_000_000_000));
        assert!(HeadOptions::default().record(call).is_some());
        // An empty set of properties still replaces the source's.
        let replaced = CopyOptions { properties: Some(Properties::default()), ..CopyOptions::default() };
        assert!(replaced.record(None).is_some());
        let last = GetOptions { range: ByteRange::Last(1), ..GetOptions::default() };
        assert!(last.record(None).is_some());
    }
}
