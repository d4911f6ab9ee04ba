//! The contract's operations on one store, each in an instance of its pool.

use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use crate::bindings::exchanges::{Asked, HeadOperation, Operation, ReadOperation};
use crate::bindings::{self, Output, listing, multipart, wit};
use crate::blob::{BlobInfo, Presigned, Written};
use crate::error::{Error, Failure, Result};
use crate::exchanging::Payload;
use crate::limits::Limits;
use crate::listing::{ListPage, VersionPage};
use crate::multipart::{Part, PartPage, UploadPage};
use crate::pool::{Pool, PoolStatus, WithNewCredentials};
use crate::sandbox::Bounds;
use crate::text::is_unsafe_for_display;
use crate::transport::{Answer, Progress};

/// How much of a key is shown in messages, in characters.
const SHOWN_KEY: usize = 200;

/// A character as messages show it.
fn escaped(c: char) -> impl Iterator<Item = char> {
    let odd = is_unsafe_for_display(c) || c == '"';
    odd.then(|| c.escape_default()).into_iter().flatten().chain((!odd).then_some(c))
}

/// A call under way.
pub type Call<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// A store's operations, as the contract has them.
#[derive(Clone)]
pub(crate) struct Calls {
    pool: Arc<Pool>,
    /// The digests that the plugin wants of bodies.
    wanted_digests: Arc<[wit::DigestAlgorithm]>,
}

impl Calls {
    /// Opens the store in a first instance, which tells whether the settings are right.
    pub(crate) async fn open(pool: Arc<Pool>) -> Result<Calls> {
        let mut call = wit::CallOptions { time_limit: None, max_retries: None, attributes: Vec::new() };
        let mut first = pool.lease("opening the store", &mut call).await?;
        let limits = pool.limits();
        let cpu_used = first.cpu_used();
        let (sandbox, store) = first.instance()?.parts();
        let bounds = Bounds { cpu_used, ..Bounds::default() };
        let begun = sandbox.begin("opening the store", limits, bounds, None);
        let ended = begun.run(pin!(sandbox.plugin.call_wanted_digests(&mut sandbox.store, store))).await;
        let ended = sandbox.end(&begun, limits, ended.map(|wanted| wanted.map(Ok)));
        let wanted_digests = first.end(ended)?.into();
        Ok(Calls { pool, wanted_digests })
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What the host finds wrong with a call, told as the plugin would: on which key, in which bucket, at which endpoint.
    pub(crate) fn failure(&self, subject: &str, operation: &str, key: &str, what: &str) -> Box<Failure> {
        let mut shown: String = key.chars().take(SHOWN_KEY).flat_map(escaped).collect();
        if key.chars().nth(SHOWN_KEY).is_some() {
            shown.push('…');
        }
        Failure::ours(subject, format!("{operation} \"{shown}\"{}: {what}", self.pool.place()))
    }

    /// The digests of their bodies that writes need.
    pub(crate) fn wanted_digests(&self) -> &[wit::DigestAlgorithm] {
        &self.wanted_digests
    }

    pub(crate) fn status(&self) -> PoolStatus {
        self.pool.status()
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.pool.limits()
    }
}

/// Makes the contract's operations: each in an instance of the pool, within the call's bounds.
macro_rules! operations {
    ($($name:ident, $raw:ident, $words:literal, ($($argument:ident: $type:ty),*), [$($field:tt)*] $(of $blobs:expr)?,
        $options:ty => $given:ty, by $methods:expr;)*) => {
        impl Calls {
            $(
                #[tracing::instrument(level = "debug", skip_all, fields($($field)*), err(level = "debug"))]
                pub(crate) async fn $name(
                    &self,
                    $($argument: $type,)*
                    options: &mut $options,
                    progress: Option<Progress>,
                ) -> Result<$given> {
                    let mut generation = self.pool.generation();
                    loop {
                        let mut lease = self.pool.lease($words, &mut options.call).await?;
                        self.pool.retries().bound(&mut options.call);
                        let cpu_used = lease.cpu_used();
                        let (sandbox, store) = lease.instance()?.parts();
                        let time = options.call.time_limit.map(std::time::Duration::from_nanos);
                        let operations = 1 $(+ $blobs)?;
                        let bounds = Bounds { time, cpu_used, requests: 0, operations, methods: $methods };
                        let begun = sandbox.begin($words, self.limits(), bounds, progress.clone());
                        let ended = begun
                            .run(pin!(sandbox.plugin.$raw(&mut sandbox.store, store, $($argument,)* options)))
                            .await;
                        let ended = sandbox.end(&begun, self.limits(), ended);
                        let result = lease.end(ended);
                        self.pool.retries().settle(&result);
                        match result {
                            Err(error) if self.pool.is_outdated(generation, &error) => {
                                generation = self.pool.generation()
                            }
                            ended => return ended,
                        }
                    }
                }
            )*
        }
    };
}

/// Methods of the requests that operations make over wasi:http. After a write whose response was lost, the plugin looks what
/// became of it.
const LOOK: &[Method] = &[Method::GET, Method::HEAD];
const WRITE: &[Method] = &[Method::PUT, Method::GET, Method::HEAD];
const REMOVE: &[Method] = &[Method::DELETE, Method::POST];
const TAG: &[Method] = &[Method::PUT, Method::DELETE];
const POST: &[Method] = &[Method::POST, Method::GET, Method::HEAD];

operations! {
    head_inline, call_head, "head", (key: &str), [key], wit::HeadOptions => BlobInfo, by LOOK;
    get_inline, call_get, "get", (key: &str), [key], wit::ReadOptions => (BlobInfo, wit::Span, Vec<u8>), by LOOK;
    put_inline, call_put, "put", (key: &str, body: &[u8]), [key, size = body.len()],
        wit::WriteOptions => Written, by WRITE;
    delete, call_delete, "delete", (key: &str), [key], wit::DeleteOptions => Option<bool>, by REMOVE;
    delete_batch, call_delete_many, "delete several blobs", (blobs: &[wit::BlobName]), [count = blobs.len()] of blobs.len(),
        wit::DeleteManyOptions => Vec<Result<(), wit::Error>>, by REMOVE;
    list, call_list, "list", (), [], listing::ListOptions => ListPage, by LOOK;
    list_versions, call_list_versions, "list versions", (), [],
        listing::ListOptions => VersionPage, by LOOK;
    copy, call_copy, "copy", (source: &wit::BlobName, to: &str), [from = source.key, to],
        wit::CopyOptions => Written, by WRITE;
    presign, call_presign, "presign", (method: wit::PresignedMethod, key: &str), [key],
        wit::PresignOptions => Presigned, by &[];
    tags, call_tags, "get tags", (key: &str), [key],
        wit::TagOptions => Vec<(String, String)>, by LOOK;
    set_tags, call_set_tags, "set tags", (key: &str, tags: &[(String, String)]), [key],
        wit::TagOptions => (), by TAG;
    create_upload, call_create_upload, "begin an upload", (key: &str), [key],
        wit::WriteOptions => String, by POST;
    part_inline, call_upload_part, "upload a part", (key: &str, upload: &str, number: u32, body: &[u8]),
        [key, number, size = body.len()], multipart::PartOptions => Part, by WRITE;
    copy_part, call_copy_part, "copy a part", (key: &str, upload: &str, number: u32, source: &wit::BlobName),
        [key, number], multipart::CopyPartOptions => Part, by WRITE;
    list_parts, call_list_parts, "list parts", (key: &str, upload: &str), [key],
        multipart::ListPartsOptions => PartPage, by LOOK;
    complete_upload, call_complete_upload, "complete an upload",
        (key: &str, upload: &str, parts: &[multipart::Part]), [key, parts = parts.len()],
        multipart::CompleteOptions => Written, by POST;
    abort_upload, call_abort_upload, "abort an upload", (key: &str, upload: &str), [key],
        multipart::UploadOptions => (), by REMOVE;
    list_uploads, call_list_uploads, "list uploads", (), [],
        multipart::ListUploadsOptions => UploadPage, by LOOK;
}

impl Calls {
    /// Does something again that the service refused, as often as the store's credentials changed meanwhile.
    pub(crate) fn with_new_credentials<C: Fn() -> F, F>(&self, call: C) -> WithNewCredentials<'_, C, F> {
        let (generation, future) = (self.pool.generation(), call());
        WithNewCredentials { pool: &self.pool, generation, call, future }
    }

    /// What is known of a blob.
    pub(crate) async fn head(&self, key: &str, options: &mut wit::HeadOptions) -> Result<BlobInfo> {
        if !self.pool.prepares_requests() {
            return self.head_inline(key, options, None).await;
        }
        let plain = no_conditions_in(&options.conditions) && options.version.is_none();
        let plain = plain && options.call.attributes.is_empty();
        let limit = options.call.time_limit;
        let exchange = || {
            let given = if plain { None } else { Some(options.clone()) };
            let operation = Operation::Head(HeadOperation { key: key.to_owned(), options: given });
            self.exchange("head", (operation, Asked::Head), limit, Payload::None, None)
        };
        match self.with_new_credentials(exchange).await {
            Err(error) => Err(error),
            Ok((Output::Opened(opened), _)) => Ok(opened.info),
            Ok(_) => Err(Error::plugin("the plugin took a look for something else")),
        }
    }

    /// Begins to read.
    pub(crate) async fn open_read(&self, key: &str, options: &wit::ReadOptions) -> Result<Opened> {
        // What it needs is kept for as long as the call goes on: no more than these references.
        let opened = self.with_new_credentials(|| {
            let (asked, call) = (options.range, &options.call);
            let plain = no_conditions_in(&options.conditions) && options.version.is_none();
            let plain = plain && matches!(asked, wit::ByteRange::Whole) && call.attributes.is_empty();
            let given = if plain { None } else { Some(options.clone()) };
            let operation = Operation::Read(ReadOperation { key: key.to_owned(), options: given });
            self.exchange("get", (operation, Asked::Read(asked)), call.time_limit, Payload::Reading, None)
        });
        match opened.await? {
            (Output::Opened(opened), Some(body)) => Opened::checked(opened, body, options.range),
            _ => Err(Error::plugin("the plugin took a read for something else")),
        }
    }

    /// `delete-many`, with as many outcomes as there are blobs.
    pub(crate) async fn delete_many(
        &self,
        blobs: &[wit::BlobName],
        options: &mut wit::DeleteManyOptions,
    ) -> Result<Vec<Result<()>>> {
        let outcomes = self.delete_batch(blobs, options, None).await?;
        if outcomes.len() != blobs.len() {
            let message = format!(
                "delete several blobs: the plugin told of {} outcomes where {} blobs were to be deleted",
                outcomes.len(),
                blobs.len()
            );
            return Err(Error::Integrity(Failure::ours("blobs", message)));
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.map_err(Error::from)).collect())
    }
}

/// A blob being read, as the plugin tells of it, found to make sense.
pub(crate) struct Opened {
    pub(crate) info: BlobInfo,
    /// Which bytes were asked for.
    pub(crate) range: Range<u64>,
    /// Which bytes the body has: those, and maybe more.
    pub(crate) given: Range<u64>,
    /// A digest of those.
    pub(crate) digest: Option<wit::Digest>,
    pub(crate) body: Answer,
}

impl Opened {
    /// A plugin is not trusted to give the bytes that were asked for.
    fn checked(opened: bindings::Opened, body: Answer, asked: wit::ByteRange) -> Result<Opened> {
        let (range, given) = checked_ranges(&opened, asked)?;
        let bindings::Opened { info, digest, .. } = opened;
        Ok(Opened { info, range, given, digest, body })
    }
}

/// The bytes that were asked for, and those that the body has, if the one is within the other and both are of the blob.
pub(crate) fn checked_ranges(opened: &bindings::Opened, asked: wit::ByteRange) -> Result<(Range<u64>, Range<u64>)> {
    let wrong = |message: String| Err(Error::Integrity(Failure::ours("body", format!("get: the plugin {message}"))));
    let (range, given) = (opened.range.start..opened.range.end, opened.given.start..opened.given.end);
    let size = opened.info.size;
    if given.start > range.start || range.start > range.end || range.end > given.end || given.end > size {
        return wrong(format!("gives the range {given:?} for {range:?} of a blob of {size} bytes"));
    }
    let wanted = wanted(asked, size);
    if wanted != range {
        return wrong(format!("gives the range {range:?} where {wanted:?} was asked for"));
    }
    Ok((range, given))
}

/// A blob that the plugin gave in one piece: a plugin is not trusted to count, nor to give the bytes that were asked for.
pub(crate) fn checked(
    (info, wit::Span { start, end }, body): (BlobInfo, wit::Span, Vec<u8>),
    asked: wit::ByteRange,
) -> Result<(BlobInfo, Range<u64>, Bytes)> {
    let wanted = wanted(asked, info.size);
    if wanted != (start..end) || end > info.size || end.checked_sub(start) != Some(body.len() as u64) {
        let message = format!(
            "get: the plugin gave {} bytes, said to be the range {start} to {end} of {}, where {wanted:?} was asked for",
            body.len(),
            info.size
        );
        return Err(Error::Integrity(Failure::ours("body", message)));
    }
    Ok((info, wanted, body.into()))
}

/// The bytes that this range is of a blob of this size.
pub(crate) fn wanted(range: wit::ByteRange, size: u64) -> Range<u64> {
    match range {
        wit::ByteRange::Whole => 0..size,
        wit::ByteRange::From(start) => start..size,
        wit::ByteRange::Within(span) => span.start..span.end.min(size),
        wit::ByteRange::Last(count) => size.saturating_sub(count)..size,
    }
}

fn no_conditions_in(conditions: &wit::ReadConditions) -> bool {
    let wit::ReadConditions { if_match, if_none_match, if_modified_since, if_unmodified_since } = conditions;
    if_match.is_none() && if_none_match.is_none() && if_modified_since.is_none() && if_unmodified_since.is_none()
}

/// A read that is made in any case.
pub(crate) fn no_conditions() -> wit::ReadConditions {
    wit::ReadConditions { if_match: None, if_none_match: None, if_modified_since: None, if_unmodified_since: None }
}
