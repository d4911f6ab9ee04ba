//! The S3 operations on the files of one folder.

use std::io;

use cap_std::fs::Dir;
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::conditions::names;
use super::extras::Extras;
use super::keys::Keys;
use super::list;
use super::locks::Locks;
use super::storage::Storage;
use super::stored::Stored;
use super::uploads::Uploads;

mod blobs;
mod copies;
mod parts;

/// S3's default media type.
const DEFAULT_TYPE: &str = "binary/octet-stream";
/// S3's limit for user metadata: names and values together, in bytes.
const MAX_METADATA: usize = 2048;

/// The buckets of one folder.
#[derive(Debug)]
pub(super) struct Objects {
    storage: Storage,
    keys: Keys,
    locks: Locks,
    uploads: Uploads,
    /// The largest blob that a single request copies.
    copy_limit: u64,
    /// Whether blobs of multipart uploads are dated at the initiation.
    initiation_dates: bool,
}

impl Objects {
    pub(crate) fn new(storage: Storage, copy_limit: u64, min_part: u64, initiation_dates: bool) -> Self {
        let (keys, uploads) = (Keys::new(storage.clone()), Uploads::new(storage.clone(), min_part));
        Objects { storage, keys, locks: Locks::default(), uploads, copy_limit, initiation_dates }
    }

    /// The side data of the blob in this file.
    fn extras(&self, bucket: &str, name: &str) -> Extras {
        Extras::load(&self.storage, bucket, name)
    }

    fn keep(&self, extras: &Extras, bucket: &str, name: &str) -> S3Result<()> {
        extras.save(&self.storage, bucket, name).map_err(internal)
    }

    fn bucket(&self, bucket: &str) -> S3Result<Dir> {
        let absent = || s3_error!(NoSuchBucket, "The specified bucket does not exist");
        // Other files beside the buckets are no buckets.
        if !s3s::path::check_bucket_name(bucket) {
            return Err(absent());
        }
        self.storage.folder(&[bucket]).map_err(|_| absent())
    }

    /// Opens the blob with this file name.
    fn look(&self, bucket: &str, name: &str) -> S3Result<Stored> {
        let folder = self.bucket(bucket)?;
        let mut found = Stored::open(&self.storage, &folder, bucket, name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => s3_error!(NoSuchKey, "The specified key does not exist."),
            _ => internal(error),
        })?;
        if let Some(tag) = self.extras(bucket, name).etag() {
            found.e_tag = tag;
        }
        Ok(found)
    }

    /// Checks the conditions of a write. The caller holds the lock.
    fn may_write(
        &self,
        bucket: &str,
        name: &str,
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
    ) -> S3Result<()> {
        self.bucket(bucket)?;
        if if_match.is_none() && if_none_match.is_none() {
            return Ok(());
        }
        let failed = || s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold");
        let there = match self.look(bucket, name) {
            Ok(there) => Some(there),
            Err(error) if error.code().as_str() == "NoSuchKey" => None,
            Err(error) => return Err(error),
        };
        match if_none_match {
            Some(ETagCondition::Any) if there.is_some() => return Err(failed()),
            Some(ETagCondition::ETag(_)) => {
                return Err(s3_error!(
                    NotImplemented,
                    "A header you provided implies functionality that is not implemented"
                ));
            }
            _ => {}
        }
        match (if_match, there) {
            (None, _) => Ok(()),
            // S3 reports the missing key, not the failed condition.
            (Some(_), None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
            (Some(condition), Some(there)) if names(condition, Some(&there.e_tag)) => Ok(()),
            _ => Err(failed()),
        }
    }
}

/// An unversioned bucket has only the version `null`.
fn no_version(version: Option<&ObjectVersionId>) -> S3Result<()> {
    match version.map(String::as_str) {
        None | Some("null") => Ok(()),
        Some(_) => Err(s3_error!(NoSuchVersion, "The specified version does not exist.")),
    }
}

fn metadata_fits(metadata: Option<&Metadata>) -> S3Result<()> {
    let size: usize = metadata.into_iter().flatten().map(|(name, value)| name.len() + value.len()).sum();
    if size <= MAX_METADATA {
        return Ok(());
    }
    Err(s3_error!(MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size"))
}

fn internal(error: io::Error) -> S3Error {
    S3Error::internal_error(error)
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = &request.input.bucket;
        if !s3s::path::check_bucket_name(bucket) {
            return Err(s3_error!(InvalidBucketName, "The specified bucket is not valid."));
        }
        match self.storage.root().create_dir(bucket) {
            Ok(()) => Ok(S3Response::new(CreateBucketOutput::default())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(s3_error!(BucketAlreadyExists, "The requested bucket name is not available."))
            }
            Err(error) => Err(internal(error)),
        }
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let mut buckets = Vec::new();
        for entry in self.storage.root().entries().map_err(internal)?.flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) || !s3s::path::check_bucket_name(&name) {
                continue;
            }
            let made = entry.metadata().and_then(|metadata| metadata.created().or_else(|_| metadata.modified()));
            let creation_date = made.ok().map(|at| Timestamp::from(at.into_std()));
            buckets.push(Bucket { creation_date, name: Some(name), bucket_region: None });
        }
        buckets.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(S3Response::new(ListBucketsOutput { buckets: Some(buckets), ..Default::default() }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket(&request.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn delete_bucket(&self, request: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        let bucket = self.bucket(&request.input.bucket)?;
        let mut entries = bucket.entries().map_err(internal)?;
        if entries.next().is_some() {
            return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
        }
        self.storage.root().remove_dir(&request.input.bucket).map_err(internal)?;
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.head(request.input).await
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.get(request).await
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.put(request).await
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.delete(request.input).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.delete_several(request.input).await
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        self.copy(request).await
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let input = request.input;
        let tags = self.tags(&input.bucket, &input.key, input.version_id.as_ref(), None).await?;
        let tag_set = tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id: None }))
    }

    async fn put_object_tagging(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let input = request.input;
        let tags = input.tagging.tag_set.into_iter();
        let tags = tags.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect();
        self.tags(&input.bucket, &input.key, input.version_id.as_ref(), Some(tags)).await?;
        Ok(S3Response::new(PutObjectTaggingOutput::default()))
    }

    async fn delete_object_tagging(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let input = request.input;
        self.tags(&input.bucket, &input.key, input.version_id.as_ref(), Some(Vec::new())).await?;
        Ok(S3Response::with_status(DeleteObjectTaggingOutput::default(), http::StatusCode::NO_CONTENT))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let bucket = self.bucket(&request.input.bucket)?;
        let named = request.input.bucket.clone();
        list::page(&bucket, &self.keys, |name| self.extras(&named, name), request.input).map(S3Response::new)
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let bucket = self.bucket(&request.input.bucket)?;
        let named = request.input.bucket.clone();
        let by_url = request.input.encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == "url");
        let page = list::page(&bucket, &self.keys, |name| self.extras(&named, name), request.input.into())?;
        Ok(S3Response::new(ListObjectsOutput {
            contents: page.contents,
            common_prefixes: page.common_prefixes,
            delimiter: page.delimiter,
            encoding_type: page.encoding_type,
            name: page.name,
            prefix: page.prefix,
            max_keys: page.max_keys,
            is_truncated: page.is_truncated,
            next_marker: page.next_continuation_token.map(|token| list::marker(token, by_url)),
            ..Default::default()
        }))
    }

    /// An unversioned bucket has one version of each blob, named `null`.
    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let listed = ListObjectsV2Input {
            bucket: input.bucket.clone(),
            prefix: input.prefix.clone(),
            delimiter: input.delimiter.clone(),
            encoding_type: input.encoding_type.clone(),
            max_keys: input.max_keys,
            start_after: input.key_marker.clone(),
            ..Default::default()
        };
        let by_url = input.encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == "url");
        let page = list::page(&bucket, &self.keys, |name| self.extras(&input.bucket, name), listed)?;
        let versions = page.contents.into_iter().flatten().map(|blob| ObjectVersion {
            key: blob.key,
            size: blob.size,
            e_tag: blob.e_tag,
            last_modified: blob.last_modified,
            is_latest: Some(true),
            version_id: Some("null".to_owned()),
            ..Default::default()
        });
        Ok(S3Response::new(ListObjectVersionsOutput {
            versions: Some(versions.collect()),
            common_prefixes: page.common_prefixes,
            delimiter: page.delimiter,
            encoding_type: page.encoding_type,
            is_truncated: page.is_truncated,
            max_keys: page.max_keys,
            name: page.name,
            next_version_id_marker: page.next_continuation_token.as_ref().map(|_| "null".to_owned()),
            next_key_marker: page.next_continuation_token.map(|token| list::marker(token, by_url)),
            prefix: page.prefix,
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.begin_upload(request.input)
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.take_part(request.input).await
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.copy_part(request.input).await
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.uploads.parts(request.input).map(S3Response::new)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.bucket(&request.input.bucket)?;
        Ok(S3Response::new(self.uploads.list(request.input)))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete_upload(request.input).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        self.uploads.end(&input.bucket, &input.key, &input.upload_id)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
