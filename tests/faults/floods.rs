//! Floods: a service that sends endlessly, as fast as the connection takes it. Each call ends within its limits, and other
//! stores of the runtime make progress, although there are more floods than workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures::StreamExt;
use sandbucket::{Engine, Limits, StoreOptions, TlsOptions};
use sandbucket_tests::{builder, settings};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::*;

/// Worker threads of the runtime that runs the flooded calls.
const WORKERS: usize = 2;
/// Time in which a neighbour completes ten reads, and in which flooded calls limited to [`CALL_TIME`] end. Many times what
/// they need.
const BOUND: Duration = Duration::from_secs(30);
/// Time limit of every call. It also limits the body of a read that is shorter.
const CALL_TIME: Duration = Duration::from_secs(3);

// They close the connection: bytes after the response to a HEAD would otherwise be parsed as the next response.
const CHUNKED: &str = "HTTP/1.1 206 Partial Content\r\nconnection: close\r\netag: \"x\"\r\ncontent-range: bytes 0-4/5\r\n\
                       transfer-encoding: chunked\r\n\r\n";
const HUGE: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\netag: \"x\"\r\ncontent-length: 1099511627776\r\n\r\n";
const HUGE_CHUNKED: &str = "HTTP/1.1 206 Partial Content\r\nconnection: close\r\netag: \"x\"\r\n\
                            content-range: bytes 0-1099511627775/1099511627776\r\ntransfer-encoding: chunked\r\n\r\n";

/// An operation on the store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Get,
    Head,
    Put,
    List,
    Delete,
}

const CALLS: [Call; 5] = [Call::Get, Call::Head, Call::Put, Call::List, Call::Delete];

impl Call {
    /// Runs the operation; returns the body of a read.
    async fn on(self, store: &Store) -> Result<Vec<u8>, Error> {
        match self {
            Call::Get => {
                let mut blob = store.get("k").time_limit(CALL_TIME / 2).await?;
                let mut read = Vec::new();
                while let Some(piece) = blob.next().await {
                    read.extend_from_slice(&piece?);
                    // Only progress matters, not the bytes.
                    read.truncate(1 << 20);
                }
                Ok(read)
            }
            Call::Head => store.head("k").await.map(|_| Vec::new()),
            Call::Put => store.put("k", "body").await.map(|_| Vec::new()),
            Call::List => store.list("").await.map(|_| Vec::new()),
            Call::Delete => store.delete("k").await.map(|_| Vec::new()),
        }
    }
}

/// A runtime of [`WORKERS`], an engine with short limits, and a store on a well-behaved service.
struct Arena {
    runtime: Option<Runtime>,
    engine: Engine,
    neighbour: Store,
    _service: Faulty,
}

impl Drop for Arena {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Arena {
    async fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap();
        let mut limits = Limits::default();
        limits.connect_timeout = Duration::from_secs(5);
        limits.first_byte_timeout = Duration::from_secs(1);
        limits.between_bytes_timeout = Duration::from_secs(1);
        limits.call_time = CALL_TIME;
        limits.resumes = 0;
        let engine = builder().limits(limits).build().unwrap();
        let service = Faulty::start([]).await;
        service.keep(PATH, "right");
        let neighbour = engine.store(settings(&service.endpoint(), &[])).await.unwrap();
        Arena { runtime: Some(runtime), engine, neighbour, _service: service }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }

    async fn store(&self, endpoint: &str) -> Store {
        let tls = TlsOptions { allow_invalid_certs: true, ..TlsOptions::default() };
        let settings = settings(endpoint, &[("timeout", "1s"), ("max-retries", "0")]);
        self.engine.open(StoreOptions::new().settings(settings).tls(tls)).await.unwrap()
    }

    /// Floods all kinds of calls repeatedly while a neighbour works, and returns their outcomes.
    async fn flood(&self, name: &str, endpoint: &str) -> Vec<(Call, Result<Vec<u8>, Error>)> {
        let store = self.store(endpoint).await;
        let stop = Arc::new(AtomicBool::new(false));
        let floods: Vec<_> = CALLS
            .iter()
            .flat_map(|&call| {
                (0..WORKERS).map({
                    let (store, stop) = (store.clone(), stop.clone());
                    move |_| {
                        let (store, stop) = (store.clone(), stop.clone());
                        let calling = async move {
                            loop {
                                let outcome = call.on(&store).await;
                                if stop.load(Relaxed) {
                                    return (call, outcome);
                                }
                            }
                        };
                        self.runtime().spawn(calling)
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let neighbour = self.neighbour.clone();
        let reading = self.runtime().spawn(async move {
            for _ in 0..10 {
                assert_eq!(neighbour.get("k").await.unwrap().bytes().await.unwrap(), "right");
            }
        });
        timeout(BOUND, reading).await.unwrap_or_else(|_| panic!("{name}: the neighbour is held up")).unwrap();
        stop.store(true, Relaxed);
        let mut outcomes = Vec::new();
        for flood in floods {
            let outcome = timeout(BOUND, flood).await.unwrap_or_else(|_| panic!("{name}: a call never ends"));
            outcomes.push(outcome.unwrap());
        }
        outcomes
    }
}

/// Floods with each of `kinds`: a name, an act and an expected message. Every call must return the right bytes or a
/// well-formed error, and each read an error with that message. An empty message also allows the right bytes.
fn withstands(kinds: impl IntoIterator<Item = (&'static str, Act, &'static str)>) {
    run(async {
        let arena = Arena::new().await;
        for (name, act, says) in kinds {
            let server = Faulty::always(act).await;
            for (call, outcome) in arena.flood(name, &server.endpoint()).await {
                check(name, call, outcome, says);
            }
        }
    });
}

fn check(name: &str, call: Call, outcome: Result<Vec<u8>, Error>, says: &str) {
    match outcome {
        Ok(read) if call == Call::Get => assert_eq!((&read[..], says), (&b"right"[..], ""), "{name}"),
        Ok(_) => {}
        Err(
            Error::Network(failure) | Error::Integrity(failure) | Error::Timeout(failure) | Error::TooLarge(failure),
        ) => {
            is_decent(&failure, 1);
            // Excess bytes after one response can be all of the next one.
            let named = call != Call::Get || failure.message.contains(says);
            assert!(named, "{name}: {call:?} does not say \"{says}\": {failure:?}");
        }
        // If time ends the call, the host may end it before the plugin does.
        Err(Error::Overdue { .. }) if says == "time limit" => {}
        Err(error) => panic!("{name}: {call:?}: {error:?}"),
    }
}

#[test]
fn endless_informational_responses_are_an_error() {
    let hints = "HTTP/1.1 102 Processing\r\nx-a: b\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n";
    let large = format!("HTTP/1.1 103 Early Hints\r\nlink: <{}>\r\n\r\n", "a".repeat(60_000));
    withstands([
        ("100", Act::flood("", "HTTP/1.1 100 Continue\r\n\r\n"), "informational responses"),
        ("100 at once", Act::flood("", "HTTP/1.1 100 Continue\r\n\r\n").before_body(), "informational responses"),
        ("102 and 103", Act::flood("", hints), "informational responses"),
        ("large 103", Act::flood("", large), "informational responses"),
    ]);
}

#[test]
fn endless_response_headers_are_an_error() {
    withstands([
        ("one line", Act::flood("HTTP/1.1 200 OK\r\nx: ", "y"), "header-bytes"),
        ("lines", Act::flood("HTTP/1.1 200 OK\r\n", "x: y\r\n"), "header-bytes"),
        ("empty lines", Act::flood("", "\r\n"), "header-bytes"),
        ("spaces", Act::flood("", " "), "is not HTTP"),
        ("reason phrase", Act::flood("HTTP/1.1 200 ", "O"), "header-bytes"),
    ]);
}

#[test]
fn endless_chunk_framing_is_an_error() {
    withstands([
        ("extension", Act::flood([CHUNKED, "5;"].concat(), "x"), "chunk extensions over limit"),
        ("extensions", Act::flood(HUGE_CHUNKED, "1;x\r\ny\r\n"), "chunk extensions over limit"),
        ("spaces after a size", Act::flood([CHUNKED, "5"].concat(), " "), "chunk sizes and extensions"),
        ("zeros of a size", Act::flood(CHUNKED, "0"), "chunk sizes and extensions"),
    ]);
}

#[test]
fn endless_bytes_after_a_complete_body_are_ignored() {
    let length = "HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 5\r\n\r\nright";
    withstands([
        ("trailers", Act::flood([CHUNKED, "5\r\nright\r\n0\r\n"].concat(), "x: y\r\n"), ""),
        ("bytes", Act::flood(length, "x"), ""),
        ("responses", Act::flood(length, "HTTP/1.1 100 Continue\r\n\r\n"), ""),
    ]);
}

#[test]
fn endless_bodies_end_at_the_calls_time_limit() {
    withstands([
        ("one-byte chunks", Act::flood(HUGE_CHUNKED, "1\r\nx\r\n"), "time limit"),
        ("large chunks", Act::flood(HUGE_CHUNKED, format!("4000\r\n{}\r\n", "x".repeat(0x4000))), "time limit"),
        ("plain", Act::flood(HUGE, "x"), "time limit"),
        ("no length", Act::flood("HTTP/1.1 200 OK\r\nconnection: close\r\netag: \"x\"\r\n\r\n", "x"), "content-length"),
        ("more chunks than announced", Act::flood(CHUNKED, "1\r\nx\r\n"), "goes on after the bytes announced"),
    ]);
}

#[test]
fn endless_error_bodies_are_truncated() {
    run(async {
        let arena = Arena::new().await;
        let head = "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
        let kinds = [("bytes", "1\r\nx\r\n".to_owned()), ("chunks", format!("4000\r\n{}\r\n", "x".repeat(0x4000)))];
        for (name, repeated) in kinds {
            let server = Faulty::always(Act::flood(head, repeated)).await;
            for (call, outcome) in arena.flood(name, &server.endpoint()).await {
                match outcome {
                    Err(Error::AccessDenied(failure)) => is_decent(&failure, 1),
                    // The deadline passes before the error body ends.
                    Err(Error::Timeout(failure)) => is_decent(&failure, 1),
                    other => panic!("{name}: {call:?}: {other:?}"),
                }
            }
        }
    });
}

/// Reads a flood of one-byte chunks until the call's time limit of one second.
async fn read_until_time_limit() {
    let server = Faulty::always(Act::flood(HUGE_CHUNKED, "1\r\nx\r\n")).await;
    let store = open(&server.endpoint(), &[]).await;
    let mut blob = store.get("k").time_limit(Duration::from_secs(1)).await.unwrap();
    let began = Instant::now();
    let failure = loop {
        match blob.next().await {
            Some(Ok(_)) => assert!(began.elapsed() < BOUND, "the time limit does not fire"),
            Some(Err(Error::Timeout(failure))) => break *failure,
            other => panic!("{other:?}"),
        }
    };
    is_decent(&failure, 1);
    assert!(failure.message.contains("time limit"), "{failure:?}");
}

#[test]
fn call_time_limit_fires_during_a_flood_of_tiny_chunks() {
    run(read_until_time_limit());
}

#[test]
fn call_time_limit_fires_without_the_cooperative_budget() {
    run(tokio::task::unconstrained(read_until_time_limit()));
}

/// Each retained piece would keep alive the buffer that it was read into.
#[test]
fn tiny_chunks_are_coalesced() {
    run(async {
        const LENGTH: usize = 50_000;
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\netag: \"x\"\r\ncontent-range: bytes 0-{}/{LENGTH}\r\n\
             transfer-encoding: chunked\r\n\r\n",
            LENGTH - 1
        );
        let body: Vec<u8> = (0..LENGTH).map(|at| b'a' + (at % 23) as u8).collect();
        let mut raw = head.into_bytes();
        raw.extend(body.iter().flat_map(|&byte| [b'1', b'\r', b'\n', byte, b'\r', b'\n']));
        raw.extend_from_slice(b"0\r\n\r\n");
        let bench = Bench::new([Act::raw(raw.clone()), Act::raw(raw)]).await;
        let pieces: Vec<_> = bench.store.get("k").await.unwrap().collect().await;
        let pieces: Vec<_> = pieces.into_iter().map(Result::unwrap).collect();
        assert_eq!(pieces.concat(), body);
        assert!(pieces.len() <= LENGTH / 32, "{} pieces", pieces.len());
        assert_eq!(bench.read().await.unwrap(), body);
        bench.ends_well().await;
    });
}

mod tls {
    //! TLS records with one byte or none, which no TLS library sends.

    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use rustls_pki_types::PrivateKeyDer;
    use tokio_rustls::rustls::crypto::ring::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider};
    use tokio_rustls::rustls::version::TLS13;
    use tokio_rustls::rustls::{ConnectionTrafficSecrets, ServerConfig, ServerConnection};

    use super::*;

    /// Responds to the first request of each connection with `head`, and then sends records with `content` until the
    /// process ends.
    fn server(head: &'static str, content: &'static [u8]) -> String {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let mut provider = default_provider();
        provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256];
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        config.send_tls13_tickets = 0;
        config.enable_secret_extraction = true;
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for tcp in listener.incoming() {
                let config = config.clone();
                // The peer closing the connection ends it.
                thread::spawn(move || serve(tcp.unwrap(), config, head, content));
            }
        });
        format!("https://localhost:{port}")
    }

    fn serve(mut tcp: TcpStream, config: Arc<ServerConfig>, head: &str, content: &[u8]) -> std::io::Result<()> {
        let mut tls = ServerConnection::new(config).unwrap();
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            if tls.complete_io(&mut tcp)?.0 == 0 && !tls.is_handshaking() {
                return Ok(());
            }
            let _ = tls.reader().read_to_end(&mut request);
        }
        tls.writer().write_all(head.as_bytes())?;
        while tls.wants_write() {
            tls.write_tls(&mut tcp)?;
        }
        let (mut sequence, secrets) = tls.dangerous_extract_secrets().unwrap().tx;
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("another cipher suite") };
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap());
        loop {
            let mut block = Vec::new();
            for _ in 0..1000 {
                // The content of the record and its type: application data.
                let mut sealed = [content, &[23]].concat();
                let header = [23, 3, 3, 0, (sealed.len() + 16) as u8];
                let mut nonce: [u8; 12] = iv.as_ref().try_into().unwrap();
                nonce[4..].iter_mut().zip(sequence.to_be_bytes()).for_each(|(byte, of)| *byte ^= of);
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.seal_in_place_append_tag(nonce, Aad::from(header), &mut sealed).unwrap();
                sequence += 1;
                block.extend_from_slice(&header);
                block.extend_from_slice(&sealed);
            }
            tcp.write_all(&block)?;
        }
    }

    #[test]
    fn tiny_and_empty_tls_records_do_not_block_other_stores() {
        run(async {
            let arena = Arena::new().await;
            let kinds = [
                ("a byte of header each", "HTTP/1.1 200 OK\r\nx: ", &b"y"[..], "header-bytes"),
                ("a byte of the body each", HUGE, b"y", "time limit"),
                ("nothing, before the response", "", b"", "TooManyEmptyFragments"),
                ("nothing, in its header", "HTTP/1.1 200 OK\r\nx: ", b"", "TooManyEmptyFragments"),
                ("nothing, in its body", HUGE, b"", "TooManyEmptyFragments"),
            ];
            for (name, head, content, says) in kinds {
                for (call, outcome) in arena.flood(name, &server(head, content)).await {
                    match (call, outcome) {
                        // Headers that arrive byte by byte take longer.
                        (_, Err(Error::Timeout(failure))) if head != HUGE && !content.is_empty() => {
                            is_decent(&failure, 1);
                        }
                        (_, outcome) => check(name, call, outcome, says),
                    }
                }
            }
        });
    }
}
