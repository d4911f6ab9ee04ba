//! S3 as a service of the SDK: from a stage to its request, and from a response to the next stage.

use sandbucket_plugin::attributes::Attribute;
use sandbucket_plugin::checksum::Algorithm;
use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{BlobInfo, Operation, Output};
use sandbucket_plugin::http::request::Method;
use sandbucket_plugin::http::response::Head;
use sandbucket_plugin::machine::{self, Response, StateOf, Step};
use sandbucket_plugin::service::{AttemptError, Config, ErrorResponse, Flow, Outgoing, Service, Wait};
use sandbucket_plugin::settings::{Setting, SettingValues};

use crate::attributes;
use crate::requests;
use crate::service_error;
use crate::settings::{self, Settings};
use crate::sigv4::Signer;

use super::call::{Call, NextStage, Unsigned, method};
use super::retry;
use super::stage::{Notes, Reply, Stage};

/// An open store of S3.
pub type Store = machine::Store<S3>;

/// The state of an operation of S3.
pub type State = StateOf<S3>;

/// S3: what is specific to it in an open store.
pub struct S3 {
    pub(super) settings: Settings,
    pub(super) signer: Signer,
    /// Whether the service has no bulk delete.
    pub(super) single_deletes: bool,
}

impl Service for S3 {
    type Stage = Stage;
    type Notes = Notes;
    type Reply = Reply;

    const USER_AGENT: &'static str = concat!("sandbucket-s3/", env!("CARGO_PKG_VERSION"));
    const SETTINGS: &'static [Setting] = settings::TABLE;

    fn attributes() -> Vec<Attribute> {
        let documented = |known: &attributes::Attribute| {
            let attribute = Attribute::new(known.name, known.help());
            if known.is_key() { attribute.secret() } else { attribute }
        };
        attributes::TABLE.iter().map(documented).collect()
    }

    fn open(values: &SettingValues<'_>) -> Result<(S3, Config), Failure> {
        let settings = settings::read(values)?;
        let signer = Signer::new(&settings.region);
        let mut config = Config::new(settings.endpoint.display.clone(), settings.endpoint.https);
        config.container = format!("bucket \"{}\"", settings.bucket);
        config.key_prefix.clone_from(&settings.key_prefix);
        config.timeout = settings.timeout;
        config.long_timeout = Some(("completion-timeout", settings.completion_timeout));
        config.max_retries = settings.max_retries;
        Ok((S3 { settings, signer, single_deletes: false }, config))
    }

    fn wanted_digests(&self) -> impl Iterator<Item = Algorithm> {
        self.settings.wanted_digests()
    }

    fn begin(&mut self, step: &mut Step<'_, S3>) -> NextStage {
        let mut call = Call { s3: self, step };
        match call.operation() {
            Operation::Presign { method, options, .. } => {
                let (method, options) = (*method, options.clone());
                let presigned = call.presign(method, &options);
                call.checked(presigned).map(Output::Presign).into()
            }
            Operation::DeleteMany { .. } => call.begin_delete_many(),
            Operation::Copy { options, .. } if call.checks(&options.condition) => call.condition_first(),
            Operation::CompleteUpload { options, .. } if call.checks(&options.condition) => call.condition_first(),
            _ => Flow::own(),
        }
    }

    fn request(&mut self, step: &mut Step<'_, S3>) -> Result<Outgoing, Failure> {
        let mut call = Call { s3: self, step };
        let Unsigned { mut outgoing, payload } = call.unsigned()?;
        call.sign(&mut outgoing.request, &payload);
        Ok(outgoing)
    }

    fn response(&mut self, step: &mut Step<'_, S3>, response: &Response<'_>) -> Result<Reply, AttemptError> {
        let call = Call { s3: self, step };
        match call.stage() {
            Stage::Main => call.main_reply(response),
            Stage::Condition
            | Stage::EntityTag { .. }
            | Stage::Outcome { .. }
            | Stage::CompletedTag { .. }
            | Stage::Verify { .. }
            | Stage::SourceTooLarge { .. }
            | Stage::SourceSize { .. } => call.info(&response.head),
            Stage::Upload { .. } => call.document_of(response, "ListPartsResult", None, |_, _, _| Ok(Reply::Success)),
            Stage::Bulk { open, .. } => call.statuses(open, response),
            Stage::Single { .. } => Ok(Reply::Success),
        }
    }

    fn error_response(&self, step: &Step<'_, S3>, head: &Head<'_>, body: &[u8]) -> ErrorResponse {
        let signed = self.settings.credentials.is_some();
        let method = method(step.operation(), step.stage());
        let body = if method == Method::Head { &[] } else { body };
        let response = service_error::parse(head, body, &self.settings.region);
        let decision = retry::decide(head, &response, step.time(), signed);
        let classification = service_error::classify(method, head, &response, !signed);
        ErrorResponse::new(response, classification, decision)
    }

    fn next(&mut self, step: &mut Step<'_, S3>, stage: Stage, result: Result<Reply, Failure>) -> NextStage {
        let mut call = Call { s3: self, step };
        match stage {
            Stage::Main => call.after_main(result),
            Stage::Condition => call.after_condition(found(result)),
            Stage::EntityTag { failure } => call.after_entity_tag(failure, found(result)),
            Stage::Upload { failure } => call.after_upload(failure, result.map(drop)),
            Stage::Outcome { failure, upload_gone } => call.after_outcome(failure, upload_gone, found(result)),
            Stage::CompletedTag { written } => call.after_completed_tag(written, found(result)),
            Stage::Verify { written, look, last } => call.after_verify(written, look, last, found(result)),
            Stage::SourceTooLarge { failure } => call.after_source_too_large(failure, found(result)),
            Stage::SourceSize { part } => call.after_source_size(part, found(result)),
            Stage::Bulk { open, round, outcomes } => call.after_bulk(open, round, outcomes, result),
            Stage::Single { index, outcomes } => call.after_single(index, outcomes, result.map(drop)),
        }
    }

    fn wait(operation: &Operation, stage: &Stage) -> Wait {
        match (stage, operation) {
            (Stage::Main, Operation::Copy { .. } | Operation::CompleteUpload { .. }) => Wait::LongOnce,
            (Stage::Main, Operation::CopyPart { .. }) => Wait::Long,
            _ => Wait::Default,
        }
    }

    fn subject<'o>(operation: &'o Operation, stage: &'o Stage) -> (&'static str, &'o str) {
        match (stage, operation) {
            (Stage::Single { index, .. }, Operation::DeleteMany { blobs, .. }) => {
                ("delete", blobs.get(*index as usize).map_or("", |blob| blob.key.as_str()))
            }
            _ => (operation.verb(), operation.subject()),
        }
    }

    fn learn(&mut self, notes: &Notes) {
        self.settings.bare_if_match |= notes.bare_if_match;
        self.single_deletes |= notes.single_deletes;
    }
}

impl Call<'_, '_> {
    /// The request of the present stage.
    fn unsigned(&self) -> Result<Unsigned, Failure> {
        match self.stage() {
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
    fn main_request(&self) -> Result<Unsigned, Failure> {
        let settings = &self.s3.settings;
        match self.operation() {
            Operation::Head { options, .. } => {
                Ok(Unsigned::bare(requests::head(settings, &self.full_key()?, options)?))
            }
            Operation::Get { options, .. } => self.get_request(options),
            Operation::Put { length, options, .. } => self.put_request(*length, options),
            Operation::Delete { options, .. } => {
                Ok(Unsigned::bare(requests::delete(settings, &self.full_key()?, options)?))
            }
            Operation::Copy { source, options, .. } => self.copy_request(source, options),
            Operation::SetTags { tags, options, .. } => {
                let (request, body) = requests::set_tags(settings, &self.full_key()?, tags, options)?;
                self.document_request(request, body)
            }
            Operation::UploadPart { upload, number, length, options, .. } => {
                self.part_request(upload, *number, *length, options)
            }
            Operation::CopyPart { upload, number, source, options, .. } => {
                self.copy_part_request(upload, *number, source, options)
            }
            Operation::AbortUpload { upload, options, .. } => {
                Ok(Unsigned::bare(requests::abort_upload(settings, &self.full_key()?, upload, options)?))
            }
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
            Operation::Presign { .. } | Operation::DeleteMany { .. } => Err(nothing("request to send")),
        }
    }

    /// What the response to the operation's own request says.
    fn main_reply(&self, response: &Response<'_>) -> Result<Reply, AttemptError> {
        let (head, body) = (&response.head, response.body);
        let output = match self.operation() {
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
            operation => return self.asked(operation, response).map(Reply::Output),
        };
        Ok(Reply::Output(output))
    }

    /// Where the operation goes after its own request.
    fn after_main(&mut self, result: Result<Reply, Failure>) -> NextStage {
        let result = match result {
            Ok(Reply::Output(output)) => Ok(output),
            Ok(_) => Err(self.failure(Kind::Integrity, "the response is not the operation's")),
            Err(failure) => Err(failure),
        };
        match self.operation() {
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

/// The failure of a stage of an operation that has no such stage: the state is of the driver's making.
pub(super) fn nothing(what: &str) -> Failure {
    sandbucket_plugin::Error::failure(Kind::InvalidArgument, format!("there is no {what}"))
}
