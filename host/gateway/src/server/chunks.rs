//! The coding `aws-chunked`, bounded in memory before `s3s` decodes it.
//!
//! `s3s` holds a whole chunk in memory, whose size the client chooses: some clients send a body of any length as one chunk. Chunks
//! without signatures are divided into small ones here, which changes nothing of the body. A signature covers a whole chunk, so
//! signed ones are limited in size instead.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use http::HeaderMap;

/// Maximum size of a signed chunk in bytes: clients use 8 to 128 KiB, and some 1 MiB.
pub(crate) const MAX_SIGNED_CHUNK: u64 = 1 << 20;
/// Maximum length of the line before a chunk, signature included.
const MAX_LINE: usize = 512;

/// How the chunks of a body are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Signed,
    Unsigned,
}

impl Framing {
    /// The framing that a request declares.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Framing> {
        let declared = headers.get("x-amz-content-sha256")?.as_bytes();
        match declared {
            _ if declared.starts_with(b"STREAMING-UNSIGNED-") => Some(Framing::Unsigned),
            _ if declared.starts_with(b"STREAMING-") => Some(Framing::Signed),
            _ => None,
        }
    }
}

/// A fault of the coding.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("aws-chunked: {0}")]
pub(super) struct ChunkError(&'static str);

/// Passes the bytes of a body on, in bounded chunks.
pub(super) struct Chunks {
    framing: Framing,
    state: State,
    /// The beginning of the line before a chunk.
    line: Vec<u8>,
    ready: VecDeque<Bytes>,
}

enum State {
    /// In the line before a chunk.
    Line,
    /// In a chunk with so many bytes left.
    Data(u64),
    /// After a chunk, with so many bytes of its end read.
    End(usize),
    /// After the last chunk: in the trailer.
    Trailer,
}

impl Chunks {
    pub(super) fn new(framing: Framing) -> Self {
        Chunks { framing, state: State::Line, line: Vec::new(), ready: VecDeque::new() }
    }

    /// The next bytes to pass on.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    /// Takes bytes of the body.
    pub(super) fn push(&mut self, mut bytes: Bytes) -> Result<(), ChunkError> {
        while !bytes.is_empty() {
            match self.state {
                State::Line => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let part = bytes.split_to(end.map_or(bytes.len(), |end| end + 1));
                    if self.line.len() + part.len() > MAX_LINE {
                        return Err(ChunkError("the line before a chunk is too long"));
                    }
                    self.line.extend_from_slice(&part);
                    if end.is_some() {
                        let line = std::mem::take(&mut self.line);
                        self.begin(line)?;
                    }
                }
                State::Data(left) => {
                    let count = left.min(bytes.len() as u64);
                    // At most what has arrived.
                    let piece = bytes.split_to(count as usize);
                    if self.framing == Framing::Unsigned {
                        self.ready.push_back(format!("{count:x}\r\n").into());
                        self.ready.push_back(piece);
                        self.ready.push_back(Bytes::from_static(b"\r\n"));
                    } else {
                        self.ready.push_back(piece);
                    }
                    self.state = if left == count { State::End(0) } else { State::Data(left - count) };
                }
                State::End(read) => {
                    if bytes[0] != b"\r\n"[read] {
                        return Err(ChunkError("a chunk does not end where its size says"));
                    }
                    bytes.advance(1);
                    self.state = if read == 0 { State::End(1) } else { State::Line };
                    if read == 1 && self.framing == Framing::Signed {
                        self.ready.push_back(Bytes::from_static(b"\r\n"));
                    }
                }
                State::Trailer => self.ready.push_back(std::mem::take(&mut bytes)),
            }
        }
        Ok(())
    }

    /// Begins a chunk after its line.
    fn begin(&mut self, line: Vec<u8>) -> Result<(), ChunkError> {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&line[..digits]).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        let size = size.ok_or(ChunkError("a chunk has no size"))?;
        if self.framing == Framing::Signed && size > MAX_SIGNED_CHUNK {
            return Err(ChunkError("a signed chunk is larger than 1 MiB"));
        }
        self.state = if size == 0 { State::Trailer } else { State::Data(size) };
        if size == 0 || self.framing == Framing::Signed {
            self.ready.push_back(line.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result for an input in pieces of this size.
    fn pass(framing: Framing, input: &[u8], size: usize) -> Result<Vec<u8>, ChunkError> {
        let (mut chunks, mut output) = (Chunks::new(framing), Vec::new());
        for piece in input.chunks(size) {
            chunks.push(Bytes::copy_from_slice(piece))?;
            while let Some(ready) = chunks.pop() {
                output.extend_from_slice(&ready);
            }
        }
        Ok(output)
    }

    /// The body and the trailer of chunks without extensions.
    fn decoded(mut input: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut body = Vec::new();
        loop {
            let end = input.iter().position(|byte| *byte == b'\n').unwrap();
            let size = usize::from_str_radix(std::str::from_utf8(&input[..end - 1]).unwrap(), 16).unwrap();
            input = &input[end + 1..];
            if size == 0 {
                return (body, input.to_vec());
            }
            body.extend_from_slice(&input[..size]);
            assert_eq!(&input[size..size + 2], b"\r\n");
            input = &input[size + 2..];
        }
    }

    #[test]
    fn unsigned_chunks_are_divided_and_keep_body_and_trailer() {
        let body: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
        let mut input = format!("{:x}\r\n", body.len()).into_bytes();
        input.extend_from_slice(&body);
        input.extend_from_slice(b"\r\n3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n");
        for size in [1, 2, 7, 1000, input.len()] {
            let output = pass(Framing::Unsigned, &input, size).unwrap();
            let (decoded, trailer) = decoded(&output);
            assert!(decoded == [&body[..], b"abc"].concat(), "{size}");
            assert_eq!(trailer, b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n");
        }
    }

    #[test]
    fn signed_chunks_are_unchanged_and_limited() {
        let input = b"3;chunk-signature=ab\r\nabc\r\n0;chunk-signature=cd\r\nx-amz-trailer-signature:ef\r\n\r\n";
        for size in [1, 5, input.len()] {
            assert_eq!(pass(Framing::Signed, input, size).unwrap(), input);
        }
        let large = format!("{:x};chunk-signature=ab\r\n", MAX_SIGNED_CHUNK + 1);
        assert!(pass(Framing::Signed, large.as_bytes(), 99).is_err());
        assert!(pass(Framing::Unsigned, large.as_bytes(), 99).is_ok());
    }

    #[test]
    fn faults_end_the_body() {
        for input in ["", "x\r\n", "3\r\nabcd\r\n", "fffffffffffffffff\r\n", "\r\n"] {
            assert_eq!(pass(Framing::Unsigned, input.as_bytes(), 3).is_err(), !input.is_empty(), "{input:?}");
        }
        assert!(pass(Framing::Unsigned, &[b'1'; MAX_LINE + 1], 100).is_err());
    }

    #[test]
    fn framing_is_that_of_the_header() {
        let framing = |value: &'static str| {
            Framing::of(&HeaderMap::from_iter([("x-amz-content-sha256".parse().unwrap(), value.parse().unwrap())]))
        };
        assert_eq!(framing("STREAMING-UNSIGNED-PAYLOAD-TRAILER"), Some(Framing::Unsigned));
        assert_eq!(framing("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), Some(Framing::Signed));
        assert_eq!(framing("UNSIGNED-PAYLOAD"), None);
        assert_eq!(Framing::of(&HeaderMap::new()), None);
    }
}
