//! Classifies a conditional write whose response was lost by the blob that a HEAD then finds.
//!
//! A wrong result is worse than none: a blob with the same content may be another writer's. So only the caller's write id (the
//! attribute `write-id`) proves that the write was applied, and only a modification time before the write that it was not.

use crate::contract::error::{Failure, Kind};
use crate::contract::model::{BlobInfo, CallOptions, WriteCondition, Written};

/// The attribute with the caller's write id, which a plugin stores as metadata.
pub const WRITE_ID: &str = "write-id";

/// The beginning of the message about a write of which nothing certain is known.
pub const LOST: &str =
    "a response was lost, and it is not known whether the write took effect: read the key before writing again";

/// Tolerance in seconds between `last-modified` and the start of the write: both are whole seconds, and the clocks of a service's
/// nodes differ a little.
const SLACK: u64 = 5;

/// Outcome of the write.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
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
/// at which the write began by the service's clock, or the error of the HEAD. The time is none if the blob's `last-modified` is not
/// the time at which its content was written. `id` is the write id: the name of the metadata that stores it, and its value.
pub fn classify(
    condition: &WriteCondition,
    failure: &Failure,
    found: &Result<(BlobInfo, Option<u64>), Failure>,
    id: Option<(&str, &str)>,
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
    if let Some((id_name, id)) = id
        && info.metadata.iter().any(|(name, value)| name == id_name && value == id)
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

/// The caller's write id, trimmed.
pub fn write_id(call: &CallOptions) -> Option<&str> {
    let given = call.attributes.iter().find(|(name, _)| name == WRITE_ID);
    given.map(|(_, id)| id.trim_matches(' '))
}

/// Whether the text is a valid write id: 1 to 128 characters that every service stores and returns unchanged.
pub fn is_write_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/+=".contains(&b))
}

/// The message about a write whose outcome is [`Outcome::Unknown`]: [`LOST`], and how to find out. `found` and `id` are those of
/// [`classify`].
pub fn unknown<T>(found: &Result<T, Failure>, id: Option<(&str, &str)>) -> String {
    match (id, found) {
        (Some((name, id)), _) => format!("{LOST} (it is yours if its metadata {name} is {id})"),
        (None, Ok(_)) => format!("{LOST} (with the attribute {WRITE_ID} this can be known)"),
        (None, Err(looked)) => format!("{LOST}. Looking at what is there: {}", looked.message),
    }
}

/// Whether the blob existed before the write began.
fn is_older(info: &BlobInfo, began: Option<u64>) -> bool {
    match (info.last_modified, began) {
        (Some(written), Some(began)) => written.seconds.saturating_add(SLACK) < began,
        _ => false,
    }
}

/// The opaque part of an entity tag: without quotes, which some callers and services omit, and without `W/`, which only proxies add.
pub fn opaque_tag(etag: &str) -> &str {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

/// Whether one of the listed entity tags is this one. `*` is any.
pub fn matches_any(listed: &str, etag: &str) -> bool {
    listed.split(',').any(|one| one.trim() == "*" || opaque_tag(one) == opaque_tag(etag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::error::Error;

    #[test]
    fn unknown_outcome_says_how_to_find_out() {
        let absent: Result<(), Failure> = Err(Error::failure(Kind::NotFound, "there is no such blob"));
        assert!(unknown(&Ok(()), Some(("name", "w-1"))).ends_with("metadata name is w-1)"));
        assert!(unknown(&Ok(()), None).ends_with("with the attribute write-id this can be known)"));
        assert!(unknown(&absent, None).ends_with("what is there: there is no such blob"));
    }

    #[test]
    fn write_id_is_trimmed_and_limited_to_portable_characters() {
        let attributes = vec![("tags".into(), "a=b".into()), (WRITE_ID.into(), " w-1 ".into())];
        assert_eq!(write_id(&CallOptions { attributes, ..CallOptions::default() }), Some("w-1"));
        assert_eq!(write_id(&CallOptions::default()), None);
        assert!(is_write_id("aZ09-._~:/+=") && is_write_id(&"n".repeat(128)));
        for wrong in ["", "a b", "é", "a\n", &"n".repeat(129)] {
            assert!(!is_write_id(wrong), "{wrong:?}");
        }
    }
}
