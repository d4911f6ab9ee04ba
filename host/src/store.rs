//! A store as callers use it, and how it is opened.

use std::sync::Arc;

use bytes::Bytes;

use crate::calls::Calls;
use crate::error::Result;
use crate::pool::{Pool, PoolStatus};
use crate::requests::{Delete, Get, Head, Put};
use crate::transport::{Egress, TlsOptions};

/// How a store is opened: the plugin's settings, and what the host itself must know.
///
/// ```no_run
/// # async fn example(engine: sandbucket::Engine) -> sandbucket::Result<()> {
/// use sandbucket::{StoreOptions, TlsOptions};
///
/// let tls = TlsOptions { ca_file: Some("/etc/ssl/minio.pem".into()), ..TlsOptions::default() };
/// let options = StoreOptions::new().setting("bucket", "photos").setting("endpoint", "https://minio.internal").tls(tls);
/// let store = engine.open(options).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct StoreOptions {
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) tls: TlsOptions,
    pub(crate) egress: Option<Egress>,
}

impl StoreOptions {
    /// No settings yet.
    pub fn new() -> Self {
        StoreOptions::default()
    }

    /// One setting more.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Some settings more.
    pub fn settings<N: Into<String>, V: Into<String>>(mut self, settings: impl IntoIterator<Item = (N, V)>) -> Self {
        self.settings.extend(settings.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Which certificates to trust.
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// What the plugin may reach. Default: the authority that the settings name, and the bucket's name before it.
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = Some(egress);
        self
    }
}

impl std::fmt::Debug for StoreOptions {
    /// Names only: which values are secret is the plugin's to know.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.settings.iter().map(|(name, _)| name.as_str()).collect();
        let mut shown = f.debug_struct("StoreOptions");
        shown.field("settings", &names).field("tls", &self.tls).field("egress", &self.egress).finish()
    }
}

/// An open store: one bucket, one set of credentials, and sandboxes of its own.
///
/// Cloning it is cheap and gives the same store. Calls may be made from any task, as many at once as
/// [`Limits::instances_per_store`](crate::Limits::instances_per_store); further ones wait. A call whose future is
/// dropped is broken off; a write may then have taken effect or not.
///
/// ```no_run
/// # async fn example(store: sandbucket::Store) -> sandbucket::Result<()> {
/// store.put("a.txt", "some text").content_type("text/plain").metadata("author", "me").await?;
/// let first = store.get("a.txt").range(0..4).await?.bytes().await?;
/// assert_eq!(first, "some");
/// let info = store.head("a.txt").await?;
/// if let Some(etag) = info.etag {
///     store.put("a.txt", "other text").if_match(etag).await?;
/// }
/// store.delete("a.txt").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Store {
    calls: Calls,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("pool", &self.calls.status()).finish()
    }
}

impl Store {
    pub(crate) async fn open(pool: Arc<Pool>) -> Result<Store> {
        Ok(Store { calls: Calls::open(pool).await? })
    }

    /// What is known of a blob, without its content.
    pub fn head(&self, key: impl Into<String>) -> Head {
        Head::new(self.calls.clone(), key.into())
    }

    /// Reads a blob, or a part of it.
    pub fn get(&self, key: impl Into<String>) -> Get {
        Get::new(self.calls.clone(), key.into())
    }

    /// Writes a blob. It is there whole or not at all.
    pub fn put(&self, key: impl Into<String>, body: impl Into<Bytes>) -> Put {
        Put::new(self.calls.clone(), key.into(), body.into())
    }

    /// Deletes a blob. That it was not there is no error.
    pub fn delete(&self, key: impl Into<String>) -> Delete {
        Delete::new(self.calls.clone(), key.into())
    }

    /// What the store's sandboxes are doing.
    pub fn pool(&self) -> PoolStatus {
        self.calls.status()
    }
}
