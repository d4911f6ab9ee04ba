//! Reads, presigned URLs, and access control.

use std::time::Duration;

use sandbucket::{ByteRange, PresignedMethod};
use sandbucket_tests::plain;

use crate::probe::{Lack, Probe, same};
use crate::{must_refuse, probe};

const HOUR: Duration = Duration::from_secs(3600);

pub fn probes() -> Vec<Probe> {
    vec![
        probe!("get", |b| {
            b.store.put(b.key("k"), "0123456789").await?;
            same("the body", b.store.get(b.key("k")).await?.bytes().await?, "0123456789".into())?;
        }),
        probe!("get of a range", |b| {
            b.store.put(b.key("k"), "0123456789").await?;
            let blob = b.store.get(b.key("k")).range(3..7).await?;
            same("the size", blob.info().size, 10)?;
            same("the body", blob.bytes().await?, "3456".into())?;
        }),
        probe!("get of the last bytes", |b| {
            b.store.put(b.key("k"), "0123456789").await?;
            let blob = b.store.get(b.key("k")).range(ByteRange::Last(3)).await?;
            same("the body", blob.bytes().await?, "789".into())?;
        }),
        probe!("get if the tag matches, or does not", |b| {
            let tag = b.store.put(b.key("k"), "x").await?.etag.unwrap_or_default();
            b.store.get(b.key("k")).if_match(&tag).await?;
            must_refuse!(b.store.get(b.key("k")).if_match("\"other\"").await, PreconditionFailed);
            must_refuse!(b.store.get(b.key("k")).if_none_match(&tag).await, NotModified);
        }),
        probe!("get if modified since, or not since", |b| {
            b.store.put(b.key("k"), "x").await?;
            let Some(written) = b.store.head(b.key("k")).await?.last_modified else {
                return Err(Lack::Service("does not say when a blob was written".to_owned()));
            };
            b.store.get(b.key("k")).if_modified_since(written - HOUR).await?;
            must_refuse!(b.store.get(b.key("k")).if_modified_since(written).await, NotModified);
            must_refuse!(b.store.get(b.key("k")).if_unmodified_since(written - HOUR).await, PreconditionFailed);
        }),
        probe!("presigned get", |b| {
            b.store.put(b.key("a b"), "body").await?;
            let signed = b.store.presign(PresignedMethod::Get, b.key("a b")).expires(HOUR).await?;
            let got = plain::fetch("GET", &signed.url, &signed.headers, "").await.map_err(lost)?;
            same("the status", got.status, 200)?;
            same("the body", got.body, "body".into())?;
        }),
        probe!("presigned get with a changed media type", |b| {
            b.store.put(b.key("k"), "body").await?;
            let presign = b.store.presign(PresignedMethod::Get, b.key("k"));
            let signed = presign.attribute("response-content-type", "text/x-changed").await?;
            let got = plain::fetch("GET", &signed.url, &signed.headers, "").await.map_err(lost)?;
            same("the status", got.status, 200)?;
            same("the media type", got.content_type.as_deref(), Some("text/x-changed"))?;
        }),
        probe!("presigned put", |b| {
            let signed = b.store.presign(PresignedMethod::Put, b.key("k")).await?;
            let put = plain::fetch("PUT", &signed.url, &signed.headers, "body").await.map_err(lost)?;
            same("the status", put.status, 200)?;
            same("the body", b.store.get(b.key("k")).await?.bytes().await?, "body".into())?;
        }),
        probe!("a changed presigned URL is refused", |b| {
            b.store.put(b.key("k"), "body").await?;
            b.store.put(b.key("other"), "secret").await?;
            let signed = b.store.presign(PresignedMethod::Get, b.key("k")).await?;
            let changed = signed.url.replacen(&b.key("k"), &b.key("other"), 1);
            let got = plain::fetch("GET", &changed, &signed.headers, "").await.map_err(lost)?;
            same("the status", got.status, 403)?;
        }),
        probe!("a wrong signature is refused", |b| {
            b.store.put(b.key("k"), "x").await?;
            let wrong = [("secret-key", "0000000000000000000000000000000000000000000000000000000000000000")];
            let stranger = b.service.try_open(&wrong).await?;
            must_refuse!(stranger.get(b.key("k")).await, AccessDenied);
            must_refuse!(stranger.put(b.key("k"), "y").await, AccessDenied);
        }),
        probe!("an unsigned request is refused", |b| {
            b.store.put(b.key("k"), "x").await?;
            let nobody = [("access-key", ""), ("secret-key", ""), ("max-retries", "0")];
            must_refuse!(b.service.try_open(&nobody).await?.get(b.key("k")).await, AccessDenied);
        }),
        probe!("an unsigned payload is taken", |b| {
            let store = b.service.try_open(&[("payload-signing", "unsigned")]).await?;
            store.put(b.key("k"), "x").await?;
            same("the body", store.get(b.key("k")).await?.bytes().await?, "x".into())?;
        }),
    ]
}

/// The plain client got no response.
fn lost(error: anyhow::Error) -> Lack {
    Lack::Service(format!("sends no response ({error:#})"))
}
