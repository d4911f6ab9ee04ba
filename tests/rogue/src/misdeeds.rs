//! What can be wrong with a plugin.

use std::hint::black_box;

use crate::exports::sandbucket::blob::listing::{Entry, ListPage};
use crate::exports::sandbucket::blob::types::{Blob, BlobInfo, Error, ErrorKind, Span};
use crate::wasi::clocks::monotonic_clock;
use crate::wasi::clocks::wall_clock::Datetime;
use crate::wasi::http::outgoing_handler;
use crate::wasi::http::types::{self, Fields, IncomingResponse, OutgoingBody, OutgoingRequest, Scheme};
use crate::{error, info};

/// What this plugin does wrong.
#[derive(Clone)]
pub struct Mode {
    /// The misdeed; empty is none. `open-` before it does it while the store is opened, not in its calls.
    pub name: String,
    /// Whom `call` calls; for `spin`, how many milliseconds to compute.
    pub target: String,
}

impl Mode {
    /// Does what is to be done before every call's own work. It may not come back.
    pub fn act(&self) -> Result<(), Error> {
        match self.name.as_str() {
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
                let _ = answer(&self.target);
            },
            "bodies" => hoard_bodies(),
            "fields" => hoard_fields(),
            "huge-error" => return Err(error(ErrorKind::Service, forged().repeat(1 << 18))),
            "kept-resources" => std::mem::forget(Fields::new()),
            "call" => return call(&self.target),
            "crowd" => return crowd(&self.target),
            "calls" => call_without_listening(&self.target),
            _ => {}
        }
        if let Some(request) = self.name.strip_prefix("wasi-") {
            return odd_request(request, &self.target);
        }
        Ok(())
    }

    /// Properties of a blob that cannot be, where this mode is about them.
    pub fn odd_info(&self) -> Option<BlobInfo> {
        let ten = info(&[0; 10]);
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
            _ => return None,
        })
    }

    /// A page of a listing that cannot be, where this mode is about one.
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
                // SAFETY: none: they are freed several times, unless the host stops at the first few of them.
                let alias = || unsafe { String::from_raw_parts(key.as_mut_ptr(), key.len(), key.len()) };
                let keys: Vec<String> = std::iter::repeat_with(alias).take(4000).collect();
                page(keys.into_iter().map(entry).collect())
            }
            _ => return None,
        })
    }

    /// A blob that cannot be, where this mode is about one.
    pub fn absurd(&self) -> Option<Blob> {
        let ten = info(&[0; 10]);
        let span = |start, end| Span { start, end };
        Some(match self.name.as_str() {
            "backward-range" => Blob { info: ten, range: span(7, 3), body: Vec::new() },
            "short-body" => Blob { info: ten, range: span(0, 10), body: vec![0; 9] },
            "long-body" => Blob { info: ten, range: span(0, 10), body: vec![0; 11] },
            "past-the-end" => Blob { info: ten, range: span(5, 15), body: vec![0; 10] },
            "another-range" => Blob { info: ten, range: span(5, 6), body: vec![0] },
            "endless-size" => Blob { info: BlobInfo { size: u64::MAX, ..ten }, range: span(0, 10), body: vec![0; 10] },
            _ => return None,
        })
    }

    /// How long a blob claims to be, where this mode is about one that no memory holds.
    pub fn vast(&self) -> Option<u64> {
        match self.name.as_str() {
            "endless-blob" => Some(u64::MAX),
            "vast-blob" => Some(1 << 60),
            _ => None,
        }
    }
}

/// This plugin keeps its blobs itself, and has no service to send requests to.
pub fn lacking() -> Error {
    error(ErrorKind::Unsupported, "this plugin has no requests to send".to_owned())
}

fn endless() {
    let mut n = 0u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Computes so many million steps. Counted, not timed: on a busy machine time passes in which nothing is computed.
#[cfg(not(feature = "simple"))]
pub fn compute(millions: u64) {
    black_box((0..millions * 1_000_000).fold(0, |sum, n| black_box(sum ^ n)));
}

/// Computes for so many milliseconds by the clock.
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

#[allow(unconditional_recursion)] // That is the point.
fn recurse(n: u64) -> u64 {
    black_box(recurse(black_box(n + 1))) + n
}

/// Reads far outside of its memory.
fn overrun() {
    let place = black_box(0xffff_fff0_u32) as *const u8;
    // SAFETY: none. The sandbox must turn this into a trap.
    black_box(unsafe { place.read_volatile() });
}

/// Makes the host keep things without end.
fn hoard_handles() {
    loop {
        std::mem::forget(Fields::new());
    }
}

/// Makes the host keep one ever larger thing. A host that refuses at some size is taken at its word only for a while.
fn grow_headers() {
    let fields = Fields::new();
    loop {
        let _ = fields.append("x-grow", &vec![b'x'; 64 * 1024]);
    }
}

fn call(target: &str) -> Result<(), Error> {
    let answer = answer(target)?;
    Err(error(ErrorKind::Service, format!("{target} answered {}", answer.status())))
}

pub fn answer(target: &str) -> Result<IncomingResponse, Error> {
    let answer = outgoing_handler::handle(request(target), None).map_err(|code| refused(target, &code))?;
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(answer))) => Ok(answer),
        Some(Ok(Err(code))) => Err(refused(target, &code)),
        _ => Err(error(ErrorKind::Integrity, "no answer where there must be one".to_owned())),
    }
}

fn refused(target: &str, code: &dyn std::fmt::Debug) -> Error {
    error(ErrorKind::Network, format!("calling {target}: {code:?}"))
}

/// Opens as many connections as it gets, and listens to none.
fn call_without_listening(target: &str) {
    loop {
        std::mem::forget(outgoing_handler::handle(request(target), None));
    }
}

/// Makes many requests at once, keeps every answer unread, and tells how many there were.
fn crowd(target: &str) -> Result<(), Error> {
    let asked: Vec<_> = (0..100).filter_map(|_| outgoing_handler::handle(request(target), None).ok()).collect();
    let answers = asked.iter().filter_map(|asked| {
        asked.subscribe().block();
        asked.get()?.ok()?.ok()
    });
    let answers: Vec<_> = answers.collect();
    Err(error(ErrorKind::Service, format!("{} answers", answers.len())))
}

fn request(target: &str) -> OutgoingRequest {
    let request = OutgoingRequest::new(Fields::new());
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some(target));
    let _ = request.set_path_with_query(Some("/"));
    request
}

/// A line of a log that this plugin would like to be taken for the host's, and what reorders the text behind it.
pub fn forged() -> String {
    "\n2026-01-01T00:00:00Z ERROR root: \u{1b}[31mall is lost\u{1b}[0m\r\u{9b}\u{202e}\u{2028}".to_owned()
}

/// Writes request bodies that are never sent, as many and as much of each as the host takes.
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

/// Sends a request over wasi:http that is not one of a blob store's, by its name here.
fn odd_request(name: &str, target: &str) -> Result<(), Error> {
    let fields = Fields::new();
    let field = |name: &str, value: &str| fields.append(name, value.as_bytes());
    let refused_field = |told: types::HeaderError| error(ErrorKind::Network, format!("the field: {told:?}"));
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
    let unfit = |()| error(ErrorKind::Network, "the host refused it".to_owned());
    request.set_method(&method).map_err(unfit)?;
    request.set_scheme(Some(&Scheme::Http)).map_err(unfit)?;
    request.set_authority(Some(target)).map_err(unfit)?;
    let sink = match body {
        Some(_) => Some(request.body().map_err(unfit)?),
        None => None,
    };
    let answer = outgoing_handler::handle(request, None).map_err(|code| refused(target, &code))?;
    if let (Some(sink), Some(bytes)) = (sink, body) {
        if let Ok(stream) = sink.write() {
            let _ = stream.blocking_write_and_flush(bytes.as_bytes());
        }
        let _ = OutgoingBody::finish(sink, None);
    }
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(answer))) => Err(error(ErrorKind::Service, format!("answered {}", answer.status()))),
        Some(Ok(Err(code))) => Err(refused(target, &code)),
        _ => Err(error(ErrorKind::Integrity, "no answer where there must be one".to_owned())),
    }
}
