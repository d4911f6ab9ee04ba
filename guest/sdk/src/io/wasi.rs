//! Requests over wasi:http and time by wasi:clocks: the only module that knows either.
//!
//! The host is given the timeouts as request options, and all waiting has a timer beside it, so that a stall ends also on a host
//! that ignores them.

mod error;
mod exchange;
mod response;

use std::time::Duration;

use crate::contract::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use crate::contract::bindings::wasi::http::outgoing_handler;
use crate::contract::bindings::wasi::http::types::{self, Fields, OutgoingRequest, RequestOptions, Scheme};
use crate::http::request::{Method, Request};
use crate::http::response::Head;
use crate::machine::TransportError;
use crate::machine::state::nanos;

use super::{Clock, Transport, Waits};
use error::{error_of, unfit};

pub use error::transport_error;
pub use exchange::Pending;
pub use response::{IncomingResponseBody, Resources};

/// How much longer than the plugin the host waits between bytes, in nanoseconds.
const BACKSTOP: u64 = 1_000_000_000;

/// The host.
#[derive(Clone, Copy)]
pub struct Wasi {
    /// Value of `user-agent`.
    pub user_agent: &'static str,
}

impl Wasi {
    /// Readings of the clocks that tell instances and calls apart. The monotonic clock of most hosts begins at 0 with the instance,
    /// so it takes the nanoseconds of the other one.
    pub fn readings(self) -> [u64; 3] {
        let wall = wall_clock::now();
        [monotonic_clock::now(), wall.seconds, wall.nanoseconds.into()]
    }
}

impl Clock for Wasi {
    fn now(&self) -> u64 {
        monotonic_clock::now()
    }

    fn wall(&self) -> u64 {
        wall_clock::now().seconds
    }

    fn sleep(&mut self, time: Duration) {
        monotonic_clock::subscribe_duration(nanos(time)).block();
    }
}

impl Transport for Wasi {
    type Body = IncomingResponseBody;
    type Exchange = Pending;

    fn send(
        &mut self,
        request: &Request,
        body: &[u8],
        waits: Waits,
    ) -> Result<(Head<'static>, IncomingResponseBody), TransportError> {
        // All waiting has a timer here; but a body may be read by the caller.
        let options = if body.is_empty() || waits.fresh_connection { Some(options(waits)) } else { None };
        hand_over(request, self.user_agent, body.len() as u64, !body.is_empty(), options)?.send(body, waits)
    }

    fn begin(&mut self, request: &Request, length: u64, waits: Waits) -> Result<Pending, TransportError> {
        hand_over(request, self.user_agent, length, true, Some(options(waits)))
    }
}

/// Hands a request over to the host.
fn hand_over(
    request: &Request,
    user_agent: &str,
    length: u64,
    has_body: bool,
    options: Option<RequestOptions>,
) -> Result<Pending, TransportError> {
    let outgoing = outgoing(request, user_agent, length)?;
    // Taken before the request is handed over. An empty body is not written.
    let body = if has_body { Some(outgoing.body().map_err(|()| unfit("the body"))?) } else { None };
    let future = outgoing_handler::handle(outgoing, options).map_err(|code| error_of(&code))?;
    Ok(Pending::new(future, body, length))
}

/// Makes a request of wasi:http, which adds `host` by itself.
fn outgoing(request: &Request, user_agent: &str, length: u64) -> Result<OutgoingRequest, TransportError> {
    let mut entries = Vec::with_capacity(request.headers.len() + 2);
    for (name, value) in &request.headers {
        entries.push((name.to_string(), value.as_bytes().to_vec()));
    }
    entries.push(("user-agent".to_owned(), user_agent.as_bytes().to_vec()));
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
    // The default is GET.
    if request.method != Method::Get {
        outgoing.set_method(&method).map_err(|()| unfit("the method"))?;
    }
    outgoing.set_scheme(Some(&scheme)).map_err(|()| unfit("the scheme"))?;
    outgoing.set_authority(Some(&request.authority)).map_err(|()| unfit("the authority"))?;
    outgoing.set_path_with_query(Some(&request.path_and_query())).map_err(|()| unfit("the path"))?;
    Ok(outgoing)
}

/// The timeouts that the host must enforce if the caller reads or writes a body. All else is waited for here, with a timer.
fn options(waits: Waits) -> RequestOptions {
    let options = RequestOptions::new();
    // A little longer than our own timers: the plugin sees a stream that the host ended as broken, without the cause.
    let most = nanos(waits.idle).saturating_add(BACKSTOP);
    let _ = options.set_between_bytes_timeout(Some(most));
    if waits.fresh_connection {
        // By this our host knows not to use an idle connection.
        let _ = options.set_first_byte_timeout(Some(most));
    }
    options
}
