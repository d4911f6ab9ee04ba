//! Classifies a conditional write whose response was lost by the blob that a HEAD then finds.
//!
//! A wrong result is worse than none: a blob with the same content may be another writer's. So only the caller's write id (the
//! attribute `write-id`) proves that the write was applied, and only a modification time before the write that it was not.

use md5::{Digest as _, Md5};

use crate::contract::error::{Failure, Kind};
use crate::contract::model::{BlobInfo, CallOptions, Part, WriteCondition, Written};
use crate::rt::hex::hex;
use crate::s3::attributes;
use crate::s3::headers::WRITE_ID;

/// Tolerance in seconds between `last-modified` and the start of the write: both are whole seconds, and the clocks of a service's
/// nodes differ a little.
const SLACK: u64 = 5;

/// Outcome of the write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The write was applied.
    Applied(Written),
    /// Its condition did not hold.
    ConditionFailed,
    /// The write was not applied: it failed with the error of its last attempt.
    NotApplied,
    /// Unknown.
    Unknown,
}

/// Classifies a write by its condition, the error of its last attempt, and what the HEAD `found`: the blob and the time in seconds
/// at which the write began by the service's clock, or the error of the HEAD. `id` is the write id.
pub(super) fn classify(
    condition: &WriteCondition,
    failure: &Failure,
    found: &Result<(BlobInfo, Option<u64>), Failure>,
    id: Option<&str>,
) -> Outcome {
    let refused = matches!(failure.kind, Kind::PreconditionFailed | Kind::NotFound | Kind::Conflict);
    // After a timeout the service may still process the write.
    let over = !refused && failure.kind != Kind::Timeout;
    let (info, began) = match found {
        Ok(found) => found,
        // The key does not exist and the last attempt did not contradict that: the write was not applied.
        Err(looked) if looked.kind == Kind::NotFound && over && *condition == WriteCondition::IfAbsent => {
            return Outcome::NotApplied;
        }
        Err(_) => return Outcome::Unknown,
    };
    if let Some(id) = id
        && info.metadata.iter().any(|(name, value)| name == WRITE_ID && value == id)
    {
        return Outcome::Applied(Written { etag: info.etag.clone(), version: info.version.clone() });
    }
    if let WriteCondition::IfMatch(etag) = condition
        && info.etag.as_deref().is_some_and(|there| opaque_tag(there) == opaque_tag(etag))
    {
        return if over { Outcome::NotApplied } else { Outcome::Unknown };
    }
    if *condition != WriteCondition::Always && is_older(info, *began) {
        Outcome::ConditionFailed
    } else {
        Outcome::Unknown
    }
}

/// Whether the blob existed before the write began. Unknown for a multipart blob: on Amazon S3 its date is that of the upload's
/// initiation, not of its completion
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>).
fn is_older(info: &BlobInfo, began: Option<u64>) -> bool {
    let composite = info.etag.as_deref().is_none_or(|etag| opaque_tag(etag).contains('-'));
    match (info.last_modified, began) {
        (Some(written), Some(began)) => !composite && written.seconds.saturating_add(SLACK) < began,
        _ => false,
    }
}

/// The caller's write id.
pub(super) fn write_id(call: &CallOptions) -> Option<&str> {
    let given = call.attributes.iter().find(|(name, _)| name == attributes::WRITE_ID);
    given.map(|(_, id)| id.trim_matches(' '))
}

/// Whether the blob consists of these parts: its entity tag is the MD5 of their MD5s and their number. If their tags are not MD5s,
/// as with some encryption, compares its size and their number.
pub(super) fn matches_parts(parts: &[Part], info: &BlobInfo) -> bool {
    let Some(etag) = info.etag.as_deref().map(opaque_tag) else { return false };
    let sums: Option<Vec<[u8; 16]>> = parts.iter().map(|part| md5_of(opaque_tag(&part.etag))).collect();
    let encrypted = info.attributes.iter().any(|(name, value)| {
        name == "server-side-encryption" && value.starts_with("aws:kms") || name.starts_with("sse-")
    });
    match sums {
        Some(sums) if !encrypted => {
            etag.eq_ignore_ascii_case(&format!("{}-{}", hex(&Md5::digest(sums.as_flattened())), parts.len()))
        }
        _ => {
            let size = parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.size));
            size == Some(info.size) && etag.ends_with(&format!("-{}", parts.len()))
        }
    }
}

fn md5_of(tag: &str) -> Option<[u8; 16]> {
    let (pairs, rest) = tag.as_bytes().as_chunks::<2>();
    let mut sum = [0; 16];
    if pairs.len() != sum.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in sum.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(sum)
}

/// The opaque part of an entity tag: without quotes, which some callers and services omit, and without `W/`, which only proxies add.
pub(super) fn opaque_tag(etag: &str) -> &str {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}
