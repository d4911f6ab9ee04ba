//! Copies at the service, of blobs and of parts.

use sandbucket_plugin::contract::error::{Failure, Kind, tidy};
use sandbucket_plugin::contract::model::{
    CopySource, Operation, Output, ReadConditions, UNKNOWN_SIZE, WriteCondition, Written,
};
use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::{Head, MalformedResponse};
use sandbucket_plugin::machine::Step;
use sandbucket_plugin::service::{AttemptError, Flow, Outgoing};

use super::blob::{absent_is_unmatched, accepted};
use super::{Azure, Found, Reply, Stage, output, part};
use crate::requests::{self, MAX_BLOCK, Source};
use crate::upload_id::UploadId;

/// How often a copy is looked after that the service makes on its own.
const MAX_LOOKS: u32 = 100;

/// Maximum length of the id of a copy, a UUID, in bytes.
const MAX_COPY_ID: usize = 128;

/// The beginning of messages about a copy that the service makes on its own.
const BEGUN: &str = "the service began to copy";

impl Azure {
    /// The full key of the source. The setting `key-prefix` is that of the store's own container.
    fn source_key(&self, step: &Step<'_, Self>, source: &CopySource) -> Result<String, Failure> {
        let checked = match &source.bucket {
            Some(_) if source.key.is_empty() => self.full_key_of(step, ""),
            Some(_) => super::checked_key(source.key.clone()),
            None => self.full_key_of(step, &source.key),
        };
        checked.map_err(|mut fault| {
            fault.subject = Some("source".into());
            fault
        })
    }

    pub(super) fn copy_request(&self, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        let Operation::Copy { source, options, .. } = step.operation() else { return Err(step.unsupported()) };
        let from = self.source_key(step, source)?;
        let from = Source { container: source.bucket.as_deref(), key: &from, version: source.version.as_deref() };
        let request = requests::copy(&self.settings, &self.full_key(step)?, from, options, step.time())?;
        Ok(self.bare(step, request))
    }

    pub(super) fn after_copy(&self, step: &mut Step<'_, Self>, result: Result<Reply, Failure>) -> Flow<Stage> {
        let Operation::Copy { options, .. } = step.operation() else { return output(step, result).into() };
        match result.map_err(unmet) {
            Ok(Reply::CopyBegun(id)) => {
                let pause = step.backoff(0);
                Flow::Send(Stage::Copying { look: 0, id: Some(id) }, pause)
            }
            // The copy that is in progress may be this call's.
            Err(failure)
                if options.condition == WriteCondition::Always
                    && step.maybe_applied()
                    && failure.code() == Some("PendingCopyOperation") =>
            {
                let pause = step.backoff(0);
                Flow::Send(Stage::Copying { look: 0, id: None }, pause)
            }
            Err(failure) if options.condition != WriteCondition::Always && step.maybe_applied() => {
                Flow::to(Stage::Outcome { failure })
            }
            // What is absent may be the source.
            Err(failure)
                if options.source_conditions == ReadConditions::default() && failure.kind != Kind::NotFound =>
            {
                Flow::Failed(absent_is_unmatched(failure, &options.condition))
            }
            result => output(step, result).into(),
        }
    }

    /// A copy that the service makes on its own: between accounts, or if it is busy. Another write may replace it meanwhile, so only
    /// the state of the copy with this id is that of this call's.
    pub(super) fn after_look(
        &self,
        step: &mut Step<'_, Self>,
        look: u32,
        id: Option<String>,
        found: Found,
    ) -> Flow<Stage> {
        let info = match found {
            Ok((info, _)) => info,
            Err(failure) => {
                let what = format!("{BEGUN}, and its outcome cannot be looked up: read the key before copying again");
                return Flow::Failed(step.unknown(&what, &failure));
            }
        };
        let attribute = |wanted: &str| {
            let found = info.attributes.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.to_ascii_lowercase())
        };
        let (there, status) = (attribute("copy-id"), attribute("copy-status"));
        let is_own = id.is_some() && there == id.as_deref().map(str::to_ascii_lowercase);
        match status.as_deref() {
            Some("success") if is_own => {
                return Flow::Done(Output::Copy(Written { etag: info.etag, version: info.version }));
            }
            Some("failed" | "aborted") if is_own => {
                let what = format!("{BEGUN}, and did not finish: copy again");
                return Flow::Failed(step.failure(Kind::Service, &what));
            }
            // One whose id is lost is waited for: what is there is of use once it is complete.
            Some("pending") if is_own || id.is_none() => {}
            _ => {
                let what =
                    format!("{BEGUN}, and what is there may be of another write: read the key before copying again");
                return Flow::Failed(step.failure(Kind::OutcomeUnknown, &what));
            }
        }
        let pause = step.backoff(look.min(5));
        if look + 1 >= MAX_LOOKS || pause >= step.remaining() {
            let what = "the service is still copying: the key is complete once its attribute copy-status is success";
            let mut failure = step.failure(Kind::OutcomeUnknown, what);
            failure.retryable = true;
            return Flow::Failed(failure);
        }
        Flow::Send(Stage::Copying { look: look + 1, id }, pause)
    }

    /// HEAD of the source of a part.
    pub(super) fn source_request(&self, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        let Operation::CopyPart { source, .. } = step.operation() else { return Err(step.unsupported()) };
        let key = self.source_key(step, source)?;
        let from = Source { container: source.bucket.as_deref(), key: &key, version: source.version.as_deref() };
        // Arguments in order before anything is sent.
        self.copy_part_request(step)?;
        Ok(self.bare(step, requests::head_source(&self.settings, from)?))
    }

    /// A part of all of the source: Azure has no empty blocks, so an empty one needs no request.
    pub(super) fn after_source_size(&self, step: &Step<'_, Self>, found: Found) -> Flow<Stage> {
        let Operation::CopyPart { upload, number, .. } = step.operation() else { return Flow::own() };
        let info = match found {
            Ok((info, _)) => info,
            Err(failure) => return Flow::Failed(unmet(failure)),
        };
        match info.size {
            0 => match step.checked(UploadId::read(upload)) {
                Ok(upload) => Flow::Done(Output::CopyPart(part(&upload, *number, 0))),
                Err(fault) => Flow::Failed(fault),
            },
            UNKNOWN_SIZE => {
                Flow::Failed(step.failure(Kind::Integrity, "the service does not say how long the source is"))
            }
            size if size > MAX_BLOCK => {
                let what = format!("the source has {size} bytes, and a part at most {MAX_BLOCK}: copy it in ranges");
                Flow::Failed(step.failure(Kind::TooLarge, &what))
            }
            size => Flow::to(Stage::WholePart { size, etag: info.etag }),
        }
    }

    pub(super) fn copy_part_request(&self, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        let Operation::CopyPart { upload, number, source, options, .. } = step.operation() else {
            return Err(step.unsupported());
        };
        let (key, upload) = (self.full_key(step)?, UploadId::read(upload)?);
        let from = self.source_key(step, source)?;
        let from = Source { container: source.bucket.as_deref(), key: &from, version: source.version.as_deref() };
        let url = requests::read_source(&self.settings, from, step.time())?;
        let mut options = options.clone();
        // The source must still be as long as it was.
        if let Stage::WholePart { etag, .. } = step.stage()
            && options.source_conditions.if_match.is_none()
        {
            options.source_conditions.if_match = etag.clone();
        }
        Ok(self.bare(step, requests::copy_part(&self.settings, &key, &upload, *number, &url, &options)?))
    }
}

/// What the response to a copy says: that it is made, or that it was begun.
pub(super) fn copied(head: &Head<'_>) -> Result<Reply, AttemptError> {
    let written = accepted(head)?;
    match head.get("x-ms-copy-status") {
        Some(status) if status.eq_ignore_ascii_case("pending") => {
            let id = head.get("x-ms-copy-id").filter(|id| !id.is_empty());
            let id = id.ok_or_else(|| MalformedResponse("it begins a copy without an x-ms-copy-id".into()))?;
            Ok(Reply::CopyBegun(bounds::text("x-ms-copy-id", id, MAX_COPY_ID)?.to_owned()))
        }
        Some(status) if !status.eq_ignore_ascii_case("success") => {
            Err(AttemptError::Stop(Kind::Service, format!("the copy did not finish: it is {}", tidy(status, 32))))
        }
        _ => Ok(Reply::Output(Output::Copy(written))),
    }
}

/// Of a copy, a condition on the source that does not hold is an unmet precondition.
pub(super) fn unmet(mut failure: Failure) -> Failure {
    if failure.kind == Kind::NotModified {
        failure.kind = Kind::PreconditionFailed;
    }
    failure
}
