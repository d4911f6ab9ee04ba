//! A service whose session token can be replaced: a proxy in front of a dev server. It rejects every other token as expired.
//! Another server of this module answers requests by a function.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sandbucket::Credentials;
use sandbucket_dev_server::DevServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::plain::forward;
use crate::{ACCESS_KEY, BUCKET, SECRET_KEY, dev_server};

pub type HttpResponse = Response<Full<Bytes>>;

/// An HTTP server on a loopback port. Dropping it stops it.
pub struct Server {
    pub endpoint: String,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts one that answers by this function.
    pub async fn start<F, R>(answer: F) -> Server
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = HttpResponse> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let answer = answer.clone();
                let service = service_fn(move |request| {
                    let answered = answer(request);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                let serving =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service);
                tokio::spawn(async move { drop(serving.await) });
            }
        });
        Server { endpoint, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A response with this body.
pub fn response(status: u16, body: impl Into<Bytes>) -> HttpResponse {
    Response::builder().status(status).body(Full::new(body.into())).expect("a response")
}

/// The service.
pub struct TokenService {
    pub endpoint: String,
    shared: Arc<Shared>,
    _server: Server,
}

struct Shared {
    server: DevServer,
    valid: AtomicUsize,
    rejected: AtomicUsize,
}

impl TokenService {
    /// Starts it with token 0 valid.
    pub async fn start() -> TokenService {
        let (valid, rejected) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = Arc::new(Shared { server: dev_server().await, valid, rejected });
        let of_server = shared.clone();
        let server = Server::start(move |request| {
            let shared = of_server.clone();
            async move { shared.answer(request).await }
        });
        let server = server.await;
        TokenService { endpoint: server.endpoint.clone(), shared, _server: server }
    }

    /// The credentials with this token.
    pub fn credentials(n: usize) -> Credentials {
        Credentials::new(ACCESS_KEY, SECRET_KEY).session_token(token(n))
    }

    /// The settings of a store, without credentials.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        [("bucket", BUCKET.to_owned()), ("region", "us-east-1".to_owned()), ("endpoint", self.endpoint.clone())]
    }

    /// The number of the valid token.
    pub fn valid(&self) -> usize {
        self.shared.valid.load(SeqCst)
    }

    /// Makes the next token the valid one.
    pub fn rotate(&self) {
        self.shared.valid.fetch_add(1, SeqCst);
    }

    /// The number of requests with an expired token.
    pub fn rejected(&self) -> usize {
        self.shared.rejected.load(SeqCst)
    }
}

/// The token of this number.
pub fn token(n: usize) -> String {
    format!("session-token-{n}")
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> HttpResponse {
        let given = request.headers().get("x-amz-security-token").and_then(|value| value.to_str().ok());
        if given == Some(&token(self.valid.load(SeqCst))) {
            return forward(request, self.server.address()).await;
        }
        self.rejected.fetch_add(1, SeqCst);
        // As S3 does: without a body for HEAD.
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>ExpiredToken</Code>\
                    <Message>The provided token has expired.</Message><RequestId>R</RequestId></Error>";
        response(400, if request.method() == http::Method::HEAD { "" } else { text })
    }
}
