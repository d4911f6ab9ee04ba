//! What an operation remembers between two steps. Opaque to the driver: bytes at the contract's border.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contract::error::{Error, Failure};
use crate::contract::model::{Operation, Part, Written};

/// Time limit of a call whose options have none.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(600);

/// The state of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub(super) operation: Operation,
    pub(super) stage: Stage,
    pub(super) progress: Progress,
    /// Progress of the operation itself, while a request is made whose retries are not the operation's.
    pub(super) aside: Option<Progress>,
    /// Nanoseconds after the beginning at which the operation's own request was first made.
    pub(super) began: u64,
    pub(super) learned: Learned,
    /// Whether the request in flight has an `if-match` without quotes.
    pub(super) bare_if_match: bool,
}

/// Attempts and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Time limit in nanoseconds.
    pub(super) limit: u64,
    /// Time since the beginning in nanoseconds.
    pub(super) elapsed: u64,
    /// Requests sent.
    pub(super) attempts: u32,
    /// How many of them were retries after a failure.
    pub(super) retries: u32,
    /// Maximum number of retries, by the call's options.
    pub(super) max_retries: u32,
    /// Whether an attempt that failed may have taken effect.
    pub(super) maybe_done: bool,
    /// Whether the clock was corrected in this call.
    pub(super) skewed: bool,
}

impl Progress {
    /// Before the first request.
    fn of(operation: &Operation) -> Progress {
        let call = operation.call();
        let limit = call.time_limit.unwrap_or(nanos(DEFAULT_TIME_LIMIT));
        let max_retries = call.max_retries.unwrap_or(u32::MAX);
        Progress { limit, elapsed: 0, attempts: 0, retries: 0, max_retries, maybe_done: false, skewed: false }
    }

    pub(super) fn remaining(&self) -> Duration {
        Duration::from_nanos(self.limit.saturating_sub(self.elapsed))
    }
}

/// What this operation found out about the service, for other instances that continue it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Learned {
    /// Seconds to add to the machine's clock to have the service's.
    pub(super) skew: Option<i64>,
    /// The service compares the tag in `if-match` without quotes.
    pub(super) bare_if_match: bool,
    /// The service has no bulk delete.
    pub(super) single_deletes: bool,
}

/// The request an operation is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// The operation's own request.
    Main,
    /// HEAD: does the condition of a completion or copy hold? Ceph ignores it in a completion.
    Condition,
    /// HEAD: did the write fail because the service compares the tag in `if-match` without quotes?
    EntityTag { failure: Failure },
    /// ListParts: does the upload still exist, whose completion's response was lost?
    Upload { failure: Failure },
    /// HEAD: did the write take effect, whose response was lost? `upload_gone` is known of a completion.
    Outcome { failure: Failure, upload_gone: Option<bool> },
    /// HEAD: the entity tag that the service (Ceph) leaves out of its response to a completion.
    CompletedTag { written: Written },
    /// HEAD: can the blob be read that was written (the setting `verify-after-write`)?
    Verify { written: Written, look: u32, last: Option<String> },
    /// HEAD of the source: is it too large to copy at once?
    SourceTooLarge { failure: Failure },
    /// HEAD of the source: how large is the part that was made of all of it?
    SourceSize { part: Part },
    /// Bulk delete of the blobs with these indices.
    Bulk { open: Vec<u32>, round: u32, outcomes: Vec<DeleteOutcome> },
    /// Single delete of the first blob without an outcome.
    Single { index: u32, outcomes: Vec<DeleteOutcome> },
}

/// Outcome of one of several deletions, if known.
pub(super) type DeleteOutcome = Option<Result<(), Failure>>;

impl State {
    pub(super) fn new(operation: Operation) -> State {
        let progress = Progress::of(&operation);
        State {
            operation,
            stage: Stage::Main,
            progress,
            aside: None,
            began: 0,
            learned: Learned::default(),
            bare_if_match: false,
        }
    }

    /// The operation.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Time limit of the call.
    pub fn time_limit(&self) -> Duration {
        Duration::from_nanos(self.progress.limit)
    }

    /// As bytes: the operation and, after its first request, all else. Most operations end after one request, and decoding is a
    /// tenth of a GET's time in the sandbox.
    pub fn encode(&self) -> Vec<u8> {
        let State { operation, stage, progress, aside, began, learned, bare_if_match } = self;
        let later = (stage, progress, aside, began, learned, bare_if_match);
        let state = (operation, (!self.is_at_first_request()).then_some(later));
        // Serializing plain data into memory cannot fail. Few states are longer than the capacity.
        postcard::to_extend(&state, Vec::with_capacity(96)).unwrap_or_default()
    }

    /// From bytes.
    ///
    /// # Errors
    /// A fault of `state` if they are not those of [`State::encode`] of this version.
    pub fn decode(bytes: &[u8]) -> Result<State, Failure> {
        type Later = (Stage, Progress, Option<Progress>, u64, Learned, bool);
        let (operation, later): (Operation, Option<Later>) = postcard::from_bytes(bytes)
            .map_err(|_| Error::fault("state", "this is not a state of an exchange of this plugin"))?;
        let mut state = State::new(operation);
        match later {
            None => state.progress.attempts = 1,
            Some((stage, progress, aside, began, learned, bare_if_match)) => {
                state = State { stage, progress, aside, began, learned, bare_if_match, ..state };
            }
        }
        Ok(state)
    }

    /// Whether only the operation's own request was made, once.
    fn is_at_first_request(&self) -> bool {
        let progress = Progress { attempts: 1, ..Progress::of(&self.operation) };
        self.progress == progress
            && matches!(self.stage, Stage::Main)
            && self.aside.is_none()
            && self.began == 0
            && self.learned == Learned::default()
            && !self.bare_if_match
    }
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
