//! What an answer says: the head of a response, and the blob's properties in it.
//!
//! Every announcement is checked against what was requested: a header that is missing, given twice with two meanings or at
//! odds with another makes the answer [`MalformedResponse`], never a wrong blob.

use std::borrow::Cow;

use crate::contract::model::{BlobInfo, ByteRange, Digest, Pair, Span, Written};
use crate::s3::bounds;
use crate::s3::checksum::{Algorithm, STORED, base64, from_base64};
use crate::s3::encoded_words::decode;
use crate::s3::headers::{METADATA_PREFIX, RESPONSE_ATTRIBUTES};
use crate::s3::time;

/// The size of a blob of which no answer says how long it is. No blob has so many bytes.
pub const UNKNOWN_SIZE: u64 = u64::MAX;

/// The most header fields an answer may have.
pub const MAX_HEADERS: usize = 256;

/// The most bytes of names and values in an answer's header.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Headers of which an answer of an S3 service to a GET or HEAD has one at least, be it empty.
const FROM_S3: [&str; 4] = ["etag", "last-modified", "x-amz-request-id", "x-amz-id-2"];

/// An answer without its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header fields in the order given. Bytes that are not UTF-8 are replaced.
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// An answer that makes no sense: says what about it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedResponse(pub String);

impl Head<'_> {
    /// The same, for as long as it is wanted.
    pub fn into_owned(self) -> Head<'static> {
        let own = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned().into(), value.into_owned().into());
        Head { status: self.status, headers: self.headers.into_iter().map(own).collect() }
    }

    /// The first field of this name, which is in lower case, without outer white space. An empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(there, _)| is_named(there, name))
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// Refuses a header larger than [`MAX_HEADERS`] and [`MAX_HEADER_BYTES`] allow.
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

    /// The length that `content-length` announces. Given more than once it must say the same each time.
    pub fn content_length(&self) -> Result<Option<u64>, MalformedResponse> {
        let mut length = None;
        for (_, value) in self.headers.iter().filter(|(name, _)| is_named(name, "content-length")) {
            for part in value.split(',') {
                let number = decimal(part.trim()).ok_or_else(|| {
                    MalformedResponse(format!("its content-length \"{}\" is not a number", short(value)))
                })?;
                if length.replace(number).is_some_and(|before| before != number) {
                    return Err(MalformedResponse("it has two different content-lengths".into()));
                }
            }
        }
        Ok(length)
    }

    /// Whether the body comes in chunks, so that an early end shows.
    fn is_chunked(&self) -> bool {
        let codings = self.get("transfer-encoding").and_then(|codings| codings.rsplit(',').next());
        codings.is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"))
    }

    /// When the service made the answer, by its own clock, in seconds since 1970.
    pub fn date(&self) -> Option<u64> {
        self.get("date").and_then(time::date)
    }
}

/// Whether a header has this name, which is in lower case, as most headers are by now.
fn is_named(header: &str, name: &str) -> bool {
    header.len() == name.len() && (header == name || header.eq_ignore_ascii_case(name))
}

/// What the answer to a HEAD says of a blob. Its size is [`UNKNOWN_SIZE`] where the answer has no length.
pub fn blob_info(head: &Head) -> Result<BlobInfo, MalformedResponse> {
    properties(head, head.content_length()?.unwrap_or(UNKNOWN_SIZE))
}

/// What the answer to a GET says: of the blob, and which bytes its body holds.
///
/// A 206 must be of exactly the bytes requested for. A 200 to a request for a range, which a service may give that knows no
/// ranges, is of the whole blob: the caller cuts. Where such a body comes in chunks, which show by themselves where it ends,
/// its size is [`UNKNOWN_SIZE`].
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
        _ => Err(MalformedResponse(format!("its content-range \"{text}\" is not the range that was requested for"))),
    }
}

/// The bytes that this range is of a blob of this size; none where it has no byte of it. The whole of an empty blob is
/// the empty span.
pub fn resolve_range(range: ByteRange, size: u64) -> Option<Span> {
    let span = match range {
        ByteRange::Whole => return Some(Span { start: 0, end: size }),
        ByteRange::From(start) => Span { start, end: size },
        ByteRange::Within(span) => Span { start: span.start, end: span.end.min(size) },
        ByteRange::Last(count) => Span { start: size.saturating_sub(count), end: size },
    };
    (span.start < span.end).then_some(span)
}

/// Holds a whole body against the checksum that came with it, if one did. That of a blob written in parts may be one of
/// its parts' checksums, which says nothing of the bytes as they are here; one that is none is not looked at either.
///
/// # Errors
/// That they differ.
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

/// The checksum of these bytes of a blob of this size, if one came with them: it is told of whole blobs only.
pub fn checksum_of(head: &Head, given: Span, size: u64) -> Option<Digest> {
    if given.start == 0 && given.end == size { checksum(head) } else { None }
}

/// The checksum of the whole blob that came with it, if one did.
fn checksum(head: &Head) -> Option<Digest> {
    // Mostly none did.
    head.headers
        .iter()
        .find(|(name, _)| name.len() > 15 && name.as_bytes()[..15].eq_ignore_ascii_case(b"x-amz-checksum-"))?;
    if head.get("x-amz-checksum-type").is_some_and(|kind| kind.eq_ignore_ascii_case("COMPOSITE")) {
        return None;
    }
    // Older services give the checksum of a blob's parts without saying so. CRC-64/NVME is always of the whole.
    let full = head.get("x-amz-checksum-type").is_some_and(|kind| kind.eq_ignore_ascii_case("FULL_OBJECT"));
    let of_parts = !full && head.get("etag").is_some_and(is_of_parts);
    STORED.into_iter().filter(|algorithm| !of_parts || *algorithm == Algorithm::Crc64Nvme).find_map(|algorithm| {
        let sum = head.get(algorithm.header()).filter(|sum| !sum.contains('-'))?;
        let value = from_base64(sum).filter(|value| value.len() == algorithm.length())?;
        Some(Digest { algorithm, value })
    })
}

/// Whether this is the entity tag of a blob that was written in parts: it ends in a dash and their number.
fn is_of_parts(etag: &str) -> bool {
    let parts = etag.trim_matches('"').rsplit_once('-');
    parts.is_some_and(|(sum, parts)| sum.len() == 32 && decimal(parts).is_some())
}

/// What the answer to a PUT says. Some services leave out the entity tag.
pub fn written(head: &Head) -> Result<Written, MalformedResponse> {
    Ok(Written { etag: etag(head)?, version: version(head)? })
}

fn properties(head: &Head, size: u64) -> Result<BlobInfo, MalformedResponse> {
    let etag = etag(head)?;
    // It is for show: what is no date is as good as none.
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
                metadata.push((name.to_ascii_lowercase(), decode(value.trim())));
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

/// Whatever the answer says that there is a name for.
pub fn attributes(head: &Head) -> Vec<Pair> {
    let mut values: [Option<&str>; RESPONSE_ATTRIBUTES.len()] = [None; RESPONSE_ATTRIBUTES.len()];
    for (name, value) in &head.headers {
        // Most headers are none of these: some by their first letter, and some that every answer has.
        if !matches!(name.as_bytes().first(), Some(b'c' | b'C' | b'e' | b'E' | b'x' | b'X'))
            || matches!(&**name, "content-length" | "content-type" | "etag" | "x-amz-id-2" | "x-amz-request-id")
        {
            continue;
        }
        for ((_, header), told) in RESPONSE_ATTRIBUTES.iter().zip(&mut values) {
            if is_named(name, header) {
                told.get_or_insert(value.trim());
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

/// The coding without how the body came to the service, which some keep as if it were the blob's.
fn own_coding(value: &str) -> String {
    let mut own = Vec::new();
    for coding in value.split(',') {
        if !coding.trim().eq_ignore_ascii_case("aws-chunked") {
            own.push(coding.trim());
        }
    }
    own.join(", ")
}

/// The version; a bucket that keeps none may call it `null`.
pub fn version(head: &Head) -> Result<Option<String>, MalformedResponse> {
    let version = head.get("x-amz-version-id").filter(|version| *version != "null");
    version.map(|version| bounds::text("x-amz-version-id", version, bounds::MAX_VERSION).map(str::to_owned)).transpose()
}

fn etag(head: &Head) -> Result<Option<String>, MalformedResponse> {
    head.get("etag").map(|etag| bounds::text("etag", etag, bounds::MAX_ETAG).map(str::to_owned)).transpose()
}

/// `bytes first-last/size`, where the three fit together.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (unit, rest) = text.split_once(' ')?;
    let (span, size) = rest.trim().split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last, size) = (decimal(first)?, decimal(last)?, decimal(size)?);
    (unit.eq_ignore_ascii_case("bytes") && first <= last && last < size).then_some((first, last, size))
}

/// Digits only: what `parse` also takes, such as a sign, is not a number in HTTP.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let mut number = (!text.is_empty()).then_some(0_u64)?;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        // Checked by hand: as a 64-bit machine does it, by the upper half of the product, is dear where there is none.
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
