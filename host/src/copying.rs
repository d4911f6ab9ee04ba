//! Copies that take more than one call.

use futures::{StreamExt, TryStreamExt};
use tokio::task::JoinSet;

use crate::bindings::{multipart, wit};
use crate::blob::{BlobInfo, Written};
use crate::calls::{Calls, no_conditions};
use crate::clearing::{clear_away, give_up};
use crate::error::{Error, Failure, Result};
use crate::requests::{Copy, keyless, shared, unsaid};
use crate::uploading::MAX_PARTS;

/// The size of a part where nobody says.
const USUAL_PART: u64 = 128 << 20;

/// How many parts are copied at once: the service does the work.
const AT_ONCE: usize = 8;

/// What a copy keeps of its source, as a service's own copy does. Tags have a call of their own.
const KEPT: [&str; 5] = ["cache-control", "content-disposition", "content-encoding", "content-language", "expires"];

/// The attribute with the key that the source was encrypted with by its writer.
const SOURCE_KEY: &str = "source-sse-customer-key";

/// Copies a blob that is too large to be copied at once.
pub(crate) async fn by_parts(
    calls: &Calls,
    source: wit::BlobName,
    to: &str,
    options: wit::CopyOptions,
    part_size: Option<u64>,
) -> Result<Written> {
    let wit::CopyOptions { source_conditions, condition, properties, mut call } = options;
    // The source's key goes with what reads the source: under its own name beside the other, else as the key.
    let place = call.attributes.iter().position(|(name, _)| name == SOURCE_KEY);
    let source_key = place.map(|place| call.attributes.swap_remove(place));
    let mut asking = shared(calls, &call);
    asking.attributes.retain(|(name, _)| name != "sse-customer-key");
    asking.attributes.extend(source_key.iter().map(|(_, key)| ("sse-customer-key".to_owned(), key.clone())));
    let mut head = wit::HeadOptions { conditions: source_conditions, version: source.version.clone(), call: asking };
    let info = calls.head(&source.key, &mut head).await.map_err(|error| match error {
        // Of a copy, a condition that does not hold is always this.
        Error::NotModified(failure) => Error::PreconditionFailed(failure),
        error => error,
    })?;
    let Some(etag) = info.etag.clone() else {
        let message =
            format!("copy \"{}\": without an entity tag its parts could be of different contents", source.key);
        return Err(Error::Unsupported(Failure::ours("source", message)));
    };
    if info.known_size().is_none() {
        let message = format!(
            "copy \"{}\": the service does not tell its size, without which it cannot be cut into parts",
            source.key
        );
        return Err(Error::Unsupported(Failure::ours("source", message)));
    }
    let mut write = match properties {
        Some(wit::Properties { content_type, metadata }) => {
            wit::WriteOptions { content_type, metadata, ..unsaid(call.clone()) }
        }
        None => kept(calls, &source, &info, call.clone()).await?,
    };
    let part_size = part_size.unwrap_or(USUAL_PART).max(info.size.div_ceil(u64::from(MAX_PARTS))).max(1);
    let upload = calls.create_upload(to, &mut write, None).await?;
    let mut begun = Begun { calls, to, call: &call, upload: Some(upload.clone()) };
    let conditions = wit::ReadConditions { if_match: Some(etag), ..no_conditions() };
    let pieces = (1..).zip(spans(info.size, part_size));
    let copies = pieces.map(|(number, range)| {
        let mut call = shared(calls, &call);
        call.attributes.extend(source_key.clone());
        let mut options =
            multipart::CopyPartOptions { range: Some(range), source_conditions: conditions.clone(), call };
        let (source, upload) = (&source, &upload);
        async move { calls.copy_part(to, upload, number, source, &mut options, None).await }
    });
    let parts = futures::stream::iter(copies).buffered(AT_ONCE).try_collect::<Vec<_>>().await;
    let done = match parts {
        Ok(parts) => {
            let parts: Vec<_> = parts.into_iter().map(Into::into).collect();
            let mut options = multipart::CompleteOptions { condition, call: shared(calls, &call) };
            calls.complete_upload(to, &upload, &parts, &mut options, None).await
        }
        Err(error) => Err(error),
    };
    if done.is_err() {
        clear_away(calls, to, &upload, &call).await;
    }
    begun.upload = None;
    done
}

/// An upload that is cleared away where the copy is dropped on the way.
struct Begun<'a> {
    calls: &'a Calls,
    to: &'a str,
    call: &'a wit::CallOptions,
    /// Its id, until it is over.
    upload: Option<String>,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            give_up(self.calls, self.to, upload, self.call, JoinSet::new());
        }
    }
}

/// Copies, and deletes what was copied.
pub(crate) async fn rename(calls: &Calls, from: &str, to: String, options: wit::CopyOptions) -> Result<Written> {
    if from == to {
        // Deleting what was copied would delete the copy.
        let call = shared(calls, &options.call);
        let mut head = wit::HeadOptions { conditions: no_conditions(), version: None, call };
        let info = calls.head(from, &mut head).await?;
        if matches!(options.condition, wit::WriteCondition::IfAbsent) {
            let message = format!("rename \"{from}\": it is to be renamed to itself, and only if that is not there");
            return Err(Error::PreconditionFailed(Failure::ours("to", message)));
        }
        return Ok(Written { etag: info.etag, version: info.version });
    }
    let call = keyless(calls, &options.call);
    let written = Copy::new(calls.clone(), from.into(), to).with(options).await?;
    let mut delete = wit::DeleteOptions { version: None, call };
    calls.delete(from, &mut delete, None).await?;
    Ok(written)
}

/// What a write must say so that the copy has what the source has.
async fn kept(
    calls: &Calls,
    source: &wit::BlobName,
    info: &BlobInfo,
    mut call: wit::CallOptions,
) -> Result<wit::WriteOptions> {
    for (name, value) in info.attributes.iter().filter(|(name, _)| KEPT.contains(&name.as_str())) {
        if call.attributes.iter().all(|(given, _)| given != name) {
            call.attributes.push((name.clone(), value.clone()));
        }
    }
    if call.attributes.iter().all(|(given, _)| given != "tags") {
        let tags = tags(calls, source, info, &call).await?;
        if !tags.is_empty() {
            let tags = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(tags).finish();
            call.attributes.push(("tags".to_owned(), tags));
        }
    }
    let (content_type, metadata) = (info.content_type.clone(), info.metadata.clone());
    Ok(wit::WriteOptions { content_type, metadata, ..unsaid(call) })
}

/// The source's tags. Not every service counts them in its answer to a HEAD, or has any.
async fn tags(
    calls: &Calls,
    source: &wit::BlobName,
    info: &BlobInfo,
    call: &wit::CallOptions,
) -> Result<Vec<(String, String)>> {
    let counted = info.attributes.iter().any(|(name, count)| name == "tag-count" && count != "0");
    let mut options = wit::TagOptions { version: source.version.clone(), call: keyless(calls, call) };
    match calls.tags(&source.key, &mut options, None).await {
        Err(Error::Unsupported(_) | Error::AccessDenied(_)) if !counted => Ok(Vec::new()),
        tags => tags,
    }
}

/// These many bytes, in stretches of this size.
fn spans(size: u64, part: u64) -> impl Iterator<Item = wit::Span> {
    (0..size.div_ceil(part)).map(move |n| wit::Span { start: n * part, end: (n * part).saturating_add(part).min(size) })
}
