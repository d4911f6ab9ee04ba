//! A small HTTP server that stores what it receives in a bucket, and a client of it: built from the packaged crates.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use object_store::{ObjectStoreExt, path::Path};
use sandbucket::{Engine, Limits, Store, StoreOptions};
use sandbucket_dev_server::{DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY, DevServer};
use sandbucket_object_store::SandbucketStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = DevServer::builder().buckets(["attachments"]).start().await?;
    let engine = Engine::load(Limits::default()).await?;
    let options = StoreOptions::new()
        .setting("bucket", "attachments")
        .setting("endpoint", service.endpoint())
        .setting("access-key", DEFAULT_ACCESS_KEY)
        .setting("secret-key", DEFAULT_SECRET_KEY)
        .allow_private();
    let store = engine.open(options).await?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener, store.clone()));

    let put = request(address, "PUT /a%20key HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").await?;
    assert!(put.starts_with("HTTP/1.1 201"), "{put}");
    let get = request(address, "GET /a%20key HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await?;
    assert!(get.starts_with("HTTP/1.1 200") && get.ends_with("\r\n\r\nhello"), "{get}");
    let absent = request(address, "GET /absent HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await?;
    assert!(absent.starts_with("HTTP/1.1 404"), "{absent}");

    // The same blob through the adapter.
    let adapter = SandbucketStore::new(store);
    let key = Path::parse("a%20key")?;
    assert_eq!(adapter.get(&key).await?.bytes().await?, "hello");
    println!("a plugin of {} bytes stored and read a blob at {}", sandbucket::PLUGIN.len(), service.endpoint());
    service.stop().await;
    Ok(())
}

async fn serve(listener: TcpListener, store: Store) {
    while let Ok((connection, _)) = listener.accept().await {
        let store = store.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| respond(&store, request));
            http1::Builder::new().serve_connection(TokioIo::new(connection), service).await
        });
    }
}

async fn respond(store: &Store, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match stored(store, request).await {
        Ok(response) => response,
        Err(sandbucket::Error::NotFound(_)) => (StatusCode::NOT_FOUND, Bytes::new()),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string().into()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    Ok(response)
}

async fn stored(store: &Store, request: Request<Incoming>) -> sandbucket::Result<(StatusCode, Bytes)> {
    let key = request.uri().path().trim_start_matches('/').to_owned();
    match *request.method() {
        Method::GET => Ok((StatusCode::OK, store.get(key).await?.bytes().await?)),
        Method::PUT => match request.into_body().collect().await {
            Ok(body) => store.put(key, body.to_bytes()).await.map(|_| (StatusCode::CREATED, Bytes::new())),
            Err(_) => Ok((StatusCode::BAD_REQUEST, Bytes::new())),
        },
        _ => Ok((StatusCode::METHOD_NOT_ALLOWED, Bytes::new())),
    }
}

async fn request(address: std::net::SocketAddr, request: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    connection.read_to_string(&mut response).await?;
    Ok(response)
}
