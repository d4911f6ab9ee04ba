//! The driver that sends the requests of [`crate::machine`] itself and waits for their responses: for hosts that offer wasi:http and
//! nothing else, and for tests.
//!
//! `driver` is the loop, generic over [`Transport`] and [`Clock`]; [`blocking`] has the store's methods on it; `wasi` implements
//! the two for wasi:http and wasi:clocks. Tests have a script and a clock that moves by hand.

pub mod blocking;
mod body;
mod driver;
#[cfg(target_arch = "wasm32")]
pub mod wasi;
mod writer;

use std::time::Duration;

use crate::http::request::Request;
use crate::http::response::Head;
use crate::machine::TransportError;

pub use driver::Driver;
pub use writer::{Writer, WrittenBody};

/// How long to wait for the service in one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Maximum time without progress: until connected, until the next bytes are taken, until the response begins, until its next
    /// bytes.
    pub idle: Duration,
    /// The instant of [`Clock::now`] at which all waiting ends.
    pub deadline: u64,
    /// The instant at which the waiting begins. Asking for it costs.
    pub now: u64,
    /// Whether the request must not use an idle connection.
    pub fresh_connection: bool,
}

/// Sends requests.
pub trait Transport {
    /// The body of a response.
    type Body: Body;
    /// A request in flight.
    type Exchange: Exchange<Body = Self::Body>;

    /// Sends a request with this body and waits for the response to begin. A response that arrives before the whole body is sent
    /// counts.
    fn send(
        &mut self,
        request: &Request,
        body: &[u8],
        waits: Waits,
    ) -> Result<(Head<'static>, Self::Body), TransportError>;

    /// Begins a request whose body, of this length, the caller writes.
    fn begin(&mut self, request: &Request, length: u64, waits: Waits) -> Result<Self::Exchange, TransportError>;
}

/// A request in flight whose body the caller writes.
pub trait Exchange {
    /// The body of the response.
    type Body: Body;
    /// What the request's body is written to.
    type Sink;

    /// What to write the body to. Called once.
    fn sink(&mut self) -> Result<Self::Sink, TransportError>;

    /// Waits for the response to begin, after `sent` bytes were written. If those are not all, the response may say why.
    fn response(self, sent: u64, waits: Waits) -> Result<(Head<'static>, Self::Body), TransportError>;
}

/// The body of a response, read in order.
pub trait Body {
    /// The bytes as the caller reads them.
    type Stream;

    /// Hands the body over, of which nothing was read.
    fn into_stream(self) -> Result<Self::Stream, TransportError>;

    /// The next bytes: 1 to `max` (which is above 0); none at the end.
    fn read(&mut self, max: usize) -> Result<Option<Vec<u8>>, TransportError>;

    /// Whether more bytes are there. Does not wait for them.
    fn has_excess(&mut self) -> bool;

    /// Ends all further waiting at this instant of [`Clock::now`], if that is earlier than before.
    fn set_deadline(&mut self, deadline: u64);
}

/// The time, and waiting.
pub trait Clock {
    /// Nanoseconds since some instant. Monotonic.
    fn now(&self) -> u64;

    /// Seconds since 1970 by this machine's clock.
    fn wall(&self) -> u64;

    /// Returns after this time.
    fn sleep(&mut self, time: Duration);
}
