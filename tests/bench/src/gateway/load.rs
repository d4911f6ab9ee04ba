//! The client: bare hyper with presigned URLs.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sandbucket::{Engine, PresignedMethod, Proxy, Store, StoreOptions};

use crate::server::{ACCESS_KEY, BUCKET, SECRET_KEY};

/// Validity of a URL.
const EXPIRES: Duration = Duration::from_secs(3600);
/// Piece of a large body.
const PIECE: usize = 64 << 10;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A client of one front end.
pub struct Load {
    client: legacy::Client<HttpConnector, Body>,
    store: Store,
}

/// How long each of some requests took, in seconds, ascending.
pub struct Times {
    sorted: Vec<f64>,
    elapsed: f64,
}

/// One transfer of a large blob.
pub struct Transfer {
    pub bytes: u64,
    pub seconds: f64,
}

impl Times {
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    pub fn elapsed(&self) -> f64 {
        self.elapsed
    }

    pub fn percentile(&self, percent: usize) -> f64 {
        self.sorted.get(self.sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or(f64::NAN)
    }
}

impl Load {
    /// A client of the front end at this URL.
    pub async fn new(endpoint: &str) -> Result<Load> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        let client = legacy::Client::builder(TokioExecutor::new()).build(tcp);
        let engine = Engine::builder().proxy(Proxy::none()).build_async().await?;
        let settings = [
            ("bucket", BUCKET),
            ("region", "us-east-1"),
            ("endpoint", endpoint),
            ("access-key", ACCESS_KEY),
            ("secret-key", SECRET_KEY),
            ("addressing-style", "path"),
        ];
        let store = engine.open(StoreOptions::new().settings(settings).allow_private()).await?;
        Ok(Load { client, store })
    }

    async fn url(&self, method: PresignedMethod, key: &str) -> Result<String> {
        Ok(self.store.presign(method, key).expires(EXPIRES).await?.url)
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>> {
        let response = self.client.request(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.into_body().collect().await?.to_bytes();
        anyhow::bail!("the front end responds with {status}: {:.300}", String::from_utf8_lossy(&body))
    }

    /// Repeats a request, so many in flight, for this time.
    async fn repeat(&self, method: Method, url: &str, body: Bytes, in_flight: usize, time: Duration) -> Result<Times> {
        let (begun, length) = (Instant::now(), body.len());
        let tasks = (0..in_flight).map(|_| {
            let (method, body) = (method.clone(), body.clone());
            async move {
                let mut times = Vec::new();
                while begun.elapsed() < time {
                    let sent = Instant::now();
                    let mut request = Request::builder().method(method.clone()).uri(url);
                    if method == Method::PUT {
                        request = request.header(CONTENT_LENGTH, length);
                    }
                    let response = self.send(request.body(Full::new(body.clone()).boxed_unsync())?).await?;
                    let read = drain(response).await?;
                    ensure!(method == Method::PUT || read == 1024, "a blob of {read} bytes");
                    times.push(sent.elapsed().as_secs_f64());
                }
                Ok::<_, anyhow::Error>(times)
            }
        });
        let mut sorted = try_join_all(tasks).await?.concat();
        sorted.sort_by(f64::total_cmp);
        Ok(Times { sorted, elapsed: begun.elapsed().as_secs_f64() })
    }

    pub async fn get_small(&self, key: &str, in_flight: usize, time: Duration) -> Result<Times> {
        let url = self.url(PresignedMethod::Get, key).await?;
        self.repeat(Method::GET, &url, Bytes::new(), in_flight, time).await
    }

    pub async fn put_small(&self, in_flight: usize, time: Duration) -> Result<Times> {
        let url = self.url(PresignedMethod::Put, "put/small").await?;
        self.repeat(Method::PUT, &url, Bytes::from_static(&[7; 1024]), in_flight, time).await
    }

    pub async fn get_large(&self, key: &str) -> Result<Transfer> {
        let request = Request::get(self.url(PresignedMethod::Get, key).await?).body(Full::default().boxed_unsync())?;
        let begun = Instant::now();
        let bytes = drain(self.send(request).await?).await?;
        ensure!(bytes == super::LARGE_BYTES, "a blob of {bytes} bytes");
        Ok(Transfer { bytes, seconds: begun.elapsed().as_secs_f64() })
    }

    pub async fn put_large(&self, key: &str, bytes: u64) -> Result<Transfer> {
        let piece = Bytes::from(vec![7; PIECE]);
        let pieces = stream::unfold(bytes, move |left| {
            let piece = piece.slice(..usize::try_from(left).unwrap_or(PIECE).min(PIECE));
            async move {
                let rest = left - piece.len() as u64;
                (!piece.is_empty()).then(|| (Ok::<_, Infallible>(Frame::data(piece)), rest))
            }
        });
        let url = self.url(PresignedMethod::Put, key).await?;
        let body = StreamBody::new(pieces).boxed_unsync();
        let request = Request::put(url).header(CONTENT_LENGTH, bytes).body(body)?;
        let begun = Instant::now();
        drain(self.send(request).await?).await?;
        Ok(Transfer { bytes, seconds: begun.elapsed().as_secs_f64() })
    }
}

/// Reads a response to its end, and counts its bytes.
async fn drain(response: Response<Incoming>) -> Result<u64> {
    let (mut body, mut count) = (response.into_body(), 0);
    while let Some(frame) = body.frame().await {
        count += frame.context("the response broke off")?.data_ref().map_or(0, Bytes::len) as u64;
    }
    Ok(count)
}
