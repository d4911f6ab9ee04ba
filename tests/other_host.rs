//! The plugin on a host that is not ours: wasmtime with its own wasi:http, as it comes. What such a host needs beyond whole
//! blobs is the streams of `bodies`; our own host does without.

use std::sync::LazyLock;

use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{dev_server, run, settings};
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
            package sandbucket:other@0.1.0;
            world blobs {
                export sandbucket:blob/types@0.1.0;
                export sandbucket:blob/bodies@0.1.0;
                export sandbucket:blob/exchanges@0.1.0;
                export sandbucket:blob/listing@0.1.0;
                export sandbucket:blob/multipart@0.1.0;
                export sandbucket:blob/blob-store@0.1.0;
            }
        ",
        world: "sandbucket:other/blobs",
        with: { "wasi:io": wasmtime_wasi::p2::bindings::io, "wasi:clocks": wasmtime_wasi::p2::bindings::clocks },
        exports: { default: async },
        require_store_data_send: true,
    });
}

use contract::Blobs;
use contract::exports::sandbucket::blob::types::{
    ByteRange, CallOptions, Digest, DigestAlgorithm, Error, ErrorKind, ReadConditions, ReadOptions, Span,
    WriteCondition, WriteOptions, Written,
};

#[derive(Default)]
struct State {
    table: ResourceTable,
    http: WasiHttpCtx,
    clocks: WasiClocksCtx,
    hooks: Hooks,
}

/// As they come.
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

/// An instance with a store in it.
struct Host {
    store: Store<State>,
    plugin: Blobs,
    handle: ResourceAny,
}

/// Asks the plugin's store.
macro_rules! ask {
    ($host:expr, $function:ident $(, $argument:expr)*) => {{
        let functions = $host.plugin.sandbucket_blob_blob_store().store();
        functions.$function(&mut $host.store, $host.handle $(, $argument)*).await.expect("the plugin does not crash")
    }};
}

impl Host {
    async fn open(endpoint: &str, further: &[(&str, &str)]) -> Host {
        let (engine, component, linker) = &*PLUGIN;
        let mut store = Store::new(engine, State::default());
        let plugin = Blobs::instantiate_async(&mut store, component, linker).await.unwrap();
        let functions = plugin.sandbucket_blob_blob_store().store();
        let handle = functions.call_open(&mut store, &settings(endpoint, further)).await.unwrap().unwrap();
        Host { store, plugin, handle }
    }

    /// Writes to a stream that the plugin handed out, until the end or until it breaks off: how much was taken.
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

    async fn read(&mut self, stream: Resource<DynInputStream>) -> Vec<u8> {
        let mut stream = self.store.data_mut().table.delete(stream).unwrap();
        let mut body = Vec::new();
        loop {
            match stream.read(1 << 16) {
                Ok(piece) if piece.is_empty() => stream.ready().await,
                Ok(piece) => body.extend_from_slice(&piece),
                Err(StreamError::Closed) => return body,
                Err(error) => panic!("it broke off: {error:?}"),
            }
        }
    }

    async fn put(&mut self, key: &str, body: &[u8], options: &WriteOptions) -> Result<Written, Error> {
        let mut stream = ask!(self, call_open_write, key, body.len() as u64, options)?;
        loop {
            let sent = self.write(stream, body).await;
            match ask!(self, call_finish_write, sent) {
                Ok(written) => return Ok(written),
                Err(error) if !error.retryable => return Err(error),
                Err(_) => stream = ask!(self, call_again)?,
            }
        }
    }

    async fn get(&mut self, key: &str, range: ByteRange) -> Result<(Span, Vec<u8>), Error> {
        let none =
            ReadConditions { if_match: None, if_none_match: None, if_modified_since: None, if_unmodified_since: None };
        let options = ReadOptions { range, conditions: none, version: None, max_bytes: None, call: call() };
        let opened = ask!(self, call_open_read, key, &options)?;
        let body = self.read(opened.body).await;
        assert_eq!(body.len() as u64, opened.given.end - opened.given.start);
        Ok((opened.range, body))
    }
}

fn call() -> CallOptions {
    CallOptions { time_limit: None, max_retries: None, attributes: Vec::new() }
}

/// How a body is written of which this is known.
fn options(body: &[u8], condition: WriteCondition) -> WriteOptions {
    use md5::Digest as _;
    let digests = vec![
        Digest { algorithm: DigestAlgorithm::Sha256, value: sha2::Sha256::digest(body).to_vec() },
        Digest { algorithm: DigestAlgorithm::Md5, value: md5::Md5::digest(body).to_vec() },
    ];
    WriteOptions { content_type: None, metadata: Vec::new(), condition, digests, call: call() }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n % 251) as u8).collect()
}

#[test]
fn streams_go_past_the_plugin() {
    run(async {
        let server = dev_server().await;
        let mut host = Host::open(&server.endpoint(), &[]).await;
        assert_eq!(ask!(host, call_wanted_digests), [DigestAlgorithm::Sha256]);
        for size in [0, 1, 100_000, 3_000_000] {
            let body = bytes(size);
            host.put("k", &body, &options(&body, WriteCondition::Always)).await.unwrap();
            let (range, got) = host.get("k", ByteRange::Whole).await.unwrap();
            assert!(got == body && range.end == size as u64, "{size}");
        }
        let (range, got) = host.get("k", ByteRange::Within(Span { start: 10, end: 2_000_000 })).await.unwrap();
        assert!((range.start, range.end) == (10, 2_000_000) && got == bytes(3_000_000)[10..2_000_000]);
        assert_eq!(host.get("nothing", ByteRange::Whole).await.unwrap_err().kind, ErrorKind::NotFound);
        let refused = host.put("k", b"x", &options(b"x", WriteCondition::IfAbsent)).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::PreconditionFailed);
    });
}

#[test]
fn a_write_that_failed_is_begun_again_and_one_that_is_given_up_is_gone() {
    run(async {
        let body = bytes(200_000);
        let service = Faulty::start([
            Act::answer(503, "", "<Error><Code>SlowDown</Code></Error>"),
            Act::answer(200, "etag: \"e\"\r\n", ""),
        ])
        .await;
        let mut host = Host::open(&service.endpoint(), &[]).await;
        let written = host.put("k", &body, &options(&body, WriteCondition::Always)).await.unwrap();
        assert_eq!((written.etag.as_deref(), service.seen().len()), (Some("\"e\""), 2));
        // What is given up can neither be finished nor begun again.
        let server = dev_server().await;
        let mut host = Host::open(&server.endpoint(), &[]).await;
        let stream =
            ask!(host, call_open_write, "k", body.len() as u64, &options(&body, WriteCondition::Always)).unwrap();
        host.store.data_mut().table.delete(stream).unwrap();
        ask!(host, call_abort);
        assert_eq!(ask!(host, call_finish_write, 0).unwrap_err().kind, ErrorKind::InvalidArgument);
        assert_eq!(ask!(host, call_again).unwrap_err().kind, ErrorKind::InvalidArgument);
        assert_eq!(host.get("k", ByteRange::Whole).await.unwrap_err().kind, ErrorKind::NotFound);
    });
}

#[test]
fn whole_blobs_pass_through_its_memory() {
    run(async {
        let server = dev_server().await;
        let mut host = Host::open(&server.endpoint(), &[]).await;
        let body = bytes(1_000_000);
        let plain = WriteOptions { digests: Vec::new(), ..options(&body, WriteCondition::Always) };
        ask!(host, call_put, "k", &body, &plain).unwrap();
        let none =
            ReadConditions { if_match: None, if_none_match: None, if_modified_since: None, if_unmodified_since: None };
        let all =
            ReadOptions { range: ByteRange::Whole, conditions: none, version: None, max_bytes: None, call: call() };
        assert!(ask!(host, call_get, "k", &all).unwrap().body == body);
    });
}
