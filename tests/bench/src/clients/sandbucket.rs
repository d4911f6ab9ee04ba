//! Sandbucket with its default limits.
//!
//! - `checksum` is `none`: no other client here adds a checksum of its own.
//! - `addressing-style` is `path`, as for all: the servers have an address and no name.
//! - One engine per process, as its documentation recommends; the engine owns the connections.
//!
//! `SANDBUCKET_BENCH_PLUGIN` selects another build of the plugin.

use std::any::Any;

use anyhow::Result;
use bytes::Bytes;
use futures::TryStreamExt;
use sandbucket::{Engine, Limits, Store, StoreOptions, TlsOptions};

use super::{Client, Large, Target};
use crate::rows::Payload;
use crate::server::{BUCKET, SECRET_KEY};

pub struct Sandbucket {
    store: Store,
}

impl Client for Sandbucket {
    type Shared = Engine;

    fn shared() -> Result<Engine> {
        match std::env::var_os("SANDBUCKET_BENCH_PLUGIN") {
            Some(file) => Ok(Engine::builder().plugin_file(std::path::Path::new(&file)).build()?),
            None => Ok(Engine::new(Limits::default())?),
        }
    }

    async fn open(engine: &Engine, target: &Target) -> Result<Self> {
        let payload = match target.payload {
            Payload::Signed => "signed",
            Payload::Unsigned => "unsigned",
        };
        let options = StoreOptions::new()
            .settings([
                ("bucket", BUCKET),
                ("region", "us-east-1"),
                ("endpoint", target.endpoint.as_str()),
                ("access-key", target.access_key.as_str()),
                ("secret-key", SECRET_KEY),
                ("addressing-style", "path"),
                ("payload-signing", payload),
                ("checksum", "none"),
            ])
            // The benchmark's servers are on this machine.
            .allow_private()
            .tls(TlsOptions { ca_file: target.ca_file.clone(), ..TlsOptions::default() });
        Ok(Sandbucket { store: engine.open(options).await? })
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        self.store.put(key, body).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<u64> {
        let mut blob = self.store.get(key).await?;
        let mut count = 0;
        while let Some(piece) = blob.try_next().await? {
            count += piece.len() as u64;
        }
        Ok(count)
    }

    async fn head(&self, key: &str) -> Result<u64> {
        Ok(self.store.head(key).await?.size)
    }

    async fn list(&self, prefix: &str) -> Result<u64> {
        let mut entries = self.store.list(prefix).entries();
        let mut count = 0;
        while entries.try_next().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    async fn upload(&self, key: &str, large: Large) -> Result<()> {
        let bodies = futures::stream::iter(large.bodies().map(Ok::<_, std::io::Error>));
        let upload = self.store.upload(key).part_size(usize::try_from(large.part)?).concurrency(large.at_once);
        upload.stream(bodies).await?;
        Ok(())
    }

    async fn download(&self, key: &str, large: Large) -> Result<u64> {
        let download = self.store.download(key).part_size(large.part).concurrency(large.at_once);
        let mut pieces = download.await?;
        let mut count = 0;
        while let Some(piece) = pieces.try_next().await? {
            count += piece.len() as u64;
        }
        Ok(count)
    }

    async fn instance(engine: &Engine) -> Result<Box<dyn Any + Send>> {
        Ok(Box::new(engine.instance().await?))
    }
}
