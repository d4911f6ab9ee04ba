//! What became of a conditional write whose response was lost, judged by what is at the key afterwards.
//!
//! A wrong verdict is worse than none: a blob with the same bytes may be another writer's, so only the write id that the caller
//! gave (the attribute `write-id`) shows that a blob is ours, and only a date from before the write shows that it is not.

use md5::{Digest as _, Md5};

use crate::contract::error::{Failure, Kind};
use crate::contract::model::{BlobInfo, CallOptions, Part, WriteCondition, Written};
use crate::rt::hex::hex;
use crate::s3::attributes;
use crate::s3::headers::WRITE_ID;

/// Seconds by which `last-modified` may be before the write began and the blob still be ours: both are rounded to seconds, and
/// the nodes of a service may differ by a little.
const SLACK: u64 = 5;

/// What became of the write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It took effect.
    Applied(Written),
    /// Its condition did not hold.
    ConditionFailed,
    /// It did not take effect, for the reason it failed with.
    NotApplied,
    /// It is not known.
    Unknown,
}

/// Judges by the condition of the write, what its last attempt failed with, and what was `found` there: the blob and the second
/// at which the write began, by the service's clock, or why it could not be looked at. `id` is the write's own.
pub(super) fn classify(
    condition: &WriteCondition,
    failure: &Failure,
    found: &Result<(BlobInfo, Option<u64>), Failure>,
    id: Option<&str>,
) -> Outcome {
    let refused = matches!(failure.kind, Kind::PreconditionFailed | Kind::NotFound | Kind::Conflict);
    // After a timeout the service may still be at work on the write.
    let over = !refused && failure.kind != Kind::Timeout;
    let (info, began) = match found {
        Ok(found) => found,
        // Nothing is there, and the last attempt did not show otherwise: the write is still to be done.
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
    if *condition != WriteCondition::Always && is_older(info, *began) { Outcome::ConditionFailed } else { Outcome::Unknown }
}

/// Whether the blob was there before the write began. The date of one that was written in parts says nothing of that: on Amazon
/// S3 it is when its upload was initiated, not when it was completed
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>).
fn is_older(info: &BlobInfo, began: Option<u64>) -> bool {
    let composite = info.etag.as_deref().is_none_or(|etag| opaque_tag(etag).contains('-'));
    match (info.last_modified, began) {
        (Some(written), Some(began)) => !composite && written.seconds.saturating_add(SLACK) < began,
        _ => false,
    }
}

/// The id that the caller gave the write.
pub(super) fn write_id(call: &CallOptions) -> Option<&str> {
    let given = call.attributes.iter().find(|(name, _)| name == attributes::WRITE_ID);
    given.map(|(_, id)| id.trim_matches(' '))
}

/// Whether what is there is a blob of these parts. Its entity tag is then the MD5 of their MD5s, and their number. Where their tags
/// are no MD5s, as with some encryption, its size and their number have to do.
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

/// The tag without its quotes, which some callers and services leave out, and without what makes it a weak one, which only
/// proxies add.
pub(super) fn opaque_tag(etag: &str) -> &str {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}
