//! Multipart uploads, step by step. [`Upload`](crate::Upload) runs all steps.

use std::future::IntoFuture;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{Stream, TryStreamExt};

use super::write::exactly;
use super::{awaited, every_call, every_source, every_write, pages, write_condition};
use crate::error::{Error, Failure, Result};
use crate::http::Progress;
use crate::limits::named;
use crate::ops::calls::{Call, Calls};
use crate::ops::options::{CallOptions, CompleteOptions, CopyPartOptions, CopySource, PageOptions, PutOptions};
use crate::types::blob::{BlobName, Written};
use crate::types::body::{Body, Chunks, Kind, Pieces};
use crate::types::multipart::{Part, PartPage, PendingUpload, UploadPage};

/// Options of an operation without options of its own.
#[derive(Default)]
struct OnlyCall {
    call: CallOptions,
}

/// Request builder of [`Store::create_upload`](crate::Store::create_upload). Await it for the upload's id.
#[must_use = "a call does nothing until it is awaited"]
pub struct CreateUpload {
    calls: Calls,
    key: String,
    options: PutOptions,
}

impl CreateUpload {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        CreateUpload { calls, key, options: PutOptions::default() }
    }

    every_write!();
    every_call!();

    pub(super) async fn call(self) -> Result<String> {
        self.calls.create_upload(&self.key, &self.options).await
    }
}

awaited!(CreateUpload => String, call);

/// Request builder of [`Store::upload_part`](crate::Store::upload_part). Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct UploadPart {
    calls: Calls,
    key: String,
    upload: String,
    number: u32,
    body: Body,
    options: OnlyCall,
    progress: Option<Progress>,
}

impl UploadPart {
    pub(crate) fn new(calls: Calls, key: String, upload: String, number: u32, body: Body) -> Self {
        UploadPart { calls, key, upload, number, body, options: OnlyCall::default(), progress: None }
    }

    /// Sets a callback invoked with the number of bytes of the part sent so far. It restarts at 0 with each retry.
    pub fn progress(mut self, callback: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    every_call!();

    pub(super) async fn call(self) -> Result<Part> {
        let part = (self.upload.as_str(), self.number);
        let (calls, call) = (&self.calls, &self.options.call);
        let body = match self.body.0 {
            Kind::Here(body) => body,
            Kind::Stream(length, pieces) if calls.sends_streams() && length > 0 => {
                let body = (length, pieces);
                return Box::pin(calls.upload_part_stream(&self.key, part, body, call, self.progress)).await;
            }
            Kind::Stream(length, pieces) => Box::pin(gathered(calls, &self.key, length, pieces)).await?,
        };
        calls.upload_part(&self.key, part, &body, call, self.progress).await
    }
}

/// Gathers the body of a part, which has to have this length.
async fn gathered(calls: &Calls, key: &str, length: u64, pieces: Pieces) -> Result<Chunks> {
    let most = calls.limits().max_put;
    if length > most as u64 {
        let message = format!("upload part \"{key}\": the part has {length} bytes; {} allows {most}", named("max-put"));
        return Err(Error::TooLarge(Failure::ours("body", message)));
    }
    let failed = |source| Error::Io {
        doing: format!("upload part \"{key}\": reading the body"),
        source: Arc::new(std::io::Error::other(source)),
    };
    let mut body = Chunks::default();
    let mut pieces = Box::pin(exactly(length, pieces));
    while let Some(piece) = pieces.try_next().await.map_err(failed)? {
        body.push(piece);
    }
    Ok(body)
}

awaited!(UploadPart => Part, call);

/// Request builder of [`Store::copy_part`](crate::Store::copy_part). Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct CopyPart {
    calls: Calls,
    key: String,
    upload: String,
    number: u32,
    source: CopySource,
    options: CopyPartOptions,
}

impl CopyPart {
    pub(crate) fn new(calls: Calls, key: String, upload: String, number: u32, source: BlobName) -> Self {
        let (source, options) = (source.into(), CopyPartOptions::default());
        CopyPart { calls, key, upload, number, source, options }
    }

    /// Copies from another bucket of the same service, which the store's credentials must be allowed to read. The setting
    /// `key-prefix` does not apply to its keys. Default: the store's own bucket.
    pub fn from_bucket(mut self, bucket: impl Into<String>) -> Self {
        self.source.bucket = Some(bucket.into());
        self
    }

    /// Copies only these bytes of the source. S3 requires a source above 5 MiB for a range.
    pub fn range(mut self, range: Range<u64>) -> Self {
        self.options.range = Some(range);
        self
    }

    every_source!();
    every_call!();

    pub(super) async fn call(self) -> Result<Part> {
        self.calls.copy_part(&self.key, (&self.upload, self.number), &self.source, &self.options).await
    }
}

awaited!(CopyPart => Part, call);

/// Request builder of [`Store::list_parts`](crate::Store::list_parts). Await it for one page; [`parts`](ListParts::parts)
/// streams all of them.
#[must_use = "a call does nothing until it is awaited"]
pub struct ListParts {
    calls: Calls,
    key: String,
    upload: String,
    options: PageOptions,
}

impl ListParts {
    pub(crate) fn new(calls: Calls, key: String, upload: String) -> Self {
        ListParts { calls, key, upload, options: PageOptions::default() }
    }

    /// Maximum number of parts per page: 1 to 1,000. Default: 1,000.
    pub fn page_size(mut self, size: u32) -> Self {
        self.options.page_size = Some(size);
        self
    }

    /// Continues after a previous page, given its `next`.
    pub fn continuation(mut self, next: impl Into<String>) -> Self {
        self.options.continuation = Some(next.into());
        self
    }

    every_call!();

    /// Streams the parts of all pages, by number.
    pub fn parts(self) -> impl Stream<Item = Result<Part>> + Send + Unpin + use<> {
        let ListParts { calls, key, upload, options } = self;
        let pages = pages(options, move |options| {
            let (calls, key, upload) = (calls.clone(), key.clone(), upload.clone());
            async move {
                let page = calls.list_parts(&key, &upload, &options).await?;
                let next = page.next.map(|next| PageOptions { continuation: Some(next), ..options });
                Ok((page.parts, next))
            }
        });
        pages.map_ok(|parts| futures::stream::iter(parts.into_iter().map(Ok))).try_flatten()
    }

    pub(super) async fn call(self) -> Result<PartPage> {
        self.calls.list_parts(&self.key, &self.upload, &self.options).await
    }
}

awaited!(ListParts => PartPage, call);

/// Request builder of [`Store::complete_upload`](crate::Store::complete_upload). Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct CompleteUpload {
    calls: Calls,
    key: String,
    upload: String,
    parts: Vec<Part>,
    options: CompleteOptions,
}

impl CompleteUpload {
    pub(crate) fn new(calls: Calls, key: String, upload: String, parts: Vec<Part>) -> Self {
        CompleteUpload { calls, key, upload, parts, options: CompleteOptions::default() }
    }

    write_condition!(options.condition);
    every_call!();

    pub(super) async fn call(self) -> Result<Written> {
        self.calls.complete_upload(&self.key, &self.upload, self.parts, &self.options).await
    }
}

awaited!(CompleteUpload => Written, call);

/// Request builder of [`Store::abort_upload`](crate::Store::abort_upload). Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct AbortUpload {
    calls: Calls,
    key: String,
    upload: String,
    options: OnlyCall,
}

impl AbortUpload {
    pub(crate) fn new(calls: Calls, key: String, upload: String) -> Self {
        AbortUpload { calls, key, upload, options: OnlyCall::default() }
    }

    every_call!();

    pub(super) async fn call(self) -> Result<()> {
        self.calls.abort_upload(&self.key, &self.upload, &self.options.call).await
    }
}

awaited!(AbortUpload => (), call);

/// Request builder of [`Store::list_uploads`](crate::Store::list_uploads). Await it for one page;
/// [`uploads`](ListUploads::uploads) streams all of them.
#[must_use = "a call does nothing until it is awaited"]
pub struct ListUploads {
    calls: Calls,
    options: PageOptions,
}

impl ListUploads {
    pub(crate) fn new(calls: Calls, prefix: String) -> Self {
        let options = PageOptions { prefix, ..PageOptions::default() };
        ListUploads { calls, options }
    }

    /// Maximum number of uploads per page: 1 to 1,000. Default: 1,000.
    pub fn page_size(mut self, size: u32) -> Self {
        self.options.page_size = Some(size);
        self
    }

    /// Continues after a previous page, given its `next`.
    pub fn continuation(mut self, next: impl Into<String>) -> Self {
        self.options.continuation = Some(next.into());
        self
    }

    every_call!();

    /// Streams the uploads of all pages, by key.
    pub fn uploads(self) -> impl Stream<Item = Result<PendingUpload>> + Send + Unpin + use<> {
        let ListUploads { calls, options } = self;
        let pages = pages(options, move |options| {
            let calls = calls.clone();
            async move {
                let page = calls.list_uploads(&options).await?;
                let next = page.next.map(|next| PageOptions { continuation: Some(next), ..options });
                Ok((page.uploads, next))
            }
        });
        pages.map_ok(|uploads| futures::stream::iter(uploads.into_iter().map(Ok))).try_flatten()
    }

    pub(super) async fn call(self) -> Result<UploadPage> {
        self.calls.list_uploads(&self.options).await
    }
}

awaited!(ListUploads => UploadPage, call);
