//! What can be wrong with a plugin.
#![expect(clippy::result_large_err, reason = "the contract's errors are as large as that")]

use std::hint::black_box;

use crate::exports::sandbucket::blob::exchanges::{
    Method, Next, OpenedHead, Operation, Outgoing, Refusal, Retry, Settled, Tries,
};
use crate::exports::sandbucket::blob::types::{Blob, BlobInfo, Error, ErrorKind, Span, Written};
use crate::wasi::clocks::monotonic_clock;
use crate::wasi::http::outgoing_handler;
use crate::wasi::http::types::{Fields, IncomingResponse, OutgoingRequest, Scheme};
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
            "call" => return call(&self.target),
            "crowd" => return crowd(&self.target),
            "calls" => call_without_listening(&self.target),
            _ => {}
        }
        Ok(())
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

    /// The next step of an operation, where this mode has any to take.
    pub fn step(&self, operation: &Operation, answered: bool) -> Result<Next, Refusal> {
        let refused = |error| Refusal { error, again: None };
        if let Some(misdeed) = self.name.strip_prefix("step-") {
            Mode { name: misdeed.to_owned(), ..self.clone() }.act().map_err(refused)?;
        }
        let outgoing = |authority: &str, headers: &str| Outgoing {
            method: Method::Get,
            https: false,
            authority: authority.to_owned(),
            path_with_query: "/".to_owned(),
            headers: headers.to_owned(),
            patience: 1_000_000_000,
            plain: false,
        };
        let send = |headers: &str| Ok(Next::Send(outgoing(&self.target, headers)));
        match (self.name.as_str(), answered) {
            ("one-crashes", _) if matches!(operation, Operation::Read(read) if read.key == "crash") => {
                core::arch::wasm32::unreachable()
            }
            ("step-elsewhere" | "step-for-ever" | "step-backwards", false) => send(""),
            ("step-host", false) => send("Host:elsewhere\n"),
            ("step-length", false) => send("content-length:1000\n"),
            ("step-smuggles", false) => send("x-a:1\r\n\r\nGET / HTTP/1.1\n"),
            ("step-done", false) => Ok(Next::Done(Settled::Written(Written { etag: None, version: None }))),
            ("step-backwards", true) => send(""),
            ("step-for-ever", true) => {
                let (attempts, retries, maybe_done, skewed, skew) = (0, 0, false, false, 0);
                let tries = Tries { limit: u64::MAX, elapsed: 0, attempts, retries, maybe_done, skewed, skew };
                let error = error(ErrorKind::Network, "and again".to_owned());
                Err(Refusal { error, again: Some(Retry { pause: 0, tries }) })
            }
            (_, true) if self.name.starts_with("step-") => {
                Err(refused(error(ErrorKind::Network, "it failed".to_owned())))
            }
            (_, false) if self.opened().is_some() && matches!(operation, Operation::Read(_)) => send(""),
            (_, true) => {
                self.opened().map(|opened| Next::Done(Settled::Opened(opened))).ok_or_else(|| refused(lacking()))
            }
            _ => Err(refused(lacking())),
        }
    }

    /// A blob whose bytes are an answer of the target, and not what is said of them.
    fn opened(&self) -> Option<OpenedHead> {
        let span = |start, end| Span { start, end };
        let ten = || info(&[0; 10]);
        let (info, range, given) = match (self.vast(), self.name.as_str()) {
            (Some(size), _) => (BlobInfo { size, ..info(&[]) }, span(0, size), span(0, size)),
            (_, "body-of-another-range") => (ten(), span(5, 6), span(5, 6)),
            (_, "body-that-gives-less") => (ten(), span(0, 10), span(0, 9)),
            (_, "backward-body") => (ten(), span(0, 10), span(10, 0)),
            (_, "body-past-the-end") => (ten(), span(0, 10), span(0, 11)),
            (_, "one-crashes") => (ten(), span(0, 10), span(0, 10)),
            _ => return None,
        };
        Some(OpenedHead { info, range, given, digest: None })
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

fn answer(target: &str) -> Result<IncomingResponse, Error> {
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
