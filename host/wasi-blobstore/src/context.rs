//! What a guest's calls need: its containers, its limits, and the count of what it holds.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use wasmtime::component::ResourceTable;

use crate::containers::{Containers, Place};
use crate::limits::{BlobstoreLimits, Permit, Quota};
use crate::names::shown;

/// The blob store of one guest. Cloning is cheap, and clones count what the guest holds together.
#[derive(Clone)]
pub struct BlobstoreCtx {
    pub(crate) containers: Arc<Containers>,
    pub(crate) limits: BlobstoreLimits,
    pub(crate) open_containers: Quota,
    pub(crate) open_listings: Quota,
    pub(crate) open_incoming: Quota,
    pub(crate) open_outgoing: Quota,
}

impl BlobstoreCtx {
    /// The store of a guest with these containers and the default limits. Every guest has its own: it counts what the guest holds.
    pub fn new(containers: Containers) -> Self {
        BlobstoreCtx::with_limits(containers, BlobstoreLimits::default())
    }

    /// The same with other limits.
    pub fn with_limits(containers: Containers, limits: BlobstoreLimits) -> Self {
        BlobstoreCtx {
            open_containers: Quota::new("containers", limits.containers),
            open_listings: Quota::new("listings", limits.listings),
            open_incoming: Quota::new("incoming values", limits.incoming_values),
            open_outgoing: Quota::new("outgoing values", limits.outgoing_values),
            containers: Arc::new(containers),
            limits,
        }
    }

    /// Runs a call within the guest's limit of time.
    pub(crate) async fn within<T>(
        &self,
        operation: &str,
        call: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        within(self.limits.call_time, operation, call).await
    }

    /// Deletes a container with all that is in it. Succeeds if there is none.
    pub(crate) async fn delete_container(&self, name: &str) -> Result<(), String> {
        self.containers.check_deletable(name)?;
        if !self.containers.exists(name).await? {
            return Ok(());
        }
        let place = self.containers.open(name).await?;
        place.clear(self.limits.call_time).await?;
        self.containers.delete(&place).await
    }
}

/// Ends a call with an error after this time.
pub(crate) async fn within<T>(
    limit: Duration,
    operation: &str,
    call: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    timeout(limit, call).await.unwrap_or_else(|_| {
        Err(format!(
            "{operation}: the call was stopped after {limit:?}, which the host allows; a write may or may not have taken effect"
        ))
    })
}

impl std::fmt::Debug for BlobstoreCtx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let BlobstoreCtx { containers, limits, .. } = self;
        f.debug_struct("BlobstoreCtx").field("containers", containers).field("limits", limits).finish_non_exhaustive()
    }
}

/// A guest's blob store and its table of resources, for one call.
pub struct BlobstoreCtxView<'a> {
    /// The blob store.
    pub ctx: BlobstoreCtx,
    /// The table that `wasi:io` of the same linker uses.
    pub table: &'a mut ResourceTable,
}

/// What the data of a wasmtime store gives the functions of this crate.
pub trait BlobstoreView: Send {
    /// The guest's blob store and its table.
    fn blobstore(&mut self) -> BlobstoreCtxView<'_>;
}

/// The resource `container`: an open container.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Container {
    pub(crate) place: Place,
    _permit: Permit,
}

impl Container {
    pub(crate) fn new(place: Place, permit: Permit) -> Self {
        Container { place, _permit: permit }
    }

    /// Its name, for errors.
    pub(crate) fn subject(&self, operation: &str) -> String {
        format!("container {}: {operation}", shown(&self.place.container))
    }
}
