//! Names of header fields shared by requests and responses.

use sandbucket_plugin::http::request::is_token;
use sandbucket_plugin::metadata::Rules;

/// S3's rules for user metadata: names are those of header fields.
pub const METADATA: Rules = Rules {
    prefix: "x-amz-meta-",
    max_bytes: 2048,
    is_name: |name| !name.is_empty() && name.bytes().all(is_token),
    names: "a name takes letters, digits and !#$%&'*+-.^_`|~",
    service: "S3",
};

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
