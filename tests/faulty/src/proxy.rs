//! An HTTP proxy that opens tunnels and forwards requests, or misbehaves.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a proxy does with each connection.
#[derive(Clone, Debug)]
pub enum Manners {
    /// Opens tunnels and forwards requests.
    Good,
    /// Opens tunnels, and responds 405 to everything else.
    OnlyTunnels,
    /// Forwards requests, and sends this response to `CONNECT`.
    OnlyForwards(&'static str),
    /// Requires this value of `proxy-authorization`, and responds 407 otherwise.
    Wants(String),
    /// Sends these bytes instead of a response, and closes the connection.
    Says(Vec<u8>),
    /// Sends these bytes endlessly.
    Floods(Vec<u8>),
    /// Reads the request and sends nothing.
    Stalls,
    /// Opens the tunnel, and closes it after this many bytes from the server.
    ClosesAfter(usize),
}

/// A proxy that connects to one server, whatever host and port are requested, as if it resolved names that nobody else
/// does. Dropping it stops it.
pub struct FaultyProxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FaultyProxy {
    /// Starts on a free loopback port, in front of the server at `endpoint`.
    pub async fn start(manners: Manners, endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("the address listened on");
        let server = endpoint.trim_start_matches("http://").to_owned();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, manners.clone(), server.clone(), noted.clone()));
            }
        });
        FaultyProxy { address, seen, task }
    }

    /// Its URL with this user info.
    pub fn url(&self, userinfo: &str) -> String {
        format!("http://{userinfo}{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The head of the first request on each connection so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut client: TcpStream, manners: Manners, server: String, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    seen.lock().unwrap().push(text.clone());
    match &manners {
        Manners::Stalls => {
            let _ = client.read_to_end(&mut Vec::new()).await;
            return;
        }
        Manners::Says(bytes) => {
            let _ = client.write_all(bytes).await;
            let _ = client.shutdown().await;
            let _ = tokio::time::timeout(Duration::from_secs(2), client.read_to_end(&mut Vec::new())).await;
            return;
        }
        Manners::Floods(bytes) => {
            while client.write_all(bytes).await.is_ok() {}
            return;
        }
        Manners::Wants(value) if !text.lines().any(|line| line == format!("proxy-authorization: {value}")) => {
            let rejection =
                b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
            let _ = client.write_all(rejection).await;
            return;
        }
        Manners::OnlyTunnels if !text.starts_with("CONNECT ") => {
            let _ = client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n").await;
            return;
        }
        Manners::OnlyForwards(response) if text.starts_with("CONNECT ") => {
            let _ = client.write_all(response.as_bytes()).await;
            return;
        }
        _ => {}
    }
    let Ok(mut server) = TcpStream::connect(&server).await else { return };
    if text.starts_with("CONNECT ") {
        let opened = b"HTTP/1.1 200 Connection established\r\nx-proxy: faulty\r\n\r\n";
        if client.write_all(opened).await.is_err() {
            return;
        }
    } else if server.write_all(&head).await.is_err() {
        // Servers must accept absolute URLs.
        return;
    }
    if let Manners::ClosesAfter(bytes) = manners {
        let ((mut from_client, mut to_client), (from_server, mut to_server)) = (client.split(), server.split());
        let mut few = from_server.take(bytes as u64);
        tokio::select! {
            _ = tokio::io::copy(&mut few, &mut to_client) => {}
            _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        }
        return;
    }
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}
