//! `DeleteObject` and `DeleteObjects`.
//!
//! The condition of a delete is compared with the blob's entity tag, which is looked up first, and sent to the service as well.
//! Services that know conditional deletes check it again, atomically; others ignore it, and there a write in between is lost.

use futures::{FutureExt as _, StreamExt as _};
use http::header;
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};
use sandbucket::BlobName;

use super::attributes::{Attributes, etag, push};
use super::read::text;
use super::{Front, Scope, not_implemented};

/// Maximum number of keys of a bulk delete.
const MAX_KEYS: usize = 1000;
/// Conditional deletes of a bulk delete at once: no service takes them in bulk.
const CONCURRENT: usize = 16;
/// The attribute that names the account that the bucket has to belong to.
const OWNER: &str = "expected-bucket-owner";
/// The attribute that deletes a version although a governance-mode lock protects it.
const BYPASS: &str = "bypass-governance-retention";

/// The condition of a delete.
enum Condition {
    /// There is a blob: `*`.
    Present,
    /// The blob has this entity tag. A weak one matches nothing.
    Matches(ETag),
}

impl Condition {
    /// The condition of the header `If-Match`.
    fn of_header(text: &str) -> Condition {
        if text.trim() == "*" { Condition::Present } else { Condition::Matches(etag(text.trim())) }
    }

    /// Whether it holds for a blob with this entity tag.
    fn holds(&self, known: Option<&str>) -> bool {
        match self {
            Condition::Present => true,
            Condition::Matches(wanted) => known.is_some_and(|known| wanted.strong_cmp(&etag(known))),
        }
    }

    /// The entity tag as it is sent: with quotes. None for `*`, with which services differ: whatever the blob is, it may be deleted.
    fn sent(&self) -> Option<String> {
        match self {
            Condition::Present => None,
            Condition::Matches(tag) => tag.as_strong().map(|tag| format!("\"{tag}\"")),
        }
    }

    /// Checks the condition.
    ///
    /// # Errors
    /// `NoSuchKey` and `PreconditionFailed`.
    async fn check(&self, scope: &Scope, key: &str, owner: Option<&str>) -> S3Result<()> {
        if self.holds(current_etag(scope, key, owner).await?.as_deref()) {
            return Ok(());
        }
        Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"))
    }
}

/// The entity tag of the current blob.
///
/// # Errors
/// `NoSuchKey` if there is none.
async fn current_etag(scope: &Scope, key: &str, owner: Option<&str>) -> S3Result<Option<String>> {
    let head = owner.into_iter().fold(scope.store.head(key), |head, owner| head.attribute(OWNER, owner));
    let error = match head.await {
        Ok(info) => return Ok(info.etag),
        Err(error) => error,
    };
    // The HEAD of a blob that is encrypted with a client's key needs that key, which no delete has. A listing has the tag as well.
    if error.failure().and_then(|failure| failure.response.as_ref()).is_none_or(|response| response.status != 400) {
        return Err(scope.error(&error));
    }
    let list = owner.into_iter().fold(scope.store.list(key), |list, owner| list.attribute(OWNER, owner));
    let page = list.page_size(1).await.map_err(|error| scope.error(&error))?;
    let entry = page.entries.into_iter().find(|entry| entry.key == key);
    entry.map(|entry| entry.etag).ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
}

/// The delete of one blob.
struct Deletion<'a> {
    key: String,
    version: Option<&'a str>,
    condition: Option<Condition>,
    owner: Option<&'a str>,
    bypass: Option<bool>,
}

impl Deletion<'_> {
    /// Deletes the blob if the condition holds.
    async fn run(self, scope: &Scope) -> S3Result<()> {
        let mut attributes = Attributes::new();
        if let Some(condition) = &self.condition {
            condition.check(scope, &self.key, self.owner).await?;
            push(&mut attributes, "if-match", condition.sent());
        }
        push(&mut attributes, OWNER, self.owner);
        push(&mut attributes, BYPASS, self.bypass.map(|on| on.to_string()));
        let mut delete = scope.store.delete(self.key);
        if let Some(version) = self.version {
            delete = delete.version(version);
        }
        for (name, value) in attributes {
            delete = delete.attribute(name, value);
        }
        delete.await.map_err(|error| scope.error(&error)).map(drop)
    }
}

impl Front {
    pub(super) async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = &request.input;
        let scope = self.scope(&request, &input.bucket, "DeleteObject").await?;
        let key = scope.key(&input.key)?;
        let condition = text(&request.headers, header::IF_MATCH)?.map(|text| Condition::of_header(&text));
        // S3 has the first two for directory buckets only, and compares entity tags of current versions only.
        let unsupported = input.if_match_last_modified_time.is_some()
            || input.if_match_size.is_some()
            || condition.is_some() && input.version_id.is_some();
        if unsupported || input.mfa.is_some() {
            return Err(not_implemented());
        }
        let (version, owner) = (input.version_id.as_deref(), input.expected_bucket_owner.as_deref());
        let bypass = input.bypass_governance_retention;
        Deletion { key, version, condition, owner, bypass }.run(&scope).await?;
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
        let failed = |object: &ObjectIdentifier, error: &S3Error| Error {
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
                // Here a `*` is a tag like any other: s3s drops the quotes that would tell them apart.
                (Ok(key), Some(etag)) => conditional.push((object, key, Condition::Matches(etag.clone()))),
                (Ok(key), None) => {
                    let name = BlobName::new(key);
                    names.push(match &object.version_id {
                        Some(version) => name.version(version),
                        None => name,
                    });
                    permitted.push(object);
                }
                (Err(error), _) => errors.push(failed(object, &error)),
            }
        }
        let mut deleted = Vec::new();
        let bypass = input.bypass_governance_retention;
        // Boxed: the compiler does not see that a stream of closures' futures may move to another thread.
        let mut deletes = Vec::with_capacity(conditional.len());
        let owner = input.expected_bucket_owner.as_deref();
        for (object, key, condition) in conditional {
            let deletion = Deletion { key, version: None, condition: Some(condition), owner, bypass };
            let scope = &scope;
            deletes.push(async move { (object, deletion.run(scope).await) }.boxed());
        }
        let mut outcomes = futures::stream::iter(deletes).buffered(CONCURRENT);
        while let Some((object, outcome)) = outcomes.next().await {
            match outcome {
                Ok(()) => deleted.push(DeletedObject { key: Some(object.key.clone()), ..DeletedObject::default() }),
                Err(error) => errors.push(failed(object, &error)),
            }
        }
        if !names.is_empty() {
            let mut delete = scope.store.delete_many(names);
            if let Some(owner) = owner {
                delete = delete.attribute(OWNER, owner);
            }
            if let Some(bypass) = bypass {
                delete = delete.attribute(BYPASS, bypass.to_string());
            }
            match delete.await {
                Ok(outcomes) => {
                    for (object, outcome) in permitted.into_iter().zip(outcomes) {
                        match outcome {
                            Ok(()) => deleted.push(DeletedObject {
                                key: Some(object.key.clone()),
                                version_id: object.version_id.clone(),
                                ..DeletedObject::default()
                            }),
                            Err(error) => errors.push(failed(object, &scope.error(&error))),
                        }
                    }
                }
                // The client may repeat all of it.
                Err(error) if deleted.is_empty() => return Err(scope.error(&error)),
                // It must not repeat what is done: a conditional delete finds nothing then.
                Err(error) => {
                    let error = scope.error(&error);
                    errors.extend(permitted.into_iter().map(|object| failed(object, &error)));
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
