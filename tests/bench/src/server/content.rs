//! Bodies of the memory server: the same canned bytes repeatedly, without copies.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Maximum bytes per frame.
const FRAME: usize = 256 << 10;

static CANNED: [u8; FRAME] = canned();

/// Neither zeros nor a short pattern, so that no layer handles it faster than real data.
const fn canned() -> [u8; FRAME] {
    let mut bytes = [0; FRAME];
    let mut state: u32 = 0x9E37_79B9;
    let mut at = 0;
    while at < FRAME {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes[at] = (state >> 24) as u8;
        at += 1;
    }
    bytes
}

/// A body: a number of canned bytes, or its own bytes.
pub enum Content {
    Canned { left: u64 },
    Own(Bytes),
}

impl Content {
    pub fn empty() -> Content {
        Content::Own(Bytes::new())
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match &mut *self {
            Content::Canned { left } => {
                let count = usize::try_from(*left).unwrap_or(FRAME).min(FRAME);
                *left -= count as u64;
                Bytes::from_static(&CANNED[..count])
            }
            Content::Own(bytes) => std::mem::take(bytes),
        };
        Poll::Ready((!frame.is_empty()).then(|| Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Content::Canned { left } => *left == 0,
            Content::Own(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Content::Canned { left } => SizeHint::with_exact(*left),
            Content::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
