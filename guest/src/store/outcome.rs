//! What became of a conditional write whose answer was lost, judged by what is there afterwards.

use md5::{Digest as _, Md5};

use crate::checksum::Algorithm;
use crate::composed::hex;
use crate::content::Content;
use crate::error::{Failure, Kind};
use crate::model::{BlobInfo, Part, WriteCondition, WriteOptions, Written};

/// How far two times told by the same service may be apart for nothing but rounding, in seconds.
const SLACK: u64 = 2;

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It took effect.
    Ours(Written),
    /// Its condition did not hold.
    NotOurs,
    /// It did not take effect, for the reason it failed with.
    NotDone,
    /// It cannot be told.
    Unknown,
}

/// Judges by the condition of the write, what its last try failed with, and what was `found` there: the blob and the
/// second at which the write began, or why it could not be looked at. Both times are by the service's clock. `same` says
/// whether a blob is what was to be written.
///
/// A blob that is the same and not older than the write counts as ours: where two callers write the very same, either may
/// be told that it was the one. Who needs to know puts something of his own into it.
pub(super) fn of(
    condition: &WriteCondition,
    failure: &Failure,
    found: &Result<(BlobInfo, Option<u64>), Failure>,
    same: &dyn Fn(&BlobInfo) -> bool,
) -> Outcome {
    let refused = matches!(failure.kind, Kind::PreconditionFailed | Kind::NotFound | Kind::Conflict);
    let (info, began) = match found {
        Ok(found) => found,
        // Nothing is there, and the last try did not say otherwise: the write is still to be done.
        Err(looked) if looked.kind == Kind::NotFound && !refused && *condition == WriteCondition::IfAbsent => {
            return Outcome::NotDone;
        }
        Err(_) => return Outcome::Unknown,
    };
    if let WriteCondition::IfMatch(etag) = condition
        && info.etag.as_deref().is_some_and(|there| bare(there) == bare(etag))
        && !refused
    {
        return Outcome::NotDone;
    }
    let older = match (info.last_modified, began) {
        (Some(written), Some(began)) => written.seconds.saturating_add(SLACK) < *began,
        _ => false,
    };
    match condition {
        // What is older was not written by this, and a write without a condition leaves nothing older.
        WriteCondition::Always if older => Outcome::Unknown,
        _ if older => Outcome::NotOurs,
        _ if same(info) => Outcome::Ours(Written { etag: info.etag.clone(), version: info.version.clone() }),
        _ => Outcome::Unknown,
    }
}

/// Whether what is there is a plain write of this body. Its entity tag is then the body's MD5; where the service makes it
/// otherwise (some encryption does), or the MD5 is not known, this says no.
pub(super) fn is_plain_write(content: &Content<'_>, options: &WriteOptions, info: &BlobInfo) -> bool {
    info.size == content.length()
        && info.etag.as_deref().zip(content.digest(Algorithm::Md5)).is_some_and(|(etag, md5)| {
            bare(etag).eq_ignore_ascii_case(&hex(&md5))
        })
        && options.content_type.as_ref().is_none_or(|given| info.content_type.as_ref() == Some(given))
        && options.metadata.len() == info.metadata.len()
        // Each name is there once.
        && options.metadata.iter().all(|(name, value)| {
            info.metadata.iter().any(|(there, is)| name.eq_ignore_ascii_case(there) && value == is)
        })
}

/// Whether what is there is a blob of these parts. Its tag is then the MD5 of their MD5s, and their number.
pub(super) fn is_of_parts(parts: &[Part], info: &BlobInfo) -> bool {
    let mut sums = Vec::with_capacity(parts.len() * 16);
    for part in parts {
        let tag = bare(&part.etag);
        if tag.len() != 32 {
            return false;
        }
        for n in 0..16 {
            let Some(Ok(byte)) = tag.get(2 * n..2 * n + 2).map(|hex| u8::from_str_radix(hex, 16)) else {
                return false;
            };
            sums.push(byte);
        }
    }
    info.etag
        .as_deref()
        .is_some_and(|etag| bare(etag).eq_ignore_ascii_case(&format!("{}-{}", hex(&Md5::digest(&sums)), parts.len())))
}

/// The tag without its quotes, which some callers and services leave out, and without what makes it a weak one, which only
/// proxies add.
pub(super) fn bare(etag: &str) -> &str {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}
