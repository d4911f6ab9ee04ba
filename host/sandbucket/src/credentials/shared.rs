//! A provider that several stores share: one query at a time, whose result is for all of them.

use std::any::Any;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;

use super::{Credentials, CredentialsProvider, RENEW_BEFORE};
use crate::support::deadline::timeout;
use crate::text::sanitize;

/// Time limit of a query.
const QUERY_TIME: Duration = Duration::from_secs(60);
/// Time limit of the query for a store that opens while the credentials in hand are still valid, and before it of the wait for a
/// query in flight.
const QUERY_TIME_WITH_KNOWN: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 3000 });
/// Maximum number of characters of a provider's error.
const MAX_ERROR: usize = 512;
/// Credentials that do not expire are not queried again for a store that opens within this time.
const REUSE: Duration = Duration::from_secs(60);
/// A failure is the result of further queries for this time, and so are credentials that a service rejected and that the
/// provider still gives. Many stores may ask at once.
const FAILURE_PAUSE: Duration = Duration::from_millis(200);
const UNCHANGED_PAUSE: Duration = Duration::from_secs(1);

/// A [`CredentialsProvider`] that any number of stores share. Cloning is cheap and returns the same provider.
///
/// All stores and tenants that are given clones of it use the same credentials: it queries the provider once for all of them,
/// whenever one needs others. [`StoreOptions`](crate::StoreOptions) holds its provider in one as well, so stores opened with
/// clones of the same options share it.
///
/// ```no_run
/// # async fn example(engine: sandbucket::Engine) -> sandbucket::Result<()> {
/// use sandbucket::{StoreOptions, credentials};
///
/// let provider = credentials::process("/usr/bin/vault-keys photos");
/// let options = StoreOptions::new().setting("region", "eu-west-1").credentials_provider(provider);
/// let thumbnails = engine.open(options.clone().setting("bucket", "thumbnails")).await?;
/// let originals = engine.open(options.setting("bucket", "originals")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedProvider(Arc<Inner>);

struct Inner {
    provider: Box<dyn CredentialsProvider>,
    /// Grows when a query gives other credentials.
    version: AtomicU64,
    /// Number of queries that have ended.
    ended: AtomicU64,
    /// Held during a query.
    state: tokio::sync::Mutex<State>,
    /// Written during a query, and read at any time.
    known: Mutex<Option<Known>>,
}

#[derive(Default)]
struct State {
    /// The error of the last query, if it failed.
    failed: Option<(Instant, String)>,
    /// When a query gave the credentials that were known already, if the last one did.
    unchanged: Option<Instant>,
}

/// Credentials that a query gave.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) credentials: Credentials,
    pub(crate) version: u64,
    queried: Instant,
    /// When they are to be renewed.
    due: Option<SystemTime>,
}

/// Why a store needs other credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// They expire soon.
    Due,
    /// The service rejected them.
    Rejected,
}

impl SharedProvider {
    /// Shares a provider. A `SharedProvider` is returned as it is.
    pub fn new(provider: impl CredentialsProvider) -> SharedProvider {
        if let Some(shared) = (&provider as &dyn Any).downcast_ref::<SharedProvider>() {
            return shared.clone();
        }
        let (version, ended) = (AtomicU64::new(0), AtomicU64::new(0));
        let (state, known) = Default::default();
        SharedProvider(Arc::new(Inner { provider: Box::new(provider), version, ended, state, known }))
    }

    /// The provider of this source in this process: all who ask for it at the same time share it.
    pub(crate) fn of_source(source: Source, make: impl FnOnce() -> SharedProvider) -> SharedProvider {
        static SOURCES: LazyLock<Mutex<HashMap<Source, Weak<Inner>>>> = LazyLock::new(Mutex::default);
        let mut sources = SOURCES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inner) = sources.get(&source).and_then(Weak::upgrade) {
            return SharedProvider(inner);
        }
        sources.retain(|_, inner| inner.strong_count() > 0);
        let provider = make();
        sources.insert(source, Arc::downgrade(&provider.0));
        provider
    }

    /// Whether both are the same provider.
    pub(crate) fn is(&self, other: &SharedProvider) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The version of the credentials that the last query gave; 0 before the first.
    pub(crate) fn version(&self) -> u64 {
        self.0.version.load(Acquire)
    }

    /// Credentials for a store that opens: those in hand while they are fresh, or while they are valid and the provider fails.
    ///
    /// # Errors
    /// A message for people.
    pub(crate) async fn current(&self) -> Result<Known, String> {
        let ended = self.0.ended.load(Acquire);
        let usable = self.known().filter(Known::is_usable);
        let mut state = match &usable {
            None => self.0.state.lock().await,
            Some(known) => match timeout(QUERY_TIME_WITH_KNOWN, self.0.state.lock()).await {
                Ok(state) => state,
                Err(_) => return Ok(known.clone()),
            },
        };
        let has_queried = self.has_queried_since(ended);
        let outcome = match (&state.failed, self.known()) {
            (Some((at, why)), _) if has_queried || at.elapsed() < FAILURE_PAUSE => Err(why.clone()),
            (None, Some(known)) if has_queried || known.is_fresh() => Ok(known),
            _ => {
                let time = if usable.is_some() { QUERY_TIME_WITH_KNOWN } else { QUERY_TIME };
                self.query(&mut state, time).await
            }
        };
        outcome.or_else(|why| self.known().filter(Known::is_usable).ok_or(why))
    }

    /// Credentials for a store whose own, of version `seen`, are to be renewed. They may be the same.
    ///
    /// # Errors
    /// A message for people.
    pub(crate) async fn newer(&self, seen: u64, reason: Reason) -> Result<Known, String> {
        let ended = self.0.ended.load(Acquire);
        let mut state = self.0.state.lock().await;
        let (State { failed, unchanged }, known) = (&*state, self.known());
        if let Some(known) = &known
            && known.version > seen
            && known.is_valid()
        {
            return Ok(known.clone());
        }
        let is_recent = |at: &Instant, pause: Duration| at.elapsed() < pause;
        let has_queried = self.has_queried_since(ended);
        if let Some((at, why)) = failed
            && (has_queried || is_recent(at, FAILURE_PAUSE))
        {
            return Err(why.clone());
        }
        let is_unchanged = reason == Reason::Rejected && unchanged.is_some_and(|at| is_recent(&at, UNCHANGED_PAUSE));
        match known {
            Some(known) if has_queried || is_unchanged => Ok(known),
            _ => self.query(&mut state, QUERY_TIME).await,
        }
    }

    /// Whether a query has ended since there were so many.
    fn has_queried_since(&self, ended: u64) -> bool {
        self.0.ended.load(Acquire) != ended
    }

    /// The credentials that the last successful query gave.
    fn known(&self) -> Option<Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn query(&self, state: &mut State, time: Duration) -> Result<Known, String> {
        let queried = match timeout(time, self.0.provider.credentials()).await {
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(error)) => Err(sanitize(&error.to_string(), MAX_ERROR)),
            Err(_) => Err(format!("the credentials provider gave none within {time:?}")),
        };
        let now = Instant::now();
        self.0.ended.fetch_add(1, Release);
        let credentials = match queried {
            Ok(credentials) => credentials,
            Err(why) => {
                state.failed = Some((now, why.clone()));
                return Err(why);
            }
        };
        let is_same = self.known().is_some_and(|known| known.credentials.is_same_key(&credentials));
        let version = match is_same {
            true => self.version(),
            false => self.0.version.fetch_add(1, Release) + 1,
        };
        let due = credentials.expires_at.map(|end| {
            let left = end.duration_since(SystemTime::now()).unwrap_or_default();
            end - RENEW_BEFORE.min(left / 2)
        });
        let known = Known { credentials, version, queried: now, due };
        *state = State { failed: None, unchanged: is_same.then_some(now) };
        *self.0.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known)
    }
}

impl Known {
    /// Whether a store that opens may use them.
    fn is_fresh(&self) -> bool {
        match self.due {
            Some(due) => SystemTime::now() < due,
            None => self.queried.elapsed() < REUSE,
        }
    }

    /// Whether they have not expired, by this machine's clock.
    fn is_usable(&self) -> bool {
        self.credentials.expires_at.is_none_or(|end| SystemTime::now() < end)
    }

    /// Whether their renewal is not due.
    fn is_valid(&self) -> bool {
        self.due.is_none_or(|due| SystemTime::now() < due)
    }
}

/// A source of credentials that is the same for the whole process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// A profile, or what is found without one.
    Profile(Option<String>),
    /// AWS's own chain, in this region.
    #[cfg(feature = "aws-config")]
    Aws(Option<String>),
    /// A profile as AWS's own chain understands it, in the first of these regions, or else in the second.
    #[cfg(feature = "aws-config")]
    AwsProfile(String, Option<String>, Option<String>),
}

#[async_trait]
impl CredentialsProvider for SharedProvider {
    /// Queries the provider. Concurrent callers share one query.
    async fn credentials(&self) -> Result<Credentials, Box<dyn StdError + Send + Sync>> {
        Ok(self.newer(self.version(), Reason::Due).await?.credentials)
    }
}

impl fmt::Debug for SharedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedProvider").field("version", &self.version()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use futures::future::join_all;

    use super::*;

    /// A provider that counts its queries, and gives the credentials numbered by them.
    fn counting(life: Option<Duration>) -> (SharedProvider, Arc<AtomicUsize>) {
        let queries = Arc::new(AtomicUsize::new(0));
        let counter = queries.clone();
        let provider = move || {
            let n = counter.fetch_add(1, SeqCst);
            async move {
                tokio::task::yield_now().await;
                let credentials = Credentials::new(format!("key-{n}"), "secret");
                Ok::<_, std::io::Error>(match life {
                    Some(life) => credentials.expires_at(SystemTime::now() + life),
                    None => credentials,
                })
            }
        };
        (SharedProvider::new(provider), queries)
    }

    #[tokio::test]
    async fn one_query_serves_all_who_ask_at_once() {
        let (provider, queries) = counting(Some(Duration::from_secs(3600)));
        let opened = join_all((0..100).map(|_| provider.current())).await;
        assert!(opened.iter().all(|known| known.as_ref().is_ok_and(|known| known.version == 1)));
        assert_eq!(queries.load(SeqCst), 1);
        // All are rejected: one query gives others, to later callers as well.
        let renewed = join_all((0..100).map(|_| provider.newer(1, Reason::Rejected))).await;
        assert!(renewed.iter().all(|known| known.as_ref().is_ok_and(|known| known.version == 2)));
        assert_eq!(provider.newer(1, Reason::Due).await.unwrap().version, 2);
        assert_eq!(queries.load(SeqCst), 2);
        // Clones, and what is made of one, are the same provider.
        assert!(SharedProvider::new(provider.clone()).is(&provider));
        assert_eq!(provider.credentials().await.unwrap(), provider.current().await.unwrap().credentials);
        assert_eq!(queries.load(SeqCst), 3);
    }

    #[tokio::test]
    async fn failure_is_shared_and_does_not_replace_known_credentials() {
        let fails = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (queries, state) = (Arc::new(AtomicUsize::new(0)), fails.clone());
        let counter = queries.clone();
        let provider = SharedProvider::new(move || {
            counter.fetch_add(1, SeqCst);
            let fails = state.load(SeqCst);
            async move {
                tokio::task::yield_now().await;
                if fails { Err(std::io::Error::other("sealed\n")) } else { Ok(Credentials::new("key", "secret")) }
            }
        });
        assert_eq!(provider.current().await.unwrap().version, 1);
        fails.store(true, SeqCst);
        let renewed = join_all((0..50).map(|_| provider.newer(1, Reason::Rejected))).await;
        assert!(renewed.iter().all(|known| known.as_ref().is_err_and(|why| why.starts_with("sealed"))));
        assert_eq!(queries.load(SeqCst), 2);
        assert_eq!(provider.newer(0, Reason::Due).await.unwrap().version, 1);
        // The same credentials keep their version, and those that were rejected are not asked for again at once.
        fails.store(false, SeqCst);
        tokio::time::sleep(FAILURE_PAUSE).await;
        assert_eq!(provider.newer(1, Reason::Rejected).await.unwrap().version, 1);
        let queried = queries.load(SeqCst);
        assert_eq!(provider.newer(1, Reason::Rejected).await.unwrap().version, 1);
        assert_eq!(queries.load(SeqCst), queried);
    }

    /// A provider whose queries are counted and end as `fail` says, with credentials for an hour.
    fn failing(fail: impl Fn(usize) -> bool + Send + Sync + 'static) -> (SharedProvider, Arc<AtomicUsize>) {
        let queries = Arc::new(AtomicUsize::new(0));
        let counter = queries.clone();
        let provider = SharedProvider::new(move || {
            let fails = fail(counter.fetch_add(1, SeqCst));
            async move {
                let credentials = Credentials::new("key", "secret");
                match fails {
                    true => Err(std::io::Error::other("sealed")),
                    false => Ok(credentials.expires_at(SystemTime::now() + Duration::from_secs(3600))),
                }
            }
        });
        (provider, queries)
    }

    /// Makes the renewal of the credentials in hand due, and their expiration that long from now.
    fn make_due(provider: &SharedProvider, left: Duration) {
        let mut known = provider.0.known.lock().unwrap();
        let known = known.as_mut().unwrap();
        known.due = Some(SystemTime::now());
        known.credentials.expires_at = Some(SystemTime::now() + left);
    }

    #[tokio::test]
    async fn store_opens_with_known_credentials_until_they_expire_while_the_provider_fails() {
        let (provider, queries) = failing(|n| n > 0);
        assert_eq!(provider.current().await.unwrap().version, 1);
        make_due(&provider, Duration::from_secs(240));
        assert_eq!(provider.current().await.unwrap().version, 1);
        assert_eq!(queries.load(SeqCst), 2);
        make_due(&provider, Duration::ZERO);
        assert_eq!(provider.current().await.err().as_deref(), Some("sealed"));
    }

    #[tokio::test]
    async fn slow_query_does_not_keep_known_credentials_from_a_store_that_opens() {
        let queries = Arc::new(AtomicUsize::new(0));
        let counter = queries.clone();
        let provider = SharedProvider::new(move || {
            let n = counter.fetch_add(1, SeqCst);
            async move {
                if n > 0 {
                    std::future::pending::<()>().await;
                }
                Ok::<_, std::io::Error>(Credentials::new("key", "secret"))
            }
        });
        provider.current().await.unwrap();
        make_due(&provider, Duration::from_secs(240));
        // First with its own query, then beside that of a renewal.
        assert_eq!(provider.current().await.unwrap().version, 1);
        tokio::time::sleep(FAILURE_PAUSE).await;
        let queried = queries.load(SeqCst);
        let renewing = provider.clone();
        let renewal = tokio::spawn(async move { renewing.newer(1, Reason::Due).await.is_ok() });
        while queries.load(SeqCst) == queried {
            tokio::task::yield_now().await;
        }
        assert_eq!(provider.current().await.unwrap().version, 1);
        assert!(!renewal.is_finished());
        renewal.abort();
    }

    #[tokio::test]
    async fn failure_is_the_result_of_further_queries_for_a_while() {
        let (provider, queries) = failing(|_| true);
        // At once or not: by the clock, there can be no more than one query in each pause.
        let start = Instant::now();
        for _ in 0..100 {
            assert_eq!(provider.current().await.err().as_deref(), Some("sealed"));
        }
        let pauses = start.elapsed().as_millis() / FAILURE_PAUSE.as_millis();
        assert!(queries.load(SeqCst) as u128 <= 1 + pauses, "{queries:?}");
    }

    #[test]
    fn sources_are_shared_while_in_use() {
        let source = |name: &str| Source::Profile(Some(format!("shared-by-test-{name}")));
        let of = |name: &str| SharedProvider::of_source(source(name), || counting(None).0);
        let (one, same, other) = (of("a"), of("a"), of("b"));
        assert!(one.is(&same) && !one.is(&other));
        assert_eq!(format!("{one:?}"), "SharedProvider { version: 0, .. }");
    }
}
