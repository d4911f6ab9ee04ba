//! Credentials of a store: fixed, or supplied by a provider and renewed before they expire.

pub(crate) mod discovery;
mod expiration;
mod process;
pub(crate) mod profiles;
mod rediscovery;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::support::deadline::timeout;
use crate::text::sanitize;
use crate::types::settings::Settings;
pub(crate) use rediscovery::{Rediscovery, find};

/// Credentials are renewed this long before they expire, or after half of their lifetime if that is later. Same as AWS's
/// SDKs.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// Bounds of the delay after a failed renewal, which is a quarter of the time left.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(200);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);
/// Time limit of a provider.
const PROVIDER_TIME: Duration = Duration::from_secs(60);
/// Maximum number of characters of a provider's error.
const MAX_ERROR: usize = 512;

/// The settings that hold credentials.
const NAMES: [&str; 4] = ["access-key", "secret-key", "security-token", "session-token"];

/// A key pair, with a session token if it is temporary. Wiped from memory on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key: Zeroizing<String>,
    secret_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
    expires_at: Option<SystemTime>,
}

impl Credentials {
    /// A key pair that does not expire. Text is taken literally.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        let (access_key, secret_key) = (Zeroizing::new(access_key.into()), Zeroizing::new(secret_key.into()));
        Credentials { access_key, secret_key, session_token: None, expires_at: None }
    }

    /// Sets the session token of temporary credentials.
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(Zeroizing::new(token.into()));
        self
    }

    /// Sets the expiration. A store with a [`CredentialsProvider`] renews them 5 minutes before.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// The credentials in these settings.
    pub(crate) fn of_settings(settings: &Settings, expires_at: Option<SystemTime>) -> Option<Credentials> {
        let of = |name: &str| settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let credentials = Credentials::new(of("access-key")?, of("secret-key")?);
        let token = of("security-token").or_else(|| of("session-token"));
        let credentials = match token {
            Some(token) => credentials.session_token(token),
            None => credentials,
        };
        Some(Credentials { expires_at, ..credentials })
    }

    /// Adds the credentials to settings.
    pub(crate) fn add_to(&self, settings: &mut Settings) {
        let mut add = |name: &str, value: &str| settings.push(name.to_owned(), value.to_owned());
        add("access-key", &self.access_key);
        add("secret-key", &self.secret_key);
        if let Some(token) = &self.session_token {
            add("security-token", token);
        }
    }

    /// Whether these settings contain the credentials.
    pub(crate) fn is_in(&self, settings: &Settings) -> bool {
        let of = |name: &str| settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        of("access-key") == Some(&self.access_key)
            && of("secret-key") == Some(&self.secret_key)
            && of("security-token").or_else(|| of("session-token"))
                == self.session_token.as_ref().map(|token| token.as_str())
    }

    /// A copy of the settings with these credentials.
    pub(crate) fn put_into(&self, settings: &Settings) -> Settings {
        let mut others = Settings::default();
        for (name, value) in settings.iter().filter(|(name, _)| !NAMES.contains(&name.as_str())) {
            others.push(name.clone(), value.clone());
        }
        self.add_to(&mut others);
        others
    }
}

/// Whether settings are equal, credentials disregarded.
pub(crate) fn are_equal_but_for_them(these: &Settings, others: &Settings) -> bool {
    let is_other = |(name, _): &&(String, String)| !NAMES.contains(&name.as_str());
    these.iter().filter(is_other).eq(others.iter().filter(is_other))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Supplies a store's credentials when it is opened, and before they expire.
///
/// An async closure is a provider:
///
/// ```no_run
/// # async fn example(engine: sandbucket::Engine) -> sandbucket::Result<()> {
/// use std::time::{Duration, SystemTime};
///
/// use sandbucket::{Credentials, StoreOptions};
///
/// let provider = || async {
///     // Asks a vault, for example.
///     let credentials = Credentials::new("AKID…", "secret").session_token("token");
///     Ok::<_, std::io::Error>(credentials.expires_at(SystemTime::now() + Duration::from_secs(3600)))
/// };
/// let options = StoreOptions::new().setting("bucket", "photos").setting("region", "eu-west-1");
/// let store = engine.open(options.credentials_provider(provider)).await?;
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait CredentialsProvider: Send + Sync + 'static {
    /// Returns credentials within 60 s. One call of a store at a time invokes it: 5 minutes before the credentials expire
    /// (or after half of their lifetime, if that is later), when the store is next used; never, if they do not expire.
    /// Errors are logged and shown, so they must not contain secrets.
    async fn credentials(&self) -> Result<Credentials, Box<dyn std::error::Error + Send + Sync>>;
}

#[async_trait]
impl<F, C, E> CredentialsProvider for F
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Result<Credentials, E>> + Send,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn credentials(&self) -> Result<Credentials, Box<dyn std::error::Error + Send + Sync>> {
        self().await.map_err(Into::into)
    }
}

/// Queries a provider with a time limit.
pub(crate) async fn ask(provider: &dyn CredentialsProvider) -> Result<Credentials, String> {
    match timeout(PROVIDER_TIME, provider.credentials()).await {
        Ok(Ok(credentials)) => Ok(credentials),
        Ok(Err(error)) => Err(sanitize(&error.to_string(), MAX_ERROR)),
        Err(_) => Err(format!("the credentials provider gave none within {} s", PROVIDER_TIME.as_secs())),
    }
}

/// The renewal of a store's credentials. Times are in milliseconds since 1970.
pub(crate) struct Renewal {
    pub(crate) provider: Arc<dyn CredentialsProvider>,
    /// The time of the next query of the provider.
    due: AtomicU64,
    expires: AtomicU64,
    /// Held by the call that queries the provider.
    pub(crate) asking: Arc<tokio::sync::Mutex<()>>,
    /// The error of the last query.
    failed: Mutex<Option<String>>,
}

impl Renewal {
    pub(crate) fn new(provider: Arc<dyn CredentialsProvider>, expires_at: Option<SystemTime>) -> Renewal {
        let (due, expires) = (AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX));
        let renewal = Renewal { provider, due, expires, asking: Arc::default(), failed: Mutex::default() };
        renewal.renewed(expires_at);
        renewal
    }

    /// Whether a renewal is due.
    pub(crate) fn is_due(&self) -> bool {
        let due = self.due.load(Relaxed);
        due != u64::MAX && now() >= due
    }

    pub(crate) fn has_expired(&self) -> bool {
        let expires = self.expires.load(Relaxed);
        expires != u64::MAX && now() >= expires
    }

    /// The error of the last renewal, if it failed.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Schedules the renewal of new credentials.
    pub(crate) fn of(&self, credentials: &Credentials) {
        self.renewed(credentials.expires_at);
    }

    fn renewed(&self, expires_at: Option<SystemTime>) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let Some(expires) = expires_at.map(millis) else {
            self.expires.store(u64::MAX, Relaxed);
            self.due.store(u64::MAX, Relaxed);
            return;
        };
        let now = now();
        let left = expires.saturating_sub(now);
        let before = (RENEW_BEFORE.as_millis() as u64).min(left / 2);
        // Credentials that are already expired are used, because this machine's clock may be wrong, and renewed shortly
        // after.
        if left == 0 {
            tracing::warn!("the store's new credentials have expired already: is this machine's clock right?");
            self.expires.store(u64::MAX, Relaxed);
            self.due.store(now + MAX_RETRY_DELAY.as_millis() as u64, Relaxed);
            return;
        }
        self.expires.store(expires, Relaxed);
        self.due.store((expires - before).max(now + MIN_RETRY_DELAY.as_millis() as u64), Relaxed);
    }

    /// Records that the provider failed.
    pub(crate) fn failed(&self, why: String) {
        let now = now();
        let left = self.expires.load(Relaxed).saturating_sub(now);
        let pause = (left / 4).clamp(MIN_RETRY_DELAY.as_millis() as u64, MAX_RETRY_DELAY.as_millis() as u64);
        self.due.store(now + pause, Relaxed);
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

fn now() -> u64 {
    millis(SystemTime::now())
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    u64::try_from(since).unwrap_or(u64::MAX - 1).min(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expiring(time: SystemTime) -> Renewal {
        let provider = || async { Err::<Credentials, _>(std::io::Error::other("none")) };
        Renewal::new(Arc::new(provider), Some(time))
    }

    #[test]
    fn renewal_is_due_five_minutes_before_the_end_or_at_half_time() {
        let now = SystemTime::now();
        let left = |seconds: u64| {
            let renewal = expiring(now + Duration::from_secs(seconds));
            (renewal.expires.load(Relaxed) - renewal.due.load(Relaxed)) / 1000
        };
        assert_eq!(left(3600), 300);
        assert!((59..=60).contains(&left(120)), "{}", left(120));
        let renewal = expiring(now + Duration::from_secs(3600));
        assert!(!renewal.is_due() && !renewal.has_expired());
        renewal.failed("no".to_owned());
        assert_eq!(renewal.failure().as_deref(), Some("no"));
        assert!(renewal.due.load(Relaxed) <= super::now() + 60_000);
        renewal.of(&Credentials::new("a", "s"));
        assert_eq!((renewal.failure(), renewal.due.load(Relaxed)), (None, u64::MAX));
        // The machine's clock may be wrong.
        assert!(!expiring(now - Duration::from_secs(1)).has_expired());
    }

    #[test]
    fn credentials_override_those_of_settings_and_are_not_shown() {
        let mut settings = Settings::default();
        for (name, value) in [("bucket", "b"), ("access-key", "old"), ("secret-key", "o"), ("session-token", "t")] {
            settings.push(name.to_owned(), value.to_owned());
        }
        let credentials = Credentials::new("new", "hush%{x").session_token("hush");
        let put = credentials.put_into(&settings);
        let put: Vec<_> = put.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [("bucket", "b"), ("access-key", "new"), ("secret-key", "hush%{x"), ("security-token", "hush")];
        assert_eq!(put, expected);
        assert!(!format!("{credentials:?}").contains("hush"));
    }
}
