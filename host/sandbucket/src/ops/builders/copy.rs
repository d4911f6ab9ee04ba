//! Copying and renaming a blob, at the service.

use std::future::IntoFuture;
use std::time::{Duration, SystemTime};

use super::{awaited, every_call, every_source, write_condition};
use crate::error::Result;
use crate::ops::calls::{Call, Calls};
use crate::ops::multipart_copy;
use crate::ops::options::{CopyOptions, CopySource, Properties};
use crate::types::blob::{BlobName, Written};

/// Request builder of [`Store::copy`](crate::Store::copy). Await it.
///
/// A blob of up to 256 MiB is copied with one request, a larger one in parts, several at a time: the service may take minutes
/// for one request. To know the size takes a HEAD of the source, which [`length_hint`](Copy::length_hint) spares. When a copy in
/// parts fails, or is dropped, its upload is aborted.
///
/// A copy [from another bucket](Copy::from_bucket) is always made with one request, as the store's own requests do not reach the
/// source: S3 copies up to 5 GiB so. A larger one is [`Error::TooLarge`](crate::Error::TooLarge):
/// [`CopyPart::from_bucket`](crate::CopyPart::from_bucket) copies it part by part.
///
/// # Errors
/// [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) where the service did not respond within the setting `completion-timeout`: it may have made the
/// copy, or may still be at work on it.
#[must_use = "a call does nothing until it is awaited"]
pub struct Copy {
    calls: Calls,
    source: CopySource,
    to: String,
    options: CopyOptions,
    part_size: Option<u64>,
    length: Option<u64>,
}

impl Copy {
    pub(crate) fn new(calls: Calls, source: BlobName, to: String) -> Self {
        let (source, options) = (source.into(), CopyOptions::default());
        Copy { calls, source, to, options, part_size: None, length: None }
    }

    /// Copies from another bucket of the same service, which the store's credentials must be allowed to read. The setting
    /// `key-prefix` does not apply to keys in it. Default: the store's own bucket.
    ///
    /// ```no_run
    /// # async fn example(store: sandbucket::Store) -> sandbucket::Result<()> {
    /// store.copy("cat.jpg", "archive/cat.jpg").from_bucket("photos").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_bucket(mut self, bucket: impl Into<String>) -> Self {
        self.source.bucket = Some(bucket.into());
        self
    }

    /// Stores the copy with none of the source's properties, but with those said here: its media type, metadata, and
    /// attributes such as `cache-control`.
    pub fn replace(mut self) -> Self {
        self.properties();
        self
    }

    /// The media type to store with it. Replaces all properties, as [`replace`](Copy::replace) does.
    pub fn content_type(mut self, media_type: impl Into<String>) -> Self {
        self.properties().content_type = Some(media_type.into());
        self
    }

    /// One more piece of the user's own metadata. Replaces all properties, as [`replace`](Copy::replace) does.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties().metadata.push((name.into(), value.into()));
        self
    }

    fn properties(&mut self) -> &mut Properties {
        self.options.properties.get_or_insert_default()
    }

    /// How many bytes a part has: 5 MiB to 5 GiB. What is longer than a part is then copied in parts. Default: 128 MiB, or more
    /// where that would make more parts than an upload has.
    pub fn part_size(mut self, bytes: u64) -> Self {
        self.part_size = Some(bytes);
        self
    }

    /// How long the source is, in bytes, as a listing says: it is then not looked at before.
    pub fn length_hint(mut self, bytes: u64) -> Self {
        self.length = Some(bytes);
        self
    }

    /// With all that another call was told.
    pub(crate) fn with(self, options: CopyOptions) -> Self {
        Copy { options, ..self }
    }

    every_source!();
    write_condition!(options.condition);
    every_call!();

    async fn call(self) -> Result<Written> {
        let Copy { calls, source, to, options, part_size, length } = self;
        let order = multipart_copy::Order { calls: &calls, source, to: &to, options, part_size, length };
        multipart_copy::copy(order).await
    }
}

awaited!(Copy => Written, call);

/// Request builder of [`Store::rename`](crate::Store::rename). Await it.
///
/// Services have no such operation: it is a copy, and then the deletion of what was copied. Between the two both are
/// there, and where the deletion fails, so does this, and both stay.
#[must_use = "a call does nothing until it is awaited"]
pub struct Rename {
    calls: Calls,
    from: String,
    to: String,
    options: CopyOptions,
}

impl Rename {
    pub(crate) fn new(calls: Calls, from: String, to: String) -> Self {
        let Copy { calls, options, .. } = Copy::new(calls, BlobName::default(), String::new());
        Rename { calls, from, to, options }
    }

    write_condition!(options.condition);
    every_call!();

    async fn call(self) -> Result<Written> {
        let Rename { calls, from, to, options } = self;
        multipart_copy::rename(&calls, &from, to, options).await
    }
}

awaited!(Rename => Written, call);
