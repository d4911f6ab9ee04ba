//! Names of headers and elements that requests and answers have in common.

use std::borrow::Cow;

/// Names, and their values.
pub type Headers = Vec<(Cow<'static, str>, String)>;

/// What the names of user metadata begin with in HTTP.
pub const METADATA_PREFIX: &str = "x-amz-meta-";

/// What an answer may say of a blob besides what the contract has fields for: the attribute's name, and its header.
pub const TOLD: [(&str, &str); 26] = [
    ("cache-control", "cache-control"),
    ("content-disposition", "content-disposition"),
    ("content-encoding", "content-encoding"),
    ("content-language", "content-language"),
    ("expires", "expires"),
    ("storage-class", "x-amz-storage-class"),
    ("archive-status", "x-amz-archive-status"),
    ("restore", "x-amz-restore"),
    ("expiration", "x-amz-expiration"),
    ("replication-status", "x-amz-replication-status"),
    ("tag-count", "x-amz-tagging-count"),
    ("parts-count", "x-amz-mp-parts-count"),
    ("missing-metadata", "x-amz-missing-meta"),
    ("object-lock-mode", "x-amz-object-lock-mode"),
    ("object-lock-retain-until", "x-amz-object-lock-retain-until-date"),
    ("object-lock-legal-hold", "x-amz-object-lock-legal-hold"),
    ("website-redirect-location", "x-amz-website-redirect-location"),
    ("server-side-encryption", "x-amz-server-side-encryption"),
    ("sse-kms-key-id", "x-amz-server-side-encryption-aws-kms-key-id"),
    ("sse-bucket-key", "x-amz-server-side-encryption-bucket-key-enabled"),
    ("checksum-type", "x-amz-checksum-type"),
    ("checksum-crc32", "x-amz-checksum-crc32"),
    ("checksum-crc32c", "x-amz-checksum-crc32c"),
    ("checksum-crc64nvme", "x-amz-checksum-crc64nvme"),
    ("checksum-sha1", "x-amz-checksum-sha1"),
    ("checksum-sha256", "x-amz-checksum-sha256"),
];

/// The attributes that are checksums, and the XML elements of the same.
pub const CHECKSUMS: [(&str, &str); 5] = [
    ("checksum-crc32", "ChecksumCRC32"),
    ("checksum-crc32c", "ChecksumCRC32C"),
    ("checksum-crc64nvme", "ChecksumCRC64NVME"),
    ("checksum-sha1", "ChecksumSHA1"),
    ("checksum-sha256", "ChecksumSHA256"),
];

/// Whether a header can carry this: visible ASCII and spaces, as many as that at most.
pub fn is_visible(value: &str, longest: usize) -> bool {
    (1..=longest).contains(&value.len()) && value.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// A header's value as text: bytes that are not UTF-8 are replaced.
pub fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Names and values of a header that came folded into one: each name, a space, the value's length in decimal, a space, and
/// the value. None where it is not that.
pub fn unfold(mut folded: &[u8]) -> Option<Vec<(String, String)>> {
    let mut headers = Vec::with_capacity(16);
    while !folded.is_empty() {
        let name = word(&mut folded)?;
        let length: usize = word(&mut folded)?.parse().ok()?;
        let (value, rest) = folded.split_at_checked(length)?;
        headers.push((name.to_owned(), text(value)));
        folded = rest;
    }
    Some(headers)
}

/// Takes what is before the next space.
fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let end = rest.iter().position(|&byte| byte == b' ')?;
    let word = std::str::from_utf8(&rest[..end]).ok()?;
    *rest = &rest[end + 1..];
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_header_is_unfolded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            unfold(b"etag 3 \"e\"a 0 x-b 4  c d"),
            Some(vec![pair("etag", "\"e\""), pair("a", ""), pair("x-b", " c d")])
        );
        assert_eq!(unfold("a 2 é".as_bytes()), Some(vec![pair("a", "é")]));
        assert_eq!(unfold(b"a 1 \xff"), Some(vec![pair("a", "\u{fffd}")]));
        assert_eq!(unfold(b""), Some(Vec::new()));
        for odd in ["a", "a ", "a x v", "a 3 v", "a -1 v", "a 99999999999999999999 v"] {
            assert_eq!(unfold(odd.as_bytes()), None, "{odd}");
        }
    }
}
