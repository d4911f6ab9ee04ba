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

mod adaptive_rate;
mod address_space;
mod bindings;
mod blob;
mod body;
mod bucket;
mod calls;
mod cleanup;
mod compile_cache;
mod compute;
mod config;
mod copying;
mod credentials;
mod deadline;
mod digest;
mod downloading;
mod driver;
mod engine;
mod error;
mod instance;
mod instance_queue;
mod limits;
mod listing;
mod multipart;
mod options;
mod outgoing;
mod part_sizes;
mod plugin;
mod pool;
mod rate_limit;
mod reading;
mod requests;
mod runtime;
mod sandbox;
mod settings;
mod state;
mod store;
mod store_options;
mod transport;
mod uploading;

#[doc(hidden)]
pub mod text;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

pub use blob::{
    Attribute, BlobInfo, BlobName, ByteRange, Deleted, Offset, Presigned, PresignedMethod, Setting, SettingKind,
    Written,
};
pub use body::{Body, Chunks};
pub use bucket::{Bucket, BucketPage};
pub use calls::Call;
pub use config::Config;
pub use credentials::{Credentials, CredentialsProvider};
pub use downloading::{Download, Downloading};
#[doc(hidden)]
pub use engine::BareInstance;
pub use engine::{Engine, EngineBuilder, PLUGIN};
pub use error::{Error, Failure, Result, ServiceAnswer};
#[doc(no_inline)]
pub use ipnet::IpNet;
pub use limits::Limits;
pub use listing::{Entry, ListPage, VersionEntry, VersionPage};
pub use multipart::{Part, PartPage, PendingUpload, UploadPage};
pub use pool::PoolStatus;
pub use reading::Blob;
pub use requests::{
    AbortUpload, BucketExists, CompleteUpload, Copy, CopyPart, CreateBucket, CreateUpload, Delete, DeleteBucket,
    DeleteMany, Get, GetTags, Head, List, ListBuckets, ListParts, ListUploads, ListVersions, Presign, Put, Rename,
    SetTags, UploadPart,
};
pub use settings::SettingValue;
pub use store::Store;
pub use store_options::StoreOptions;
pub use transport::{Egress, Proxy, TlsOptions};
pub use uploading::{Upload, Writer};

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
