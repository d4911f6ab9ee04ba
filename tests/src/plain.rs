//! A plain HTTP client without any knowledge of S3, for presigned URLs.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A response.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The `content-type` header.
    pub content_type: Option<String>,
    /// Its body.
    pub body: Bytes,
}

/// Sends a request to an `http` URL with these headers and those that HTTP requires.
///
/// # Errors
/// If the server cannot be reached, or the response is truncated. Any status is a response.
pub async fn fetch(method: &str, url: &str, headers: &[(String, String)], body: impl Into<Bytes>) -> Result<Response> {
    let uri: http::Uri = url.parse().context("the URL")?;
    let authority = uri.authority().context("an authority in the URL")?.clone();
    let stream = TcpStream::connect(authority.as_str()).await.context("connecting")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = http::Request::builder()
        .method(method)
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header("host", authority.as_str());
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        request = request.header(name, value);
    }
    let response = sender.send_request(request.body(Full::new(body.into()))?).await.context("asking")?;
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = response.into_body().collect().await.context("reading the response")?.to_bytes();
    connection.abort();
    Ok(Response { status, content_type, body })
}

/// Sends a request to the server at this address.
pub async fn forward(request: http::Request<Incoming>, server: SocketAddr) -> http::Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let connection = TcpStream::connect(server).await.expect("the dev server");
    let (mut client, driver) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.expect("a connection");
    tokio::spawn(async move { drop(driver.await) });
    let response = client.send_request(http::Request::from_parts(head, Full::new(body))).await.expect("a response");
    let (head, body) = response.into_parts();
    http::Response::from_parts(head, Full::new(body.collect().await.expect("a whole body").to_bytes()))
}
