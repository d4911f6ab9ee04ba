//! An HTTP service that stores request bodies in a bucket: `PUT`, `GET` and `DELETE` on `/KEY`.
//!
//! It contains no S3. It imports the interface `sandbucket:blob/store`, which composition binds to a plugin (`docs/other-hosts.md`):
//!
//! ```sh
//! wac plug --plug sandbucket-s3.wasm sandbucket-http-service-example.wasm -o composed.wasm
//! BLOB_BUCKET=photos BLOB_REGION=eu-west-1 jco serve composed.wasm
//! ```
//!
//! Variables `BLOB_NAME` are the settings of the store: `BLOB_ACCESS_KEY` is `access-key`.
#![cfg(target_arch = "wasm32")]

wit_bindgen::generate!({
    path: ["wit/cli", "../../../wit", "wit"],
    world: "sandbucket:http-service/service",
    generate_all,
});

use exports::wasi::http::incoming_handler::Guest;
use sandbucket::blob::store::Store;
use sandbucket::blob::types::{Error, ErrorKind};
use wasi::cli::environment::get_environment;
use wasi::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasi::io::streams::{InputStream, OutputStream, StreamError};

/// The largest body of a `PUT`, in bytes. It is stored from memory, so that the plugin can send it again.
const MAX_BODY: usize = 8 << 20;
/// Bytes moved at once.
const CHUNK: u64 = 64 << 10;

struct Service;

export!(Service);

impl Guest for Service {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        match respond(&request) {
            Ok(Reply::Empty(status)) => send(out, status, None, |_| Ok(())),
            Ok(Reply::Blob(reader)) => {
                let range = reader.head().body_range;
                let length = range.end - range.start;
                send(out, 200, Some(length), |to| {
                    let body = reader.body().map_err(drop)?;
                    copy(&body, to, length)
                });
            }
            Err(refusal) => {
                let text = refusal.message.as_bytes();
                send(out, refusal.status, Some(text.len() as u64), |to| write(to, text));
            }
        }
    }
}

enum Reply {
    Empty(u16),
    Blob(sandbucket::blob::store::BodyReader),
}

/// An error response.
struct Refusal {
    status: u16,
    message: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let status = match error.kind {
            ErrorKind::NotFound => 404,
            ErrorKind::InvalidArgument => 400,
            ErrorKind::Timeout => 504,
            ErrorKind::InvalidSettings => 500,
            _ => 502,
        };
        Refusal { status, message: error.message }
    }
}

fn refuse<T>(status: u16, message: &str) -> Result<T, Refusal> {
    Err(Refusal { status, message: message.to_owned() })
}

fn respond(request: &IncomingRequest) -> Result<Reply, Refusal> {
    let path = request.path_with_query().unwrap_or_default();
    let key = match path.split('?').next().and_then(|path| path.strip_prefix('/')) {
        Some(key) if !key.is_empty() => key,
        _ => return refuse(404, "the path is the blob's key"),
    };
    let store = Store::open(&settings())?;
    match request.method() {
        Method::Get => Ok(Reply::Blob(store.open_get(key, None)?)),
        Method::Put => {
            store.put(key, &body_of(request)?, None)?;
            Ok(Reply::Empty(201))
        }
        Method::Delete => {
            store.delete(key, None)?;
            Ok(Reply::Empty(204))
        }
        _ => refuse(405, "the methods are GET, PUT and DELETE"),
    }
}

/// The store's settings, from variables such as `BLOB_ACCESS_KEY`.
fn settings() -> Vec<(String, String)> {
    let variables = get_environment().into_iter();
    variables
        .filter_map(|(name, value)| Some((name.strip_prefix("BLOB_")?.to_lowercase().replace('_', "-"), value)))
        .collect()
}

fn body_of(request: &IncomingRequest) -> Result<Vec<u8>, Refusal> {
    let Ok(incoming) = request.consume() else { return refuse(500, "the request has no body") };
    let mut body = Vec::new();
    {
        let Ok(stream) = incoming.stream() else { return refuse(500, "the request has no body") };
        loop {
            match stream.blocking_read(CHUNK) {
                Ok(piece) => body.extend(piece),
                Err(StreamError::Closed) => break,
                Err(StreamError::LastOperationFailed(_)) => return refuse(400, "the body broke off"),
            }
            if body.len() > MAX_BODY {
                return refuse(413, "the body is longer than 8 MiB");
            }
        }
    }
    drop(IncomingBody::finish(incoming));
    Ok(body)
}

/// Sends a response. A body that fails is not finished: the client sees that it broke off.
fn send(out: ResponseOutparam, status: u16, length: Option<u64>, body: impl FnOnce(&OutputStream) -> Result<(), ()>) {
    let headers = Fields::new();
    if let Some(length) = length {
        // A field of digits is valid.
        let _ = headers.append("content-length", length.to_string().as_bytes());
    }
    let response = OutgoingResponse::new(headers);
    let _ = response.set_status_code(status);
    let outgoing = response.body();
    ResponseOutparam::set(out, Ok(response));
    let Ok(outgoing) = outgoing else { return };
    let sent = match outgoing.write() {
        Ok(stream) => body(&stream),
        Err(()) => Err(()),
    };
    if sent.is_ok() {
        let _ = OutgoingBody::finish(outgoing, None);
    }
}

/// Copies exactly so many bytes.
fn copy(from: &InputStream, to: &OutputStream, length: u64) -> Result<(), ()> {
    let mut left = length;
    while left > 0 {
        let piece = from.blocking_read(left.min(CHUNK)).map_err(drop)?;
        left -= piece.len() as u64;
        write(to, &piece)?;
    }
    Ok(())
}

fn write(to: &OutputStream, bytes: &[u8]) -> Result<(), ()> {
    // The most that `blocking-write-and-flush` takes.
    bytes.chunks(4096).try_for_each(|piece| to.blocking_write_and_flush(piece).map_err(drop))
}
