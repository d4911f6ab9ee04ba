//! Head, get and delete: what may be repeated at will.

use crate::env::{Body, Clock, Transport};
use crate::error::{Failure, Kind};
use crate::model::{Blob, BlobInfo, ByteRange, DeleteOptions, Opened, OpenedHead, ReadOptions, Span};
use crate::request::{self, Request};
use crate::response::{self, Garbled, Head, UNKNOWN_SIZE};
use crate::sigv4::PayloadHash;

use super::call::{Call, Trouble};

/// The most that is asked of a body at once, in bytes: large enough for few calls, small enough for the instance.
const CHUNK: u64 = 1024 * 1024;

impl<E: Transport + Clock> Call<'_, E> {
    /// What is known of a blob, and the second it was told at by the service's clock.
    pub(super) fn head(&mut self, request: &mut Request) -> Result<(BlobInfo, Option<u64>), Failure> {
        let (mut info, mut date) = (BlobInfo::default(), None);
        self.run(request, &[], &PayloadHash::Empty, &mut |call, head, _| {
            info = response::blob_info(&head).map_err(|garbled| call.garbled(garbled))?;
            date = head.date();
            Ok(())
        })?;
        Ok((info, date))
    }

    pub(super) fn get(&mut self, options: &ReadOptions) -> Result<Blob, Failure> {
        let key = self.whole_key()?;
        let mut request = self.checked(request::get(&self.store.settings, &key, options))?;
        let mut blob = Blob::default();
        self.run(&mut request, &[], &PayloadHash::Empty, &mut |call, head, body| {
            blob = call.blob(&head, body, options)?;
            Ok(())
        })?;
        Ok(blob)
    }

    /// The stream of a blob's bytes, once its head is found good.
    pub(super) fn open_read(&mut self, options: &ReadOptions) -> Result<Opened<<E::Body as Body>::Stream>, Failure> {
        let key = self.whole_key()?;
        let mut request = self.checked(request::get(&self.store.settings, &key, options))?;
        let mut opened = None;
        self.run(&mut request, &[], &PayloadHash::Empty, &mut |call, head, body| {
            let OpenedHead { info, range, given, digest } = call.opened(&head, options.range)?;
            let body = body.into_stream().map_err(|error| call.transport_trouble(error))?;
            opened = Some(Opened { info, range, given, digest, body });
            Ok(())
        })?;
        // What cannot be is a success without a result.
        opened.ok_or_else(|| self.failure(Kind::Integrity, "the answer was lost"))
    }

    /// Whether the blob was there. Services answer alike whether or not it was, but for those that say that it was not.
    pub(super) fn delete(&mut self, options: &DeleteOptions) -> Result<Option<bool>, Failure> {
        let key = self.whole_key()?;
        let mut request = self.checked(request::delete(&self.store.settings, &key, options))?;
        let deleted = self.run(&mut request, &[], &PayloadHash::Empty, &mut |_, _, _| Ok(()));
        // After a lost response, that it is gone may be this call's doing.
        let known = deleted.is_err() && !self.tries.maybe_done;
        absent_is_done(deleted).map(|()| known.then_some(false))
    }

    fn blob(&self, head: &Head, body: E::Body, options: &ReadOptions) -> Result<Blob, Trouble> {
        let (mut info, mut span, mut wanted) = self.part_of(head, options.range)?;
        let framed = head.get("content-length").is_some();
        let bytes = if span.end == UNKNOWN_SIZE && !framed {
            let bytes = self.chunked_body(body, options)?;
            info.size = bytes.len() as u64;
            span.end = info.size;
            wanted = self.wanted(options.range, info.size)?;
            bytes
        } else {
            self.body(body, span, framed, options)?
        };
        if span.start == 0 && span.end == info.size {
            response::verify_checksum(head, &bytes).map_err(|garbled| self.garbled(garbled))?;
        }
        Ok(Blob { info, range: wanted, body: cut(bytes, span, wanted) })
    }

    /// What the head says of a blob whose bytes somebody else reads.
    pub(super) fn opened(&self, head: &Head, asked: ByteRange) -> Result<OpenedHead, Trouble> {
        let (info, given, range) = self.part_of(head, asked)?;
        let digest = response::checksum_of(head, given, info.size);
        Ok(OpenedHead { info, range, given, digest })
    }

    /// What the head says: of the blob, which bytes of it the body holds, and which of those were asked for.
    fn part_of(&self, head: &Head, asked: ByteRange) -> Result<(BlobInfo, Span, Span), Trouble> {
        let (info, span) = response::blob_part(head, asked).map_err(|garbled| self.garbled(garbled))?;
        let wanted = self.wanted(asked, info.size)?;
        Ok((info, span, wanted))
    }

    /// The bytes that were asked for of a blob of this size.
    fn wanted(&self, asked: ByteRange, size: u64) -> Result<Span, Trouble> {
        response::wanted(asked, size)
            .ok_or_else(|| self.stop(Kind::InvalidRange, &format!("no byte of its {size} bytes is in the range")))
    }

    /// Reads all of a body that shows by itself where it ends.
    fn chunked_body(&self, mut body: E::Body, options: &ReadOptions) -> Result<Vec<u8>, Trouble> {
        let mut bytes = Vec::new();
        loop {
            let more = match body.read(CHUNK as usize) {
                Ok(Some(more)) => more,
                Ok(None) => return Ok(bytes),
                Err(error) if error.kind == Kind::Timeout => return Err(self.transport_trouble(error)),
                Err(error) => {
                    let what = format!("its body broke off after {} bytes: {}", bytes.len(), error.message);
                    return Err(self.garbled(Garbled(what)));
                }
            };
            if let Some(max) = options.max_bytes
                && (bytes.len() + more.len()) as u64 > max
            {
                let what = format!("the answer's body is longer than the {max} bytes that were allowed");
                return Err(self.stop(Kind::TooLarge, &what));
            }
            if bytes.try_reserve(more.len()).is_err() {
                let what = "the answer's body is more than the plugin's memory holds";
                return Err(self.stop(Kind::TooLarge, what));
            }
            bytes.extend_from_slice(&more);
        }
    }

    /// Reads all of a body that is to hold exactly this span. `framed` says whether the answer announced its length.
    fn body(&self, mut body: E::Body, span: Span, framed: bool, options: &ReadOptions) -> Result<Vec<u8>, Trouble> {
        let expected = span.end - span.start;
        if let Some(max) = options.max_bytes
            && expected > max
        {
            let what = format!("the answer's body is {expected} bytes, and at most {max} were allowed");
            return Err(self.stop(Kind::TooLarge, &what));
        }
        let mut bytes = Vec::new();
        // What comes in one piece is handed on as it is. The rest gets its memory before anything is read.
        if expected > CHUNK && !room_for(&mut bytes, expected) {
            let what = format!("the answer's body is {expected} bytes, more than the plugin's memory holds");
            return Err(self.stop(Kind::TooLarge, &what));
        }
        loop {
            let missing = expected - bytes.len() as u64;
            if missing == 0 && framed {
                // HTTP itself ends such a body here, so that there is nothing to wait for.
                return if body.surplus() { Err(self.surplus(expected)) } else { Ok(bytes) };
            }
            // One byte more than is missing, so that a body which goes on shows.
            let more = match body.read(CHUNK.min(missing + 1) as usize) {
                Ok(Some(more)) => more,
                Ok(None) if missing == 0 => return Ok(bytes),
                Ok(None) => return Err(self.short(bytes.len(), expected, "it ended")),
                // All that was announced is there; how the connection ends is not the blob's concern.
                Err(_) if missing == 0 => return Ok(bytes),
                Err(error) if error.kind == Kind::Timeout => return Err(self.transport_trouble(error)),
                Err(error) => return Err(self.short(bytes.len(), expected, &error.message)),
            };
            if more.len() as u64 > missing {
                return Err(self.surplus(expected));
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

    fn short(&self, came: usize, expected: u64, why: &str) -> Trouble {
        self.garbled(Garbled(format!("its body broke off after {came} of the {expected} bytes announced: {why}")))
    }

    fn surplus(&self, expected: u64) -> Trouble {
        self.garbled(Garbled(format!("its body goes on after the {expected} bytes announced")))
    }
}

/// It is gone, which is what was asked for. A missing bucket is another matter, and so is a 404 without a code of S3's, which
/// need not come from the service.
pub(super) fn absent_is_done(done: Result<(), Failure>) -> Result<(), Failure> {
    match done {
        Err(mut failure) if failure.kind == Kind::NotFound => match failure.code() {
            Some("NoSuchBucket") => Err(failure),
            Some(_) => Ok(()),
            None => {
                failure.message.push_str(
                    "; the answer has no code of S3's, as that of a proxy or of another service: check endpoint and \
                     addressing-style",
                );
                Err(failure)
            }
        },
        done => done,
    }
}

/// Makes room for this many bytes in all, if the memory has it.
fn room_for(bytes: &mut Vec<u8>, expected: u64) -> bool {
    usize::try_from(expected).is_ok_and(|expected| bytes.try_reserve_exact(expected).is_ok())
}

/// The wanted bytes of those that came.
fn cut(mut bytes: Vec<u8>, came: Span, wanted: Span) -> Vec<u8> {
    if came != wanted {
        bytes.truncate((wanted.end - came.start) as usize);
        bytes.drain(..(wanted.start - came.start) as usize);
    }
    bytes
}
