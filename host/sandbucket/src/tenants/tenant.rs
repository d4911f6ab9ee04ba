//! One tenant.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::open::LazyStore;
use super::options::TenantOptions;
use super::status::TenantStatus;
use crate::budget::Admission;
use crate::error::{Error, Failure, Result};
use crate::limits::Budget;
use crate::store::Store;

/// A tenant of a registry. Cloning is cheap and returns the same tenant, which follows its changes.
///
/// ```no_run
/// # async fn example(tenants: sandbucket::Tenants) -> Result<(), Box<dyn std::error::Error>> {
/// let tenant = tenants.get("alice").ok_or("no such tenant")?;
/// let blob = tenant.store().await?.get("cat.jpg").await?.bytes().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tenant(Arc<Shared>);

struct Shared {
    name: Arc<str>,
    admission: Arc<Admission>,
    state: Mutex<State>,
}

struct State {
    weight: u32,
    /// None once the tenant is removed.
    store: Option<Arc<LazyStore>>,
}

impl Tenant {
    pub(super) fn new(name: Arc<str>, admission: Arc<Admission>, weight: u32, store: Arc<LazyStore>) -> Tenant {
        Tenant(Arc::new(Shared { name, admission, state: Mutex::new(State { weight, store: Some(store) }) }))
    }

    /// The tenant's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The tenant's budget.
    pub fn budget(&self) -> Budget {
        self.0.admission.budget()
    }

    pub(super) fn weight(&self) -> u32 {
        self.state().weight
    }

    /// The tenant's store with its present settings, opened if necessary. It closes when nobody has used it for a while.
    ///
    /// Get it for each call, or each group of related calls: a store that is held keeps the settings that it was opened with,
    /// stays open, and works on after the tenant was changed or removed.
    ///
    /// # Errors
    /// As [`Engine::open`](crate::Engine::open); [`Error::AccessDenied`] if the tenant was removed.
    pub async fn store(&self) -> Result<Store> {
        match self.lazy() {
            Some(store) => store.get().await,
            None => {
                let message = format!("the tenant \"{}\" was removed", self.name());
                Err(Error::AccessDenied(Failure::ours("tenant", message)))
            }
        }
    }

    /// The tenant's state.
    pub fn status(&self) -> TenantStatus {
        let (weight, store) = {
            let state = self.state();
            (state.weight, state.store.clone())
        };
        let plugin = store.as_ref().and_then(|store| store.options.plugin.as_ref());
        let plugin = plugin.map(|plugin| plugin.digest().to_owned());
        let unready = store.as_ref().and_then(|store| store.failure());
        let open = store.and_then(|store| store.opened());
        let usage = self.0.admission.usage();
        TenantStatus {
            name: self.name().to_owned(),
            weight,
            plugin,
            is_open: open.is_some(),
            unready,
            pool: open.map(|store| store.pool()).unwrap_or_default(),
            calls_in_flight: usage.in_flight,
            calls_queued: usage.queued,
            calls_throttled: usage.throttled,
            connections: usage.connections,
            memory: usage.memory,
            read_bytes: usage.read_bytes,
            written_bytes: usage.written_bytes,
            cpu_time: usage.cpu_time,
        }
    }

    /// The store, unless the tenant was removed.
    pub(super) fn lazy(&self) -> Option<Arc<LazyStore>> {
        self.state().store.clone()
    }

    /// What the tenant's calls are charged to.
    pub(super) fn admission(&self) -> &Arc<Admission> {
        &self.0.admission
    }

    /// Whether these options are the tenant's.
    pub(super) fn has(&self, options: &TenantOptions) -> bool {
        let state = self.state();
        state.weight == options.weight
            && state.store.as_ref().is_some_and(|store| store.options.is_equivalent(&options.store))
            && self.budget() == options.budget
    }

    /// Changes budget, weight and, if it is another, the store. Calls in flight on the former store, which is returned, finish.
    pub(super) fn change(&self, budget: Budget, weight: u32, store: Arc<LazyStore>) -> Option<Arc<LazyStore>> {
        self.0.admission.set(budget, weight);
        std::mem::replace(&mut *self.state(), State { weight, store: Some(store) }).store
    }

    /// Makes the tenant one that was removed. Returns its store.
    pub(super) fn remove(&self) -> Option<Arc<LazyStore>> {
        self.state().store.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Tenant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tenant").field("name", &self.0.name).finish_non_exhaustive()
    }
}
