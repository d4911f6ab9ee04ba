//! The operations of a store as sans-I/O state machines: no I/O, no clock, no waiting.
//!
//! [`Store::begin`] gives the first step of an operation and [`Store::resume`] each further one: a signed request to send
//! ([`Exchange`]), the output, or a failure. All that an operation remembers between two steps is its [`State`], so any instance
//! with the same settings can continue it. [`crate::io`] drives it over wasi:http; the export `sans-io` gives it to other drivers.
//!
//! An operation goes through stages (`state::Stage`), each of which is one request with its retries:
//!
//! | File | Contents |
//! |---|---|
//! | `machine` | begin and resume: from a stage to its request, from an event to the next stage. |
//! | `call` | What a step has in common: signing, retry decisions, error messages. |
//! | `retry` | Retry policy on plain data: which errors, which backoff, clock skew. |
//! | `blob`, `put`, `copy`, `multipart`, `delete_many`, `documents`, `bucket`, `presign` | The requests and responses of each operation. |
//! | `reconcile`, `outcome` | Stages after a lost response, and before a condition that a service may ignore. |
//! | `verify` | The stage after a write, with the setting `verify-after-write`. |

mod blob;
mod bucket;
mod call;
mod copy;
mod delete_many;
mod documents;
mod machine;
mod multipart;
mod outcome;
mod presign;
mod put;
mod reconcile;
pub mod retry;
pub mod state;
mod verify;

use std::time::Duration;

use fastrand::Rng;

use crate::contract::error::{Failure, Kind};
use crate::contract::model::{Output, Pair};
use crate::s3::checksum::Algorithm;
use crate::s3::key;
use crate::s3::requests::Request;
use crate::s3::response::Head;
use crate::s3::sigv4::Signer;
use crate::settings::{self, Settings};

pub use state::{DEFAULT_TIME_LIMIT, State};

/// An open store.
pub struct Store {
    settings: Settings,
    signer: Signer,
    /// Seconds to add to this machine's clock to have the service's.
    skew: i64,
    rng: Rng,
    /// Whether the service has no bulk delete.
    single_deletes: bool,
}

/// The next step of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "the output of a read is the common case, and not worth an allocation")]
pub enum Next {
    /// Send this request.
    Send(Box<Exchange>),
    /// The operation succeeded.
    Done(Output),
    /// The operation failed.
    Failed(Failure),
}

/// A request to send, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// State of the operation, to be passed to [`Store::resume`].
    pub state: State,
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
    /// No response, or half of one.
    Failed(TransportError),
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// Status and header.
    pub head: Head<'a>,
    /// Body, as far as [`Exchange::response_body`] asks for it; of a response that is no success, its beginning.
    pub body: &'a [u8],
    /// Whether the body continues after `body`.
    pub truncated: bool,
}

/// A request without a response, or with half of one.
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

impl Store {
    /// Parses the settings.
    ///
    /// `seed` is for the jitter of the backoff: anything that differs between instances.
    pub fn open(pairs: &[Pair], seed: u64) -> Result<Store, Failure> {
        let settings = settings::parse(pairs).map_err(|mut fault| {
            fault.kind = Kind::InvalidSettings;
            fault
        })?;
        let signer = Signer::new(&settings.region);
        Ok(Store { settings, signer, skew: 0, rng: Rng::with_seed(seed), single_deletes: false })
    }

    /// The digests that the bodies of its writes are sent with.
    pub fn wanted_digests(&self) -> impl Iterator<Item = Algorithm> + use<> {
        self.settings.wanted_digests()
    }

    /// The prefix of the settings and the key.
    fn full_key(&self, key: &str) -> Result<String, Failure> {
        key::check(key, &self.settings.key_prefix)
    }

    /// The service's time, in seconds since 1970, as well as it is known.
    fn service_time(&self, wall: u64) -> u64 {
        wall.saturating_add_signed(self.skew)
    }
}

#[cfg(test)]
mod tests;
