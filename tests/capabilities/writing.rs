//! Writes and copies, their preconditions, and keys that not every service supports.

use std::time::Duration;

use sandbucket::Store;

use crate::probe::{Lack, Outcome, Probe, holds, same};
use crate::{must_refuse, probe};

const HOUR: Duration = Duration::from_secs(3600);

pub fn probes() -> Vec<Probe> {
    vec![
        probe!("put", |b| {
            b.store.put(b.key("k"), "x").await?;
            same("the size", b.store.head(b.key("k")).await?.size, 1)?;
        }),
        probe!("put only if absent", |b| {
            b.store.put(b.key("k"), "first").if_absent().await?;
            must_refuse!(b.store.put(b.key("k"), "second").if_absent().await, PreconditionFailed);
        }),
        probe!("put only over a known tag", |b| {
            let tag = b.store.put(b.key("k"), "first").await?.etag.unwrap_or_default();
            b.store.put(b.key("k"), "second").if_match(&tag).await?;
            must_refuse!(b.store.put(b.key("k"), "third").if_match(&tag).await, PreconditionFailed);
        }),
        probe!("copy", |b| {
            b.store.put(b.key("a b/é"), "body").content_type("text/x-a").metadata("m", "1").await?;
            b.store.copy(b.key("a b/é"), b.key("to")).await?;
            let blob = b.store.get(b.key("to")).await?;
            same("the media type", blob.info().content_type.as_deref(), Some("text/x-a"))?;
            same("the metadata", blob.info().metadata.clone(), vec![("m".to_owned(), "1".to_owned())])?;
            same("the body", blob.bytes().await?, "body".into())?;
        }),
        probe!("copy with other metadata", |b| {
            b.store.put(b.key("from"), "body").content_type("text/x-a").metadata("m", "1").await?;
            b.store.copy(b.key("from"), b.key("to")).replace().content_type("text/x-b").metadata("n", "2").await?;
            let info = b.store.head(b.key("to")).await?;
            same("the media type", info.content_type.as_deref(), Some("text/x-b"))?;
            same("the metadata", info.metadata, vec![("n".to_owned(), "2".to_owned())])?;
        }),
        probe!("copy if the source's tag matches, or does not", |b| {
            let tag = b.store.put(b.key("from"), "x").await?.etag.unwrap_or_default();
            b.store.copy(b.key("from"), b.key("to")).source_if_match(&tag).await?;
            must_refuse!(
                b.store.copy(b.key("from"), b.key("to")).source_if_match("\"other\"").await,
                PreconditionFailed
            );
            must_refuse!(b.store.copy(b.key("from"), b.key("to")).source_if_none_match(&tag).await, PreconditionFailed);
        }),
        probe!("copy if the source was modified since, or not since", |b| {
            b.store.put(b.key("from"), "x").await?;
            let Some(written) = b.store.head(b.key("from")).await?.last_modified else {
                return Err(Lack::Service("does not say when a blob was written".to_owned()));
            };
            let copy = || b.store.copy(b.key("from"), b.key("to"));
            copy().source_if_modified_since(written - HOUR).await?;
            must_refuse!(copy().source_if_modified_since(written).await, PreconditionFailed);
            must_refuse!(copy().source_if_unmodified_since(written - HOUR).await, PreconditionFailed);
        }),
        probe!("copy only if absent", |b| {
            b.store.put(b.key("from"), "new").await?;
            b.store.copy(b.key("from"), b.key("free")).if_absent().await?;
            b.store.put(b.key("taken"), "old").await?;
            must_refuse!(b.store.copy(b.key("from"), b.key("taken")).if_absent().await, PreconditionFailed);
        }),
        probe!("keys with marks of URLs (`+ % ? # &`)", |b| {
            hold(&b.store, ["+", "%", "%2F", "a?b#c", "&=;", "a b"].map(|key| b.key(key))).await?;
        }),
        probe!("keys that look like paths (`.. . //`)", |b| {
            hold(&b.store, ["a/../b", "a/./b", "a//b", "a/", "a//"].map(|key| b.key(key))).await?;
        }),
        probe!("keys that begin with `/`", |b| {
            let name = &b.folder;
            hold(&b.store, [name.clone(), format!("/{name}"), format!("//{name}")]).await?;
        }),
        probe!("keys beyond ASCII", |b| {
            hold(&b.store, ["é", "e\u{301}", "日本語", "🪣", "\u{10ffff}"].map(|key| b.key(key))).await?;
        }),
        probe!("keys with control characters", |b| {
            hold(&b.store, ["\u{1}", "\t", "\u{1b}[31m", "\u{7f}"].map(|key| b.key(key))).await?;
        }),
        probe!("keys with line feeds", |b| {
            hold(&b.store, ["a\nb", "a\r\nb", "\n"].map(|key| b.key(key))).await?;
        }),
        probe!("keys of 1,024 bytes", |b| {
            let name = b.key("");
            hold(&b.store, [format!("{name}{}", "n".repeat(1024 - name.len()))]).await?;
        }),
    ]
}

/// Whether the keys are distinct blobs: all are written before any is read.
async fn hold<const N: usize>(store: &Store, keys: [String; N]) -> Outcome {
    for key in &keys {
        store.put(key, key.clone()).await?;
    }
    for key in &keys {
        let body = store.get(key).await?.bytes().await?;
        holds(body == key.as_bytes(), || "takes two of them for one".to_owned())?;
        store.delete(key).await?;
        must_refuse!(store.head(key).await, NotFound);
    }
    Ok(())
}
