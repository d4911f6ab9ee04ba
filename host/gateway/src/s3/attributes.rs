//! Fields of S3 requests and responses as attributes of the library's calls and blobs (docs/attributes.md), and back.

use std::time::{Duration, SystemTime};

use base64ct::{Base64, Encoding};
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{ETag, Timestamp, TimestampFormat};
use s3s::{S3Error, S3Result, s3_error};
use sandbucket::BlobInfo;

/// Names and values of attributes.
pub(super) type Attributes = Vec<(&'static str, String)>;

/// Adds an attribute if the client gave a value.
pub(super) fn push(attributes: &mut Attributes, name: &'static str, value: Option<impl Into<String>>) {
    if let Some(value) = value {
        attributes.push((name, value.into()));
    }
}

/// The attributes that a customer key needs.
macro_rules! customer_key {
    ($attributes:expr, $input:expr) => {{
        $crate::s3::attributes::check_customer_key(
            $input.sse_customer_algorithm.as_deref(),
            $input.sse_customer_key.as_deref(),
            $input.sse_customer_key_md5.as_deref(),
        )?;
        $crate::s3::attributes::push($attributes, "sse-customer-key", $input.sse_customer_key.take());
        $crate::s3::attributes::push($attributes, "expected-bucket-owner", $input.expected_bucket_owner.take());
    }};
}

/// The attributes that the source of a copy needs.
macro_rules! source_key {
    ($attributes:expr, $input:expr) => {{
        $crate::s3::attributes::check_customer_key(
            $input.copy_source_sse_customer_algorithm.as_deref(),
            $input.copy_source_sse_customer_key.as_deref(),
            $input.copy_source_sse_customer_key_md5.as_deref(),
        )?;
        let list: &mut $crate::s3::attributes::Attributes = $attributes;
        $crate::s3::attributes::push(list, "source-sse-customer-key", $input.copy_source_sse_customer_key.take());
        let owner = $input.expected_source_bucket_owner.take();
        $crate::s3::attributes::push(list, "source-expected-bucket-owner", owner);
    }};
}

/// Fills the fields of the response to a write that repeat how the request encrypts. The service accepted it, so that it holds;
/// what the bucket encrypts by itself shows in reads.
macro_rules! encryption {
    ($output:expr, $attributes:expr) => {{
        let get = |name: &str| {
            let found = $attributes.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        $output.server_side_encryption = get("server-side-encryption").map(Into::into);
        $output.ssekms_key_id = get("sse-kms-key-id");
        $output.bucket_key_enabled = get("sse-bucket-key").map(|enabled| enabled == "true");
    }};
}

/// The attributes of a write: properties, encryption, tags, locks.
macro_rules! write_attributes {
    ($input:expr) => {{
        use $crate::s3::attributes::{push, time_text};
        let mut attributes = $crate::s3::attributes::Attributes::new();
        let list = &mut attributes;
        $crate::s3::attributes::check_acl($input.acl.as_ref().map(|acl| acl.as_str()))?;
        let grants = [&$input.grant_full_control, &$input.grant_read, &$input.grant_read_acp, &$input.grant_write_acp];
        if grants.iter().any(|grant| grant.is_some()) {
            return Err($crate::s3::attributes::no_acl());
        }
        if $input.website_redirect_location.is_some() {
            return Err($crate::s3::not_implemented());
        }
        push(list, "cache-control", $input.cache_control.take());
        push(list, "content-disposition", $input.content_disposition.take());
        let encoding = $input.content_encoding.take().and_then($crate::s3::attributes::stored_encoding);
        push(list, "content-encoding", encoding);
        push(list, "content-language", $input.content_language.take());
        push(
            list,
            "expires",
            $input.expires.take().and_then(|time| time_text(&time, s3s::dto::TimestampFormat::HttpDate)),
        );
        push(list, "storage-class", $input.storage_class.take().map(|class| class.as_str().to_owned()));
        push(list, "object-lock-mode", $input.object_lock_mode.take().map(|mode| mode.as_str().to_owned()));
        let until = $input.object_lock_retain_until_date.take();
        let until = until.and_then(|time| time_text(&time, s3s::dto::TimestampFormat::DateTime));
        push(list, "object-lock-retain-until", until);
        let hold = $input.object_lock_legal_hold_status.take();
        push(list, "object-lock-legal-hold", hold.map(|hold| hold.as_str().to_owned()));
        let encryption = $input.server_side_encryption.take();
        push(list, "server-side-encryption", encryption.map(|way| way.as_str().to_owned()));
        push(list, "sse-kms-key-id", $input.ssekms_key_id.take());
        push(list, "sse-kms-context", $input.ssekms_encryption_context.take());
        push(list, "sse-bucket-key", $input.bucket_key_enabled.take().map(|enabled| enabled.to_string()));
        $crate::s3::attributes::customer_key!(list, $input);
        attributes
    }};
}

/// Fills the fields of a response that `GetObject` and `HeadObject` have in common, and returns the stored `Expires`, which may
/// be any text.
macro_rules! describe {
    ($output:expr, $info:expr) => {{
        use $crate::s3::attributes::{attribute, etag, number, timestamp};
        let info: &sandbucket::BlobInfo = $info;
        let get = |name: &str| attribute(info, name);
        $output.e_tag = info.etag.as_deref().map(etag);
        $output.last_modified = info.last_modified.and_then(timestamp);
        $output.content_type = info.content_type.clone();
        $output.version_id = info.version.clone();
        $output.accept_ranges = Some("bytes".to_owned());
        if !info.metadata.is_empty() {
            $output.metadata = Some(info.metadata.iter().cloned().collect());
        }
        $output.cache_control = get("cache-control");
        $output.content_disposition = get("content-disposition");
        $output.content_encoding = get("content-encoding");
        $output.content_language = get("content-language");
        $output.storage_class = get("storage-class").filter(|class| class != "STANDARD").map(Into::into);
        $output.server_side_encryption = get("server-side-encryption").map(Into::into);
        $output.ssekms_key_id = get("sse-kms-key-id");
        $output.bucket_key_enabled = get("sse-bucket-key").map(|enabled| enabled == "true");
        $output.object_lock_mode = get("object-lock-mode").map(Into::into);
        let until = get("object-lock-retain-until");
        $output.object_lock_retain_until_date = until.and_then(|time| $crate::s3::attributes::parse_time(&time));
        $output.object_lock_legal_hold_status = get("object-lock-legal-hold").map(Into::into);
        $output.expiration = get("expiration");
        $output.restore = get("restore");
        $output.replication_status = get("replication-status").map(Into::into);
        $output.missing_meta = get("missing-metadata").and_then(number);
        $output.parts_count = get("parts-count").and_then(number);
        get("expires")
    }};
}

/// Fills the checksums of a response with those of a blob.
macro_rules! checksums {
    ($output:expr, $info:expr) => {{
        let info: &sandbucket::BlobInfo = $info;
        let get = |name: &str| $crate::s3::attributes::attribute(info, name);
        $output.checksum_crc32 = get("checksum-crc32");
        $output.checksum_crc32c = get("checksum-crc32c");
        $output.checksum_crc64nvme = get("checksum-crc64nvme");
        $output.checksum_sha1 = get("checksum-sha1");
        $output.checksum_sha256 = get("checksum-sha256");
        $output.checksum_type = get("checksum-type").map(Into::into);
    }};
}

pub(super) use {checksums, customer_key, describe, encryption, source_key, write_attributes};

/// An attribute of a blob.
pub(super) fn attribute(info: &BlobInfo, name: &str) -> Option<String> {
    attribute_of(&info.attributes, name)
}

/// One of these attributes.
pub(super) fn attribute_of(attributes: &[(String, String)], name: &str) -> Option<String> {
    attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

pub(super) fn number(text: String) -> Option<i32> {
    text.parse().ok()
}

/// The ETag of a service, which may lack its quotes.
pub(super) fn etag(text: &str) -> ETag {
    ETag::parse_http_header(text.as_bytes()).unwrap_or_else(|_| ETag::Strong(text.trim_matches('"').to_owned()))
}

/// A time of a service, if it is one that a header or document can hold: years 1970 to 9999.
pub(super) fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    (since < Duration::from_secs(253_402_300_800)).then(|| Timestamp::from(SystemTime::UNIX_EPOCH + since))
}

pub(super) fn time_text(time: &Timestamp, format: TimestampFormat) -> Option<String> {
    let mut text = Vec::new();
    time.format(format, &mut text).ok()?;
    String::from_utf8(text).ok()
}

pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::DateTime, text).ok()
}

/// A client's time as the library takes it.
pub(super) fn system_time(time: &Timestamp) -> SystemTime {
    let seconds = time_text(time, TimestampFormat::EpochSeconds).and_then(|text| text.parse::<f64>().ok());
    let since = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.floor()).ok()).unwrap_or_default();
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// `aws-chunked` codes the transfer only, and is not stored.
pub(super) fn stored_encoding(encoding: String) -> Option<String> {
    let codings = encoding.split(',').map(str::trim);
    let stored: Vec<&str> = codings.filter(|coding| !coding.is_empty() && *coding != "aws-chunked").collect();
    (!stored.is_empty()).then(|| stored.join(","))
}

/// S3's rule for buckets whose owner owns all objects: an ACL that grants nobody else anything is accepted, and has no effect.
pub(super) fn check_acl(acl: Option<&str>) -> S3Result<()> {
    match acl {
        None | Some("private" | "bucket-owner-full-control") => Ok(()),
        Some(_) => Err(no_acl()),
    }
}

pub(super) fn no_acl() -> S3Error {
    s3_error!(AccessControlListNotSupported, "The bucket does not allow ACLs")
}

/// Checks the headers of a customer key. The plugin computes the digest anew: a key that was damaged on its way would encrypt a blob
/// that nobody can read.
pub(super) fn check_customer_key(algorithm: Option<&str>, key: Option<&str>, md5: Option<&str>) -> S3Result<()> {
    match (algorithm, key, md5) {
        (None, None, None) => Ok(()),
        (Some(algorithm), ..) if algorithm != "AES256" => {
            Err(s3_error!(InvalidEncryptionAlgorithmError, "The encryption request that you specified is not valid."))
        }
        (Some(_), Some(key), Some(md5)) => {
            let found = Base64::decode_vec(key).map(|key| Base64::encode_string(&Md5::checksum(&key)));
            if found.is_ok_and(|found| found == md5.trim()) {
                return Ok(());
            }
            Err(s3_error!(
                InvalidArgument,
                "The calculated MD5 hash of the key did not match the hash that was provided."
            ))
        }
        _ => Err(s3_error!(
            InvalidArgument,
            "Requests specifying Server Side Encryption with Customer provided keys must provide the algorithm, the key \
             and its MD5."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_services_and_clients_convert_or_are_dropped() {
        assert_eq!(etag("\"a\""), ETag::Strong("a".to_owned()));
        assert_eq!(etag("W/\"a\""), ETag::Weak("a".to_owned()));
        assert_eq!(etag("a-2"), ETag::Strong("a-2".to_owned()));
        let day = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(system_time(&timestamp(day(86_400)).unwrap()), day(86_400));
        assert!(timestamp(day(253_402_300_800)).is_none());
        assert!(timestamp(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).is_none());
        assert_eq!(stored_encoding("aws-chunked, gzip".to_owned()).as_deref(), Some("gzip"));
        assert_eq!(stored_encoding("aws-chunked".to_owned()), None);
        assert!(check_acl(Some("public-read")).is_err() && check_acl(Some("private")).is_ok());
    }

    #[test]
    fn customer_key_has_an_algorithm_and_its_digest() {
        let code = |algorithm, key, md5| {
            check_customer_key(algorithm, key, md5).map_err(|error| error.code().as_str().to_owned()).err()
        };
        // Bytes 0 to 31, and the digest of md5sum.
        let key = Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let md5 = Some("tP/LI3N87DFaSk0aoqYgzg==");
        assert_eq!(code(None, None, None), None);
        assert_eq!(code(Some("AES256"), key, md5), None);
        let argument = Some("InvalidArgument".to_owned());
        assert_eq!(code(Some("AES256"), key, Some("AAAAAAAAAAAAAAAAAAAAAA==")), argument);
        assert_eq!(code(Some("AES256"), Some("no base64"), md5), argument);
        assert_eq!(code(Some("AES256"), key, None), argument);
        assert_eq!(code(Some("AES256"), None, None), argument);
        assert_eq!(code(None, key, md5), argument);
        assert_eq!(code(Some("AES128"), key, md5).as_deref(), Some("InvalidEncryptionAlgorithmError"));
    }
}
