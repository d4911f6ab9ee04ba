//! The state machine of all operations: no I/O, no clock, no waiting.
//!
//! [`Store::begin`] gives the first step of an operation and [`Store::resume`] each further one: a request to send ([`Exchange`]), the
//! output, or a failure. All that an operation remembers between two steps is its [`State`], so any instance with the same settings can
//! continue it. [`crate::io`] drives it over wasi:http; the export `sans-io` gives it to other drivers.
//!
//! An operation goes through the stages of its [`Service`], each of which is one request with its retries. The machine counts attempts,
//! decides on retries, backoff and time limits, corrects the clock, and words failures; the service makes the requests, interprets
//! responses, and says where to go next.

mod entropy;
pub mod service;
pub mod state;
mod step;
mod steps;

use std::time::Duration;

use fastrand::Rng;

use crate::contract::error::{Failure, Kind};
use crate::contract::model::{Algorithm, Output, Pair};
use crate::http::request::Request;
use crate::http::response::Head;
use crate::machine::service::{Config, Service};
use crate::settings::SettingValues;

pub use state::{DEFAULT_TIME_LIMIT, State, StateOf};
pub use step::Step;

/// An open store of a service.
pub struct Store<S> {
    service: S,
    config: Config,
    session: Session,
}

/// What a store's operations share.
struct Session {
    /// Seconds to add to this machine's clock to have the service's.
    skew: i64,
    rng: Rng,
}

/// The next step of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "the output of a read is the common case, and not worth an allocation")]
pub enum Next<T> {
    /// Send this request.
    Send(Box<Exchange<T>>),
    /// The operation succeeded.
    Done(Output),
    /// The operation failed.
    Failed(Failure),
}

/// A request to send, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange<T> {
    /// State of the operation, to be passed to [`Store::resume`].
    pub state: T,
    /// How long to wait before sending.
    pub delay: Duration,
    /// Maximum time without progress.
    pub timeout: Duration,
    /// Request, signed. `host`, `content-length` and `user-agent` are added when it is written.
    pub request: Request,
    /// Body of the request.
    pub body: RequestBody,
    /// What to do with the body of a successful response.
    pub response_body: ResponseBody,
    /// Whether the request must not use an idle connection.
    pub fresh_connection: bool,
    /// The failure of the attempt that this one retries.
    pub retries: Option<Failure>,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// No body.
    None,
    /// These bytes.
    Bytes(Vec<u8>),
    /// The operation's own, of this length.
    Caller(u64),
}

impl RequestBody {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            RequestBody::None => 0,
            RequestBody::Bytes(bytes) => bytes.len() as u64,
            RequestBody::Caller(length) => *length,
        }
    }
}

/// What to do with the body of a successful response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// Leave it to the caller.
    Caller,
    /// Read up to so many bytes of it, for [`Event::Response`].
    Buffer(u32),
}

/// The outcome of an exchange.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A response.
    Response(Response<'a>),
    /// No response, or an incomplete one.
    Failed(TransportError),
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// Status and header.
    pub head: Head<'a>,
    /// Body, up to the bound of [`Exchange::response_body`]; of a response that is no success, its beginning.
    pub body: &'a [u8],
    /// Whether the body continues after `body`.
    pub truncated: bool,
}

/// A request without a response, or with an incomplete one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    /// [`Kind::Network`], [`Kind::Timeout`] or, of what is not HTTP or breaks off, [`Kind::Integrity`].
    pub kind: Kind,
    /// What happened, as the end of a sentence.
    pub message: String,
    /// Whether it is certain that the service has seen nothing of the request.
    pub not_sent: bool,
    /// Whether a retry can help.
    pub retryable: bool,
}

impl<S: Service> Store<S> {
    /// Parses the settings.
    ///
    /// `seed` is for the jitter of the backoff and for names: anything that differs between instances. [`Store::stir`] adds to it.
    ///
    /// # Errors
    /// [`Kind::InvalidSettings`], with the setting as its subject.
    pub fn open(pairs: &[Pair], seed: u64) -> Result<Self, Failure> {
        let opened = SettingValues::collect(S::SETTINGS, pairs).and_then(|settings| S::open(&settings));
        let (service, config) = opened.map_err(|mut fault| {
            fault.kind = Kind::InvalidSettings;
            fault
        })?;
        Ok(Store { service, config, session: Session { skew: 0, rng: Rng::with_seed(seed) } })
    }

    /// Mixes words that differ between instances and between calls, such as readings of clocks, into the random numbers to come.
    /// Drivers do so before an operation that makes a name which no other instance may make.
    pub fn stir(&mut self, words: &[u64]) {
        let before = self.session.rng.u64(..);
        self.session.rng = Rng::with_seed(entropy::mix(&[&[before], words].concat()));
    }

    /// The digests that the bodies of its writes are sent with.
    pub fn wanted_digests(&self) -> impl Iterator<Item = Algorithm> {
        self.service.wanted_digests()
    }

    /// Seconds that are added to this machine's clock to have the service's.
    pub fn skew(&self) -> i64 {
        self.session.skew
    }
}

#[cfg(test)]
mod tests;
