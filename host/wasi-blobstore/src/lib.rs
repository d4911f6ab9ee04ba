//! `wasi:blobstore` (0.2.0-draft) for wasmtime hosts, on top of a tenant's [`sandbucket::Store`].
//!
//! The data of each wasmtime store has a [`BlobstoreCtx`]: which containers the guest may use ([`Containers`]), and what it may hold
//! ([`BlobstoreLimits`]). [`add_to_linker`] adds the interfaces `blobstore`, `container` and `types`; `wasi:io` must be in the linker
//! too, with the same table.
//!
//! ```no_run
//! use sandbucket_wasi_blobstore::{BlobstoreCtx, BlobstoreCtxView, BlobstoreView, Containers, add_to_linker};
//! use wasmtime::component::{Component, Linker, ResourceTable};
//! use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
//!
//! struct Guest {
//!     blobstore: BlobstoreCtx,
//!     wasi: WasiCtx,
//!     table: ResourceTable,
//! }
//!
//! impl BlobstoreView for Guest {
//!     fn blobstore(&mut self) -> BlobstoreCtxView<'_> {
//!         BlobstoreCtxView { ctx: self.blobstore.clone(), table: &mut self.table }
//!     }
//! }
//!
//! impl WasiView for Guest {
//!     fn ctx(&mut self) -> WasiCtxView<'_> {
//!         WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
//!     }
//! }
//!
//! # async fn example(tenant: sandbucket::Store) -> wasmtime::Result<()> {
//! let engine = wasmtime::Engine::default();
//! let mut linker = Linker::<Guest>::new(&engine);
//! wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
//! add_to_linker(&mut linker)?;
//!
//! let containers = Containers::prefixes(tenant).root("guests/7").only(["photos"]);
//! let (blobstore, wasi) = (BlobstoreCtx::new(containers), WasiCtx::builder().build());
//! let mut store = wasmtime::Store::new(&engine, Guest { blobstore, wasi, table: ResourceTable::new() });
//! let component = Component::from_file(&engine, "guest.wasm")?;
//! let instance = linker.instantiate_async(&mut store, &component).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Reading
//! `get-data` takes a range whose `start` and `end` are included, and cuts it at the object's end; `0` and the largest `u64` are the
//! whole object. The request is sent at once. `incoming-value-consume-sync` reads up to [`BlobstoreLimits::sync_value`] into memory;
//! the stream of `incoming-value-consume-async` requests bytes as the guest reads them. A value that a guest keeps without reading
//! holds its connection.
//!
//! # Writing
//! `write-data` begins an upload of unknown length, which sends what the guest writes as parts fill; an object that fits one part is
//! one request. It may be called before or after the guest takes the body's stream. Bytes written before it are kept up to
//! [`BlobstoreLimits::unassigned_value`]; more is an error of the stream. `finish` waits for the upload and returns its error. The object appears
//! when `finish` succeeds; a value that is dropped, or whose guest ends, stores nothing.
//!
//! # Errors
//! Errors are texts that name the operation, the container, what the service said and what to do, without secrets. They name the
//! store's bucket and endpoint. A guest traps if it uses a handle against the interface: dropping or finishing a value before its
//! stream, and making more than [`BlobstoreLimits::outgoing_values`].
//!
//! Calls need a Tokio runtime with its timers and I/O on. Every call ends after [`BlobstoreLimits::call_time`]; only `delete-container`
//! may take it for each of its steps.

mod containers;
mod context;
mod host;
mod incoming;
mod limits;
mod listing;
mod names;
mod objects;
mod outgoing;

#[allow(missing_docs, unreachable_pub, reason = "generated code")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "sandbucket:wasi-blobstore/imports",
        imports: { default: async | trappable },
        require_store_data_send: true,
        with: {
            "wasi:io": wasmtime_wasi::p2::bindings::io,
            "wasi:blobstore/container.container": crate::context::Container,
            "wasi:blobstore/container.stream-object-names": crate::listing::Listing,
            "wasi:blobstore/types.incoming-value": crate::incoming::IncomingValue,
            "wasi:blobstore/types.outgoing-value": crate::outgoing::OutgoingValue,
        },
    });
}

pub use containers::Containers;
pub use context::{BlobstoreCtx, BlobstoreCtxView, BlobstoreView};
pub use limits::BlobstoreLimits;

use bindings::wasi::blobstore::{blobstore, container, types};
use host::Blobstore;
use wasmtime::component::Linker;

/// Adds `wasi:blobstore` to a linker, for guests that are called asynchronously.
///
/// # Errors
/// If the linker has one of the interfaces already.
pub fn add_to_linker<T: BlobstoreView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    add_to_linker_with(linker, T::blobstore)
}

/// The same for data of another crate, for which [`BlobstoreView`] cannot be implemented.
///
/// # Errors
/// As [`add_to_linker`].
pub fn add_to_linker_with<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> BlobstoreCtxView<'_>,
) -> wasmtime::Result<()> {
    types::add_to_linker::<_, Blobstore>(linker, view)?;
    container::add_to_linker::<_, Blobstore>(linker, view)?;
    blobstore::add_to_linker::<_, Blobstore>(linker, view)
}
