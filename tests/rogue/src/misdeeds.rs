//! Misdeeds of any call, whether over `store` or `sans-io`: computing, memory, resources of the host, requests over wasi:http,
//! and results that violate the contract.

use std::hint::black_box;

use crate::exports::sandbucket::blob::listing::{Entry, ListPage};
use crate::exports::sandbucket::blob::types::{Blob, BlobInfo, Error, ErrorKind, Presigned, Span};
use crate::wasi::clocks::monotonic_clock;
use crate::wasi::clocks::wall_clock::Datetime;
use crate::wasi::http::outgoing_handler;
use crate::wasi::http::types::{self, Fields, IncomingResponse, OutgoingBody, OutgoingRequest, Scheme};
use crate::{error, info};

/// What this plugin does wrong.
#[derive(Clone)]
pub struct Mode {
    /// The misdeed; empty is none. With the prefix `open-` it happens while the store is opened, not in its calls.
    pub name: String,
    /// The authority that requests go to; for `spin`, the milliseconds to compute.
    pub target: String,
}

impl Mode {
    /// Runs a misdeed that is independent of the operation. It may not return. An unknown name does nothing.
    pub fn act(&self, misdeed: &str) -> Result<(), Error> {
        match misdeed {
            "loop" => endless(),
            "spin" => spin(self.target.parse().unwrap_or(0)),
            "allocate" => hoard_memory(),
            "recurse" => drop(black_box(recurse(1))),
            "unreachable" => core::arch::wasm32::unreachable(),
            "panic" => panic!("on purpose"),
            "overrun" => overrun(),
            "sleep" => monotonic_clock::subscribe_duration(u64::MAX).block(),
            "handles" => hoard_handles(),
            "headers" => grow_headers(),
            "asks" => loop {
                let _ = response(&self.target);
            },
            "bodies" => hoard_bodies(),
            "fields" => hoard_fields(),
            "huge-error" => return Err(error(ErrorKind::Service, forged().repeat(1 << 18))),
            "forged-error" => return Err(error(ErrorKind::Service, forged().repeat(100))),
            "kept-resources" => std::mem::forget(Fields::new()),
            "call" => return call(&self.target),
            "crowd" => return crowd(&self.target),
            "calls" => call_without_listening(&self.target),
            _ => {}
        }
        if let Some(request) = misdeed.strip_prefix("wasi-") {
            return odd_request(request, &self.target);
        }
        Ok(())
    }

    /// Impossible properties of a blob, if this mode is about them.
    pub fn odd_info(&self) -> Option<BlobInfo> {
        let ten = info(10);
        let long = || "x".repeat(1 << 16);
        let pairs = |count| vec![(String::new(), String::new()); count];
        Some(match self.name.as_str() {
            "far-date" => BlobInfo { last_modified: Some(Datetime { seconds: 1 << 60, nanoseconds: u32::MAX }), ..ten },
            "long-etag" => BlobInfo { etag: Some(long()), ..ten },
            "forged-etag" => BlobInfo { etag: Some(forged()), ..ten },
            "long-version" => BlobInfo { version: Some(long()), ..ten },
            "forged-type" => BlobInfo { content_type: Some(forged()), ..ten },
            "many-metadata" => BlobInfo { metadata: pairs(10_000), ..ten },
            "most-metadata" => BlobInfo { metadata: pairs(100_000), ..ten },
            "many-attributes" => BlobInfo { attributes: pairs(10_000), ..ten },
            _ => BlobInfo { size: self.claimed_size()?, ..ten },
        })
    }

    /// An impossible page of a listing, if this mode is about one.
    pub fn odd_page(&self) -> Option<ListPage> {
        let entry = |key: String| Entry {
            key,
            size: u64::MAX,
            etag: None,
            last_modified: Some(Datetime { seconds: u64::MAX, nanoseconds: u32::MAX }),
            attributes: Vec::new(),
        };
        let entries = |count: usize, key: &str| (0..count).map(|_| entry(key.to_owned())).collect();
        let page = |entries| ListPage { entries, prefixes: Vec::new(), next: None };
        Some(match self.name.as_str() {
            "far-dates" => page(entries(2, "k")),
            "long-key" => page(entries(1, &"k".repeat(1 << 14))),
            "many-entries" => page(entries(20_000, "")),
            "most-entries" => page(entries(120_000, "")),
            "many-prefixes" => ListPage { prefixes: vec![String::new(); 20_000], ..page(Vec::new()) },
            "long-token" => ListPage { next: Some("t".repeat(1 << 16)), ..page(Vec::new()) },
            // Each key is the same megabyte of memory.
            "aliased-keys" => {
                let key = "k".repeat(1 << 20).leak();
                // SAFETY: unsound on purpose: the memory is freed several times, unless the host stops at the first few keys.
                let alias = || unsafe { String::from_raw_parts(key.as_mut_ptr(), key.len(), key.len()) };
                let keys: Vec<String> = std::iter::repeat_with(alias).take(4000).collect();
                page(keys.into_iter().map(entry).collect())
            }
            _ => return None,
        })
    }

    /// An impossible blob, if this mode is about one.
    pub fn odd_blob(&self) -> Option<Blob> {
        let ten = || info(10);
        let span = |start, end| Span { start, end };
        Some(match self.name.as_str() {
            "backward-range" => Blob { info: ten(), range: span(7, 3), body: Vec::new() },
            "short-body" => Blob { info: ten(), range: span(0, 10), body: vec![0; 9] },
            "long-body" => Blob { info: ten(), range: span(0, 10), body: vec![0; 11] },
            "past-the-end" => Blob { info: ten(), range: span(5, 15), body: vec![0; 10] },
            "another-range" => Blob { info: ten(), range: span(5, 6), body: vec![0] },
            "maximal-size" => {
                Blob { info: BlobInfo { size: Some(u64::MAX), ..ten() }, range: span(0, 10), body: vec![0; 10] }
            }
            _ => return None,
        })
    }

    /// The size that the blob claims to have, if this mode is about one that no memory holds.
    pub fn claimed_size(&self) -> Option<Option<u64>> {
        match self.name.as_str() {
            "unknown-size" => Some(None),
            "vast-size" => Some(Some(1 << 60)),
            _ => None,
        }
    }

    /// The presigned URL `U`, if this mode is `presigned-U`.
    pub fn presigned(&self) -> Option<Presigned> {
        let url = self.name.strip_prefix("presigned-")?;
        Some(Presigned { url: url.to_owned(), headers: Vec::new() })
    }
}

/// This plugin implements only what the tests call.
pub fn unsupported() -> Error {
    error(ErrorKind::Unsupported, "the rogue plugin does not implement this".to_owned())
}

fn endless() {
    let mut n = 0u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Computes so many million iterations. Counted, not timed: on a busy machine time passes without computing.
#[cfg(not(feature = "simple"))]
pub fn compute(millions: u64) {
    black_box((0..millions * 1_000_000).fold(0, |sum, n| black_box(sum ^ n)));
}

/// Computes until so many milliseconds have passed.
fn spin(milliseconds: u64) {
    let end = monotonic_clock::now().saturating_add(milliseconds.saturating_mul(1_000_000));
    while monotonic_clock::now() < end {
        black_box((0..1000u64).fold(0, |sum, n| black_box(sum ^ n)));
    }
}

fn hoard_memory() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(black_box(vec![1; 1 << 20]));
    }
}

#[allow(unconditional_recursion, reason = "the misdeed")]
fn recurse(n: u64) -> u64 {
    black_box(recurse(black_box(n + 1))) + n
}

/// Reads far outside of its memory.
fn overrun() {
    let place = black_box(0xffff_fff0_u32) as *const u8;
    // SAFETY: unsound on purpose: the sandbox must turn this into a trap.
    black_box(unsafe { place.read_volatile() });
}

/// Makes the host hold an unbounded number of resources.
fn hoard_handles() {
    loop {
        std::mem::forget(Fields::new());
    }
}

/// Makes the host hold one resource that grows, and goes on when the host refuses.
fn grow_headers() {
    let fields = Fields::new();
    loop {
        let _ = fields.append("x-grow", &vec![b'x'; 64 * 1024]);
    }
}

fn call(target: &str) -> Result<(), Error> {
    let response = response(target)?;
    Err(error(ErrorKind::Service, format!("{target} responded {}", response.status())))
}

/// Sends a request over wasi:http and waits for its response.
pub fn response(target: &str) -> Result<IncomingResponse, Error> {
    let future = outgoing_handler::handle(request(target), None).map_err(|code| not_sent(target, &code))?;
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(not_sent(target, &code)),
        _ => Err(error(ErrorKind::Integrity, "the future is ready but has no response".to_owned())),
    }
}

fn not_sent(target: &str, code: &dyn std::fmt::Debug) -> Error {
    error(ErrorKind::Network, format!("calling {target}: {code:?}"))
}

/// Sends requests without end, and reads no response.
fn call_without_listening(target: &str) {
    loop {
        std::mem::forget(outgoing_handler::handle(request(target), None));
    }
}

/// Sends many requests at once, keeps every response unread, and reports how many there were.
fn crowd(target: &str) -> Result<(), Error> {
    let futures: Vec<_> = (0..100).filter_map(|_| outgoing_handler::handle(request(target), None).ok()).collect();
    let responses = futures.iter().filter_map(|future| {
        future.subscribe().block();
        future.get()?.ok()?.ok()
    });
    let responses: Vec<_> = responses.collect();
    Err(error(ErrorKind::Service, format!("{} responses", responses.len())))
}

fn request(target: &str) -> OutgoingRequest {
    let request = OutgoingRequest::new(Fields::new());
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some(target));
    let _ = request.set_path_with_query(Some("/"));
    request
}

/// Text that forges a line of the host's log, with characters that reorder the text after it.
pub fn forged() -> String {
    "\n2026-01-01T00:00:00Z ERROR root: \u{1b}[31mall is lost\u{1b}[0m\r\u{9b}\u{202e}\u{2028}".to_owned()
}

/// Writes request bodies that are never sent, as many and as much of each as the host accepts.
fn hoard_bodies() {
    let piece = vec![b'x'; 64 << 10];
    loop {
        let fields = Fields::new();
        let _ = fields.set("content-length", &[b"1000000000".to_vec()]);
        let request = OutgoingRequest::new(fields);
        let _ = request.set_method(&types::Method::Put);
        let Ok(body) = request.body() else { continue };
        let Ok(stream) = body.write() else { continue };
        for _ in 0..64 {
            match stream.check_write() {
                Ok(room @ 1..) => drop(stream.write(&piece[..piece.len().min(room as usize)])),
                _ => break,
            }
        }
        std::mem::forget((request, body, stream));
    }
}

/// Fills maps of header fields, as many and each as full as the host allows.
fn hoard_fields() {
    loop {
        let fields = Fields::new();
        for n in 0..16 {
            let _ = fields.append(&format!("x-{n}"), &[b'x'; 4096]);
        }
        std::mem::forget(fields);
    }
}

/// Sends a request over wasi:http that no blob store needs.
fn odd_request(name: &str, target: &str) -> Result<(), Error> {
    let fields = Fields::new();
    let field = |name: &str, value: &str| fields.append(name, value.as_bytes());
    let refused_field = |code: types::HeaderError| error(ErrorKind::Network, format!("the field: {code:?}"));
    let mut method = types::Method::Get;
    let mut body = None;
    match name {
        "body-with-get" => {
            body = Some("x");
            field("content-length", "1").map_err(refused_field)?;
        }
        "body-without-length" => (method, body) = (types::Method::Put, Some("x")),
        "length-without-body" => field("content-length", "5").map_err(refused_field)?,
        _ => match name.split_once('-') {
            Some(("field", name)) => field(name, "1").map_err(refused_field)?,
            Some(("method", name)) => {
                method = match name {
                    "connect" => types::Method::Connect,
                    "trace" => types::Method::Trace,
                    "options" => types::Method::Options,
                    "patch" => types::Method::Patch,
                    other => types::Method::Other(other.to_owned()),
                };
            }
            _ => {}
        },
    }
    let request = OutgoingRequest::new(fields);
    let refused = |()| error(ErrorKind::Network, "the host refused it".to_owned());
    request.set_method(&method).map_err(refused)?;
    request.set_scheme(Some(&Scheme::Http)).map_err(refused)?;
    request.set_authority(Some(target)).map_err(refused)?;
    let sink = match body {
        Some(_) => Some(request.body().map_err(refused)?),
        None => None,
    };
    let future = outgoing_handler::handle(request, None).map_err(|code| not_sent(target, &code))?;
    if let (Some(sink), Some(bytes)) = (sink, body) {
        if let Ok(stream) = sink.write() {
            let _ = stream.blocking_write_and_flush(bytes.as_bytes());
        }
        let _ = OutgoingBody::finish(sink, None);
    }
    future.subscribe().block();
    match future.get() {
        Some(Ok(Ok(response))) => Err(error(ErrorKind::Service, format!("responded {}", response.status()))),
        Some(Ok(Err(code))) => Err(not_sent(target, &code)),
        _ => Err(error(ErrorKind::Integrity, "the future is ready but has no response".to_owned())),
    }
}
