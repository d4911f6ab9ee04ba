//! Calls in the making: what may be said of each before it is awaited.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::bindings::{datetime, wit};
use crate::blob::{BlobInfo, ByteRange, Written};
use crate::calls::{Call, Calls, no_conditions};
use crate::error::{Error, Failure, Result};
use crate::reading::Blob;
use crate::transport::Progress;

/// The setters that calls share.
macro_rules! every_call {
    () => {
        /// Bounds the whole call: tries, pauses and waiting together. Never above
        /// [`Limits::call_time`](crate::Limits::call_time), which is the default.
        pub fn time_limit(mut self, limit: Duration) -> Self {
            self.options.call.time_limit = Some(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
            self
        }

        /// An option by the name that the plugin gives it. One that it does not know is
        /// [`Error::Unsupported`](crate::Error::Unsupported).
        pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.options.call.attributes.push((name.into(), value.into()));
            self
        }
    };
}

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
            self.options.conditions.if_modified_since = Some(datetime(time));
            self
        }

        /// Only if it was not written after this, to the second, else
        /// [`Error::PreconditionFailed`](crate::Error::PreconditionFailed).
        pub fn if_unmodified_since(mut self, time: SystemTime) -> Self {
            self.options.conditions.if_unmodified_since = Some(datetime(time));
            self
        }

        /// This version, not the current one.
        pub fn version(mut self, version: impl Into<String>) -> Self {
            self.options.version = Some(version.into());
            self
        }
    };
}

fn call_options(calls: &Calls) -> wit::CallOptions {
    let limit = u64::try_from(calls.limits().call_time.as_nanos()).unwrap_or(u64::MAX);
    wit::CallOptions { time_limit: Some(limit), attributes: Vec::new() }
}

/// [`Store::head`](crate::Store::head) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Head {
    calls: Calls,
    key: String,
    options: wit::HeadOptions,
}

impl Head {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        let call = call_options(&calls);
        Head { calls, key, options: wit::HeadOptions { conditions: no_conditions(), version: None, call } }
    }

    every_read!();
    every_call!();
}

impl IntoFuture for Head {
    type Output = Result<BlobInfo>;
    type IntoFuture = Call<BlobInfo>;

    fn into_future(mut self) -> Call<BlobInfo> {
        Box::pin(async move { self.calls.head(&self.key, &mut self.options).await })
    }
}

/// [`Store::get`](crate::Store::get) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Get {
    calls: Calls,
    key: String,
    options: wit::ReadOptions,
}

impl Get {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        let options = wit::ReadOptions {
            range: wit::ByteRange::Whole,
            conditions: no_conditions(),
            version: None,
            max_bytes: Some(calls.limits().chunk as u64),
            call: call_options(&calls),
        };
        Get { calls, key, options }
    }

    /// Only this part of it: `0..100`, `100..`, [`ByteRange::Last(100)`](ByteRange::Last) and so on.
    pub fn range(mut self, range: impl Into<ByteRange>) -> Self {
        self.options.range = range.into().into();
        self
    }

    every_read!();
    every_call!();
}

impl IntoFuture for Get {
    type Output = Result<Blob>;
    type IntoFuture = Call<Blob>;

    fn into_future(self) -> Call<Blob> {
        Box::pin(Blob::open(self.calls, self.key, self.options))
    }
}

/// [`Store::put`](crate::Store::put) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Put {
    calls: Calls,
    key: String,
    body: Bytes,
    options: wit::WriteOptions,
    progress: Option<Progress>,
}

impl Put {
    pub(crate) fn new(calls: Calls, key: String, body: Bytes) -> Self {
        let options = wit::WriteOptions {
            content_type: None,
            metadata: Vec::new(),
            condition: wit::WriteCondition::Always,
            call: call_options(&calls),
        };
        Put { calls, key, body, options, progress: None }
    }

    /// The media type to store with it.
    pub fn content_type(mut self, media_type: impl Into<String>) -> Self {
        self.options.content_type = Some(media_type.into());
        self
    }

    /// One more piece of the user's own metadata.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.metadata.push((name.into(), value.into()));
        self
    }

    /// Only if no blob of this key is there, else [`Error::PreconditionFailed`].
    pub fn if_absent(mut self) -> Self {
        self.options.condition = wit::WriteCondition::IfAbsent;
        self
    }

    /// Only if the blob that is there has this entity tag, else [`Error::PreconditionFailed`].
    pub fn if_match(mut self, etag: impl Into<String>) -> Self {
        self.options.condition = wit::WriteCondition::IfMatch(etag.into());
        self
    }

    /// Is told how many bytes of the body have gone out, as they go; from 0 again with each further try.
    pub fn progress(mut self, told: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(told));
        self
    }

    every_call!();
}

impl IntoFuture for Put {
    type Output = Result<Written>;
    type IntoFuture = Call<Written>;

    fn into_future(mut self) -> Call<Written> {
        Box::pin(async move {
            let most = self.calls.limits().max_put;
            if self.body.len() > most {
                let message = format!(
                    "put \"{}\": the body has {} bytes; `max-put` allows {most} at once",
                    self.key,
                    self.body.len()
                );
                return Err(Error::TooLarge(Failure::ours("body", message)));
            }
            self.calls.put(&self.key, &self.body, &mut self.options, self.progress).await
        })
    }
}

/// [`Store::delete`](crate::Store::delete) in the making. Await it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Delete {
    calls: Calls,
    key: String,
    options: wit::DeleteOptions,
}

impl Delete {
    pub(crate) fn new(calls: Calls, key: String) -> Self {
        let call = call_options(&calls);
        Delete { calls, key, options: wit::DeleteOptions { version: None, call } }
    }

    /// This version, for good.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.options.version = Some(version.into());
        self
    }

    every_call!();
}

impl IntoFuture for Delete {
    type Output = Result<()>;
    type IntoFuture = Call<()>;

    fn into_future(mut self) -> Call<()> {
        Box::pin(async move { self.calls.delete(&self.key, &mut self.options).await })
    }
}
