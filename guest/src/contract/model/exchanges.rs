//! What `wit/exchanges.wit` documents, but for the outcome of a request, which only the plugin's outermost file
//! needs.

use crate::contract::error::Failure;
use crate::s3::requests::Method;

use super::{BlobInfo, ByteRange, Digest, HeadOptions, Part, PartOptions, GetOptions, Span, PutOptions, Written};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// To look at a blob.
    Head(HeadOperation),
    /// To read it.
    Read(ReadOperation),
    /// To write it.
    Write(WriteOperation),
    /// To upload a part.
    Part(PartOperation),
}

/// A blob to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadOperation {
    /// Its key.
    pub key: String,
    /// How.
    pub options: Option<HeadOptions>,
}

/// A blob to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOperation {
    /// Its key.
    pub key: String,
    /// How.
    pub options: Option<GetOptions>,
}

/// A blob to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOperation {
    /// Its key.
    pub key: String,
    /// The body's length.
    pub length: u64,
    /// Digests of the body.
    pub digests: Vec<Digest>,
    /// How.
    pub options: Option<PutOptions>,
}

/// A part to upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartOperation {
    /// The key of the blob that it is for.
    pub key: String,
    /// The upload's id.
    pub upload: String,
    /// The part's place.
    pub number: u32,
    /// The body's length.
    pub length: u64,
    /// Digests of the body.
    pub digests: Vec<Digest>,
    /// How.
    pub options: Option<PartOptions>,
}

/// How an operation has got on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// How long it may take, in nanoseconds.
    pub limit: u64,
    /// How much of that has passed.
    pub elapsed: u64,
    /// Requests sent before.
    pub attempts: u32,
    /// How many of those followed a failure.
    pub retries: u32,
    /// Whether one may have taken effect though its answer was no success.
    pub maybe_done: bool,
    /// Whether the service's clock was found to differ,
    pub skewed: bool,
    /// and by how many seconds it is ahead.
    pub skew: i64,
}

/// A request to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its method.
    pub method: Method,
    /// Whether it goes over TLS.
    pub https: bool,
    /// Host and port.
    pub authority: String,
    /// Path and query.
    pub path_with_query: String,
    /// The header, a field to a line.
    pub headers: String,
    /// How long to wait, in nanoseconds.
    pub patience: u64,
    /// Whether [`crate::ops::take`] knows what a success comes to.
    pub plain: bool,
}

impl std::fmt::Debug for Outgoing {
    /// A signature is among its headers, and a key may be.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing")
            .field("method", &self.method)
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

/// What was asked for, as far as a success must be held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To look at a blob.
    Head,
    /// To read this of it.
    Read(ByteRange),
    /// To write it.
    Write,
    /// To upload this part.
    Part(AskedPart),
}

/// A part that is uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedPart {
    /// Its place.
    pub number: u32,
    /// Its length.
    pub size: u64,
}

/// What is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// To send this.
    Send(Outgoing),
    /// Nothing.
    Done(Settled),
}

/// What a success comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The blob that was looked at, or that is being read.
    Opened(BlobHead),
    /// What was written.
    Written(Written),
    /// The part that was uploaded.
    Part(Part),
}

/// A blob, but for its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobHead {
    /// What is known of the whole blob.
    pub info: BlobInfo,
    /// Which bytes of it were asked for.
    pub range: Span,
    /// Which bytes of it the body has.
    pub given: Span,
    /// A digest of those.
    pub digest: Option<Digest>,
}

impl From<BlobInfo> for BlobHead {
    /// All of it.
    fn from(info: BlobInfo) -> Self {
        let whole = Span { start: 0, end: info.size };
        BlobHead { info, range: whole, given: whole, digest: None }
    }
}

/// Why there is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What went wrong.
    pub failure: Failure,
    /// The next try.
    pub again: Option<Retry>,
}

/// The next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How long to wait before it, in nanoseconds.
    pub pause: u64,
    /// How the operation has got on.
    pub tries: Tries,
}
