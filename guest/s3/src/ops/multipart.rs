//! Parts of uploads, and completions.

use sandbucket_plugin::content::Content;
use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::{CompleteOptions, Operation, Output, Part, PartOptions};
use sandbucket_plugin::http::response::Head;
use sandbucket_plugin::service::{AttemptError, Flow};

use crate::requests;

use super::call::{Call, NextStage, Unsigned};
use super::put::absent_is_unmatched;
use super::stage::Stage;

impl Call<'_, '_> {
    pub(super) fn part_request(
        &self,
        upload: &str,
        number: u32,
        length: u64,
        options: &PartOptions,
    ) -> Result<Unsigned, Failure> {
        let settings = &self.s3.settings;
        let content = Content::remote(length, &options.digests, settings.wanted_digests())?;
        let key = self.full_key()?;
        let request = requests::upload_part(settings, &key, upload, number, &content, options)?;
        Ok(self.with_body(request, length, &content))
    }

    /// A part that the service accepted. The upload cannot be completed without its entity tag.
    pub(super) fn accepted_part(&self, number: u32, size: u64, head: &Head, body: &[u8]) -> Result<Part, AttemptError> {
        let Some(etag) = self.accepted(head, body)?.etag else {
            let what = "it has no etag, without which the upload cannot be completed";
            return Err(AttemptError::Malformed(what.into()));
        };
        // The service has verified the checksums that the part was sent with, and its completion names them.
        let attributes = match self.operation() {
            Operation::UploadPart { options, .. } => requests::part_checksums(&self.s3.settings, size, options),
            _ => Vec::new(),
        };
        Ok(Part { number, size, etag, last_modified: None, attributes })
    }

    pub(super) fn complete_request(
        &self,
        upload: &str,
        parts: &[Part],
        options: &CompleteOptions,
    ) -> Result<Unsigned, Failure> {
        let (settings, key) = (&self.s3.settings, self.full_key()?);
        let (request, body) = requests::complete_upload(settings, &key, upload, parts, options)?;
        self.document_request(request, body)
    }

    /// S3 begins its response before the blob is made, and may end it with an error: it is then completed again. If a response was
    /// lost, the upload may be gone because it was completed.
    pub(super) fn after_complete(&mut self, result: Result<Output, Failure>) -> NextStage {
        let Operation::CompleteUpload { options, .. } = self.operation() else { return result.into() };
        let condition = options.condition.clone();
        match result {
            Ok(Output::CompleteUpload(written)) if written.etag.is_none() => {
                Flow::Aside(Stage::CompletedTag { written })
            }
            Ok(Output::CompleteUpload(written)) => self.written(written),
            Ok(output) => Flow::Done(output),
            Err(failure) if self.may_want_bare_tag(&failure, &condition) => Flow::Aside(Stage::EntityTag { failure }),
            Err(failure) => self.after_complete_failed(failure),
        }
    }

    /// A completion failed for good.
    pub(super) fn after_complete_failed(&self, failure: Failure) -> NextStage {
        let Operation::CompleteUpload { options, .. } = self.operation() else { return Flow::Failed(failure) };
        if self.maybe_applied() {
            return match is_no_upload(&failure) {
                true => Flow::to(Stage::Outcome { failure, upload_gone: Some(true) }),
                false => Flow::Aside(Stage::Upload { failure }),
            };
        }
        if is_no_upload(&failure) {
            return Flow::Failed(failure);
        }
        Flow::Failed(absent_is_unmatched(failure, &options.condition))
    }
}

/// Whether the service knows no such upload.
pub(super) fn is_no_upload(failure: &Failure) -> bool {
    failure.code() == Some("NoSuchUpload")
}
