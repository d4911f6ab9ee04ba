//! Header fields: names shared by requests and responses, and their text form in the contract.

use std::borrow::Cow;

use crate::rt::text_builder::TextBuilder;

/// Header fields or query parameters: names and values.
pub type Headers = Vec<(Cow<'static, str>, String)>;

/// Value of `user-agent`.
pub const USER_AGENT: &str = concat!("sandbucket-s3/", env!("CARGO_PKG_VERSION"));

/// Prefix of user metadata in header names.
pub const METADATA_PREFIX: &str = "x-amz-meta-";

/// User metadata that stores the attribute `write-id`.
pub const WRITE_ID: &str = "sandbucket-write-id";

/// Attributes of a blob in a response: name and header.
pub const RESPONSE_ATTRIBUTES: [(&str, &str); 26] = [
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

/// Attributes that are checksums: name and XML element.
pub const CHECKSUMS: [(&str, &str); 5] = [
    ("checksum-crc32", "ChecksumCRC32"),
    ("checksum-crc32c", "ChecksumCRC32C"),
    ("checksum-crc64nvme", "ChecksumCRC64NVME"),
    ("checksum-sha1", "ChecksumSHA1"),
    ("checksum-sha256", "ChecksumSHA256"),
];

/// Whether the value is 1 to `longest` characters of visible ASCII and spaces.
pub fn is_visible(value: &str, longest: usize) -> bool {
    (1..=longest).contains(&value.len()) && value.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// Converts a header's value to text. Bytes that are not UTF-8 are replaced.
pub fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Formats `host`, the fields and `last` (names and values) as lines, as `request.headers` in `wit/sans-io.wit`.
pub fn to_lines(host: &str, headers: &Headers, last: &[[&str; 2]]) -> String {
    let length = headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
    let mut lines = TextBuilder::with_capacity(length + host.len() + 96);
    lines.push(&["host:", host, "\n"]);
    for (name, value) in headers {
        lines.push(&[name, ":", value, "\n"]);
    }
    for [name, value] in last {
        lines.push(&[name, ":", value, "\n"]);
    }
    lines.into_string()
}

/// Parses lines as in `response.headers` in `wit/sans-io.wit`. A line without a colon becomes part of the next field's name.
pub fn parse_lines(mut lines: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut headers = Vec::with_capacity(16);
    while let Some((name, rest)) = lines.split_once(':') {
        let (value, rest) = rest.split_once('\n').unwrap_or((rest, ""));
        headers.push((name.into(), value.into()));
        lines = rest;
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_lines_round_trip() {
        let pair = |name: &'static str, value: &'static str| (name.into(), value.into());
        let headers: Headers =
            vec![("etag".into(), "\"e\"".into()), ("a".into(), "".into()), ("x-b".into(), " c:d".into())];
        let lines = to_lines("h:1", &headers[..2].to_vec(), &[["x-b", " c:d"]]);
        assert_eq!(lines, "host:h:1\netag:\"e\"\na:\nx-b: c:d\n");
        assert_eq!(
            parse_lines(&lines),
            [pair("host", "h:1"), pair("etag", "\"e\""), pair("a", ""), pair("x-b", " c:d")]
        );
        assert_eq!(parse_lines(""), []);
        assert_eq!(parse_lines("no field\na:b"), [pair("no field\na", "b")]);
        assert_eq!(parse_lines("a:b\nno field"), [pair("a", "b")]);
    }
}
