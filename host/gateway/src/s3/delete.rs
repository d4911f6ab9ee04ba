//! `DeleteObject` and `DeleteObjects`.
//!
//! The condition of a delete is compared with the blob's entity tag, which is looked up first, and sent to the service as well.
//! Services that know conditional deletes check it again, atomically; others ignore it, and there a write in between is lost.

use futures::{FutureExt as _, StreamExt as _};
use http::header;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use sandbucket::BlobName;

use super::attributes::{Attributes, push};
use super::read::text;
use super::{Front, Scope, not_implemented};

/// Maximum number of keys of a bulk delete.
const MAX_KEYS: usize = 1000;
/// Conditional deletes of a bulk delete at once: no service takes them in bulk.
const CONCURRENT: usize = 16;

/// Checks that the current blob has this entity tag, or any if it is `*`.
///
/// # Errors
/// `NoSuchKey` and `PreconditionFailed`.
async fn check_etag(scope: &Scope, key: &str, etag: &str) -> S3Result<()> {
    let bare = |etag: &str| etag.trim().trim_matches('"').to_owned();
    let info = scope.store.head(key).await.map_err(|error| scope.error(&error))?;
    if etag.trim() == "*" || info.etag.is_some_and(|known| bare(&known) == bare(etag)) {
        return Ok(());
    }
    Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"))
}

/// Deletes the current blob if it has this entity tag.
async fn delete_if(scope: &Scope, key: String, etag: &str, mut attributes: Attributes) -> S3Result<()> {
    check_etag(scope, &key, etag).await?;
    push(&mut attributes, "if-match", sent(etag));
    let mut delete = scope.store.delete(key);
    for (name, value) in attributes {
        delete = delete.attribute(name, value);
    }
    delete.await.map_err(|error| scope.error(&error)).map(drop)
}

/// The entity tag as it is sent: with quotes. None for `*`, with which services differ: whatever the blob is, it may be deleted.
fn sent(etag: &str) -> Option<String> {
    (etag.trim() != "*").then(|| format!("\"{}\"", etag.trim().trim_matches('"')))
}

impl Front {
    pub(super) async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = &request.input;
        let scope = self.scope(&request, &input.bucket, "DeleteObject").await?;
        let key = scope.key(&input.key)?;
        let etag = text(&request.headers, header::IF_MATCH)?;
        // S3 has the first two for directory buckets only, and compares entity tags of current versions only.
        let unsupported = input.if_match_last_modified_time.is_some()
            || input.if_match_size.is_some()
            || etag.is_some() && input.version_id.is_some();
        if unsupported || input.mfa.is_some() {
            return Err(not_implemented());
        }
        let mut attributes = Attributes::new();
        if let Some(etag) = &etag {
            check_etag(&scope, &key, etag).await?;
            push(&mut attributes, "if-match", sent(etag));
        }
        let mut delete = scope.store.delete(key);
        if let Some(version) = &input.version_id {
            delete = delete.version(version);
        }
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
        let (mut errors, mut permitted, mut names, mut conditional) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for object in objects {
            let unsupported = object.last_modified_time.is_some()
                || object.size.is_some()
                || object.e_tag.is_some() && object.version_id.is_some();
            let key = if unsupported { Err(not_implemented()) } else { scope.key(&object.key) };
            match (key, &object.e_tag) {
                (Ok(key), Some(etag)) => conditional.push((object, key, etag.value())),
                (Ok(key), None) => {
                    let name = BlobName::new(key);
                    names.push(match &object.version_id {
                        Some(version) => name.version(version),
                        None => name,
                    });
                    permitted.push(object);
                }
                (Err(error), _) => errors.push(failed(object, error)),
            }
        }
        let mut deleted = Vec::new();
        let bypass = input.bypass_governance_retention.map(|bypass| bypass.to_string());
        // Boxed: the compiler does not see that a stream of closures' futures may move to another thread.
        let mut deletes = Vec::with_capacity(conditional.len());
        for (object, key, etag) in conditional {
            let mut attributes = Attributes::new();
            push(&mut attributes, "expected-bucket-owner", input.expected_bucket_owner.clone());
            push(&mut attributes, "bypass-governance-retention", bypass.clone());
            let scope = &scope;
            deletes.push(async move { (object, delete_if(scope, key, etag, attributes).await) }.boxed());
        }
        let mut outcomes = futures::stream::iter(deletes).buffered(CONCURRENT);
        while let Some((object, outcome)) = outcomes.next().await {
            match outcome {
                Ok(()) => deleted.push(DeletedObject { key: Some(object.key.clone()), ..DeletedObject::default() }),
                Err(error) => errors.push(failed(object, error)),
            }
        }
        if !names.is_empty() {
            let mut delete = scope.store.delete_many(names);
            if let Some(owner) = &input.expected_bucket_owner {
                delete = delete.attribute("expected-bucket-owner", owner);
            }
            if let Some(bypass) = &bypass {
                delete = delete.attribute("bypass-governance-retention", bypass);
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
