//! What an operation of S3 remembers between two requests.

use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::{BlobInfo, Output, Part, Written};
use sandbucket_plugin::http::response::Head;
use serde::{Deserialize, Serialize};

use crate::documents::delete_many::DeleteStatus;

/// What an operation found out about the service, for other instances that continue it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// The service compares the tag in `if-match` without quotes.
    pub(super) bare_if_match: bool,
    /// The service has no bulk delete.
    pub(super) single_deletes: bool,
    /// Whether the request in flight has an `if-match` without quotes.
    pub(super) sent_bare: bool,
}

/// The request an operation is at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The operation's own request.
    #[default]
    Main,
    /// HEAD: does the condition of a completion or copy hold? Ceph ignores it in a completion.
    Condition,
    /// HEAD: did the write fail because the service compares the tag in `if-match` without quotes?
    EntityTag {
        /// The failure of the write.
        failure: Failure,
    },
    /// ListParts: does the upload still exist, whose completion's response was lost?
    Upload {
        /// The failure of the completion.
        failure: Failure,
    },
    /// HEAD: did the write take effect, whose response was lost?
    Outcome {
        /// The failure of the last attempt.
        failure: Failure,
        /// Known of a completion.
        upload_gone: Option<bool>,
    },
    /// HEAD: the entity tag that the service (Ceph) leaves out of its response to a completion.
    CompletedTag {
        /// What the response says.
        written: Written,
    },
    /// HEAD: can the blob be read that was written (the setting `verify-after-write`)?
    Verify {
        /// What was written.
        written: Written,
        /// Number of looks before.
        look: u32,
        /// What the last one found.
        last: Option<String>,
    },
    /// HEAD of the source: is it too large to copy at once?
    SourceTooLarge {
        /// The failure of the copy.
        failure: Failure,
    },
    /// HEAD of the source: how large is the part that was made of all of it?
    SourceSize {
        /// The part.
        part: Part,
    },
    /// Bulk delete.
    Bulk {
        /// Indices of the blobs.
        open: Vec<u32>,
        /// Number of bulk deletes before.
        round: u32,
        /// Outcomes of all blobs.
        outcomes: Vec<DeleteOutcome>,
    },
    /// Single delete of the first blob without an outcome.
    Single {
        /// Index of the blob.
        index: u32,
        /// Outcomes of all blobs.
        outcomes: Vec<DeleteOutcome>,
    },
}

/// Outcome of one of several deletions, if known.
pub(super) type DeleteOutcome = Option<Result<(), Failure>>;

/// What the response to a stage's request says.
#[allow(clippy::large_enum_variant, reason = "the output of a read is the common case, and not worth an allocation")]
pub enum Reply {
    /// Of the operation's own request.
    Output(Output),
    /// Of a HEAD: the blob, and the service's time in seconds since 1970.
    Info(BlobInfo, Option<u64>),
    /// Of a bulk delete: the outcome of each blob, and the header of the response.
    DeleteStatuses(Vec<DeleteStatus>, Head<'static>),
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
