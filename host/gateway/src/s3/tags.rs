//! Tags.

use http::StatusCode;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::{Front, custom};

/// Maximum number of tags of an object.
const MAX_TAGS: usize = 10;

impl Front {
    pub(super) async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let input = &request.input;
        let scope = self.scope(&request, &input.bucket, "GetObjectTagging").await?;
        let mut tags = scope.store.tags(scope.key(&input.key)?);
        if let Some(version) = &input.version_id {
            tags = tags.version(version);
        }
        if let Some(owner) = &input.expected_bucket_owner {
            tags = tags.attribute("expected-bucket-owner", owner);
        }
        let tags = tags.await.map_err(|error| scope.error(&error))?;
        let tag_set = tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id: input.version_id.clone() }))
    }

    pub(super) async fn put_object_tagging(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let input = &request.input;
        let tag_set = &input.tagging.tag_set;
        if tag_set.len() > MAX_TAGS {
            return Err(custom("BadRequest", StatusCode::BAD_REQUEST, "Object tags cannot be greater than 10"));
        }
        let mut tags: Vec<(String, String)> = Vec::new();
        for Tag { key, value } in tag_set {
            let (key, value) = (key.clone().unwrap_or_default(), value.clone().unwrap_or_default());
            if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
                return Err(s3_error!(InvalidTag, "The tag key or value you have provided is invalid"));
            }
            if tags.iter().any(|(known, _)| *known == key) {
                return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key"));
            }
            tags.push((key, value));
        }
        let (bucket, key, version) = (&input.bucket, &input.key, &input.version_id);
        let owner = input.expected_bucket_owner.as_ref();
        self.set_tags(&request, bucket, (key, version.as_ref()), owner, tags, "PutObjectTagging").await?;
        Ok(S3Response::new(PutObjectTaggingOutput { version_id: version.clone() }))
    }

    pub(super) async fn delete_object_tagging(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let input = &request.input;
        let (bucket, key, version) = (&input.bucket, &input.key, &input.version_id);
        let owner = input.expected_bucket_owner.as_ref();
        self.set_tags(&request, bucket, (key, version.as_ref()), owner, Vec::new(), "DeleteObjectTagging").await?;
        Ok(S3Response::new(DeleteObjectTaggingOutput { version_id: version.clone() }))
    }

    async fn set_tags<T>(
        &self,
        request: &S3Request<T>,
        bucket: &str,
        (key, version): (&str, Option<&String>),
        owner: Option<&String>,
        tags: Vec<(String, String)>,
        operation: &'static str,
    ) -> S3Result<()> {
        let scope = self.scope(request, bucket, operation).await?;
        let mut set = scope.store.set_tags(scope.key(key)?, tags);
        if let Some(version) = version {
            set = set.version(version);
        }
        if let Some(owner) = owner {
            set = set.attribute("expected-bucket-owner", owner);
        }
        set.await.map_err(|error| scope.error(&error))
    }
}
