//! Multipart uploads.

use std::time::Duration;

use futures::StreamExt as _;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use sandbucket::{Part as StorePart, Store};

use super::attributes::{
    Attributes, attribute_of, customer_key, encryption, etag, push, source_key, timestamp, write_attributes,
};
use super::body::{VerifiedBody, check_md5, declared};
use super::copy::{source, source_conditions};
use super::list::{TextEncoding, common, marker_of, page_size, some_list, token_in};
use super::write::{Prepared, body_length, condition, prepare, with_condition, with_properties};
use super::{Front, not_implemented};

/// Time after which the response to a completion begins, so that the client does not give up waiting: from then on, spaces are
/// sent, and an error is in the document, as at S3.
const RESPOND_AFTER: Duration = Duration::from_secs(10);
/// Maximum number of a part.
const MAX_PART: i32 = 10_000;

impl Front {
    pub(super) async fn create_multipart_upload(
        &self,
        mut request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let scope = self.scope(&request, &request.input.bucket, "CreateMultipartUpload").await?;
        let input = &mut request.input;
        let key = scope.key(&input.key)?;
        let mut attributes = write_attributes!(input);
        push(&mut attributes, "tags", input.tagging.take().filter(|tags| !tags.is_empty()));
        let mut output = CreateMultipartUploadOutput::default();
        encryption!(output, attributes);
        let mut create = scope.store.create_upload(key);
        with_properties!(create, input);
        for (name, value) in attributes {
            create = create.attribute(name, value);
        }
        let upload_id = create.await.map_err(|error| scope.error(&error))?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(upload_id),
            checksum_algorithm: input.checksum_algorithm.take(),
            checksum_type: input.checksum_type.take(),
            sse_customer_algorithm: input.sse_customer_algorithm.take(),
            sse_customer_key_md5: input.sse_customer_key_md5.take(),
            ..output
        }))
    }

    pub(super) async fn upload_part(
        &self,
        mut request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        // The service gets its own checksum of a part, if any: it rejects one that the upload was not created with.
        check_md5(&request.headers)?;
        let declared = declared!(request);
        let length = body_length(&request.headers, request.input.content_length)?;
        let scope = self.scope(&request, &request.input.bucket, "UploadPart").await?;
        let input = &mut request.input;
        let (key, number) = (scope.key(&input.key)?, part_number(input.part_number)?);
        let mut attributes = Attributes::new();
        customer_key!(&mut attributes, input);
        let body = VerifiedBody::new(input.body.take(), declared);
        let Prepared { body, outcome, memory, .. } = prepare(&self.shared, &scope, body, length, false, true).await?;
        let mut upload = scope.store.upload_part(key, &input.upload_id, number, body);
        for (name, value) in attributes {
            upload = upload.attribute(name, value);
        }
        let part = upload.await.map_err(|error| outcome.error().unwrap_or_else(|| scope.error(&error)))?;
        drop(memory);
        let sums = outcome.checksum();
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(etag(&part.etag)),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            sse_customer_algorithm: input.sse_customer_algorithm.take(),
            sse_customer_key_md5: input.sse_customer_key_md5.take(),
            ..UploadPartOutput::default()
        }))
    }

    pub(super) async fn upload_part_copy(
        &self,
        mut request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let scope = self.scope(&request, &request.input.bucket, "UploadPartCopy").await?;
        let input = &mut request.input;
        let (key, number) = (scope.key(&input.key)?, part_number(input.part_number)?);
        let from = source(&scope, &input.copy_source)?;
        let mut attributes = Attributes::new();
        customer_key!(&mut attributes, input);
        source_key!(&mut attributes, input);
        let mut copy = scope.store.copy_part(key, &input.upload_id, number, from);
        source_conditions!(copy, input);
        if let Some(range) = input.copy_source_range.as_deref() {
            copy = copy.range(source_range(range)?);
        }
        for (name, value) in attributes {
            copy = copy.attribute(name, value);
        }
        let part = copy.await.map_err(|error| scope.error(&error))?;
        let result = CopyPartResult {
            e_tag: Some(etag(&part.etag)),
            last_modified: part.last_modified.and_then(timestamp),
            ..CopyPartResult::default()
        };
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(result),
            sse_customer_algorithm: input.sse_customer_algorithm.take(),
            sse_customer_key_md5: input.sse_customer_key_md5.take(),
            ..UploadPartCopyOutput::default()
        }))
    }

    pub(super) async fn complete_multipart_upload(
        &self,
        mut request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let mut condition = condition(&request.headers)?;
        let scope = self.scope(&request, &request.input.bucket, "CompleteMultipartUpload").await?;
        let input = &mut request.input;
        let key = scope.key(&input.key)?;
        let parts = completed(input.multipart_upload.take().and_then(|upload| upload.parts).unwrap_or_default())?;
        let mut attributes = Attributes::new();
        customer_key!(&mut attributes, input);
        condition.resolve(&scope, &key, &attributes).await?;
        let (bucket, client_key, upload) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
        let output = |written: sandbucket::Written| CompleteMultipartUploadOutput {
            location: Some(format!("/{bucket}/{client_key}")),
            bucket: Some(bucket.clone()),
            key: Some(client_key.clone()),
            e_tag: written.etag.as_deref().map(etag),
            version_id: written.version,
            ..CompleteMultipartUploadOutput::default()
        };
        let run = async move {
            let parts = with_checksums(&scope.store, &key, &upload, parts).await;
            let mut complete = scope.store.complete_upload(key, upload, parts);
            with_condition!(complete, condition);
            for (name, value) in attributes {
                complete = complete.attribute(name, value);
            }
            complete.await.map_err(|error| condition.failed(scope.error(&error)))
        };
        let mut run = tokio::spawn(run);
        let ended = |joined: Result<S3Result<sandbucket::Written>, tokio::task::JoinError>| {
            joined.map_err(s3s::S3Error::internal_error).flatten()
        };
        if let Ok(done) = tokio::time::timeout(RESPOND_AFTER, &mut run).await {
            return Ok(S3Response::new(output(ended(done)?)));
        }
        let (bucket, client_key) = (bucket.clone(), client_key.clone());
        let late = async move {
            let written = ended(run.await)?;
            Ok(CompleteMultipartUploadOutput {
                location: Some(format!("/{bucket}/{client_key}")),
                bucket: Some(bucket),
                key: Some(client_key),
                e_tag: written.etag.as_deref().map(etag),
                version_id: written.version,
                ..CompleteMultipartUploadOutput::default()
            })
        };
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            future: Some(Box::pin(late)),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = &request.input;
        let scope = self.scope(&request, &input.bucket, "AbortMultipartUpload").await?;
        if input.if_match_initiated_time.is_some() {
            return Err(not_implemented());
        }
        let key = scope.key(&input.key)?;
        let mut list = scope.store.list_parts(&key, &input.upload_id).page_size(1);
        let mut abort = scope.store.abort_upload(key, &input.upload_id);
        if let Some(owner) = &input.expected_bucket_owner {
            list = list.attribute("expected-bucket-owner", owner);
            abort = abort.attribute("expected-bucket-owner", owner);
        }
        // The library's abort succeeds if there is no such upload, and S3's does not.
        if let Err(error @ sandbucket::Error::NotFound(_)) = list.await {
            return Err(scope.error(&error));
        }
        abort.await.map_err(|error| scope.error(&error))?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(super) async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let mut input = request.input.clone();
        let scope = self.scope(&request, &input.bucket, "ListParts").await?;
        let size = page_size(input.max_parts)?;
        let marker = input.part_number_marker.unwrap_or(0);
        if marker < 0 {
            return Err(s3_error!(
                InvalidArgument,
                "Argument part-number-marker must be an integer between 0 and 2147483647"
            ));
        }
        let mut list = scope.store.list_parts(scope.key(&input.key)?, &input.upload_id);
        let mut attributes = Attributes::new();
        customer_key!(&mut attributes, input);
        for (name, value) in attributes {
            list = list.attribute(name, value);
        }
        // The library's tokens are opaque, and the marker is a number: parts up to it are skipped.
        let mut all = list.parts();
        let (mut parts, mut more) = (Vec::new(), false);
        let limit = usize::try_from(size).unwrap_or(0);
        while let Some(part) = all.next().await {
            let part = part.map_err(|error| scope.error(&error))?;
            if i64::from(part.number) <= i64::from(marker) {
                continue;
            }
            if parts.len() == limit {
                more = true;
                break;
            }
            parts.push(part);
        }
        let next = parts.last().and_then(|part| i32::try_from(part.number).ok());
        let parts = parts.into_iter().map(|part| {
            let get = |name: &str| attribute_of(&part.attributes, name);
            Part {
                checksum_crc32: get("checksum-crc32"),
                checksum_crc32c: get("checksum-crc32c"),
                checksum_crc64nvme: get("checksum-crc64nvme"),
                checksum_sha1: get("checksum-sha1"),
                checksum_sha256: get("checksum-sha256"),
                e_tag: Some(etag(&part.etag)),
                last_modified: part.last_modified.and_then(timestamp),
                part_number: i32::try_from(part.number).ok(),
                size: i64::try_from(part.size).ok(),
            }
        });
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            is_truncated: Some(more && limit > 0),
            max_parts: Some(size),
            part_number_marker: Some(marker),
            next_part_number_marker: next,
            parts: some_list(parts.collect()),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..ListPartsOutput::default()
        }))
    }

    pub(super) async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = &request.input;
        let scope = self.scope(&request, &input.bucket, "ListMultipartUploads").await?;
        let encoding = TextEncoding::of(input.encoding_type.as_ref())?;
        let size = page_size(input.max_uploads)?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
        scope.permit_listing(prefix)?;
        let token = token_in(input.upload_id_marker.as_ref())?;
        let key_marker = input.key_marker.as_deref().filter(|key| token.is_none() && !key.is_empty());
        let mut list =
            scope.store.list_uploads(scope.inside(prefix)).page_size(u32::try_from(size.max(1)).unwrap_or(1));
        if let Some(token) = token {
            list = list.continuation(token);
        }
        let page = if size == 0 { Default::default() } else { list.await.map_err(|error| scope.error(&error))? };
        let (mut uploads, mut prefixes) = (Vec::new(), Vec::<String>::new());
        let mut last = None;
        for upload in page.uploads {
            let Some(key) = scope.outside(&upload.key) else { continue };
            last = Some(key.clone());
            if key_marker.is_some_and(|marker| key.as_str() <= marker) {
                continue;
            }
            let rest = key.strip_prefix(prefix).unwrap_or_default();
            let folded = delimiter.and_then(|d| rest.find(d).map(|at| prefix.len() + at + d.len()));
            if let Some(end) = folded {
                if prefixes.last().map(String::as_str) != Some(&key[..end]) {
                    prefixes.push(key[..end].to_owned());
                }
                continue;
            }
            uploads.push(MultipartUpload {
                initiated: upload.initiated.and_then(timestamp),
                key: Some(encoding.text(key)),
                upload_id: Some(upload.id),
                storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
                ..MultipartUpload::default()
            });
        }
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket.clone()),
            common_prefixes: some_list(prefixes.into_iter().map(|prefix| common(prefix, encoding)).collect()),
            delimiter: encoding.opt(input.delimiter.clone()),
            encoding_type: input.encoding_type.clone(),
            is_truncated: Some(page.next.is_some()),
            key_marker: Some(encoding.text(input.key_marker.clone().unwrap_or_default())),
            max_uploads: Some(size),
            next_key_marker: page.next.as_ref().and(last).map(|key| encoding.text(key)),
            next_upload_id_marker: page.next.as_deref().map(marker_of),
            prefix: Some(encoding.text(prefix.to_owned())),
            upload_id_marker: Some(input.upload_id_marker.clone().unwrap_or_default()),
            uploads: some_list(uploads),
            ..ListMultipartUploadsOutput::default()
        }))
    }
}

pub(super) fn part_number(number: i32) -> S3Result<u32> {
    match number {
        1..=MAX_PART => Ok(number.unsigned_abs()),
        _ => Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive")),
    }
}

/// The parts of a completion, in their order.
fn completed(parts: Vec<CompletedPart>) -> S3Result<Vec<StorePart>> {
    let malformed = || {
        s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        )
    };
    if parts.is_empty() {
        return Err(malformed());
    }
    let mut converted: Vec<StorePart> = Vec::with_capacity(parts.len().min(10_000));
    for part in parts {
        let (Some(number), Some(etag)) = (part.part_number, part.e_tag) else { return Err(malformed()) };
        let number = part_number(number)?;
        if converted.last().is_some_and(|last| last.number >= number) {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part number."
            ));
        }
        converted.push(StorePart::new(number, format!("\"{}\"", etag.value())));
    }
    Ok(converted)
}

/// Adds the checksums of the parts, which a service requires if the store sends checksums. The gateway keeps no state between
/// the requests of an upload, so it asks the service. If that fails, so does the completion, with the better error.
async fn with_checksums(store: &Store, key: &str, upload: &str, mut parts: Vec<StorePart>) -> Vec<StorePart> {
    if store.sends_streams() {
        return parts;
    }
    let mut known = store.list_parts(key, upload).parts();
    while let Some(Ok(part)) = known.next().await {
        if let Ok(n) = parts.binary_search_by_key(&part.number, |part| part.number) {
            parts[n].attributes.extend(part.attributes.into_iter().filter(|(name, _)| name.starts_with("checksum-")));
        }
    }
    parts
}

/// Parses `bytes=first-last`.
fn source_range(text: &str) -> S3Result<std::ops::Range<u64>> {
    let span = text.strip_prefix("bytes=").and_then(|span| span.split_once('-'));
    match span.and_then(|(first, last)| Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?))) {
        Some((first, last)) if first <= last && last < u64::MAX => Ok(first..last + 1),
        _ => Err(s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
             zero-based offsets of the first and last bytes to copy"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_completion_are_checked() {
        let part = |number: i32, etag: Option<&str>| CompletedPart {
            part_number: Some(number),
            e_tag: etag.map(|etag| ETag::Strong(etag.to_owned())),
            ..CompletedPart::default()
        };
        let good = completed(vec![part(1, Some("a")), part(3, Some("b"))]).unwrap();
        assert_eq!(
            good.iter().map(|part| (part.number, part.etag.as_str())).collect::<Vec<_>>(),
            [(1, "\"a\""), (3, "\"b\"")]
        );
        for (parts, code) in [
            (vec![], "MalformedXML"),
            (vec![part(1, None)], "MalformedXML"),
            (vec![part(2, Some("a")), part(2, Some("b"))], "InvalidPartOrder"),
            (vec![part(0, Some("a"))], "InvalidArgument"),
            (vec![part(10_001, Some("a"))], "InvalidArgument"),
        ] {
            assert_eq!(completed(parts).unwrap_err().code().as_str(), code);
        }
        assert_eq!(source_range("bytes=0-4").unwrap(), 0..5);
        for text in ["bytes=4-0", "0-4", "bytes=0-", "bytes=0-18446744073709551615"] {
            assert!(source_range(text).is_err(), "{text}");
        }
    }
}
