//! One tenant's calls: admitted at once, after waiting in the tenant's own queue, or not at all.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::caps::{Caps, ConnectionClaim};
use super::slots::{Slot, Slots};
use super::token_bucket::TokenBucket;
use crate::error::{Error, Failure, Result};
use crate::limits::Budget;
use crate::support::count_guard::CountGuard;
use crate::support::deadline;
use crate::support::fair_queue::Claim;

/// The longest sleep of the call that is next: the budget may change meanwhile.
const STEP: Duration = Duration::from_secs(1);

/// Bounds of the time to wait that an error names.
const MIN_RETRY_AFTER: Duration = Duration::from_millis(10);
/// The same of an estimate: thousands of callers that come back as soon as there may be room use more CPU time than their calls.
const MIN_ESTIMATE: Duration = Duration::from_millis(100);
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// That time while nothing is known about how long calls take.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How much the newest call weighs in the average duration of calls, one part in so many.
const SMOOTHING: u64 = 8;

/// The direction of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Written,
}

/// A bound that a call waits for, by its name in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    CallsInFlight,
    CallsPerSecond,
    CpuPerSecond,
}

impl Bound {
    fn name(self) -> &'static str {
        match self {
            Bound::CallsInFlight => "calls-in-flight",
            Bound::CallsPerSecond => "calls-per-second",
            Bound::CpuPerSecond => "cpu-per-second",
        }
    }
}

/// What a tenant uses and has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) in_flight: usize,
    pub(crate) queued: usize,
    pub(crate) throttled: u64,
    pub(crate) connections: usize,
    pub(crate) memory: u64,
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) cpu_time: Duration,
}

/// A tenant's budget in effect.
#[derive(Debug)]
pub(crate) struct Admission {
    name: Arc<str>,
    origin: Instant,
    budget: Mutex<Budget>,
    caps: Arc<Caps>,
    /// Calls in flight.
    in_flight: Arc<Slots>,
    /// Calls that wait or are in flight. One count, so that a call on its way from one to the other is counted once.
    present: AtomicUsize,
    /// Held by the call that is next. The others wait for it in order.
    next: Arc<Slots>,
    /// Calls that wait, and those that were admitted and have not noticed: while there are any, a new call queues up.
    waiting: AtomicUsize,
    /// Whether the next call waits for a rate.
    next_waits: AtomicBool,
    calls: Mutex<TokenBucket>,
    cpu: Rate,
    read: Rate,
    written: Rate,
    connections: Arc<Slots>,
    /// One for all stores, which share what it bounds.
    connection_claim: Arc<ConnectionClaim>,
    /// The average duration of a call, in nanoseconds; 0 while none has ended.
    duration: AtomicU64,
    throttled: AtomicU64,
}

/// A rate that is charged afterwards, and what was charged in all.
#[derive(Debug)]
struct Rate {
    /// Tokens per second, without the lock. 0 means unlimited.
    rate: AtomicU64,
    total: AtomicU64,
    bucket: Mutex<TokenBucket>,
}

impl Rate {
    fn new(rate: u64) -> Rate {
        let (rate, bucket) = (AtomicU64::new(rate), Mutex::new(TokenBucket::new(rate, 0)));
        Rate { rate, total: AtomicU64::new(0), bucket }
    }

    fn set(&self, rate: u64, now: u64) {
        locked(&self.bucket).set_rate(rate, now);
        self.rate.store(rate, Relaxed);
    }

    /// Returns the time until nothing is owed.
    fn charge(&self, tokens: u64, now: impl FnOnce() -> u64) -> Duration {
        self.total.fetch_add(tokens, Relaxed);
        if self.rate.load(Relaxed) == 0 {
            return Duration::ZERO;
        }
        locked(&self.bucket).charge(tokens, now())
    }

    fn debt(&self, now: impl FnOnce() -> u64) -> Duration {
        if self.rate.load(Relaxed) == 0 {
            return Duration::ZERO;
        }
        locked(&self.bucket).debt(now())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Admission {
    pub(crate) fn new(name: Arc<str>, budget: Budget, weight: u32) -> Arc<Admission> {
        let caps = Arc::new(Caps::new(&budget, weight));
        Arc::new(Admission {
            name,
            origin: Instant::now(),
            connection_claim: Arc::new(ConnectionClaim(caps.clone())),
            caps,
            in_flight: Slots::new(budget.calls_in_flight),
            present: AtomicUsize::new(0),
            next: Slots::new(1),
            waiting: AtomicUsize::new(0),
            next_waits: AtomicBool::new(false),
            calls: Mutex::new(TokenBucket::new(budget.calls_per_second, 0)),
            cpu: Rate::new(nanos(budget.cpu_per_second)),
            read: Rate::new(budget.read_bytes_per_second),
            written: Rate::new(budget.written_bytes_per_second),
            connections: Slots::new(budget.connections),
            duration: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            budget: Mutex::new(budget),
        })
    }

    /// Changes the budget and the weight. Permits in use stay, even beyond the new bounds.
    pub(crate) fn set(&self, budget: Budget, weight: u32) {
        let now = self.now();
        self.caps.set(&budget, weight);
        self.in_flight.set_max(budget.calls_in_flight);
        self.connections.set_max(budget.connections);
        locked(&self.calls).set_rate(budget.calls_per_second, now);
        self.cpu.set(nanos(budget.cpu_per_second), now);
        self.read.set(budget.read_bytes_per_second, now);
        self.written.set(budget.written_bytes_per_second, now);
        *locked(&self.budget) = budget;
    }

    /// The tenant's name.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn budget(&self) -> Budget {
        locked(&self.budget).clone()
    }

    /// What bounds its instances, and its weight.
    pub(crate) fn caps(&self) -> &Arc<Caps> {
        &self.caps
    }

    /// Its weight beside others that wait for CPU time.
    pub(crate) fn weight(&self) -> u64 {
        self.caps.weight() as u64
    }

    /// Its weight beside others that wait for connections.
    pub(crate) fn connection_claim(&self) -> &Arc<ConnectionClaim> {
        &self.connection_claim
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            in_flight: self.in_flight.used(),
            queued: self.queued(),
            throttled: self.throttled.load(Relaxed),
            connections: self.connections.used(),
            memory: self.caps.memory(),
            read_bytes: self.read.total.load(Relaxed),
            written_bytes: self.written.total.load(Relaxed),
            cpu_time: Duration::from_nanos(self.cpu.total.load(Relaxed)),
        }
    }

    /// Admits a call at once, if nobody waits and the budget has room.
    pub(crate) fn try_admit(self: &Arc<Self>) -> Option<CallPermit> {
        if self.waiting.load(Relaxed) > 0 {
            return None;
        }
        let slot = self.in_flight.try_acquire()?;
        let now = self.now();
        self.take_rates(now).ok()?;
        Some(CallPermit { presence: Presence::enter(self, usize::MAX)?, began: now, _slot: slot })
    }

    /// Admits a call, which may last so long, when the budget has room for it.
    ///
    /// # Errors
    /// [`Error::Throttled`] if too many calls wait, or this one has waited for too long.
    pub(crate) async fn admit(self: &Arc<Self>, operation: &'static str, limit: Duration) -> Result<CallPermit> {
        let (calls_in_flight, queue_length, queue_wait) = {
            let budget = locked(&self.budget);
            (budget.calls_in_flight, budget.queue_length, budget.queue_wait)
        };
        // Without a rate that is used up, calls that have not noticed their permit wait although there is room for them.
        let used = self.in_flight.used();
        let most = if self.next_waits.load(Relaxed) {
            // The call that is next has a permit already.
            used.saturating_add(queue_length.saturating_sub(1))
        } else {
            calls_in_flight.max(used).saturating_add(queue_length)
        };
        let most = if queue_length == 0 { 0 } else { most };
        let Some(presence) = Presence::enter(self, most) else {
            let bound = self.bound();
            let why = match queue_length {
                0 => "and `queue-length` lets none wait".to_owned(),
                _ => format!("and {queue_length} more wait, which is all that `queue-length` allows"),
            };
            return Err(self.excess(operation, bound, &why));
        };
        let _waiting = CountGuard::new(&self.waiting);
        let wait = queue_wait.min(limit);
        match deadline::timeout(wait, self.next()).await {
            Ok((began, slot)) => Ok(CallPermit { presence, began, _slot: slot }),
            Err(_) => Err(self.excess(operation, self.bound(), &format!("and this one waited {wait:?}"))),
        }
    }

    /// Calls that wait.
    fn queued(&self) -> usize {
        self.next.waiting() + usize::from(self.next_waits())
    }

    /// Whether the call that is next waits.
    fn next_waits(&self) -> bool {
        self.next_waits.load(Relaxed) || self.in_flight.waiting() > 0
    }

    /// Waits until all calls before this one are admitted, and the budget has room for it.
    async fn next(&self) -> (u64, Slot) {
        let _next = self.next.acquire().await;
        let slot = self.in_flight.acquire().await;
        loop {
            let now = self.now();
            match self.take_rates(now) {
                Ok(()) => return (now, slot),
                Err(wait) => {
                    let _waits = Flag::set(&self.next_waits);
                    deadline::sleep(wait.min(STEP)).await;
                }
            }
        }
    }

    /// Takes a call's share of the rates; else returns for how long one of them is used up.
    fn take_rates(&self, now: u64) -> Result<(), Duration> {
        let debt = self.cpu.debt(|| now);
        if debt.is_zero() { locked(&self.calls).take(1, now) } else { Err(debt) }
    }

    /// What calls wait for.
    fn bound(&self) -> Bound {
        if self.in_flight.free() == 0 && !self.next_waits.load(Relaxed) {
            return Bound::CallsInFlight;
        }
        let now = self.now();
        if self.cpu.debt(|| now).is_zero() { Bound::CallsPerSecond } else { Bound::CpuPerSecond }
    }

    /// The error of a call that is not admitted.
    fn excess(&self, operation: &'static str, bound: Bound, why: &str) -> Error {
        let (budget, now) = (self.budget(), self.now());
        let ahead = self.queued() as u64 + 1;
        let retry_after = match bound {
            Bound::CallsPerSecond => locked(&self.calls).time_until(ahead, now),
            Bound::CpuPerSecond => self.cpu.debt(|| now),
            Bound::CallsInFlight => {
                let each = self.duration.load(Relaxed) / budget.calls_in_flight.max(1) as u64;
                match each.saturating_mul(ahead) {
                    0 => DEFAULT_RETRY_AFTER,
                    time => Duration::from_nanos(time).max(MIN_ESTIMATE),
                }
            }
        };
        let used = match bound {
            Bound::CallsInFlight => format!("{} calls are in flight", budget.calls_in_flight),
            Bound::CallsPerSecond => format!("{} calls a second are made", budget.calls_per_second),
            Bound::CpuPerSecond => format!("{:?} of CPU time a second are used", budget.cpu_per_second),
        };
        let what = format!("{used}, which is all that `{}` in the tenant's budget allows, {why}", bound.name());
        self.throttle(operation, bound.name(), &what, retry_after)
    }

    /// An error about the budget of this name.
    fn throttle(&self, operation: &str, name: &str, what: &str, retry_after: Duration) -> Error {
        self.throttled.fetch_add(1, Relaxed);
        let retry_after = retry_after.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER);
        let message =
            format!("{operation}: the tenant \"{}\" is throttled: {what}; try again in {retry_after:?}", self.name);
        let mut failure = Failure::ours(name, message);
        failure.retryable = true;
        failure.retry_after = Some(retry_after);
        Error::Throttled(failure)
    }

    /// The error of a call whose instance would take more memory than the tenant may have.
    /// That instance has `own` bytes.
    pub(crate) fn out_of_memory(&self, operation: &'static str, own: u64) -> Error {
        let (used, max) = (self.caps.memory(), self.caps.max_memory());
        if used <= own {
            // It will not fit later either.
            return Error::OutOfMemory { operation, limit: usize::try_from(max).unwrap_or(usize::MAX) };
        }
        let what = format!(
            "its instances have {used} bytes of memory, and this call needs more than the {max} bytes that `memory` in the \
             tenant's budget allows"
        );
        self.throttle(operation, "memory", &what, self.average())
    }

    /// The time that a call may wait for the budget.
    pub(crate) fn queue_wait(&self) -> Duration {
        locked(&self.budget).queue_wait
    }

    /// The error of a call that waited in vain for an instance of a store that holds so many.
    pub(crate) fn out_of_instances(&self, operation: &str, waited: Duration, held: usize) -> Error {
        let budget = self.budget();
        let (name, what) = if budget.instances > 0 && held >= budget.instances {
            ("instances", format!("{} instances are in use, which is all that `instances`", budget.instances))
        } else {
            let used = self.caps.memory();
            ("memory", format!("its instances have {used} bytes of memory, and no other fits in what `memory`"))
        };
        let what = format!("{what} in the tenant's budget allows, and this call waited {waited:?}");
        self.throttle(operation, name, &what, self.average())
    }

    /// The average duration of a call, as the time after which there may be room for another.
    fn average(&self) -> Duration {
        match self.duration.load(Relaxed) {
            0 => DEFAULT_RETRY_AFTER,
            average => Duration::from_nanos(average).max(MIN_ESTIMATE),
        }
    }

    /// A connection at once, if one is left and nobody waits.
    pub(crate) fn try_connection(&self) -> Option<Slot> {
        self.connections.try_acquire()
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// [`Error::Throttled`] if it takes longer than `limit`, or than the budget's `queue-wait`.
    pub(crate) async fn connection(&self, operation: &'static str, limit: Duration) -> Result<Slot> {
        let (connections, queue_wait) = {
            let budget = locked(&self.budget);
            (budget.connections, budget.queue_wait)
        };
        let wait = queue_wait.min(limit);
        deadline::timeout(wait, self.connections.acquire()).await.map_err(|_| {
            let what = format!(
                "{connections} connections are in use, bodies that are being read included, which is all that `connections` in \
                 the tenant's budget allows, and this call waited {wait:?}"
            );
            self.throttle(operation, "connections", &what, self.average())
        })
    }

    /// Charges CPU time of the plugin.
    pub(crate) fn charge_cpu(&self, took: Duration) {
        self.cpu.charge(nanos(took), || self.now());
    }

    /// The time until the plugin may compute again.
    pub(crate) fn cpu_debt(&self) -> Duration {
        self.cpu.debt(|| self.now())
    }

    /// Charges bytes of a body. Returns the time until they are paid.
    pub(super) fn charge_bytes(&self, direction: Direction, bytes: u64) -> Duration {
        self.of(direction).charge(bytes, || self.now())
    }

    /// The time until all bytes of bodies are paid.
    pub(super) fn byte_debt(&self, direction: Direction) -> Duration {
        self.of(direction).debt(|| self.now())
    }

    /// Bytes per second. 0 means unlimited.
    pub(super) fn rate(&self, direction: Direction) -> u64 {
        self.of(direction).rate.load(Relaxed)
    }

    fn of(&self, direction: Direction) -> &Rate {
        match direction {
            Direction::Read => &self.read,
            Direction::Written => &self.written,
        }
    }

    fn now(&self) -> u64 {
        nanos(self.origin.elapsed())
    }
}

/// A call that waits or is in flight, for as long as this lives.
#[derive(Debug)]
struct Presence(Arc<Admission>);

impl Presence {
    /// None if there are so many others. A call that is turned away is never counted: another one may be let in meanwhile.
    fn enter(admission: &Arc<Admission>, most: usize) -> Option<Presence> {
        let entered = |present| (present < most).then_some(present + 1);
        admission.present.fetch_update(Relaxed, Relaxed, entered).ok().map(|_| Presence(admission.clone()))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.present.fetch_sub(1, Relaxed);
    }
}

/// A flag that is set for as long as this lives.
struct Flag<'a>(&'a AtomicBool);

impl<'a> Flag<'a> {
    fn set(flag: &'a AtomicBool) -> Flag<'a> {
        flag.store(true, Relaxed);
        Flag(flag)
    }
}

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

/// The right to be a call in flight, for as long as it lives.
#[derive(Debug)]
pub(crate) struct CallPermit {
    presence: Presence,
    began: u64,
    _slot: Slot,
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        let admission = &self.presence.0;
        let took = admission.now().saturating_sub(self.began).max(1);
        let smoothed = |average: u64| match average {
            0 => Some(took),
            _ => Some(average - average / SMOOTHING + took / SMOOTHING),
        };
        let _ = admission.duration.fetch_update(Relaxed, Relaxed, smoothed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::join_all;

    use super::*;

    const CALL: Duration = Duration::from_secs(60);

    fn admission(budget: Budget) -> Arc<Admission> {
        Admission::new("alice".into(), budget, 1)
    }

    fn throttled(admitted: Result<CallPermit>) -> Failure {
        match admitted {
            Err(Error::Throttled(failure)) => *failure,
            other => panic!("expected Throttled, not {other:?}"),
        }
    }

    #[tokio::test]
    async fn calls_in_flight_are_bounded_and_the_queue_is_in_order() {
        let admission = admission(Budget::default().with_calls_in_flight(2).with_queue_length(3));
        let held = [admission.try_admit().unwrap(), admission.try_admit().unwrap()];
        assert!(admission.try_admit().is_none());
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(admission.admit("get", CALL))).collect();
        assert!(waiting.iter_mut().all(|call| call.now_or_never().is_none()));
        let failure = throttled(admission.admit("get", CALL).await);
        assert!(
            failure.message.contains("\"alice\"") && failure.message.contains("2 calls are in flight"),
            "{failure}"
        );
        assert!(failure.message.contains("3 more wait, which is all that `queue-length` allows"), "{failure}");
        assert!(failure.retryable && failure.retry_after.is_some());
        assert_eq!(failure.subject.as_deref(), Some("calls-in-flight"));
        // The second gives up; the first and the third get the permits, in order. None that comes meanwhile overtakes them.
        drop(waiting.remove(1));
        drop(held);
        assert!(admission.try_admit().is_none());
        let first = waiting[0].as_mut().now_or_never().expect("the first call is admitted").unwrap();
        let third = waiting[1].as_mut().now_or_never().expect("the third call is admitted").unwrap();
        drop(waiting);
        assert_eq!((admission.usage().in_flight, admission.usage().queued), (2, 0));
        drop((first, third));
        assert_eq!((admission.usage().in_flight, admission.usage().throttled), (0, 1));
    }

    #[tokio::test]
    async fn wait_is_bounded_by_the_budget_and_by_the_call() {
        let (longer, shorter) = (Duration::from_millis(60), Duration::from_millis(20));
        let admission = admission(Budget::default().with_calls_in_flight(1).with_queue_wait(longer));
        let _held = admission.try_admit().unwrap();
        for (limit, expected) in [(CALL, longer), (shorter, shorter)] {
            let began = Instant::now();
            let failure = throttled(admission.admit("get", limit).await);
            assert!(began.elapsed() >= expected);
            assert!(failure.message.contains(&format!("this one waited {expected:?}")), "{failure}");
        }
        assert_eq!(admission.usage().queued, 0);
    }

    #[tokio::test]
    async fn rate_of_calls_throttles_with_the_exact_time() {
        let budget = Budget::default().with_calls_per_second(2).with_queue_length(0);
        let admission = admission(budget.clone());
        let _two = [admission.try_admit().unwrap(), admission.try_admit().unwrap()];
        assert!(admission.try_admit().is_none());
        // The call that is next in the queue finds the rate used up.
        admission.set(budget.with_queue_length(2), 1);
        let mut next = Box::pin(admission.admit("get", CALL));
        assert!(next.as_mut().now_or_never().is_none());
        let mut second = Box::pin(admission.admit("get", CALL));
        assert!(second.as_mut().now_or_never().is_none());
        let failure = throttled(admission.admit("get", CALL).await);
        assert_eq!(failure.subject.as_deref(), Some("calls-per-second"));
        let after = failure.retry_after.unwrap();
        assert!(after > Duration::from_secs(1) && after <= Duration::from_millis(1500), "{after:?}");
        next.await.unwrap();
    }

    #[tokio::test]
    async fn cpu_debt_holds_calls_back() {
        let budget = Budget::default().with_cpu_per_second(Duration::from_millis(100));
        let admission = admission(budget.with_queue_wait(Duration::from_millis(20)));
        admission.charge_cpu(Duration::from_millis(100));
        drop(admission.try_admit().expect("a second's worth is a burst"));
        admission.charge_cpu(Duration::from_millis(200));
        let failure = throttled(admission.admit("get", CALL).await);
        assert_eq!(failure.subject.as_deref(), Some("cpu-per-second"));
        assert!(failure.retry_after.unwrap() > Duration::from_secs(1), "{failure:?}");
        admission.set(Budget::default(), 1);
        drop(admission.admit("get", CALL).await.unwrap());
        assert_eq!(admission.usage().cpu_time, Duration::from_millis(300));
    }

    #[tokio::test]
    async fn connections_are_bounded() {
        let budget = Budget::default().with_connections(1).with_queue_wait(Duration::from_millis(20));
        let admission = admission(budget);
        let held = admission.try_connection().unwrap();
        let Err(Error::Throttled(failure)) = admission.connection("get", CALL).await else { panic!("throttled") };
        assert!(failure.message.contains("1 connections are in use"), "{failure}");
        let mut waiting = Box::pin(admission.connection("get", CALL));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(held);
        let held = waiting.await.unwrap();
        assert_eq!(admission.usage().connections, 1);
        drop(held);
        assert_eq!(admission.usage().connections, 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn calls_within_the_budget_are_never_throttled() {
        let admission = admission(Budget::default().with_calls_in_flight(4).with_queue_length(60));
        let calls = (0..64).map(|_| {
            let admission = admission.clone();
            tokio::spawn(async move {
                for _ in 0..500 {
                    let permit = match admission.try_admit() {
                        Some(permit) => permit,
                        None => admission.admit("get", CALL).await?,
                    };
                    assert!(admission.usage().in_flight <= 4);
                    tokio::task::yield_now().await;
                    drop(permit);
                }
                Ok::<_, Error>(())
            })
        });
        for call in join_all(calls).await {
            call.unwrap().unwrap();
        }
        let usage = admission.usage();
        assert_eq!((usage.in_flight, usage.queued, usage.throttled), (0, 0, 0));
    }
}
