//! Stores that were closed a moment ago, to be opened again as they are.
//!
//! A server that opens a store for each request pays for an instance of the plugin each time. A closed store is kept for
//! [`Limits::reopen_within`](crate::Limits::reopen_within) with its idle instances, its retry quota and its share of CPU time, and only
//! for a store with equal options: the same plugin, settings, credentials, TLS, egress and proxy. Stores of a tenant, and those whose
//! credentials have changed or come from a provider, are not kept. Instances of a kept store are evicted like any idle ones.
//!
//! How many are kept depends on what they are good for. If hardly any is opened again, each is in the way of the next one: its memory is
//! in no cache when it is dropped, and its place in wasmtime's pool is in none when it is used again. Opening stores that all differ takes
//! 212 µs if two are kept and 280 µs if 64 are. So a few are kept to begin with, and more as stores are opened that would be here if more
//! had been kept.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::driver::{ClosedDriver, OnClose};
use crate::sandbox::runtime::Sweep;
use crate::store_options::StoreOptions;

/// Bounds of the number of stores kept at once: the one closed first is dropped for another. Each takes about 0.1 MiB.
const MIN_CLOSED: usize = 2;
const MAX_CLOSED: usize = 64;

/// How many more stores are kept after one was opened that had been dropped for another.
const GROWTH: usize = 2;

/// The closed stores of an engine.
pub(crate) struct ClosedStores {
    reopen_within: Duration,
    /// With random keys, so that the time of a lookup does not leak a prefix of a secret.
    hasher: RandomState,
    kept: Mutex<Kept>,
}

struct Kept {
    /// By the time at which they were closed, the first at the front.
    stores: VecDeque<ClosedStore>,
    /// How many they may be.
    limit: usize,
    /// Digests of the stores that were dropped for others lately: with these, [`MAX_CLOSED`].
    dropped: VecDeque<u64>,
}

impl Kept {
    /// Adds a store, and returns those that are too many then.
    fn push(&mut self, store: ClosedStore) -> Vec<ClosedStore> {
        self.stores.push_back(store);
        if self.stores.len() <= self.limit {
            return Vec::new();
        }
        self.limit = (self.limit - 1).max(MIN_CLOSED);
        let excess: Vec<_> = self.stores.drain(..self.stores.len() - self.limit).collect();
        self.dropped.extend(excess.iter().map(|store| store.digest));
        let count = self.dropped.len().saturating_sub(MAX_CLOSED - self.limit);
        self.dropped.drain(..count);
        excess
    }

    /// A store is opened that is not here.
    fn missed(&mut self, digest: u64) {
        if let Some(place) = self.dropped.iter().position(|&dropped| dropped == digest) {
            self.dropped.remove(place);
            self.limit = (self.limit + GROWTH).min(MAX_CLOSED);
        }
    }
}

struct ClosedStore {
    digest: u64,
    options: StoreOptions,
    driver: ClosedDriver,
    closed_at: Instant,
}

/// Where an open store goes when it is closed.
struct Reopenable {
    digest: u64,
    options: StoreOptions,
    stores: Weak<ClosedStores>,
}

impl ClosedStores {
    pub(crate) fn new(reopen_within: Duration) -> Arc<ClosedStores> {
        let kept = Kept { stores: VecDeque::new(), limit: MIN_CLOSED, dropped: VecDeque::new() };
        Arc::new(ClosedStores { reopen_within, hasher: RandomState::new(), kept: Mutex::new(kept) })
    }

    /// A store that was closed with equal options, and what keeps one with these again. Neither for options whose stores are not
    /// kept.
    pub(crate) fn take(self: &Arc<Self>, options: &StoreOptions) -> (Option<ClosedDriver>, Option<Box<dyn OnClose>>) {
        if self.reopen_within.is_zero() || !options.is_reopenable() {
            return (None, None);
        }
        let digest = self.hasher.hash_one(options.hashed());
        let closed = {
            let mut kept = self.kept();
            // The one closed last: its instance is warm.
            let equal = |store: &ClosedStore| {
                store.digest == digest
                    && store.closed_at.elapsed() < self.reopen_within
                    && store.options.is_equivalent(options)
            };
            let closed = kept.stores.iter().rposition(equal).and_then(|place| kept.stores.remove(place));
            if closed.is_none() {
                kept.missed(digest);
            }
            closed
        };
        let stores = Arc::downgrade(self);
        let (driver, options) = match closed {
            Some(closed) => (Some(closed.driver), closed.options),
            None => (None, options.clone()),
        };
        (driver, Some(Box::new(Reopenable { digest, options, stores })))
    }

    fn keep(&self, store: ClosedStore) {
        let excess = self.kept().push(store);
        // Unmapping memory takes its time: not under the lock.
        drop(excess);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnClose for Reopenable {
    fn closed(self: Box<Self>, driver: ClosedDriver) {
        let Reopenable { digest, options, stores } = *self;
        if let Some(stores) = stores.upgrade() {
            stores.keep(ClosedStore { digest, options, driver, closed_at: Instant::now() });
        }
    }
}

impl Sweep for ClosedStores {
    fn sweep(&self) {
        let old: Vec<_> = {
            let stores = &mut self.kept().stores;
            let count = stores.iter().take_while(|store| store.closed_at.elapsed() >= self.reopen_within).count();
            stores.drain(..count).collect()
        };
        drop(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Credentials, Egress, Engine, Limits, Proxy, Store, TlsOptions};

    fn engine(reopen_within: Duration) -> Engine {
        let limits = Limits::default().with_instances(8).with_reopen_within(reopen_within);
        Engine::builder().limits(limits).build().unwrap()
    }

    fn options() -> StoreOptions {
        without_key().settings([("access-key", "a"), ("secret-key", "s")])
    }

    fn without_key() -> StoreOptions {
        StoreOptions::new().settings([("bucket", "photos"), ("endpoint", "http://127.0.0.1:9")])
    }

    async fn open(engine: &Engine, options: &StoreOptions) -> Store {
        engine.open(options.clone()).await.unwrap()
    }

    fn kept(engine: &Engine) -> usize {
        engine.closed.kept().stores.len()
    }

    #[tokio::test]
    async fn store_with_other_options_is_not_taken() {
        let engine = engine(Duration::from_secs(60));
        let plain = options();
        let without_key = StoreOptions::new().settings([("bucket", "photos"), ("endpoint", "http://127.0.0.1:9")]);
        let others = [
            plain.clone().setting("key-prefix", "other/"),
            without_key.clone().credentials(Credentials::new("a", "s")),
            without_key.clone().credentials(Credentials::new("a", "s").session_token("t")),
            without_key.credentials(Credentials::new("a", "s").session_token("u")),
            plain.clone().timeout(Duration::from_secs(3)),
            plain.clone().call_time(Duration::from_secs(3)),
            plain.clone().between_bytes_timeout(Duration::from_secs(3)),
            plain.clone().proxy(Proxy::none()),
            plain.clone().egress(Egress::none()),
            plain.clone().allow_private(),
            plain.clone().tls(TlsOptions { allow_invalid_certs: true, ..TlsOptions::default() }),
        ];
        engine.closed.kept().limit = MAX_CLOSED;
        drop(open(&engine, &plain).await);
        assert_eq!(kept(&engine), 1);
        for (count, other) in (1..).zip(&others) {
            drop(open(&engine, other).await);
            assert_eq!(kept(&engine), count + 1, "{other:?}");
        }
        for options in others.iter().chain([&plain]) {
            let before = kept(&engine);
            let store = open(&engine, options).await;
            assert_eq!((kept(&engine), store.pool().created), (before - 1, 1), "{options:?}");
        }
    }

    #[tokio::test]
    async fn stores_with_a_provider_of_credentials_are_not_kept() {
        let engine = engine(Duration::from_secs(60));
        let provider = crate::credentials::fixed(Credentials::new("a", "s"));
        drop(open(&engine, &without_key().credentials_provider(provider)).await);
        assert_eq!(kept(&engine), 0);
    }

    #[tokio::test]
    async fn stores_are_kept_for_the_limit_and_no_more_than_so_many() {
        for within in [Duration::ZERO, Duration::from_millis(1)] {
            let engine = engine(within);
            drop(open(&engine, &options()).await);
            std::thread::sleep(Duration::from_millis(2));
            assert_eq!(kept(&engine), usize::from(!within.is_zero()));
            // It is not taken any more, and dropped with the next sweep.
            let store = open(&engine, &options()).await;
            assert_eq!(kept(&engine), usize::from(!within.is_zero()));
            engine.closed.sweep();
            assert_eq!(kept(&engine), 0);
            drop(store);
        }
        let engine = engine(Duration::from_secs(60));
        engine.closed.kept().limit = MAX_CLOSED;
        for number in 0..MAX_CLOSED {
            drop(open(&engine, &options().setting("key-prefix", number)).await);
        }
        engine.closed.sweep();
        assert_eq!(kept(&engine), MAX_CLOSED);
        // There are more than the engine has instances, which were evicted.
        drop(open(&engine, &options().setting("key-prefix", 5)).await);
        assert_eq!(kept(&engine), MAX_CLOSED);
        drop(open(&engine, &options().setting("key-prefix", MAX_CLOSED)).await);
        assert_eq!(kept(&engine), MAX_CLOSED - 1);
        let first = open(&engine, &options().setting("key-prefix", 0)).await;
        assert_eq!((kept(&engine), first.pool().created), (MAX_CLOSED - 1, 1));
    }

    #[tokio::test]
    async fn as_many_stores_are_kept_as_are_opened_again() {
        let engine = engine(Duration::from_secs(60));
        let open_in_turn = async |count: usize, rounds: usize| {
            for number in (0..rounds).flat_map(|_| 0..count) {
                drop(open(&engine, &options().setting("key-prefix", format!("{count}/{number}"))).await);
            }
        };
        // None of them is opened again while it could be here.
        open_in_turn(MAX_CLOSED + 1, 2).await;
        assert_eq!((kept(&engine), engine.closed.kept().limit), (MIN_CLOSED, MIN_CLOSED));
        open_in_turn(6, 4).await;
        assert_eq!(kept(&engine), 6);
        let last = open(&engine, &options().setting("key-prefix", "6/0")).await;
        assert_eq!(kept(&engine), 5);
        drop(last);
        open_in_turn(MAX_CLOSED, 4).await;
        assert_eq!((kept(&engine), engine.closed.kept().limit), (MAX_CLOSED, MAX_CLOSED));
        open_in_turn(MAX_CLOSED + 2, 2).await;
        let kept = engine.closed.kept();
        assert_eq!((kept.stores.len(), kept.limit), (MIN_CLOSED, MIN_CLOSED));
        assert!(kept.dropped.len() <= MAX_CLOSED - kept.limit);
    }

    /// What is kept refers to the engine, and must not keep it.
    #[tokio::test]
    async fn stores_are_dropped_with_the_engine() {
        let engine = engine(Duration::from_secs(60));
        drop(open(&engine, &options()).await);
        let closed = Arc::downgrade(&engine.closed);
        assert_eq!(kept(&engine), 1);
        drop(engine);
        assert!(closed.upgrade().is_none());
    }
}
