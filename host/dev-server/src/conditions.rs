//! Preconditions and ranges, by RFC 9110 and S3.

use s3s::dto::{ETag, ETagCondition, Range, Timestamp, TimestampFormat};
use s3s::{S3Error, S3Result, s3_error};

/// The four preconditions of a read.
#[derive(Debug, Default)]
pub(super) struct ReadConditions {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

impl ReadConditions {
    /// Checks the preconditions against the blob's ETag and date. An ETag condition takes precedence over a date condition
    /// of its kind.
    pub(crate) fn check(&self, tag: Option<&ETag>, written: Option<&Timestamp>) -> S3Result<()> {
        let holds = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => names(condition, tag),
            (None, Some(time)) => !after(written, time),
            (None, None) => true,
        };
        if !holds {
            return Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"));
        }
        let changed = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => !names(condition, tag),
            (None, Some(time)) => after(written, time),
            (None, None) => true,
        };
        if !changed {
            return Err(not_modified(tag));
        }
        Ok(())
    }
}

/// Whether a condition lists this ETag. All ETags here are strong, so comparing values suffices. `s3s` passes a list of
/// ETags as one value with commas and quotes.
pub(super) fn names(condition: &ETagCondition, tag: Option<&ETag>) -> bool {
    match (condition, tag) {
        (ETagCondition::Any, _) => true,
        (ETagCondition::ETag(wanted), Some(tag)) => {
            let mut list = wanted.value().split(',').map(|one| one.trim().trim_start_matches("W/").trim_matches('"'));
            list.any(|one| one == tag.value())
        }
        (ETagCondition::ETag(_), None) => false,
    }
}

/// Whether a blob was written after this time, compared in seconds like the headers.
fn after(written: Option<&Timestamp>, time: &Timestamp) -> bool {
    written.is_some_and(|written| match whole_seconds(written) {
        Some(written) => written > *time,
        None => written > time,
    })
}

fn whole_seconds(time: &Timestamp) -> Option<Timestamp> {
    let mut text = Vec::new();
    time.format(TimestampFormat::HttpDate, &mut text).ok()?;
    Timestamp::parse(TimestampFormat::HttpDate, std::str::from_utf8(&text).ok()?).ok()
}

fn not_modified(tag: Option<&ETag>) -> S3Error {
    let mut error = s3_error!(NotModified, "Not Modified");
    if let Some(tag) = tag.and_then(|tag| tag.to_http_header().ok()) {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::ETAG, tag);
        error.set_headers(headers);
    }
    error
}

/// Resolves a range within a blob of this size: a suffix may be longer than the blob, and an empty blob has no range.
pub(super) fn plain_range(range: Range, size: u64) -> S3Result<Range> {
    let span = range.check(size)?;
    if span.is_empty() {
        return Err(s3_error!(InvalidRange, "The requested range is not satisfiable"));
    }
    Ok(Range::Int { first: span.start, last: Some(span.end - 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(TimestampFormat::DateTime, text).unwrap()
    }

    fn code(result: S3Result<()>) -> String {
        result.err().map_or_else(|| "ok".to_owned(), |e| e.code().as_str().to_owned())
    }

    #[test]
    fn etags_take_precedence_and_dates_are_whole_seconds() {
        let tag = ETag::Strong("t".to_owned());
        let written = time("2026-01-02T03:04:05.900Z");
        let same = || Some(ETagCondition::ETag(ETag::Strong("t".to_owned())));
        let other = || Some(ETagCondition::ETag(ETag::Strong("u".to_owned())));
        let then = || Some(time("2026-01-02T03:04:05Z"));
        let before = || Some(time("2026-01-02T03:04:04Z"));
        let cases = [
            (same(), None, None, None, "ok"),
            (other(), None, None, None, "PreconditionFailed"),
            (Some(ETagCondition::Any), None, None, None, "ok"),
            (None, same(), None, None, "NotModified"),
            (None, other(), None, None, "ok"),
            (None, Some(ETagCondition::Any), None, None, "NotModified"),
            (None, None, then(), None, "NotModified"),
            (None, None, before(), None, "ok"),
            (None, None, None, then(), "ok"),
            (None, None, None, before(), "PreconditionFailed"),
            (same(), None, None, before(), "ok"),
            (None, other(), then(), None, "ok"),
            (other(), same(), None, None, "PreconditionFailed"),
        ];
        for (n, (if_match, if_none_match, if_modified_since, if_unmodified_since, want)) in
            cases.into_iter().enumerate()
        {
            let conditions = ReadConditions { if_match, if_none_match, if_modified_since, if_unmodified_since };
            assert_eq!(code(conditions.check(Some(&tag), Some(&written))), want, "case {n}: {conditions:?}");
        }
    }

    #[test]
    fn long_suffix_is_the_whole_blob_and_an_empty_blob_has_no_range() {
        let all = Range::Int { first: 0, last: Some(4) };
        assert_eq!(plain_range(Range::Suffix { length: 9 }, 5).unwrap(), all);
        assert_eq!(plain_range(Range::Int { first: 0, last: None }, 5).unwrap(), all);
        for range in [Range::Suffix { length: 1 }, Range::Int { first: 0, last: Some(0) }] {
            assert_eq!(code(plain_range(range, 0).map(drop)), "InvalidRange");
        }
        assert_eq!(code(plain_range(Range::Int { first: 5, last: None }, 5).map(drop)), "InvalidRange");
    }
}
