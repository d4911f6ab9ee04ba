//! Minimal HTTP/1.1 for the faulty server, and the correct store that it falls back to.

use std::collections::BTreeMap;
use std::io;

use md5::{Digest, Md5};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A received request.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// `GET`, `PUT` and so on.
    pub method: String,
    /// Path and query, as they were sent.
    pub target: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// Empty if the act does not read it.
    pub body: Vec<u8>,
    /// The number of its connection, counted from 1.
    pub connection: usize,
}

impl Seen {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// A serialised response. Successes have the field without which the Azure plugin takes none for the service's.
pub fn response(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} Scripted\r\n{headers}").into_bytes();
    if (200..300).contains(&status) {
        bytes.extend_from_slice(b"x-ms-request-id: scripted\r\n");
    }
    if !headers.to_ascii_lowercase().contains("content-length:") && status != 204 && status != 304 {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Parses requests from a connection.
#[derive(Default)]
pub struct Reader {
    ahead: Vec<u8>,
}

impl Reader {
    async fn more(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let n = stream.read(&mut chunk).await?;
        self.ahead.extend_from_slice(&chunk[..n]);
        Ok(n)
    }

    async fn line(&mut self, stream: &mut TcpStream) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&self.ahead[..end]).into_owned();
                self.ahead.drain(..end + 2);
                return Ok(Some(line));
            }
            if self.more(stream).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn exactly(&mut self, stream: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if self.more(stream).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    /// The head of the next request; `None` if the peer has closed the connection.
    pub async fn head(&mut self, stream: &mut TcpStream, connection: usize) -> io::Result<Option<Seen>> {
        let Some(first) = self.line(stream).await? else { return Ok(None) };
        let mut words = first.split(' ').map(str::to_owned);
        let mut request = Seen {
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            connection,
            ..Seen::default()
        };
        while let Some(line) = self.line(stream).await? {
            if line.is_empty() {
                return Ok(Some(request));
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(None)
    }

    /// Reads the body that the head announces.
    pub async fn body(&mut self, stream: &mut TcpStream, request: &mut Seen) -> io::Result<()> {
        if request.header("transfer-encoding").is_some() {
            while let Some(size) = self.line(stream).await? {
                let size = usize::from_str_radix(size.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
                let chunk = self.exactly(stream, size + 2).await?;
                request.body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    return Ok(());
                }
            }
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        request.body = self.exactly(stream, length).await?;
        Ok(())
    }
}

/// The ETag that S3 computes for a simple upload.
pub fn etag(body: &[u8]) -> String {
    let digits: String = Md5::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// The server's clock, in all responses of the correct store.
const NOW: &str = "Mon, 02 Jan 2006 15:04:05 GMT";
/// The date of all blobs that exist at the start.
const BEFORE: &str = "Sun, 01 Jan 2006 00:00:00 GMT";

/// A blob of the correct store.
pub struct Kept {
    /// Its bytes.
    pub body: Vec<u8>,
    written: &'static str,
    /// Its metadata as header lines.
    metadata: String,
}

impl Kept {
    /// A blob that was written long ago.
    pub fn since_long(body: Vec<u8>) -> Self {
        Kept { body, written: BEFORE, metadata: String::new() }
    }
}

/// Applies the request to the blobs, and responds as S3 does.
pub fn store(blobs: &mut BTreeMap<String, Kept>, request: &Seen) -> Vec<u8> {
    // A forwarding proxy sends the absolute URL.
    let origin = request.target.strip_prefix("http://").and_then(|rest| Some(&rest[rest.find('/')?..]));
    let path = origin.unwrap_or(&request.target).split('?').next().unwrap_or_default().to_owned();
    let there = blobs.get(&path);
    match request.method.as_str() {
        "PUT" => {
            let holds = match (request.header("if-none-match"), request.header("if-match")) {
                (Some(_), _) => there.is_none(),
                (_, Some(tag)) => there.is_some_and(|kept| etag(&kept.body) == tag),
                _ => true,
            };
            if !holds {
                return response(412, "", b"<Error><Code>PreconditionFailed</Code></Error>");
            }
            let tag = etag(&request.body);
            let metadata = request.headers.iter().filter(|(name, _)| name.starts_with("x-amz-meta-"));
            let metadata = metadata.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            blobs.insert(path, Kept { body: request.body.clone(), written: NOW, metadata });
            response(200, &format!("date: {NOW}\r\netag: {tag}\r\n"), b"")
        }
        "DELETE" => {
            blobs.remove(&path);
            response(204, "", b"")
        }
        _ => match there {
            None if request.method == "HEAD" => response(404, "", b""),
            None => response(404, "", b"<Error><Code>NoSuchKey</Code></Error>"),
            Some(kept) => read(request, kept),
        },
    }
}

fn read(request: &Seen, kept: &Kept) -> Vec<u8> {
    let whole = &kept.body[..];
    let Kept { written, metadata, .. } = kept;
    let common = format!("date: {NOW}\r\netag: {}\r\nlast-modified: {written}\r\n{metadata}", etag(whole));
    // The cases send only `bytes=from-to`.
    let range = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let (status, headers, body) = match range {
        None => (200, common, whole),
        Some((from, to)) => {
            let from: usize = from.parse().unwrap_or(0);
            if from >= whole.len() {
                let headers = format!("content-range: bytes */{}\r\n", whole.len());
                return response(416, &headers, b"<Error><Code>InvalidRange</Code></Error>");
            }
            let to = to.parse().unwrap_or(usize::MAX).min(whole.len() - 1);
            (206, format!("{common}content-range: bytes {from}-{to}/{}\r\n", whole.len()), &whole[from..=to])
        }
    };
    if request.method == "HEAD" {
        return response(status, &format!("{headers}content-length: {}\r\n", body.len()), b"");
    }
    response(status, &headers, body)
}
