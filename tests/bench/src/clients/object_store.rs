//! `object_store`, the client of Arrow and DataFusion.
//!
//! - Default client options and retries: connections are pooled without limit, with `TCP_NODELAY`.
//! - No checksum, its default; the payload is signed, its default, or not, as the row requires.
//! - Uploads use its own `WriteMultipart`. It has no concurrent download, so ranges are fetched concurrently, as its users
//!   do.
//! - TLS: its own option for another certificate authority.

use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{Certificate, ClientOptions, GetOptions, ObjectStore as _, ObjectStoreExt, WriteMultipart};

use super::{Client, Large, Target, parts};
use crate::rows::Payload;
use crate::server::{BUCKET, SECRET_KEY};

pub struct ObjectStore {
    store: Arc<AmazonS3>,
}

impl Client for ObjectStore {
    type Shared = ();

    fn shared() -> Result<()> {
        Ok(())
    }

    async fn open(_: &(), target: &Target) -> Result<Self> {
        let mut options = ClientOptions::new().with_allow_http(true);
        if let Some(file) = &target.ca_file {
            let pem = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            options = options.with_root_certificate(Certificate::from_pem(&pem)?);
        }
        let store = AmazonS3Builder::new()
            .with_endpoint(&target.endpoint)
            .with_bucket_name(BUCKET)
            .with_region("us-east-1")
            .with_access_key_id(&target.access_key)
            .with_secret_access_key(SECRET_KEY)
            .with_unsigned_payload(target.payload == Payload::Unsigned)
            .with_client_options(options)
            .build()?;
        Ok(ObjectStore { store: Arc::new(store) })
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        self.store.put(&Path::from(key), body.into()).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<u64> {
        let mut pieces = self.store.get(&Path::from(key)).await?.into_stream();
        let mut count = 0;
        while let Some(piece) = pieces.try_next().await? {
            count += piece.len() as u64;
        }
        Ok(count)
    }

    async fn head(&self, key: &str) -> Result<u64> {
        Ok(self.store.head(&Path::from(key)).await?.size)
    }

    async fn list(&self, prefix: &str) -> Result<u64> {
        let mut entries = self.store.list(Some(&Path::from(prefix)));
        let mut count = 0;
        while entries.try_next().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    async fn upload(&self, key: &str, large: Large) -> Result<()> {
        let upload = self.store.put_multipart(&Path::from(key)).await?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, usize::try_from(large.part)?);
        for body in large.bodies() {
            // One less, because the part put next is in flight as well.
            writer.wait_for_capacity(large.at_once - 1).await?;
            writer.put(body);
        }
        writer.finish().await?;
        Ok(())
    }

    async fn download(&self, key: &str, large: Large) -> Result<u64> {
        let ranges = large.ranges().map(|range| {
            let (store, path) = (self.store.clone(), Path::from(key));
            async move {
                let pieces = store.get_opts(&path, GetOptions::new().with_range(Some(range))).await?.into_stream();
                Ok(pieces.try_collect().await?)
            }
        });
        parts::fetch(large.at_once, ranges).await
    }
}
