//! `CopyObject` and the source of copies.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use sandbucket::BlobName;

use super::access::denied;
use super::attributes::{encryption, etag, push, source_key, timestamp, write_attributes};
use super::write::{condition, with_condition, with_properties};
use super::{Front, Scope, not_implemented};

/// Sets the conditions on the source of a copy.
macro_rules! source_conditions {
    ($call:ident, $input:expr) => {
        if let Some(etag) = $crate::s3::copy::condition_text($input.copy_source_if_match.as_ref())? {
            $call = $call.source_if_match(etag);
        }
        if let Some(etag) = $crate::s3::copy::condition_text($input.copy_source_if_none_match.as_ref())? {
            $call = $call.source_if_none_match(etag);
        }
        if let Some(time) = &$input.copy_source_if_modified_since {
            $call = $call.source_if_modified_since($crate::s3::attributes::system_time(time));
        }
        if let Some(time) = &$input.copy_source_if_unmodified_since {
            $call = $call.source_if_unmodified_since($crate::s3::attributes::system_time(time));
        }
    };
}
pub(super) use source_conditions;

/// The text of a condition.
pub(super) fn condition_text(condition: Option<&ETagCondition>) -> S3Result<Option<String>> {
    let Some(condition) = condition else { return Ok(None) };
    let value = condition.to_http_header().map_err(|_| s3_error!(InvalidArgument, "Invalid copy source condition"))?;
    let text = value.to_str().map_err(|_| s3_error!(InvalidArgument, "Invalid copy source condition"))?;
    Ok(Some(text.to_owned()))
}

/// The source in the store: a key of one of the front-end key's own buckets, all of which are in the same store.
///
/// # Errors
/// `AccessDenied` for any other bucket or key.
pub(super) fn source(scope: &Scope, source: &CopySource) -> S3Result<BlobName> {
    let CopySource::Bucket { bucket, key, version_id } = source else { return Err(not_implemented()) };
    let bucket = scope.grant.buckets.get(bucket.as_ref()).ok_or_else(denied)?;
    if !scope.grant.permits_key(key) {
        return Err(denied());
    }
    let name = BlobName::new(format!("{}{key}", bucket.prefix));
    Ok(match version_id {
        Some(version) => name.version(version.as_ref()),
        None => name,
    })
}

impl Front {
    pub(super) async fn copy_object(
        &self,
        mut request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let mut condition = condition(&request.headers)?;
        let scope = self.scope(&request, &request.input.bucket, "CopyObject").await?;
        let input = &mut request.input;
        let (from, to) = (source(&scope, &input.copy_source)?, scope.key(&input.key)?);
        let replace = directive(input.metadata_directive.as_ref().map(|directive| directive.as_str()))?;
        let replace_tags = directive(input.tagging_directive.as_ref().map(|directive| directive.as_str()))?;
        // Without REPLACE, S3 takes no notice of these.
        if !replace {
            (input.cache_control, input.content_disposition, input.content_encoding) = (None, None, None);
            (input.content_language, input.expires) = (None, None);
        }
        let mut attributes = write_attributes!(input);
        source_key!(&mut attributes, input);
        if replace_tags {
            push(&mut attributes, "tags", input.tagging.take());
        }
        condition.resolve(&scope, &to, &attributes).await?;
        let mut copy = scope.store.copy(from, &to);
        with_condition!(copy, condition);
        source_conditions!(copy, input);
        if replace {
            copy = copy.replace();
            with_properties!(copy, input);
        }
        let mut output = CopyObjectOutput::default();
        encryption!(output, attributes);
        let key = attributes.iter().find(|(name, _)| *name == "sse-customer-key").map(|(_, key)| key.clone());
        for (name, value) in attributes {
            copy = copy.attribute(name, value);
        }
        let written = copy.await.map_err(|error| condition.failed(scope.error(&error)))?;

        // The date of the copy is the service's; it is in its response, and not in the library's.
        let mut head = scope.store.head(to);
        if let Some(key) = key {
            head = head.attribute("sse-customer-key", key);
        }
        let info = head.await.ok().filter(|info| info.etag == written.etag);
        let result = CopyObjectResult {
            e_tag: written.etag.as_deref().map(etag),
            last_modified: info.and_then(|info| info.last_modified).and_then(timestamp),
            ..CopyObjectResult::default()
        };
        let CopySource::Bucket { version_id, .. } = &input.copy_source else { return Err(not_implemented()) };
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(result),
            copy_source_version_id: version_id.as_ref().map(|version| version.to_string()),
            version_id: written.version,
            sse_customer_algorithm: input.sse_customer_algorithm.take(),
            sse_customer_key_md5: input.sse_customer_key_md5.take(),
            ..output
        }))
    }
}

/// Whether a directive is `REPLACE`.
fn directive(directive: Option<&str>) -> S3Result<bool> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(s3_error!(InvalidArgument, "Unknown metadata or tagging directive.")),
    }
}
