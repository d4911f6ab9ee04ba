//! Schedules calls that compute for long, so that they leave the runtime's workers to others.
//!
//! A call into a plugin occupies a worker of the runtime until it waits or ends, or until the next tick interrupts it.
//! Short calls just run. A call that was interrupted needs a permit for each further slice, and so do all calls of a
//! store that has computed much lately, in long slices or in short ones between waits ([`ComputeShare::is_limited`]). Permits are bounded for each store, and
//! for all together to one less than the runtime's workers. A permit is held while the call is polled, and no longer.
//! Calls of one store are served first in, first out, and stores by weighted round robin: each has a virtual start time (start-time fair
//! queueing), which a permit moves on by the inverse of its weight. Waiting for a permit is no CPU time. All stores of a tenant count as
//! one.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

use crate::budget::Admission;
use crate::support::count_guard::CountGuard;

/// A poll that takes no longer than this is short, for each operation that it is about. The real plugin takes 5 to 50 µs; a page
/// of 1,000 listed keys takes more.
const SHORT: Duration = Duration::from_micros(100);

/// How long a store is limited for the time that its long polls took, and those of calls that wait in between: one that spends
/// more than a tenth of one core in them is limited all the time.
const LIMITED_FOR: u32 = 10;

/// What a store has to its credit: 10 ms of such polls.
const CREDIT: Duration = Duration::from_millis(100);

/// How much longer a store is limited at most, whatever it did.
const MOST_LIMITED: Duration = Duration::from_secs(1);

/// How long a call computes until it makes room for another one.
const SLICE: Duration = Duration::from_millis(2);

/// The same for a call that paused because its tenant owes CPU time. The kernel lets a thread that has slept run before others, the
/// service's or a worker with short calls, until its slice is over. The p99 of others to that alone (`sandbucket-bench fairness --only
/// spins`): with 2 ms 2.5 to 3.4, with 1 ms 2.5, with 0.5 ms 1.9, with 0.25 ms 1.2 to 1.5. Of a plugin that computes without pause they
/// are 1.2 with 2 ms, and 2.3 with 0.25 ms, as all workers then look like that thread.
const BRIEF_SLICE: Duration = Duration::from_micros(250);

/// How long a permit is kept for a call that was woken for it, and is not polled: its caller does not drive its future.
const UNCLAIMED: Duration = Duration::from_millis(100);

/// How many slices such a permit costs its store: as many as others had to go without.
const UNCLAIMED_SLICES: u64 = (UNCLAIMED.as_nanos() / SLICE.as_nanos()) as u64;

/// How far a permit moves the virtual start time of a store of weight 1. Weights up to 1,000 are distinguished, and 2^64 is not reached
/// in 10^13 permits.
const VIRTUAL_SLICE: u64 = 1_000_000;

/// The longest pause of a call whose tenant owes CPU time: the budget may change meanwhile.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The permits of an engine.
pub(crate) struct Compute {
    origin: Instant,
    /// Permits held, and calls that wait for one. Written under the lock of `state`.
    active: AtomicUsize,
    state: Mutex<State>,
    /// Calls that have paused, and now wait to compute or do.
    rested: AtomicUsize,
    /// The thread that interrupts calls.
    ticker: OnceLock<Thread>,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
    stores: HashMap<u64, Permits>,
    /// Stores with calls that wait, by their virtual start time: the one to be served next is first.
    queue: BTreeSet<(u64, u64)>,
    /// The virtual start time of the store served last.
    clock: u64,
    /// Calls that have a permit, and were not polled since.
    granted: Vec<Granted>,
    /// The shares of tenants, by the address of the [`Admission`] that they keep.
    tenants: HashMap<usize, Weak<ComputeShare>>,
    next_store: u64,
    next_ticket: u64,
}

/// A store's permits.
#[derive(Default)]
struct Permits {
    limit: usize,
    running: usize,
    calls: VecDeque<Waiting>,
    /// The tenant whose weight it has; without one it is 1.
    tenant: Option<Arc<Admission>>,
    /// The virtual start time of its next permit, or of its place in the queue.
    start: u64,
}

impl Permits {
    fn weight(&self) -> u64 {
        self.tenant.as_ref().map_or(1, |tenant| tenant.weight())
    }
}

/// A call that waits.
struct Waiting {
    ticket: u64,
    waker: Waker,
    /// Permits at once on its runtime.
    permits: usize,
}

struct Granted {
    ticket: u64,
    store: u64,
    since: Instant,
}

/// Processors that this process may use. Cached: finding out reads files of the process's control groups, for 35 µs.
fn processors() -> usize {
    static PROCESSORS: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from));
    *PROCESSORS
}

impl Compute {
    pub(crate) fn new() -> Arc<Compute> {
        Arc::new(Compute {
            origin: Instant::now(),
            active: AtomicUsize::new(0),
            state: Mutex::default(),
            rested: AtomicUsize::new(0),
            ticker: OnceLock::new(),
        })
    }

    /// Sets the thread that interrupts calls, which parks between two ticks. It is unparked when this becomes active: the first slice
    /// is then no longer than others.
    pub(crate) fn set_ticker(&self, ticker: Thread) {
        let _ = self.ticker.set(ticker);
    }

    /// The share of a store: so many permits at most, or half of the machine's processors where that is 0. All stores of a tenant
    /// have one.
    pub(crate) fn register(self: &Arc<Self>, limit: usize, tenant: Option<Arc<Admission>>) -> Arc<ComputeShare> {
        let limit = if limit == 0 { (processors() / 2).max(1) } else { limit };
        let mut state = self.state();
        let key = tenant.as_ref().map(address);
        if let Some(known) = key.and_then(|key| state.tenants.get(&key)).and_then(Weak::upgrade) {
            return known;
        }
        let store = state.next_store;
        state.next_store += 1;
        state.stores.insert(store, Permits { limit, tenant: tenant.clone(), ..Permits::default() });
        let share = Arc::new(ComputeShare { compute: self.clone(), store, limited_until: AtomicU64::new(0), tenant });
        state.tenants.extend(key.map(|key| (key, Arc::downgrade(&share))));
        share
    }

    /// Whether calls compute for long.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Relaxed) > 0
    }

    /// How long a call may compute until it is interrupted.
    pub(crate) fn slice(&self) -> Duration {
        if self.rested.load(Relaxed) > 0 { BRIEF_SLICE } else { SLICE }
    }

    /// Takes permits back from calls that are not polled. To be called from time to time while this is active.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        self.update(|state| {
            let unclaimed = |granted: &mut Granted| now.saturating_duration_since(granted.since) > UNCLAIMED;
            for Granted { store, .. } in state.granted.extract_if(.., unclaimed).collect::<Vec<_>>() {
                state.release(store);
                state.postpone(store, UNCLAIMED_SLICES);
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes whom that gives a permit.
    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let changed = change(&mut state);
        let woken = state.serve();
        let active = state.running + state.waiting;
        let was_active = self.active.swap(active, Relaxed) > 0;
        drop(state);
        if !was_active
            && active > 0
            && let Some(ticker) = self.ticker.get()
        {
            ticker.unpark();
        }
        woken.into_iter().for_each(Waker::wake);
        changed
    }

    fn now(&self) -> u64 {
        nanos(self.origin.elapsed())
    }
}

impl State {
    fn release(&mut self, store: u64) {
        self.running = self.running.saturating_sub(1);
        if let Some(permits) = self.stores.get_mut(&store) {
            permits.running = permits.running.saturating_sub(1);
        }
    }

    /// A permit at once, where no call of the same store waits, and one is left.
    fn take(&mut self, store: u64, most: usize) -> bool {
        let Some(permits) = self.stores.get_mut(&store) else { return true };
        let free = permits.calls.is_empty() && permits.running < permits.limit && self.running < most;
        permits.running += usize::from(free);
        self.running += usize::from(free);
        free
    }

    fn enqueue(&mut self, store: u64, call: Waiting) {
        let Some(permits) = self.stores.get_mut(&store) else { return };
        if permits.calls.is_empty() {
            // A store that did not wait has no claim on what others were given meanwhile.
            permits.start = permits.start.max(self.clock);
            self.queue.insert((permits.start, store));
        }
        permits.calls.push_back(call);
        self.waiting += 1;
    }

    /// Charges a store so many slices, for which others are served before it.
    fn postpone(&mut self, store: u64, slices: u64) {
        let Some(permits) = self.stores.get_mut(&store) else { return };
        let before = permits.start;
        permits.start = before.saturating_add(slices.saturating_mul(VIRTUAL_SLICE) / permits.weight().max(1));
        if self.queue.remove(&(before, store)) {
            self.queue.insert((permits.start, store));
        }
    }

    /// Takes a call out of the queue.
    fn withdraw(&mut self, store: u64, ticket: u64) {
        let Some(permits) = self.stores.get_mut(&store) else { return };
        if let Ok(place) = permits.calls.binary_search_by_key(&ticket, |call| call.ticket) {
            permits.calls.remove(place);
            self.waiting -= 1;
            if permits.calls.is_empty() {
                self.queue.remove(&(permits.start, store));
            }
        }
    }

    /// Gives permits to calls that wait.
    fn serve(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while let Some((start, store)) = self.queue.iter().copied().find(|&(_, store)| self.is_servable(store)) {
            let Some(permits) = self.stores.get_mut(&store) else { break };
            let Some(call) = permits.calls.pop_front() else { break };
            permits.running += 1;
            self.running += 1;
            self.waiting -= 1;
            self.clock = self.clock.max(start);
            self.queue.remove(&(start, store));
            permits.start = start.saturating_add(VIRTUAL_SLICE / permits.weight().max(1));
            if !permits.calls.is_empty() {
                self.queue.insert((permits.start, store));
            }
            self.granted.push(Granted { ticket: call.ticket, store, since: Instant::now() });
            woken.push(call.waker);
        }
        woken
    }

    /// Whether the first call of a store may have a permit.
    fn is_servable(&self, store: u64) -> bool {
        self.stores.get(&store).is_some_and(|permits| {
            permits.running < permits.limit && permits.calls.front().is_some_and(|call| self.running < call.permits)
        })
    }
}

/// The share of the permits of one store, or of all stores of a tenant.
pub(crate) struct ComputeShare {
    compute: Arc<Compute>,
    store: u64,
    /// Until when its calls need permits, and [`CREDIT`] longer, in nanoseconds since `origin`. It is written after long
    /// polls only, and so is in every processor's cache.
    limited_until: AtomicU64,
    /// The tenant whose budget CPU time is charged to.
    tenant: Option<Arc<Admission>>,
}

impl ComputeShare {
    /// The tenant whose budget CPU time is charged to.
    pub(crate) fn tenant(&self) -> Option<&Arc<Admission>> {
        self.tenant.as_ref()
    }

    /// Whether all of the store's calls need permits.
    fn is_limited(&self) -> bool {
        let until = self.limited_until.load(Relaxed);
        // Mostly it is not worth looking at the clock.
        if until == 0 {
            return false;
        }
        let now = self.compute.now();
        if until < now {
            let _ = self.limited_until.compare_exchange(until, 0, Relaxed, Relaxed);
        }
        until > now.saturating_add(nanos(CREDIT))
    }

    fn charge(&self, took: Duration) {
        let now = self.compute.now();
        let most = now.saturating_add(nanos(MOST_LIMITED));
        let until = |until: u64| until.max(now).saturating_add(nanos(took.saturating_mul(LIMITED_FOR))).min(most);
        let charged = |before| Some(until(before));
        let _ = self.limited_until.fetch_update(Relaxed, Relaxed, charged);
    }
}

impl Drop for ComputeShare {
    fn drop(&mut self) {
        // Its calls hold it: none has a permit or waits.
        let mut state = self.compute.state();
        state.stores.remove(&self.store);
        // The tenant may have another one already.
        if let Some(key) = self.tenant.as_ref().map(address)
            && state.tenants.get(&key).is_some_and(|share| share.strong_count() == 0)
        {
            state.tenants.remove(&key);
        }
    }
}

/// The address of a tenant's admission, which identifies it.
fn address(tenant: &Arc<Admission>) -> usize {
    Arc::as_ptr(tenant).addr()
}

/// One call, as it is scheduled. Dropping it gives up its place, and its permit.
pub(crate) struct ComputeCall<'a> {
    share: &'a ComputeShare,
    /// Operations that it is about.
    operations: u32,
    /// It was polled before, and so has waited.
    has_waited: bool,
    /// Its last poll took long, and it has not ended.
    interrupted: bool,
    /// Its place in the queue, while it waits.
    ticket: Option<u64>,
    /// Until the tenant's CPU time is paid.
    pause: Option<Pin<Box<Sleep>>>,
    /// It has paused, and now waits to compute or does.
    rested: Option<CountGuard<'a>>,
}

impl<'a> ComputeCall<'a> {
    /// A call that is about so many operations.
    pub(crate) fn new(share: &'a ComputeShare, operations: usize) -> Self {
        let operations = u32::try_from(operations).unwrap_or(u32::MAX).max(1);
        ComputeCall {
            share,
            operations,
            has_waited: false,
            interrupted: false,
            ticket: None,
            pause: None,
            rested: None,
        }
    }

    /// Polls the call, as soon as it may compute. What polls it tells how long that took: its caller has measured it.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> (Poll<T>, Duration),
    ) -> Poll<T> {
        let permit = loop {
            // A call that begins was admitted by the budget.
            if self.ticket.is_none() && (self.has_waited || self.pause.is_some()) {
                ready!(self.poll_pause(cx));
            }
            if !self.interrupted && self.ticket.is_none() && !self.share.is_limited() {
                // Of short calls that wait for nothing, a task yields after 128.
                ready!(tokio::task::coop::poll_proceed(cx)).made_progress();
                break None;
            }
            let permit = ready!(self.acquire(cx));
            // Other calls of the tenant have computed while this one waited.
            if self.debt().is_zero() {
                break permit;
            }
            drop(permit);
            ready!(self.poll_pause(cx));
        };
        let (polled, took) = poll(cx);
        if let Some(tenant) = &self.share.tenant {
            tenant.charge_cpu(took);
        }
        // The call that is given it next looks at what the tenant owes.
        drop(permit);
        self.rested = None;
        let is_long = took > SHORT.saturating_mul(self.operations);
        self.interrupted = is_long && polled.is_pending();
        // A call that is over in one short poll is what most are. One that waits could compute in any number of short ones.
        if is_long || self.has_waited || polled.is_pending() {
            self.share.charge(took);
        }
        self.has_waited = true;
        polled
    }

    /// Ready when the tenant owes no CPU time.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
                self.rested = Some(CountGuard::new(&self.share.compute.rested));
            }
            let debt = self.debt();
            if debt.is_zero() {
                return Poll::Ready(());
            }
            // It is given its place in the queue only when it may compute.
            self.pause = Some(Box::pin(sleep(debt.min(MAX_PAUSE))));
            self.rested = None;
        }
    }

    /// The time until the tenant's CPU time is paid.
    fn debt(&self) -> Duration {
        self.share.tenant.as_ref().map_or(Duration::ZERO, |tenant| tenant.cpu_debt())
    }

    /// A permit; none, for one slice without, where one was kept for the call in vain: it cannot wait for ever.
    fn acquire(&mut self, cx: &mut Context<'_>) -> Poll<Option<Permit<'a>>> {
        let ComputeShare { compute, store, .. } = self.share;
        let acquired = compute.update(|state| {
            let Some(ticket) = self.ticket else {
                let workers = tokio::runtime::Handle::try_current().map(|runtime| runtime.metrics().num_workers());
                let workers = workers.unwrap_or_else(|_| processors());
                let permits = workers.saturating_sub(1).max(1);
                // A call that begins yields in any case: its task may make one after the other, and others want the worker.
                if self.interrupted && state.take(*store, permits) {
                    return Poll::Ready(true);
                }
                let ticket = state.next_ticket;
                state.next_ticket += 1;
                self.ticket = Some(ticket);
                state.enqueue(*store, Waiting { ticket, waker: cx.waker().clone(), permits });
                return Poll::Pending;
            };
            if let Some(place) = state.granted.iter().position(|granted| granted.ticket == ticket) {
                state.granted.swap_remove(place);
                return Poll::Ready(true);
            }
            let calls = state.stores.get_mut(store).map(|permits| &mut permits.calls);
            let waiting = calls.and_then(|calls| calls.iter_mut().find(|call| call.ticket == ticket));
            match waiting {
                Some(call) => {
                    call.waker.clone_from(cx.waker());
                    Poll::Pending
                }
                None => Poll::Ready(false),
            }
        });
        acquired.map(|acquired| {
            self.ticket = None;
            acquired.then(|| Permit(self.share))
        })
    }
}

impl Drop for ComputeCall<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        self.share.compute.update(|state| {
            state.withdraw(self.share.store, ticket);
            if let Some(place) = state.granted.iter().position(|granted| granted.ticket == ticket) {
                let Granted { store, .. } = state.granted.swap_remove(place);
                state.release(store);
            }
        });
    }
}

/// The right to compute.
struct Permit<'a>(&'a ComputeShare);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.compute.update(|state| state.release(self.0.store));
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
