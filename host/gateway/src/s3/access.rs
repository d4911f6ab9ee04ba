//! Authentication and authorization: the tenant and the permissions of an access key.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Result, s3_error};

use super::{MAX_DOCUMENT, Shared};
use crate::directory::{Grant, KeyAccess};
use crate::record::Record;
use crate::server::chunks::{Framing, MAX_SIGNED_CHUNK};

/// `Retry-After` in seconds for requests of a tenant that drains or has too many in flight.
const RETRY_AFTER: u64 = 5;
/// Operations that change nothing. All others require [`KeyAccess::ReadWrite`].
const READS: [&str; 18] = [
    "GetBucketLocation",
    "GetBucketVersioning",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectLegalHold",
    "GetObjectRetention",
    "GetObjectTagging",
    "GetBucketAcl",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjects",
    "ListObjectsV2",
    "ListParts",
    "SelectObjectContent",
];

/// Looks up the secret key for the verification of a signature.
pub(super) struct Keys(pub Arc<Shared>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let directory = self.0.directory.load();
        let grant = directory.grant(access_key).ok_or_else(unknown_key)?;
        Ok(grant.secret_key.clone())
    }
}

/// Authorizes a request by the key that signed it, and passes the grant on to the operation.
pub(super) struct Policy(pub Arc<Shared>);

#[async_trait::async_trait]
impl S3Access for Policy {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let record = context.extensions_mut().get::<Arc<Record>>().cloned().unwrap_or_default();
        let operation = context.s3_op().name();
        record.set_operation(operation);
        let Some(credentials) = context.credentials() else { return Err(denied()) };
        // The directory may have changed since the signature was verified.
        let grant = self.0.directory.load().grant(&credentials.access_key).cloned().ok_or_else(unknown_key)?;
        let tenant = grant.tenant.name();
        // Counted before the look, so that a tenant that drains waits for this request or rejects it.
        let stats = self.0.stats.tenant(tenant);
        record.set_tenant(tenant, stats.request());
        if self.0.is_drained(tenant) || stats.in_flight() > self.0.requests_per_tenant {
            let mut error = s3_error!(SlowDown, "Please reduce your request rate.");
            error.set_headers(HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER))]));
            return Err(error);
        }
        authorize(&grant, operation, context.s3_path())?;
        reject_version_2(context.headers())?;
        let memory = memory_of(operation, context.headers())?;
        if memory > 0 {
            record.hold(self.0.buffers.acquire(tenant, memory).await?);
        }
        context.extensions_mut().insert(grant);
        Ok(())
    }
}

/// A signature of version 2 in a header has no time limit, so that the request could be sent again at any time. One in a URL
/// expires, and is what the `aws` command still presigns.
fn reject_version_2(headers: &HeaderMap) -> S3Result<()> {
    if headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS ")) {
        return Err(s3_error!(
            InvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        ));
    }
    Ok(())
}

/// Memory that s3s takes for the body of a request: a document, or a signed chunk.
fn memory_of(operation: &str, headers: &HeaderMap) -> S3Result<u64> {
    if matches!(operation, "PutObject" | "UploadPart") {
        return Ok(if Framing::of(headers) == Some(Framing::Signed) { MAX_SIGNED_CHUNK } else { 0 });
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|text| text.parse().ok());
    // Without a length, as much as a document may have.
    let length =
        if headers.contains_key(header::TRANSFER_ENCODING) { MAX_DOCUMENT as u64 } else { length.unwrap_or(0) };
    if length > MAX_DOCUMENT as u64 && operation != "PostObject" {
        return Err(s3_error!(MaxMessageLengthExceeded, "Your request was too large."));
    }
    Ok(length.min(MAX_DOCUMENT as u64))
}

/// Whether a key permits an operation on this path. Keys in the body and sources of copies are checked by the operation.
fn authorize(grant: &Grant, operation: &str, path: &S3Path) -> S3Result<()> {
    let (bucket, key) = match path {
        S3Path::Root => (None, None),
        S3Path::Bucket { bucket } => (Some(bucket), None),
        S3Path::Object { bucket, key } => (Some(bucket), Some(key)),
    };
    if grant.access != KeyAccess::ReadWrite && !READS.contains(&operation) {
        return Err(denied());
    }
    // Also of a bucket that nobody has: the response does not depend on the buckets of others.
    if bucket.is_some_and(|bucket| !grant.buckets.contains_key(bucket.as_ref())) {
        return Err(denied());
    }
    if key.is_some_and(|key| !grant.permits_key(key)) {
        return Err(denied());
    }
    Ok(())
}

/// The error of everything that a key does not grant.
pub(super) fn denied() -> s3s::S3Error {
    s3_error!(AccessDenied, "Access Denied")
}

fn unknown_key() -> s3s::S3Error {
    s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.")
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    #[test]
    fn headers_signed_by_version_2_are_rejected() {
        let with =
            |value: &'static str| HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
        assert!(reject_version_2(&with("AWS key:signature")).is_err());
        assert!(reject_version_2(&with("AWS4-HMAC-SHA256 Credential=x")).is_ok());
        assert!(reject_version_2(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn memory_of_documents_and_signed_chunks_is_counted() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
        };
        assert_eq!(memory_of("DeleteObjects", &headers("content-length", "1000")).unwrap(), 1000);
        assert!(memory_of("DeleteObjects", &headers("content-length", "100000000")).is_err());
        assert_eq!(memory_of("DeleteObjects", &headers("transfer-encoding", "chunked")).unwrap(), MAX_DOCUMENT as u64);
        assert_eq!(memory_of("PutObject", &headers("content-length", "100000000")).unwrap(), 0);
        let signed = headers("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        assert_eq!(memory_of("UploadPart", &signed).unwrap(), MAX_SIGNED_CHUNK);
    }

    use super::*;
    use crate::directory::Directory;
    use crate::directory::tests::Nobody;

    #[test]
    fn key_permits_its_operations_buckets_and_prefixes_only() {
        let table = r#"
            keys = [
                { access-key = "AKw", secret-key = "longenough", access = "read-write" },
                { access-key = "AKr", secret-key = "longenough", prefixes = ["a/"], buckets = ["photos"] },
            ]
            buckets = { photos = {}, music = {} }
        "#;
        let mut directory = Directory::default();
        let table = toml::from_str(table).unwrap();
        directory.add(Arc::new(Nobody("alice")), table, SystemTime::UNIX_EPOCH).unwrap();
        let object = |bucket: &str, key: &str| S3Path::Object { bucket: bucket.into(), key: key.into() };
        let bucket = |bucket: &str| S3Path::Bucket { bucket: bucket.into() };
        let cases = [
            ("AKw", "PutObject", object("photos", "k"), true),
            ("AKw", "DeleteObjects", bucket("music"), true),
            ("AKw", "PutObject", object("secrets", "k"), false),
            ("AKw", "CreateBucket", bucket("another"), false),
            ("AKw", "ListBuckets", S3Path::Root, true),
            ("AKr", "GetObject", object("photos", "a/k"), true),
            ("AKr", "GetObject", object("photos", "b/k"), false),
            ("AKr", "GetObject", object("music", "a/k"), false),
            ("AKr", "PutObject", object("photos", "a/k"), false),
            ("AKr", "CreateMultipartUpload", object("photos", "a/k"), false),
            ("AKr", "PutObjectTagging", object("photos", "a/k"), false),
            ("AKr", "SomethingNew", object("photos", "a/k"), false),
            ("AKr", "DeleteObjects", bucket("photos"), false),
            ("AKr", "ListObjectsV2", bucket("photos"), true),
            ("AKr", "ListBuckets", S3Path::Root, true),
        ];
        for (key, operation, path, permitted) in cases {
            let result = authorize(directory.grant(key).unwrap(), operation, &path);
            assert_eq!(result.is_ok(), permitted, "{key} {operation} {path:?}");
        }
    }
}
