//! Requests over wasi:http: the one place that knows it.
//!
//! The host is given the timeouts as request options, and everything is waited for with a clock beside it, so that a
//! stall ends also on a host that does not heed them.

mod answer;
mod trouble;
mod upload;

use std::time::Duration;

use crate::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{self, Fields, OutgoingRequest, RequestOptions, Scheme};
use crate::env::{Clock, Transport, TransportError, Waits};
use crate::headers::USER_AGENT;
use crate::request::{Method, Request};
use crate::response::Head;
use trouble::{error_of, unfit};

pub use answer::{Answer, Kept};
pub use trouble::failed;
pub use upload::Exchange;

/// How much longer than the plugin the host waits between bytes, in nanoseconds.
const BACKSTOP: u64 = 1_000_000_000;

/// The host, as a store's ground.
#[derive(Clone, Copy, Default)]
pub struct Wasi {
    /// The time, by both clocks, where it is not to pass.
    still: Option<(u64, u64)>,
}

impl Wasi {
    /// The host at this moment: what is done several times without a wait need not ask for the time each time.
    pub fn for_a_moment() -> Self {
        let wasi = Wasi::default();
        Wasi { still: Some((wasi.now(), wasi.wall())) }
    }
}

impl Clock for Wasi {
    fn now(&self) -> u64 {
        self.still.map_or_else(monotonic_clock::now, |(now, _)| now)
    }

    fn wall(&self) -> u64 {
        self.still.map_or_else(|| wall_clock::now().seconds, |(_, wall)| wall)
    }

    fn sleep(&mut self, time: Duration) {
        monotonic_clock::subscribe_duration(nanos(time)).block();
    }
}

impl Transport for Wasi {
    type Body = Answer;
    type Exchange = Exchange;

    fn send(
        &mut self,
        request: &Request,
        body: &[u8],
        waits: Waits,
    ) -> Result<(Head<'static>, Answer), TransportError> {
        // Everything is waited for here, with a clock beside it; an answer may yet be read by somebody else.
        let options = if body.is_empty() || waits.long { Some(options(waits)) } else { None };
        hand_over(request, body.len() as u64, !body.is_empty(), options)?.send(body, waits)
    }

    fn begin(&mut self, request: &Request, length: u64, waits: Waits) -> Result<Exchange, TransportError> {
        hand_over(request, length, true, Some(options(waits)))
    }
}

/// Hands a request over to the host.
fn hand_over(
    request: &Request,
    length: u64,
    has_body: bool,
    options: Option<RequestOptions>,
) -> Result<Exchange, TransportError> {
    let outgoing = outgoing(request, length)?;
    // Taken before the request is handed over; there is no body to write where it is empty.
    let sink = if has_body { Some(outgoing.body().map_err(|()| unfit("the body"))?) } else { None };
    let future = outgoing_handler::handle(outgoing, options).map_err(|code| error_of(&code))?;
    Ok(Exchange::new(future, sink, length))
}

/// Makes the request as wasi:http has it.
fn outgoing(request: &Request, length: u64) -> Result<OutgoingRequest, TransportError> {
    let mut entries = Vec::with_capacity(request.headers.len() + 2);
    for (name, value) in &request.headers {
        entries.push((name.to_string(), value.as_bytes().to_vec()));
    }
    entries.push(("user-agent".to_owned(), USER_AGENT.as_bytes().to_vec()));
    if matches!(request.method, Method::Put | Method::Post) {
        entries.push(("content-length".to_owned(), length.to_string().into_bytes()));
    }
    let fields = Fields::from_list(&entries).map_err(|_| unfit("a header"))?;
    let outgoing = OutgoingRequest::new(fields);
    let method = match request.method {
        Method::Get => types::Method::Get,
        Method::Head => types::Method::Head,
        Method::Post => types::Method::Post,
        Method::Put => types::Method::Put,
        Method::Delete => types::Method::Delete,
    };
    let scheme = if request.https { Scheme::Https } else { Scheme::Http };
    // It is GET to begin with.
    if request.method != Method::Get {
        outgoing.set_method(&method).map_err(|()| unfit("the method"))?;
    }
    outgoing.set_scheme(Some(&scheme)).map_err(|()| unfit("the scheme"))?;
    outgoing.set_authority(Some(&request.authority)).map_err(|()| unfit("the authority"))?;
    outgoing.set_path_with_query(Some(&request.path_and_query())).map_err(|()| unfit("the path"))?;
    Ok(outgoing)
}

/// The timeout that the host must keep, where bytes go past the plugin. All else is waited for here, with a clock beside
/// it, so that a stall ends also on a host that heeds none.
fn options(waits: Waits) -> RequestOptions {
    let options = RequestOptions::new();
    // A little longer than we watch the clock ourselves: what the host ends is told as a broken stream, without why.
    let most = nanos(waits.idle).saturating_add(BACKSTOP);
    let _ = options.set_between_bytes_timeout(Some(most));
    if waits.long {
        // By this a host can know that a dead connection would cost long.
        let _ = options.set_first_byte_timeout(Some(most));
    }
    options
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
