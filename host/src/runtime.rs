//! What all stores of an engine share: wasmtime, the compiled plugin, the count of instances, and the passing of time.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::digest;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::plugin::Plugin;
use crate::state::{MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE, MAX_TABLES};
use crate::transport::{Client, Clients, Network, TlsOptions};

/// How often running plugins are looked at: the step in which [`Limits::cpu_time`] is measured.
const TICK: Duration = Duration::from_millis(10);

/// Ticks between rounds that give up what is idle.
const TICKS_PER_ROUND: u64 = 500;

/// How long an instance may have nothing to do before it is given up.
const IDLE: Duration = Duration::from_secs(60);

/// How much of a table is wiped where it is, in bytes, for the next instance: it is a page for most plugins, and giving
/// it back to the kernel and getting another takes as long as a third of all else about an instance.
const WARM_TABLE: usize = 8 * 1024;

/// How much of a call stack is wiped where it is, in bytes, as an instance is given up; the rest goes back to the kernel.
/// Calls of the built-in plugin use less.
const WARM_STACK: usize = 32 * 1024;

/// Somebody with idle instances.
pub(crate) trait Idle: Send + Sync {
    /// Gives up an instance that has nothing to do, the one idle for longest. False where there is none.
    fn give_up_one(&self) -> bool;

    /// Gives up those that have had nothing to do since before this.
    fn trim(&self, before: Instant);
}

/// What the instances of all stores share.
pub(crate) struct Runtime {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) plugin: Plugin,
    pub(crate) limits: Limits,
    instances: Arc<Semaphore>,
    /// Calls that wait for an instance.
    waiting: AtomicUsize,
    pools: Mutex<Vec<Weak<dyn Idle>>>,
    sums: digest::Shared,
    clients: Clients,
}

impl Runtime {
    pub(crate) fn new(
        wasmtime: wasmtime::Engine,
        plugin: Plugin,
        limits: Limits,
        network: Network,
    ) -> Result<Arc<Runtime>> {
        let runtime = Arc::new(Runtime {
            wasmtime,
            plugin,
            instances: Arc::new(Semaphore::new(limits.instances.min(Semaphore::MAX_PERMITS))),
            clients: Clients::new(network, &limits),
            limits,
            waiting: AtomicUsize::new(0),
            pools: Mutex::default(),
            sums: digest::Shared::default(),
        });
        tick(Arc::downgrade(&runtime))?;
        Ok(runtime)
    }

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

    /// Where digests are made together.
    pub(crate) fn sums(&self) -> &digest::Shared {
        &self.sums
    }

    /// Makes a pool known, whose idle instances can be given up.
    pub(crate) fn register(&self, pool: Weak<dyn Idle>) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.len() == pools.capacity() {
            pools.retain(|pool| pool.strong_count() > 0);
        }
        pools.push(pool);
    }

    /// The client for this way of TLS.
    pub(crate) fn client(&self, tls: &TlsOptions) -> Result<Client> {
        self.clients.get(tls, &self.limits)
    }

    /// Gives up instances and connections that have had nothing to do for too long.
    fn sweep(&self) {
        if let Some(before) = Instant::now().checked_sub(IDLE) {
            self.pools().iter().for_each(|pool| pool.trim(before));
        }
        self.clients.sweep();
    }

    fn pools(&self) -> Vec<Arc<dyn Idle>> {
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

/// wasmtime, set up for these limits.
pub(crate) fn wasmtime_engine(limits: &Limits) -> Result<wasmtime::Engine> {
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
    // The stack that an instance's calls ran on goes back to the pool with the instance, and may hold pieces of secrets.
    config.async_stack_zeroing(true);
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
            .table_elements(MAX_TABLE)
            .async_stack_keep_resident(WARM_STACK)
            // `pagemap_scan` would spare the memory the same way, but takes pages that were swapped out for clean: the
            // next instance would find another tenant's bytes in them.
            .table_keep_resident(WARM_TABLE);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// Lets time pass for the engine's plugins, and idle instances go, for as long as the engine lives.
fn tick(engine: Weak<Runtime>) -> Result<()> {
    let run = move || {
        for tick in 1u64.. {
            thread::sleep(TICK);
            let Some(engine) = engine.upgrade() else { return };
            engine.wasmtime.increment_epoch();
            if tick % TICKS_PER_ROUND == 0 {
                engine.sweep();
            }
        }
    };
    let spawned = thread::Builder::new().name("sandbucket-tick".to_owned()).spawn(run);
    spawned
        .map(drop)
        .map_err(|source| Error::Io { doing: "starting the engine's clock".to_owned(), source: Arc::new(source) })
}
