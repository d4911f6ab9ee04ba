//! The plugin on hosts that are not ours: `store` on wasmtime with its stock wasi:http, and a second driver for `sans-io`, which
//! sends the requests with hyper. `wit/README.md` is all that either needs to know.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{BUCKET, dev_server, plain, run, settings};
use tokio::net::TcpStream;
use wasmtime::component::{Component, Linker, Resource, ResourceAny, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksCtx, WasiClocksCtxView, WasiClocksView};
use wasmtime_wasi::p2::bindings::{clocks, io};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, StreamError};
use wasmtime_wasi_http::p2::bindings::{LinkOptions, http};
use wasmtime_wasi_http::{WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

mod contract {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package sandbucket:other@0.2.0;
            world blobs {
                export sandbucket:blob/types@0.2.0;
                export sandbucket:blob/listing@0.2.0;
                export sandbucket:blob/multipart@0.2.0;
                export sandbucket:blob/buckets@0.2.0;
                export sandbucket:blob/store@0.2.0;
                export sandbucket:blob/sans-io@0.2.0;
            }
        ",
        world: "sandbucket:other/blobs",
        with: { "wasi:io": wasmtime_wasi::p2::bindings::io, "wasi:clocks": wasmtime_wasi::p2::bindings::clocks },
        exports: { default: async },
        require_store_data_send: true,
    });
}

use contract::Blobs;
use contract::exports::sandbucket::blob::listing::ListOptions;
use contract::exports::sandbucket::blob::multipart::{CompleteOptions, Part, PartOptions};
use contract::exports::sandbucket::blob::sans_io::{
    self, BucketOperation, Event, Exchange, Method, Next, Operation, Output, RequestBody, Response, ResponseBody,
    Resumption, TransportError, TransportFailure,
};
use contract::exports::sandbucket::blob::store::WrittenBody;
use contract::exports::sandbucket::blob::types::{
    BlobRef, ByteRange, CopySource, Digest, DigestAlgorithm, Error, ErrorKind, GetOptions, PresignedMethod, PutOptions,
    Span, WriteCondition, Written,
};

#[derive(Default)]
struct State {
    table: ResourceTable,
    http: WasiHttpCtx,
    clocks: WasiClocksCtx,
    hooks: Hooks,
}

/// The defaults.
#[derive(Default)]
struct Hooks;

impl wasmtime_wasi_http::WasiHttpHooks for Hooks {}

impl wasmtime::component::HasData for State {
    type Data<'a> = &'a mut ResourceTable;
}

impl WasiClocksView for State {
    fn clocks(&mut self) -> WasiClocksCtxView<'_> {
        WasiClocksCtxView { ctx: &mut self.clocks, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

static PLUGIN: LazyLock<(Engine, Component, Linker<State>)> = LazyLock::new(|| {
    let engine = Engine::new(&Config::new()).unwrap();
    let component = Component::new(&engine, sandbucket::PLUGIN).unwrap();
    let mut linker = Linker::new(&engine);
    io::error::add_to_linker::<_, State>(&mut linker, |state: &mut State| &mut state.table).unwrap();
    io::poll::add_to_linker::<_, State>(&mut linker, |state: &mut State| &mut state.table).unwrap();
    io::streams::add_to_linker::<_, State>(&mut linker, |state: &mut State| &mut state.table).unwrap();
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(&mut linker, State::clocks).unwrap();
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(&mut linker, State::clocks).unwrap();
    let features = LinkOptions::default();
    http::types::add_to_linker::<_, WasiHttp>(&mut linker, &(&features).into(), State::http).unwrap();
    http::outgoing_handler::add_to_linker::<_, WasiHttp>(&mut linker, State::http).unwrap();
    (engine, component, linker)
});

/// An instance with an open store.
struct Host {
    store: Store<State>,
    plugin: Blobs,
    handle: ResourceAny,
}

/// Calls a method of the open store, or of another resource.
macro_rules! call {
    ($host:expr, $method:ident $(, $argument:expr)*) => { call!($host, store $host.handle, $method $(, $argument)*) };
    ($host:expr, $resource:ident $handle:expr, $method:ident $(, $argument:expr)*) => {{
        let handle = $handle;
        let methods = $host.plugin.sandbucket_blob_store().$resource();
        methods.$method(&mut $host.store, handle $(, $argument)*).await.expect("the plugin does not trap")
    }};
}

impl Host {
    async fn open(endpoint: &str, further: &[(&str, &str)]) -> Host {
        let (engine, component, linker) = &*PLUGIN;
        let mut store = Store::new(engine, State::default());
        let plugin = Blobs::instantiate_async(&mut store, component, linker).await.unwrap();
        let methods = plugin.sandbucket_blob_store().store();
        let handle = methods.call_open(&mut store, &settings(endpoint, further)).await.unwrap().unwrap();
        Host { store, plugin, handle }
    }

    /// Writes to an output stream until its end or until it breaks, drops it, and returns the number of bytes written.
    async fn write(&mut self, stream: Resource<DynOutputStream>, body: &[u8]) -> u64 {
        let mut stream = self.store.data_mut().table.delete(stream).unwrap();
        let mut sent = 0;
        while sent < body.len() {
            let room = match stream.check_write() {
                Ok(0) => {
                    stream.ready().await;
                    continue;
                }
                Ok(room) => room.min(body.len() - sent),
                Err(_) => break,
            };
            if stream.write(body[sent..sent + room].to_vec().into()).is_err() {
                break;
            }
            sent += room;
        }
        sent as u64
    }

    /// Reads an input stream to its end, and drops it.
    async fn read(&mut self, stream: Resource<DynInputStream>) -> Vec<u8> {
        let mut stream = self.store.data_mut().table.delete(stream).unwrap();
        let mut body = Vec::new();
        loop {
            match stream.read(1 << 16) {
                Ok(piece) if piece.is_empty() => stream.ready().await,
                Ok(piece) => body.extend_from_slice(&piece),
                Err(StreamError::Closed) => return body,
                Err(error) => panic!("the stream broke: {error:?}"),
            }
        }
    }

    /// Writes a body with as many attempts as the writer begins.
    async fn finish(&mut self, writer: ResourceAny, body: &[u8]) -> Result<WrittenBody, Error> {
        let outcome = loop {
            let stream = match call!(self, body_writer writer, call_body) {
                Ok(stream) => stream,
                Err(error) => break Err(error),
            };
            let sent = self.write(stream, body).await;
            if let Ok(written) = call!(self, body_writer writer, call_finish, sent) {
                break Ok(written);
            }
        };
        writer.resource_drop_async(&mut self.store).await.unwrap();
        outcome
    }

    async fn put(&mut self, key: &str, body: &[u8], options: &PutOptions) -> Result<Written, Error> {
        let writer = call!(self, call_open_put, key, body.len() as u64, Some(options))?;
        match self.finish(writer, body).await? {
            WrittenBody::Blob(written) => Ok(written),
            WrittenBody::Part(part) => panic!("a blob became {part:?}"),
        }
    }

    async fn upload_part(&mut self, key: &str, upload: &str, number: u32, body: &[u8]) -> Result<Part, Error> {
        let options = PartOptions { digests: Some(digests(body)), call: None };
        let writer = call!(self, call_open_part, key, upload, number, body.len() as u64, Some(&options))?;
        match self.finish(writer, body).await? {
            WrittenBody::Part(part) => Ok(part),
            WrittenBody::Blob(written) => panic!("a part became {written:?}"),
        }
    }

    async fn get(&mut self, key: &str, range: ByteRange) -> Result<(Span, Vec<u8>), Error> {
        let reader = call!(self, call_open_get, key, Some(&get_options(range)))?;
        let head = call!(self, body_reader reader, call_head);
        let stream = call!(self, body_reader reader, call_body)?;
        let body = self.read(stream).await;
        assert_eq!(body.len() as u64, head.body_range.end - head.body_range.start);
        assert_eq!(call!(self, body_reader reader, call_body).unwrap_err().kind, ErrorKind::InvalidArgument);
        reader.resource_drop_async(&mut self.store).await.unwrap();
        Ok((head.range, body))
    }
}

fn get_options(range: ByteRange) -> GetOptions {
    GetOptions { range: Some(range), conditions: None, version: None, max_bytes: None, call: None }
}

fn put_options(body: &[u8], condition: WriteCondition) -> PutOptions {
    let (condition, digests) = (Some(condition), Some(digests(body)));
    PutOptions { content_type: None, metadata: None, condition, digests, call: None }
}

fn digests(body: &[u8]) -> Vec<Digest> {
    use md5::Digest as _;
    vec![
        Digest { algorithm: DigestAlgorithm::Sha256, value: sha2::Sha256::digest(body).to_vec() },
        Digest { algorithm: DigestAlgorithm::Md5, value: md5::Md5::digest(body).to_vec() },
    ]
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n % 251) as u8).collect()
}

#[test]
fn store_streams_blobs_on_stock_wasi_http() {
    run(async {
        let server = dev_server().await;
        let mut host = Host::open(&server.endpoint(), &[]).await;
        assert_eq!(call!(host, call_wanted_digests), [DigestAlgorithm::Sha256]);
        for size in [0, 1, 100_000, 3_000_000] {
            let body = bytes(size);
            host.put("k", &body, &put_options(&body, WriteCondition::Always)).await.unwrap();
            let (range, got) = host.get("k", ByteRange::Whole).await.unwrap();
            assert!(got == body && range.end == size as u64, "{size}");
        }
        let (range, got) = host.get("k", ByteRange::Within(Span { start: 10, end: 2_000_000 })).await.unwrap();
        assert!((range.start, range.end) == (10, 2_000_000) && got == bytes(3_000_000)[10..2_000_000]);
        assert_eq!(host.get("nothing", ByteRange::Whole).await.unwrap_err().kind, ErrorKind::NotFound);
        let error = host.put("k", b"x", &put_options(b"x", WriteCondition::IfAbsent)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::PreconditionFailed);
        // A digest that the store sends and that is not given.
        let none = PutOptions { digests: None, ..put_options(b"x", WriteCondition::Always) };
        let error = call!(host, call_open_put, "k", 1, Some(&none)).unwrap_err();
        assert_eq!((error.kind, error.attempts), (ErrorKind::InvalidArgument, 0));
    });
}

#[test]
fn store_streams_parts_on_stock_wasi_http() {
    run(async {
        let server = dev_server().await;
        let mut host = Host::open(&server.endpoint(), &[]).await;
        let body = bytes(6 << 20);
        let upload = call!(host, call_create_upload, "large", None).unwrap();
        let (first, last) = body.split_at(5 << 20);
        let mut parts = vec![host.upload_part("large", &upload, 1, first).await.unwrap()];
        parts.push(host.upload_part("large", &upload, 2, last).await.unwrap());
        assert_eq!([(parts[0].number, parts[0].size), (parts[1].number, parts[1].size)], [(1, 5 << 20), (2, 1 << 20)]);
        let listed = call!(host, call_list_parts, "large", &upload, None).unwrap();
        assert_eq!(listed.parts.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2]);
        let absent = CompleteOptions { condition: Some(WriteCondition::IfAbsent), call: None };
        call!(host, call_complete_upload, "large", &upload, &parts, Some(&absent)).unwrap();
        assert!(host.get("large", ByteRange::Whole).await.unwrap().1 == body);
    });
}

#[test]
fn body_writer_retries_and_drops_an_attempt() {
    run(async {
        let body = bytes(200_000);
        let busy = || Act::respond(503, "", "<Error><Code>SlowDown</Code></Error>");
        let service = Faulty::start([busy(), Act::respond(200, "etag: \"e\"\r\n", "")]).await;
        let mut host = Host::open(&service.endpoint(), &[]).await;
        let written = host.put("k", &body, &put_options(&body, WriteCondition::Always)).await.unwrap();
        assert_eq!((written.etag.as_deref(), service.seen().len()), (Some("\"e\""), 2));
        assert!(service.seen().iter().all(|seen| seen.body == body));
        // A part is retried in the same way.
        let service = Faulty::start([busy(), Act::respond(200, "etag: \"e\"\r\n", "")]).await;
        let mut host = Host::open(&service.endpoint(), &[]).await;
        let part = host.upload_part("k", "an-upload", 7, &body).await.unwrap();
        assert_eq!((part.number, part.size, &*part.etag, service.seen().len()), (7, 200_000, "\"e\"", 2));
        // Without a retry left, `body` returns the error of `finish` again.
        let service = Faulty::start([busy()]).await;
        let mut host = Host::open(&service.endpoint(), &[("max-retries", "0")]).await;
        let options = put_options(&body, WriteCondition::Always);
        let writer = call!(host, call_open_put, "k", body.len() as u64, Some(&options)).unwrap();
        let stream = call!(host, body_writer writer, call_body).unwrap();
        let sent = host.write(stream, &body).await;
        let error = call!(host, body_writer writer, call_finish, sent).unwrap_err();
        assert_eq!((error.kind, error.retryable, error.attempts), (ErrorKind::Throttled, true, 1));
        assert_eq!(call!(host, body_writer writer, call_body).unwrap_err().message, error.message);
        writer.resource_drop_async(&mut host.store).await.unwrap();
        // A writer that is dropped before `finish` writes nothing, and the store goes on.
        let server = dev_server().await;
        let mut host = Host::open(&server.endpoint(), &[]).await;
        let writer = call!(host, call_open_put, "k", body.len() as u64, Some(&options)).unwrap();
        let stream = call!(host, body_writer writer, call_body).unwrap();
        host.store.data_mut().table.delete(stream).unwrap();
        writer.resource_drop_async(&mut host.store).await.unwrap();
        assert_eq!(host.get("k", ByteRange::Whole).await.unwrap_err().kind, ErrorKind::NotFound);
    });
}

#[test]
fn store_reads_writes_and_lists_in_memory() {
    run(async {
        let server = dev_server().await;
        let mut host = Host::open(&server.endpoint(), &[]).await;
        let body = bytes(1_000_000);
        let written = call!(host, call_put, "k", &body, None).unwrap();
        assert!(call!(host, call_get, "k", None).unwrap().body == body);
        let info = call!(host, call_head, "k", None).unwrap();
        assert_eq!((info.size, info.etag), (Some(1_000_000), written.etag));
        let page = call!(host, call_list, None).unwrap();
        assert_eq!(page.entries.iter().map(|entry| (&*entry.key, entry.size)).collect::<Vec<_>>(), [("k", 1_000_000)]);
        let small = GetOptions { max_bytes: Some(999_999), ..get_options(ByteRange::Whole) };
        assert_eq!(call!(host, call_get, "k", Some(&small)).unwrap_err().kind, ErrorKind::TooLarge);
        call!(host, call_delete, "k", None).unwrap();
        assert_eq!(call!(host, call_head, "k", None).unwrap_err().kind, ErrorKind::NotFound);
    });
}

// The second driver.

impl Host {
    /// Runs an operation: its output, and the body that is the caller's to read.
    async fn run(&mut self, operation: Operation, body: &[u8]) -> Result<(Output, Vec<u8>), Error> {
        let (began, mut sending) = (Instant::now(), Duration::ZERO);
        let core = self.plugin.sandbucket_blob_sans_io();
        let mut next = core.call_begin(&mut self.store, self.handle, &[operation]).await.expect("no trap");
        // The state and the unread body of the last successful response.
        let mut unread: Option<(Vec<u8>, Incoming)> = None;
        loop {
            let (state, event) = match next.pop().expect("one result for one operation") {
                Next::Failed(error) => return Err(error),
                Next::Done(Output::Get(head)) => {
                    let (state, incoming) = unread.take().expect("a response whose body is the caller's");
                    let (got, _) = read(incoming, u64::MAX, Duration::from_secs(5)).await;
                    if got.len() as u64 == head.body_range.end - head.body_range.start {
                        let excess = (head.range.start - head.body_range.start) as usize;
                        let length = (head.range.end - head.range.start) as usize;
                        return Ok((Output::Get(head), got[excess..excess + length].to_vec()));
                    }
                    (state, failed(TransportError::HttpResponseIncomplete, "the body is truncated"))
                }
                Next::Done(output) => return Ok((output, Vec::new())),
                Next::Send(exchange) => {
                    tokio::time::sleep(Duration::from_nanos(exchange.delay)).await;
                    let (event, incoming) = self.send(&exchange, body, &mut sending).await;
                    unread = incoming.map(|incoming| (exchange.state.clone(), incoming));
                    (exchange.state, event)
                }
            };
            let elapsed = (began.elapsed() - sending).as_nanos() as u64;
            let resumption = Resumption { state, elapsed, event };
            let core = self.plugin.sandbucket_blob_sans_io();
            next = core.call_resume(&mut self.store, self.handle, &[resumption]).await.expect("no trap");
        }
    }

    /// Sends a request, on a connection of its own: the event, and the body if it is left unread.
    async fn send(&self, exchange: &Exchange, body: &[u8], sending: &mut Duration) -> (Event, Option<Incoming>) {
        let timeout = Duration::from_nanos(exchange.timeout);
        let body = match &exchange.body {
            RequestBody::None => Bytes::new(),
            RequestBody::Bytes(bytes) => bytes.clone().into(),
            RequestBody::Caller => Bytes::copy_from_slice(body),
        };
        let (began, sent) = (Instant::now(), Arc::new(OnceLock::new()));
        let response = match tokio::time::timeout(timeout, respond(exchange, body, sent.clone())).await {
            Err(_) => return (failed(TransportError::HttpResponseTimeout, "no response in time"), None),
            Ok(Err(error)) => return (failed(TransportError::ConnectionTerminated, &format!("{error:#}")), None),
            Ok(Ok(response)) => response,
        };
        let sent = sent.get().copied();
        if matches!(exchange.body, RequestBody::Caller) {
            *sending += sent.unwrap_or_else(Instant::now) - began;
        }
        let status = response.status().as_u16();
        let fields = response.headers().iter();
        let headers = fields.map(|(name, value)| format!("{name}:{}\n", String::from_utf8_lossy(value.as_bytes())));
        let (headers, incoming) = (headers.collect(), response.into_body());
        let success = (200..300).contains(&status);
        if success && sent.is_none() {
            return (failed(TransportError::ConnectionTerminated, "a success before the whole request was sent"), None);
        }
        let limit = match exchange.response_body {
            ResponseBody::Caller if success => {
                let response = Response { status, headers, body: Vec::new(), truncated: false };
                return (Event::Response(response), Some(incoming));
            }
            ResponseBody::Buffer(limit) if success => u64::from(limit.min(16 << 20)),
            _ => 64 << 10,
        };
        match read(incoming, limit, timeout).await {
            (_, Ended::Early) if success => (failed(TransportError::HttpResponseIncomplete, "it broke off"), None),
            (body, ended) => {
                let truncated = ended != Ended::Complete;
                (Event::Response(Response { status, headers, body, truncated }), None)
            }
        }
    }
}

/// How reading a body ended.
#[derive(PartialEq)]
enum Ended {
    Complete,
    AtLimit,
    Early,
}

/// Reads a body up to a limit.
async fn read(mut incoming: Incoming, limit: u64, timeout: Duration) -> (Vec<u8>, Ended) {
    let mut body = Vec::new();
    loop {
        let piece = match tokio::time::timeout(timeout, incoming.frame()).await {
            Ok(None) => return (body, Ended::Complete),
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(_))) | Err(_) => return (body, Ended::Early),
        };
        let room = usize::try_from(limit).unwrap_or(usize::MAX) - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            return (body, Ended::AtLimit);
        }
    }
}

/// Size of the pieces in which a body is written, in bytes.
const PIECE: usize = 16 << 10;

/// Sends a request, and sets `sent` when the last piece of its body is written.
async fn respond(
    exchange: &Exchange,
    body: Bytes,
    sent: Arc<OnceLock<Instant>>,
) -> anyhow::Result<hyper::Response<Incoming>> {
    let sans_io::Request { method, authority, path_with_query, headers, .. } = &exchange.request;
    let method = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
    };
    let mut request = hyper::Request::builder().method(method).uri(path_with_query);
    for line in headers.lines() {
        let (name, value) = line.split_once(':').context("a header field")?;
        request = request.header(name, value);
    }
    let body = if body.is_empty() {
        let _ = sent.set(Instant::now());
        Either::Left(Full::default())
    } else {
        let mut left = body.len().div_ceil(PIECE);
        let pieces: Vec<Bytes> = body.chunks(PIECE).map(|piece| body.slice_ref(piece)).collect();
        Either::Right(StreamBody::new(stream::iter(pieces).map(move |piece| {
            left -= 1;
            if left == 0 {
                let _ = sent.set(Instant::now());
            }
            Ok::<_, Infallible>(Frame::data(piece))
        })))
    };
    let stream = TcpStream::connect(authority.as_str()).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request.body(body)?).await?)
}

fn failed(error: TransportError, detail: &str) -> Event {
    Event::Failed(TransportFailure { error, detail: Some(detail.to_owned()) })
}

/// Runs an operation of this driver, and asserts which output it has.
macro_rules! output {
    ($host:expr, $operation:expr, $body:expr, $output:pat => $value:expr) => {
        match $host.run($operation, $body).await.expect("the operation succeeds") {
            ($output, _) => $value,
            (other, _) => panic!("not the output of this operation: {other:?}"),
        }
    };
}

fn get(key: &str, range: ByteRange) -> Operation {
    Operation::Get(sans_io::Get { key: key.to_owned(), options: Some(get_options(range)) })
}

fn put(key: &str, body: &[u8], condition: WriteCondition) -> Operation {
    let options = Some(put_options(body, condition));
    Operation::Put(sans_io::Put { key: key.to_owned(), length: body.len() as u64, options })
}

fn bucket(name: &str) -> BucketOperation {
    BucketOperation { name: name.to_owned(), options: None }
}

#[test]
fn second_driver_runs_every_operation_on_blobs() {
    run(async {
        let server = dev_server().await;
        let mut host = Host::open(&server.endpoint(), &[]).await;
        let body = bytes(100_000);
        let written = output!(host, put("a/k", &body, WriteCondition::Always), &body, Output::Put(written) => written);
        let head = Operation::Head(sans_io::Head { key: "a/k".to_owned(), options: None });
        let info = output!(host, head, &[], Output::Head(info) => info);
        assert_eq!((info.size, &info.etag), (Some(100_000), &written.etag));
        let (_, got) = host.run(get("a/k", ByteRange::Whole), &[]).await.unwrap();
        assert!(got == body);
        let (_, got) = host.run(get("a/k", ByteRange::Last(10)), &[]).await.unwrap();
        assert_eq!(got, body[99_990..]);
        assert_eq!(host.run(get("nothing", ByteRange::Whole), &[]).await.unwrap_err().kind, ErrorKind::NotFound);
        let error = host.run(put("a/k", b"x", WriteCondition::IfAbsent), b"x").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::PreconditionFailed);

        let source = |key: &str| CopySource { bucket: None, key: key.to_owned(), version: None };
        let copy = Operation::Copy(sans_io::CopyBlob { source: source("a/k"), to: "b".to_owned(), options: None });
        output!(host, copy, &[], Output::Copy(_) => ());
        let tags = vec![("colour".to_owned(), "blue & <white>".to_owned())];
        let set = sans_io::SetTags { key: "b".to_owned(), tags: tags.clone(), options: None };
        output!(host, Operation::SetTags(set), &[], Output::SetTags => ());
        let read = Operation::GetTags(sans_io::GetTags { key: "b".to_owned(), options: None });
        assert_eq!(output!(host, read, &[], Output::GetTags(tags) => tags), tags);

        let listed = output!(host, Operation::List(None), &[], Output::List(page) => page);
        assert_eq!(listed.entries.iter().map(|entry| &*entry.key).collect::<Vec<_>>(), ["a/k", "b"]);
        let options = ListOptions {
            prefix: None,
            delimiter: Some("/".to_owned()),
            start_after: None,
            page_size: None,
            continuation: None,
            call: None,
        };
        let folders = output!(host, Operation::List(Some(options)), &[], Output::List(page) => page);
        assert_eq!((folders.prefixes.len(), folders.entries.len()), (1, 1));
        let versions = output!(host, Operation::ListVersions(None), &[], Output::ListVersions(page) => page);
        assert_eq!(versions.entries.len(), 2);

        let presign = sans_io::Presign {
            method: PresignedMethod::Get,
            key: "b".to_owned(),
            expires_in: 60_000_000_000,
            options: None,
        };
        let presigned = output!(host, Operation::Presign(presign), &[], Output::Presign(presigned) => presigned);
        let fetched = plain::fetch("GET", &presigned.url, &presigned.headers, "").await.unwrap();
        assert!(fetched.status == 200 && fetched.body == body);

        let delete = Operation::Delete(sans_io::Delete { key: "b".to_owned(), options: None });
        output!(host, delete, &[], Output::Delete(_) => ());
        let blobs = ["a/k", "nothing"].map(|key| BlobRef { key: key.to_owned(), version: None }).to_vec();
        let delete = Operation::DeleteMany(sans_io::DeleteMany { blobs, options: None });
        let outcomes = output!(host, delete, &[], Output::DeleteMany(outcomes) => outcomes);
        assert!(outcomes.len() == 2 && outcomes.iter().all(Result::is_ok));
        let listed = output!(host, Operation::List(None), &[], Output::List(page) => page);
        assert!(listed.entries.is_empty());
    });
}

#[test]
fn second_driver_runs_every_operation_on_uploads() {
    run(async {
        let server = dev_server().await;
        let mut host = Host::open(&server.endpoint(), &[]).await;
        let key = || "k".to_owned();
        let large = bytes(6 << 20);
        output!(host, put("from", &large, WriteCondition::Always), &large, Output::Put(_) => ());
        let create = || Operation::CreateUpload(sans_io::CreateUpload { key: key(), options: None });
        let upload = output!(host, create(), &[], Output::CreateUpload(upload) => upload);
        let uploads = output!(host, Operation::ListUploads(None), &[], Output::ListUploads(page) => page);
        assert_eq!(uploads.uploads.iter().map(|upload| &*upload.id).collect::<Vec<_>>(), [&*upload]);

        let source = CopySource { bucket: None, key: "from".to_owned(), version: None };
        let copy = sans_io::CopyPart { key: key(), upload: upload.clone(), number: 1, source, options: None };
        let first = output!(host, Operation::CopyPart(copy), &[], Output::CopyPart(part) => part);
        let body = bytes(1000);
        let part = sans_io::UploadPart {
            key: key(),
            upload: upload.clone(),
            number: 2,
            length: 1000,
            options: Some(PartOptions { digests: Some(digests(&body)), call: None }),
        };
        let last = output!(host, Operation::UploadPart(part), &body, Output::UploadPart(part) => part);
        assert_eq!((last.number, last.size), (2, 1000));
        let list = sans_io::ListParts { key: key(), upload: upload.clone(), options: None };
        let page = output!(host, Operation::ListParts(list), &[], Output::ListParts(page) => page);
        assert_eq!(page.parts.iter().map(|part| part.size).collect::<Vec<_>>(), [6 << 20, 1000]);
        let parts = vec![first, last];
        let complete = sans_io::CompleteUpload { key: key(), upload, parts, options: None };
        output!(host, Operation::CompleteUpload(complete), &[], Output::CompleteUpload(_) => ());
        let (_, got) = host.run(get("k", ByteRange::Whole), &[]).await.unwrap();
        assert!(got == [large, body].concat());

        let upload = output!(host, create(), &[], Output::CreateUpload(upload) => upload);
        let abort = sans_io::AbortUpload { key: key(), upload, options: None };
        output!(host, Operation::AbortUpload(abort), &[], Output::AbortUpload => ());
        let uploads = output!(host, Operation::ListUploads(None), &[], Output::ListUploads(page) => page);
        assert!(uploads.uploads.is_empty());
    });
}

#[test]
fn second_driver_runs_every_operation_on_buckets() {
    run(async {
        let server = dev_server().await;
        let mut host = Host::open(&server.endpoint(), &[]).await;
        let name = "another-bucket";
        let exists = || Operation::BucketExists(bucket(name));
        assert!(!output!(host, exists(), &[], Output::BucketExists(exists) => exists));
        output!(host, Operation::CreateBucket(bucket(name)), &[], Output::CreateBucket => ());
        assert!(output!(host, exists(), &[], Output::BucketExists(exists) => exists));
        let page = output!(host, Operation::ListBuckets(None), &[], Output::ListBuckets(page) => page);
        let mut names: Vec<_> = page.buckets.iter().map(|bucket| &*bucket.name).collect();
        names.sort_unstable();
        assert_eq!(names, [name, BUCKET]);

        // A copy from the other bucket.
        let mut other = Host::open(&server.endpoint(), &[("bucket", name)]).await;
        output!(other, put("k", b"x", WriteCondition::Always), b"x", Output::Put(_) => ());
        let source = CopySource { bucket: Some(name.to_owned()), key: "k".to_owned(), version: None };
        let copy = Operation::Copy(sans_io::CopyBlob { source, to: "to".to_owned(), options: None });
        output!(host, copy, &[], Output::Copy(_) => ());
        assert_eq!(host.run(get("to", ByteRange::Whole), &[]).await.unwrap().1, b"x");

        let error = host.run(Operation::DeleteBucket(bucket(name)), &[]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        let delete = Operation::Delete(sans_io::Delete { key: "k".to_owned(), options: None });
        output!(other, delete, &[], Output::Delete(_) => ());
        output!(host, Operation::DeleteBucket(bucket(name)), &[], Output::DeleteBucket => ());
        let error = host.run(Operation::DeleteBucket(bucket(name)), &[]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    });
}

#[test]
fn second_driver_retries_and_resumes_a_truncated_body() {
    run(async {
        let busy = || Act::respond(503, "", "<Error><Code>SlowDown</Code></Error>");
        let service = Faulty::start([busy(), Act::well(), Act::well().up_to(300).then_close(), Act::well()]).await;
        let mut host = Host::open(&service.endpoint(), &[]).await;
        let body = bytes(10_000);
        output!(host, put("k", &body, WriteCondition::Always), &body, Output::Put(_) => ());
        let (_, got) = host.run(get("k", ByteRange::Whole), &[]).await.unwrap();
        assert!(got == body);
        assert_eq!(service.seen().iter().map(|seen| &*seen.method).collect::<Vec<_>>(), ["PUT", "PUT", "GET", "GET"]);
        // The last attempt's error is the operation's.
        let service = Faulty::start((0..10).map(|_| busy())).await;
        let mut host = Host::open(&service.endpoint(), &[("max-retries", "2")]).await;
        let error = host.run(get("k", ByteRange::Whole), &[]).await.unwrap_err();
        assert_eq!((error.kind, error.attempts, service.seen().len()), (ErrorKind::Throttled, 3, 3));
    });
}

#[test]
fn operations_of_a_batch_are_independent() {
    run(async {
        let server = dev_server().await;
        let mut host = Host::open(&server.endpoint(), &[]).await;
        let core = host.plugin.sandbucket_blob_sans_io();
        let operations = [get("a", ByteRange::Whole), get("", ByteRange::Whole), Operation::List(None)];
        let next = core.call_begin(&mut host.store, host.handle, &operations).await.unwrap();
        let [Next::Send(first), Next::Failed(error), Next::Send(last)] = &next[..] else { panic!("{}", next.len()) };
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
        assert!(matches!(first.response_body, ResponseBody::Caller));
        assert!(matches!(last.response_body, ResponseBody::Buffer(_)));
        // In another order, and in another instance.
        let mut other = Host::open(&server.endpoint(), &[]).await;
        let mut resumptions = Vec::new();
        for exchange in [last, first] {
            let (event, _) = host.send(exchange, &[], &mut Duration::default()).await;
            resumptions.push(Resumption { state: exchange.state.clone(), elapsed: 1_000_000, event });
        }
        let core = other.plugin.sandbucket_blob_sans_io();
        let next = core.call_resume(&mut other.store, other.handle, &resumptions).await.unwrap();
        let [Next::Done(Output::List(page)), Next::Failed(error)] = &next[..] else { panic!("{}", next.len()) };
        assert_eq!((page.entries.len(), error.kind), (0, ErrorKind::NotFound));
    });
}
