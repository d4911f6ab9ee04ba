//! The HTTP client: connections kept and used again.

use std::pin::pin;
use std::sync::Arc;

use futures::future::{Either, select};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, connect::capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::addresses::Addresses;
use super::body::{Outgoing, Timeouts, Watch};
use super::connect::Connector;
use super::tls::TlsOptions;
use super::trouble::Trouble;
use crate::error::Result;
use crate::limits::Limits;

/// Header lines in an answer. S3 sends about ten, and one for each piece of user metadata, of which 2 KiB are allowed.
const MAX_HEADERS: usize = 256;

/// The client for one way of TLS.
///
/// There are two pools of connections: one made to a private address must not serve a store that may not reach it.
#[derive(Clone)]
pub(crate) struct Client {
    public: legacy::Client<Connector, Outgoing>,
    private: legacy::Client<Connector, Outgoing>,
}

impl Client {
    pub(crate) fn new(tls: &TlsOptions, limits: &Limits) -> Result<Client> {
        let tls = Arc::new(tls.client_config()?);
        let client = |addresses| {
            legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .pool_max_idle_per_host(limits.idle_connections)
                .pool_idle_timeout(limits.idle_timeout)
                .http1_max_buf_size(limits.header_bytes.max(8 * 1024))
                .http1_max_headers(MAX_HEADERS)
                .build(Connector::new(tls.clone(), addresses, limits))
        };
        Ok(Client { public: client(Addresses::Public), private: client(Addresses::Private) })
    }

    /// Sends a request and waits for the answer to begin. Redirects are answers like any other.
    pub(super) async fn send(
        &self,
        mut request: Request<Outgoing>,
        addresses: Addresses,
        timeouts: Timeouts,
        watch: &Watch,
    ) -> Result<Response<Incoming>, Trouble> {
        let client = match addresses {
            Addresses::Public => &self.public,
            Addresses::Private => &self.private,
        };
        let mut connection = capture_connection(&mut request);
        let answered = pin!(client.request(request));
        let stalled = pin!(async {
            let connected = connection.wait_for_connection_metadata();
            match select(pin!(connected), pin!(watch.stalled(timeouts))).await {
                Either::Left(_) => {}
                Either::Right((trouble, _)) => return trouble,
            }
            watch.connected();
            watch.stalled(timeouts).await
        });
        match select(answered, stalled).await {
            Either::Left((Ok(response), _)) => Ok(response),
            Either::Left((Err(error), _)) => Err(Trouble::of_client(&error)),
            Either::Right((trouble, _)) => Err(trouble),
        }
    }
}
