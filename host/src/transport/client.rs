//! The HTTP client: connections kept and used again.

use std::pin::pin;
use std::sync::Arc;

use futures::future::{Either, select};
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use hyper_util::client::legacy::{self, connect::capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, WasiBody};

use super::Progress;
use super::addresses::Addresses;
use super::body::{Answer, Cut, Outgoing, Timeouts, Watch};
use super::connect::Connector;
use super::tls::TlsOptions;
use super::trouble::{Trouble, Words};
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

    /// Sends a request and waits for the answer to begin; its place is taken until the answer is gone. Redirects are answers like any other.
    pub(super) async fn send(
        &self,
        request: Request<WasiBody>,
        addresses: Addresses,
        timeouts: Timeouts,
        progress: Option<Progress>,
        words: &Words,
        place: OwnedSemaphorePermit,
    ) -> Result<(Response<WasiBody>, Cut), Trouble> {
        let client = match addresses {
            Addresses::Public => &self.public,
            Addresses::Private => &self.private,
        };
        let watch = Watch::new(request.body().is_end_stream());
        let mut request = request.map(|body| Outgoing::new(body, watch.clone(), progress));
        let mut connection = capture_connection(&mut request);
        let answered = pin!(client.request(request));
        let stalled = pin!(async {
            let connected = connection.wait_for_connection_metadata();
            if timeout(timeouts.connect.time, connected).await.is_err() {
                let words = format!("no connection within {}", timeouts.connect);
                return Trouble { error: Error::ConnectionTimeout, words };
            }
            watch.moved();
            watch.stalled(timeouts).await
        });
        match select(answered, stalled).await {
            Either::Left((Ok(response), _)) => {
                let (head, body) = response.into_parts();
                let body = Answer::new(body, timeouts.between_bytes, words.clone(), place);
                let cut = body.cut();
                Ok((Response::from_parts(head, body.boxed_unsync()), cut))
            }
            Either::Left((Err(error), _)) => Err(Trouble::of_client(&error)),
            Either::Right((trouble, _)) => Err(trouble),
        }
    }
}
