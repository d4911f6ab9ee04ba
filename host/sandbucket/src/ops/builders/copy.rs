//! `copy` and `rename`: server-side copies.

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
/// Copies a blob of up to 256 MiB with one request, a larger one as a concurrent multipart copy, since a single request may
/// take the service minutes. A HEAD of the source determines the size; [`length_hint`](Copy::length_hint) saves it. If a
/// multipart copy fails or is dropped, its upload is aborted.
///
/// A copy [from another bucket](Copy::from_bucket) always takes one request, as the store's own requests do not reach the
/// source: S3 copies up to 5 GiB this way. A larger one is [`Error::TooLarge`](crate::Error::TooLarge):
/// [`CopyPart::from_bucket`](crate::CopyPart::from_bucket) copies it part by part.
///
/// # Errors
/// [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown) if the service does not respond within the setting
/// `completion-timeout`: it may have made the copy, or may still be making it.
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
    /// `key-prefix` does not apply to its keys. Default: the store's own bucket.
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

    /// Replaces the source's properties by those set here: media type, metadata, and attributes such as `cache-control`.
    pub fn replace(mut self) -> Self {
        self.properties();
        self
    }

    /// Sets the media type. Replaces all properties, as [`replace`](Copy::replace) does.
    pub fn content_type(mut self, media_type: impl Into<String>) -> Self {
        self.properties().content_type = Some(media_type.into());
        self
    }

    /// Adds user metadata. Replaces all properties, as [`replace`](Copy::replace) does.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties().metadata.push((name.into(), value.into()));
        self
    }

    fn properties(&mut self) -> &mut Properties {
        self.options.properties.get_or_insert_default()
    }

    /// Part size in bytes: 5 MiB to 5 GiB. Blobs larger than a part are copied in parts. Default: 128 MiB, or more if the
    /// blob would otherwise have too many parts.
    pub fn part_size(mut self, bytes: u64) -> Self {
        self.part_size = Some(bytes);
        self
    }

    /// Length of the source in bytes, for example from a listing. Saves the HEAD of the source.
    pub fn length_hint(mut self, bytes: u64) -> Self {
        self.length = Some(bytes);
        self
    }

    /// Takes over the options of another call.
    pub(crate) fn with(self, options: CopyOptions) -> Self {
        Copy { options, ..self }
    }

    every_source!();
    write_condition!(options.condition);
    every_call!();

    async fn call(self) -> Result<Written> {
        let Copy { calls, source, to, options, part_size, length } = self;
        let request = multipart_copy::CopyRequest { calls: &calls, source, to: &to, options, part_size, length };
        multipart_copy::copy(request).await
    }
}

awaited!(Copy => Written, call);

/// Request builder of [`Store::rename`](crate::Store::rename). Await it.
/// Services have no rename: this copies the blob and then deletes the source. In between both exist; if the deletion fails,
/// this fails, and both remain.
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
