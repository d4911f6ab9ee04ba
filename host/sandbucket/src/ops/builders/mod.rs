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

        /// Sets an attribute by the name that the plugin documents (S3's: `docs/attributes.md`). An unknown name is
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
        /// Only if the entity tag is this one, else [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn if_match(mut self, etag: impl Into<String>) -> Self {
            self.options.conditions.if_match = Some(etag.into());
            self
        }

        /// Only if the entity tag is not this one, else [`Error::NotModified`](crate::Error::NotModified).
        pub fn if_none_match(mut self, etag: impl Into<String>) -> Self {
            self.options.conditions.if_none_match = Some(etag.into());
            self
        }

        /// Only if it was written after this, to the second, else [`Error::NotModified`](crate::Error::NotModified).
        pub fn if_modified_since(mut self, time: SystemTime) -> Self {
            self.options.conditions.if_modified_since = Some(time);
            self
        }

        /// Only if it was not written after this, to the second, else
        /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn if_unmodified_since(mut self, time: SystemTime) -> Self {
            self.options.conditions.if_unmodified_since = Some(time);
            self
        }

        /// This version, not the current one.
        pub fn version(mut self, version: impl Into<String>) -> Self {
            self.options.version = Some(version.into());
            self
        }
    };
}

/// Setters of all writes.
macro_rules! every_write {
    () => {
        /// Sets the media type to store with it.
        pub fn content_type(mut self, media_type: impl Into<String>) -> Self {
            self.options.content_type = Some(media_type.into());
            self
        }

        /// Adds user metadata. S3 accepts 2 KiB of names and values, as they are sent.
        pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.options.metadata.push((name.into(), value.into()));
            self
        }

        /// Names this write, so that it is known again: 1 to 128 letters, digits and `-._~:/+=`, unlike any other write's, such
        /// as a UUID. It is stored as the metadata `sandbucket-write-id`.
        ///
        /// Where the response to a conditional write is lost, and what is there bears this id, the write is a success. Without
        /// one, a blob of the same bytes may be another writer's, and the write is
        /// [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown): give one to whatever serves as a lock.
        pub fn write_id(mut self, id: impl Into<String>) -> Self {
            self.options.call.attributes.push(("write-id".to_owned(), id.into()));
            self
        }
    };
}

/// Setters of the condition of a write, which is in this field.
macro_rules! write_condition {
    ($($field:ident).+) => {
        /// Only if no blob of this key is there, else [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn if_absent(mut self) -> Self {
            self.$($field).+ = crate::ops::options::WriteCondition::IfAbsent;
            self
        }

        /// Only if the blob that is there has this entity tag, else
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
        /// Only if the source's entity tag is this one, else
        /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn source_if_match(mut self, etag: impl Into<String>) -> Self {
            self.options.source_conditions.if_match = Some(etag.into());
            self
        }

        /// Only if the source's entity tag is not this one, else
        /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn source_if_none_match(mut self, etag: impl Into<String>) -> Self {
            self.options.source_conditions.if_none_match = Some(etag.into());
            self
        }

        /// Only if the source was written after this, to the second, else
        /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn source_if_modified_since(mut self, time: SystemTime) -> Self {
            self.options.source_conditions.if_modified_since = Some(time);
            self
        }

        /// Only if the source was not written after this, to the second, else
        /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn source_if_unmodified_since(mut self, time: SystemTime) -> Self {
            self.options.source_conditions.if_unmodified_since = Some(time);
            self
        }
    };
}

/// Makes a builder a future.
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

/// Options of a listing, which go on after a page.
pub(crate) trait Continued {
    /// What the page before gave.
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

/// Page after page, each asked for when it is wanted: `ask` gives one, and what to ask for the next with. A service whose
/// continuations go in a circle would be listed for ever: the second time that one comes, the listing ends in an error. Eight
/// bytes are kept of each, which is 8 MB for a billion keys.
pub(crate) fn pages<O, P, F>(first: O, ask: impl Fn(O) -> F + Send) -> impl Stream<Item = Result<P>> + Send + Unpin
where
    O: Continued + Send,
    P: Send,
    F: Future<Output = Result<(P, Option<O>)>> + Send,
{
    let hasher = RandomState::new();
    let seen = first.continuation().map(|token| hasher.hash_one(token)).into_iter().collect::<HashSet<u64>>();
    let state = (Ok(Some(first)), ask, hasher, seen);
    Box::pin(futures::stream::unfold(state, async |(options, ask, hasher, mut seen)| {
        let asked = match options {
            Ok(None) => return None,
            Ok(Some(options)) => ask(options).await,
            Err(error) => Err(error),
        };
        match asked {
            Ok((page, next)) => {
                let token = next.as_ref().and_then(Continued::continuation);
                let again = token.is_some_and(|token| !seen.insert(hasher.hash_one(token)));
                let next = if again { Err(circular(seen.len())) } else { Ok(next) };
                Some((Ok(page), (next, ask, hasher, seen)))
            }
            Err(error) => Some((Err(error), (Ok(None), ask, hasher, seen))),
        }
    }))
}

/// The end of a listing that has none.
fn circular(pages: usize) -> Error {
    let message = format!(
        "list: the service's pages go in a circle: after {pages} pages it gave a continuation that it had given before, so that \
         the rest cannot be listed"
    );
    Error::Integrity(Failure::ours("continuation", message))
}

/// The options that the further calls of a call inherit: its time limit, and the attributes that say how the service is to be
/// asked, but not those that say what is stored.
pub(crate) fn inherited(call: &CallOptions) -> CallOptions {
    let every = |name: &str| matches!(name, "sse-customer-key" | "request-payer" | "expected-bucket-owner");
    let attributes = call.attributes.iter().filter(|(name, _)| every(name)).cloned().collect();
    CallOptions { time_limit: call.time_limit, attributes }
}

/// The same, for calls that touch no content: they take no key.
pub(crate) fn without_customer_key(call: &CallOptions) -> CallOptions {
    let mut call = inherited(call);
    call.attributes.retain(|(name, _)| name != "sse-customer-key");
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call's future is made and moved with each call: what is seldom taken is behind a pointer.
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
