//! What a store stands on: something that sends requests, and clocks. The component has wasi:http and wasi:clocks for it;
//! tests have a script and a clock that only moves when told to.

use std::time::Duration;

use crate::error::Kind;
use crate::request::Request;
use crate::response::Head;

/// How long to wait for the service in one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// The longest time without progress: until connected, until the next bytes are taken, until the answer begins,
    /// until its next bytes.
    pub idle: Duration,
    /// The instant of [`Clock::now`] at which all waiting ends.
    pub deadline: u64,
    /// The instant at which the waiting begins: asking for it costs.
    pub now: u64,
    /// Whether the service may work on it for long: `idle` is then the setting `completion-timeout`, else `timeout`.
    pub long: bool,
}

/// An exchange that came to no answer, or to half of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    /// [`Kind::Network`], [`Kind::Timeout`] or, for what is no HTTP, [`Kind::Integrity`].
    pub kind: Kind,
    /// What happened, as the end of a sentence.
    pub message: String,
    /// Whether it is certain that the service has seen nothing of the request.
    pub unsent: bool,
    /// Whether trying again can help.
    pub retryable: bool,
}

/// Sends requests.
pub trait Transport {
    /// The body of an answer.
    type Body: Body;
    /// A request under way.
    type Exchange: Exchange<Body = Self::Body>;

    /// Sends a request with this body and waits for the answer to begin.
    ///
    /// An answer that comes before the body is sent in full counts.
    fn send(
        &mut self,
        request: &Request,
        body: &[u8],
        waits: Waits,
    ) -> Result<(Head<'static>, Self::Body), TransportError>;

    /// Begins a request whose body, of this length, is written by somebody else.
    fn begin(&mut self, request: &Request, length: u64, waits: Waits) -> Result<Self::Exchange, TransportError>;
}

/// A request whose body is written by somebody else.
pub trait Exchange {
    /// The body of the answer.
    type Body: Body;
    /// What the request's body is written to.
    type Sink;

    /// What to write the body to. Asked for once.
    fn sink(&mut self) -> Result<Self::Sink, TransportError>;

    /// Waits for the answer to begin, `sent` bytes having been written. Where those are not all, the answer may say why.
    fn answer(self, sent: u64, waits: Waits) -> Result<(Head<'static>, Self::Body), TransportError>;
}

/// The body of an answer, read in order.
pub trait Body {
    /// The bytes as somebody else reads them.
    type Stream;

    /// Hands the bytes over, none of which were read here.
    fn into_stream(self) -> Result<Self::Stream, TransportError>;

    /// The next bytes: at least 1 and at most `max` (which is above 0); none at the end.
    fn read(&mut self, max: usize) -> Result<Option<Vec<u8>>, TransportError>;

    /// Whether bytes are there that were not read yet. Does not wait for them.
    fn surplus(&mut self) -> bool;

    /// Ends all further waiting at this instant of [`Clock::now`], if that is earlier than before.
    fn hurry(&mut self, deadline: u64);
}

/// Tells the time and lets it pass.
pub trait Clock {
    /// Nanoseconds since some instant; only ever grows.
    fn now(&self) -> u64;

    /// Seconds since 1970, as far as this machine knows.
    fn wall(&self) -> u64;

    /// Returns after this time.
    fn sleep(&mut self, time: Duration);
}
