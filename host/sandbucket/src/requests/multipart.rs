//! Uploads in parts, step by step: what [`Upload`](crate::Upload) does by itself.

use std::future::IntoFuture;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{Stream, TryStreamExt};

use super::write::write_options;
use super::{awaited, call_options, every_call, every_source, every_write, pages, write_condition};
use crate::bindings::{datetime, multipart, wit};
use crate::blob::{BlobName, Written};
use crate::body::Chunks;
use crate::calls::{Call, Calls, no_conditions};
use crate::error::Result;
use crate::multipart::{Part, PartPage, PendingUpload, UploadPage};
use crate::transport::Progress;

/// [`Store::create_upload`](crate::Store::create_upload) in the making. Await it for the upload's id.
#[must_use = "a call does nothing until it is awaited"]
pub struct CreateUpload {
    calls: Calls,
    key: String,
    options: wit::WriteOptions,
}

impl CreateUpload {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        let options = write_options(&calls);
        CreateUpload { calls, key, options }
    }

    every_write!();
    every_call!();

    pub(super) async fn call(mut self) -> Result<String> {
        self.calls.create_upload(&self.key, &mut self.options, None).await
    }
}

awaited!(CreateUpload => String, call);

/// [`Store::upload_part`](crate::Store::upload_part) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct UploadPart {
    calls: Calls,
    key: String,
    upload: String,
    number: u32,
    body: Chunks,
    options: multipart::PartOptions,
    progress: Option<Progress>,
}

impl UploadPart {
    pub(crate) fn new(calls: Calls, key: String, upload: String, number: u32, body: Chunks) -> Self {
        let options = part_options(call_options(&calls));
        UploadPart { calls, key, upload, number, body, options, progress: None }
    }

    /// Is told how many bytes of the part have gone out, as they go; from 0 again with each further try.
    pub fn progress(mut self, told: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(told));
        self
    }

    every_call!();

    pub(super) async fn call(mut self) -> Result<Part> {
        let part = (self.upload.as_str(), self.number);
        self.calls.upload_part(&self.key, part, &self.body, &mut self.options, self.progress).await
    }
}

awaited!(UploadPart => Part, call);

/// A part of which nothing is said.
pub(crate) fn part_options(call: wit::CallOptions) -> multipart::PartOptions {
    multipart::PartOptions { digests: Vec::new(), call }
}

/// [`Store::copy_part`](crate::Store::copy_part) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct CopyPart {
    calls: Calls,
    key: String,
    upload: String,
    number: u32,
    source: BlobName,
    options: multipart::CopyPartOptions,
}

impl CopyPart {
    pub(crate) fn new(calls: Calls, key: String, upload: String, number: u32, source: BlobName) -> Self {
        let call = call_options(&calls);
        let options = multipart::CopyPartOptions { range: None, source_conditions: no_conditions(), call };
        CopyPart { calls, key, upload, number, source, options }
    }

    /// Only these bytes of the source. S3 takes a stretch only of blobs above 5 MiB.
    pub fn range(mut self, range: Range<u64>) -> Self {
        self.options.range = Some(wit::Span { start: range.start, end: range.end });
        self
    }

    every_source!();
    every_call!();

    pub(super) async fn call(mut self) -> Result<Part> {
        let source = self.source.into();
        self.calls.copy_part(&self.key, &self.upload, self.number, &source, &mut self.options, None).await
    }
}

awaited!(CopyPart => Part, call);

/// [`Store::list_parts`](crate::Store::list_parts) in the making. Await it for one page; [`parts`](ListParts::parts)
/// gives all there are.
#[must_use = "a call does nothing until it is awaited"]
pub struct ListParts {
    calls: Calls,
    key: String,
    upload: String,
    options: multipart::ListPartsOptions,
}

impl ListParts {
    pub(crate) fn new(calls: Calls, key: String, upload: String) -> Self {
        let call = call_options(&calls);
        let options = multipart::ListPartsOptions { continuation: None, page_size: None, call };
        ListParts { calls, key, upload, options }
    }

    /// The most parts in one page: 1 to 1,000, which is the default.
    pub fn page_size(mut self, size: u32) -> Self {
        self.options.page_size = Some(size);
        self
    }

    /// Goes on where a page before ended: with its `next`.
    pub fn continuation(mut self, next: impl Into<String>) -> Self {
        self.options.continuation = Some(next.into());
        self
    }

    every_call!();

    /// All parts of all pages, by number.
    pub fn parts(self) -> impl Stream<Item = Result<Part>> + Send + Unpin + use<> {
        let ListParts { calls, key, upload, options } = self;
        let pages = pages(options, move |options| {
            let (calls, key, upload) = (calls.clone(), key.clone(), upload.clone());
            async move {
                let page = calls.list_parts(&key, &upload, &mut options.clone(), None).await?;
                let next = page.next.map(|next| multipart::ListPartsOptions { continuation: Some(next), ..options });
                Ok((page.parts, next))
            }
        });
        pages.map_ok(|parts| futures::stream::iter(parts.into_iter().map(Ok))).try_flatten()
    }

    pub(super) async fn call(mut self) -> Result<PartPage> {
        self.calls.list_parts(&self.key, &self.upload, &mut self.options, None).await
    }
}

awaited!(ListParts => PartPage, call);

/// [`Store::complete_upload`](crate::Store::complete_upload) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct CompleteUpload {
    calls: Calls,
    key: String,
    upload: String,
    parts: Vec<Part>,
    options: multipart::CompleteOptions,
}

impl CompleteUpload {
    pub(crate) fn new(calls: Calls, key: String, upload: String, parts: Vec<Part>) -> Self {
        let call = call_options(&calls);
        let options = multipart::CompleteOptions { condition: wit::WriteCondition::Always, call };
        CompleteUpload { calls, key, upload, parts, options }
    }

    write_condition!(options.condition);
    every_call!();

    pub(super) async fn call(mut self) -> Result<Written> {
        let parts: Vec<multipart::Part> = self.parts.into_iter().map(Into::into).collect();
        self.calls.complete_upload(&self.key, &self.upload, &parts, &mut self.options, None).await
    }
}

awaited!(CompleteUpload => Written, call);

/// [`Store::abort_upload`](crate::Store::abort_upload) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct AbortUpload {
    calls: Calls,
    key: String,
    upload: String,
    options: multipart::UploadOptions,
}

impl AbortUpload {
    pub(crate) fn new(calls: Calls, key: String, upload: String) -> Self {
        let options = multipart::UploadOptions { call: call_options(&calls) };
        AbortUpload { calls, key, upload, options }
    }

    every_call!();

    pub(super) async fn call(mut self) -> Result<()> {
        self.calls.abort_upload(&self.key, &self.upload, &mut self.options, None).await
    }
}

awaited!(AbortUpload => (), call);

/// [`Store::list_uploads`](crate::Store::list_uploads) in the making. Await it for one page;
/// [`uploads`](ListUploads::uploads) gives all there are.
#[must_use = "a call does nothing until it is awaited"]
pub struct ListUploads {
    calls: Calls,
    options: multipart::ListUploadsOptions,
}

impl ListUploads {
    pub(crate) fn new(calls: Calls, prefix: String) -> Self {
        let call = call_options(&calls);
        let options = multipart::ListUploadsOptions { prefix, continuation: None, page_size: None, call };
        ListUploads { calls, options }
    }

    /// The most uploads in one page: 1 to 1,000, which is the default.
    pub fn page_size(mut self, size: u32) -> Self {
        self.options.page_size = Some(size);
        self
    }

    /// Goes on where a page before ended: with its `next`.
    pub fn continuation(mut self, next: impl Into<String>) -> Self {
        self.options.continuation = Some(next.into());
        self
    }

    every_call!();

    /// All uploads of all pages, by key.
    pub fn uploads(self) -> impl Stream<Item = Result<PendingUpload>> + Send + Unpin + use<> {
        let ListUploads { calls, options } = self;
        let pages = pages(options, move |options| {
            let calls = calls.clone();
            async move {
                let page = calls.list_uploads(&mut options.clone(), None).await?;
                let next = page.next.map(|next| multipart::ListUploadsOptions { continuation: Some(next), ..options });
                Ok((page.uploads, next))
            }
        });
        pages.map_ok(|uploads| futures::stream::iter(uploads.into_iter().map(Ok))).try_flatten()
    }

    pub(super) async fn call(mut self) -> Result<UploadPage> {
        self.calls.list_uploads(&mut self.options, None).await
    }
}

awaited!(ListUploads => UploadPage, call);
