//! Stores that open when they are first used, and close when they are idle or too many are open.
//!
//! Opening is a task of its own, which all calls that need the store wait for: a dropped call does not break it off for others. A
//! store that a call, a reader or the program still holds is never closed.

use std::collections::HashMap;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::Shared;

use crate::budget::Usage;
use crate::engine::{Engine, Sweep};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store_options::StoreOptions;
use crate::telemetry::{Telemetry, TenantSample};

/// Stores open at once, and time after which an idle one is closed, unless the program sets others.
const MAX_OPEN: usize = 4096;
const IDLE: Duration = Duration::from_secs(300);

/// The open stores of a registry.
pub(super) struct OpenStores {
    origin: Instant,
    max: AtomicUsize,
    /// In milliseconds.
    idle: AtomicU64,
    open: Mutex<HashMap<usize, Weak<LazyStore>>>,
    telemetry: Arc<Telemetry>,
}

impl OpenStores {
    pub(super) fn new(engine: &Engine) -> Arc<OpenStores> {
        let stores = Arc::new(OpenStores {
            origin: Instant::now(),
            max: AtomicUsize::new(MAX_OPEN),
            idle: AtomicU64::new(millis(IDLE)),
            open: Mutex::default(),
            telemetry: engine.telemetry().clone(),
        });
        let known = Arc::downgrade(&stores);
        engine.on_sweep(known);
        stores
    }

    pub(super) fn set_max(&self, max: usize) {
        self.max.store(max.max(1), Relaxed);
    }

    pub(super) fn set_idle(&self, idle: Duration) {
        self.idle.store(millis(idle), Relaxed);
    }

    /// Number of open stores.
    pub(super) fn count(&self) -> usize {
        self.open().len()
    }

    /// Counts a store that has opened, and closes those unused for longest if there are too many.
    fn opened(&self, store: &Arc<LazyStore>) {
        let excess = {
            let mut open = self.open();
            open.insert(key(store), Arc::downgrade(store));
            open.len().saturating_sub(self.max.load(Relaxed))
        };
        if excess > 0 {
            // Several at once: looking at all stores takes a while.
            let count = excess.max(self.max.load(Relaxed) / 64);
            let mut others: Vec<_> = self.all().into_iter().filter(|other| !Arc::ptr_eq(other, store)).collect();
            others.sort_by_key(|other| other.last_used.load(Relaxed));
            others.iter().filter(|other| other.close_if(|| true)).take(count).for_each(drop);
        }
    }

    fn closed(&self, store: &LazyStore) {
        self.open().remove(&key(store));
    }

    fn all(&self) -> Vec<Arc<LazyStore>> {
        self.open().values().filter_map(Weak::upgrade).collect()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<usize, Weak<LazyStore>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the gauges of the tenants with open stores.
    fn sample(&self) {
        // A tenant that was changed may have two.
        let tenants: HashMap<_, _> = self
            .all()
            .into_iter()
            .filter_map(|store| store.options.tenant.clone())
            .map(|tenant| (tenant.name().clone(), tenant))
            .collect();
        self.telemetry.sample_tenants(tenants.into_iter().map(|(name, tenant)| {
            let Usage { in_flight, queued, connections, memory, .. } = tenant.usage();
            (name, TenantSample { in_flight, queued, connections, memory })
        }));
    }

    fn now(&self) -> u64 {
        millis(self.origin.elapsed())
    }
}

impl Sweep for OpenStores {
    fn sweep(&self) {
        let (now, idle) = (self.now(), self.idle.load(Relaxed));
        for store in self.all() {
            store.close_if(|| now.saturating_sub(store.last_used.load(Relaxed)) > idle);
        }
        self.sample();
    }
}

/// A store that opens when it is first used.
pub(super) struct LazyStore {
    engine: Engine,
    pub(super) options: StoreOptions,
    stores: Arc<OpenStores>,
    /// In milliseconds since the registry's origin.
    last_used: AtomicU64,
    slot: Mutex<Slot>,
}

enum Slot {
    /// With the error of the last attempt to open it, if it failed.
    Closed(Option<Error>),
    Opening(Opening),
    Open(Store),
}

type Opening = Shared<Pin<Box<dyn Future<Output = Result<Store>> + Send>>>;

impl LazyStore {
    /// A store with these options: open already, or closed because nobody used it yet or because of this error.
    pub(super) fn new(
        engine: &Engine,
        stores: &Arc<OpenStores>,
        options: StoreOptions,
        open: Result<Option<Store>>,
    ) -> Arc<LazyStore> {
        let slot = match open {
            Ok(Some(store)) => Slot::Open(store),
            Ok(None) => Slot::Closed(None),
            Err(error) => Slot::Closed(Some(error)),
        };
        let is_open = matches!(slot, Slot::Open(_));
        let store = Arc::new(LazyStore {
            engine: engine.clone(),
            options,
            stores: stores.clone(),
            last_used: AtomicU64::new(stores.now()),
            slot: Mutex::new(slot),
        });
        if is_open {
            stores.opened(&store);
        }
        store
    }

    /// The store, opened if necessary.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Store> {
        self.last_used.store(self.stores.now(), Relaxed);
        let opening = {
            let mut slot = self.slot();
            match &*slot {
                Slot::Open(store) => return Ok(store.clone()),
                Slot::Opening(opening) => opening.clone(),
                Slot::Closed(_) => {
                    let opening = self.start();
                    *slot = Slot::Opening(opening.clone());
                    opening
                }
            }
        };
        opening.await
    }

    /// The store, if it is open.
    pub(super) fn opened(&self) -> Option<Store> {
        match &*self.slot() {
            Slot::Open(store) => Some(store.clone()),
            _ => None,
        }
    }

    /// Why the last attempt to open the store failed, if it did.
    pub(super) fn failure(&self) -> Option<String> {
        match &*self.slot() {
            Slot::Closed(Some(error)) => Some(error.to_string()),
            _ => None,
        }
    }

    /// Opens the store in a task. The caller holds the lock of `slot`, which the task needs to end.
    fn start(self: &Arc<Self>) -> Opening {
        // Without a runtime, or if it shuts down, the store is closed as before.
        let mut reset = Reset(self.clone(), None);
        let task = tokio::spawn(async move {
            let store = &reset.0;
            let opened = store.engine.open(store.options.clone()).await;
            match &opened {
                Ok(opened) => {
                    *store.slot() = Slot::Open(opened.clone());
                    store.stores.opened(store);
                }
                Err(error) => reset.1 = Some(error.clone()),
            }
            drop(reset);
            opened
        });
        let ended = task.map(|ended| {
            let broken_off = || Error::plugin("opening the tenant's store was broken off: the runtime shuts down");
            ended.unwrap_or_else(|_| Err(broken_off()))
        });
        ended.boxed().shared()
    }

    /// Closes the store if nobody holds it and this is true. Returns whether it was closed.
    fn close_if(&self, is_due: impl FnOnce() -> bool) -> bool {
        let closed = {
            let mut slot = self.slot();
            let closed = match &*slot {
                Slot::Open(store) if !store.is_shared() && is_due() => mem::replace(&mut *slot, Slot::Closed(None)),
                _ => return false,
            };
            // Under the lock: it may open again at once.
            self.stores.closed(self);
            closed
        };
        // Unmapping instances takes its time: not under the lock.
        drop(closed);
        true
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LazyStore {
    fn drop(&mut self) {
        self.stores.closed(self);
    }
}

/// Marks a store that did not open as closed, with the error if there is one.
struct Reset(Arc<LazyStore>, Option<Error>);

impl Drop for Reset {
    fn drop(&mut self) {
        let mut slot = self.0.slot();
        if let Slot::Opening(_) = &*slot {
            let former = mem::replace(&mut *slot, Slot::Closed(self.1.take()));
            drop(slot);
            drop(former);
        }
    }
}

fn key(store: &LazyStore) -> usize {
    std::ptr::from_ref(store) as usize
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
