//! The operations of a store: [`Azure`] is the SDK's [`Service`].
//!
//! An operation goes through stages ([`Stage`]), each of which is one request with its retries:
//!
//! | File | Contents |
//! |---|---|
//! | `blob` | Head, get, put, delete, tags. |
//! | `delete_many` | Batches of deletes, and single ones. |
//! | `listing` | Lists of blobs and of versions. |
//! | `copy` | Copies, of blobs and of parts. |
//! | `multipart` | Uploads. |
//! | `container` | Containers, the contract's buckets. |
//! | `reconcile` | Stages after a lost response. |

mod blob;
mod container;
mod copy;
mod delete_many;
mod listing;
mod multipart;
mod reconcile;

use sandbucket_plugin::Attribute;
use sandbucket_plugin::contract::error::{Failure, Kind};
use sandbucket_plugin::contract::model::{Algorithm, BlobInfo, ByteRange, Operation, Output, Part, Span, Written};
use sandbucket_plugin::http::request::Request;
use sandbucket_plugin::http::response::Head;
use sandbucket_plugin::machine::{RequestBody, Response, Step};
use sandbucket_plugin::service::{AttemptError, Config, ErrorResponse, Flow, Outgoing, Service, Wait};
use sandbucket_plugin::settings::{Setting, SettingValues};
use serde::{Deserialize, Serialize};

use crate::attributes;
use crate::documents::block_list::Block;
use crate::key::{self, MAX_KEY_BYTES};
use crate::requests;
use crate::response;
use crate::service_error::{self, Authorization};
use crate::settings::{self, Credentials, Settings};

/// An open store.
#[derive(Debug)]
pub struct Azure {
    settings: Settings,
    /// Whether the service takes no batches.
    single_deletes: bool,
}

/// What an operation found out about the service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Notes {
    /// It takes no batches.
    single_deletes: bool,
}

/// The request an operation is at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Stage {
    /// The operation's own request.
    #[default]
    Own,
    /// HEAD: how long is the blob whose last bytes are read? Azure has no such ranges.
    Size {
        /// How often the blob has changed meanwhile.
        round: u32,
    },
    /// GET of the last bytes.
    Suffix {
        /// Where they are.
        range: Span,
        /// Entity tag of the blob that is so long.
        etag: Option<String>,
        /// As in [`Stage::Size`].
        round: u32,
    },
    /// HEAD: did the write take effect, whose response was lost?
    Outcome {
        /// Failure of the last attempt.
        failure: Failure,
    },
    /// Get Block List: did the completion take effect, whose response was lost?
    Committed {
        /// Failure of the last attempt.
        failure: Failure,
    },
    /// HEAD: is the copy made that the service began?
    Copying {
        /// Number of these requests so far.
        look: u32,
        /// The service's id of the copy. None if the response that has it was lost.
        id: Option<String>,
    },
    /// HEAD of the source: how large is the part that is made of all of it?
    SourceSize,
    /// Put Block From URL of a whole source.
    WholePart {
        /// Size of the source in bytes.
        size: u64,
        /// Its entity tag.
        etag: Option<String>,
    },
    /// List: is the container empty, which is to be deleted?
    Empty {
        /// Where the list goes on.
        marker: Option<String>,
        /// Whether the account lists neither versions nor snapshots.
        current_only: bool,
    },
    /// Get Block List: does the upload have parts, which is aborted?
    Aborting,
    /// Get Block List of one of the keys of a page of uploads.
    BlocksOf {
        /// Keys that may have uncommitted blocks.
        keys: Vec<String>,
        /// Index of the key at hand.
        at: u32,
        /// The uploads found: index of the key, and id.
        found: Vec<(u32, String)>,
        /// The service's marker of the next page.
        next: Option<String>,
    },
    /// Batch of the blobs from this one on.
    Batch {
        /// Index of the first.
        start: u32,
        /// Outcomes of all blobs.
        outcomes: Vec<DeleteOutcome>,
    },
    /// Single delete of the first blob without an outcome.
    Single {
        /// Its index.
        index: u32,
        /// Outcomes of all blobs.
        outcomes: Vec<DeleteOutcome>,
    },
}

/// Outcome of one of several deletions, if known.
pub type DeleteOutcome = Option<Result<(), Failure>>;

/// What a response says.
#[derive(Debug)]
pub enum Reply {
    /// Of the operation's own request.
    Output(Output),
    /// Of a HEAD: the blob, and the service's time in seconds since 1970.
    Info(Box<BlobInfo>, Option<u64>),
    /// Of a list of blocks: those that are committed and those that are not, and the blob.
    Blocks(Vec<Block>, Vec<Block>, Written),
    /// Of a list: keys that may have uncommitted blocks, and the marker of its next page.
    Keys(Vec<String>, Option<String>),
    /// Of a list: whether it has no blob, and the marker of its next page.
    Empty(bool, Option<String>),
    /// Of a batch: the outcomes of its blobs.
    Deleted(Vec<DeleteOutcome>),
    /// The service has begun a copy of this id.
    CopyBegun(String),
    /// Nothing but that it succeeded.
    Success,
}

impl TryFrom<Reply> for Output {
    type Error = Reply;

    fn try_from(reply: Reply) -> Result<Output, Reply> {
        match reply {
            Reply::Output(output) => Ok(output),
            other => Err(other),
        }
    }
}

impl Azure {
    /// The full key of the operation's subject.
    fn full_key(&self, step: &Step<'_, Self>) -> Result<String, Failure> {
        checked_key(step.full_key()?)
    }

    /// The full key of another key of the store.
    fn full_key_of(&self, step: &Step<'_, Self>, key: &str) -> Result<String, Failure> {
        checked_key(step.full_key_of(key)?)
    }

    /// Authorizes a request with this body.
    fn authorized(&self, step: &Step<'_, Self>, mut request: Request, body: RequestBody) -> Outgoing {
        requests::authorize(&mut request, &self.settings, body.length(), step.time());
        Outgoing::new(request).with_body(body)
    }

    /// Authorizes a request without a body.
    fn bare(&self, step: &Step<'_, Self>, request: Request) -> Outgoing {
        self.authorized(step, request, RequestBody::None)
    }

    fn authorization(&self) -> Authorization {
        match self.settings.credentials {
            Credentials::SharedKey { .. } => Authorization::SharedKey,
            Credentials::Sas(_) => Authorization::Sas,
            Credentials::Anonymous => Authorization::Anonymous,
        }
    }
}

fn checked_key(full: String) -> Result<String, Failure> {
    key::check(&full).map(|()| full)
}

/// The root of a response's document.
macro_rules! document {
    ($step:expr, $response:expr, $root:expr) => {
        xml::document($step.document($response)?, $root)?
    };
}
pub(crate) use document;

impl Service for Azure {
    type Stage = Stage;
    type Notes = Notes;
    type Reply = Reply;

    const USER_AGENT: &'static str = concat!("sandbucket-azure/", env!("CARGO_PKG_VERSION"));
    const SETTINGS: &'static [Setting] = settings::TABLE;

    fn attributes() -> Vec<Attribute> {
        attributes::documentation()
    }

    fn open(values: &SettingValues<'_>) -> Result<(Self, Config), Failure> {
        let settings = settings::parse(values)?;
        let mut config = Config::new(settings.endpoint.display.clone(), settings.endpoint.https);
        config.container = format!("container \"{}\"", settings.container);
        config.key_prefix.clone_from(&settings.key_prefix);
        // In bytes of UTF-8; `key::check` counts characters.
        config.max_key = MAX_KEY_BYTES;
        config.timeout = settings.timeout;
        config.long_timeout = Some(("completion-timeout", settings.completion_timeout));
        config.max_retries = settings.max_retries;
        Ok((Azure { settings, single_deletes: false }, config))
    }

    fn wanted_digests(&self) -> impl Iterator<Item = Algorithm> {
        self.settings.wanted_digests()
    }

    fn begin(&mut self, step: &mut Step<'_, Self>) -> Flow<Stage> {
        match step.operation() {
            Operation::Presign { .. } => {
                let presigned = self.presign(step);
                step.checked(presigned).map(Output::Presign).into()
            }
            Operation::Get { options, .. } if matches!(options.range, ByteRange::Last(1..)) => {
                Flow::to(Stage::Size { round: 0 })
            }
            Operation::DeleteMany { .. } => self.begin_delete_many(step),
            Operation::CreateUpload { .. } => self.begin_upload(step),
            Operation::UploadPart { length: 0, .. } => self.begin_empty_part(step),
            Operation::CopyPart { options, .. } if options.range.is_none() => Flow::to(Stage::SourceSize),
            Operation::AbortUpload { .. } => Flow::to(Stage::Aborting),
            Operation::DeleteBucket { .. } => Flow::to(Stage::Empty { marker: None, current_only: false }),
            _ => Flow::own(),
        }
    }

    fn request(&mut self, step: &mut Step<'_, Self>) -> Result<Outgoing, Failure> {
        let step = &*step;
        match (step.stage(), step.operation()) {
            (Stage::Size { .. }, _) => self.size_request(step),
            (Stage::Suffix { .. }, _) => self.suffix_request(step),
            (Stage::Outcome { .. } | Stage::Copying { .. }, _) => self.look_request(step),
            (Stage::Committed { .. } | Stage::Aborting, _) => self.blocks_request(step),
            (Stage::BlocksOf { keys, at, .. }, _) => self.blocks_of_request(step, keys.get(*at as usize)),
            (Stage::SourceSize, _) => self.source_request(step),
            (Stage::WholePart { .. }, _) => self.copy_part_request(step),
            (Stage::Empty { .. }, _) => self.empty_request(step),
            (Stage::Batch { start, .. }, _) => self.batch_request(step, *start),
            (Stage::Single { index, .. }, _) => self.single_request(step, *index),
            (Stage::Own, operation) => match operation {
                Operation::Head { .. }
                | Operation::Get { .. }
                | Operation::Put { .. }
                | Operation::Delete { .. }
                | Operation::GetTags { .. }
                | Operation::SetTags { .. } => self.blob_request(step),
                Operation::List { .. } | Operation::ListVersions { .. } => self.list_request(step),
                Operation::Copy { .. } => self.copy_request(step),
                Operation::CopyPart { .. } => self.copy_part_request(step),
                Operation::UploadPart { .. }
                | Operation::ListParts { .. }
                | Operation::CompleteUpload { .. }
                | Operation::AbortUpload { .. }
                | Operation::ListUploads { .. } => self.upload_request(step),
                Operation::CreateBucket { .. }
                | Operation::DeleteBucket { .. }
                | Operation::BucketExists { .. }
                | Operation::ListBuckets { .. } => self.container_request(step),
                // They have no request of their own.
                Operation::Presign { .. } | Operation::DeleteMany { .. } | Operation::CreateUpload { .. } => {
                    Err(step.unsupported())
                }
            },
        }
    }

    fn response(&mut self, step: &mut Step<'_, Self>, response: &Response<'_>) -> Result<Reply, AttemptError> {
        let step = &*step;
        match (step.stage(), step.operation()) {
            (Stage::Size { .. } | Stage::Outcome { .. } | Stage::Copying { .. } | Stage::SourceSize, _) => {
                blob::info(&response.head)
            }
            (Stage::Suffix { range, .. }, Operation::Get { options, .. }) => {
                self.suffix_reply(&response.head, *range, options.range)
            }
            (Stage::Committed { .. } | Stage::Aborting | Stage::BlocksOf { .. }, _) => {
                multipart::blocks(step, response)
            }
            (Stage::WholePart { size, .. }, Operation::CopyPart { upload, number, .. }) => {
                multipart::part(response, upload, *number, *size).map(|part| Reply::Output(Output::CopyPart(part)))
            }
            (Stage::Empty { .. }, _) => container::emptiness(step, response),
            (Stage::Batch { start, .. }, _) => self.batch_reply(step, *start, response),
            (Stage::Single { .. } | Stage::WholePart { .. } | Stage::Suffix { .. }, _) => {
                response::confirmed(&response.head)?;
                Ok(Reply::Success)
            }
            (Stage::Own, operation) => match operation {
                Operation::Copy { .. } => copy::copied(&response.head),
                Operation::List { .. } | Operation::ListVersions { .. } => self.listed(step, response),
                Operation::UploadPart { .. }
                | Operation::CopyPart { .. }
                | Operation::ListParts { .. }
                | Operation::CompleteUpload { .. }
                | Operation::AbortUpload { .. }
                | Operation::ListUploads { .. } => self.uploaded(step, response),
                Operation::ListBuckets { .. } => container::containers(step, response),
                _ => self.blob_reply(step, response),
            },
        }
    }

    fn error_response(&self, step: &Step<'_, Self>, head: &Head<'_>, body: &[u8]) -> ErrorResponse {
        service_error::error_response(head, body, self.authorization(), step.time())
    }

    fn next(&mut self, step: &mut Step<'_, Self>, stage: Stage, result: Result<Reply, Failure>) -> Flow<Stage> {
        match stage {
            Stage::Own => self.after_own(step, result),
            Stage::Size { round } => self.after_size(step, round, found(result)),
            Stage::Suffix { round, .. } => self.after_suffix(step, round, result),
            Stage::Outcome { failure } => self.after_outcome(step, failure, found(result)),
            Stage::Committed { failure } => self.after_committed(step, failure, result),
            Stage::Copying { look, id } => self.after_look(step, look, id, found(result)),
            Stage::SourceSize => self.after_source_size(step, found(result)),
            Stage::WholePart { .. } => output(step, result).map_err(copy::unmet).into(),
            Stage::Empty { marker, current_only } => self.after_empty(step, marker.is_none(), current_only, result),
            Stage::Aborting => self.after_aborting(step, result),
            Stage::BlocksOf { keys, at, found, next } => self.after_blocks_of(step, keys, at, found, next, result),
            Stage::Batch { start, outcomes } => self.after_batch(step, start, outcomes, result),
            Stage::Single { index, outcomes } => self.after_single(step, index, outcomes, result.map(drop)),
        }
    }

    fn learn(&mut self, notes: &Notes) {
        self.single_deletes |= notes.single_deletes;
    }

    fn wait(operation: &Operation, stage: &Stage) -> Wait {
        match (stage, operation) {
            (Stage::WholePart { .. }, _)
            | (Stage::Own, Operation::Copy { .. } | Operation::CopyPart { .. } | Operation::CompleteUpload { .. }) => {
                Wait::Long
            }
            _ => Wait::Default,
        }
    }

    fn subject<'o>(operation: &'o Operation, stage: &'o Stage) -> (&'static str, &'o str) {
        match (stage, operation) {
            (Stage::Single { index, .. }, Operation::DeleteMany { blobs, .. }) => {
                ("delete", blobs.get(*index as usize).map_or("", |blob| blob.key.as_str()))
            }
            (Stage::BlocksOf { keys, at, .. }, _) => {
                ("list the parts of", keys.get(*at as usize).map_or("", String::as_str))
            }
            _ => (operation.verb(), operation.subject()),
        }
    }
}

impl Azure {
    /// Where the operation goes after its own request.
    fn after_own(&mut self, step: &mut Step<'_, Self>, result: Result<Reply, Failure>) -> Flow<Stage> {
        match step.operation() {
            Operation::Put { .. } => self.after_put(step, output(step, result)),
            Operation::Delete { .. } => blob::after_delete(step, result.map(drop)).into(),
            Operation::Copy { .. } => self.after_copy(step, result),
            Operation::CopyPart { .. } => output(step, result).map_err(copy::unmet).into(),
            Operation::ListParts { .. } => multipart::after_list_parts(output(step, result)).into(),
            Operation::CompleteUpload { .. } => self.after_complete(step, output(step, result)),
            Operation::ListUploads { .. } => self.after_keys(step, result),
            Operation::CreateBucket { .. } | Operation::DeleteBucket { .. } | Operation::BucketExists { .. } => {
                container::after_container(step, output(step, result)).into()
            }
            _ => output(step, result).into(),
        }
    }
}

/// The output in a reply.
fn output(step: &Step<'_, Azure>, result: Result<Reply, Failure>) -> Result<Output, Failure> {
    match result? {
        Reply::Output(output) => Ok(output),
        _ => Err(step.failure(Kind::Integrity, "the response is not the operation's")),
    }
}

/// What a HEAD found: the blob, and the service's time in seconds since 1970.
type Found = Result<(BlobInfo, Option<u64>), Failure>;

fn found(result: Result<Reply, Failure>) -> Found {
    result.map(|reply| match reply {
        Reply::Info(info, date) => (*info, date),
        _ => (BlobInfo::default(), None),
    })
}

/// A part of this size.
fn part(upload: &crate::upload_id::UploadId, number: u32, size: u64) -> Part {
    Part { number, size, etag: upload.part_etag(number, size), ..Part::default() }
}

#[cfg(test)]
mod tests;
