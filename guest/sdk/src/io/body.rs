//! Bodies of responses that are read into memory.

use crate::content;
use crate::contract::error::{Error, Failure, Kind};
use crate::contract::model::{Blob, BlobHead, GetOptions, Operation, Output, Span, UNKNOWN_SIZE};
use crate::http::response::{self, Head};
use crate::machine::service::Service;
use crate::machine::{Event, Next, StateOf, TransportError};

use super::driver::Reading;
use super::{Body, Clock, Driver, Transport};

/// How much of a body is asked for at once, in bytes: large enough for few calls, small enough for the instance.
const CHUNK: u64 = 1024 * 1024;

/// The properties of a blob, and the response whose body is to be read.
type Opened<B, T> = (BlobHead, Reading<B, T>);

/// Why a body was not read.
enum ReadError {
    /// A retry may help.
    Transport(TransportError),
    /// A retry does not help: the body is too large.
    TooLarge(String),
    /// A retry does not help: the range has no byte of the blob, whose size was not known before.
    OutOfRange(u64),
}

impl<S: Service, E: Transport + Clock> Driver<'_, S, E> {
    /// Begins to read a blob, or a range of it, whose body the caller reads.
    pub(super) fn open_get(
        &mut self,
        key: &str,
        options: &GetOptions,
    ) -> Result<(BlobHead, <E::Body as Body>::Stream), Failure> {
        let operation = Operation::Get { key: key.to_owned(), options: options.clone() };
        let mut next = self.store.begin(self.env.wall(), operation);
        loop {
            let (blob_head, Reading { state, body, .. }) = self.opened(next)?;
            next = match body.into_stream() {
                Ok(stream) => return Ok((blob_head, stream)),
                Err(error) => self.resume(state, Event::Failed(error)),
            };
        }
    }

    fn opened(&mut self, next: Next<StateOf<S>>) -> Result<Opened<E::Body, StateOf<S>>, Failure> {
        let finished = self.finish(next, &[])?;
        match (finished.output, finished.reading) {
            (Output::Get(head), Some(reading)) => Ok((head, reading)),
            _ => Err(Error::failure(Kind::Integrity, "the response to a get has no body")),
        }
    }

    /// Reads a blob, or a range of it, into memory.
    pub(super) fn get(&mut self, key: &str, options: &GetOptions) -> Result<Blob, Failure> {
        let operation = Operation::Get { key: key.to_owned(), options: options.clone() };
        let mut next = self.store.begin(self.env.wall(), operation);
        loop {
            let (blob_head, Reading { head, state, body }) = self.opened(next)?;
            next = match read(&head, blob_head, body, options) {
                Ok(blob) => return Ok(blob),
                Err(ReadError::Transport(error)) => self.resume(state, Event::Failed(error)),
                Err(ReadError::TooLarge(what)) => return Err(self.store.failure(state, Kind::TooLarge, &what)),
                Err(ReadError::OutOfRange(size)) => {
                    let what = format!("no byte of its {size} bytes is in the range");
                    return Err(self.store.failure(state, Kind::InvalidRange, &what));
                }
            };
        }
    }
}

fn read(head: &Head, blob: BlobHead, body: impl Body, options: &GetOptions) -> Result<Blob, ReadError> {
    let BlobHead { mut info, mut range, mut body_range, digest } = blob;
    let framed = head.get("content-length").is_some();
    let bytes = if body_range.end == UNKNOWN_SIZE && !framed {
        let bytes = chunked(body, options)?;
        info.size = bytes.len() as u64;
        body_range.end = info.size;
        range = response::resolve_range(options.range, info.size).ok_or(ReadError::OutOfRange(info.size))?;
        bytes
    } else {
        sized(body, body_range, framed, options)?
    };
    if let Some(digest) = &digest {
        content::verify(digest, &bytes).map_err(|malformed| broken(malformed.0))?;
    }
    Ok(Blob { info, range, body: cut(bytes, body_range, range) })
}

/// Reads all of a body whose framing shows where it ends.
fn chunked(mut body: impl Body, options: &GetOptions) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    loop {
        let more = match body.read(CHUNK as usize) {
            Ok(Some(more)) => more,
            Ok(None) => return Ok(bytes),
            Err(error) if error.kind == Kind::Timeout => return Err(ReadError::Transport(error)),
            Err(error) => {
                return Err(broken(format!("its body broke off after {} bytes: {}", bytes.len(), error.message)));
            }
        };
        if let Some(max) = options.max_bytes
            && (bytes.len() + more.len()) as u64 > max
        {
            let what = format!("the response's body is longer than the {max} bytes that were allowed");
            return Err(ReadError::TooLarge(what));
        }
        if bytes.try_reserve(more.len()).is_err() {
            return Err(ReadError::TooLarge("the response's body is more than the plugin's memory holds".to_owned()));
        }
        bytes.extend_from_slice(&more);
    }
}

/// Reads all of a body that has exactly this range. `framed` says whether the response announced its length.
fn sized(mut body: impl Body, range: Span, framed: bool, options: &GetOptions) -> Result<Vec<u8>, ReadError> {
    let expected = range.end - range.start;
    if let Some(max) = options.max_bytes
        && expected > max
    {
        let what = format!("the response's body is {expected} bytes, and at most {max} were allowed");
        return Err(ReadError::TooLarge(what));
    }
    let mut bytes = Vec::new();
    // A body that arrives in one piece is returned as it is. For any other the memory is reserved before reading.
    if expected > CHUNK && !usize::try_from(expected).is_ok_and(|expected| bytes.try_reserve_exact(expected).is_ok()) {
        let what = format!("the response's body is {expected} bytes, more than the plugin's memory holds");
        return Err(ReadError::TooLarge(what));
    }
    loop {
        let missing = expected - bytes.len() as u64;
        if missing == 0 && framed {
            // HTTP itself ends such a body here, so there is nothing to wait for.
            return if body.has_excess() { Err(excess(expected)) } else { Ok(bytes) };
        }
        // One byte more than is missing shows that a body goes on.
        let more = match body.read(CHUNK.min(missing + 1) as usize) {
            Ok(Some(more)) => more,
            Ok(None) if missing == 0 => return Ok(bytes),
            Ok(None) => return Err(short(bytes.len(), expected, "it ended")),
            // All that was announced is there; how the connection ends does not matter.
            Err(_) if missing == 0 => return Ok(bytes),
            Err(error) if error.kind == Kind::Timeout => return Err(ReadError::Transport(error)),
            Err(error) => return Err(short(bytes.len(), expected, &error.message)),
        };
        if more.len() as u64 > missing {
            return Err(excess(expected));
        }
        if more.len() as u64 == expected {
            bytes = more;
            continue;
        }
        if bytes.capacity() == 0 {
            bytes.reserve_exact(expected as usize);
        }
        bytes.extend_from_slice(&more);
    }
}

fn short(read: usize, expected: u64, why: &str) -> ReadError {
    broken(format!("its body broke off after {read} of the {expected} bytes announced: {why}"))
}

fn excess(expected: u64) -> ReadError {
    broken(format!("its body goes on after the {expected} bytes announced"))
}

fn broken(message: String) -> ReadError {
    ReadError::Transport(TransportError { kind: Kind::Integrity, message, not_sent: false, retryable: true })
}

/// The wanted bytes of those that arrived.
fn cut(mut bytes: Vec<u8>, arrived: Span, wanted: Span) -> Vec<u8> {
    if arrived != wanted {
        bytes.truncate((wanted.end - arrived.start) as usize);
        bytes.drain(..(wanted.start - arrived.start) as usize);
    }
    bytes
}
