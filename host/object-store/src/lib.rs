//! A [`Store`] as a store of the `object_store` crate: for DataFusion, `parquet`, Delta Lake, Lance and everything else that
//! takes an `Arc<dyn ObjectStore>`.
//!
//! All of [`ObjectStore`] is there, and the crate's [`MultipartStore`], [`PaginatedListStore`] and [`Signer`].
//!
//! ```
//! # fn main() {}
//! # async fn example(store: sandbucket::Store) -> object_store::Result<()> {
//! use std::sync::Arc;
//!
//! use object_store::{ObjectStore, ObjectStoreExt, path::Path};
//! use sandbucket_object_store::SandbucketStore;
//!
//! let store: Arc<dyn ObjectStore> = Arc::new(SandbucketStore::new(store));
//! store.put(&Path::from("reports/2026.csv"), "a,b\n1,2\n".into()).await?;
//! let found = store.get(&Path::from("reports/2026.csv")).await?.bytes().await?;
//! assert_eq!(found, "a,b\n1,2\n");
//! # Ok(())
//! # }
//! ```
//!
//! What that crate calls a path is a key without empty, `.` and `..` segments: of the blobs that a store may hold besides,
//! a list through here fails at the first one ([`object_store::Error::InvalidPath`]), as it does with the crate's own
//! stores. Payloads above 64 MiB are written in parts.

#![warn(missing_docs, unreachable_pub)]
#![forbid(unsafe_code)]

mod convert;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod multipart;
mod paginated;
mod signer;
mod store;

use std::fmt;

use sandbucket::Store;

#[cfg(doc)]
use object_store::{ObjectStore, list::PaginatedListStore, multipart::MultipartStore, signer::Signer};

/// A store for those who know the `object_store` crate: see the [module](self).
#[derive(Clone, Debug)]
pub struct SandbucketStore {
    store: Store,
}

impl SandbucketStore {
    /// Makes it of a store, which can be used by itself all the same.
    pub fn new(store: Store) -> Self {
        SandbucketStore { store }
    }

    /// The store underneath.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl From<Store> for SandbucketStore {
    fn from(store: Store) -> Self {
        SandbucketStore::new(store)
    }
}

impl fmt::Display for SandbucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sandbucket")
    }
}
