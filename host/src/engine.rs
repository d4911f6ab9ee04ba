//! What a process has once: wasmtime, the compiled plugin, the connections, and the count of instances.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::blob::Setting;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::plugin::Plugin;
use crate::pool::{IDLE, Pool};
use crate::sandbox::Sandbox;
use crate::state::{MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE, MAX_TABLES};
use crate::store::{Store, StoreOptions};
use crate::transport::{Client, Egress, Gate, TlsOptions};

/// The plugin that is built in: S3, as a component.
pub const PLUGIN: &[u8] = include_bytes!(env!("SANDBUCKET_COMPONENT"));

/// How often running plugins are looked at: the step in which [`Limits::cpu_time`] is measured.
const TICK: Duration = Duration::from_millis(10);

/// Ticks between rounds that give up idle instances.
const TICKS_PER_ROUND: u64 = 500;

/// Loads the plugin and makes stores.
///
/// One engine serves a whole process: making one compiles the plugin, or reads what an earlier run compiled. Cloning it
/// is cheap and gives the same engine.
///
/// ```no_run
/// # async fn example() -> sandbucket::Result<()> {
/// use sandbucket::{Engine, Limits};
///
/// let engine = Engine::new(Limits::default())?;
/// let store = engine.store([("bucket", "photos"), ("region", "eu-west-1")]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("limits", &self.inner.limits)
            .field("imports", &self.inner.plugin.imports)
            .finish()
    }
}

pub(crate) struct Inner {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) plugin: Plugin,
    pub(crate) limits: Limits,
    instances: Arc<Semaphore>,
    /// Calls that wait for an instance.
    waiting: AtomicUsize,
    pools: Mutex<Vec<Weak<Pool>>>,
    /// One client, and so one pool of connections, for each way of TLS.
    clients: Mutex<HashMap<TlsOptions, Client>>,
}

/// How an [`Engine`] is made.
#[derive(Clone, Debug, Default)]
pub struct EngineBuilder {
    limits: Limits,
    cache: Cache,
    plugin: Option<PathBuf>,
}

#[derive(Clone, Debug, Default)]
enum Cache {
    /// The user's own cache folder.
    #[default]
    Usual,
    At(PathBuf),
    None,
}

impl EngineBuilder {
    /// What plugins, calls and connections may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where the compiled plugin is kept. Default: `sandbucket` in `$XDG_CACHE_HOME`, else in `~/.cache`.
    ///
    /// The folder is made, for this user alone. One that others can write to is not used: what is in it runs as
    /// machine code.
    pub fn cache_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Cache::At(folder.into());
        self
    }

    /// Compiles the plugin each time.
    pub fn no_cache(mut self) -> Self {
        self.cache = Cache::None;
        self
    }

    /// A component to load in place of the one that is built in.
    pub fn plugin_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.plugin = Some(file.into());
        self
    }

    /// Makes the engine.
    ///
    /// This blocks while the plugin is compiled, up to some seconds the first time.
    ///
    /// # Errors
    /// [`Error::Config`] for limits that are at odds, [`Error::Io`] for a plugin file that cannot be read,
    /// [`Error::Plugin`] for one that is no blob store or wants more than it may have.
    pub fn build(self) -> Result<Engine> {
        let EngineBuilder { limits, cache, plugin } = self;
        limits.check().map_err(|message| Error::Config { path: None, line: None, key: None, message })?;
        let wasmtime = wasmtime_engine(&limits)?;
        let folder = match cache {
            Cache::Usual => usual_cache(),
            Cache::At(folder) => Some(folder),
            Cache::None => None,
        };
        let plugin = match plugin {
            None => Plugin::load(&wasmtime, PLUGIN, folder.as_deref())?,
            Some(file) => {
                let doing = || format!("reading the plugin {}", file.display());
                let bytes = std::fs::read(&file).map_err(|source| Error::Io { doing: doing(), source })?;
                Plugin::load(&wasmtime, &bytes, folder.as_deref()).map_err(|error| match error {
                    Error::Plugin { message } => Error::plugin(format!("{}: {message}", file.display())),
                    other => other,
                })?
            }
        };
        let inner = Arc::new(Inner {
            wasmtime,
            plugin,
            instances: Arc::new(Semaphore::new(limits.instances.min(Semaphore::MAX_PERMITS))),
            limits,
            waiting: AtomicUsize::new(0),
            pools: Mutex::default(),
            clients: Mutex::default(),
        });
        tick(Arc::downgrade(&inner))?;
        Ok(Engine { inner })
    }
}

impl Engine {
    /// An engine with the plugin that is built in. This blocks while the plugin is compiled, up to some seconds the
    /// first time.
    pub fn new(limits: Limits) -> Result<Engine> {
        Engine::builder().limits(limits).build()
    }

    /// Begins to make an engine.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// The limits that hold.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// What the plugin imports: all that it can reach. Names such as `wasi:http/types@0.2.0`, sorted.
    pub fn imports(&self) -> &[String] {
        &self.inner.plugin.imports
    }

    /// The settings that the plugin knows, in the order in which to show them.
    pub async fn settings(&self) -> Result<Vec<Setting>> {
        // It is asked nothing that needs the network, and gets none.
        let gate = Gate::new(self.client(&TlsOptions::default())?, Egress::none(), &self.inner.limits);
        let limits = &self.inner.limits;
        let busy = |_| Error::Busy { operation: "asking for the settings", limit: limits.instances };
        let _permit = timeout(limits.call_time, self.inner.permit()).await.map_err(busy)?;
        let mut sandbox = Sandbox::new(&self.inner, gate, limits.call_time).await?;
        let settings = sandbox.settings(limits).await?;
        Ok(settings.into_iter().map(Setting::from).collect())
    }

    /// Opens a store with these settings: name and value, as the plugin's documentation spells them.
    ///
    /// # Errors
    /// [`Error::InvalidSettings`], which names the setting. Nothing is asked of the service yet: a wrong key shows at
    /// the first call.
    pub async fn store<N: Into<String>, V: Into<String>>(
        &self,
        settings: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Store> {
        self.open(StoreOptions::new().settings(settings)).await
    }

    /// Opens a store.
    pub async fn open(&self, options: StoreOptions) -> Result<Store> {
        let egress = match options.egress {
            Some(egress) => egress,
            None => Egress::from_settings(&options.settings)?,
        };
        let gate = Gate::new(self.client(&options.tls)?, egress, &self.inner.limits);
        Store::open(Pool::new(self.inner.clone(), gate, options.settings)).await
    }

    fn client(&self, tls: &TlsOptions) -> Result<Client> {
        let mut clients = self.inner.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(tls) {
            return Ok(client.clone());
        }
        let client = Client::new(tls, &self.inner.limits)?;
        clients.insert(tls.clone(), client.clone());
        Ok(client)
    }
}

impl Inner {
    /// The right to one more instance.
    pub(crate) async fn permit(&self) -> OwnedSemaphorePermit {
        if let Ok(permit) = self.instances.clone().try_acquire_owned() {
            return permit;
        }
        let _waiting = Waiting::new(&self.waiting);
        loop {
            // Somebody's idle instance is worth less than a call. From now on none becomes idle.
            let given_up = self.pools().iter().any(|pool| pool.give_up_one());
            match self.instances.clone().try_acquire_owned() {
                Ok(permit) => return permit,
                Err(_) if given_up => continue,
                Err(_) => {}
            }
            // The semaphore is never closed.
            if let Ok(permit) = self.instances.clone().acquire_owned().await {
                return permit;
            }
        }
    }

    /// Whether calls wait for instances.
    pub(crate) fn short_of_instances(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    pub(crate) fn register(&self, pool: &Arc<Pool>) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.len() == pools.capacity() {
            pools.retain(|pool| pool.strong_count() > 0);
        }
        pools.push(Arc::downgrade(pool));
    }

    fn pools(&self) -> Vec<Arc<Pool>> {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Counts one who waits, for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn wasmtime_engine(limits: &Limits) -> Result<wasmtime::Engine> {
    match wasmtime::Engine::new(&wasmtime_config(limits, true)) {
        Ok(engine) => Ok(engine),
        // The pool reserves address space for every instance at once, which some machines do not give.
        Err(error) => {
            tracing::warn!(error = %format!("{error:#}"), "no pool of instances; each is allocated by itself");
            wasmtime::Engine::new(&wasmtime_config(limits, false))
                .map_err(|error| Error::plugin(format!("wasmtime does not start: {error:#}")))
        }
    }
}

fn wasmtime_config(limits: &Limits, pooled: bool) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // Plugins are WASI 0.2: their calls are synchronous inside, and wasmtime can leave out the bookkeeping.
    config.concurrency_support(false);
    if pooled {
        let instances = u32::try_from(limits.instances).unwrap_or(u32::MAX);
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(instances)
            .total_core_instances(instances.saturating_mul(MAX_INSTANCES as u32))
            .total_memories(instances.saturating_mul(MAX_MEMORIES as u32))
            .total_tables(instances.saturating_mul(MAX_TABLES as u32))
            .total_stacks(instances)
            .max_core_instances_per_component(MAX_INSTANCES as u32)
            .max_memories_per_component(MAX_MEMORIES as u32)
            .max_tables_per_component(MAX_TABLES as u32)
            .max_memory_size(limits.memory.next_multiple_of(64 * 1024))
            .table_elements(MAX_TABLE);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// Where the compiled plugin is kept if nobody says otherwise.
fn usual_cache() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(folder.join("sandbucket"))
}

/// Lets time pass for the engine's plugins, and idle instances go, for as long as the engine lives.
fn tick(engine: Weak<Inner>) -> Result<()> {
    let run = move || {
        for tick in 1u64.. {
            thread::sleep(TICK);
            let Some(engine) = engine.upgrade() else { return };
            engine.wasmtime.increment_epoch();
            if tick % TICKS_PER_ROUND == 0
                && let Some(before) = Instant::now().checked_sub(IDLE)
            {
                engine.pools().iter().for_each(|pool| pool.trim(before));
            }
        }
    };
    let spawned = thread::Builder::new().name("sandbucket-tick".to_owned()).spawn(run);
    spawned.map(drop).map_err(|source| Error::Io { doing: "starting the engine's clock".to_owned(), source })
}
