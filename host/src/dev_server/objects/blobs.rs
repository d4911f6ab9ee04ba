//! One blob: looked at, read, written, deleted and tagged.

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

use super::{DEFAULT_TYPE, Objects, bare_request, internal, metadata_fits, no_version};
use crate::dev_server::conditions::{ReadConditions, plain_range};
use crate::dev_server::digests::{expected_of, verified};
use crate::dev_server::extras::{Extras, check_tags, extras_of};

/// The conditions of a read's input.
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

/// Tells of what is kept of a blob.
macro_rules! tell {
    ($output:expr, $extras:expr) => {
        $output.storage_class = $extras.told_class();
        $output.server_side_encryption = $extras.told_encryption();
        $output.ssekms_key_id = $extras.kms_key.clone();
        $output.sse_customer_algorithm = $extras.customer_key.as_ref().map(|_| "AES256".to_owned());
        $output.sse_customer_key_md5 = $extras.customer_key.clone();
        $output.accept_ranges = Some("bytes".to_owned());
    };
}

/// Checksums are told to those who ask.
macro_rules! forget_checksums {
    ($output:expr) => {
        $output.checksum_crc32 = None;
        $output.checksum_crc32c = None;
        $output.checksum_crc64nvme = None;
        $output.checksum_sha1 = None;
        $output.checksum_sha256 = None;
    };
}

impl Objects {
    pub(super) async fn head(&self, mut input: HeadObjectInput) -> S3Result<S3Response<HeadObjectOutput>> {
        let name = self.keys.name(&input.key);
        let _guard = self.locks.read(&input.bucket, &name).await;
        let mut found = self.look(&input.bucket, &name).await?;
        no_version(input.version_id.as_ref())?;
        let extras = self.extras(&input.bucket, &name);
        extras.opens_for(input.sse_customer_key_md5.as_ref())?;
        conditions_of!(input).check(found.e_tag.as_ref(), found.last_modified.as_ref())?;
        tell!(found, extras);
        if input.checksum_mode.is_none() {
            forget_checksums!(found);
        }
        Ok(S3Response::new(found))
    }

    pub(super) async fn get(&self, mut request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = &mut request.input;
        let name = self.keys.name(&input.key);
        // Until the file is open: what is written then is another file.
        let _guard = self.locks.read(&input.bucket, &name).await;
        let found = self.look(&input.bucket, &name).await?;
        no_version(input.version_id.as_ref())?;
        let extras = self.extras(&input.bucket, &name);
        extras.opens_for(input.sse_customer_key_md5.as_ref())?;
        conditions_of!(input).check(found.e_tag.as_ref(), found.last_modified.as_ref())?;
        if let Some(range) = input.range {
            let size = found.content_length.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
            input.range = Some(plain_range(range, size)?);
        }
        input.key = name;
        let asked = input.checksum_mode.is_some();
        let mut response = self.files.get_object(request).await?;
        let output = &mut response.output;
        tell!(output, extras);
        output.e_tag = found.e_tag;
        output.tag_count = i32::try_from(extras.tags.len()).ok().filter(|count| *count > 0);
        if !asked {
            forget_checksums!(output);
        }
        Ok(response)
    }

    pub(super) async fn put(&self, mut request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut request.input;
        metadata_fits(input.metadata.as_ref())?;
        input.content_type.get_or_insert_with(|| DEFAULT_TYPE.to_owned());
        let (if_match, if_none_match) = (input.if_match.take(), input.if_none_match.take());
        let bucket = input.bucket.clone();
        self.bucket(&bucket)?;
        let extras = extras_of!(input);
        let name = self.keys.name_for_writing(&input.key).map_err(internal)?;
        input.key = name.clone();
        let (body, found) = verified(input.body.take(), expected_of!(input));
        input.body = Some(body);
        let _guard = self.locks.write(&bucket, &name).await;
        self.may_write(&bucket, &name, if_match.as_ref(), if_none_match.as_ref()).await?;
        let mut response = self.files.put_object(request).await.map_err(|error| found.explain(error))?;
        let extras = Extras { etag: response.output.e_tag.as_ref().map(|tag| tag.value().to_owned()), ..extras };
        self.keep(&extras, &bucket, &name)?;
        response.output.server_side_encryption = extras.told_encryption();
        response.output.ssekms_key_id = extras.kms_key;
        Ok(response)
    }

    pub(super) async fn delete(
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
        let response = self.files.delete_object(request).await?;
        Extras::remove(&self.folder, &bucket, &name);
        Ok(response)
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
            match self.delete(bare_request(one)).await {
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

    /// A blob's tags, after they were set where some are given.
    pub(super) async fn tags(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&ObjectVersionId>,
        set: Option<Vec<(String, String)>>,
    ) -> S3Result<Vec<(String, String)>> {
        let name = self.keys.name(key);
        let _guard = self.locks.write(bucket, &name).await;
        self.look(bucket, &name).await?;
        no_version(version)?;
        let mut extras = self.extras(bucket, &name);
        if let Some(tags) = set {
            check_tags(&tags)?;
            extras.tags = tags;
            self.keep(&extras, bucket, &name)?;
        }
        Ok(extras.tags)
    }
}
