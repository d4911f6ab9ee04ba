//! The pool of one store's instances: created when needed, used by one guest call at a time, evicted when poisoned, grown or idle.

mod renewing;

use std::collections::VecDeque;
use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::budget::Admission;
use crate::credentials::Renewal;
use crate::error::{Error, Failure, Result};
use crate::http::HttpGate;
use crate::limits::Limits;
use crate::sandbox::CallOutcome;
use crate::sandbox::component::Plugin;
use crate::sandbox::compute::ComputeShare;
use crate::sandbox::instance::Instance;
use crate::sandbox::runtime::{EvictIdle, Handed, InstancePermit, InstanceShare, Runtime};
use crate::support::background::Cleanup;
use crate::support::deadline::timeout;
use crate::support::fair_queue::Grant;
use crate::support::rate_limit::RateLimit;
use crate::telemetry::TenantMetrics;
use crate::text::{is_unsafe_for_display, sanitize};
use crate::types::settings::Settings;

/// Warnings that a store's broken instances are worth at once, and how long it takes until there is another.
const WARNINGS: u32 = 10;
const WARNING_PERIOD: Duration = Duration::from_secs(10);

/// How much of a key is shown in messages, in characters.
const SHOWN_KEY: usize = 200;

/// A character as messages show it.
fn escaped(c: char) -> impl Iterator<Item = char> {
    let odd = is_unsafe_for_display(c) || c == '"';
    odd.then(|| c.escape_default()).into_iter().flatten().chain((!odd).then_some(c))
}

/// What a pool holds and has held, since its store was first opened ([`Limits::reopen_within`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStatus {
    /// Instances waiting for a call.
    pub idle: usize,
    /// Instances in a call.
    pub busy: usize,
    /// Instances made so far.
    pub created: u64,
    /// Instances thrown away because their plugin crashed, overran a limit, or had its call given up by the caller.
    pub discarded: u64,
    /// Instances not used again because their memory had grown, they kept resources of the host's, or the store has other
    /// credentials since.
    pub retired: u64,
    /// Linear memory of the idle instances together, in bytes.
    pub memory: usize,
}

/// An instance, and its share in the engine's number of them.
struct PooledInstance {
    /// Boxed: it is handed to and fro with each call.
    instance: Box<Instance>,
    _permit: InstancePermit,
    /// Whether it has served no call yet: what making it took is the first one's.
    is_new: bool,
    /// Of the settings that it was opened with.
    generation: u64,
}

/// The settings that instances are opened with.
struct Current {
    settings: Settings,
    /// Grows with each change of them.
    generation: u64,
}

pub(crate) struct Pool {
    engine: Arc<Runtime>,
    plugin: Plugin,
    gate: HttpGate,
    /// The engine's, but for what the store has of its own.
    limits: Limits,
    current: Mutex<Arc<Current>>,
    /// That of `current`.
    generation: AtomicU64,
    renewal: Option<Renewal>,
    /// Itself, for what goes on in the background.
    this: Weak<Pool>,
    /// As messages tell where something was tried.
    place: String,
    /// The one used last is at the back, and used next: its memory is warm, and the others can grow old.
    idle: Mutex<VecDeque<PooledInstance>>,
    instances: InstanceShare,
    compute: Arc<ComputeShare>,
    calls: Semaphore,
    /// The tenant whose budget calls are charged to.
    tenant: Option<Arc<Admission>>,
    cleanup: Cleanup,
    busy: AtomicUsize,
    created: AtomicU64,
    discarded: AtomicU64,
    retired: AtomicU64,
    warnings: RateLimit,
    telemetry: TenantMetrics,
    bucket: Option<String>,
}

impl Pool {
    pub(crate) fn new(
        engine: Arc<Runtime>,
        plugin: Plugin,
        gate: HttpGate,
        limits: Limits,
        settings: Settings,
        renewal: Option<Renewal>,
        tenant: Option<Arc<Admission>>,
    ) -> Arc<Pool> {
        let calls = Semaphore::new(engine.limits.instances_per_store.min(Semaphore::MAX_PERMITS));
        // S3's name of the setting, and Azure's.
        let bucket = settings.iter().find(|(name, _)| matches!(name.as_str(), "bucket" | "container"));
        let bucket = bucket.map(|(_, bucket)| sanitize(bucket, 128));
        let name = tenant.as_ref().map(|tenant| tenant.name().clone());
        let telemetry = engine.telemetry().of_store(name, bucket.as_deref());
        let in_bucket = bucket.as_ref().map(|bucket| format!(" in bucket \"{bucket}\""));
        let endpoint = gate.endpoint().map(|endpoint| format!(" at {endpoint}"));
        let adaptive =
            settings.iter().any(|(name, mode)| name == "retry-mode" && mode.trim().eq_ignore_ascii_case("adaptive"));
        let gate = if adaptive { gate.with_adaptive_rate() } else { gate };
        let gate = gate.of_tenant(tenant.clone());
        let place = [in_bucket, endpoint].into_iter().flatten().collect();
        let cleanup = Cleanup::new(engine.limits.instances_per_store);
        let instances = engine.instance_share(tenant.as_ref());
        let compute = engine.compute_share(tenant.as_ref());
        let current = Mutex::new(Arc::new(Current { settings, generation: 0 }));
        let pool = Arc::new_cyclic(|this| Pool {
            engine,
            plugin,
            gate,
            limits,
            current,
            generation: AtomicU64::new(0),
            renewal,
            this: this.clone(),
            place,
            idle: Mutex::default(),
            instances,
            compute,
            calls,
            tenant,
            cleanup,
            busy: AtomicUsize::new(0),
            created: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            retired: AtomicU64::new(0),
            warnings: RateLimit::new(WARNINGS, WARNING_PERIOD),
            telemetry,
            bucket,
        });
        let known: Weak<Pool> = Arc::downgrade(&pool);
        pool.engine.register(known);
        pool
    }

    /// What holds for the store's calls.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// An error that the host finds, in the form of the plugin's: with the key, the bucket and the endpoint.
    pub(crate) fn failure(&self, subject: &str, operation: &str, key: &str, what: &str) -> Box<Failure> {
        let mut shown: String = key.chars().take(SHOWN_KEY).flat_map(escaped).collect();
        if key.chars().nth(SHOWN_KEY).is_some() {
            shown.push('…');
        }
        Failure::ours(subject, format!("{operation} \"{shown}\"{}: {what}", self.place))
    }

    pub(crate) fn gate(&self) -> &HttpGate {
        &self.gate
    }

    /// What the cleanup of abandoned uploads may use.
    pub(crate) fn cleanup(&self) -> &Cleanup {
        &self.cleanup
    }

    pub(crate) fn engine(&self) -> &Runtime {
        &self.engine
    }

    /// Whether the plugin exports the interface `sans-io`: the host sends its requests.
    pub(crate) fn is_sans_io(&self) -> bool {
        self.plugin.is_sans_io()
    }

    pub(crate) fn status(&self) -> PoolStatus {
        let (idle, memory) = {
            let idle = self.idle();
            (idle.len(), idle.iter().map(|kept| kept.instance.used_memory()).sum())
        };
        PoolStatus {
            idle,
            memory,
            busy: self.busy.load(Relaxed),
            created: self.created.load(Relaxed),
            discarded: self.discarded.load(Relaxed),
            retired: self.retired.load(Relaxed),
        }
    }

    /// A permit and an instance for a whole call that may take so long, and what waiting for them left of that.
    pub(crate) async fn lease(&self, operation: &'static str, limit: Duration) -> Result<(Lease<'_>, Duration)> {
        if self.is_renewal_due() {
            Box::pin(self.renew(operation, limit)).await?;
        }
        // Mostly there is one at hand, and it is not worth looking at the clock.
        if let Ok(permit) = self.calls.try_acquire()
            && let Some(kept) = self.pop_idle()
        {
            return Ok((self.leased(kept, Some(permit), limit), limit));
        }
        // Behind a pointer, so that the future of every call need not have room for it.
        Box::pin(async move {
            let end = Instant::now() + limit;
            let permit = self.permit(operation, limit).await?;
            let kept = self.another(operation, limit, end).await?;
            let left = end.saturating_duration_since(Instant::now());
            Ok((self.leased(kept, Some(permit), limit), left))
        })
        .await
    }

    /// The tenant whose budget calls are charged to.
    pub(crate) fn tenant(&self) -> Option<&Arc<Admission>> {
        self.tenant.as_ref()
    }

    /// What calls are recorded with.
    pub(crate) fn telemetry(&self) -> &TenantMetrics {
        &self.telemetry
    }

    /// The store's bucket, for people.
    pub(crate) fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// How long a call may take whose caller gave it this time.
    pub(crate) fn limit(&self, given: Option<Duration>) -> Duration {
        given.unwrap_or(self.limits.call_time).min(self.limits.longest_call())
    }

    /// Acquires a concurrency permit.
    pub(crate) async fn permit(&self, operation: &'static str, limit: Duration) -> Result<SemaphorePermit<'_>> {
        if let Ok(permit) = self.calls.try_acquire() {
            return Ok(permit);
        }
        let limits = &self.engine.limits;
        let (name, limit_of_calls) = ("instances-per-store", limits.instances_per_store);
        let busy = |_| Error::Busy { operation, name, limit: limit_of_calls, waited: limit };
        let permit = timeout(limit, self.calls.acquire()).await.map_err(busy)?;
        permit.map_err(|_| Error::plugin("the store is closed"))
    }

    /// The number of calls that hold a permit.
    pub(crate) fn in_flight(&self) -> usize {
        let most = self.engine.limits.instances_per_store.min(Semaphore::MAX_PERMITS);
        most.saturating_sub(self.calls.available_permits())
    }

    /// An instance for one step of a call that holds a permit, may take so long in all, and ends at this instant.
    pub(crate) async fn lease_until(
        &self,
        operation: &'static str,
        limit: Duration,
        end: Instant,
    ) -> Result<Lease<'_>> {
        if self.is_renewal_due() {
            Box::pin(self.renew(operation, limit)).await?;
        }
        match self.pop_idle() {
            Some(kept) => Ok(self.leased(kept, None, limit)),
            None => Ok(self.leased(Box::pin(self.another(operation, limit, end)).await?, None, limit)),
        }
    }

    fn count_created(&self) {
        self.created.fetch_add(1, Relaxed);
        self.telemetry.engine().created.increment(1);
    }

    fn count_retired(&self, count: usize) {
        self.retired.fetch_add(count as u64, Relaxed);
        self.telemetry.engine().retired.increment(count as u64);
    }

    /// An instance that is idle by now, or is made.
    async fn another(&self, operation: &'static str, limit: Duration, end: Instant) -> Result<PooledInstance> {
        if let Some(kept) = self.pop_idle() {
            return Ok(kept);
        }
        let own = || self.pop_idle().map(|kept| Box::new(kept) as Handed);
        loop {
            let permit = match self.instance_permit(operation, end, own).await? {
                Grant::Permit(permit) => permit,
                Grant::Instance(handed) => {
                    let gone = |_| Error::plugin("the instance handed over is of another pool");
                    let kept: PooledInstance = handed.downcast().map(|kept| *kept).map_err(gone)?;
                    if self.is_current(&kept) {
                        return Ok(kept);
                    }
                    self.count_retired(1);
                    continue;
                }
            };
            let current = self.current();
            let left = end.saturating_duration_since(Instant::now());
            match Instance::open(&self.engine, &self.plugin, self.gate.clone(), &self.compute, &current.settings, left)
                .await
            {
                Ok(instance) => {
                    self.count_created();
                    return Ok(PooledInstance {
                        instance: Box::new(instance),
                        _permit: permit,
                        is_new: true,
                        generation: current.generation,
                    });
                }
                // There is one to wait for. The permit goes back only now, to nobody.
                Err(Error::NoMemory { .. }) if self.engine.fewer_instances() => drop(permit),
                Err(error) => return Err(self.discarded_by(of_whole_call(error, limit))),
            }
        }
    }

    /// A permit for an instance, or an instance that another call handed over.
    async fn instance_permit(
        &self,
        operation: &'static str,
        end: Instant,
        own: impl Fn() -> Option<Handed>,
    ) -> Result<Grant<Handed>> {
        let Some(tenant) = &self.tenant else {
            return self.engine.instance_permit(operation, &self.instances, end, own).await;
        };
        let end = Instant::now().checked_add(tenant.queue_wait()).map_or(end, |wait| wait.min(end));
        let granted = self.engine.instance_permit(operation, &self.instances, end, own).await;
        granted.map_err(|error| match error {
            Error::Busy { waited, .. } if self.instances.is_at_own_bound() => {
                tenant.out_of_instances(operation, waited, self.instances.held())
            }
            error => error,
        })
    }

    /// Logs why an instance was thrown away, unless there was much to log of this store of late.
    fn discarded_by(&self, error: Error) -> Error {
        if let Error::Trapped { .. }
        | Error::OutOfMemory { .. }
        | Error::NoMemory { .. }
        | Error::OutOfTime { .. }
        | Error::Overdue { .. } = error
            && let Some(suppressed) = self.warnings.allow()
        {
            tracing::warn!(store = self.place, suppressed, %error, "plugin instance discarded");
        }
        error
    }

    fn leased<'a>(&'a self, kept: PooledInstance, permit: Option<SemaphorePermit<'a>>, limit: Duration) -> Lease<'a> {
        self.busy.fetch_add(1, Relaxed);
        Lease { pool: self, kept: Some(kept), limit, _permit: permit }
    }

    /// Lets another call have an idle instance, of this store or another, where one is to.
    fn offer_idle(&self) {
        // Twice: a call that began to wait while the instance was out of sight here has found none idle.
        for _ in 0..2 {
            let kept = self.idle().pop_front();
            let Some(kept) = kept else { return };
            match self.instances.offer(Box::new(kept)).map(|unwanted| unwanted.downcast()) {
                Some(Ok(kept)) => self.idle().push_front(*kept),
                _ => return,
            }
            if !self.engine.short_of_instances() {
                return;
            }
        }
    }

    /// The idle instance used last. Those with former settings are given up.
    fn pop_idle(&self) -> Option<PooledInstance> {
        loop {
            let kept = self.idle().pop_back()?;
            if self.is_current(&kept) {
                return Some(kept);
            }
            self.count_retired(1);
        }
    }

    fn is_current(&self, kept: &PooledInstance) -> bool {
        kept.generation == self.generation.load(Acquire)
    }

    fn current(&self) -> Arc<Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<PooledInstance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of the time that the caller gave the call, and not of what waiting left of it.
fn of_whole_call(error: Error, limit: Duration) -> Error {
    match error {
        Error::Overdue { operation, .. } => Error::Overdue { operation, limit },
        other => other,
    }
}

impl EvictIdle for Pool {
    fn evict_one(&self) -> bool {
        let kept = self.idle().pop_front();
        kept.is_some()
    }

    fn idle_since(&self) -> Option<Instant> {
        self.idle().front().map(|kept| kept.instance.idle_since)
    }

    fn holds_several(&self) -> bool {
        self.instances.holds_several()
    }

    fn is_sibling(&self, share: &InstanceShare) -> bool {
        self.instances.is_sibling(share)
    }

    fn status(&self) -> PoolStatus {
        self.status()
    }

    fn evict_idle_since(&self, before: Instant) {
        let mut old = Vec::new();
        {
            let mut idle = self.idle();
            while idle.front().is_some_and(|kept| kept.instance.idle_since < before) {
                old.extend(idle.pop_front());
            }
        }
        // Unmapping memory takes its time: not under the lock.
        drop(old);
    }
}

/// An instance in use. Unless it is given back, it is thrown away: its call was broken off, and what state it is in is
/// unknown.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    kept: Option<PooledInstance>,
    /// The whole call's time.
    limit: Duration,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Lease<'_> {
    /// The instance.
    pub(crate) fn instance(&mut self) -> Result<&mut Instance> {
        self.kept.as_mut().map(|kept| &mut *kept.instance).ok_or_else(|| Error::plugin("the instance is gone"))
    }

    /// Ends the lease as its call ended.
    pub(crate) fn end<T>(mut self, ended: CallOutcome<T>) -> Result<T> {
        match ended {
            CallOutcome::Completed(result) => {
                self.give_back();
                result
            }
            CallOutcome::Poisoned(error) => Err(self.pool.discarded_by(of_whole_call(error, self.limit))),
        }
    }

    /// CPU time that making the instance took, where that was for this call.
    pub(crate) fn cpu_used(&self) -> Duration {
        let made = self.kept.as_ref().filter(|kept| kept.is_new);
        made.map_or(Duration::ZERO, |kept| kept.instance.cpu_used())
    }

    /// Ends the lease of an instance that is well.
    pub(crate) fn give_back(&mut self) {
        let Some(mut kept) = self.kept.take() else { return };
        self.pool.busy.fetch_sub(1, Relaxed);
        kept.is_new = false;
        if kept.instance.used_memory() > self.pool.engine.limits.retire_memory
            || !kept.instance.is_clean()
            || !self.pool.is_current(&kept)
        {
            self.pool.count_retired(1);
        } else {
            kept.instance.idle_since = Instant::now();
            self.pool.idle().push_back(kept);
            // Looked at only now: who began to wait before this, and found nothing idle, is seen here.
            if self.pool.engine.short_of_instances() {
                self.pool.offer_idle();
            }
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(kept) = self.kept.take() else { return };
        self.pool.busy.fetch_sub(1, Relaxed);
        self.pool.discarded.fetch_add(1, Relaxed);
        self.pool.telemetry.engine().discarded.increment(1);
        // Last: whose call gets its place sees it counted.
        drop(kept);
    }
}
