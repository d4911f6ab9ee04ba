//! Operations on one blob: head, get, put, delete and tags.

use std::ops::Range;
use std::time::SystemTime;

use http::HeaderValue;
use s3s::checksum::ChecksumHasher;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, TrailingHeaders, s3_error};

use super::{DEFAULT_TYPE, Objects, internal, metadata_fits, no_version};
use crate::conditions::{ReadConditions, plain_range};
use crate::digests::{self, Expected, expected_of};
use crate::extras::{Extras, check_tags, extras_of};
use crate::storage;
use crate::stored::{self, Properties, Sums, properties_of};

/// A body to store.
#[derive(Default)]
pub(super) struct Incoming {
    pub body: Option<StreamingBlob>,
    pub expected: Expected,
    /// The checksum to compute, which may arrive in a trailer.
    pub algorithm: Option<ChecksumAlgorithm>,
    pub trailers: Option<TrailingHeaders>,
    /// The date to store; `None` for the current time.
    pub modified: Option<SystemTime>,
}

/// The header field of that name; none of an empty range.
fn content_range(range: &Range<u64>, size: u64) -> Option<String> {
    (!range.is_empty()).then(|| format!("bytes {}-{}/{size}", range.start, range.end - 1))
}

fn hasher_of(algorithm: Option<&ChecksumAlgorithm>) -> S3Result<ChecksumHasher> {
    let mut hasher = ChecksumHasher::default();
    match algorithm.map(ChecksumAlgorithm::as_str) {
        None => {}
        Some(ChecksumAlgorithm::CRC32) => hasher.crc32 = Some(Default::default()),
        Some(ChecksumAlgorithm::CRC32C) => hasher.crc32c = Some(Default::default()),
        Some(ChecksumAlgorithm::CRC64NVME) => hasher.crc64nvme = Some(Default::default()),
        Some(ChecksumAlgorithm::SHA1) => hasher.sha1 = Some(Default::default()),
        Some(ChecksumAlgorithm::SHA256) => hasher.sha256 = Some(Default::default()),
        Some(_) => return Err(s3_error!(NotImplemented, "This checksum algorithm is not implemented")),
    }
    Ok(hasher)
}

/// Extracts the preconditions from a read's input.
macro_rules! conditions_of {
    ($input:expr) => {
        ReadConditions {
            if_match: $input.if_match.take(),
            if_none_match: $input.if_none_match.take(),
            if_modified_since: $input.if_modified_since.take(),
            if_unmodified_since: $input.if_unmodified_since.take(),
        }
    };
}

/// Fills in the side data of a blob.
macro_rules! tell {
    ($output:expr, $extras:expr) => {
        $output.storage_class = $extras.reported_class();
        $output.server_side_encryption = $extras.reported_encryption();
        $output.ssekms_key_id = $extras.kms_key.clone();
        $output.sse_customer_algorithm = $extras.customer_key.as_ref().map(|_| "AES256".to_owned());
        $output.sse_customer_key_md5 = $extras.customer_key.clone();
        $output.accept_ranges = Some("bytes".to_owned());
    };
}

/// Fills in a blob's properties.
macro_rules! tell_properties {
    ($output:expr, $found:expr) => {
        let properties = &$found.properties;
        $output.content_type = properties.content_type.clone();
        $output.content_encoding = properties.content_encoding.clone();
        $output.content_disposition = properties.content_disposition.clone();
        $output.content_language = properties.content_language.clone();
        $output.cache_control = properties.cache_control.clone();
        $output.expires = properties.expires();
        $output.website_redirect_location = properties.website_redirect_location.clone();
        $output.metadata = properties.user_metadata.clone();
        $output.last_modified = Some($found.modified.clone());
        $output.e_tag = Some($found.e_tag.clone());
    };
}

/// Fills in checksums, if requested.
macro_rules! tell_checksums {
    ($output:expr, $sums:expr) => {
        $output.checksum_crc32 = $sums.checksum_crc32.clone();
        $output.checksum_crc32c = $sums.checksum_crc32c.clone();
        $output.checksum_crc64nvme = $sums.checksum_crc64nvme.clone();
        $output.checksum_sha1 = $sums.checksum_sha1.clone();
        $output.checksum_sha256 = $sums.checksum_sha256.clone();
    };
}

impl Objects {
    pub(super) async fn head(&self, mut input: HeadObjectInput) -> S3Result<S3Response<HeadObjectOutput>> {
        let name = self.keys.name(&input.key);
        let _guard = self.locks.read(&input.bucket, &name).await;
        let found = self.look(&input.bucket, &name)?;
        no_version(input.version_id.as_ref())?;
        let extras = self.extras(&input.bucket, &name);
        extras.opens_for(input.sse_customer_key_md5.as_ref())?;
        conditions_of!(input).check(Some(&found.e_tag), Some(&found.modified))?;
        let part = input.part_number.map(|number| extras.part(number, found.size)).transpose()?;
        let length = part.as_ref().map_or(found.size, |part| part.end - part.start);
        let mut output = HeadObjectOutput { content_length: i64::try_from(length).ok(), ..HeadObjectOutput::default() };
        tell_properties!(output, found);
        tell!(output, extras);
        if input.checksum_mode.is_some() && length == found.size {
            tell_checksums!(output, found.sums);
        }
        if let Some(part) = part {
            output.parts_count = extras.parts_count();
            output.content_range = content_range(&part, found.size);
        }
        let mut response = S3Response::new(output);
        if let Some(count) = extras.tag_count() {
            response.headers.insert("x-amz-tagging-count", HeaderValue::from(count));
        }
        Ok(response)
    }

    pub(super) async fn get(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let mut input = request.input;
        let name = self.keys.name(&input.key);
        // Held until the file is open: later writes create another file.
        let _guard = self.locks.read(&input.bucket, &name).await;
        let found = self.look(&input.bucket, &name)?;
        no_version(input.version_id.as_ref())?;
        let extras = self.extras(&input.bucket, &name);
        extras.opens_for(input.sse_customer_key_md5.as_ref())?;
        conditions_of!(input).check(Some(&found.e_tag), Some(&found.modified))?;
        let mut output = GetObjectOutput::default();
        tell_properties!(output, found);
        tell!(output, extras);
        let span = match (input.range, input.part_number) {
            (None, None) => None,
            (Some(range), None) => Some(plain_range(range, found.size)?.check(found.size)?),
            (None, Some(number)) => {
                output.parts_count = extras.parts_count();
                Some(extras.part(number, found.size)?)
            }
            (Some(_), Some(_)) => {
                let words = "Cannot specify both Range header and partNumber query parameter";
                return Err(s3_error!(InvalidRequest, "{}", words));
            }
        };
        output.content_range = span.as_ref().and_then(|span| content_range(span, found.size));
        let (start, end) = span.map_or((0, found.size), |span| (span.start, span.end));
        output.content_length = i64::try_from(end - start).ok();
        output.tag_count = extras.tag_count();
        // Checksums cover the whole blob.
        if input.checksum_mode.is_some() && end - start == found.size {
            tell_checksums!(output, found.sums);
        }
        output.body = Some(found.body(start, end - start).map_err(internal)?);
        Ok(S3Response::new(output))
    }

    pub(super) async fn put(&self, mut request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut request.input;
        metadata_fits(input.metadata.as_ref())?;
        input.content_type.get_or_insert_with(|| DEFAULT_TYPE.to_owned());
        let (if_match, if_none_match) = (input.if_match.take(), input.if_none_match.take());
        let bucket = input.bucket.clone();
        self.bucket(&bucket)?;
        let extras = extras_of!(input);
        let properties = properties_of!(input);
        let name = self.keys.name_for_writing(&input.key).map_err(internal)?;
        let body = Incoming {
            body: input.body.take(),
            expected: expected_of!(input),
            algorithm: input.checksum_algorithm.take(),
            trailers: request.trailing_headers.take(),
            modified: None,
        };
        let _guard = self.locks.write(&bucket, &name).await;
        self.may_write(&bucket, &name, if_match.as_ref(), if_none_match.as_ref())?;
        let sums = self.write(&bucket, &name, body, &properties).await?;
        let extras = Extras { etag: sums.e_tag.clone(), ..extras };
        self.keep(&extras, &bucket, &name)?;
        let mut output = PutObjectOutput {
            e_tag: sums.e_tag.clone().map(ETag::Strong),
            server_side_encryption: extras.reported_encryption(),
            ssekms_key_id: extras.kms_key,
            ..PutObjectOutput::default()
        };
        tell_checksums!(output, sums);
        Ok(S3Response::new(output))
    }

    /// Writes a blob's file and its side files. The caller holds the lock.
    pub(super) async fn write(
        &self,
        bucket: &str,
        name: &str,
        incoming: Incoming,
        properties: &Properties,
    ) -> S3Result<Sums> {
        let Incoming { body, expected, algorithm, trailers, modified } = incoming;
        let mut checksum = expected.checksum.clone();
        let mut hasher = hasher_of(algorithm.as_ref())?;
        let file = self.storage.temporary().map_err(internal)?;
        let (md5, _) = digests::write(body, expected, &file.file, |piece| hasher.update(piece)).await?;
        let made = hasher.finalize();
        let trailers = trailers.and_then(|trailers| trailers.take()).unwrap_or_default();
        for (header, made, given) in [
            ("x-amz-checksum-crc32", made.checksum_crc32, &mut checksum.checksum_crc32),
            ("x-amz-checksum-crc32c", made.checksum_crc32c, &mut checksum.checksum_crc32c),
            ("x-amz-checksum-crc64nvme", made.checksum_crc64nvme, &mut checksum.checksum_crc64nvme),
            ("x-amz-checksum-sha1", made.checksum_sha1, &mut checksum.checksum_sha1),
            ("x-amz-checksum-sha256", made.checksum_sha256, &mut checksum.checksum_sha256),
        ] {
            let trailer = trailers.get(header).map(|value| value.to_str().unwrap_or_default());
            if made.as_deref().zip(trailer).is_some_and(|(made, trailer)| made != trailer) {
                return Err(digests::bad_digest());
            }
            *given = given.take().or(made);
        }
        if let Some(modified) = modified {
            file.file.set_modified(modified).map_err(internal)?;
        }
        let sums = Sums::new(md5, checksum);
        file.keep(&self.bucket(bucket)?, name).map_err(internal)?;
        stored::keep(&self.storage, bucket, name, properties, &sums).map_err(internal)?;
        Ok(sums)
    }

    pub(super) async fn delete(&self, input: DeleteObjectInput) -> S3Result<S3Response<DeleteObjectOutput>> {
        no_version(input.version_id.as_ref())?;
        let (bucket, name) = (input.bucket, self.keys.name(&input.key));
        let _guard = self.locks.write(&bucket, &name).await;
        self.may_write(&bucket, &name, input.if_match.as_ref(), None)?;
        storage::remove(&self.bucket(&bucket)?, &name).map_err(internal)?;
        Extras::remove(&self.storage, &bucket, &name);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    pub(super) async fn delete_several(&self, input: DeleteObjectsInput) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.bucket(&input.bucket)?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            let one = DeleteObjectInput {
                bucket: input.bucket.clone(),
                key: object.key.clone(),
                version_id: object.version_id.clone(),
                ..Default::default()
            };
            let (key, version_id) = (Some(object.key), object.version_id);
            match self.delete(one).await {
                Ok(_) => deleted.push(DeletedObject { key, version_id, ..Default::default() }),
                Err(error) => errors.push(Error {
                    key,
                    version_id,
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                }),
            }
        }
        let deleted = if input.delete.quiet == Some(true) { None } else { Some(deleted) };
        Ok(S3Response::new(DeleteObjectsOutput { deleted, errors: Some(errors), ..Default::default() }))
    }

    /// Returns a blob's tags, after replacing them if new ones are given.
    pub(super) async fn tags(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&ObjectVersionId>,
        set: Option<Vec<(String, String)>>,
    ) -> S3Result<Vec<(String, String)>> {
        let name = self.keys.name(key);
        let _guard = self.locks.write(bucket, &name).await;
        self.look(bucket, &name)?;
        no_version(version)?;
        let mut extras = self.extras(bucket, &name);
        if let Some(tags) = set {
            check_tags(&tags)?;
            extras.tags = tags;
            self.keep(&extras, bucket, &name)?;
        }
        // As S3 lists them.
        extras.tags.sort();
        Ok(extras.tags)
    }
}
