//! Put: a blob is written once, or the outcome is reported as unknown.

use sandbucket_plugin::content::Content;
use sandbucket_plugin::contract::error::{Failure, Kind, tidy};
use sandbucket_plugin::contract::model::{Operation, Output, PutOptions, WriteCondition, Written};
use sandbucket_plugin::http::request::Request;
use sandbucket_plugin::http::response::Head;
use sandbucket_plugin::machine::RequestBody;
use sandbucket_plugin::service::{AttemptError, Flow, Outgoing};

use crate::requests;
use crate::response;
use crate::service_error;

use super::call::{Call, NextStage, Unsigned};
use super::stage::Stage;

impl Call<'_, '_> {
    pub(super) fn put_request(&self, length: u64, options: &PutOptions) -> Result<Unsigned, Failure> {
        let settings = &self.s3.settings;
        let content = Content::remote(length, &options.digests, settings.wanted_digests())?;
        let request = requests::put(settings, &self.full_key()?, &content, options)?;
        Ok(self.with_body(request, length, &content))
    }

    /// A request whose body is the caller's.
    pub(super) fn with_body(&self, request: Request, length: u64, content: &Content<'_>) -> Unsigned {
        let outgoing = Outgoing::new(request).with_body(RequestBody::Caller(length));
        Unsigned { outgoing, payload: self.payload(content) }
    }

    /// What the response to a write says that the service accepted.
    pub(super) fn accepted(&self, head: &Head, body: &[u8]) -> Result<Written, AttemptError> {
        let length = head.content_length()?;
        let written = response::written(head)?;
        if length != Some(0) {
            // Success has an empty body. Any other may be a failure that was noticed late, or not come from an S3 service.
            if service_error::is_error_document(body) {
                return Err(AttemptError::Malformed(format!(
                    "it is a {} and holds an error all the same: \"{}\"",
                    head.status,
                    tidy(&String::from_utf8_lossy(body), 300)
                )));
            }
            if written.etag.is_none() && !body.trim_ascii().is_empty() {
                let what = "it has no etag, but a body, where an S3 service responds to a write with an empty one";
                return Err(AttemptError::Malformed(what.into()));
            }
        }
        Ok(written)
    }

    pub(super) fn after_put(&mut self, result: Result<Output, Failure>) -> NextStage {
        let Operation::Put { options, .. } = self.operation() else { return result.into() };
        let condition = options.condition.clone();
        match result {
            Ok(Output::Put(written)) => self.written(written),
            Ok(output) => Flow::Done(output),
            Err(failure) if condition == WriteCondition::Always => Flow::Failed(failure),
            Err(failure) if self.may_want_bare_tag(&failure, &condition) => Flow::Aside(Stage::EntityTag { failure }),
            Err(failure) => self.after_put_failed(failure, &condition),
        }
    }

    /// A conditional write failed for good.
    pub(super) fn after_put_failed(&self, failure: Failure, condition: &WriteCondition) -> NextStage {
        if self.maybe_applied() {
            return Flow::to(Stage::Outcome { failure, upload_gone: None });
        }
        Flow::Failed(absent_is_unmatched(failure, condition))
    }

    /// A write took effect.
    pub(super) fn written(&self, written: Written) -> NextStage {
        if self.s3.settings.verify_after_write {
            return Flow::to(Stage::Verify { written, look: 0, last: None });
        }
        Flow::Done(self.written_output(written))
    }

    /// The result of the operation, which is a write.
    pub(super) fn written_output(&self, written: Written) -> Output {
        match self.operation() {
            Operation::Copy { .. } => Output::Copy(written),
            Operation::CompleteUpload { .. } => Output::CompleteUpload(written),
            _ => Output::Put(written),
        }
    }
}

/// S3 says that the key is not found if `if-match` has nothing to match.
pub(super) fn absent_is_unmatched(mut failure: Failure, condition: &WriteCondition) -> Failure {
    let bucket_is_missing = failure.code() == Some("NoSuchBucket");
    if matches!(condition, WriteCondition::IfMatch(_)) && failure.kind == Kind::NotFound && !bucket_is_missing {
        failure.kind = Kind::PreconditionFailed;
    }
    failure
}
