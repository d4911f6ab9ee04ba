//! Outgoing HTTP. Nothing else in this crate knows hyper and rustls.
//!
//! The driver sends the requests of sans-I/O plugins through the store's [`HttpGate`], and the sandbox those of plugins over wasi:http.
//! Each is checked against the store's [`Egress`] policy, and sent by the [`Client`], whose connections all stores with the same TLS
//! options share. Errors are [`HttpError`]s; what they mean to a plugin is up to the callers.
//!
//! | Module | Contents |
//! |---|---|
//! | `client`, `request`, `request_rules` | Clients, requests and what plugins may send. |
//! | `pool` | Connections, in use and idle. |
//! | `connection_limit` | The right to use one of a limited number of connections. |
//! | `connector`, `tunnel`, `proxy`, `tls` | New connections. |
//! | `egress`, `ip_policy`, `resolver` | Authorities and addresses that a store may reach. |
//! | `request_body`, `response_body`, `tracked_buf` | Bodies. |
//! | `timeouts`, `timers`, `adaptive_rate` | Time. |

mod adaptive_rate;
mod client;
mod connection_limit;
mod connector;
mod egress;
mod error;
#[cfg(feature = "fuzzing")]
#[allow(missing_docs, reason = "internals for tests/fuzz")]
pub(crate) mod fuzzing;
mod ip_policy;
mod pool;
mod proxy;
mod request;
mod request_body;
mod request_rules;
mod resolver;
mod response_body;
mod timeouts;
mod timers;
mod tls;
mod tracked_buf;
mod tunnel;

use std::sync::Arc;

pub(crate) use client::Clients;
pub(crate) use connection_limit::ConnectionPermit;
pub(crate) use connector::Network;
pub use egress::Egress;
pub(crate) use error::{HttpError, HttpErrorKind};
pub(crate) use ip_policy::private_networks;
pub use proxy::Proxy;
pub(crate) use request::{Prepared, Received};
pub(crate) use request_body::{BodyFault, Fault, Source, Streamed};
pub(crate) use response_body::ResponseBody;
pub(crate) use timeouts::RequestedTimeouts;
pub(crate) use timers::Timer;
pub use tls::TlsOptions;

use crate::budget::Admission;
use crate::limits::Limits;
use adaptive_rate::AdaptiveRate;
use client::Client;
use connection_limit::{ConnectionLimit, ConnectionShare};
use ip_policy::Addresses;
use timeouts::Timeouts;

/// A callback invoked with the number of bytes of a body sent so far.
pub(crate) type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// Sends the requests of one store, within its egress policy. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct HttpGate {
    state: Arc<GateState>,
    rate: Option<Arc<AdaptiveRate>>,
    /// The tenant whose budget bytes and connections are charged to.
    tenant: Option<Arc<Admission>>,
    /// The store's share of the engine's connections, if their number is limited.
    connections: Option<Arc<ConnectionShare>>,
}

struct GateState {
    /// The client without a proxy.
    direct: Client,
    /// One for each authority that the policy allows, in its order; none if no proxy is configured.
    clients: Box<[Client]>,
    egress: Egress,
    timeouts: Timeouts,
    connection_limit: Option<ConnectionLimit>,
}

impl HttpGate {
    fn new(
        direct: Client,
        clients: Box<[Client]>,
        egress: Egress,
        limits: &Limits,
        connection_limit: Option<ConnectionLimit>,
    ) -> HttpGate {
        let connections = connection_limit.as_ref().map(|limit| limit.share(None));
        let state = GateState { direct, clients, egress, timeouts: Timeouts::of(limits), connection_limit };
        HttpGate { state: Arc::new(state), rate: None, tenant: None, connections }
    }

    /// The same, with a request rate that adapts to a service that throttles.
    pub(crate) fn with_adaptive_rate(self) -> HttpGate {
        HttpGate { rate: Some(Arc::new(AdaptiveRate::new())), ..self }
    }

    /// The same, of a store of this tenant.
    pub(crate) fn of_tenant(self, tenant: Option<Arc<Admission>>) -> HttpGate {
        let Some(tenant) = tenant else { return self };
        let connections = self.state.connection_limit.as_ref().map(|limit| limit.share(Some(&tenant)));
        HttpGate { tenant: Some(tenant), connections, ..self }
    }

    /// The request rate, where it adapts.
    pub(crate) fn rate(&self) -> Option<&Arc<AdaptiveRate>> {
        self.rate.as_ref()
    }

    /// A timer that is not set yet.
    pub(crate) fn timer(&self) -> Timer {
        self.state.direct.timer()
    }

    /// The host of the first authority that it allows.
    pub(crate) fn host(&self) -> Option<String> {
        self.state.egress.urls().next().and_then(|url| url.host().map(str::to_owned))
    }

    /// The port of the first authority that it allows.
    pub(crate) fn port(&self) -> Option<u16> {
        let url = self.state.egress.urls().next()?;
        url.port_u16().or(Some(if url.scheme() == Some(&http::uri::Scheme::HTTP) { 80 } else { 443 }))
    }

    /// The first authority that it allows.
    pub(crate) fn endpoint(&self) -> Option<String> {
        self.state.egress.authorities().next()
    }
}

impl GateState {
    /// The client for this URL and the addresses that it may connect to, unless the egress policy forbids it.
    fn client(&self, uri: &http::Uri) -> Result<(&Client, Addresses), HttpError> {
        let (index, addresses) = self.egress.check(uri)?;
        Ok((self.clients.get(index).unwrap_or(&self.direct), addresses))
    }
}

impl HttpGate {
    /// Fails with the reason if the URL does not lead to where the store may send requests.
    pub(crate) fn check_url(&self, url: &str) -> Result<(), String> {
        let url = url.parse().map_err(|_| "it is no URL".to_owned())?;
        self.state.egress.check(&url).map(drop).map_err(|error| error.detail())
    }
}
