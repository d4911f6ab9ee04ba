//! The host of Sandbucket: it loads an S3 plugin into a WebAssembly sandbox, and gives a server its blobs.
//!
//! An [`Engine`] holds the compiled plugin, a [`Store`] one bucket with its credentials and sandboxes:
//!
//! ```no_run
//! # async fn example() -> sandbucket::Result<()> {
//! use sandbucket::{Engine, Limits};
//!
//! let engine = Engine::new(Limits::default())?;
//! let store = engine
//!     .store([("bucket", "photos"), ("region", "eu-west-1"), ("access-key", "AKID…"), ("secret-key", "…")])
//!     .await?;
//! store.put("cat.jpg", std::fs::read("cat.jpg").unwrap()).content_type("image/jpeg").await?;
//! let blob = store.get("cat.jpg").range(0..16).await?;
//! let size = blob.info().size;
//! println!("{size} bytes in all, the first being {:?}", blob.bytes().await?);
//! # Ok(())
//! # }
//! ```
//!
//! or, from a configuration file with a section `[store.blob.s3]`:
//!
//! ```no_run
//! # async fn example() -> sandbucket::Result<()> {
//! use sandbucket::Config;
//!
//! let config = Config::load("sandbucket.toml")?;
//! let engine = config.engine().build()?;
//! let store = config.open(&engine).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What the plugin may use is bounded by [`Limits`], what it may reach by [`Egress`]: the endpoint that the settings name,
//! at public addresses unless the program or its operator allows others ([`StoreOptions::allow_private`],
//! [`EngineBuilder::allow_networks`], [`Config`]). Calls need a Tokio runtime with
//! its timers and I/O on.

mod budget;
mod checksum;
mod config;
pub mod credentials;
mod driver;
mod engine;
mod error;
mod http;
mod limits;
mod ops;
mod plugins;
mod sandbox;
mod store;
mod store_options;
mod support;
pub mod telemetry;
mod tenants;
mod types;

#[doc(hidden)]
pub mod text;

/// Deserializers of sizes and durations, for crates of this project.
#[doc(hidden)]
pub mod quantity {
    pub use crate::limits::{bytes, duration};
}

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
#[allow(missing_docs, reason = "internals for tests/fuzz")]
pub mod fuzzing;

pub use self::http::{Egress, Proxy, TlsOptions};
pub use config::Config;
#[doc(no_inline)]
pub use credentials::{Credentials, CredentialsProvider};
#[doc(hidden)]
pub use engine::BareInstance;
pub use engine::{Engine, EngineBuilder};
pub use error::{Error, Failure, Result, ServiceResponse};
#[doc(no_inline)]
pub use ipnet::IpNet;
pub use limits::{Budget, Limits};
pub use ops::{
    AbortUpload, Blob, BucketExists, Call, CompleteUpload, Copy, CopyPart, CreateBucket, CreateUpload, Delete,
    DeleteBucket, DeleteMany, Download, Downloading, Get, GetTags, Head, List, ListBuckets, ListParts, ListUploads,
    ListVersions, Presign, Put, Rename, SetTags, Upload, UploadPart, Writer,
};
pub use plugins::{BuiltIn, PLUGIN};
pub use sandbox::{Plugin, PoolStatus};
pub use store::Store;
pub use store_options::StoreOptions;
pub use tenants::{PluginSwap, Tenant, TenantChanges, TenantOptions, TenantStatus, Tenants, TenantsConfig};
pub use types::{
    Attribute, BlobInfo, BlobName, Body, Bucket, BucketPage, ByteRange, Chunks, Deleted, Entry, ListPage, Offset, Part,
    PartPage, PendingUpload, Presigned, PresignedMethod, Setting, SettingKind, SettingValue, UploadPage, VersionEntry,
    VersionPage, Written,
};

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
