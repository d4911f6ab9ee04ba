//! What identifies a write of S3 after its response was lost, besides its write id: its parts, and whether its date is that of the
//! write.

use md5::{Digest as _, Md5};
use sandbucket_plugin::contract::model::{BlobInfo, Part};
use sandbucket_plugin::reconcile::opaque_tag;
use sandbucket_plugin::rt::hex::hex;

/// Whether `last-modified` is the time at which the blob was written. Unknown for a multipart blob: on Amazon S3 its date is that of
/// the upload's initiation, not of its completion
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>).
pub(super) fn is_dated(info: &BlobInfo) -> bool {
    info.etag.as_deref().is_some_and(|etag| !opaque_tag(etag).contains('-'))
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
