//! The floor: hyper's pooled client with its defaults, and only as much of S3 as the server checks. What a client uses
//! beyond this is its own. It can use less only by other buffers for reads and writes, or by another TLS implementation.
//!
//! - No signature and no XML parser: it reads a listing and counts keys by their opening tags.
//! - If the payload is signed, it computes and sends the SHA-256 of the body, which every client must do, with the fastest
//!   implementation available here.

use std::fmt::Write;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use aws_lc_rs::digest;
use bytes::Bytes;
use futures::TryStreamExt;
use http::header::{CONTENT_LENGTH, RANGE};
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::{Client, Large, Target, parts};
use crate::rows::Payload;
use crate::server::BUCKET;

const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

#[derive(Clone)]
pub struct BareHyper {
    client: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// The URL of the bucket.
    bucket: Arc<str>,
    payload: Payload,
}

impl BareHyper {
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        let response = self.client.request(request).await?;
        if !response.status().is_success() {
            bail!("the server responded with {}", response.status());
        }
        Ok(response)
    }

    /// Sends a body, and reads the response to its end.
    async fn put_to(&self, target: &str, body: Bytes) -> Result<()> {
        let sum = match self.payload {
            Payload::Signed => hex(digest::digest(&digest::SHA256, &body).as_ref()),
            Payload::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
        };
        let request = Request::put(format!("{}/{target}", self.bucket)).header(CONTENT_SHA256, sum);
        drain(self.send(request.body(Full::new(body))?).await?).await?;
        Ok(())
    }

    async fn get_from(&self, target: &str) -> Result<Response<Incoming>> {
        self.send(Request::get(format!("{}/{target}", self.bucket)).body(Full::default())?).await
    }

    async fn get_range(&self, key: &str, range: std::ops::Range<u64>) -> Result<Vec<Bytes>> {
        let value = format!("bytes={}-{}", range.start, range.end - 1);
        let request = Request::get(format!("{}/{key}", self.bucket)).header(RANGE, value);
        let response = self.send(request.body(Full::default())?).await?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            bail!("the server responded with {} to a range", response.status());
        }
        let (mut body, mut pieces) = (response.into_body(), Vec::new());
        while let Some(frame) = body.frame().await {
            pieces.extend(frame?.into_data());
        }
        Ok(pieces)
    }
}

impl Client for BareHyper {
    type Shared = ();

    fn shared() -> Result<()> {
        Ok(())
    }

    async fn open(_: &(), target: &Target) -> Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(target.tls()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
        let bucket = format!("{}/{BUCKET}", target.endpoint).into();
        Ok(BareHyper { client, bucket, payload: target.payload })
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        self.put_to(key, body).await
    }

    async fn get(&self, key: &str) -> Result<u64> {
        drain(self.get_from(key).await?).await
    }

    async fn head(&self, key: &str) -> Result<u64> {
        let request = Request::builder().method(Method::HEAD).uri(format!("{}/{key}", self.bucket));
        let response = self.send(request.body(Full::default())?).await?;
        let length = response.headers().get(CONTENT_LENGTH).context("the response has no length")?;
        Ok(length.to_str()?.parse()?)
    }

    async fn list(&self, prefix: &str) -> Result<u64> {
        let (mut count, mut query) = (0, format!("?list-type=2&prefix={prefix}"));
        loop {
            let page = self.get_from(&query).await?.into_body().collect().await?.to_bytes();
            let page = std::str::from_utf8(&page)?;
            count += page.matches("<Contents>").count() as u64;
            let token = page.split_once("<NextContinuationToken>").and_then(|(_, rest)| rest.split_once('<'));
            let Some((token, _)) = token else { return Ok(count) };
            query = format!("?list-type=2&prefix={prefix}&continuation-token={token}");
        }
    }

    async fn upload(&self, key: &str, large: Large) -> Result<()> {
        let begin = Request::post(format!("{}/{key}?uploads", self.bucket)).body(Full::default())?;
        drain(self.send(begin).await?).await?;
        let bodies = large.bodies().enumerate().map(|(number, body)| {
            let (client, target) = (self.clone(), format!("{key}?partNumber={}&uploadId=upload-1", number + 1));
            async move { client.put_to(&target, body).await }
        });
        parts::side_by_side(large.at_once, bodies).try_collect::<()>().await?;
        let end = Request::post(format!("{}/{key}?uploadId=upload-1", self.bucket)).body(Full::default())?;
        drain(self.send(end).await?).await?;
        Ok(())
    }

    async fn download(&self, key: &str, large: Large) -> Result<u64> {
        let ranges = large.ranges().map(|range| {
            let (client, key) = (self.clone(), key.to_owned());
            async move { client.get_range(&key, range).await }
        });
        parts::fetch(large.at_once, ranges).await
    }
}

/// Reads a response to its end, and counts its bytes.
async fn drain(response: Response<Incoming>) -> Result<u64> {
    let (mut body, mut count) = (response.into_body(), 0);
    while let Some(frame) = body.frame().await {
        count += frame?.data_ref().map_or(0, Bytes::len) as u64;
    }
    Ok(count)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
