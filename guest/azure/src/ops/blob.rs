//! Head, get, put, delete, tags, and presigned requests.

use sandbucket_plugin::content::Content;
use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{
    ByteRange, HeadOptions, Operation, Output, Presigned, Span, UNKNOWN_SIZE, WriteCondition,
};
use sandbucket_plugin::http::response::{Head, MalformedResponse, resolve_range};
use sandbucket_plugin::machine::{RequestBody, Response, Step};
use sandbucket_plugin::service::{AttemptError, Flow, Outgoing, blob_head};
use sandbucket_plugin::{tags, xml};

use super::{Azure, Found, Reply, Stage, document, output};
use crate::requests;
use crate::response;

/// How often the last bytes of a blob are looked for that changes meanwhile.
const MAX_ROUNDS: u32 = 3;

impl Azure {
    pub(super) fn blob_request(&self, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        let (settings, key) = (&self.settings, self.full_key(step)?);
        match step.operation() {
            Operation::Head { options, .. } => Ok(self.bare(step, requests::head(settings, &key, options)?)),
            Operation::Get { options, .. } => {
                let request = requests::get(settings, &key, options, options.range, &options.conditions)?;
                Ok(self.bare(step, request).with_stream())
            }
            Operation::Put { length, options, .. } => {
                let content = Content::remote(*length, &options.digests, settings.wanted_digests())?;
                let request = requests::put(settings, &key, &content, options)?;
                Ok(self.authorized(step, request, RequestBody::Caller(*length)))
            }
            Operation::Delete { options, .. } => Ok(self.bare(step, requests::delete(settings, &key, options)?)),
            Operation::GetTags { options, .. } => {
                Ok(self.bare(step, requests::get_tags(settings, &key, options)?).with_document())
            }
            Operation::SetTags { tags, options, .. } => {
                let (request, body) = requests::set_tags(settings, &key, tags, options)?;
                Ok(self.authorized(step, request, RequestBody::Bytes(body.into_bytes())))
            }
            _ => Err(step.unsupported()),
        }
    }

    /// What the response to the own request of an operation on a blob says.
    pub(super) fn blob_reply(&self, step: &Step<'_, Self>, response: &Response<'_>) -> Result<Reply, AttemptError> {
        let head = &response.head;
        let confirmed = match step.operation() {
            Operation::Head { .. } => return Ok(Reply::Output(Output::Head(response::blob_info(head)?))),
            Operation::Get { options, .. } => return self.blob_head(head, options.range),
            Operation::Put { .. } => return Ok(Reply::Output(Output::Put(accepted(head)?))),
            Operation::GetTags { .. } => {
                let tags = tags::parse(&document!(step, response, "Tags").root())?;
                return Ok(Reply::Output(Output::GetTags(tags)));
            }
            Operation::Delete { .. } => Output::Delete(Some(true)),
            Operation::SetTags { .. } => Output::SetTags,
            Operation::CreateBucket { .. } => Output::CreateBucket,
            Operation::DeleteBucket { .. } => Output::DeleteBucket,
            Operation::BucketExists { .. } => Output::BucketExists(true),
            _ => return Ok(Reply::Success),
        };
        // The status is all that these say.
        response::confirmed(head)?;
        Ok(Reply::Output(confirmed))
    }

    /// What the header of a response to a GET says.
    pub(super) fn blob_head(&self, head: &Head<'_>, asked: ByteRange) -> Result<Reply, AttemptError> {
        // Azurite responds so to a range that begins at the end of the blob; Azure responds 416.
        if head.status == 206 && head.content_length()? == Some(0) {
            return Err(AttemptError::Stop(Kind::InvalidRange, "no byte of the blob is in the range".into()));
        }
        let (info, body_range) = response::blob_part(head, asked)?;
        let digest = response::digest(head, body_range, info.size).filter(|_| self.settings.sends_md5);
        Ok(Reply::Output(Output::Get(blob_head(info, body_range, asked, digest)?)))
    }

    /// HEAD of the blob whose last bytes are read.
    pub(super) fn size_request(&self, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        let Operation::Get { options, .. } = step.operation() else { return Err(step.unsupported()) };
        let (conditions, version) = (options.conditions.clone(), options.version.clone());
        let options = HeadOptions { conditions, version, call: options.call.clone() };
        Ok(self.bare(step, requests::head(&self.settings, &self.full_key(step)?, &options)?))
    }

    pub(super) fn after_size(&self, step: &mut Step<'_, Self>, round: u32, found: Found) -> Flow<Stage> {
        let Operation::Get { options, .. } = step.operation() else { return Flow::own() };
        let info = match found {
            Ok((info, _)) => info,
            Err(failure) => return Flow::Failed(failure),
        };
        if info.size == UNKNOWN_SIZE {
            return Flow::Failed(step.failure(Kind::Integrity, "the service does not say how long the blob is"));
        }
        match resolve_range(options.range, info.size) {
            Some(range) => Flow::to(Stage::Suffix { range, etag: info.etag, round }),
            None => Flow::Failed(step.failure(Kind::InvalidRange, "the blob is empty: no byte of it is in the range")),
        }
    }

    pub(super) fn suffix_request(&self, step: &Step<'_, Self>) -> Result<Outgoing, Failure> {
        let (Operation::Get { options, .. }, Stage::Suffix { range, etag, .. }) = (step.operation(), step.stage())
        else {
            return Err(step.unsupported());
        };
        let mut conditions = options.conditions.clone();
        if conditions.if_match.is_none() {
            conditions.if_match = etag.clone();
        }
        let key = self.full_key(step)?;
        let request = requests::get(&self.settings, &key, options, ByteRange::Within(*range), &conditions)?;
        Ok(self.bare(step, request).with_stream())
    }

    /// What the header of a response to a GET of the last bytes says, which are these if the blob is still as long.
    pub(super) fn suffix_reply(&self, head: &Head<'_>, range: Span, asked: ByteRange) -> Result<Reply, AttemptError> {
        let reply = self.blob_head(head, ByteRange::Within(range))?;
        match &reply {
            Reply::Output(Output::Get(blob)) if resolve_range(asked, blob.info.size) != Some(range) => {
                Err(MalformedResponse("the blob is not as long as before, though its entity tag is the same".into())
                    .into())
            }
            _ => Ok(reply),
        }
    }

    /// If the blob has changed since its size was known, its last bytes are elsewhere.
    pub(super) fn after_suffix(
        &self,
        step: &mut Step<'_, Self>,
        round: u32,
        result: Result<Reply, Failure>,
    ) -> Flow<Stage> {
        let Operation::Get { options, .. } = step.operation() else { return Flow::own() };
        let given = &options.conditions;
        let is_own = given.if_match.is_none() && given.if_unmodified_since.is_none();
        match output(step, result) {
            Err(failure) if is_own && failure.kind == Kind::PreconditionFailed && round < MAX_ROUNDS => {
                let pause = step.backoff(round);
                Flow::Send(Stage::Size { round: round + 1 }, pause)
            }
            result => result.into(),
        }
    }

    pub(super) fn presign(&self, step: &Step<'_, Self>) -> Result<Presigned, Failure> {
        let Operation::Presign { method, options, .. } = step.operation() else { return Err(step.unsupported()) };
        requests::presign(&self.settings, &self.full_key(step)?, *method, options, step.time())
    }

    pub(super) fn after_put(&self, step: &Step<'_, Self>, result: Result<Output, Failure>) -> Flow<Stage> {
        let Operation::Put { options, .. } = step.operation() else { return result.into() };
        match result {
            Err(failure) if options.condition != WriteCondition::Always && step.maybe_applied() => {
                Flow::to(Stage::Outcome { failure })
            }
            result => result.map_err(|failure| absent_is_unmatched(failure, &options.condition)).into(),
        }
    }
}

/// What the response to a HEAD says.
pub(super) fn info(head: &Head<'_>) -> Result<Reply, AttemptError> {
    Ok(Reply::Info(Box::new(response::blob_info(head)?), head.date()))
}

/// What the response to a write says, which has an entity tag.
pub(super) fn accepted(head: &Head<'_>) -> Result<sandbucket_plugin::contract::model::Written, AttemptError> {
    response::confirmed(head)?;
    let written = response::written(head)?;
    if written.etag.is_none() {
        return Err(MalformedResponse("it has no etag, which Azure's response to a write has".into()).into());
    }
    Ok(written)
}

/// Azure says whether a blob existed. After a lost response, that it is gone may be this call's doing.
pub(super) fn after_delete(step: &Step<'_, Azure>, result: Result<(), Failure>) -> Result<Output, Failure> {
    match result {
        Ok(()) => Ok(Output::Delete(Some(true))),
        Err(failure) if is_absent(&failure) => Ok(Output::Delete((!step.maybe_applied()).then_some(false))),
        Err(failure) => Err(failure),
    }
}

/// Whether there is no such blob. A missing container is another matter, and so is a 404 without a code of Azure's, which need not
/// come from the service.
pub(super) fn is_absent(failure: &Failure) -> bool {
    failure.code() == Some("BlobNotFound")
}

/// That there is no blob means that `if-match` has nothing to match.
pub(super) fn absent_is_unmatched(mut failure: Failure, condition: &WriteCondition) -> Failure {
    if matches!(condition, WriteCondition::IfMatch(_)) && is_absent(&failure) {
        failure.kind = Kind::PreconditionFailed;
    }
    failure
}
