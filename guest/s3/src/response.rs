//! The properties of a blob in a response of S3.
//!
//! The headers are validated against the request: a header that is missing, ambiguous or contradicts another makes the response a
//! [`MalformedResponse`], never a wrong blob.

use sandbucket_plugin::checksum::{Algorithm, from_base64};
use sandbucket_plugin::contract::model::{BlobInfo, ByteRange, Digest, Pair, Span, Written};
use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::{self, Head, MalformedResponse, decimal, etag, is_named};

use crate::checksum::{Names, STORED};
use crate::headers::{METADATA, RESPONSE_ATTRIBUTES};

/// Headers of which every S3 response to a GET or HEAD has at least one, possibly empty.
const FROM_S3: [&str; 4] = ["etag", "last-modified", "x-amz-request-id", "x-amz-id-2"];

/// The attribute of a HEAD of a part with the part's place in the blob: `first-last`, as in `Content-Range`.
pub const PART_RANGE: &str = "part-range";

/// Properties of a blob in the response to a HEAD. The response to one about a part is partial.
pub fn blob_info(head: &Head) -> Result<BlobInfo, MalformedResponse> {
    let (size, part) = response::head_size(head)?;
    let mut info = properties(head, size)?;
    if let Some((first, last)) = part {
        info.attributes.push((PART_RANGE.to_owned(), format!("{first}-{last}")));
    }
    Ok(info)
}

/// Properties of a blob in the response to a GET, and the range its body contains, as [`response::body_range`] finds it.
pub fn blob_part(head: &Head, requested: ByteRange) -> Result<(BlobInfo, Span), MalformedResponse> {
    let (size, span) = response::body_range(head, requested)?;
    Ok((properties(head, size)?, span))
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
    let info = response::properties(head, size)?;
    if !head.headers.iter().any(|(name, _)| FROM_S3.iter().any(|known| is_named(name, known))) {
        return Err(MalformedResponse(
            "it has neither etag nor last-modified, so it is hardly from an S3 service".into(),
        ));
    }
    Ok(BlobInfo { metadata: METADATA.read(head), version: version(head)?, attributes: attributes(head), ..info })
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

#[cfg(test)]
mod tests;
