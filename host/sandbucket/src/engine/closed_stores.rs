//! Stores that were closed a moment ago, to be opened again as they are.
//!
//! A server that opens a store for each request pays for an instance of the plugin each time. A closed store is kept for
//! [`Limits::reopen_within`](crate::Limits::reopen_within) with its idle instances, its retry quota and its share of CPU time, and only
//! for a store with equal options: the same plugin, settings, credentials, TLS, egress and proxy. Stores of a tenant, and those whose
//! credentials have changed or come from a provider, are not kept. Instances of a kept store are evicted like any idle ones.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::driver::{ClosedDriver, OnClose};
use crate::sandbox::runtime::Sweep;
use crate::store_options::StoreOptions;

/// Stores kept at once: the one closed first is dropped for another. Each takes about 0.1 MiB.
const MAX_CLOSED: usize = 64;

/// The closed stores of an engine.
pub(crate) struct ClosedStores {
    reopen_within: Duration,
    /// With random keys, so that the time of a lookup does not leak a prefix of a secret.
    hasher: RandomState,
    /// By the time at which they were closed, the first at the front.
    stores: Mutex<VecDeque<ClosedStore>>,
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
        Arc::new(ClosedStores { reopen_within, hasher: RandomState::new(), stores: Mutex::default() })
    }

    /// A store that was closed with equal options, and what keeps one with these again. Neither for options whose stores are not
    /// kept.
    pub(crate) fn take(self: &Arc<Self>, options: &StoreOptions) -> (Option<ClosedDriver>, Option<Box<dyn OnClose>>) {
        if self.reopen_within.is_zero() || !options.is_reopenable() {
            return (None, None);
        }
        let digest = self.hasher.hash_one(options.hashed());
        let closed = {
            let mut stores = self.stores();
            // The one closed last: its instance is warm.
            let equal = |store: &ClosedStore| {
                store.digest == digest
                    && store.closed_at.elapsed() < self.reopen_within
                    && store.options.is_equivalent(options)
            };
            let place = stores.iter().rposition(equal);
            place.and_then(|place| stores.remove(place))
        };
        let stores = Arc::downgrade(self);
        let (driver, options) = match closed {
            Some(closed) => (Some(closed.driver), closed.options),
            None => (None, options.clone()),
        };
        (driver, Some(Box::new(Reopenable { digest, options, stores })))
    }

    fn keep(&self, store: ClosedStore) {
        let excess = {
            let mut stores = self.stores();
            stores.push_back(store);
            if stores.len() > MAX_CLOSED { stores.pop_front() } else { None }
        };
        // Unmapping memory takes its time: not under the lock.
        drop(excess);
    }

    fn stores(&self) -> MutexGuard<'_, VecDeque<ClosedStore>> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
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
            let mut stores = self.stores();
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
        engine.closed.stores().len()
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
        for number in 0..MAX_CLOSED + 3 {
            drop(open(&engine, &options().setting("key-prefix", number)).await);
        }
        engine.closed.sweep();
        assert_eq!(kept(&engine), MAX_CLOSED);
        // The first ones are gone; there are more than the engine has instances, which were evicted.
        drop(open(&engine, &options().setting("key-prefix", MAX_CLOSED + 2)).await);
        assert_eq!(kept(&engine), MAX_CLOSED);
        let first = open(&engine, &options().setting("key-prefix", 0)).await;
        assert_eq!((kept(&engine), first.pool().created), (MAX_CLOSED, 1));
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
