//! Response heads, and the properties of a blob in them.
//!
//! The headers are validated against the request: a header that is missing, ambiguous or contradicts another makes the response a
//! [`MalformedResponse`], never a wrong blob.

use std::borrow::Cow;

use crate::contract::model::{BlobInfo, ByteRange, Span, UNKNOWN_SIZE};

use super::{bounds, time};

/// Maximum length of an error body that is read, in bytes.
pub const MAX_ERROR_BODY: usize = 64 * 1024;

/// Maximum number of header fields in a response.
pub const MAX_HEADERS: usize = 256;

/// Maximum length of all names and values in a response's header, in bytes.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// A response without its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head<'a> {
    /// HTTP status.
    pub status: u16,
    /// Header fields in the order received. Bytes that are not UTF-8 are replaced.
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// A malformed response. The text says what is wrong, as a clause about "it".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedResponse(pub String);

impl MalformedResponse {
    /// The response has no element or header field of this name, and must have it.
    pub fn missing(name: &str) -> MalformedResponse {
        MalformedResponse(format!("it has no {name} where there must be one"))
    }
}

impl Head<'_> {
    /// Copies borrowed fields.
    pub fn into_owned(self) -> Head<'static> {
        let own = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned().into(), value.into_owned().into());
        Head { status: self.status, headers: self.headers.into_iter().map(own).collect() }
    }

    /// Value of the first field of this lower-case name, trimmed. None if it is empty.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(there, _)| is_named(there, name))
            .map(|(_, value)| value.trim_ascii())
            .filter(|value| !value.is_empty())
    }

    /// Rejects a header larger than [`MAX_HEADERS`] and [`MAX_HEADER_BYTES`] allow.
    pub fn check_size(&self) -> Result<(), MalformedResponse> {
        let bytes: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            return Err(MalformedResponse(format!(
                "its header of {} fields and {bytes} bytes is beyond the bounds of {MAX_HEADERS} and {MAX_HEADER_BYTES}",
                self.headers.len()
            )));
        }
        Ok(())
    }

    /// The value of `content-length`. Duplicates must be equal.
    pub fn content_length(&self) -> Result<Option<u64>, MalformedResponse> {
        let mut length = None;
        for (_, value) in self.headers.iter().filter(|(name, _)| is_named(name, "content-length")) {
            for part in value.split(',') {
                let number = decimal(part.trim_ascii()).ok_or_else(|| {
                    MalformedResponse(format!("its content-length \"{}\" is not a number", short(value)))
                })?;
                if length.replace(number).is_some_and(|before| before != number) {
                    return Err(MalformedResponse("it has two different content-lengths".into()));
                }
            }
        }
        Ok(length)
    }

    /// Whether the body is chunked, which makes truncation detectable.
    fn is_chunked(&self) -> bool {
        let codings = self.get("transfer-encoding").and_then(|codings| codings.rsplit(',').next());
        codings.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case("chunked"))
    }

    /// The service's time in the header `date`, in seconds since 1970.
    pub fn date(&self) -> Option<u64> {
        self.get("date").and_then(time::date)
    }
}

/// Whether a header has this lower-case name. Most headers are in lower case already.
#[inline]
pub fn is_named(header: &str, name: &str) -> bool {
    header.len() == name.len() && (header == name || header.eq_ignore_ascii_case(name))
}

/// The size of a blob in the response to a HEAD, [`UNKNOWN_SIZE`] without `content-length`. The response to a HEAD of a part is
/// partial: the second value is then its first and last byte.
pub fn head_size(head: &Head) -> Result<(u64, Option<(u64, u64)>), MalformedResponse> {
    let length = head.content_length()?;
    let part = head.get("content-range").filter(|_| head.status == 206).and_then(content_range);
    let Some((first, last, size)) = part else {
        return Ok((length.unwrap_or(UNKNOWN_SIZE), None));
    };
    if length.is_some_and(|length| length != last + 1 - first) {
        return Err(MalformedResponse("its content-length is not the length of its content-range".into()));
    }
    Ok((size, Some((first, last))))
}

/// The size of a blob in the response to a GET, and the range its body contains.
///
/// A response 206 must contain exactly the requested range. A response 200 to a range request, from a service without ranges,
/// contains the whole blob, and the reader discards the excess. Its size is [`UNKNOWN_SIZE`] if it is chunked.
pub fn body_range(head: &Head, requested: ByteRange) -> Result<(u64, Span), MalformedResponse> {
    let length = head.content_length()?;
    if head.status != 206 {
        let size = match length {
            Some(size) => size,
            None if !head.is_chunked() => {
                return Err(MalformedResponse("it has no content-length, so an early end would not show".into()));
            }
            None if matches!(requested, ByteRange::Last(_)) => {
                let what = "it is the whole blob and has no content-length, so where its last bytes begin is not known";
                return Err(MalformedResponse(what.into()));
            }
            None => UNKNOWN_SIZE,
        };
        return Ok((size, Span { start: 0, end: size }));
    }
    let text =
        head.get("content-range").ok_or_else(|| MalformedResponse("it is partial and has no content-range".into()))?;
    let (first, last, size) = content_range(text)
        .ok_or_else(|| MalformedResponse(format!("its content-range \"{}\" makes no sense", short(text))))?;
    let span = Span { start: first, end: last + 1 };
    if length.is_some_and(|length| length != span.end - span.start) {
        return Err(MalformedResponse(format!("its content-length is not the length of its content-range \"{text}\"")));
    }
    match resolve_range(requested, size) {
        Some(wanted) if wanted == span => Ok((size, span)),
        _ => Err(MalformedResponse(format!("its content-range \"{text}\" is not the requested range"))),
    }
}

/// Resolves a range against the size of a blob. None if it contains no byte; [`ByteRange::Whole`] of an empty blob is the empty
/// span.
pub fn resolve_range(range: ByteRange, size: u64) -> Option<Span> {
    let span = match range {
        ByteRange::Whole => return Some(Span { start: 0, end: size }),
        ByteRange::From(start) => Span { start, end: size },
        ByteRange::Within(span) => Span { start: span.start, end: span.end.min(size) },
        ByteRange::Last(count) => Span { start: size.saturating_sub(count), end: size },
    };
    (span.start < span.end).then_some(span)
}

/// Properties of a blob of this size in the header fields that HTTP defines: `etag`, `last-modified` and `content-type`.
///
/// Metadata, version and attributes are for the service to add.
pub fn properties(head: &Head, size: u64) -> Result<BlobInfo, MalformedResponse> {
    let etag = etag(head)?;
    // Informative: an invalid date counts as absent.
    let last_modified = head.get("last-modified").and_then(time::date).map(Into::into);
    let content_type = head.get("content-type").map(str::to_owned);
    Ok(BlobInfo { size, etag, last_modified, content_type, ..BlobInfo::default() })
}

/// The entity tag.
pub fn etag(head: &Head) -> Result<Option<String>, MalformedResponse> {
    head.get("etag").map(|etag| bounds::text("etag", etag, bounds::MAX_ETAG).map(str::to_owned)).transpose()
}

/// Parses `bytes first-last/size`. None if the three are inconsistent.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (unit, rest) = text.split_once(' ')?;
    let (span, size) = rest.trim_ascii().split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last, size) = (decimal(first)?, decimal(last)?, decimal(size)?);
    (unit.eq_ignore_ascii_case("bytes") && first <= last && last < size).then_some((first, last, size))
}

/// Parses a decimal number of digits only: unlike `parse`, rejects a sign, which HTTP does not allow.
#[inline]
pub fn decimal(text: &str) -> Option<u64> {
    let mut number = (!text.is_empty()).then_some(0_u64)?;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        // Not `checked_mul`, which needs a 128-bit product: slow in WebAssembly.
        if digit > 9 || number > u64::MAX / 10 {
            return None;
        }
        number = (number * 10).checked_add(digit.into())?;
    }
    Some(number)
}

fn short(text: &str) -> String {
    crate::contract::error::tidy(text, 80)
}

#[cfg(test)]
mod tests;
