//! The operations: `s3s-fs` under our file names, with what it leaves out of S3's behaviour added.

use std::io;
use std::path::{Path, PathBuf};

use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

use super::conditions::{ReadConditions, names, plain_range};
use super::keys::Keys;
use super::list;
use super::locks::Locks;

/// What S3 stores with a blob whose writer does not say.
const DEFAULT_TYPE: &str = "binary/octet-stream";
/// What S3 takes of user metadata, names and values together.
const MAX_METADATA: usize = 2048;

/// One folder's buckets.
#[derive(Debug)]
pub(super) struct Objects {
    folder: PathBuf,
    files: FileSystem,
    keys: Keys,
    locks: Locks,
}

impl Objects {
    pub fn new(folder: &Path) -> io::Result<Self> {
        let files = FileSystem::new(folder).map_err(|e| io::Error::other(format!("{e:?}")))?;
        Ok(Objects { folder: folder.to_owned(), files, keys: Keys::new(folder), locks: Locks::default() })
    }

    fn bucket(&self, bucket: &str) -> S3Result<PathBuf> {
        let path = self.folder.join(bucket);
        if path.is_dir() { Ok(path) } else { Err(s3_error!(NoSuchBucket, "The specified bucket does not exist")) }
    }

    /// What is stored under this file name: length, tag and time are what conditions and ranges need.
    async fn look(&self, bucket: &str, name: &str) -> S3Result<HeadObjectOutput> {
        self.bucket(bucket)?;
        let input = HeadObjectInput { bucket: bucket.to_owned(), key: name.to_owned(), ..Default::default() };
        let found = self.files.head_object(bare_request(input)).await;
        found.map(|response| response.output).map_err(|error| match error.code().as_str() {
            "NoSuchKey" => s3_error!(NoSuchKey, "The specified key does not exist."),
            _ => error,
        })
    }

    /// Whether a write with these conditions may go ahead. The caller holds the lock.
    async fn may_write(
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
        let there = match self.look(bucket, name).await {
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
            // S3 says so, and not that the condition failed.
            (Some(_), None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
            (Some(condition), Some(there)) if names(condition, there.e_tag.as_ref()) => Ok(()),
            _ => Err(failed()),
        }
    }
}

/// A request of our own to `s3s-fs`, which looks at its input only.
fn bare_request<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: http::Method::GET,
        uri: http::Uri::default(),
        headers: http::HeaderMap::new(),
        extensions: http::Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

/// A bucket without versions has but the one named `null`.
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
        self.files.create_bucket(request).await
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&request.input.bucket)?;
        self.files.head_bucket(request).await
    }

    async fn list_buckets(&self, request: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        self.files.list_buckets(request).await
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.files.get_bucket_location(request).await
    }

    async fn delete_bucket(&self, request: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        let bucket = self.bucket(&request.input.bucket)?;
        let mut entries = std::fs::read_dir(bucket).map_err(internal)?;
        if entries.next().is_some() {
            return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
        }
        self.files.delete_bucket(request).await
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let name = self.keys.name(&input.key);
        let _guard = self.locks.read(&input.bucket, &name).await;
        let found = self.look(&input.bucket, &name).await?;
        no_version(input.version_id.as_ref())?;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(found.e_tag.as_ref(), found.last_modified.as_ref())?;
        Ok(S3Response::new(HeadObjectOutput { accept_ranges: Some("bytes".to_owned()), ..found }))
    }

    async fn get_object(&self, mut request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = &mut request.input;
        let name = self.keys.name(&input.key);
        // Until the file is open: what is written then is another file.
        let _guard = self.locks.read(&input.bucket, &name).await;
        let found = self.look(&input.bucket, &name).await?;
        no_version(input.version_id.as_ref())?;
        let conditions = ReadConditions {
            if_match: input.if_match.take(),
            if_none_match: input.if_none_match.take(),
            if_modified_since: input.if_modified_since.take(),
            if_unmodified_since: input.if_unmodified_since.take(),
        };
        conditions.check(found.e_tag.as_ref(), found.last_modified.as_ref())?;
        if let Some(range) = input.range {
            let size = found.content_length.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
            input.range = Some(plain_range(range, size)?);
        }
        input.key = name;
        let mut response = self.files.get_object(request).await?;
        response.output.accept_ranges = Some("bytes".to_owned());
        Ok(response)
    }

    async fn put_object(&self, mut request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut request.input;
        metadata_fits(input.metadata.as_ref())?;
        input.content_type.get_or_insert_with(|| DEFAULT_TYPE.to_owned());
        let (if_match, if_none_match) = (input.if_match.take(), input.if_none_match.take());
        let bucket = input.bucket.clone();
        self.bucket(&bucket)?;
        let name = self.keys.name_for_writing(&input.key).map_err(internal)?;
        input.key = name.clone();
        let _guard = self.locks.write(&bucket, &name).await;
        self.may_write(&bucket, &name, if_match.as_ref(), if_none_match.as_ref()).await?;
        self.files.put_object(request).await
    }

    async fn delete_object(
        &self,
        mut request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = &mut request.input;
        no_version(input.version_id.as_ref())?;
        input.key = self.keys.name(&input.key);
        let (bucket, name) = (input.bucket.clone(), input.key.clone());
        let if_match = input.if_match.take();
        let _guard = self.locks.write(&bucket, &name).await;
        self.may_write(&bucket, &name, if_match.as_ref(), None).await?;
        self.files.delete_object(request).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        self.bucket(&input.bucket)?;
        let mut deleted = Vec::new();
        for object in input.delete.objects {
            let name = self.keys.name(&object.key);
            let _guard = self.locks.write(&input.bucket, &name).await;
            let one = DeleteObjectInput { bucket: input.bucket.clone(), key: name, ..Default::default() };
            self.files.delete_object(bare_request(one)).await?;
            deleted.push(DeletedObject { key: Some(object.key), version_id: object.version_id, ..Default::default() });
        }
        let deleted = if input.delete.quiet == Some(true) { None } else { Some(deleted) };
        Ok(S3Response::new(DeleteObjectsOutput { deleted, ..Default::default() }))
    }

    async fn copy_object(&self, mut request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = &mut request.input;
        input.key = self.keys.name_for_writing(&input.key).map_err(internal)?;
        if let CopySource::Bucket { bucket, key, version_id } = &mut input.copy_source {
            self.bucket(bucket)?;
            no_version(version_id.as_ref().map(|v| v.to_string()).as_ref())?;
            *key = self.keys.name(key).into();
        }
        let _guard = self.locks.write(&input.bucket, &input.key).await;
        self.files.copy_object(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let bucket = self.bucket(&request.input.bucket)?;
        list::page(&bucket, &self.keys, request.input).map(S3Response::new)
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let bucket = self.bucket(&request.input.bucket)?;
        let page = list::page(&bucket, &self.keys, request.input.into())?;
        Ok(S3Response::new(ListObjectsOutput {
            contents: page.contents,
            common_prefixes: page.common_prefixes,
            delimiter: page.delimiter,
            encoding_type: page.encoding_type,
            name: page.name,
            prefix: page.prefix,
            max_keys: page.max_keys,
            is_truncated: page.is_truncated,
            next_marker: page.next_continuation_token,
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        mut request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = &mut request.input;
        self.bucket(&input.bucket)?;
        metadata_fits(input.metadata.as_ref())?;
        input.content_type.get_or_insert_with(|| DEFAULT_TYPE.to_owned());
        let name = self.keys.name_for_writing(&input.key).map_err(internal)?;
        let key = std::mem::replace(&mut input.key, name);
        let mut response = self.files.create_multipart_upload(request).await?;
        response.output.key = Some(key);
        Ok(response)
    }

    async fn upload_part(&self, mut request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        request.input.key = self.keys.name(&request.input.key);
        self.files.upload_part(request).await
    }

    async fn list_parts(&self, mut request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let name = self.keys.name(&request.input.key);
        let key = std::mem::replace(&mut request.input.key, name);
        let mut response = self.files.list_parts(request).await?;
        response.output.key = Some(key);
        Ok(response)
    }

    async fn complete_multipart_upload(
        &self,
        mut request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = &mut request.input;
        let name = self.keys.name_for_writing(&input.key).map_err(internal)?;
        let key = std::mem::replace(&mut input.key, name.clone());
        let bucket = input.bucket.clone();
        let (if_match, if_none_match) = (input.if_match.take(), input.if_none_match.take());
        let _guard = self.locks.write(&bucket, &name).await;
        self.may_write(&bucket, &name, if_match.as_ref(), if_none_match.as_ref()).await?;
        let mut response = self.files.complete_multipart_upload(request).await?;
        if let Some(answer) = response.output.future.take() {
            let renamed = async move { Ok(CompleteMultipartUploadOutput { key: Some(key), ..answer.await? }) };
            response.output.future = Some(Box::pin(renamed));
        }
        Ok(response)
    }

    async fn abort_multipart_upload(
        &self,
        mut request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        request.input.key = self.keys.name(&request.input.key);
        self.files.abort_multipart_upload(request).await
    }
}
