//! Fields of S3 requests and responses as attributes of the library's calls and blobs (docs/attributes.md), and back.

use std::time::{Duration, SystemTime};

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
        $crate::s3::attributes::check_algorithm($input.sse_customer_algorithm.as_deref())?;
        $crate::s3::attributes::push($attributes, "sse-customer-key", $input.sse_customer_key.take());
        $crate::s3::attributes::push($attributes, "expected-bucket-owner", $input.expected_bucket_owner.take());
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
    ($output:expr, $info:expr, $whole:expr) => {{
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
        // The service's checksum is of the whole blob: a client would compare it with a part.
        if $whole {
            $output.checksum_crc32 = get("checksum-crc32");
            $output.checksum_crc32c = get("checksum-crc32c");
            $output.checksum_crc64nvme = get("checksum-crc64nvme");
            $output.checksum_sha1 = get("checksum-sha1");
            $output.checksum_sha256 = get("checksum-sha256");
            $output.checksum_type = get("checksum-type").map(Into::into);
        }
        get("expires")
    }};
}

pub(super) use {customer_key, describe, write_attributes};

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

pub(super) fn check_algorithm(algorithm: Option<&str>) -> S3Result<()> {
    match algorithm {
        None | Some("AES256") => Ok(()),
        Some(_) => {
            Err(s3_error!(InvalidEncryptionAlgorithmError, "The encryption request that you specified is not valid."))
        }
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
}
