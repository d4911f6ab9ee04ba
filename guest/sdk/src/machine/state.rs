//! What an operation remembers between two steps. Opaque to the driver: bytes at the contract's border.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::contract::error::{Error, Failure};
use crate::contract::model::Operation;
use crate::machine::service::Service;

/// Time limit of a call whose options have none.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(600);

/// The state of an operation at a service.
pub type StateOf<S> = State<<S as Service>::Stage, <S as Service>::Notes>;

/// The state of an operation, with the stage and the notes of its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State<G, N> {
    pub(super) operation: Operation,
    pub(super) stage: G,
    pub(super) notes: N,
    pub(super) progress: Progress,
    /// Progress of the operation itself, while a request is made whose retries are not the operation's.
    pub(super) aside: Option<Progress>,
    /// Nanoseconds after the beginning at which the operation's own request was first made.
    pub(super) began: u64,
    /// Seconds to add to the machine's clock to have the service's, if this operation found that out.
    pub(super) skew: Option<i64>,
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

impl<G, N> State<G, N> {
    /// The operation.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Time limit of the call.
    pub fn time_limit(&self) -> Duration {
        Duration::from_nanos(self.progress.limit)
    }
}

impl<G, N> State<G, N>
where
    G: Default + PartialEq + Serialize + DeserializeOwned,
    N: Default + PartialEq + Serialize + DeserializeOwned,
{
    pub(super) fn new(operation: Operation) -> Self {
        let progress = Progress::of(&operation);
        let (stage, notes) = (G::default(), N::default());
        State { operation, stage, notes, progress, aside: None, began: 0, skew: None }
    }

    /// As bytes: the operation and, after its first request, all else. Most operations end after one request, and decoding is a
    /// tenth of a GET's time in the sandbox.
    pub fn encode(&self) -> Vec<u8> {
        let State { operation, stage, notes, progress, aside, began, skew } = self;
        let later = (stage, notes, progress, aside, began, skew);
        let state = (operation, (!self.is_at_first_request()).then_some(later));
        // Serializing plain data into memory cannot fail. Few states are longer than the capacity.
        postcard::to_extend(&state, Vec::with_capacity(96)).unwrap_or_default()
    }

    /// From bytes.
    ///
    /// # Errors
    /// A fault of `state` if they are not those of [`State::encode`] of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Failure> {
        type Later<G, N> = (G, N, Progress, Option<Progress>, u64, Option<i64>);
        let (operation, later): (Operation, Option<Later<G, N>>) = postcard::from_bytes(bytes)
            .map_err(|_| Error::fault("state", "this is not a state of an exchange of this plugin"))?;
        let mut state = State::new(operation);
        match later {
            None => state.progress.attempts = 1,
            Some((stage, notes, progress, aside, began, skew)) => {
                state = State { stage, notes, progress, aside, began, skew, ..state };
            }
        }
        Ok(state)
    }

    /// Whether only the operation's own request was made, once.
    fn is_at_first_request(&self) -> bool {
        let progress = Progress { attempts: 1, ..Progress::of(&self.operation) };
        self.progress == progress
            && self.stage == G::default()
            && self.notes == N::default()
            && self.aside.is_none()
            && self.began == 0
            && self.skew.is_none()
    }
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
