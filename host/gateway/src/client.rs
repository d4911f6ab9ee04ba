//! A client of the admin API.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::admin::ADMIN_HEADER;
use crate::config::AdminAddress;
use crate::error::{Error, Result};

/// Maximum size of a response: the status of 65,536 tenants.
const MAX_RESPONSE: usize = 64 << 20;
/// Time of a request: longer than a tenant may take to drain.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A client of the admin API of a running gateway.
///
/// ```no_run
/// # async fn example() -> sandbucket_gateway::Result<()> {
/// use sandbucket_gateway::AdminClient;
///
/// let client = AdminClient::new("unix:/run/sandbucket/admin.sock".parse().map_err(std::io::Error::other).unwrap());
/// println!("{}", client.get("/tenants").await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AdminClient {
    address: AdminAddress,
}

impl AdminClient {
    /// A client for this address. Each request has a connection of its own.
    pub fn new(address: AdminAddress) -> Self {
        AdminClient { address }
    }

    /// Requests a resource as JSON.
    ///
    /// # Errors
    /// [`Error::Admin`] with the gateway's message, [`Error::Io`] if it cannot be reached.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, String::new()).await
    }

    /// Sends a request that changes something.
    ///
    /// # Errors
    /// As [`get`](AdminClient::get).
    pub async fn send(&self, method: Method, path: &str, body: String) -> Result<Value> {
        let doing = format!("the gateway's admin API at {}", self.address);
        let timed_out = || std::io::Error::from(std::io::ErrorKind::TimedOut);
        let exchange = async {
            let (status, body) = match &self.address {
                AdminAddress::Unix(path_of_socket) => {
                    exchange(UnixStream::connect(path_of_socket).await?, method, path, body).await?
                }
                AdminAddress::Tcp(address) => exchange(TcpStream::connect(address).await?, method, path, body).await?,
            };
            Ok::<_, std::io::Error>((status, body))
        };
        let done = tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| Err(timed_out()));
        let (status, body) = done.map_err(Error::io(doing))?;
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(value);
        }
        let message = value["error"].as_str().map(str::to_owned);
        Err(Error::Admin { status: status.as_u16(), message: message.unwrap_or_else(|| format!("status {status}")) })
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    method: Method,
    path: &str,
    body: String,
) -> std::io::Result<(StatusCode, Bytes)> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(std::io::Error::other)?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/toml")
        .header(ADMIN_HEADER, "1")
        .body(Full::new(Bytes::from(body)))
        .map_err(std::io::Error::other)?;
    let response = sender.send_request(request).await.map_err(std::io::Error::other)?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_RESPONSE).collect().await.map_err(std::io::Error::other)?.to_bytes();
    connection.abort();
    Ok((head.status, body))
}
