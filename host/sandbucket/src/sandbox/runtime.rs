//! What all stores of an engine share: wasmtime, the compiled plugin, the count of instances, and the passing of time.

use std::any::Any;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::budget::Admission;
use crate::checksum;
use crate::error::{Error, Result};
use crate::http::{Clients, Egress, HttpGate, Network, Proxy, TlsOptions};
use crate::limits::Limits;
use crate::sandbox::address_space::{Plan, first_that_fits};
use crate::sandbox::component::{self, Plugin, Plugins};
use crate::sandbox::compute::{Compute, ComputeShare};
use crate::sandbox::host_state::{MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE, MAX_TABLES, linear_memory};
use crate::sandbox::pool::PoolStatus;
use crate::support::background::Cleanups;
use crate::support::deadline::timeout_at;
use crate::support::fair_queue::{Claim, Evictable, FairPermit, FairQueue, FairShare, Grant};
use crate::telemetry::{EngineSample, Telemetry};

/// How often running plugins are looked at: the step in which [`Limits::cpu_time`] is measured. While calls compute for long, it is
/// [`Compute::slice`]: a tick wakes a thread, which is not worth it as long as nothing computes.
const TICK: Duration = Duration::from_millis(10);

/// Time between rounds that give up what is idle.
const ROUND: Duration = Duration::from_secs(5);

/// How long an instance may have nothing to do before it is given up.
const IDLE: Duration = Duration::from_secs(60);

/// How much of a table is wiped where it is, in bytes, for the next instance: it is a page for most plugins, and giving
/// it back to the kernel and getting another takes as long as a third of all else about an instance.
const WARM_TABLE: usize = 8 * 1024;

/// How much of a call stack is wiped where it is, in bytes, as an instance is given up; the rest goes back to the kernel.
/// Calls of the built-in plugin use less.
const WARM_STACK: usize = 32 * 1024;

/// Somebody with idle instances.
pub(crate) trait EvictIdle: Send + Sync {
    /// Gives up an instance that has nothing to do, the one idle for longest. False where there is none.
    fn evict_one(&self) -> bool;

    /// Since when the one idle for longest has been idle.
    fn idle_since(&self) -> Option<Instant>;

    /// Whether it has several instances, idle or not. Those of a tenant's stores count together.
    fn holds_several(&self) -> bool;

    /// Whether it is another store of the tenant whose store has this share.
    fn is_sibling(&self, share: &InstanceShare) -> bool;

    /// What it holds.
    fn status(&self) -> PoolStatus;

    /// Gives up those that have had nothing to do since before this.
    fn evict_idle_since(&self, before: Instant);
}

/// Something that closes what is idle.
pub(crate) trait Sweep: Send + Sync {
    /// Is called every few seconds, on the engine's own thread.
    fn sweep(&self);
}

/// An idle instance, handed to another call of its pool.
pub(crate) type Handed = Box<dyn Any + Send>;

/// A store's share of the instances.
pub(crate) type InstanceShare = Arc<FairShare<Handed>>;

/// The right to one instance.
pub(crate) type InstancePermit = FairPermit<Handed>;

/// What the instances of all stores share.
pub(crate) struct Runtime {
    pub(crate) wasmtime: wasmtime::Engine,
    /// Of stores that name no other.
    pub(crate) plugin: Plugin,
    plugins: Mutex<Plugins>,
    /// The folder of the compile cache.
    cache: Option<PathBuf>,
    pub(crate) limits: Limits,
    instances: Arc<FairQueue<Handed>>,
    compute: Arc<Compute>,
    pools: Mutex<Vec<Weak<dyn EvictIdle>>>,
    sweeps: Mutex<Vec<Weak<dyn Sweep>>>,
    sums: checksum::Batcher,
    cleanups: Cleanups,
    clients: Clients,
    telemetry: Arc<Telemetry>,
}

impl Runtime {
    pub(crate) fn new(
        (wasmtime, instances): (wasmtime::Engine, usize),
        plugin: Plugin,
        cache: Option<PathBuf>,
        limits: Limits,
        network: Network,
        telemetry: Arc<Telemetry>,
    ) -> Result<Arc<Runtime>> {
        let mut plugins = Plugins::default();
        plugins.add(&plugin);
        let runtime = Arc::new(Runtime {
            wasmtime,
            plugins: Mutex::new(plugins),
            plugin,
            cache,
            clients: Clients::new(network, &limits),
            instances: FairQueue::new(instances),
            compute: Compute::new(),
            limits,
            pools: Mutex::default(),
            sweeps: Mutex::default(),
            sums: checksum::Batcher::default(),
            cleanups: Cleanups::default(),
            telemetry,
        });
        tick(Arc::downgrade(&runtime), &runtime.compute)?;
        Ok(runtime)
    }

    /// Loads a plugin, unless it is in use already. Blocks while it compiles.
    pub(crate) fn load(&self, bytes: &[u8]) -> Result<Plugin> {
        let plugins = || self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let known = plugins().get(&component::digest(bytes));
        if let Some(plugin) = known {
            return Ok(plugin);
        }
        let plugin = Plugin::load(&self.wasmtime, bytes, self.cache.as_deref())?;
        plugins().add(&plugin);
        Ok(plugin)
    }

    /// The share of the instances of a store, which may be a tenant's. All stores of a tenant are bounded together.
    pub(crate) fn instance_share(&self, tenant: Option<&Arc<Admission>>) -> InstanceShare {
        self.instances.register(tenant.map(|tenant| -> Arc<dyn Claim> { tenant.caps().clone() }))
    }

    /// The share of the time in which plugins compute of a store, which may be a tenant's.
    pub(crate) fn compute_share(&self, tenant: Option<&Arc<Admission>>) -> Arc<ComputeShare> {
        self.compute.register(self.limits.compute_per_store, tenant.cloned())
    }

    /// A permit for an instance of this share, or an instance that another call handed over. Before it waits, it gives up
    /// idle instances of other stores; and `own`, which gives one that has become idle meanwhile, is asked.
    ///
    /// # Errors
    /// [`Error::Busy`] where none comes free by `end`, or in the time that the limits allow.
    pub(crate) async fn instance_permit(
        &self,
        operation: &'static str,
        share: &InstanceShare,
        end: Instant,
        own: impl Fn() -> Option<Handed>,
    ) -> Result<Grant<Handed>> {
        if let Some(permit) = share.try_acquire() {
            return Ok(Grant::Permit(permit));
        }
        // From now on it is seen by calls that end.
        let mut waiting = share.acquire();
        if let Some(instance) = own() {
            return Ok(Grant::Instance(instance));
        }
        loop {
            if let Some(grant) = waiting.try_take() {
                return Ok(grant);
            }
            if !self.evict_for(share) {
                break;
            }
        }
        let began = Instant::now();
        let end = began.checked_add(self.limits.instance_wait).map_or(end, |wait| wait.min(end));
        let busy = |_| {
            let (limit, waited) = (self.instances.limit(), began.elapsed());
            let name = if limit < self.limits.instances { "address-space" } else { "instances" };
            Error::Busy { operation, name, limit, waited }
        };
        timeout_at(end.into(), waiting).await.map_err(busy)
    }

    /// Has calls wait where there would be more instances than there are now, but for one that could not be made for lack of
    /// memory. False where there is no other to wait for.
    pub(crate) fn fewer_instances(&self) -> bool {
        let fewer = self.instances.lower_limit();
        if fewer {
            tracing::debug!(limit = self.instances.limit(), "no memory for another plugin instance");
        }
        fewer
    }

    /// Whether calls wait for instances.
    pub(crate) fn short_of_instances(&self) -> bool {
        self.instances.has_waiting()
    }

    /// Gives up idle instances for a call of this share, which is worth more: of stores that have several, else of any,
    /// and of those the ones idle for longest. Those of the tenant's other stores make way in any case, and are the only ones where its
    /// budget allows no more. False where giving up any would not help.
    fn evict_for(&self, share: &InstanceShare) -> bool {
        let evictable = share.evictable();
        if evictable == Evictable::None {
            return false;
        }
        let mut idle: Vec<_> = self
            .pools()
            .into_iter()
            .filter_map(|pool| Some((!pool.holds_several(), pool.idle_since()?, pool)))
            .filter(|(last, _, pool)| match evictable {
                Evictable::Any => true,
                Evictable::Extra => !last || pool.is_sibling(share),
                Evictable::Siblings => pool.is_sibling(share),
                Evictable::None => false,
            })
            .collect();
        idle.sort_by_key(|&(last, since, _)| (last, since));
        // Looking at all stores takes 0.1 ms for 1,000 of them: not for each instance anew.
        let count = (self.limits.instances / 128).max(1);
        idle.iter().take(count).fold(false, |evicted, (.., pool)| pool.evict_one() || evicted)
    }

    /// What is recorded of calls.
    pub(crate) fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// Where digests are made together.
    pub(crate) fn sums(&self) -> &checksum::Batcher {
        &self.sums
    }

    /// The cleanups in the background.
    pub(crate) fn cleanups(&self) -> &Cleanups {
        &self.cleanups
    }

    /// Makes a pool known, whose idle instances can be given up.
    pub(crate) fn register(&self, pool: Weak<dyn EvictIdle>) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if pools.len() == pools.capacity() {
            pools.retain(|pool| pool.strong_count() > 0);
        }
        pools.push(pool);
    }

    /// Has this swept with the instances, as long as it exists.
    pub(crate) fn on_sweep(&self, sweep: Weak<dyn Sweep>) {
        self.sweeps.lock().unwrap_or_else(PoisonError::into_inner).push(sweep);
    }

    /// The way out of a store with these options: see [`Clients::gate`].
    pub(crate) fn gate(
        &self,
        tls: &TlsOptions,
        egress: Egress,
        proxy: Option<&Proxy>,
        limits: &Limits,
    ) -> Result<HttpGate> {
        // Stores share connections, and so what the engine's limits say of these.
        self.clients.gate(tls, egress, proxy, (&self.limits, limits))
    }

    /// Gives up instances and connections that have had nothing to do for too long.
    fn sweep(&self) {
        if let Some(before) = Instant::now().checked_sub(IDLE) {
            self.pools().iter().for_each(|pool| pool.evict_idle_since(before));
        }
        self.clients.sweep();
        let sweeps: Vec<_> = {
            let mut sweeps = self.sweeps.lock().unwrap_or_else(PoisonError::into_inner);
            sweeps.retain(|sweep| sweep.strong_count() > 0);
            sweeps.iter().filter_map(Weak::upgrade).collect()
        };
        sweeps.iter().for_each(|sweep| sweep.sweep());
        self.sample();
        // There may be memory again.
        self.instances.raise_limit();
    }

    /// Sets the gauges of the engine.
    fn sample(&self) {
        let waiters = self.instances.waiting();
        let mut sample = EngineSample { waiters, idle_connections: self.clients.idle(), ..EngineSample::default() };
        for status in self.pools().iter().map(|pool| pool.status()) {
            sample.idle += status.idle;
            sample.busy += status.busy;
            sample.memory += status.memory;
        }
        self.telemetry.engine.sample(sample);
    }

    fn pools(&self) -> Vec<Arc<dyn EvictIdle>> {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().filter_map(Weak::upgrade).collect()
    }
}

/// wasmtime, set up for these limits; and how many instances it has room for.
pub(crate) fn wasmtime_engine(limits: &Limits) -> Result<(wasmtime::Engine, usize)> {
    let (engine, plan) = first_that_fits(limits, |plan| wasmtime::Engine::new(&wasmtime_config(limits, plan)))?;
    tracing::debug!(instances = plan.instances, bounds_checks = plan.is_bounded(), "pool of instances made");
    Ok((engine, plan.instances as usize))
}

fn wasmtime_config(limits: &Limits, plan: Plan) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // Plugins are WASI 0.2: their calls are synchronous inside, and wasmtime can leave out the bookkeeping.
    config.concurrency_support(false);
    // The stack that an instance's calls ran on goes back to the pool with the instance, and may hold pieces of secrets.
    config.async_stack_zeroing(true);
    // A memory of the pool never moves; that it cannot makes bounds checks cheaper.
    config.memory_reservation(plan.reservation).memory_guard_size(plan.guard).memory_may_move(false);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(plan.instances)
        .total_core_instances(plan.core_instances())
        .total_memories(plan.memories())
        .total_tables(plan.tables())
        .total_stacks(plan.instances)
        .max_core_instances_per_component(MAX_INSTANCES as u32)
        .max_memories_per_component(MAX_MEMORIES as u32)
        .max_tables_per_component(MAX_TABLES as u32)
        .max_memory_size(linear_memory(limits).next_multiple_of(64 * 1024))
        .table_elements(MAX_TABLE)
        .async_stack_keep_resident(WARM_STACK)
        // `pagemap_scan` would spare the memory the same way, but takes pages that were swapped out for clean: the
        // next instance would find another tenant's bytes in them.
        .table_keep_resident(WARM_TABLE);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Lets time pass for the engine's plugins, and idle instances go, for as long as the engine lives.
fn tick(engine: Weak<Runtime>, compute: &Compute) -> Result<()> {
    let run = move || {
        let mut swept = Instant::now();
        let mut tick = TICK;
        loop {
            let mut end = Instant::now() + tick;
            loop {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                thread::park_timeout(left);
                let Some(engine) = engine.upgrade() else { return };
                if engine.compute.is_active() {
                    end = end.min(Instant::now() + engine.compute.slice());
                }
            }
            let Some(engine) = engine.upgrade() else { return };
            engine.wasmtime.increment_epoch();
            if swept.elapsed() >= ROUND {
                swept = Instant::now();
                engine.sweep();
            }
            tick = TICK;
            if engine.compute.is_active() {
                engine.compute.expire();
                tick = engine.compute.slice();
            }
        }
    };
    let spawned = thread::Builder::new().name("sandbucket-tick".to_owned()).spawn(run);
    spawned
        .map(|ticker| compute.set_ticker(ticker.thread().clone()))
        .map_err(|source| Error::Io { doing: "starting the engine's clock".to_owned(), source: Arc::new(source) })
}
