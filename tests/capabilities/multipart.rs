//! Multipart uploads.

use futures::TryStreamExt;
use sandbucket::{Error, Part, Store};

use crate::probe::{Lack, Probe, holds, same};
use crate::{must_refuse, probe};

/// Minimum size of a part other than the last.
const LEAST: usize = 5 << 20;

pub fn probes() -> Vec<Probe> {
    vec![
        probe!("upload in parts", |b| {
            let id = b.store.create_upload(b.key("k")).content_type("text/x-a").metadata("m", "1").await?;
            let parts = two(&b.store, &b.key("k"), &id).await?;
            b.store.complete_upload(b.key("k"), &id, parts).await?;
            let blob = b.store.get(b.key("k")).range(LEAST as u64 - 1..).await?;
            same("the media type", blob.info().content_type.as_deref(), Some("text/x-a"))?;
            same("the metadata", blob.info().metadata.clone(), vec![("m".to_owned(), "1".to_owned())])?;
            same("the body", blob.bytes().await?, "aend".into())?;
        }),
        probe!("a part replaced", |b| {
            let id = b.store.create_upload(b.key("k")).await?;
            b.store.upload_part(b.key("k"), &id, 1, "first").await?;
            let part = b.store.upload_part(b.key("k"), &id, 1, "second").await?;
            b.store.complete_upload(b.key("k"), &id, [part]).await?;
            same("the body", b.store.get(b.key("k")).await?.bytes().await?, "second".into())?;
        }),
        probe!("list of parts", |b| {
            let id = b.store.create_upload(b.key("k")).await?;
            let parts = two(&b.store, &b.key("k"), &id).await?;
            let listed: Vec<Part> = b.store.list_parts(b.key("k"), &id).page_size(1).parts().try_collect().await?;
            let plain =
                |parts: &[Part]| -> Vec<_> { parts.iter().map(|part| (part.number, part.etag.clone())).collect() };
            same("the list", plain(&listed), plain(&parts))?;
            same("the size", listed[0].size, LEAST as u64)?;
            b.store.abort_upload(b.key("k"), &id).await?;
        }),
        probe!("a part copied from a blob", |b| {
            // S3 copies ranges only of blobs above 5 MiB.
            b.store.put(b.key("from"), vec![b'x'; 6 << 20]).await?;
            let id = b.store.create_upload(b.key("k")).await?;
            let part = b.store.copy_part(b.key("k"), &id, 1, b.key("from")).range(2..5 << 20).await?;
            b.store.complete_upload(b.key("k"), &id, [part]).await?;
            same("the size", b.store.head(b.key("k")).await?.size, (5 << 20) - 2)?;
        }),
        probe!("upload completed only if absent", |b| {
            b.store.put(b.key("k"), "there").await?;
            let id = b.store.create_upload(b.key("k")).await?;
            let part = b.store.upload_part(b.key("k"), &id, 1, "new").await?;
            must_refuse!(b.store.complete_upload(b.key("k"), &id, [part]).if_absent().await, PreconditionFailed);
        }),
        probe!("upload aborted", |b| {
            let id = b.store.create_upload(b.key("k")).await?;
            b.store.upload_part(b.key("k"), &id, 1, "x").await?;
            b.store.abort_upload(b.key("k"), &id).await?;
            match b.store.list_parts(b.key("k"), &id).await {
                Err(Error::NotFound(_)) => {}
                Err(other) => return Err(other.into()),
                Ok(page) => holds(page.parts.is_empty(), || "keeps the parts".to_owned())?,
            }
        }),
        probe!("list of uploads", |b| {
            let id = b.store.create_upload(b.key("k")).await?;
            let uploads: Vec<_> = b.store.list_uploads(b.key("")).uploads().try_collect().await?;
            let found = uploads.iter().any(|upload| upload.key == b.key("k") && upload.id == id);
            holds(found, || format!("lists {uploads:?}"))?;
            b.store.abort_upload(b.key("k"), &id).await?;
        }),
        probe!("upload of a stream of unknown length", |b| {
            let body = vec![b'x'; 2 * LEAST + 17];
            let pieces: Vec<Result<Vec<u8>, std::io::Error>> =
                body.chunks(1 << 20).map(|piece| Ok(piece.to_vec())).collect();
            let stream = futures::stream::iter(pieces);
            b.store.upload(b.key("k")).part_size(LEAST).stream(stream).await?;
            holds(b.store.get(b.key("k")).await?.bytes().await? == body, || "gives back another body".to_owned())?;
        }),
    ]
}

async fn two(store: &Store, key: &str, id: &str) -> Result<Vec<Part>, Lack> {
    let first = store.upload_part(key, id, 1, vec![b'a'; LEAST]).await?;
    let last = store.upload_part(key, id, 2, "end").await?;
    Ok(vec![first, last])
}
