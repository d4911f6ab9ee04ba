//! A [`Store`] as a store of the `object_store` crate: for DataFusion, `parquet`, Delta Lake, Lance and everything else that
//! takes an `Arc<dyn ObjectStore>`.
//!
//! Implements [`ObjectStore`] completely, and the crate's [`MultipartStore`], [`PaginatedListStore`] and [`Signer`].
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
//! A path of that crate is a key without empty, `.` and `..` segments. If a store holds other keys, a listing through the
//! adapter fails at the first one ([`object_store::Error::InvalidPath`]), as the crate's own stores do. Payloads above 64
//! MiB are uploaded in parts.

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

/// An adapter from [`Store`] to the `object_store` traits: see the [module](self).
#[derive(Clone, Debug)]
pub struct SandbucketStore {
    store: Store,
}

impl SandbucketStore {
    /// Wraps a store, which remains usable by itself.
    pub fn new(store: Store) -> Self {
        SandbucketStore { store }
    }

    /// The wrapped store.
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
