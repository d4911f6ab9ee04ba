//! Multipart copies and renames.

use std::ops::Range;

use futures::{StreamExt, TryStreamExt};
use tokio::task::JoinSet;

use crate::error::{Error, Failure, Result};
use crate::ops::builders::{Copy, inherited, without_customer_key};
use crate::ops::calls::Calls;
use crate::ops::cleanup::{abort_best_effort, abort_in_background, is_not_completed, warn_of_unknown_outcome};
use crate::ops::options::{
    CallOptions, CompleteOptions, CopyOptions, CopyPartOptions, CopySource, HeadOptions, Properties, PutOptions,
    ReadConditions, VersionOptions, WriteCondition,
};
use crate::ops::upload::MAX_PARTS;
use crate::types::blob::{BlobInfo, Written};

/// Default part size in bytes.
const DEFAULT_PART_SIZE: u64 = 128 << 20;

/// Parts copied concurrently: the service does the work.
const MAX_CONCURRENCY: usize = 8;

/// The attributes that a copy keeps of its source, as a service's own copy does. Tags are copied by a separate call.
const COPIED_ATTRIBUTES: [&str; 5] =
    ["cache-control", "content-disposition", "content-encoding", "content-language", "expires"];

/// Largest blob in bytes that is copied with one request: a service copies about 100 MB per second.
const MAX_SINGLE_COPY: u64 = 256 << 20;

/// S3's limit for a copy with one request, in bytes.
const MAX_COPY: u64 = 5 << 30;

type Attributes = Vec<(String, String)>;

/// A copy within the store and its options.
pub(crate) struct CopyRequest<'a> {
    pub(crate) calls: &'a Calls,
    pub(crate) source: CopySource,
    pub(crate) to: &'a str,
    pub(crate) options: CopyOptions,
    pub(crate) part_size: Option<u64>,
    /// Length of the source, if the caller knows it.
    pub(crate) length: Option<u64>,
}

/// Copies a blob: a small one with one request, a large one in parts. One request can take the service minutes, during
/// which nothing shows progress, and S3 limits it to 5 GiB.
pub(crate) async fn copy(request: CopyRequest<'_>) -> Result<Written> {
    if request.part_size.is_none() && request.length.is_some_and(|length| length <= MAX_SINGLE_COPY) {
        return match single_copy(&request).await {
            Err(Error::TooLarge(_)) if request.source.bucket.is_none() => multipart(request, None).await,
            done => done,
        };
    }
    // The store's requests do not reach a blob in another bucket.
    if request.source.bucket.is_some() {
        return single_copy(&request).await;
    }
    let info = match request.head_source().await {
        Ok(info) => info,
        Err(error @ (Error::NotFound(_) | Error::PreconditionFailed(_) | Error::InvalidArgument(_))) => {
            return Err(error);
        }
        // The caller may be allowed to copy but not to read the source.
        Err(_) => return single_copy(&request).await,
    };
    let is_large = info.known_size().is_some_and(|size| size > request.part_size.unwrap_or(MAX_SINGLE_COPY));
    if is_large && info.etag.is_some() {
        let fits = info.size <= MAX_COPY;
        // Some services do not support copies of parts.
        return match multipart(request.clone(), Some(info)).await {
            Err(Error::Unsupported(failure)) if fits && failure.attempts > 0 => single_copy(&request).await,
            done => done,
        };
    }
    match single_copy(&request).await {
        Err(Error::TooLarge(_)) => multipart(request, Some(info)).await,
        done => done,
    }
}

async fn single_copy(request: &CopyRequest<'_>) -> Result<Written> {
    request.calls.copy(&request.source, request.to, &request.options).await
}

impl CopyRequest<'_> {
    fn clone(&self) -> Self {
        let CopyRequest { calls, to, part_size, length, .. } = *self;
        CopyRequest { calls, source: self.source.clone(), to, options: self.options.clone(), part_size, length }
    }

    /// The attributes for reading the source, and the other ones of the call.
    fn source_attributes(&self) -> (Attributes, Attributes) {
        let given = self.options.call.attributes.iter().cloned();
        given.partition(|(name, _)| name.starts_with("source-"))
    }

    /// The source's metadata, if its conditions hold.
    async fn head_source(&self) -> Result<BlobInfo> {
        let mut call = inherited(&self.options.call);
        call.attributes.retain(|(name, _)| name != "sse-customer-key");
        // A HEAD takes the source's customer key as the customer key.
        for (name, value) in self.source_attributes().0 {
            let name = name.trim_start_matches("source-").to_owned();
            call.attributes.retain(|(there, _)| *there != name);
            call.attributes.push((name, value));
        }
        let conditions = self.options.source_conditions.clone();
        let head = HeadOptions { conditions, version: self.source.blob.version.clone(), call };
        self.calls.head(&self.source.blob.key, &head).await.map_err(|error| match error {
            // A failed condition of a copy is always this error.
            Error::NotModified(failure) => Error::PreconditionFailed(failure),
            error => error,
        })
    }
}

/// Copies a blob in parts.
async fn multipart(request: CopyRequest<'_>, info: Option<BlobInfo>) -> Result<Written> {
    let info = match info {
        Some(info) => info,
        None => request.head_source().await?,
    };
    let (source_attributes, attributes) = request.source_attributes();
    let CopyRequest { calls, source, to, options, part_size, .. } = request;
    let CopyOptions { condition, properties, mut call, .. } = options;
    call.attributes = attributes;
    let Some(etag) = info.etag.clone() else {
        let message =
            format!("copy \"{}\": without an entity tag its parts could be of different contents", source.blob.key);
        return Err(Error::Unsupported(Failure::ours("source", message)));
    };
    if info.known_size().is_none() {
        let message = format!(
            "copy \"{}\": the service does not say its size, without which it cannot be cut into parts",
            source.blob.key
        );
        return Err(Error::Unsupported(Failure::ours("source", message)));
    }
    let write = match properties {
        Some(Properties { content_type, metadata }) => {
            PutOptions { content_type, metadata, condition: WriteCondition::Always, call: call.clone() }
        }
        None => copied_properties(calls, &source, &info, call.clone()).await?,
    };
    let part_size = part_size.unwrap_or(DEFAULT_PART_SIZE).max(info.size.div_ceil(u64::from(MAX_PARTS))).max(1);
    let upload = calls.create_upload(to, &write).await?;
    let mut begun = AbortOnDrop { calls, to, call: &call, upload: Some(upload.clone()), completing: false };
    let conditions = ReadConditions { if_match: Some(etag), ..ReadConditions::default() };
    let pieces = (1..).zip(ranges(info.size, part_size));
    let copies = pieces.map(|(number, range)| {
        let mut call = inherited(&call);
        call.attributes.extend(source_attributes.iter().cloned());
        let options = CopyPartOptions { range: Some(range), source_conditions: conditions.clone(), call };
        let (source, upload) = (&source, &upload);
        async move { calls.copy_part(to, (upload, number), source, &options).await }
    });
    let parts = futures::stream::iter(copies).buffered(MAX_CONCURRENCY).try_collect::<Vec<_>>().await;
    let done = match parts {
        Ok(parts) => {
            let options = CompleteOptions { condition, call: inherited(&call) };
            begun.completing = true;
            calls.complete_upload(to, &upload, parts, &options).await
        }
        Err(error) => Err(error),
    };
    match &done {
        Err(error) if !begun.completing || is_not_completed(error) => {
            begun.completing = false;
            abort_best_effort(calls, to, &upload, &call).await;
            begun.upload = None;
        }
        Err(_) => {}
        Ok(_) => begun.upload = None,
    }
    done
}

/// Aborts the upload on drop, unless it is done.
struct AbortOnDrop<'a> {
    calls: &'a Calls,
    to: &'a str,
    call: &'a CallOptions,
    /// The upload's id, until it is completed or aborted.
    upload: Option<String>,
    /// Whether the completion was requested: from then on the service may be completing the upload.
    completing: bool,
}

impl Drop for AbortOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            if self.completing {
                return warn_of_unknown_outcome(self.calls, self.to, &upload);
            }
            abort_in_background(self.calls, self.to, upload, self.call, JoinSet::new());
        }
    }
}

/// Copies a blob, and deletes the source.
pub(crate) async fn rename(calls: &Calls, from: &str, to: String, options: CopyOptions) -> Result<Written> {
    if from == to {
        // Deleting the source would delete the copy.
        let head = HeadOptions { call: inherited(&options.call), ..HeadOptions::default() };
        let info = calls.head(from, &head).await?;
        if matches!(options.condition, WriteCondition::IfAbsent) {
            let message = format!("rename \"{from}\": it is to be renamed to itself, and only if that is not there");
            return Err(Error::PreconditionFailed(Failure::ours("to", message)));
        }
        return Ok(Written { etag: info.etag, version: info.version });
    }
    let delete = VersionOptions { version: None, call: without_customer_key(&options.call) };
    let written = Copy::new(calls.clone(), from.into(), to).with(options).await?;
    calls.delete(from, &delete).await?;
    Ok(written)
}

/// The options of a write that gives the copy the source's properties.
async fn copied_properties(
    calls: &Calls,
    source: &CopySource,
    info: &BlobInfo,
    mut call: CallOptions,
) -> Result<PutOptions> {
    for (name, value) in info.attributes.iter().filter(|(name, _)| COPIED_ATTRIBUTES.contains(&name.as_str())) {
        if call.attributes.iter().all(|(given, _)| given != name) {
            call.attributes.push((name.clone(), value.clone()));
        }
    }
    if call.attributes.iter().all(|(given, _)| given != "tags") {
        let tags = tags(calls, source, info, &call).await?;
        if !tags.is_empty() {
            call.attributes.push(("tags".to_owned(), encoded_tags(tags)));
        }
    }
    let (content_type, metadata) = (info.content_type.clone(), info.metadata.clone());
    Ok(PutOptions { content_type, metadata, condition: WriteCondition::Always, call })
}

/// Encodes tags for the attribute. Of the two encodings of a space, Ceph supports only `%20`.
pub(crate) fn encoded_tags<N: AsRef<str>, V: AsRef<str>>(tags: impl IntoIterator<Item = (N, V)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(tags).finish().replace('+', "%20")
}

/// The source's tags. Not every service counts them in the response to a HEAD, or supports them.
async fn tags(
    calls: &Calls,
    source: &CopySource,
    info: &BlobInfo,
    call: &CallOptions,
) -> Result<Vec<(String, String)>> {
    let counted = info.attributes.iter().any(|(name, count)| name == "tag-count" && count != "0");
    let options = VersionOptions { version: source.blob.version.clone(), call: without_customer_key(call) };
    match calls.tags(&source.blob.key, &options).await {
        Err(Error::Unsupported(_) | Error::AccessDenied(_)) if !counted => Ok(Vec::new()),
        tags => tags,
    }
}

/// Splits this many bytes into ranges of this size.
fn ranges(size: u64, part: u64) -> impl Iterator<Item = Range<u64>> {
    (0..size.div_ceil(part)).map(move |n| n * part..(n * part).saturating_add(part).min(size))
}
