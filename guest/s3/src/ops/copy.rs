//! Copies at the service, of blobs and of parts.

use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{
    BlobInfo, CopyOptions, CopyPartOptions, CopySource, HeadOptions, Operation, Output, Part, ReadConditions,
    WriteCondition,
};
use sandbucket_plugin::key::{self, MAX_KEY};
use sandbucket_plugin::service::Flow;

use crate::attributes::head_call_options;
use crate::requests::{self, Source};

use super::call::{Call, NextStage, Unsigned};
use super::service::nothing;
use super::stage::Stage;

/// The most that S3 copies at once, in bytes.
const MAX_COPY: u64 = 5 << 30;

impl Call<'_, '_> {
    pub(super) fn copy_request(&self, source: &CopySource, options: &CopyOptions) -> Result<Unsigned, Failure> {
        let from = self.source_key(source)?;
        let from = Source { bucket: source.bucket.as_deref(), key: &from, version: source.version.as_deref() };
        let request = requests::copy(&self.s3.settings, &self.full_key()?, from, options)?;
        self.document_request(request, String::new())
    }

    pub(super) fn copy_part_request(
        &self,
        upload: &str,
        number: u32,
        source: &CopySource,
        options: &CopyPartOptions,
    ) -> Result<Unsigned, Failure> {
        let from = self.source_key(source)?;
        let from = Source { bucket: source.bucket.as_deref(), key: &from, version: source.version.as_deref() };
        let (settings, key) = (&self.s3.settings, self.full_key()?);
        let request = requests::copy_part(settings, &key, upload, number, from, options)?;
        self.document_request(request, String::new())
    }

    /// The full key of the source. The setting `key-prefix` is that of the store's own bucket.
    fn source_key(&self, source: &CopySource) -> Result<String, Failure> {
        let checked = match &source.bucket {
            Some(_) => key::check(&source.key, "", MAX_KEY),
            None => self.full_key_of(&source.key),
        };
        checked.map_err(|mut fault| {
            fault.subject = Some("source".into());
            fault
        })
    }

    /// HEAD of the source.
    pub(super) fn source_request(&self) -> Result<Unsigned, Failure> {
        let (source, given) = match self.operation() {
            Operation::Copy { source, options, .. } => (source, &options.call),
            Operation::CopyPart { source, options, .. } => (source, &options.call),
            _ => return Err(nothing("source")),
        };
        let key = self.source_key(source)?;
        let mut call = head_call_options(given);
        // The source is encrypted with another key than the copy.
        call.attributes.retain(|(name, _)| name != "sse-customer-key");
        let own = given.attributes.iter().find(|(name, _)| name == "source-sse-customer-key");
        call.attributes.extend(own.map(|(_, key)| ("sse-customer-key".to_owned(), key.clone())));
        let options = HeadOptions { version: source.version.clone(), call, ..HeadOptions::default() };
        let mut request = requests::head(&self.s3.settings, &key, &options)?;
        if let Some(bucket) = &source.bucket {
            requests::in_bucket(&mut request, &self.s3.settings, bucket, &key)?;
        }
        Ok(Unsigned::bare(request))
    }

    pub(super) fn after_copy(&mut self, result: Result<Output, Failure>) -> NextStage {
        let Operation::Copy { options, .. } = self.operation() else { return result.into() };
        let condition = options.condition.clone();
        // What does not hold may be the source's conditions.
        let only = options.source_conditions == ReadConditions::default();
        match result {
            Ok(Output::Copy(written)) => self.written(written),
            Ok(output) => Flow::Done(output),
            Err(failure) if only && self.may_want_bare_tag(&failure, &condition) => {
                Flow::Aside(Stage::EntityTag { failure })
            }
            Err(failure) => self.after_copy_failed(failure, &condition),
        }
    }

    /// A copy failed for good.
    pub(super) fn after_copy_failed(&self, failure: Failure, condition: &WriteCondition) -> NextStage {
        let failure = too_large_or_unmet(failure);
        let maybe_done = self.maybe_applied();
        if maybe_done && *condition != WriteCondition::Always {
            return Flow::to(Stage::Outcome { failure, upload_gone: None });
        }
        if maybe_done && failure.kind == Kind::Timeout {
            let what = "the service did not respond in time: it may have made the copy, or may still be at work on it, so \
                        read the key before copying again";
            let mut unknown = self.unknown(what, &failure);
            unknown.retryable = true;
            return Flow::Failed(unknown);
        }
        // The message need not be one that is known here.
        if failure.kind == Kind::Service && failure.code() == Some("InvalidRequest") {
            return Flow::to(Stage::SourceTooLarge { failure });
        }
        Flow::Failed(failure)
    }

    pub(super) fn after_source_too_large(
        &self,
        mut failure: Failure,
        found: Result<(BlobInfo, Option<u64>), Failure>,
    ) -> NextStage {
        if found.is_ok_and(|(info, _)| info.size > MAX_COPY) {
            failure.kind = Kind::TooLarge;
        }
        Flow::Failed(failure)
    }

    pub(super) fn after_copy_part(&self, result: Result<Output, Failure>) -> NextStage {
        let Operation::CopyPart { options, .. } = self.operation() else { return result.into() };
        match result {
            Ok(Output::CopyPart(part)) => match options.range {
                Some(range) => Flow::Done(Output::CopyPart(Part { size: range.end - range.start, ..part })),
                None => Flow::to(Stage::SourceSize { part }),
            },
            Ok(output) => Flow::Done(output),
            Err(failure) => Flow::Failed(too_large_or_unmet(failure)),
        }
    }

    pub(super) fn after_source_size(&self, part: Part, found: Result<(BlobInfo, Option<u64>), Failure>) -> NextStage {
        found.map(|(info, _)| Output::CopyPart(Part { size: info.size, ..part })).into()
    }
}

/// What the codes of copies mean.
fn too_large_or_unmet(mut failure: Failure) -> Failure {
    let said = failure.response.as_ref().map(|response| {
        (response.code.as_deref().unwrap_or_default(), response.message.as_deref().unwrap_or_default())
    });
    match said {
        // S3 has no code of its own for it.
        Some(("InvalidRequest", words)) if words.contains("copy source is larger") => failure.kind = Kind::TooLarge,
        // Of a copy, a condition that does not hold is always this.
        Some(_) if failure.kind == Kind::NotModified => failure.kind = Kind::PreconditionFailed,
        _ => {}
    }
    failure
}
