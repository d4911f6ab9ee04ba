//! Begin and resume: from a stage to its request, and from an event to the next stage.

use std::time::Duration;

use crate::contract::error::{Failure, Kind};
use crate::contract::model::{BlobInfo, Operation, Output};
use crate::s3::documents::delete_many::DeleteStatus;
use crate::s3::requests::{self, Method};
use crate::s3::response::Head;

use super::call::{Call, Outgoing, Trouble};
use super::retry;
use super::state::{Learned, Stage, State};
use super::{Event, Next, Response, Store};

/// What the response to a stage's request says.
pub(super) enum Reply {
    /// Of the operation's own request.
    Output(Output),
    /// Of a HEAD: the blob, and the service's time in seconds since 1970.
    Info(BlobInfo, Option<u64>),
    /// Of a bulk delete: the outcome of each blob, and the header of the response.
    DeleteStatuses(Vec<DeleteStatus>, Head<'static>),
    /// Nothing but that it succeeded.
    Success,
}

/// Where an operation goes from a stage.
pub(super) enum Flow {
    /// To this stage, after a pause.
    Send(Stage, Duration),
    /// To a stage whose attempts are not the operation's: it leaves no trace in the operation's failure.
    Aside(Stage),
    /// To the present stage again, after a pause: its attempt failed.
    Retry(Failure, Duration),
    Done(Output),
    Failed(Failure),
}

impl From<Result<Output, Failure>> for Flow {
    fn from(result: Result<Output, Failure>) -> Flow {
        match result {
            Ok(output) => Flow::Done(output),
            Err(failure) => Flow::Failed(failure),
        }
    }
}

impl Flow {
    pub(super) fn to(stage: Stage) -> Flow {
        Flow::Send(stage, Duration::ZERO)
    }
}

impl Store {
    /// Begins an operation. `wall` is the time in seconds since 1970.
    pub fn begin(&mut self, wall: u64, operation: Operation) -> Next {
        let mut call = Call { store: self, state: State::new(operation), wall };
        let flow = match &call.state.operation {
            Operation::Presign { method, options, .. } => {
                let (method, options) = (*method, options.clone());
                call.presign(method, &options).map(Output::Presign).into()
            }
            Operation::DeleteMany { .. } => call.begin_delete_many(),
            Operation::Copy { options, .. } if call.checks(&options.condition) => call.condition_first(),
            Operation::CompleteUpload { options, .. } if call.checks(&options.condition) => call.condition_first(),
            _ => Flow::to(Stage::Main),
        };
        call.go(flow)
    }

    /// Continues an operation with the outcome of its exchange. `elapsed` is the time since it began, in nanoseconds.
    pub fn resume(&mut self, wall: u64, mut state: State, elapsed: u64, event: Event<'_>) -> Next {
        state.progress.elapsed = state.progress.elapsed.max(elapsed);
        self.learn(&state.learned);
        let mut call = Call { store: self, state, wall };
        let flow = match call.interpret(event) {
            Ok(reply) => call.advance(Ok(reply)),
            Err(trouble) => match call.after(*trouble) {
                Ok((failure, pause)) => Flow::Retry(failure, pause),
                Err(failure) => call.advance(Err(failure)),
            },
        };
        call.go(flow)
    }

    /// A failure of an operation in this state.
    pub fn failure(&mut self, state: State, kind: Kind, what: &str) -> Failure {
        Call { store: self, state, wall: 0 }.failure(kind, what)
    }

    /// Takes over what the operation found out in another instance. It comes from the driver, so it is held against the bounds.
    fn learn(&mut self, learned: &Learned) {
        let Learned { skew, bare_if_match, single_deletes } = *learned;
        if let Some(skew) = skew.filter(|skew| skew.unsigned_abs() <= retry::max_skew(self.settings.endpoint.https)) {
            self.skew = skew;
        }
        self.settings.bare_if_match |= bare_if_match;
        self.single_deletes |= single_deletes;
    }
}

impl Call<'_> {
    /// Goes on until there is a request to send, or an end.
    fn go(mut self, mut flow: Flow) -> Next {
        loop {
            let (delay, retries) = match flow {
                Flow::Done(output) => return Next::Done(output),
                Flow::Failed(failure) => return Next::Failed(failure),
                Flow::Retry(failure, delay) => (delay, Some(failure)),
                Flow::Send(stage, delay) => {
                    self.state.stage = stage;
                    (delay, None)
                }
                Flow::Aside(stage) => {
                    self.state.aside = Some(self.state.progress);
                    self.state.stage = stage;
                    (Duration::ZERO, None)
                }
            };
            if matches!(self.state.stage, Stage::Main) && self.state.progress.attempts == 0 {
                self.state.began = self.state.progress.elapsed;
            }
            match self.outgoing() {
                Ok(outgoing) => match self.exchange(outgoing, delay, retries) {
                    Ok(exchange) => return Next::Send(Box::new(exchange)),
                    Err(out_of_time) => {
                        let (call, failure) = *out_of_time;
                        self = call;
                        flow = self.advance(Err(failure));
                    }
                },
                Err(failure) => flow = self.advance(Err(failure)),
            }
        }
    }

    /// The request of the present stage.
    fn outgoing(&self) -> Result<Outgoing, Failure> {
        match &self.state.stage {
            Stage::Main => self.main_request(),
            Stage::Condition
            | Stage::EntityTag { .. }
            | Stage::Outcome { .. }
            | Stage::CompletedTag { .. }
            | Stage::Verify { .. } => self.look_request(),
            Stage::Upload { .. } => self.upload_request(),
            Stage::SourceTooLarge { .. } | Stage::SourceSize { .. } => self.source_request(),
            Stage::Bulk { open, .. } => self.bulk_request(open),
            Stage::Single { index, .. } => self.single_request(*index),
        }
    }

    /// The operation's own request.
    fn main_request(&self) -> Result<Outgoing, Failure> {
        let settings = &self.store.settings;
        match &self.state.operation {
            Operation::Head { options, .. } => {
                Ok(Outgoing::bare(self.checked(requests::head(settings, &self.full_key()?, options))?))
            }
            Operation::Get { options, .. } => self.get_request(options),
            Operation::Put { length, options, .. } => self.put_request(*length, options),
            Operation::Delete { options, .. } => {
                Ok(Outgoing::bare(self.checked(requests::delete(settings, &self.full_key()?, options))?))
            }
            Operation::Copy { source, options, .. } => self.copy_request(source, options),
            Operation::SetTags { tags, options, .. } => {
                let (request, body) = self.checked(requests::set_tags(settings, &self.full_key()?, tags, options))?;
                self.document_request(request, body)
            }
            Operation::UploadPart { upload, number, length, options, .. } => {
                self.part_request(upload, *number, *length, options)
            }
            Operation::CopyPart { upload, number, source, options, .. } => {
                self.copy_part_request(upload, *number, source, options)
            }
            Operation::AbortUpload { upload, options, .. } => Ok(Outgoing::bare(
                self.checked(requests::abort_upload(settings, &self.full_key()?, upload, options))?,
            )),
            Operation::CompleteUpload { upload, parts, options, .. } => self.complete_request(upload, parts, options),
            Operation::List { .. }
            | Operation::ListVersions { .. }
            | Operation::GetTags { .. }
            | Operation::CreateUpload { .. }
            | Operation::ListParts { .. }
            | Operation::ListUploads { .. } => self.asking_request(),
            Operation::CreateBucket { .. }
            | Operation::DeleteBucket { .. }
            | Operation::BucketExists { .. }
            | Operation::ListBuckets { .. } => self.bucket_request(),
            // They have no request of their own at this stage.
            Operation::Presign { .. } | Operation::DeleteMany { .. } => {
                Err(self.failure(Kind::InvalidArgument, "there is no request to send"))
            }
        }
    }

    /// What a response to the present stage's request says, or how the attempt failed.
    fn interpret(&mut self, event: Event<'_>) -> Result<Reply, Trouble> {
        let Response { head, body, truncated } = match event {
            Event::Response(response) => response,
            Event::Failed(error) => return Err(self.transport_trouble(error)),
        };
        head.check_size().map_err(|malformed| self.malformed(malformed))?;
        let method = self.method();
        if !(200..300).contains(&head.status) {
            let body = if method == Method::Head || head.status == 304 { &[] } else { body };
            return Err(self.refused(method, &head, body));
        }
        match &self.state.stage {
            Stage::Main => self.main_reply(&head, body, truncated),
            Stage::Condition
            | Stage::EntityTag { .. }
            | Stage::Outcome { .. }
            | Stage::CompletedTag { .. }
            | Stage::Verify { .. }
            | Stage::SourceTooLarge { .. }
            | Stage::SourceSize { .. } => self.info(&head),
            Stage::Upload { .. } => {
                self.document(&head, body, truncated, "ListPartsResult", None, |_, _, _| Ok(Reply::Success))
            }
            Stage::Bulk { open, .. } => self.fates(open, &head, body, truncated),
            Stage::Single { .. } => Ok(Reply::Success),
        }
    }

    /// The method of the request of the present stage.
    pub(super) fn method(&self) -> Method {
        match (&self.state.stage, &self.state.operation) {
            (Stage::Upload { .. }, _) => Method::Get,
            (Stage::Bulk { .. }, _) => Method::Post,
            (Stage::Single { .. }, _) => Method::Delete,
            (Stage::Main, operation) => match operation {
                Operation::Head { .. } | Operation::BucketExists { .. } => Method::Head,
                Operation::Put { .. }
                | Operation::Copy { .. }
                | Operation::SetTags { .. }
                | Operation::UploadPart { .. }
                | Operation::CopyPart { .. }
                | Operation::CreateBucket { .. } => Method::Put,
                Operation::Delete { .. } | Operation::AbortUpload { .. } | Operation::DeleteBucket { .. } => {
                    Method::Delete
                }
                Operation::CreateUpload { .. } | Operation::CompleteUpload { .. } | Operation::DeleteMany { .. } => {
                    Method::Post
                }
                _ => Method::Get,
            },
            _ => Method::Head,
        }
    }

    /// What the response to the operation's own request says.
    fn main_reply(&self, head: &Head, body: &[u8], truncated: bool) -> Result<Reply, Trouble> {
        let output = match &self.state.operation {
            Operation::Head { .. } => match self.info(head)? {
                Reply::Info(info, _) => Output::Head(info),
                reply => return Ok(reply),
            },
            Operation::Get { options, .. } => Output::Get(self.blob_head(head, options.range)?),
            Operation::Put { .. } => Output::Put(self.accepted(head, body)?),
            Operation::UploadPart { number, length, .. } => {
                Output::UploadPart(self.accepted_part(*number, *length, head, body)?)
            }
            Operation::Delete { .. } => Output::Delete(None),
            Operation::SetTags { .. } => Output::SetTags,
            Operation::AbortUpload { .. } => Output::AbortUpload,
            Operation::CreateBucket { .. } => Output::CreateBucket,
            Operation::DeleteBucket { .. } => Output::DeleteBucket,
            Operation::BucketExists { .. } => Output::BucketExists(true),
            operation => return self.asked(operation, head, body, truncated).map(Reply::Output),
        };
        Ok(Reply::Output(output))
    }

    /// Where the operation goes after the present stage.
    fn advance(&mut self, result: Result<Reply, Failure>) -> Flow {
        if let Some(before) = self.state.aside.take() {
            let (attempts, elapsed) = (self.state.progress.attempts, self.state.progress.elapsed);
            self.state.progress = super::state::Progress { attempts, elapsed, ..before };
        }
        match std::mem::replace(&mut self.state.stage, Stage::Main) {
            Stage::Main => self.after_main(result),
            Stage::Condition => self.after_condition(found(result)),
            Stage::EntityTag { failure } => self.after_entity_tag(failure, found(result)),
            Stage::Upload { failure } => self.after_upload(failure, result.map(drop)),
            Stage::Outcome { failure, upload_gone } => self.after_outcome(failure, upload_gone, found(result)),
            Stage::CompletedTag { written } => self.after_completed_tag(written, found(result)),
            Stage::Verify { written, look, last } => self.after_verify(written, look, last, found(result)),
            Stage::SourceTooLarge { failure } => self.after_source_too_large(failure, found(result)),
            Stage::SourceSize { part } => self.after_source_size(part, found(result)),
            Stage::Bulk { open, round, outcomes } => self.after_bulk(open, round, outcomes, result),
            Stage::Single { index, outcomes } => self.after_single(index, outcomes, result.map(drop)),
        }
    }

    /// Where the operation goes after its own request.
    fn after_main(&mut self, result: Result<Reply, Failure>) -> Flow {
        let result = match result {
            Ok(Reply::Output(output)) => Ok(output),
            Ok(_) => Err(self.failure(Kind::Integrity, "the response is not the operation's")),
            Err(failure) => Err(failure),
        };
        match &self.state.operation {
            Operation::Put { .. } => self.after_put(result),
            Operation::Copy { .. } => self.after_copy(result),
            Operation::CopyPart { .. } => self.after_copy_part(result),
            Operation::CompleteUpload { .. } => self.after_complete(result),
            Operation::Delete { .. } => self.after_delete(result).into(),
            Operation::AbortUpload { .. } => match result.map(drop) {
                Ok(()) => Flow::Done(Output::AbortUpload),
                done => super::blob::absent_is_done(done).map(|()| Output::AbortUpload).into(),
            },
            Operation::CreateBucket { .. }
            | Operation::DeleteBucket { .. }
            | Operation::BucketExists { .. }
            | Operation::ListBuckets { .. } => self.after_bucket(result).into(),
            _ => result.into(),
        }
    }
}

/// What a HEAD found.
fn found(result: Result<Reply, Failure>) -> Result<(BlobInfo, Option<u64>), Failure> {
    result.map(|reply| match reply {
        Reply::Info(info, date) => (info, date),
        _ => (BlobInfo::default(), None),
    })
}
