//! Metadata, encryption, and checksums.

use crate::probe;
use crate::probe::{Bench, Lack, Outcome, Probe, holds, same};

/// `123456789`, the usual check input of checksums, and each of its checksums in base64.
const CHECKED: &str = "123456789";
const CRC32: &str = "y/Q5Jg==";
const CRC32C: &str = "4waSgw==";
const CRC64NVME: &str = "rosUhgp5mIg=";
const SHA256: &str = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=";

pub fn probes() -> Vec<Probe> {
    vec![
        probe!("content headers (`cache-control`, …)", |b| {
            for (name, value) in [
                ("cache-control", "max-age=60"),
                ("content-disposition", "attachment; filename=\"a.txt\""),
                ("content-encoding", "x-own"),
                ("content-language", "fr"),
            ] {
                kept(&b, name, value).await?;
            }
        }),
        probe!("metadata", |b| {
            b.store.put(b.key("k"), "x").metadata("Colour", "dark blue").await?;
            same("the metadata", b.store.head(b.key("k")).await?.metadata, vec![pair("colour", "dark blue")])?;
        }),
        probe!("metadata beyond ASCII", |b| {
            b.store.put(b.key("k"), "x").metadata("colour", "très foncé, 青").await?;
            same("the metadata", b.store.head(b.key("k")).await?.metadata, vec![pair("colour", "très foncé, 青")])?;
        }),
        probe!("tags set and read", |b| {
            b.store.put(b.key("k"), "x").await?;
            b.store.set_tags(b.key("k"), [("stage", "draft"), ("a b", "é")]).await?;
            let mut tags = b.store.tags(b.key("k")).await?;
            tags.sort();
            same("the tags", tags, vec![pair("a b", "é"), pair("stage", "draft")])?;
        }),
        probe!("tags with the write", |b| {
            b.store.put(b.key("k"), "x").attribute("tags", "stage=draft").await?;
            same("the tags", b.store.tags(b.key("k")).await?, vec![pair("stage", "draft")])?;
        }),
        probe!("storage class `STANDARD_IA`", |b| { kept(&b, "storage-class", "STANDARD_IA").await? }),
        probe!("ACL `private` taken", |b| {
            b.store.put(b.key("k"), "x").attribute("acl", "private").await?;
        }),
        probe!("encryption with the service's key (SSE-S3)", |b| {
            kept(&b, "server-side-encryption", "AES256").await?;
        }),
        probe!("encryption with a managed key (SSE-KMS)", |b| {
            kept(&b, "server-side-encryption", "aws:kms").await?;
        }),
        probe!("encryption with the caller's key (SSE-C)", |b| {
            let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
            b.store.put(b.key("k"), "x").attribute("sse-customer-key", key).await?;
            let blob = b.store.get(b.key("k")).attribute("sse-customer-key", key).await?;
            same("the body", blob.bytes().await?, "x".into())?;
            let open = b.store.get(b.key("k")).await.is_ok();
            holds(!open, || "gives the blob without the key as well".to_owned())?;
        }),
        probe!("CRC32 checked on write", |b| { checked(&b, "crc32", CRC32).await? }),
        probe!("CRC32C checked on write", |b| { checked(&b, "crc32c", CRC32C).await? }),
        probe!("CRC64NVME checked on write", |b| { checked(&b, "crc64nvme", CRC64NVME).await? }),
        probe!("SHA-256 checked on write", |b| { checked(&b, "sha256", SHA256).await? }),
        probe!("CRC32 given on read", |b| { given(&b, "crc32", CRC32).await? }),
        probe!("CRC32C given on read", |b| { given(&b, "crc32c", CRC32C).await? }),
        probe!("CRC64NVME given on read", |b| { given(&b, "crc64nvme", CRC64NVME).await? }),
        probe!("SHA-256 given on read", |b| { given(&b, "sha256", SHA256).await? }),
        probe!("`Content-MD5` taken", |b| {
            let store = b.service.try_open(&[("checksum", "md5")]).await?;
            store.put(b.key("k"), "x").await?;
            same("the body", store.get(b.key("k")).await?.bytes().await?, "x".into())?;
        }),
    ]
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Whether a property of a write is returned by a HEAD.
async fn kept(b: &Bench<'_>, name: &str, value: &str) -> Outcome {
    b.store.put(b.key(name), "x").attribute(name, value).await?;
    let attributes = b.store.head(b.key(name)).await?.attributes;
    let found = attributes.into_iter().find(|(known, _)| known == name).map(|(_, value)| value);
    match found {
        Some(found) => same(name, found.as_str(), value),
        None => Err(Lack::Service(format!("does not keep `{name}`"))),
    }
}

/// Whether the right checksum is accepted and a wrong one rejected.
async fn checked(b: &Bench<'_>, name: &str, right: &str) -> Outcome {
    let attribute = format!("checksum-{name}");
    b.store.put(b.key("right"), CHECKED).attribute(&attribute, right).await?;
    // The checksum of another body.
    match b.store.put(b.key("wrong"), "987654321").attribute(&attribute, right).await {
        Ok(_) => Err(Lack::Service("takes a wrong one".to_owned())),
        Err(error) => match error.failure().and_then(|failure| failure.response.as_ref()) {
            Some(response) if response.status == 400 => Ok(()),
            _ => Err(error.into()),
        },
    }
}

/// Whether the checksum that the plugin sends is returned with the blob, which the plugin then verifies.
async fn given(b: &Bench<'_>, name: &str, right: &str) -> Outcome {
    let store = b.service.try_open(&[("checksum", name)]).await?;
    store.put(b.key("k"), CHECKED).await?;
    let blob = store.get(b.key("k")).await?;
    let attribute = format!("checksum-{name}");
    let found = blob.info().attributes.iter().find(|(known, _)| *known == attribute).map(|(_, value)| value.clone());
    same("the body", blob.bytes().await?, CHECKED.into())?;
    match found {
        Some(found) => same("the checksum", found.as_str(), right),
        None => Err(Lack::Service("does not say it".to_owned())),
    }
}
