//! The registry of tenants.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use super::config::{TenantConfig, TenantsConfig};
use super::kind::Kind;
use super::name::check_name;
use super::open::{LazyStore, OpenStores};
use super::options::TenantOptions;
use super::status::{TenantChanges, TenantStatus};
use super::swap::{NamedPlugins, probe};
use super::tenant::Tenant;
use crate::budget::Admission;
use crate::engine::Engine;
use crate::error::{Error, Failure, Result};
use crate::sandbox::Plugin;
use crate::store::Store;
use crate::store_options::StoreOptions;

/// Tenants whose settings are checked at once: each needs an instance and a processor.
const CHECKS: usize = 8;
/// Tenants whose credentials are waited for at once: services far away give them.
const QUERIES: usize = 64;
/// Time for the credentials of all tenants of a configuration: those of tenants that are still without any are queried by their first
/// calls. For those of a single tenant, their provider has its own time.
pub(super) const CREDENTIALS_TIME: Duration = Duration::from_secs(10);
const CREDENTIALS_TIME_OF_ONE: Duration = Duration::from_secs(60);
/// Tenants that are logged by name.
pub(super) const MAX_LOGGED: usize = 16;

/// The tenants of an engine. Cloning is cheap and returns the same registry.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use sandbucket::{Tenants, TenantsConfig};
///
/// let config = TenantsConfig::load("tenants.toml")?;
/// let tenants = Tenants::new(config.engine().build_async().await?);
/// let changes = tenants.apply(&config).await?;
/// println!("{} tenants", changes.added.len());
/// let alice = tenants.get("alice").ok_or("no such tenant")?;
/// alice.store().await?.put("hello.txt", "hello").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tenants(pub(super) Arc<Registry>);

pub(super) struct Registry {
    pub(super) engine: Engine,
    open: Arc<OpenStores>,
    tenants: RwLock<HashMap<Arc<str>, Entry>>,
    /// Of tenants that name no other: what replaced the engine's or the built-in plugin of a kind.
    pub(super) defaults: RwLock<Vec<(Kind, Plugin)>>,
    /// Held while tenants are checked and changed.
    pub(super) changing: Mutex<()>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) tenant: Tenant,
    pub(super) origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Configuration,
    Program,
}

/// A change of a tenant that has been checked.
pub(super) struct Change {
    pub(super) name: Arc<str>,
    options: TenantOptions,
    /// What the tenant's calls are charged to: the former one, if it exists.
    admission: Arc<Admission>,
    /// The former store stays: only the budget or the weight is another.
    keeps_store: bool,
    /// The new store, if the former one is open; or why there are no credentials for it.
    opened: Result<Option<Store>>,
}

impl Tenants {
    /// A registry without tenants.
    pub fn new(engine: Engine) -> Tenants {
        let open = OpenStores::new(&engine);
        Tenants(Arc::new(Registry {
            engine,
            open,
            tenants: RwLock::default(),
            defaults: RwLock::default(),
            changing: Mutex::default(),
        }))
    }

    /// Sets the number of stores open at once. Beyond it, those unused for longest are closed, except stores in use. Default:
    /// 4,096.
    #[must_use]
    pub fn with_max_open_stores(self, max: usize) -> Tenants {
        self.0.open.set_max(max);
        self
    }

    /// Sets the time after which a store that nobody uses is closed, within 5 s. Default: 5 min.
    #[must_use]
    pub fn with_store_idle_time(self, idle: Duration) -> Tenants {
        self.0.open.set_idle(idle);
        self
    }

    /// The engine that runs the tenants' stores.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Makes the tenants of the configuration those of the registry: adds, changes and removes all of them, or none.
    ///
    /// Settings that are new are checked by the plugin, a few tenants at a time; no request is sent to a store's service. Then
    /// all changes take effect at once. Unchanged tenants keep their open stores, calls in flight finish as they began. Tenants
    /// that the program [set](Tenants::set) stay. Dropping the future changes nothing.
    ///
    /// A tenant whose credentials come from a provider (AWS's chain, a `credential_process`) that has none to give within 10 s
    /// keeps no other tenant waiting: it is [unready](TenantChanges::unready), and each of its calls tries again.
    ///
    /// # Errors
    /// [`Error::Config`] with file, line and key. The former state remains.
    pub async fn apply(&self, config: &TenantsConfig) -> Result<TenantChanges> {
        config.check()?;
        let _changing = self.0.changing.lock().await;
        let mut changes = TenantChanges::default();
        let mut plugins = NamedPlugins::new(self);
        let mut wanted = Vec::new();
        for (name, tenant) in &config.tenants {
            let plugin = plugins.get(tenant.store.plugin.as_ref()).await?;
            let mut options = match tenant.options() {
                Ok(options) => options,
                Err(error) => return Err(self.placed(tenant, error, plugin.as_ref()).await),
            };
            options.store.plugin = plugin;
            match self.entry(name) {
                None => changes.added.push(name.clone()),
                Some(Entry { origin: Origin::Program, .. }) => {
                    return Err(tenant.store.taken(name));
                }
                Some(Entry { tenant, .. }) if tenant.has(&options) => {
                    changes.unchanged += 1;
                    continue;
                }
                Some(_) => changes.changed.push(name.clone()),
            }
            wanted.push((Arc::from(name.as_str()), options));
        }
        let checked = match self.check(wanted, CREDENTIALS_TIME).await {
            Ok(checked) => checked,
            Err((name, error)) => {
                return Err(match config.tenants.get(&*name) {
                    Some(tenant) => {
                        let plugin = plugins.get(tenant.store.plugin.as_ref()).await?;
                        self.placed(tenant, error, plugin.as_ref()).await
                    }
                    None => error,
                });
            }
        };
        // Dropped without a lock: closing a store takes its time.
        let mut former = Vec::new();
        {
            let mut tenants = self.write();
            tenants.retain(|name, entry| {
                let stays = entry.origin == Origin::Program || config.tenants.contains_key(&**name);
                if !stays {
                    changes.removed.push(name.to_string());
                    former.extend(entry.tenant.remove());
                }
                stays
            });
            for change in checked {
                if let Err(why) = &change.opened {
                    changes.unready.insert(change.name.to_string(), why.to_string());
                }
                former.extend(self.make(&mut tenants, change, Origin::Configuration));
            }
        }
        drop(former);
        changes.removed.sort();
        for (tenant, why) in changes.unready.iter().take(MAX_LOGGED) {
            tracing::warn!(tenant, why, "the tenant has no credentials yet");
        }
        tracing::info!(
            added = changes.added.len(),
            changed = changes.changed.len(),
            removed = changes.removed.len(),
            unchanged = changes.unchanged,
            unready = changes.unready.len(),
            "tenants applied"
        );
        Ok(changes)
    }

    /// Adds a tenant or changes its options. The tenant then belongs to the program: [`apply`](Tenants::apply) neither changes nor
    /// removes it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a wrong name, budget or weight, and the errors of [`Engine::open`]: the store is opened once
    /// to check its settings. The former state remains.
    pub async fn set(&self, name: &str, mut options: TenantOptions) -> Result<()> {
        let _changing = self.0.changing.lock().await;
        if options.store.plugin.is_none() {
            options.store.plugin = self.successor(self.0.engine.plugin()).await;
        }
        self.put(name, options).await
    }

    /// Adds a tenant of a configuration or changes its options, with the plugin that its section names. The tenant then belongs to the
    /// program, as with [`set`](Tenants::set).
    ///
    /// # Errors
    /// [`Error::Config`] for a plugin that does not load and where the configuration has no such tenant, and the errors of
    /// [`set`](Tenants::set). The former state remains.
    pub async fn set_from(&self, name: &str, config: &TenantsConfig) -> Result<()> {
        let _changing = self.0.changing.lock().await;
        let Some(tenant) = config.tenants.get(name) else {
            let message = format!("there is no tenant \"{}\"", name.escape_debug());
            return Err(Error::Config { path: None, line: None, key: None, message });
        };
        let mut options = tenant.options()?;
        options.store.plugin = NamedPlugins::new(self).get(tenant.store.plugin.as_ref()).await?;
        self.put(name, options).await
    }

    /// Adds a tenant of the program or changes its options. The registry is not changed meanwhile.
    async fn put(&self, name: &str, options: TenantOptions) -> Result<()> {
        check_name(name).map_err(|message| Error::InvalidArgument(Failure::ours("tenant", message)))?;
        options.check()?;
        let wanted = vec![(Arc::from(name), options)];
        let checked = self.check(wanted, CREDENTIALS_TIME_OF_ONE).await.map_err(|(_, error)| error)?;
        if let Some(why) = checked.iter().find_map(|change| change.opened.as_ref().err()) {
            return Err(why.clone());
        }
        let former: Vec<_> = {
            let mut tenants = self.write();
            checked.into_iter().filter_map(|change| self.make(&mut tenants, change, Origin::Program)).collect()
        };
        drop(former);
        Ok(())
    }

    /// Removes a tenant. Calls in flight finish. Returns whether it existed. A tenant of a configuration comes back when that is
    /// applied again.
    pub fn remove(&self, name: &str) -> bool {
        let removed = self.write().remove(name);
        let former = removed.as_ref().map(|entry| entry.tenant.remove());
        former.is_some()
    }

    /// Adds the position of a tenant's rejected setting to an error.
    async fn placed(&self, tenant: &TenantConfig, error: Error, plugin: Option<&Plugin>) -> Error {
        tenant.store.placed(error, &self.0.engine, plugin.unwrap_or_else(|| self.0.engine.plugin())).await
    }

    /// The tenant of this name.
    pub fn get(&self, name: &str) -> Option<Tenant> {
        self.entry(name).map(|entry| entry.tenant)
    }

    /// The names of all tenants, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.read().keys().map(|name| name.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// The number of tenants.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there is no tenant.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// The number of open stores.
    pub fn open_stores(&self) -> usize {
        self.0.open.count()
    }

    /// The state of all tenants, sorted by name.
    pub fn status(&self) -> Vec<TenantStatus> {
        let tenants: Vec<_> = self.read().values().map(|entry| entry.tenant.clone()).collect();
        let mut status: Vec<_> = tenants.iter().map(Tenant::status).collect();
        status.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        status
    }

    /// Has the plugin check the settings that are new, by opening the stores. Waits for the credentials of all of them for this time.
    pub(super) async fn check(
        &self,
        wanted: Vec<(Arc<str>, TenantOptions)>,
        time: Duration,
    ) -> Result<Vec<Change>, (Arc<str>, Error)> {
        let (end, opening) = (Instant::now() + time, Arc::new(Semaphore::new(CHECKS)));
        let mut checked = Vec::with_capacity(wanted.len());
        let mut checks = JoinSet::new();
        let mut wanted = wanted.into_iter();
        loop {
            while checks.len() < QUERIES
                && let Some((name, mut options)) = wanted.next()
            {
                let tenant = self.get(&name);
                let admission = match &tenant {
                    Some(tenant) => tenant.admission().clone(),
                    None => Admission::new(name.clone(), options.budget.clone(), options.weight),
                };
                let former = tenant.and_then(|tenant| tenant.lazy());
                options.store.tenant = Some(admission.clone());
                if former.as_ref().is_some_and(|former| former.options.is_equivalent(&options.store)) {
                    checked.push(Change { name, options, admission, keeps_store: true, opened: Ok(None) });
                    continue;
                }
                let changes_plugin =
                    former.as_ref().is_some_and(|former| former.options.plugin != options.store.plugin);
                let is_open = former.is_some_and(|former| former.opened().is_some());
                let (engine, opening) = (self.0.engine.clone(), opening.clone());
                checks.spawn(async move {
                    let queried = options.store.query_credentials(end.saturating_duration_since(Instant::now())).await;
                    // Without credentials as well: the settings have to be right.
                    let store = match &queried {
                        Ok(()) => options.store.clone(),
                        Err(_) => options.store.clone().without_provider(),
                    };
                    // It is never closed.
                    let _permit = opening.acquire().await;
                    // A plugin that accepts its settings may still fail at the first request.
                    if changes_plugin && let Err(error) = probe(&engine, &store).await {
                        return Err((name, error));
                    }
                    match try_open(&engine, store).await {
                        Ok(store) => {
                            let opened = queried.map(|()| store.filter(|_| is_open));
                            Ok(Change { name, options, admission, keeps_store: false, opened })
                        }
                        Err(error) => Err((name, error)),
                    }
                });
            }
            match checks.join_next().await {
                Some(Ok(change)) => checked.push(change?),
                Some(Err(_)) => {
                    let broken_off = "checking the tenants was broken off: the runtime shuts down";
                    return Err((Arc::from(""), Error::plugin(broken_off)));
                }
                None => return Ok(checked),
            }
        }
    }

    /// Makes a change. Returns the former store.
    pub(super) fn make(
        &self,
        tenants: &mut HashMap<Arc<str>, Entry>,
        change: Change,
        origin: Origin,
    ) -> Option<Arc<LazyStore>> {
        let Change { name, options, admission, keeps_store, opened } = change;
        let TenantOptions { store: options, budget, weight } = options;
        let Registry { engine, open, .. } = &*self.0;
        let former = tenants.get(&name).map(|entry| entry.tenant.clone());
        let kept = former.as_ref().filter(|_| keeps_store).and_then(Tenant::lazy);
        let store = kept.unwrap_or_else(|| LazyStore::new(engine, open, options, opened));
        let (tenant, former) = match former {
            Some(tenant) => {
                let former = tenant.change(budget, weight, store);
                (tenant, former)
            }
            None => (Tenant::new(name.clone(), admission, weight, store), None),
        };
        tenants.insert(name, Entry { tenant, origin });
        former
    }

    fn entry(&self, name: &str) -> Option<Entry> {
        self.read().get(name).cloned()
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, HashMap<Arc<str>, Entry>> {
        self.0.tenants.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, HashMap<Arc<str>, Entry>> {
        self.0.tenants.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a store with these options, to check them: outside of the tenant's budget if that has no room for it. Calls that use it up, and
/// hang, must not keep the operator from changing this tenant, and others with it. Such a store is not returned.
async fn try_open(engine: &Engine, mut options: StoreOptions) -> Result<Option<Store>> {
    let has_room = |tenant: &Arc<Admission>| !engine.is_at_bound_of(tenant) && tenant.cpu_debt().is_zero();
    if options.tenant.as_ref().is_none_or(has_room) {
        match engine.open(options.clone()).await {
            Err(Error::Throttled(_)) => {}
            opened => return opened.map(Some),
        }
    }
    options.tenant = None;
    engine.open(options).await.map(|_| None)
}

impl std::fmt::Debug for Tenants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tenants").field("tenants", &self.len()).field("open", &self.open_stores()).finish()
    }
}
