//! Copies of whole blobs.

use std::io::Seek as _;

use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

use super::{DEFAULT_TYPE, Objects, internal, metadata_fits, no_version};
use crate::conditions::ReadConditions;
use crate::extras::{Extras, extras_of};
use crate::stored::{self, properties_of};

/// Extracts the source conditions from an operation's input.
macro_rules! source_conditions_of {
    ($input:expr) => {
        ReadConditions {
            if_match: $input.copy_source_if_match.take(),
            if_none_match: $input.copy_source_if_none_match.take(),
            if_modified_since: $input.copy_source_if_modified_since.take(),
            if_unmodified_since: $input.copy_source_if_unmodified_since.take(),
        }
    };
}
pub(super) use source_conditions_of;

impl Objects {
    pub(super) async fn copy(&self, mut request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let (if_match, if_none_match) =
            (condition(&request.headers, "if-match")?, condition(&request.headers, "if-none-match")?);
        let input = &mut request.input;
        metadata_fits(input.metadata.as_ref())?;
        let (from_bucket, from) = self.source(&input.copy_source)?;
        let (to_bucket, to) = (input.bucket.clone(), self.keys.name_for_writing(&input.key).map_err(internal)?);
        let _guards = self.lock_both((&from_bucket, &from), (&to_bucket, &to)).await;

        let found = self.look(&from_bucket, &from)?;
        let original = self.extras(&from_bucket, &from);
        original.opens_for(input.copy_source_sse_customer_key_md5.as_ref())?;
        let conditions = source_conditions_of!(input);
        conditions.check(Some(&found.e_tag), Some(&found.modified)).map_err(unmet)?;
        if found.size > self.copy_limit {
            let words = "The specified copy source is larger than the maximum allowable size for a copy source";
            return Err(s3_error!(InvalidRequest, "{}: {}", words, self.copy_limit));
        }
        self.may_write(&to_bucket, &to, if_match.as_ref(), if_none_match.as_ref())?;

        let anew = input.metadata_directive.as_ref().is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
        let tags_anew = input.tagging_directive.as_ref().is_some_and(|d| d.as_str() == TaggingDirective::REPLACE);
        let given = extras_of!(input);
        let otherwise = given.storage_class.is_some() || given.encryption.is_some() || given.customer_key.is_some();
        if (&from_bucket, &from) == (&to_bucket, &to) && !anew && !otherwise {
            let words = "This copy request is illegal because it is trying to copy an object to itself without changing \
                         the object's metadata, storage class, website redirect location or encryption attributes.";
            return Err(s3_error!(InvalidRequest, "{}", words));
        }
        if anew {
            input.content_type.get_or_insert_with(|| DEFAULT_TYPE.to_owned());
        }
        let properties = if anew { properties_of!(input) } else { found.properties };
        let temporary = self.storage.temporary().map_err(internal)?;
        let (mut source, mut target) = (found.file, temporary.file.try_clone().map_err(internal)?);
        // The file may have been read for its MD5.
        source.rewind().map_err(internal)?;
        let copied = tokio::task::spawn_blocking(move || {
            std::io::copy(&mut source, &mut target)?;
            target.metadata()?.modified()
        });
        let modified = copied.await.map_err(S3Error::internal_error)?.map_err(internal)?;
        temporary.keep(&self.bucket(&to_bucket)?, &to).map_err(internal)?;
        stored::keep(&self.storage, &to_bucket, &to, &properties, &found.sums).map_err(internal)?;
        let tags = if tags_anew { given.tags } else { original.tags };
        let extras = Extras { etag: found.sums.e_tag.clone(), tags, ..given };
        self.keep(&extras, &to_bucket, &to)?;
        let result = CopyObjectResult {
            e_tag: found.sums.e_tag.map(ETag::Strong),
            last_modified: Some(Timestamp::from(modified)),
            ..Default::default()
        };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
    }

    /// The bucket and the file of the source.
    pub(super) fn source(&self, source: &CopySource) -> S3Result<(String, String)> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(s3_error!(NotImplemented, "There are no access points here"));
        };
        self.bucket(bucket)?;
        no_version(version_id.as_ref().map(|version| version.to_string()).as_ref())?;
        Ok((bucket.to_string(), self.keys.name(key)))
    }

    /// Locks one key for reading and one for writing, in an order that prevents deadlocks.
    async fn lock_both(
        &self,
        from: (&str, &str),
        to: (&str, &str),
    ) -> (Option<OwnedRwLockReadGuard<()>>, OwnedRwLockWriteGuard<()>) {
        if from == to {
            return (None, self.locks.write(to.0, to.1).await);
        }
        if from < to {
            let reading = self.locks.read(from.0, from.1).await;
            return (Some(reading), self.locks.write(to.0, to.1).await);
        }
        let writing = self.locks.write(to.0, to.1).await;
        (Some(self.locks.read(from.0, from.1).await), writing)
    }
}

/// A failed condition of a copy is always this error.
pub(super) fn unmet(error: S3Error) -> S3Error {
    match error.code().as_str() {
        "NotModified" => {
            s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
        }
        _ => error,
    }
}

/// A condition on the destination, which `s3s` does not parse for copies.
fn condition(headers: &http::HeaderMap, name: &str) -> S3Result<Option<ETagCondition>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = ETagCondition::parse_http_header(value.as_bytes());
    parsed.map(Some).map_err(|_| s3_error!(InvalidArgument, "{} is no entity tag", name))
}
