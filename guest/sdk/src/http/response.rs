//! Response heads, and the properties of a blob in them.
//!
//! The headers are validated against the request: a header that is missing, ambiguous or contradicts another makes the response a
//! [`MalformedResponse`], never a wrong blob.

use std::borrow::Cow;

use crate::contract::model::{BlobInfo, ByteRange, Digest, Pair, Span, Written};
use crate::s3::bounds;
use crate::s3::checksum::{Algorithm, STORED, base64, from_base64};
use crate::s3::encoded_words::decode;
use crate::s3::headers::{METADATA_PREFIX, RESPONSE_ATTRIBUTES};
use crate::s3::time;

/// The size of a blob whose response has no length. No blob is that large.
pub const UNKNOWN_SIZE: u64 = u64::MAX;

/// Maximum number of header fields in a response.
pub const MAX_HEADERS: usize = 256;

/// Maximum length of all names and values in a response's header, in bytes.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Headers of which every S3 response to a GET or HEAD has at least one, possibly empty.
const FROM_S3: [&str; 4] = ["etag", "last-modified", "x-amz-request-id", "x-amz-id-2"];

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

impl Head<'_> {
    /// Copies borrowed fields.
    pub fn into_owned(self) -> Head<'static> {
        let own = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned().into(), value.into_owned().into());
        Head { status: self.status, headers: self.headers.into_iter().map(own).collect() }
    }

    /// Value of the first field of this lower-case name, trimmed. None if it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(there, _)| is_named(there, name))
            .map(|(_, value)| value.trim_ascii())
            .filter(|value| !value.is_empty())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
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
fn is_named(header: &str, name: &str) -> bool {
    header.len() == name.len() && (header == name || header.eq_ignore_ascii_case(name))
}

/// The attribute of a HEAD of a part with the part's place in the blob: `first-last`, as in `Content-Range`.
pub const PART_RANGE: &str = "part-range";

/// Properties of a blob in the response to a HEAD. The response to one about a part is partial.
pub fn blob_info(head: &Head) -> Result<BlobInfo, MalformedResponse> {
    let length = head.content_length()?;
    let part = head.get("content-range").filter(|_| head.status == 206).and_then(content_range);
    let Some((first, last, size)) = part else {
        return properties(head, length.unwrap_or(UNKNOWN_SIZE));
    };
    if length.is_some_and(|length| length != last + 1 - first) {
        return Err(MalformedResponse("its content-length is not the length of its content-range".into()));
    }
    let mut info = properties(head, size)?;
    info.attributes.push((PART_RANGE.to_owned(), format!("{first}-{last}")));
    Ok(info)
}

/// Properties of a blob in the response to a GET, and the range its body contains.
///
/// A response 206 must contain exactly the requested range. A response 200 to a range request, from a service without ranges,
/// contains the whole blob, and the reader discards the excess. Its size is [`UNKNOWN_SIZE`] if it is chunked.
pub fn blob_part(head: &Head, requested: ByteRange) -> Result<(BlobInfo, Span), MalformedResponse> {
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
        return Ok((properties(head, size)?, Span { start: 0, end: size }));
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
        Some(wanted) if wanted == span => Ok((properties(head, size)?, span)),
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

/// Verifies a whole body against the checksum in its response, if there is one. Checksums of checksums of parts, and malformed
/// ones, are ignored.
///
/// # Errors
/// If they differ.
pub fn verify_checksum(head: &Head, body: &[u8]) -> Result<(), MalformedResponse> {
    match checksum(head) {
        Some(Digest { algorithm, value }) if algorithm.digest(body) != value => Err(MalformedResponse(format!(
            "its {} of \"{}\" is not that of the {} bytes that came",
            algorithm.header(),
            base64(&value),
            body.len()
        ))),
        _ => Ok(()),
    }
}

/// The checksum of a body with this range of a blob of this size. Services report it of whole blobs only.
pub fn checksum_of(head: &Head, given: Span, size: u64) -> Option<Digest> {
    if given.start == 0 && given.end == size { checksum(head) } else { None }
}

/// The checksum of the whole blob in a response.
fn checksum(head: &Head) -> Option<Digest> {
    // Most responses have none.
    head.headers
        .iter()
        .find(|(name, _)| name.len() > 15 && name.as_bytes()[..15].eq_ignore_ascii_case(b"x-amz-checksum-"))?;
    if head.get("x-amz-checksum-type").is_some_and(|kind| kind.eq_ignore_ascii_case("COMPOSITE")) {
        return None;
    }
    // Older services report a checksum of checksums without the type. CRC-64/NVME always covers the whole blob.
    let full = head.get("x-amz-checksum-type").is_some_and(|kind| kind.eq_ignore_ascii_case("FULL_OBJECT"));
    let of_parts = !full && head.get("etag").is_some_and(is_of_parts);
    STORED.into_iter().filter(|algorithm| !of_parts || *algorithm == Algorithm::Crc64Nvme).find_map(|algorithm| {
        let sum = head.get(algorithm.header()).filter(|sum| !sum.contains('-'))?;
        let value = from_base64(sum).filter(|value| value.len() == algorithm.length())?;
        Some(Digest { algorithm, value })
    })
}

/// Whether the entity tag is that of a multipart upload: it ends in a dash and the number of parts.
fn is_of_parts(etag: &str) -> bool {
    let parts = etag.trim_matches('"').rsplit_once('-');
    parts.is_some_and(|(sum, parts)| sum.len() == 32 && decimal(parts).is_some())
}

/// The result of a write in the response to a PUT. Some services omit the entity tag.
pub fn written(head: &Head) -> Result<Written, MalformedResponse> {
    Ok(Written { etag: etag(head)?, version: version(head)? })
}

fn properties(head: &Head, size: u64) -> Result<BlobInfo, MalformedResponse> {
    let etag = etag(head)?;
    // Informative: an invalid date counts as absent.
    let last_modified = head.get("last-modified").and_then(time::date).map(Into::into);
    if !head.headers.iter().any(|(name, _)| FROM_S3.iter().any(|known| is_named(name, known))) {
        return Err(MalformedResponse(
            "it has neither etag nor last-modified, so it is hardly from an S3 service".into(),
        ));
    }
    let mut metadata = Vec::new();
    for (name, value) in &head.headers {
        match name.split_at_checked(METADATA_PREFIX.len()) {
            Some((prefix, name)) if prefix.eq_ignore_ascii_case(METADATA_PREFIX) && !name.is_empty() => {
                metadata.push((name.to_ascii_lowercase(), decode(value.trim_ascii())));
            }
            _ => {}
        }
    }
    Ok(BlobInfo {
        size,
        etag,
        last_modified,
        content_type: head.owned("content-type"),
        metadata,
        version: version(head)?,
        attributes: attributes(head),
    })
}

/// Attributes in a response.
pub fn attributes(head: &Head) -> Vec<Pair> {
    let mut values: [Option<&str>; RESPONSE_ATTRIBUTES.len()] = [None; RESPONSE_ATTRIBUTES.len()];
    for (name, value) in &head.headers {
        // Skip most other headers by their first letter, and those that every response has.
        if !matches!(name.as_bytes().first(), Some(b'c' | b'C' | b'e' | b'E' | b'x' | b'X'))
            || matches!(&**name, "content-length" | "content-type" | "etag" | "x-amz-id-2" | "x-amz-request-id")
        {
            continue;
        }
        for ((_, header), slot) in RESPONSE_ATTRIBUTES.iter().zip(&mut values) {
            if is_named(name, header) {
                slot.get_or_insert(value.trim_ascii());
            }
        }
    }
    let mut attributes = Vec::new();
    for ((name, _), value) in RESPONSE_ATTRIBUTES.iter().zip(values) {
        let Some(value) = value else { continue };
        let value = if *name == "content-encoding" { own_coding(value) } else { value.to_owned() };
        if !value.is_empty() {
            attributes.push(((*name).to_owned(), value));
        }
    }
    attributes
}

/// The content coding without `aws-chunked`, the coding of the upload, which some services store.
fn own_coding(value: &str) -> String {
    let mut own = Vec::new();
    for coding in value.split(',') {
        if !coding.trim_ascii().eq_ignore_ascii_case("aws-chunked") {
            own.push(coding.trim_ascii());
        }
    }
    own.join(", ")
}

/// The version. None for `null`, the version of blobs in unversioned buckets.
pub fn version(head: &Head) -> Result<Option<String>, MalformedResponse> {
    let version = head.get("x-amz-version-id").filter(|version| *version != "null");
    version.map(|version| bounds::text("x-amz-version-id", version, bounds::MAX_VERSION).map(str::to_owned)).transpose()
}

fn etag(head: &Head) -> Result<Option<String>, MalformedResponse> {
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
pub(crate) fn decimal(text: &str) -> Option<u64> {
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
