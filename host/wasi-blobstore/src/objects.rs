//! Operations on the objects of a container.

use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt;
use sandbucket::{Blob, BlobInfo, ByteRange, Error};

use crate::containers::{Containers, Place, on};
use crate::limits::BlobstoreLimits;
use crate::names::{check_object, shown};

impl Place {
    /// The key of an object.
    pub(crate) fn key(&self, object: &str) -> Result<String, String> {
        check_object(object, !self.prefix.is_empty())
            .map_err(|fault| format!("container {}: {fault}", shown(&self.container)))?;
        Ok(format!("{}{object}", self.prefix))
    }

    fn error(&self, error: &Error) -> String {
        on(&self.container, error)
    }

    fn no_object(&self, object: &str) -> String {
        format!("container {}: object {} does not exist", shown(&self.container), shown(object))
    }

    /// Opens the bytes from `start` to `end`, both included.
    pub(crate) async fn get(&self, object: &str, start: u64, end: u64) -> Result<Blob, String> {
        let key = self.key(object)?;
        let subject = || format!("container {}: object {}", shown(&self.container), shown(object));
        if end < start {
            return Err(format!("{}: the range ends at byte {end}, before it begins at byte {start}", subject()));
        }
        // No object has so many bytes, and not all services parse such numbers.
        let range = match (start, i64::try_from(end)) {
            (0, Err(_)) => ByteRange::Whole,
            (start, Err(_)) => ByteRange::from(start..),
            (start, Ok(_)) => ByteRange::from(start..=end),
        };
        match self.store.get(&key).range(range).await {
            // An empty object has no first byte.
            Err(Error::InvalidRange(_)) if start == 0 => {
                self.store.get(&key).range(0..0).await.map_err(|error| self.error(&error))
            }
            Err(Error::InvalidRange(_)) => {
                Err(format!("{}: it has no byte {start}, where the range begins", subject()))
            }
            Err(Error::NotFound(failure)) if !Error::NotFound(failure.clone()).is_missing_bucket() => {
                Err(self.no_object(object))
            }
            other => other.map_err(|error| self.error(&error)),
        }
    }

    /// Metadata; `None` if there is no such object.
    pub(crate) async fn info(&self, object: &str) -> Result<Option<BlobInfo>, String> {
        match self.store.head(self.key(object)?).await {
            Ok(info) => Ok(Some(info)),
            Err(error) if matches!(error, Error::NotFound(_)) && !error.is_missing_bucket() => Ok(None),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// # Errors
    /// Also if there is no such object.
    pub(crate) async fn existing(&self, object: &str) -> Result<BlobInfo, String> {
        self.info(object).await?.ok_or_else(|| self.no_object(object))
    }

    pub(crate) async fn delete(&self, object: &str) -> Result<(), String> {
        self.store.delete(self.key(object)?).await.map(drop).map_err(|error| self.error(&error))
    }

    pub(crate) async fn delete_many(&self, objects: &[String], limit: usize) -> Result<(), String> {
        let container = shown(&self.container);
        if objects.len() > limit {
            let count = objects.len();
            return Err(format!(
                "container {container}: {count} names at once; the host takes {limit}: delete fewer at a time"
            ));
        }
        let keys = objects.iter().map(|object| self.key(object)).collect::<Result<Vec<_>, _>>()?;
        self.delete_keys(keys).await
    }

    async fn delete_keys(&self, keys: Vec<String>) -> Result<(), String> {
        let count = keys.len();
        let outcomes = self.store.delete_many(&keys).await.map_err(|error| self.error(&error))?;
        let mut failed = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        match failed.next() {
            None => Ok(()),
            Some(first) => {
                let failed = 1 + failed.count();
                let container = shown(&self.container);
                Err(format!("container {container}: {failed} of {count} objects were not deleted; the first: {first}"))
            }
        }
    }

    /// Deletes all objects, page by page, until the limit of time.
    pub(crate) async fn clear(&self, limit: Duration) -> Result<(), String> {
        let end = Instant::now() + limit;
        let (mut continuation, mut deleted) = (None, 0_usize);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let container = shown(&self.container);
                return Err(format!(
                    "container {container}: {deleted} objects were deleted in {limit:?}, which the host allows; more are left: \
                     call it again"
                ));
            }
            let mut list = self.store.list(&self.prefix).time_limit(left);
            if let Some(continuation) = continuation {
                list = list.continuation(continuation);
            }
            let page = list.await.map_err(|error| self.error(&error))?;
            // The container's own blob stays.
            let keys: Vec<_> =
                page.entries.into_iter().map(|entry| entry.key).filter(|key| *key != self.prefix).collect();
            deleted += keys.len();
            if !keys.is_empty() {
                self.delete_keys(keys).await?;
            }
            match page.next {
                Some(next) => continuation = Some(next),
                None => return Ok(()),
            }
        }
    }
}

/// Copies an object within a container or to another, which must exist.
pub(crate) async fn copy(
    containers: &Containers,
    limits: &BlobstoreLimits,
    from: (&Place, &str),
    to: (&Place, &str),
) -> Result<(), String> {
    let ((source, object), (target, new)) = (from, to);
    let (key, new_key) = (source.key(object)?, target.key(new)?);
    if source.container == target.container && key == new_key {
        return source.existing(object).await.map(drop);
    }
    let copied = if containers.copies_at(source, target) {
        let mut copy = target.store.copy(&key, new_key);
        if source.prefix.is_empty() && source.container != target.container {
            copy = copy.from_bucket(&source.container);
        }
        copy.await
    } else {
        let blob = source.get(object, 0, u64::MAX).await?;
        let mut upload = target
            .store
            .upload(new_key)
            .part_size(limits.part_size.min(target.store.limits().max_put))
            .concurrency(limits.part_concurrency);
        let info = blob.info().clone();
        if let Some(size) = info.known_size() {
            upload = upload.length_hint(size);
        }
        if let Some(media_type) = info.content_type {
            upload = upload.content_type(media_type);
        }
        for (name, value) in info.metadata {
            upload = upload.metadata(name, value);
        }
        upload.stream(blob.boxed()).await
    };
    match copied {
        Ok(_) => Ok(()),
        Err(Error::NotFound(failure)) if !Error::NotFound(failure.clone()).is_missing_bucket() => {
            Err(source.no_object(object))
        }
        Err(error) => Err(target.error(&error)),
    }
}

/// Copies an object, and deletes the source.
pub(crate) async fn rename(
    containers: &Containers,
    limits: &BlobstoreLimits,
    from: (&Place, &str),
    to: (&Place, &str),
) -> Result<(), String> {
    copy(containers, limits, from, to).await?;
    if from.0.container == to.0.container && from.1 == to.1 {
        return Ok(());
    }
    from.0
        .delete(from.1)
        .await
        .map_err(|error| format!("the object was copied, and the source is still there: {error}"))
}

/// A time in seconds since 1970, as the interface has it: 0 if it is unknown.
pub(crate) fn timestamp(time: Option<SystemTime>) -> u64 {
    let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}
