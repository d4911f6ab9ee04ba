//! `PutObject`, and the bodies of parts.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use sandbucket::{Body, Chunks};

use super::attributes::{Attributes, encryption, etag, push, write_attributes};
use super::body::{Outcome, VerifiedBody, check_md5, declared};
use super::read::text;
use super::{Front, Memory, Scope, Shared, not_implemented};

/// Bodies up to this size are gathered: the call can then be retried, and carries the client's checksum.
const GATHER_UP_TO: u64 = 1 << 20;
/// The same for stores that do not send streams: one part of the library's uploads.
const GATHER_PART: u64 = 8 << 20;
/// Memory of an upload in parts: the library's part size times its concurrency plus one.
const UPLOAD_MEMORY: u64 = 40 << 20;
/// Memory of a body that is sent as it arrives.
const STREAM_MEMORY: u64 = 256 << 10;

/// The condition of a write.
pub(super) enum Condition {
    Always,
    IfAbsent,
    IfMatch(String),
    /// `If-Match: *`.
    IfPresent,
    /// The same, once the entity tag that the blob has at present is known.
    Unchanged(String),
}

impl Condition {
    /// Looks up what the condition depends on, with these attributes of the write. Services know no `If-Match: *` for writes, but
    /// compare entity tags: the blob's present one is what they compare with.
    ///
    /// # Errors
    /// `NoSuchKey` if there has to be a blob, and is none.
    pub(super) async fn resolve(&mut self, scope: &Scope, key: &str, attributes: &Attributes) -> S3Result<()> {
        if !matches!(self, Condition::IfPresent) {
            return Ok(());
        }
        let mut head = scope.store.head(key);
        let needed = |name: &str| ["sse-customer-key", "expected-bucket-owner"].contains(&name);
        for (name, value) in attributes.iter().filter(|(name, _)| needed(name)) {
            head = head.attribute(*name, value);
        }
        let info = head.await.map_err(|error| scope.error(&error))?;
        *self = Condition::Unchanged(info.etag.ok_or_else(not_implemented)?);
        Ok(())
    }

    /// The error of a write with this condition. If the blob changed after it was looked up, the client did not ask for what failed.
    pub(super) fn failed(&self, error: S3Error) -> S3Error {
        match (self, error.code()) {
            (Condition::Unchanged(_), S3ErrorCode::PreconditionFailed) => conflict(),
            _ => error,
        }
    }
}

/// The error of a condition that the client did not set: the blob changed between two requests of one operation.
pub(super) fn conflict() -> S3Error {
    s3_error!(
        ConditionalRequestConflict,
        "The conditional request cannot succeed due to a conflicting operation against this resource."
    )
}

/// Parses the condition of a write from the headers.
pub(super) fn condition(headers: &HeaderMap) -> S3Result<Condition> {
    let (matches, none) = (text(headers, header::IF_MATCH)?, text(headers, header::IF_NONE_MATCH)?);
    match (matches, none) {
        (None, None) => Ok(Condition::Always),
        (None, Some(none)) if none.trim() == "*" => Ok(Condition::IfAbsent),
        (Some(etag), None) if etag.trim() == "*" => Ok(Condition::IfPresent),
        (Some(etag), None) => Ok(Condition::IfMatch(etag)),
        // As at S3.
        _ => Err(not_implemented()),
    }
}

/// Sets the condition of a call.
macro_rules! with_condition {
    ($call:ident, $condition:expr) => {
        match &$condition {
            $crate::s3::write::Condition::Always | $crate::s3::write::Condition::IfPresent => {}
            $crate::s3::write::Condition::IfAbsent => $call = $call.if_absent(),
            $crate::s3::write::Condition::IfMatch(etag) | $crate::s3::write::Condition::Unchanged(etag) => {
                $call = $call.if_match(etag)
            }
        }
    };
}
pub(super) use with_condition;

/// Sets content type and metadata of a call to those of the request, which it takes.
macro_rules! with_properties {
    ($call:ident, $input:expr) => {
        if let Some(media_type) = $input.content_type.take() {
            $call = $call.content_type(media_type);
        }
        for (name, value) in $input.metadata.take().unwrap_or_default() {
            $call = $call.metadata(name, value);
        }
    };
}
pub(super) use with_properties;

/// The body of a write, ready to be sent.
pub(super) struct Prepared {
    pub body: Body,
    /// Whether all of it is in memory, and verified.
    pub gathered: bool,
    /// Whether the library sends it as it is: with the client's checksum.
    pub direct: bool,
    pub outcome: Outcome,
    /// Held until the write is over.
    pub memory: Memory,
}

/// The length of a body: that of an `aws-chunked` one is in a header of its own, and the only one if HTTP's coding is chunked too.
pub(super) fn body_length(headers: &HeaderMap, content_length: Option<i64>) -> S3Result<Option<i64>> {
    match text(headers, HeaderName::from_static("x-amz-decoded-content-length"))? {
        None => Ok(content_length),
        Some(length) => {
            let length = length.trim().parse().ok();
            length.map(Some).ok_or_else(|| s3_error!(InvalidArgument, "Invalid x-amz-decoded-content-length"))
        }
    }
}

/// Reads a body into memory, or prepares to stream it.
pub(super) async fn prepare(
    shared: &Shared,
    scope: &Scope,
    (body, outcome): (VerifiedBody, Outcome),
    length: Option<i64>,
    conditional: bool,
    part: bool,
) -> S3Result<Prepared> {
    let length = length.and_then(|length| u64::try_from(length).ok());
    let length =
        length.ok_or_else(|| s3_error!(MissingContentLength, "You must provide the Content-Length HTTP header."))?;
    let tenant = scope.grant.tenant.name();
    let streams = scope.store.sends_streams() && !conditional;
    let gather = if streams { GATHER_UP_TO } else { GATHER_PART };
    // A part cannot be divided: a store that does not send streams has to gather it.
    if length <= gather || part && !streams {
        let memory = shared.buffers.acquire(tenant, length).await?;
        let pieces = body.collect(length).await?;
        let body = Body::from(pieces.into_iter().map(coalesced).collect::<Chunks>());
        return Ok(Prepared { body, gathered: true, direct: true, outcome, memory });
    }
    let memory = shared.buffers.acquire(tenant, if streams { STREAM_MEMORY } else { UPLOAD_MEMORY }).await?;
    let body = Body::stream(length, body);
    Ok(Prepared { body, gathered: false, direct: streams, outcome, memory })
}

/// A small chunk may keep a large buffer of the connection alive.
fn coalesced(piece: Bytes) -> Bytes {
    if piece.len() < 4 << 10 { Bytes::copy_from_slice(&piece) } else { piece }
}

/// The client's checksums as attributes, so that the service verifies and stores them.
pub(super) fn checksum_attributes(attributes: &mut Attributes, checksum: &Checksum, md5: Option<String>) {
    push(attributes, "checksum-crc32", checksum.checksum_crc32.clone());
    push(attributes, "checksum-crc32c", checksum.checksum_crc32c.clone());
    push(attributes, "checksum-crc64nvme", checksum.checksum_crc64nvme.clone());
    push(attributes, "checksum-sha256", checksum.checksum_sha256.clone());
    push(attributes, "content-md5", md5);
}

impl Front {
    pub(super) async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let mut condition = condition(&request.headers)?;
        let conditional = !matches!(condition, Condition::Always);
        check_md5(&request.headers)?;
        let declared = declared!(request);
        let length = body_length(&request.headers, request.input.content_length)?;
        let (checksum, md5) = (declared.checksum.clone(), declared.md5.clone());
        let scope = self.scope(&request, &request.input.bucket, "PutObject").await?;
        let input = &mut request.input;
        let key = scope.key(&input.key)?;
        if input.write_offset_bytes.is_some() {
            return Err(not_implemented());
        }
        let mut attributes = write_attributes!(input);
        push(&mut attributes, "tags", input.tagging.take().filter(|tags| !tags.is_empty()));

        condition.resolve(&scope, &key, &attributes).await?;
        let body = VerifiedBody::new(input.body.take(), declared);
        let Prepared { body, gathered, direct, outcome, memory } =
            prepare(&self.shared, &scope, body, length, conditional, false).await?;
        if gathered {
            checksum_attributes(&mut attributes, &outcome.checksum(), md5);
        } else if direct {
            checksum_attributes(&mut attributes, &checksum, md5);
        }
        let mut output = PutObjectOutput::default();
        encryption!(output, attributes);
        let mut put = scope.store.put(&key, body);
        with_condition!(put, condition);
        with_properties!(put, input);
        for (name, value) in attributes {
            put = put.attribute(name, value);
        }
        let written =
            put.await.map_err(|error| outcome.error().unwrap_or_else(|| condition.failed(scope.error(&error))))?;
        drop(memory);
        let sums = outcome.checksum();
        Ok(S3Response::new(PutObjectOutput {
            e_tag: written.etag.as_deref().map(etag),
            version_id: written.version,
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            sse_customer_algorithm: input.sse_customer_algorithm.take(),
            sse_customer_key_md5: input.sse_customer_key_md5.take(),
            ..output
        }))
    }
}
