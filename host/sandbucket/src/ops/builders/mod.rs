//! Request builders returned by `Store`'s methods.

mod bucket;
mod copy;
mod delete;
mod list;
mod multipart;
mod presign;
mod read;
mod tags;
mod write;

pub use bucket::{BucketExists, CreateBucket, DeleteBucket, ListBuckets};
pub use copy::{Copy, Rename};
pub use delete::{Delete, DeleteMany};
pub use list::{List, ListVersions};
pub use multipart::{AbortUpload, CompleteUpload, CopyPart, CreateUpload, ListParts, ListUploads, UploadPart};
pub use presign::Presign;
pub use read::{Get, Head};
pub use tags::{GetTags, SetTags};
pub use write::Put;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use futures::Stream;

use crate::error::{Error, Failure, Result};
use crate::ops::options::{CallOptions, ListOptions, PageOptions};

/// Setters of all builders.
macro_rules! every_call {
    () => {
        /// Time limit of the whole call: attempts, backoff and waiting, but not the time spent sending a body. Default:
        /// [`StoreOptions::call_time`](crate::StoreOptions::call_time), else
        /// [`Limits::call_time`](crate::Limits::call_time); at most
        /// [`Limits::max_call_time`](crate::Limits::max_call_time).
        pub fn time_limit(mut self, limit: Duration) -> Self {
            self.options.call.time_limit = Some(limit);
            self
        }

        /// Sets an attribute by the name that the plugin documents (S3: `docs/attributes.md`). An unknown name is
        /// [`Error::Unsupported`](crate::Error::Unsupported).
        pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.options.call.attributes.push((name.into(), value.into()));
            self
        }
    };
}

/// Setters of all reads.
macro_rules! every_read {
    () => {
        /// Reads only if the ETag matches, else [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn if_match(mut self, etag: impl Into<String>) -> Self {
            self.options.conditions.if_match = Some(etag.into());
            self
        }

        /// Reads only if the ETag differs, else [`Error::NotModified`](crate::Error::NotModified).
        pub fn if_none_match(mut self, etag: impl Into<String>) -> Self {
            self.options.conditions.if_none_match = Some(etag.into());
            self
        }

        /// Reads only if modified after this time, in seconds, else [`Error::NotModified`](crate::Error::NotModified).
        pub fn if_modified_since(mut self, time: SystemTime) -> Self {
            self.options.conditions.if_modified_since = Some(time);
            self
        }

        /// Reads only if not modified after this time, in seconds, else
        /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn if_unmodified_since(mut self, time: SystemTime) -> Self {
            self.options.conditions.if_unmodified_since = Some(time);
            self
        }

        /// Selects this version instead of the current one.
        pub fn version(mut self, version: impl Into<String>) -> Self {
            self.options.version = Some(version.into());
            self
        }
    };
}

/// Setters of all writes.
macro_rules! every_write {
    () => {
        /// Sets the media type (`content-type`).
        pub fn content_type(mut self, media_type: impl Into<String>) -> Self {
            self.options.content_type = Some(media_type.into());
            self
        }

        /// Adds user metadata. S3 accepts 2 KiB of encoded names and values.
        pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.options.metadata.push((name.into(), value.into()));
            self
        }

        /// Identifies this write: 1 to 128 letters, digits and `-._~:/+=`, unique among all writes, such as a UUID. It is
        /// stored as the metadata `sandbucket-write-id`.
        ///
        /// If the response to a conditional write is lost and the blob has this id, the write succeeded. Without an id an
        /// identical blob may be another writer's, and the write ends in
        /// [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown): set an id for blobs that serve as locks.
        pub fn write_id(mut self, id: impl Into<String>) -> Self {
            self.options.call.attributes.push(("write-id".to_owned(), id.into()));
            self
        }
    };
}

/// Setters of the condition of a write, which is stored in this field.
macro_rules! write_condition {
    ($($field:ident).+) => {
        /// Writes only if the key does not exist, else [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn if_absent(mut self) -> Self {
            self.$($field).+ = crate::ops::options::WriteCondition::IfAbsent;
            self
        }

        /// Writes only if the current blob has this ETag, else
        /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn if_match(mut self, etag: impl Into<String>) -> Self {
            self.$($field).+ = crate::ops::options::WriteCondition::IfMatch(etag.into());
            self
        }
    };
}

/// Setters of the conditions on the source of a copy.
macro_rules! every_source {
    () => {
        /// Copies only if the source's ETag matches, else [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn source_if_match(mut self, etag: impl Into<String>) -> Self {
            self.options.source_conditions.if_match = Some(etag.into());
            self
        }

        /// Copies only if the source's ETag differs, else [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn source_if_none_match(mut self, etag: impl Into<String>) -> Self {
            self.options.source_conditions.if_none_match = Some(etag.into());
            self
        }

        /// Copies only if the source was modified after this time, in seconds, else
        /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn source_if_modified_since(mut self, time: SystemTime) -> Self {
            self.options.source_conditions.if_modified_since = Some(time);
            self
        }

        /// Copies only if the source was not modified after this time, in seconds, else
        /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn source_if_unmodified_since(mut self, time: SystemTime) -> Self {
            self.options.source_conditions.if_unmodified_since = Some(time);
            self
        }
    };
}

/// Implements `IntoFuture` for a builder.
macro_rules! awaited {
    ($builder:ident => $output:ty, $call:ident) => {
        impl IntoFuture for $builder {
            type Output = Result<$output>;
            type IntoFuture = Call<$output>;

            fn into_future(self) -> Call<$output> {
                Box::pin(self.$call())
            }
        }
    };
}

pub(crate) use {awaited, every_call, every_read, every_source, every_write, write_condition};

/// Options of a listing that continue after a page.
pub(crate) trait Continued {
    /// The continuation token of the previous page.
    fn continuation(&self) -> Option<&str>;
}

macro_rules! continued {
    ($($options:ty),*) => {
        $(impl Continued for $options {
            fn continuation(&self) -> Option<&str> {
                self.continuation.as_deref()
            }
        })*
    };
}

continued!(ListOptions, PageOptions);

/// Streams page after page on demand: `request` returns a page and the options for the next one. A service that repeats a
/// continuation token would be listed endlessly, so the listing ends in an error at the first repeated one. Costs 8 bytes
/// of memory per page: 8 MB for a billion keys.
pub(crate) fn pages<O, P, F>(first: O, request: impl Fn(O) -> F + Send) -> impl Stream<Item = Result<P>> + Send + Unpin
where
    O: Continued + Send,
    P: Send,
    F: Future<Output = Result<(P, Option<O>)>> + Send,
{
    let hasher = RandomState::new();
    let seen = first.continuation().map(|token| hasher.hash_one(token)).into_iter().collect::<HashSet<u64>>();
    let state = (Ok(Some(first)), request, hasher, seen);
    Box::pin(futures::stream::unfold(state, async |(options, request, hasher, mut seen)| {
        let result = match options {
            Ok(None) => return None,
            Ok(Some(options)) => request(options).await,
            Err(error) => Err(error),
        };
        match result {
            Ok((page, next)) => {
                let token = next.as_ref().and_then(Continued::continuation);
                let again = token.is_some_and(|token| !seen.insert(hasher.hash_one(token)));
                let next = if again { Err(circular(seen.len())) } else { Ok(next) };
                Some((Ok(page), (next, request, hasher, seen)))
            }
            Err(error) => Some((Err(error), (Ok(None), request, hasher, seen))),
        }
    }))
}

/// The error of a listing with a repeated continuation token.
fn circular(pages: usize) -> Error {
    let message = format!(
        "list: the service's pages go in a circle: after {pages} pages it gave a continuation that it had given before, so that \
         the rest cannot be listed"
    );
    Error::Integrity(Failure::ours("continuation", message))
}

/// Options that further calls inherit from a call: its time limit, and the attributes that affect requests, without those
/// that describe the stored blob.
pub(crate) fn inherited(call: &CallOptions) -> CallOptions {
    let every = |name: &str| matches!(name, "sse-customer-key" | "request-payer" | "expected-bucket-owner");
    let attributes = call.attributes.iter().filter(|(name, _)| every(name)).cloned().collect();
    CallOptions { time_limit: call.time_limit, attributes }
}

/// The same for calls that do not touch content: they accept no customer key.
pub(crate) fn without_customer_key(call: &CallOptions) -> CallOptions {
    let mut call = inherited(call);
    call.attributes.retain(|(name, _)| name != "sse-customer-key");
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every call creates and moves its future, so rare state is boxed.
    #[test]
    fn call_futures_are_small() {
        fn size<T, F>(_: impl Fn(T) -> F) -> usize {
            size_of::<F>()
        }
        let sizes = [
            ("get", size(Get::call)),
            ("head", size(Head::call)),
            ("put", size(Put::call)),
            ("delete", size(Delete::call)),
            ("upload_part", size(UploadPart::call)),
        ];
        assert!(sizes.iter().all(|(_, size)| *size <= 4 << 10), "{sizes:?}");
    }
}
