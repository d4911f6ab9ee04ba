//! A service that accepts two pairs of keys, each of which can be revoked: a proxy in front of two dev servers on one
//! folder.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sandbucket::Credentials;
use sandbucket_dev_server::DevServer;
use sandbucket_tests::BUCKET;
use sandbucket_tests::plain::forward;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const ACCESS_KEYS: [&str; 2] = ["first-key", "second-key"];
const SECRET_KEYS: [&str; 2] = ["the first secret", "the %{second} secret"];

/// The service. Dropping it stops it.
pub struct TwoKeys {
    pub endpoint: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    /// Each accepts one pair, and verifies signatures.
    servers: [DevServer; 2],
    valid: [AtomicBool; 2],
    _folder: tempfile::TempDir,
}

impl TwoKeys {
    /// Starts it with the first pair valid.
    pub async fn start() -> TwoKeys {
        let folder = tempfile::tempdir().expect("a folder");
        let server = |n: usize| {
            let keys = DevServer::builder().credentials(ACCESS_KEYS[n], SECRET_KEYS[n]);
            keys.folder(folder.path()).buckets([BUCKET]).start()
        };
        let servers = [server(0).await.expect("a server"), server(1).await.expect("a server")];
        let valid = [AtomicBool::new(true), AtomicBool::new(false)];
        let shared = Arc::new(Shared { servers, valid, _folder: folder });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let of_task = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let shared = of_task.clone();
                let service = service_fn(move |request| {
                    let shared = shared.clone();
                    async move { Ok::<_, Infallible>(shared.forward(request).await) }
                });
                let serving =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service);
                tokio::spawn(async move { drop(serving.await) });
            }
        });
        TwoKeys { endpoint, shared, task }
    }

    /// The pair `n`.
    pub fn credentials(n: usize) -> Credentials {
        Credentials::new(ACCESS_KEYS[n], SECRET_KEYS[n])
    }

    /// The settings of a store, without credentials.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        [("bucket", BUCKET.to_owned()), ("region", "us-east-1".to_owned()), ("endpoint", self.endpoint.clone())]
    }

    /// Makes a pair valid or revokes it.
    pub fn set_valid(&self, n: usize, valid: bool) {
        self.shared.valid[n].store(valid, SeqCst);
    }
}

impl Drop for TwoKeys {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn server(&self, request: &Request<Incoming>) -> SocketAddr {
        let signed = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let knows = |n: usize| signed.contains(&format!("Credential={}/", ACCESS_KEYS[n]));
        let of = usize::from(knows(1));
        // The other server does not know the key.
        let valid = self.valid[of].load(SeqCst);
        self.servers[if valid { of } else { 1 - of }].address()
    }

    async fn forward(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let server = self.server(&request);
        forward(request, server).await
    }
}
