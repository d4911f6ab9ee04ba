//! Multipart uploads: `MultipartStore` and `MultipartUpload`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, MultipartUpload, PutMultipartOptions, PutPayload, PutResult, Result, UploadPart};
use sandbucket::{Part, Store};

use super::SandbucketStore;
use super::convert::{Properties, error, generic, put_result, with_properties};

/// Separates a part's ETag from its attributes in a `PartId`: neither contains it.
const SEPARATOR: char = '\n';

#[async_trait]
impl MultipartStore for SandbucketStore {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.create_multipart_opts(path, PutMultipartOptions::default()).await
    }

    async fn create_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<MultipartId> {
        let properties = Properties::of(&options.attributes, &options.tags)?;
        let upload = with_properties!(self.store.create_upload(path.as_ref()), properties);
        upload.await.map_err(|failed| error(path.as_ref(), failed))
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, index: usize, data: PutPayload) -> Result<PartId> {
        let part = self.store.upload_part(path.as_ref(), id, number(index)?, Bytes::from(data)).await;
        let part = part.map_err(|failed| error(path.as_ref(), failed))?;
        let mut content_id = part.etag;
        for (name, value) in part.attributes {
            content_id.push_str(&format!("{SEPARATOR}{name}={value}"));
        }
        Ok(PartId { content_id })
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        let parts =
            parts.into_iter().enumerate().map(|(index, part)| read(index, &part)).collect::<Result<Vec<_>>>()?;
        complete(&self.store, path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.store.abort_upload(path.as_ref(), id).await.map_err(|failed| error(path.as_ref(), failed))
    }
}

async fn complete(store: &Store, path: &Path, id: &str, mut parts: Vec<Part>) -> Result<PutResult> {
    let failed = |failed| error(path.as_ref(), failed);
    if parts.is_empty() {
        // An empty blob is one empty part.
        parts.push(store.upload_part(path.as_ref(), id, 1, Bytes::new()).await.map_err(failed)?);
    }
    store.complete_upload(path.as_ref(), id, parts).await.map(put_result).map_err(failed)
}

/// S3 numbers parts from 1.
fn number(index: usize) -> Result<u32> {
    let number = index.checked_add(1).and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| generic(format!("an upload has no part {index}")))
}

/// Decodes a `PartId`.
fn read(index: usize, id: &PartId) -> Result<Part> {
    let mut lines = id.content_id.split(SEPARATOR);
    let mut part = Part::new(number(index)?, lines.next().unwrap_or_default());
    part.attributes =
        lines.filter_map(|line| line.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    Ok(part)
}

/// An upload that keeps track of its parts. The caller's parts in flight are in memory.
#[derive(Debug)]
pub(super) struct Parts {
    store: Store,
    path: Path,
    id: String,
    begun: usize,
    done: Arc<Mutex<Vec<Part>>>,
}

impl Parts {
    pub(super) fn new(store: Store, path: Path, id: String) -> Self {
        Parts { store, path, id, begun: 0, done: Arc::default() }
    }

    fn done(&self) -> MutexGuard<'_, Vec<Part>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MultipartUpload for Parts {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let number = number(self.begun);
        self.begun += 1;
        let (store, path, id, done) = (self.store.clone(), self.path.clone(), self.id.clone(), self.done.clone());
        Box::pin(async move {
            let part = store.upload_part(path.as_ref(), &id, number?, Bytes::from(data)).await;
            let part = part.map_err(|failed| error(path.as_ref(), failed))?;
            done.lock().unwrap_or_else(PoisonError::into_inner).push(part);
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        // Kept until the completion succeeds, so that a failed one can be retried.
        let mut parts = self.done().clone();
        if parts.len() != self.begun {
            return Err(generic(format!(
                "{} of {} parts have not been uploaded",
                self.begun - parts.len(),
                self.begun
            )));
        }
        parts.sort_by_key(|part| part.number);
        complete(&self.store, &self.path, &self.id, parts).await
    }

    async fn abort(&mut self) -> Result<()> {
        let aborted = self.store.abort_upload(self.path.as_ref(), &self.id).await;
        aborted.map_err(|failed| error(self.path.as_ref(), failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_id_carries_the_checksum() {
        let part = read(4, &PartId { content_id: "\"e\"\nchecksum-crc32=y/Q5Jg==\na=b=c".to_owned() }).unwrap();
        assert_eq!((part.number, part.etag.as_str()), (5, "\"e\""));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(part.attributes, [pair("checksum-crc32", "y/Q5Jg=="), pair("a", "b=c")]);
        assert_eq!(read(0, &PartId { content_id: "\"e\"".to_owned() }).unwrap(), Part::new(1, "\"e\""));
        assert!(number(usize::MAX).is_err());
    }
}
