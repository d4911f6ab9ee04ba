//! An HTTP/1.1 server that misbehaves by script, one [`Act`] per request, and behaves correctly once the script is over.
//!
//! It writes raw bytes to the socket, so that no HTTP library prevents malformed responses. It records the requests
//! ([`Faulty::seen`]), and keeps blobs in memory with S3's ETags and write preconditions.

pub mod proxy;
pub mod scenario;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use wire::{Kept, Reader};
pub use wire::{Seen, etag};

/// How long a closing connection is still read, so that a reset does not discard the last bytes sent.
const LINGER: Duration = Duration::from_secs(2);

/// What the server does with one request.
#[derive(Clone, Debug)]
pub struct Act {
    reads_body: bool,
    applies: bool,
    says: Says,
    /// Delay before the response.
    delay: Duration,
    /// Maximum number of bytes of the response.
    most: usize,
    /// The same, of its body.
    most_of_body: usize,
    end: End,
}

#[derive(Clone, Debug)]
enum Says {
    Nothing,
    /// The response of a correct store.
    Right,
    These(Vec<u8>),
    /// These bytes, and then one byte at a time, endlessly.
    Drip(Vec<u8>),
    /// The first bytes once, and then the second repeated endlessly.
    Flood(Vec<u8>, Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Keeps the connection for the next request.
    Keep,
    /// Closes the connection gracefully.
    Close,
    /// Resets the connection.
    Reset,
    /// Sends nothing more, and keeps the connection open.
    Stall,
    /// Sends and reads nothing more, and keeps the connection open.
    Freeze,
}

impl Act {
    /// Reads the request and responds as a correct store.
    pub fn well() -> Self {
        Act {
            reads_body: true,
            applies: true,
            says: Says::Right,
            delay: Duration::ZERO,
            most: usize::MAX,
            most_of_body: usize::MAX,
            end: End::Keep,
        }
    }

    /// Reads the request and sends nothing.
    pub fn silent() -> Self {
        Act { applies: false, says: Says::Nothing, ..Act::well() }
    }

    /// Reads the request and sends these raw bytes.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Act { says: Says::These(bytes.into()), ..Act::silent() }
    }

    /// Reads the request and responds with this status, these further header lines (each with CRLF) and this body.
    pub fn respond(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Self {
        Act::raw(wire::response(status, headers, body.as_ref()))
    }

    /// Responds with an S3 error document.
    pub fn error(status: u16, code: &str) -> Self {
        Act::error_with(status, code, "")
    }

    /// The same, with these further header lines (each with CRLF).
    pub fn error_with(status: u16, code: &str, headers: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>scripted</Message>\
             <RequestId>REQ-{code}</RequestId></Error>"
        );
        Act::respond(status, &format!("content-type: application/xml\r\n{headers}"), body)
    }

    /// Sends these bytes and then one more every 50 ms, endlessly.
    pub fn drip(bytes: impl Into<Vec<u8>>) -> Self {
        Act { says: Says::Drip(bytes.into()), ..Act::silent() }
    }

    /// Sends `head` and then repeats `repeated` endlessly, as fast as the connection takes it.
    pub fn flood(head: impl Into<Vec<u8>>, repeated: impl Into<Vec<u8>>) -> Self {
        Act { says: Says::Flood(head.into(), repeated.into()), ..Act::silent() }
    }

    /// Acts once the head of the request has arrived, without reading the body.
    pub fn before_body(mut self) -> Self {
        self.reads_body = false;
        self
    }

    /// Also applies the request to the blobs, whatever the response.
    pub fn applied(mut self) -> Self {
        self.applies = true;
        self
    }

    /// Waits before the response.
    pub fn delayed(mut self, by: Duration) -> Self {
        self.delay = by;
        self
    }

    /// Truncates the response to this many bytes, its head included.
    pub fn up_to(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// Truncates the response to its head and this many bytes of its body.
    pub fn body_up_to(mut self, bytes: usize) -> Self {
        self.most_of_body = bytes;
        self
    }

    /// Closes the connection afterwards.
    pub fn then_close(mut self) -> Self {
        self.end = End::Close;
        self
    }

    /// Resets the connection afterwards.
    pub fn then_reset(mut self) -> Self {
        self.end = End::Reset;
        self
    }

    /// Sends nothing more, and keeps the connection open.
    pub fn then_stall(mut self) -> Self {
        self.end = End::Stall;
        self
    }

    /// Sends and reads nothing more, and keeps the connection open.
    pub fn then_freeze(mut self) -> Self {
        self.end = End::Freeze;
        self
    }
}

/// The server. Dropping it stops it.
pub struct Faulty {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
    stop: Arc<Notify>,
}

#[derive(Default)]
struct Shared {
    script: VecDeque<Act>,
    /// The act after the end of the script; by default that of a correct store.
    afterwards: Option<Act>,
    seen: Vec<Seen>,
    blobs: BTreeMap<String, Kept>,
    connections: usize,
    /// The act for all connections up to this number, instead of the script.
    stale: Option<(usize, Act)>,
    ignores_ranges: bool,
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Faulty {
    /// Starts on a free loopback port with a script.
    pub async fn start(script: impl IntoIterator<Item = Act>) -> Self {
        Faulty::listen_on(0, script).await
    }

    /// Starts on this loopback port without a script.
    pub async fn start_on(port: u16) -> Self {
        Faulty::listen_on(port, []).await
    }

    async fn listen_on(port: u16, script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free loopback port");
        let address = listener.local_addr().expect("the address listened on");
        let shared = Arc::new(Mutex::new(Shared { script: script.into_iter().collect(), ..Shared::default() }));
        let stop = Arc::new(Notify::new());
        let task = tokio::spawn(listen(listener, shared.clone(), stop.clone()));
        Faulty { address, shared, task, stop }
    }

    /// From now on, responds as a correct store.
    pub fn recover(&self) {
        self.shared.lock().unwrap().afterwards = None;
    }

    /// Starts on a free loopback port, and treats every request with `act`.
    pub async fn always(act: Act) -> Self {
        let server = Faulty::start([]).await;
        server.shared.lock().unwrap().afterwards = Some(act);
        server
    }

    /// The value of the setting `endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Appends to the script.
    pub fn then(&self, script: impl IntoIterator<Item = Act>) {
        self.shared.lock().unwrap().script.extend(script);
    }

    /// The number of acts left in the script.
    pub fn left(&self) -> usize {
        self.shared.lock().unwrap().script.len()
    }

    /// The requests so far, in the order in which their heads arrived.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().unwrap().seen.clone()
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().unwrap().connections
    }

    /// From now on, treats each request on an existing connection with `act`; the script applies to new connections.
    pub fn make_stale(&self, act: Act) {
        let mut shared = self.shared.lock().unwrap();
        shared.stale = Some((shared.connections, act));
    }

    /// From now on, responds with the whole blob and status 200 to requests with a range.
    pub fn ignore_ranges(&self) {
        self.shared.lock().unwrap().ignores_ranges = true;
    }

    /// Accepts no more connections, and serves the existing ones.
    pub async fn stop_listening(&self) {
        self.stop.notify_one();
        while TcpStream::connect(self.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Stores a blob, as another writer did long ago. The path is that of the request.
    pub fn keep(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.shared.lock().unwrap().blobs.insert(path.to_owned(), Kept::since_long(body.into()));
    }

    /// The blob at this path.
    pub fn blob(&self, path: &str) -> Option<Vec<u8>> {
        self.shared.lock().unwrap().blobs.get(path).map(|kept| kept.body.clone())
    }
}

async fn listen(listener: TcpListener, shared: Arc<Mutex<Shared>>, stop: Arc<Notify>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.notified() => break,
        };
        let Ok((stream, _)) = stream else { break };
        let number = {
            let mut shared = shared.lock().unwrap();
            shared.connections += 1;
            shared.connections
        };
        connections.spawn(serve(stream, number, shared.clone()));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves one connection, until the peer closes it.
async fn serve(mut stream: TcpStream, connection: usize, shared: Arc<Mutex<Shared>>) {
    let mut reader = Reader::default();
    loop {
        let Ok(Some(mut request)) = reader.head(&mut stream, connection).await else { return };
        let (act, place) = {
            let mut shared = shared.lock().unwrap();
            shared.seen.push(request.clone());
            let stale = shared.stale.as_ref().filter(|(last, _)| connection <= *last).map(|(_, act)| act.clone());
            let act = stale.or_else(|| shared.script.pop_front()).or_else(|| shared.afterwards.clone());
            if shared.ignores_ranges {
                request.headers.retain(|(name, _)| name != "range");
            }
            (act.unwrap_or_else(Act::well), shared.seen.len() - 1)
        };
        if act.reads_body {
            if reader.body(&mut stream, &mut request).await.is_err() {
                return;
            }
            shared.lock().unwrap().seen[place].body = request.body.clone();
        }
        let right = act.applies.then(|| wire::store(&mut shared.lock().unwrap().blobs, &request));
        tokio::time::sleep(act.delay).await;
        let first = |mut bytes: Vec<u8>| {
            let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |end| end + 4);
            bytes.truncate(act.most.min(head.saturating_add(act.most_of_body)));
            bytes
        };
        let sent = match &act.says {
            Says::Nothing => Ok(()),
            Says::Right => stream.write_all(&first(right.unwrap_or_default())).await,
            Says::These(bytes) => stream.write_all(&first(bytes.clone())).await,
            Says::Drip(bytes) => drip(&mut stream, bytes).await,
            Says::Flood(head, repeated) => flood(&mut stream, head, repeated).await,
        };
        if sent.is_err() {
            return;
        }
        match act.end {
            End::Keep => {}
            End::Close => return close(stream).await,
            End::Reset => return reset(stream),
            End::Stall => return until_gone(stream).await,
            End::Freeze => std::future::pending().await,
        }
    }
}

async fn drip(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(b".").await?;
    }
}

async fn flood(stream: &mut TcpStream, head: &[u8], repeated: &[u8]) -> std::io::Result<()> {
    stream.write_all(head).await?;
    let block = repeated.repeat((256 << 10) / repeated.len() + 1);
    loop {
        stream.write_all(&block).await?;
    }
}

async fn close(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let _ = tokio::time::timeout(LINGER, until_gone(stream)).await;
}

fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn until_gone(mut stream: TcpStream) {
    let mut waste = vec![0; 64 * 1024];
    while matches!(stream.read(&mut waste).await, Ok(1..)) {}
}
