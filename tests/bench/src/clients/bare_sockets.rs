//! The cost of TCP and TLS alone: a prebuilt request over a kept-alive connection, and a response of which only the length
//! is parsed. A client is below it only by other sizes of reads and writes, or by chance.
//!
//! - No HTTP library, no URL, only the headers that the server needs; chunks of a body are counted and dropped.
//! - A body is written together with its header. Reads are of 128 KiB, into a buffer of the connection: of the sizes tried,
//!   from 32 KiB to 1 MiB, none uses measurably less.
//! - It computes no digests, and so has no rows with signed payloads.

use std::io::IoSlice;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Client, Large, Target};
use crate::server::BUCKET;

const READ: usize = 128 << 10;
/// Number of bytes encrypted before a write.
const ENCRYPTED: usize = 256 << 10;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection and its read buffer.
struct Connection {
    stream: Box<dyn Stream>,
    buffer: Box<[u8]>,
}

pub struct BareSockets {
    /// `127.0.0.1:40123`.
    address: String,
    tls: Option<TlsConnector>,
    idle: Mutex<Vec<Connection>>,
}

impl BareSockets {
    async fn connect(&self) -> Result<Connection> {
        if let Some(connection) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(connection);
        }
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let host = self.address.split(':').next().unwrap_or_default().to_owned();
                let mut stream = tls.connect(ServerName::try_from(host)?, tcp).await?;
                stream.get_mut().1.set_buffer_limit(Some(ENCRYPTED));
                Box::new(stream)
            }
        };
        Ok(Connection { stream, buffer: vec![0; READ].into_boxed_slice() })
    }

    /// Sends a request, reads the response, and returns the length of its body.
    async fn exchange(&self, method: &str, key: &str, body: &[u8]) -> Result<u64> {
        let mut connection = self.connect().await?;
        let head = format!(
            "{method} /{BUCKET}/{key} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        connection.write(head.as_bytes(), body).await?;
        let length = connection.read_response(method != "HEAD").await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(length)
    }
}

impl Connection {
    async fn write(&mut self, head: &[u8], body: &[u8]) -> Result<()> {
        let mut slices = [IoSlice::new(head), IoSlice::new(body)];
        let mut left = &mut slices[..];
        while !left.is_empty() {
            let written = self.stream.write_vectored(left).await?;
            if written == 0 {
                bail!("the server takes no more");
            }
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(self.stream.flush().await?)
    }

    /// Reads a response to its end.
    async fn read_response(&mut self, has_body: bool) -> Result<u64> {
        let mut filled = 0;
        let (header, length) = loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                bail!("the server closed the connection");
            }
            filled += read;
            if let Some(header) = self.buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break (header + 4, length(&self.buffer[..header])?);
            }
        };
        if !has_body {
            return Ok(length);
        }
        let mut left = length.saturating_sub((filled - header) as u64);
        while left > 0 {
            let read = self.stream.read(&mut self.buffer).await?;
            if read == 0 {
                bail!("the server closed the connection {left} bytes too early");
            }
            left = left.saturating_sub(read as u64);
        }
        Ok(length)
    }
}

/// The content length of a successful response.
fn length(header: &[u8]) -> Result<u64> {
    let header = std::str::from_utf8(header)?;
    if !header.starts_with("HTTP/1.1 20") {
        bail!("the server responded with {:?}", header.lines().next().unwrap_or_default());
    }
    let fields = header.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Ok(lengths.next().context("the response has no length")?.1.trim().parse()?)
}

impl Client for BareSockets {
    type Shared = ();

    fn shared() -> Result<()> {
        Ok(())
    }

    async fn open(_: &(), target: &Target) -> Result<Self> {
        let address = target.endpoint.split("://").nth(1).context("the endpoint is a URL")?.to_owned();
        let tls = match &target.ca_file {
            None => None,
            Some(_) => Some(TlsConnector::from(Arc::new(target.tls()?))),
        };
        Ok(BareSockets { address, tls, idle: Mutex::default() })
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        self.exchange("PUT", key, &body).await.map(drop)
    }

    async fn get(&self, key: &str) -> Result<u64> {
        self.exchange("GET", key, &[]).await
    }

    async fn head(&self, key: &str) -> Result<u64> {
        self.exchange("HEAD", key, &[]).await
    }

    async fn list(&self, _: &str) -> Result<u64> {
        bail!(ONLY)
    }

    async fn upload(&self, _: &str, _: Large) -> Result<()> {
        bail!(ONLY)
    }

    async fn download(&self, _: &str, _: Large) -> Result<u64> {
        bail!(ONLY)
    }
}

/// Why it has no rows with larger bodies.
pub const ONLY: &str = "sends single requests only";
