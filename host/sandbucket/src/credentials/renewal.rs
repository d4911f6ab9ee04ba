//! The renewal of one store's credentials: when it is due, and what it failed of.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::shared::{Known, Reason, SharedProvider};
use super::{Credentials, RENEW_BEFORE};

/// Bounds of the delay after a failed renewal, which is a quarter of the time left.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(200);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);

/// The renewal of a store's credentials. Times are in milliseconds since 1970.
pub(crate) struct Renewal {
    provider: SharedProvider,
    /// The version of the store's credentials.
    seen: AtomicU64,
    /// The time of the next query of the provider.
    due: AtomicU64,
    expires: AtomicU64,
    /// Held by the call that queries the provider.
    pub(crate) asking: Arc<tokio::sync::Mutex<()>>,
    /// The error of the last query.
    failed: Mutex<Option<String>>,
}

impl Renewal {
    /// The renewal of credentials that the provider gave.
    pub(crate) fn of_known(provider: SharedProvider, known: &Known) -> Renewal {
        Renewal::new(provider, known.version, known.credentials.expires_at)
    }

    /// The renewal of credentials that were found elsewhere when the provider's had this version.
    pub(crate) fn new(provider: SharedProvider, seen: u64, expires_at: Option<SystemTime>) -> Renewal {
        let (due, expires) = (AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX));
        let renewal = Renewal {
            provider,
            seen: AtomicU64::new(seen),
            due,
            expires,
            asking: Arc::default(),
            failed: Mutex::default(),
        };
        renewal.renewed(expires_at);
        renewal
    }

    /// Asks the provider for others.
    ///
    /// # Errors
    /// A message for people.
    pub(crate) async fn ask(&self, reason: Reason) -> Result<Credentials, String> {
        let known = self.provider.newer(self.seen.load(Relaxed), reason).await?;
        self.seen.store(known.version, Relaxed);
        Ok(known.credentials)
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
        Renewal::new(SharedProvider::new(provider), 0, Some(time))
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
}
