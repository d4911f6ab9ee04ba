//! What the host keeps for one instance: its resources, its bounds, its way out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use wasmtime::ResourceLimiter;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::clocks::{WasiClocksCtx, WasiClocksCtxView, WasiClocksView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::budget::Admission;
use crate::limits::Limits;
use crate::sandbox::address_space::is_out_of_memory;
use crate::sandbox::wasi_http::Hooks;

/// Handles that an instance may hold at once. A call needs about ten.
const MAX_RESOURCES: usize = 128;

/// The share of an instance's memory limit that is set aside for what the host holds for it: one part in so many. A third of
/// it is for request bodies that are written and not yet sent, the rest for maps of header fields.
const HOST_SHARE: usize = 8;
/// Bytes of one map of header fields that hold any request of the built-in plugin, however small the limit is.
const MIN_FIELDS: usize = 48 << 10;

/// Core instances, memories and tables that one component may be made of: it is a few core instances, of which one has
/// the memory.
pub(crate) const MAX_INSTANCES: usize = 8;
pub(crate) const MAX_MEMORIES: usize = 1;
pub(crate) const MAX_TABLES: usize = 4;

/// Elements of a table that an instance may grow to.
pub(crate) const MAX_TABLE: usize = 20_000;

/// Bytes of linear memory that an instance may have.
pub(crate) fn linear_memory(limits: &Limits) -> usize {
    limits.memory - limits.memory / HOST_SHARE
}

/// The data of a wasmtime store.
pub(crate) struct State {
    pub(crate) table: ResourceTable,
    pub(crate) hooks: Hooks,
    pub(crate) limiter: Limiter,
    pub(crate) meter: Arc<Meter>,
    /// Whether the plugin was stopped for computing too long.
    pub(crate) out_of_time: bool,
    http: WasiHttpCtx,
    clocks: WasiClocksCtx,
}

impl State {
    /// The data of an instance of a store, which may be a tenant's.
    pub(crate) fn new(mut hooks: Hooks, limits: &Limits, tenant: Option<Arc<Admission>>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let mut http = WasiHttpCtx::new();
        // Linear memory and this share together are `memory`.
        let share = limits.memory - linear_memory(limits);
        hooks.set_body_memory(share / 3);
        http.set_field_size_limit(((share - share / 3) / MAX_RESOURCES).max(MIN_FIELDS));
        State {
            table,
            hooks,
            limiter: Limiter::new(linear_memory(limits), tenant),
            meter: Arc::new(Meter::new()),
            out_of_time: false,
            http,
            clocks: WasiClocksCtx::default(),
        }
    }
}

impl HasData for State {
    type Data<'a> = &'a mut ResourceTable;
}

impl WasiClocksView for State {
    fn clocks(&mut self) -> WasiClocksCtxView<'_> {
        WasiClocksCtxView { ctx: &mut self.clocks, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Bounds an instance's memory.
pub(crate) struct Limiter {
    memory: usize,
    /// Bytes of linear memory now.
    pub(crate) used: usize,
    /// Whether more was asked for than is allowed.
    pub(crate) refused: bool,
    /// Whether more was asked for than the tenant's budget allows.
    pub(crate) exceeds_budget: bool,
    /// The tenant whose budget it is charged to.
    pub(crate) tenant: Option<Arc<Admission>>,
    /// What the system said where it did not give memory that is allowed.
    pub(crate) not_given: Option<String>,
}

impl Limiter {
    fn new(memory: usize, tenant: Option<Arc<Admission>>) -> Limiter {
        Limiter { memory, used: 0, refused: false, exceeds_budget: false, tenant, not_given: None }
    }

    /// Begins a call.
    pub(crate) fn reset(&mut self) {
        (self.refused, self.exceeds_budget, self.not_given) = (false, false, None);
    }

    /// Bytes of linear memory that the instance may have.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        if let Some(tenant) = &self.tenant {
            tenant.caps().shrink(self.used as u64);
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used - current.min(self.used) + desired;
        if used > self.memory {
            self.refused = true;
            return Ok(false);
        }
        let grows_by = used.saturating_sub(self.used) as u64;
        if let Some(tenant) = &self.tenant
            && !tenant.caps().grow(grows_by)
        {
            self.exceeds_budget = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if is_out_of_memory(&error) {
            self.not_given = Some(error.root_cause().to_string());
        }
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE)
    }

    // As many as the pool of instances gives; they hold where there is none, too.
    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }
}

/// CPU time of a call: what its polls take; waiting between them does not count.
///
/// A call's first polls are timed by the clock on the wall, which takes no call into the kernel, and are charged no more than
/// [`Meter::FIRST_POLL`] each: most calls are over within microseconds. Once a call has used [`Meter::PRECISE`], its polls are
/// timed by the thread's CPU clock, so that a machine with too much to do stops no innocent call.
pub(crate) struct Meter {
    origin: Instant,
    spent: AtomicU64,
    /// When the poll under way began, in nanoseconds by its clock, plus 1; 0 where none is.
    entered: AtomicU64,
    precise: AtomicBool,
}

impl Meter {
    /// The most that a poll is charged that the wall clock timed. The plugin's code is interrupted each 10 ms, so that more
    /// is time in which the thread did not run.
    const FIRST_POLL: u64 = 30_000_000;
    /// CPU time from which on the thread's clock is used.
    const PRECISE: u64 = 2_000_000;

    fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Meter { origin: Instant::now(), spent: zero(), entered: zero(), precise: AtomicBool::new(false) }
    }

    /// By the clock of the poll under way. It is asked on the thread that polls.
    fn now(&self, precise: bool) -> u64 {
        if precise { thread_cpu_time() + 1 } else { self.origin.elapsed().as_nanos() as u64 + 1 }
    }

    /// Begins a part of a call that has computed for so long before.
    pub(crate) fn start(&self, spent: Duration) {
        self.spent.store(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX / 2), Relaxed);
        self.entered.store(0, Relaxed);
    }

    fn running(&self, entered: u64) -> u64 {
        let precise = self.precise.load(Relaxed);
        let took = self.now(precise).saturating_sub(entered);
        if precise { took } else { took.min(Self::FIRST_POLL) }
    }

    /// What the call has computed so far. In the middle of a poll, it is asked on the thread that polls.
    pub(crate) fn spent(&self) -> Duration {
        let entered = self.entered.load(Relaxed);
        let running = if entered == 0 { 0 } else { self.running(entered) };
        Duration::from_nanos(self.spent.load(Relaxed).saturating_add(running))
    }

    /// Polls, and counts the time it takes.
    pub(crate) fn poll<F: Future>(&self, future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let precise = self.spent.load(Relaxed) >= Self::PRECISE;
        self.precise.store(precise, Relaxed);
        self.entered.store(self.now(precise), Relaxed);
        let polled = future.poll(cx);
        let took = self.running(self.entered.swap(0, Relaxed));
        self.spent.fetch_add(took, Relaxed);
        polled
    }
}

/// CPU time of the thread, in nanoseconds.
fn thread_cpu_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Budget;

    #[tokio::test]
    async fn waiting_is_not_computing() {
        let meter = Meter::new();
        let mut work = std::pin::pin!(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            std::thread::sleep(Duration::from_millis(20));
        });
        std::future::poll_fn(|cx| meter.poll(work.as_mut(), cx)).await;
        let spent = meter.spent();
        assert!(spent >= Duration::from_millis(20) && spent < Duration::from_millis(900), "{spent:?}");
        // Nor is not running: by now the thread's own clock is asked.
        std::future::poll_fn(|cx| {
            meter.poll(std::pin::pin!(async { std::thread::sleep(Duration::from_millis(300)) }), cx)
        })
        .await;
        assert!(meter.spent() < spent + Duration::from_millis(200), "{:?} after {spent:?}", meter.spent());
        let before = meter.spent();
        std::future::poll_fn(|cx| {
            meter.poll(
                std::pin::pin!(async {
                    let began = thread_cpu_time();
                    while thread_cpu_time() < began + 50_000_000 {}
                }),
                cx,
            )
        })
        .await;
        assert!(meter.spent() >= before + Duration::from_millis(50), "{:?} after {before:?}", meter.spent());
        meter.start(Duration::ZERO);
        assert_eq!(meter.spent(), Duration::ZERO);
        meter.start(Duration::from_secs(1));
        assert_eq!(meter.spent(), Duration::from_secs(1));
    }

    #[test]
    fn memory_is_counted_over_all_memories() {
        let mut limiter = Limiter::new(300, None);
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        assert!(limiter.memory_growing(100, 200, None).unwrap());
        assert!(!limiter.refused && limiter.used == 300);
        assert!(!limiter.memory_growing(100, 101, None).unwrap());
        assert!(limiter.refused && limiter.used == 300);
    }

    #[test]
    fn memory_of_all_instances_is_charged_to_the_tenant() {
        let tenant = Admission::new("alice".into(), Budget::default().with_memory(250), 1);
        let [mut one, mut other] = [(); 2].map(|()| Limiter::new(200, Some(tenant.clone())));
        assert!(one.memory_growing(0, 150, None).unwrap() && other.memory_growing(0, 100, None).unwrap());
        assert!(!one.memory_growing(150, 151, None).unwrap());
        assert!(one.exceeds_budget && !one.refused);
        one.reset();
        drop(other);
        assert_eq!(tenant.usage().memory, 150);
        assert!(one.memory_growing(150, 200, None).unwrap() && !one.memory_growing(200, 201, None).unwrap());
        assert!(one.refused && !one.exceeds_budget);
        drop(one);
        assert_eq!(tenant.usage().memory, 0);
    }
}
