//! `DeleteObject` and `DeleteObjects`.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use sandbucket::BlobName;

use super::attributes::{Attributes, push};
use super::{Front, not_implemented};

/// Maximum number of keys of a bulk delete.
const MAX_KEYS: usize = 1000;

impl Front {
    pub(super) async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = &request.input;
        let scope = self.scope(&request, &input.bucket, "DeleteObject").await?;
        let key = scope.key(&input.key)?;
        let conditional =
            input.if_match.is_some() || input.if_match_last_modified_time.is_some() || input.if_match_size.is_some();
        if conditional || input.mfa.is_some() {
            return Err(not_implemented());
        }
        let mut delete = scope.store.delete(key);
        if let Some(version) = &input.version_id {
            delete = delete.version(version);
        }
        let mut attributes = Attributes::new();
        push(&mut attributes, "expected-bucket-owner", input.expected_bucket_owner.clone());
        push(
            &mut attributes,
            "bypass-governance-retention",
            input.bypass_governance_retention.map(|on| on.to_string()),
        );
        for (name, value) in attributes {
            delete = delete.attribute(name, value);
        }
        delete.await.map_err(|error| scope.error(&error))?;
        Ok(S3Response::new(DeleteObjectOutput {
            version_id: input.version_id.clone(),
            ..DeleteObjectOutput::default()
        }))
    }

    pub(super) async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = &request.input;
        let scope = self.scope(&request, &input.bucket, "DeleteObjects").await?;
        let objects = &input.delete.objects;
        if objects.is_empty() || objects.len() > MAX_KEYS {
            return Err(s3_error!(
                MalformedXML,
                "The XML you provided was not well-formed or did not validate against our published schema"
            ));
        }
        if input.mfa.is_some() {
            return Err(not_implemented());
        }
        let failed = |object: &ObjectIdentifier, error: s3s::S3Error| Error {
            key: Some(object.key.clone()),
            version_id: object.version_id.clone(),
            code: Some(error.code().as_str().to_owned()),
            message: error.message().map(str::to_owned),
        };
        let (mut errors, mut permitted, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for object in objects {
            let conditional = object.e_tag.is_some() || object.last_modified_time.is_some() || object.size.is_some();
            let key = if conditional { Err(not_implemented()) } else { scope.key(&object.key) };
            match key {
                Ok(key) => {
                    let name = BlobName::new(key);
                    names.push(match &object.version_id {
                        Some(version) => name.version(version),
                        None => name,
                    });
                    permitted.push(object);
                }
                Err(error) => errors.push(failed(object, error)),
            }
        }
        let mut deleted = Vec::new();
        if !names.is_empty() {
            let mut delete = scope.store.delete_many(names);
            if let Some(owner) = &input.expected_bucket_owner {
                delete = delete.attribute("expected-bucket-owner", owner);
            }
            if let Some(bypass) = input.bypass_governance_retention {
                delete = delete.attribute("bypass-governance-retention", bypass.to_string());
            }
            let outcomes = delete.await.map_err(|error| scope.error(&error))?;
            for (object, outcome) in permitted.into_iter().zip(outcomes) {
                match outcome {
                    Ok(()) => deleted.push(DeletedObject {
                        key: Some(object.key.clone()),
                        version_id: object.version_id.clone(),
                        ..DeletedObject::default()
                    }),
                    Err(error) => errors.push(failed(object, scope.error(&error))),
                }
            }
        }
        let quiet = input.delete.quiet == Some(true);
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..DeleteObjectsOutput::default()
        }))
    }
}
