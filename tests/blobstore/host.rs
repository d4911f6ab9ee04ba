//! A host of the guest in `tests/blobstore/guest`: wasmtime with `wasi:io` and `sandbucket-wasi-blobstore`.

use std::sync::LazyLock;

use sandbucket_tests::BLOBSTORE_GUEST;
use sandbucket_wasi_blobstore::{
    BlobstoreCtx, BlobstoreCtxView, BlobstoreLimits, BlobstoreView, Containers, add_to_linker,
};
use wasmtime::component::{Component, HasData, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::io;

pub(crate) mod generated {
    wasmtime::component::bindgen!({
        path: "blobstore/guest/wit",
        inline: "
            package sandbucket:blobstore-host@0.2.0;
            world driver {
                export sandbucket:blobstore-guest/acts@0.2.0;
            }
        ",
        world: "sandbucket:blobstore-host/driver",
        exports: { default: async },
        require_store_data_send: true,
    });
}

pub(crate) use generated::exports::sandbucket::blobstore_guest::acts::{Kind as Hoard, Manner};

pub(crate) struct State {
    blobstore: BlobstoreCtx,
    table: ResourceTable,
}

impl HasData for State {
    type Data<'a> = &'a mut ResourceTable;
}

impl BlobstoreView for State {
    fn blobstore(&mut self) -> BlobstoreCtxView<'_> {
        BlobstoreCtxView { ctx: self.blobstore.clone(), table: &mut self.table }
    }
}

static GUEST: LazyLock<(Engine, Component, Linker<State>)> = LazyLock::new(|| {
    let engine = Engine::new(&Config::new()).unwrap();
    let component = Component::from_file(&engine, BLOBSTORE_GUEST).unwrap();
    let mut linker = Linker::new(&engine);
    io::error::add_to_linker::<_, State>(&mut linker, |state: &mut State| &mut state.table).unwrap();
    io::poll::add_to_linker::<_, State>(&mut linker, |state: &mut State| &mut state.table).unwrap();
    io::streams::add_to_linker::<_, State>(&mut linker, |state: &mut State| &mut state.table).unwrap();
    add_to_linker(&mut linker).unwrap();
    (engine, component, linker)
});

/// An instance of the guest.
pub(crate) struct Guest {
    pub(crate) store: Store<State>,
    pub(crate) host: generated::Driver,
}

impl Guest {
    pub(crate) async fn new(containers: Containers) -> Guest {
        Guest::with_limits(containers, BlobstoreLimits::default()).await
    }

    pub(crate) async fn with_limits(containers: Containers, limits: BlobstoreLimits) -> Guest {
        let (engine, component, linker) = &*GUEST;
        let blobstore = BlobstoreCtx::with_limits(containers, limits);
        let mut store = Store::new(engine, State { blobstore, table: ResourceTable::new() });
        let host = generated::Driver::instantiate_async(&mut store, component, linker).await.unwrap();
        Guest { store, host }
    }
}

/// Calls a function of the guest, which may trap.
#[macro_export]
macro_rules! try_act {
    ($guest:expr, $function:ident $(, $argument:expr)*) => {
        $guest.host.sandbucket_blobstore_guest_acts().$function(&mut $guest.store $(, $argument)*).await
    };
}

/// The same for one that does not trap.
#[macro_export]
macro_rules! act {
    ($guest:expr, $function:ident $(, $argument:expr)*) => {
        $crate::try_act!($guest, $function $(, $argument)*).expect("the guest does not trap")
    };
}

/// The same for one that fails: its error, which has no secret.
#[macro_export]
macro_rules! fails {
    ($guest:expr, $function:ident $(, $argument:expr)*) => {{
        let error: String = $crate::act!($guest, $function $(, $argument)*).expect_err("it fails");
        assert!(!error.contains(sandbucket_tests::SECRET_KEY), "{error}");
        error
    }};
}
