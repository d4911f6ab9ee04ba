//! A readers-writer lock per key.
//!
//! A blob's bytes, properties and digests are written one after another, after its conditions are checked. Without a lock a
//! reader could see one blob's bytes with another's ETag, and two conditional writes could both succeed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

type Name = (String, String);

/// The locks of the keys in use.
#[derive(Debug, Default)]
pub(super) struct Locks {
    in_use: Mutex<HashMap<Name, Arc<RwLock<()>>>>,
}

impl Locks {
    pub(crate) async fn read(&self, bucket: &str, name: &str) -> OwnedRwLockReadGuard<()> {
        self.of(bucket, name).read_owned().await
    }

    pub(crate) async fn write(&self, bucket: &str, name: &str) -> OwnedRwLockWriteGuard<()> {
        self.of(bucket, name).write_owned().await
    }

    fn of(&self, bucket: &str, name: &str) -> Arc<RwLock<()>> {
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        // Every holder and waiter of a lock has an Arc of it.
        if in_use.len() >= 1024 {
            in_use.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        in_use.entry((bucket.to_owned(), name.to_owned())).or_default().clone()
    }
}
