//! Misdeeds over `sans-io`: in requests, in state, in the sequence of steps, and in results.
//!
//! Around them is a small honest client of a service that stores bodies by path and ignores the rest of a request
//! (`tests/faulty`): a mode deviates from it in one place. An empty or unknown mode is the honest client.

use crate::exports::sandbucket::blob::buckets::BucketPage;
use crate::exports::sandbucket::blob::listing::{ListPage, VersionPage};
use crate::exports::sandbucket::blob::multipart::{Part, PartPage, UploadPage};
use crate::exports::sandbucket::blob::sans_io::{
    Event, Exchange, Guest, Method, Next, Operation, Output, Request, RequestBody, Response, ResponseBody, Resumption,
    StoreBorrow,
};
use crate::exports::sandbucket::blob::types::{
    BlobHead, BlobInfo, Digest, DigestAlgorithm, Error, ErrorKind, Presigned, Span,
};
use crate::misdeeds::{Mode, compute, forged, response, unsupported};
use crate::{Open, Rogue, error, info, not_found, written};

/// The operations and outputs of the contract, in its order.
const NAMES: [&str; 22] = [
    "head",
    "get",
    "put",
    "delete",
    "delete-many",
    "list",
    "list-versions",
    "copy",
    "presign",
    "get-tags",
    "set-tags",
    "create-upload",
    "upload-part",
    "copy-part",
    "list-parts",
    "complete-upload",
    "abort-upload",
    "list-uploads",
    "create-bucket",
    "delete-bucket",
    "bucket-exists",
    "list-buckets",
];

/// The body of requests that have one of the plugin's own.
const DOCUMENT: &[u8] = b"<rogue/>";
/// Limit of a response body that the honest client reads, in bytes.
const MAX_DOCUMENT: u32 = 64 << 10;
/// Timeout of the honest client's requests, in nanoseconds.
const TIMEOUT: u64 = 1_000_000_000;
/// Bytes of state that no operation needs. Below the memory limit of the tests.
const HUGE: usize = 6 << 20;

impl Guest for Rogue {
    fn begin(store: StoreBorrow<'_>, operations: Vec<Operation>) -> Vec<Next> {
        let mode = &store.get::<Open>().mode;
        let next = operations.into_iter().map(|operation| mode.begin(State::of(&operation))).collect();
        mode.miscount("begin", next)
    }

    fn resume(store: StoreBorrow<'_>, resumptions: Vec<Resumption>) -> Vec<Next> {
        let mode = &store.get::<Open>().mode;
        let next = resumptions.into_iter().map(|Resumption { state, event, .. }| mode.resume(&state, event)).collect();
        mode.miscount("resume", next)
    }
}

/// What an operation needs between two steps. Stored as text.
#[derive(Clone, Default)]
struct State {
    /// The operation, one of [`NAMES`].
    name: String,
    /// Number of requests before this one.
    sent: u32,
    /// Part number, or number of blobs to delete.
    number: u32,
    /// Length of the caller's body.
    length: u64,
    key: String,
}

impl State {
    fn of(operation: &Operation) -> State {
        let (name, number, length, key) = match operation {
            Operation::Head(head) => ("head", 0, 0, &*head.key),
            Operation::Get(get) => ("get", 0, 0, &*get.key),
            Operation::Put(put) => ("put", 0, put.length, &*put.key),
            Operation::Delete(delete) => ("delete", 0, 0, &*delete.key),
            Operation::DeleteMany(delete) => ("delete-many", delete.blobs.len() as u32, 0, ""),
            Operation::List(_) => ("list", 0, 0, ""),
            Operation::ListVersions(_) => ("list-versions", 0, 0, ""),
            Operation::Copy(copy) => ("copy", 0, 0, &*copy.to),
            Operation::Presign(presign) => ("presign", 0, 0, &*presign.key),
            Operation::GetTags(tags) => ("get-tags", 0, 0, &*tags.key),
            Operation::SetTags(tags) => ("set-tags", 0, 0, &*tags.key),
            Operation::CreateUpload(upload) => ("create-upload", 0, 0, &*upload.key),
            Operation::UploadPart(part) => ("upload-part", part.number, part.length, &*part.key),
            Operation::CopyPart(part) => ("copy-part", part.number, 0, &*part.key),
            Operation::ListParts(list) => ("list-parts", 0, 0, &*list.key),
            Operation::CompleteUpload(upload) => ("complete-upload", 0, 0, &*upload.key),
            Operation::AbortUpload(upload) => ("abort-upload", 0, 0, &*upload.key),
            Operation::ListUploads(_) => ("list-uploads", 0, 0, ""),
            Operation::CreateBucket(_) => ("create-bucket", 0, 0, ""),
            Operation::DeleteBucket(_) => ("delete-bucket", 0, 0, ""),
            Operation::BucketExists(_) => ("bucket-exists", 0, 0, ""),
            Operation::ListBuckets(_) => ("list-buckets", 0, 0, ""),
        };
        State { name: name.to_owned(), sent: 0, number, length, key: key.to_owned() }
    }

    fn encode(&self) -> Vec<u8> {
        let State { name, sent, number, length, key } = self;
        format!("{name} {sent} {number} {length} {key}").into_bytes()
    }

    fn decode(state: &[u8]) -> Option<State> {
        let mut fields = std::str::from_utf8(state).ok()?.splitn(5, ' ');
        Some(State {
            name: fields.next()?.to_owned(),
            sent: fields.next()?.parse().ok()?,
            number: fields.next()?.parse().ok()?,
            length: fields.next()?.parse().ok()?,
            key: fields.next()?.to_owned(),
        })
    }

    fn method(&self) -> Method {
        match &*self.name {
            "head" | "bucket-exists" => Method::Head,
            "put" | "copy" | "set-tags" | "upload-part" | "copy-part" | "create-bucket" => Method::Put,
            "delete" | "abort-upload" | "delete-bucket" => Method::Delete,
            "delete-many" | "create-upload" | "complete-upload" => Method::Post,
            _ => Method::Get,
        }
    }

    fn body(&self) -> RequestBody {
        match &*self.name {
            "put" | "upload-part" => RequestBody::Caller,
            "delete-many" | "set-tags" | "complete-upload" => RequestBody::Bytes(DOCUMENT.to_vec()),
            _ => RequestBody::None,
        }
    }
}

impl Mode {
    fn begin(&self, state: State) -> Next {
        if let Some(misdeed) = self.name.strip_prefix("begin-")
            && let Err(error) = self.act(misdeed)
        {
            return Next::Failed(error);
        }
        if let Some(name) = self.name.strip_prefix("begin-output-") {
            return Next::Done(output(name, &state, self.head(&state, None)));
        }
        match (&*self.name, &*state.key) {
            ("one-traps" | "one-traps-in-begin", "misdeed") => core::arch::wasm32::unreachable(),
            ("one-loops", "misdeed") => drop(self.act("loop")),
            _ => {}
        }
        if state.name == "presign" && self.name != "presign-sends" {
            return self
                .presigned()
                .map_or_else(|| Next::Failed(unsupported()), |url| Next::Done(Output::Presign(url)));
        }
        if let Some(millions) = self.name.strip_prefix("computes-") {
            compute(millions.parse().unwrap_or(0));
        }
        if self.name == "sends-in-steps" {
            self.send_over_wasi();
        }
        self.send(state, None)
    }

    fn resume(&self, state: &[u8], event: Event) -> Next {
        let Some(state) = State::decode(state) else {
            return Next::Failed(error(ErrorKind::Integrity, "the driver changed the state".to_owned()));
        };
        if let Some(misdeed) = self.name.strip_prefix("resume-")
            && let Err(error) = self.act(misdeed)
        {
            return Next::Failed(error);
        }
        if let Some(name) = self.name.strip_prefix("resume-output-") {
            return Next::Done(output(name, &state, self.head(&state, None)));
        }
        if self.name == "one-traps-in-resume" && state.key == "misdeed" {
            core::arch::wasm32::unreachable();
        }
        if let Some(millions) = self.name.strip_prefix("computes-") {
            compute(millions.parse().unwrap_or(0));
        }
        if self.name == "sends-in-steps" {
            self.send_over_wasi();
        }
        let again = State { sent: state.sent + 1, ..state.clone() };
        match &*self.name {
            "endless-retries" | "no-results-of-batch" | "sends-in-steps" => {
                return self.send(again, Some(error(ErrorKind::Network, "and again".to_owned())));
            }
            "forged-retries" => return self.send(again, Some(error(ErrorKind::Network, forged().repeat(100)))),
            "huge-retries" => return self.send(again, Some(error(ErrorKind::Network, "x".repeat(HUGE)))),
            "endless-sends" | "endless-fallbacks" | "growing-state" => return self.send(again, None),
            name if name.starts_with("computes-") => {
                return self.send(again, Some(error(ErrorKind::Network, "and again".to_owned())));
            }
            _ => {}
        }
        let response = match event {
            Event::Response(response) => response,
            Event::Failed(failure) => {
                let detail = failure.detail.unwrap_or_default();
                return Next::Failed(error(ErrorKind::Network, format!("{:?}: {detail}", failure.error)));
            }
        };
        match response.status {
            _ if self.name == "get-of-error-response" => Next::Done(Output::Get(self.head(&state, Some(&response)))),
            200..300 => self.done(&state, &response),
            404 if state.name == "delete" => Next::Done(Output::Delete(Some(false))),
            404 => Next::Failed(not_found(&state.key)),
            status => Next::Failed(error(ErrorKind::Service, format!("responded {status}"))),
        }
    }

    /// The output after a successful response.
    fn done(&self, state: &State, response: &Response) -> Next {
        let head = self.head(state, Some(response));
        Next::Done(match (output(&state.name, state, head), &*self.name) {
            (Output::Head(honest), _) => Output::Head(self.odd_info().unwrap_or(honest)),
            (Output::List(honest), _) => Output::List(self.odd_page().unwrap_or(honest)),
            (Output::DeleteMany(_), "few-outcomes") => Output::DeleteMany(Vec::new()),
            (Output::DeleteMany(_), "more-outcomes") => Output::DeleteMany(vec![Ok(()); state.number as usize + 1]),
            (Output::DeleteMany(_), "many-outcomes") => Output::DeleteMany(vec![Ok(()); 100_000]),
            (Output::ListVersions(_), "many-entries") => {
                let page = self.odd_page().map(|page| page.prefixes).unwrap_or_default();
                Output::ListVersions(VersionPage {
                    entries: Vec::new(),
                    prefixes: page,
                    next: Some("t".repeat(1 << 16)),
                })
            }
            (Output::ListParts(_), "many-entries") => {
                Output::ListParts(PartPage { parts: vec![part(state); 20_000], next: None })
            }
            (Output::GetTags(_), "many-entries") => Output::GetTags(vec![(String::new(), String::new()); 20_000]),
            (Output::CreateUpload(_), "long-token") => Output::CreateUpload("u".repeat(1 << 16)),
            (honest, _) => honest,
        })
    }

    /// A blob whose body is that of the response, and what the mode claims about it.
    fn head(&self, state: &State, response: Option<&Response>) -> BlobHead {
        let length =
            response.and_then(|response| header(&response.headers, "content-length")?.parse().ok()).unwrap_or(0);
        let span = |start, end| Span { start, end };
        let honest = BlobHead { info: info(length), range: span(0, length), body_range: span(0, length), digest: None };
        let ten = |range, body_range| BlobHead { info: info(10), range, body_range, digest: None };
        let digest = |algorithm, length: usize| Some(Digest { algorithm, value: vec![0; length] });
        if let Some(size) = self.claimed_size() {
            let all = span(0, size.unwrap_or(u64::MAX));
            return BlobHead { info: BlobInfo { size, ..info(0) }, range: all, body_range: all, digest: None };
        }
        match &*self.name {
            "body-of-another-range" => ten(span(5, 6), span(5, 6)),
            "body-shorter-than-range" => ten(span(0, 10), span(0, 9)),
            "backward-body" => ten(span(0, 10), span(10, 0)),
            "body-past-the-end" => ten(span(0, 10), span(0, 11)),
            "wrong-digest" => BlobHead { digest: digest(DigestAlgorithm::Sha256, 32), ..honest },
            "short-digest" => BlobHead { digest: digest(DigestAlgorithm::Sha256, 3), ..honest },
            "long-digest" => BlobHead { digest: digest(DigestAlgorithm::Crc32, 1 << 16), ..honest },
            _ if state.name == "get" => self.odd_info().map_or(honest.clone(), |info| BlobHead { info, ..honest }),
            _ => honest,
        }
    }

    /// The request of an operation, with what the mode changes about it.
    fn send(&self, mut state: State, retries: Option<Error>) -> Next {
        let mut method = state.method();
        let mut body = state.body();
        let mut path = format!("/{}", state.key.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
        let mut response_body = match &*state.name {
            "get" => ResponseBody::Caller,
            _ => ResponseBody::Buffer(MAX_DOCUMENT),
        };
        match &*self.name {
            "caller-body" => body = RequestBody::Caller,
            "plugin-body" => body = RequestBody::Bytes(DOCUMENT.to_vec()),
            "no-body" => body = RequestBody::None,
            "huge-body" => body = RequestBody::Bytes(vec![0; HUGE]),
            "buffer-4gib" if state.name != "get" => response_body = ResponseBody::Buffer(u32::MAX),
            "buffered-get" => response_body = ResponseBody::Buffer(MAX_DOCUMENT),
            "unread-document" => response_body = ResponseBody::Caller,
            "long-path" => path = format!("/{}", "x".repeat(100_000)),
            "endless-fallbacks" if state.sent > 0 => {
                // What an honest plugin does after a bulk deletion that the service does not support, and after a lost write.
                (method, body) = match &*state.name {
                    "delete-many" => (Method::Delete, RequestBody::None),
                    "put" | "copy" | "complete-upload" => (Method::Head, RequestBody::None),
                    _ => (method, body),
                };
                path = format!("/{}", state.sent);
            }
            _ => {}
        }
        if let Some(name) = self.name.strip_prefix("method-") {
            method = match name {
                "get" => Method::Get,
                "head" => Method::Head,
                "post" => Method::Post,
                "put" => Method::Put,
                _ => Method::Delete,
            };
        }
        if let Some(text) = self.name.strip_prefix("path=") {
            path = text.to_owned();
        }
        let length = match &body {
            RequestBody::None => None,
            RequestBody::Bytes(bytes) => Some(bytes.len() as u64),
            RequestBody::Caller => Some(state.length),
        };
        let has_length = length.is_some() || matches!(method, Method::Put | Method::Post);
        let mut headers = format!("host:{}\n", self.target);
        if has_length {
            headers.push_str(&format!("content-length:{}\n", length.unwrap_or(0)));
        }
        if let Some(name) = self.name.strip_prefix("field-") {
            headers.push_str(&format!("{name}:1\n"));
        } else if let Some(text) = self.name.strip_prefix("headers=") {
            headers = text.to_owned();
        } else if let Some(text) = self.name.strip_prefix("headers+") {
            headers.push_str(text);
        }
        match &*self.name {
            "many-lines" => headers.extend((0..40_000).map(|n| format!("x-amz-{n}:\n"))),
            "tiny-lines" => headers.push_str(&"a:\n".repeat(3 << 20)),
            "some-lines" => headers.extend((0..2000).map(|n| format!("x-amz-{n}:\n"))),
            "long-line" => headers.push_str(&format!("x-amz-a:{}\n", "x".repeat(100_000))),
            "huge-state" => state.key = "x".repeat(HUGE),
            "growing-state" => state.key = "x".repeat(1 << (10 + 4 * state.sent.min(3))),
            _ => {}
        }
        let nanoseconds = |prefix: &str| self.name.strip_prefix(prefix)?.parse().ok();
        Next::Send(Exchange {
            state: state.encode(),
            delay: nanoseconds("delay-").unwrap_or(0),
            timeout: nanoseconds("timeout-").unwrap_or(TIMEOUT),
            request: Request {
                method,
                https: self.name == "foreign-scheme",
                authority: self.target.clone(),
                path_with_query: path,
                headers,
            },
            body,
            response_body,
            fresh_connection: false,
            retries,
        })
    }

    /// Sends requests over wasi:http during a step.
    fn send_over_wasi(&self) {
        for _ in 0..15 {
            let _ = response(&self.target);
        }
    }

    /// Returns more or fewer results than there are operations, if this mode is about that.
    fn miscount(&self, function: &str, mut next: Vec<Next>) -> Vec<Next> {
        let extra = || Next::Failed(error(ErrorKind::Service, "one result too many".to_owned()));
        match self.name.strip_suffix("-results").map(|name| name.strip_prefix(function).unwrap_or(name)) {
            Some("-no") => next.clear(),
            Some("-more") => next.push(extra()),
            Some("-countless") => next.extend((0..10_000).map(|_| extra())),
            Some("reversed") => next.reverse(),
            _ if self.name == "no-results-of-batch" && next.len() > 1 => {
                compute(20);
                next.clear();
            }
            _ => {}
        }
        next
    }
}

/// The output of this name. An unknown name is the operation's own.
fn output(name: &str, state: &State, head: BlobHead) -> Output {
    let name = if NAMES.contains(&name) { name } else { &state.name };
    match name {
        "head" => Output::Head(head.info),
        "get" => Output::Get(head),
        "put" => Output::Put(written()),
        "delete" => Output::Delete(Some(true)),
        "delete-many" => Output::DeleteMany((0..state.number).map(|_| Ok(())).collect()),
        "list" => Output::List(ListPage { entries: Vec::new(), prefixes: Vec::new(), next: None }),
        "list-versions" => Output::ListVersions(VersionPage { entries: Vec::new(), prefixes: Vec::new(), next: None }),
        "copy" => Output::Copy(written()),
        "presign" => Output::Presign(Presigned { url: String::new(), headers: Vec::new() }),
        "get-tags" => Output::GetTags(Vec::new()),
        "set-tags" => Output::SetTags,
        "create-upload" => Output::CreateUpload("rogue".to_owned()),
        "upload-part" => Output::UploadPart(part(state)),
        "copy-part" => Output::CopyPart(part(state)),
        "list-parts" => Output::ListParts(PartPage { parts: Vec::new(), next: None }),
        "complete-upload" => Output::CompleteUpload(written()),
        "abort-upload" => Output::AbortUpload,
        "list-uploads" => Output::ListUploads(UploadPage { uploads: Vec::new(), next: None }),
        "create-bucket" => Output::CreateBucket,
        "delete-bucket" => Output::DeleteBucket,
        "bucket-exists" => Output::BucketExists(true),
        _ => Output::ListBuckets(BucketPage { buckets: Vec::new(), next: None }),
    }
}

fn part(state: &State) -> Part {
    Part {
        number: state.number,
        size: state.length,
        etag: "\"rogue\"".to_owned(),
        last_modified: None,
        attributes: Vec::new(),
    }
}

/// The value of a header field.
fn header<'a>(headers: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = headers.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(known, _)| *known == name).map(|(_, value)| value.trim())
}
