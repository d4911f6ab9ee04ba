//! `GetObject`, `HeadObject` and `GetObjectAttributes`.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use s3s::dto::*;
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Error, S3Request, S3Response, S3Result, StdError, s3_error};
use sandbucket::{Blob, BlobInfo, BlobName, ByteRange, PresignedMethod};

use super::attributes::{Attributes, attribute, checksums, customer_key, describe, number as count, push, system_time};
use super::multipart::part_number;
use super::write::conflict;
use super::{Front, Scope, custom, not_implemented};
use crate::record::Record;

/// Sets the conditions of a read.
macro_rules! conditions {
    ($call:ident, $headers:expr, $input:expr) => {
        if let Some(etag) = text($headers, header::IF_MATCH)? {
            $call = $call.if_match(etag);
        }
        if let Some(etag) = text($headers, header::IF_NONE_MATCH)? {
            $call = $call.if_none_match(etag);
        }
        if let Some(time) = &$input.if_modified_since {
            $call = $call.if_modified_since(system_time(time));
        }
        if let Some(time) = &$input.if_unmodified_since {
            $call = $call.if_unmodified_since(system_time(time));
        }
        if let Some(version) = $input.version_id.clone() {
            $call = $call.version(version);
        }
    };
}

/// Rejects the encryption that belongs to a write: S3 decrypts with its own keys without being asked.
fn check_encryption(headers: &HeaderMap) -> S3Result<()> {
    if headers.contains_key("x-amz-server-side-encryption") {
        return Err(s3_error!(
            InvalidArgument,
            "x-amz-server-side-encryption header is not supported for this operation."
        ));
    }
    Ok(())
}

/// A header's text.
pub(super) fn text(headers: &HeaderMap, name: HeaderName) -> S3Result<Option<String>> {
    let Some(value) = headers.get(&name) else { return Ok(None) };
    let value = value.to_str().map_err(|_| s3_error!(InvalidArgument, "Invalid header {}", name))?;
    Ok(Some(value.to_owned()))
}

impl Front {
    pub(super) async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let (headers, mut input) = (&request.headers, request.input.clone());
        check_encryption(headers)?;
        let scope = self.scope(&request, &input.bucket, "GetObject").await?;
        let key = scope.key(&input.key)?;
        if input.part_number.is_some() && input.range.is_some() {
            return Err(s3_error!(InvalidRequest, "Cannot specify both Range header and partNumber query parameter"));
        }
        self.redirect(&scope, &key, &request).await?;
        let mut attributes = Attributes::new();
        customer_key!(&mut attributes, input);
        let name = blob_name(&key, input.version_id.as_ref());
        push(&mut attributes, CHECKSUM_MODE, input.checksum_mode.is_some().then(|| "true".to_owned()));
        let mut part = None;
        let mut has_changed = false;
        let blob = loop {
            let mut get = scope.store.get(&key);
            conditions!(get, headers, input);
            if let Some(range) = input.range {
                get = get.range(byte_range(range)?);
            }
            let mut is_pinned = false;
            if let Some(number) = input.part_number {
                let mut head = scope.store.head(&key).attribute(PART_NUMBER, part_number(number)?.to_string());
                conditions!(head, headers, input);
                for (name, value) in &attributes {
                    head = head.attribute(*name, value);
                }
                let info = match head.await {
                    Ok(info) => info,
                    Err(sandbucket::Error::Unsupported(_)) if drop_checksum_mode(&mut attributes) => continue,
                    Err(error) => return Err(no_part(refused(&scope, &error, &name, headers, &attributes).await)),
                };
                if let Some(range) = part_range(number, &info)? {
                    get = get.range(ByteRange::Within(range));
                }
                // The range is one of this blob only.
                if let Some(etag) = &info.etag {
                    get = get.if_match(etag);
                    is_pinned = !headers.contains_key(header::IF_MATCH);
                }
                part = Some(info);
            }
            for (name, value) in &attributes {
                get = get.attribute(*name, value);
            }
            match get.await {
                Ok(blob) => break blob,
                Err(sandbucket::Error::Unsupported(_)) if drop_checksum_mode(&mut attributes) => {}
                // It was written after the HEAD, and the client has set no condition against that.
                Err(sandbucket::Error::PreconditionFailed(_)) if is_pinned => {
                    if has_changed {
                        return Err(conflict());
                    }
                    has_changed = true;
                }
                Err(error) => return Err(refused(&scope, &error, &name, headers, &attributes).await),
            }
        };

        let (info, range) = (blob.info().clone(), blob.range());
        let whole = Some(info.size) == info.known_size() && range == (0..info.size);
        let ranged = input.range.is_some() || input.part_number.is_some();
        let mut output = GetObjectOutput::default();
        let expires = describe!(output, &info);
        match part.as_ref().filter(|part| sums_part(part)) {
            _ if input.checksum_mode.is_none() => {}
            Some(part) => checksums!(output, part),
            // The service's checksum is of the whole blob: a client would compare it with a range.
            None if whole => checksums!(output, &info),
            None => {}
        }
        let parts_count = part.as_ref().and_then(|part| attribute(part, "parts-count"));
        output.parts_count = output.parts_count.or(parts_count.and_then(count));
        output.tag_count = attribute(&info, "tag-count").and_then(count);
        if let Some(size) = info.known_size() {
            output.content_length = i64::try_from(range.end - range.start).ok();
            if ranged && !range.is_empty() {
                output.content_range = Some(format!("bytes {}-{}/{size}", range.start, range.end - 1));
            }
        }
        output.sse_customer_algorithm = input.sse_customer_algorithm;
        output.sse_customer_key_md5 = input.sse_customer_key_md5;
        output.body = Some(StreamingBlob::new(BlobBody::new(blob)));
        Ok(with_expires(S3Response::new(output), expires, input.response_expires.is_some()))
    }

    pub(super) async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let (headers, mut input) = (&request.headers, request.input.clone());
        check_encryption(headers)?;
        let scope = self.scope(&request, &input.bucket, "HeadObject").await?;
        let key = scope.key(&input.key)?;
        let mut attributes = Attributes::new();
        customer_key!(&mut attributes, input);
        if let Some(number) = input.part_number {
            push(&mut attributes, PART_NUMBER, Some(part_number(number)?.to_string()));
        }
        push(&mut attributes, CHECKSUM_MODE, input.checksum_mode.is_some().then(|| "true".to_owned()));
        let name = blob_name(&key, input.version_id.as_ref());
        let info = loop {
            let mut head = scope.store.head(&key);
            conditions!(head, headers, input);
            for (name, value) in &attributes {
                head = head.attribute(*name, value);
            }
            match head.await {
                Ok(info) => break info,
                Err(sandbucket::Error::Unsupported(_)) if drop_checksum_mode(&mut attributes) => {}
                Err(error) => {
                    let error = refused(&scope, &error, &name, headers, &attributes).await;
                    return Err(if input.part_number.is_some() { no_part(error) } else { error });
                }
            }
        };

        let mut output = HeadObjectOutput::default();
        let range = match (input.part_number, input.range, info.known_size()) {
            (Some(number), ..) => part_range(number, &info)?,
            (None, Some(range), Some(size)) => Some(range.check(size)?),
            _ => None,
        };
        if input.checksum_mode.is_some() && (range.is_none() || input.part_number.is_some() && sums_part(&info)) {
            checksums!(output, &info);
        }
        match (info.known_size(), range) {
            (Some(size), Some(range)) => {
                output.content_length = i64::try_from(range.end - range.start).ok();
                if !range.is_empty() {
                    output.content_range = Some(format!("bytes {}-{}/{size}", range.start, range.end - 1));
                    if let Some(record) = request.extensions.get::<Arc<Record>>() {
                        record.set_status(StatusCode::PARTIAL_CONTENT);
                    }
                }
            }
            (size, _) => output.content_length = size.and_then(|size| i64::try_from(size).ok()),
        }
        let expires = describe!(output, &info);
        output.archive_status = attribute(&info, "archive-status").map(Into::into);
        output.sse_customer_algorithm = input.sse_customer_algorithm;
        output.sse_customer_key_md5 = input.sse_customer_key_md5;
        let mut response = with_expires(S3Response::new(output), expires, false);
        if let Some(tags) = attribute(&info, "tag-count").and_then(count) {
            response.headers.insert("x-amz-tagging-count", HeaderValue::from(tags));
        }
        override_headers(&mut response.headers, &request.input)?;
        Ok(response)
    }

    pub(super) async fn get_object_attributes(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let mut input = request.input.clone();
        let scope = self.scope(&request, &input.bucket, "GetObjectAttributes").await?;
        let key = scope.key(&input.key)?;
        let mut attributes = Attributes::new();
        customer_key!(&mut attributes, input);
        let head = |more: Option<(&'static str, &str)>| {
            let mut head = scope.store.head(&key);
            if let Some(version) = &input.version_id {
                head = head.version(version);
            }
            let attributes = attributes.iter().map(|(name, value)| (*name, value.as_str()));
            attributes.chain(more).fold(head, |head, (name, value)| head.attribute(name, value))
        };
        // s3s divides the header's lines, and not the list in a line.
        let wanted: Vec<&str> = input.object_attributes.iter().flat_map(|list| list.as_str().split(',')).collect();
        let wants = |name: &str| wanted.iter().any(|wanted| wanted.trim() == name);
        let info = match head(wants("Checksum").then_some((CHECKSUM_MODE, "true"))).await {
            Err(sandbucket::Error::Unsupported(_)) if wants("Checksum") => head(None).await,
            outcome => outcome,
        };
        let info = match info {
            Ok(info) => info,
            Err(error) => {
                let name = blob_name(&key, input.version_id.as_ref());
                return Err(refused(&scope, &error, &name, &request.headers, &attributes).await);
            }
        };
        // A service reports the number of parts in a HEAD of a part.
        let in_parts = info.etag.as_deref().is_some_and(|etag| etag.contains('-'));
        let first = if wants("ObjectParts") && in_parts {
            let first = head(Some((PART_NUMBER, "1")));
            let first = info.etag.iter().fold(first, |first, etag| first.if_match(etag));
            // It is not worth an error: that of the tag, of all attributes but this one, was found.
            first.await.ok()
        } else {
            None
        };
        let parts = first.and_then(|first| attribute(&first, "parts-count")).and_then(count);
        let parts = parts.map(|parts| GetObjectAttributesParts {
            total_parts_count: Some(parts),
            ..GetObjectAttributesParts::default()
        });
        let mut checksum = Checksum::default();
        checksums!(checksum, &info);
        let class = attribute(&info, "storage-class").unwrap_or_else(|| "STANDARD".to_owned());
        let size = info.known_size().and_then(|size| i64::try_from(size).ok());
        Ok(S3Response::new(GetObjectAttributesOutput {
            checksum: Some(checksum).filter(|sum| wants("Checksum") && *sum != Checksum::default()),
            e_tag: info.etag.as_deref().map(super::attributes::etag).filter(|_| wants("ETag")),
            last_modified: info.last_modified.and_then(super::attributes::timestamp),
            object_parts: parts.filter(|_| wants("ObjectParts")),
            object_size: size.filter(|_| wants("ObjectSize")),
            storage_class: wants("StorageClass").then(|| class.into()),
            version_id: info.version.clone(),
            ..GetObjectAttributesOutput::default()
        }))
    }

    /// Redirects a read of at least the configured length to the tenant's service. The blob's length is asked for first, and
    /// conditions are checked by the service.
    ///
    /// # Errors
    /// `TemporaryRedirect`, which is S3's form of a redirect.
    async fn redirect(&self, scope: &Scope, key: &str, request: &S3Request<GetObjectInput>) -> S3Result<()> {
        let input = &request.input;
        let Some(redirect) = &self.shared.redirect else { return Ok(()) };
        // A customer key would go to another host; the owner and overridden headers are not presigned.
        let plain = input.sse_customer_key.is_none()
            && input.expected_bucket_owner.is_none()
            && input.part_number.is_none()
            && !request.uri.query().is_some_and(|query| query.contains("response-"));
        if !plain {
            return Ok(());
        }
        let length = match input.range {
            Some(Range::Int { first, last: Some(last) }) => last.saturating_sub(first).saturating_add(1),
            Some(Range::Suffix { length }) => length,
            _ => u64::MAX,
        };
        if length < redirect.above {
            return Ok(());
        }
        let mut head = scope.store.head(key);
        let mut presign = scope.store.presign(PresignedMethod::Get, key).expires(redirect.expires);
        if let Some(version) = &input.version_id {
            (head, presign) = (head.version(version), presign.version(version));
        }
        let info = head.await.map_err(|error| scope.error(&error))?;
        if info.known_size().is_none_or(|size| size.min(length) < redirect.above) {
            return Ok(());
        }
        let presigned = presign.await.map_err(|error| scope.error(&error))?;
        // The client would have to send these headers.
        if !presigned.headers.is_empty() {
            return Ok(());
        }
        let location = HeaderValue::try_from(presigned.url).map_err(S3Error::internal_error)?;
        let mut error =
            s3_error!(TemporaryRedirect, "Please re-send this request to the specified temporary endpoint.");
        error.set_status_code(StatusCode::TEMPORARY_REDIRECT);
        error.set_headers(HeaderMap::from_iter([
            (header::LOCATION, location),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ]));
        Err(error)
    }
}

fn blob_name(key: &str, version: Option<&ObjectVersionId>) -> BlobName {
    version.iter().fold(BlobName::new(key), |name, version| name.version(version.as_str()))
}

fn byte_range(range: Range) -> S3Result<ByteRange> {
    Ok(match range {
        Range::Int { first, last: None } => ByteRange::From(first),
        Range::Int { first, last: Some(last) } => ByteRange::Within(first..last.saturating_add(1)),
        Range::Suffix { length: 0 } => {
            return Err(s3_error!(InvalidRange, "The requested range is not satisfiable"));
        }
        Range::Suffix { length } => ByteRange::Last(length),
    })
}

/// The attribute of a read that is to report the checksums that the service stores.
const CHECKSUM_MODE: &str = "checksum-mode";

/// Removes the request for checksums, of which the plugin of another protocol knows nothing. False if there is none.
fn drop_checksum_mode(attributes: &mut Attributes) -> bool {
    let before = attributes.len();
    attributes.retain(|(name, _)| *name != CHECKSUM_MODE);
    attributes.len() < before
}

/// The attribute of a HEAD of a part, and that of its response.
const PART_NUMBER: &str = "part-number";
const PART_RANGE: &str = "part-range";

/// The place of a part in a blob: the one that the service reports. `None` if it is all of it: a blob that was not uploaded in parts
/// has one part, itself. A service that reports none shows by its entity tag whether there are parts, as S3's has a `-` then.
///
/// # Errors
/// `InvalidPartNumber` if there is no such part, `NotImplemented` if the service does not say where it is.
fn part_range(number: i32, info: &BlobInfo) -> S3Result<Option<std::ops::Range<u64>>> {
    let range = attribute(info, PART_RANGE);
    let range = range.as_deref().and_then(|range| range.split_once('-'));
    let range = range.and_then(|(first, last)| Some(first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?));
    if let Some(range) = range.filter(|range| range.start < range.end) {
        return Ok(Some(range));
    }
    match number {
        _ if info.etag.as_deref().is_some_and(|etag| etag.contains('-')) => Err(not_implemented()),
        1 => Ok(None),
        _ => Err(no_such_part()),
    }
}

/// Whether the checksums in the response to the HEAD of a part are those of the part. A blob's own is that of its parts' checksums,
/// and ends in their number then; with any other type, one cannot tell.
fn sums_part(part: &BlobInfo) -> bool {
    let of_blob = |(name, value): &(String, String)| {
        name.starts_with("checksum-") && name != "checksum-type" && value.contains('-')
    };
    attribute(part, PART_RANGE).is_some()
        && attribute(part, "checksum-type").as_deref() == Some("COMPOSITE")
        && !part.attributes.iter().any(of_blob)
}

fn no_such_part() -> S3Error {
    custom("InvalidPartNumber", StatusCode::RANGE_NOT_SATISFIABLE, "The requested partnumber is not satisfiable")
}

/// The error of a HEAD of a part, which has no code.
fn no_part(error: S3Error) -> S3Error {
    if error.code().as_str() == "InvalidRange" { no_such_part() } else { error }
}

/// The error of a read. The response `304` has the blob's ETag: the one that the client has, or else the service's. That to a HEAD
/// has no code: the error of a GET of one byte has, so that a missing customer key and an expired token are distinguished.
async fn refused(
    scope: &Scope,
    error: &sandbucket::Error,
    blob: &BlobName,
    headers: &HeaderMap,
    attributes: &Attributes,
) -> S3Error {
    let BlobName { key, version, .. } = blob;
    let response = error.failure().and_then(|failure| failure.response.as_ref());
    if response.is_some_and(|response| response.status == 400 && response.code.is_none()) {
        let get = version.iter().fold(scope.store.get(key).range(0..1), |get, version| get.version(version));
        let attributes = attributes.iter().filter(|(name, _)| ![PART_NUMBER, CHECKSUM_MODE].contains(name));
        let get = attributes.fold(get, |get, (name, value)| get.attribute(*name, value));
        if let Err(explained) = get.await {
            return scope.error(&explained);
        }
    }
    let mut converted = scope.error(error);
    if converted.code().as_str() != "NotModified" {
        return converted;
    }
    let single = |etag: &&HeaderValue| etag.as_bytes().iter().filter(|byte| **byte == b'"').count() == 2;
    let etag = match headers.get(header::IF_NONE_MATCH).filter(single) {
        Some(etag) => Some(etag.clone()),
        None => {
            let info = scope.store.head(key).await.ok();
            info.and_then(|info| info.etag).and_then(|etag| HeaderValue::try_from(etag).ok())
        }
    };
    if let Some(etag) = etag {
        converted.set_headers(HeaderMap::from_iter([(header::ETAG, etag)]));
    }
    converted
}

/// Adds the stored `Expires`, which may be any text, unless the client overrides it.
fn with_expires<T>(mut response: S3Response<T>, expires: Option<String>, overridden: bool) -> S3Response<T> {
    if let Some(expires) = expires.filter(|_| !overridden).and_then(|text| HeaderValue::try_from(text).ok()) {
        response.headers.insert(header::EXPIRES, expires);
    }
    response
}

/// Sets the headers that a HEAD is to have instead of the stored ones, which s3s does for `GetObject` only.
fn override_headers(headers: &mut HeaderMap, input: &HeadObjectInput) -> S3Result<()> {
    let mut overridden = Attributes::new();
    push(&mut overridden, "content-type", input.response_content_type.clone());
    push(&mut overridden, "content-language", input.response_content_language.clone());
    push(&mut overridden, "cache-control", input.response_cache_control.clone());
    push(&mut overridden, "content-disposition", input.response_content_disposition.clone());
    push(&mut overridden, "content-encoding", input.response_content_encoding.clone());
    let expires = input.response_expires.as_ref();
    let expires = expires.and_then(|time| super::attributes::time_text(time, TimestampFormat::HttpDate));
    push(&mut overridden, "expires", expires);
    for (name, value) in overridden {
        let value =
            HeaderValue::try_from(value).map_err(|_| s3_error!(InvalidArgument, "Invalid response-{}", name))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(())
}

/// A blob as the body of a response.
struct BlobBody {
    /// For `Sync`: it is only ever used through `&mut`, without locking.
    blob: Mutex<Blob>,
    left: Option<usize>,
}

impl BlobBody {
    fn new(blob: Blob) -> Self {
        let range = blob.range();
        let known = blob.info().known_size().map(|_| range.end - range.start);
        BlobBody { blob: Mutex::new(blob), left: known.and_then(|length| usize::try_from(length).ok()) }
    }
}

impl Stream for BlobBody {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let blob = this.blob.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let polled = Pin::new(blob).poll_next(cx);
        if let (Poll::Ready(Some(Ok(piece))), Some(left)) = (&polled, &mut this.left) {
            *left = left.saturating_sub(piece.len());
        }
        polled.map_err(|error| Box::new(error) as StdError)
    }
}

impl ByteStream for BlobBody {
    fn remaining_length(&self) -> RemainingLength {
        self.left.map_or_else(RemainingLength::unknown, RemainingLength::new_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_of_a_read_is_rejected() {
        let headers =
            |name: &'static str| HeaderMap::from_iter([(HeaderName::from_static(name), "AES256".parse().unwrap())]);
        assert!(check_encryption(&headers("x-amz-server-side-encryption")).is_err());
        assert!(check_encryption(&headers("x-amz-server-side-encryption-customer-algorithm")).is_ok());
    }

    #[test]
    fn checksum_of_a_part_is_composite_and_without_a_number() {
        let part = |kind: &str, sum: &str, range: bool| {
            let mut info = BlobInfo::default();
            info.attributes = vec![("checksum-type".into(), kind.into()), ("checksum-crc32".into(), sum.into())];
            info.attributes.extend(range.then(|| (PART_RANGE.to_owned(), "0-4".to_owned())));
            info
        };
        assert!(sums_part(&part("COMPOSITE", "AAAAAA==", true)));
        assert!(!sums_part(&part("COMPOSITE", "AAAAAA==-3", true)));
        assert!(!sums_part(&part("FULL_OBJECT", "AAAAAA==", true)));
        assert!(!sums_part(&part("COMPOSITE", "AAAAAA==", false)));
    }
}
