//! A store's credentials, changed while its calls go on.
//!
//! Instances are opened with the settings of a generation. Those of a former one finish their call and are not used again.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use super::{Current, Pool, PooledInstance};
use crate::credentials::{self, Credentials, Reason};
use crate::error::{Error, Failure, Result};
use crate::sandbox::instance::Instance;
use crate::sandbox::runtime::Handed;
use crate::support::deadline::timeout_at;
use crate::support::fair_queue::Grant;
use crate::types::settings::check_settings;

impl Pool {
    /// Has calls that begin from now on use these credentials.
    pub(crate) async fn set_credentials(&self, credentials: &Credentials) -> Result<()> {
        let limit = self.limits.call_time;
        let settings = credentials.put_into(&self.current().settings);
        check_settings(&settings)?;
        // Whether the plugin takes them shows where it opens a store with them. That there is no instance for it now says
        // nothing of them.
        let operation = "changing the store's credentials";
        let end = Instant::now() + limit;
        let opened = loop {
            let own = || self.pop_idle().map(|kept| Box::new(kept) as Handed);
            match self.engine.instance_permit(operation, &self.instances, end, own).await {
                Ok(Grant::Permit(permit)) => {
                    match Instance::open(&self.engine, &self.plugin, self.gate.clone(), &self.compute, &settings, limit)
                        .await
                    {
                        Ok(instance) => break Some((instance, permit)),
                        Err(Error::NoMemory { .. }) => break None,
                        Err(error) => return Err(error),
                    }
                }
                // One with the old credentials makes way.
                Ok(Grant::Instance(former)) => {
                    drop(former);
                    self.count_retired(1);
                }
                Err(Error::Busy { .. }) => break None,
                Err(error) => return Err(error),
            }
        };
        let generation = {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            let generation = current.generation + 1;
            *current = Arc::new(Current { settings, generation });
            self.generation.store(generation, Release);
            generation
        };
        let former = std::mem::take(&mut *self.idle());
        self.count_retired(former.len());
        drop(former);
        if let Some((instance, permit)) = opened {
            self.count_created();
            let kept = PooledInstance { instance: Box::new(instance), _permit: permit, is_new: true, generation };
            self.idle().push_back(kept);
            if self.engine.short_of_instances() {
                self.offer_idle();
            }
        }
        if let Some(renewal) = &self.renewal {
            renewal.of(credentials);
        }
        tracing::info!(store = self.place, "the store has other credentials from now on");
        Ok(())
    }

    /// Which change of the store's settings holds now.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// Whether the service refused a call for credentials that are the store's no more: then it is worth another, with the new
    /// ones.
    pub(crate) fn is_outdated(&self, generation: u64, error: &Error) -> bool {
        let is_denied = matches!(error, Error::AccessDenied(_)) || self.is_rejection(error);
        is_denied && self.generation() != generation
    }

    /// Whether a call that failed is worth another attempt, with other credentials: the store has others since, or the service
    /// rejected these and the provider gives others within this time. Without the time, the provider is queried in the
    /// background, for later calls.
    pub(crate) async fn renew_rejected(&self, generation: u64, error: &Error, limit: Option<Duration>) -> bool {
        if self.is_outdated(generation, error) {
            return limit.is_some();
        }
        let Some(renewal) = self.renewal.as_ref().filter(|_| self.is_rejection(error)) else { return false };
        let (asking, Some(pool)) = (renewal.asking.clone(), self.this.upgrade()) else { return false };
        let ask = |asking: OwnedMutexGuard<()>| {
            tokio::spawn(async move {
                pool.ask_provider(Reason::Rejected).await;
                drop(asking);
            })
        };
        let Some(limit) = limit else {
            if let Ok(asking) = asking.try_lock_owned() {
                drop(ask(asking));
            }
            return false;
        };
        let renewed = async {
            let asking = asking.lock_owned().await;
            if self.generation() == generation {
                // In a task of its own: a call that is given up must not break off what others wait for.
                let _ = ask(asking).await;
            }
        };
        let _ = timeout_at((Instant::now() + limit).into(), renewed).await;
        self.generation() != generation
    }

    fn is_rejection(&self, error: &Error) -> bool {
        let has_token = || self.current().settings.iter().any(|(name, _)| credentials::TOKENS.contains(&name.as_str()));
        self.renewal.is_some() && credentials::is_rejection(error, has_token)
    }

    pub(super) fn is_renewal_due(&self) -> bool {
        self.renewal.as_ref().is_some_and(|renewal| renewal.is_due() || renewal.has_expired())
    }

    /// Renews the credentials: in the background as long as the old ones hold, else before the call goes on.
    pub(super) async fn renew(&self, operation: &'static str, limit: Duration) -> Result<()> {
        let Some(renewal) = &self.renewal else { return Ok(()) };
        let Some(pool) = self.this.upgrade() else { return Ok(()) };
        if !renewal.has_expired() {
            if let Ok(asking) = renewal.asking.clone().try_lock_owned() {
                tokio::spawn(async move {
                    pool.ask_provider(Reason::Due).await;
                    drop(asking);
                });
            }
            return Ok(());
        }
        // In a task of its own: a call that is given up must not break off what others wait for.
        let renewed = |pool: Arc<Pool>| {
            tokio::spawn(async move {
                let Some(renewal) = &pool.renewal else { return };
                let _asking = renewal.asking.lock().await;
                if renewal.is_due() {
                    pool.ask_provider(Reason::Due).await;
                }
            })
        };
        let in_time = match renewal.is_due() {
            true => timeout_at((Instant::now() + limit).into(), renewed(pool)).await.is_ok(),
            // It has failed a moment ago.
            false => true,
        };
        if !renewal.has_expired() {
            return Ok(());
        }
        let why = match renewal.failure() {
            Some(why) => format!("renewing them failed: {why}"),
            None if in_time => "renewing them failed".to_owned(),
            None => format!("others have not come within {limit:?}"),
        };
        let message = format!("{operation}{}: the store's credentials have expired, and {why}", self.place);
        let mut failure = Failure::ours("access-key", message);
        failure.retryable = true;
        Err(Error::AccessDenied(failure))
    }

    async fn ask_provider(&self, reason: Reason) {
        let Some(renewal) = &self.renewal else { return };
        let mut given = renewal.ask(reason).await;
        // The provider knew these, given to another store, before it knew that they are rejected.
        if reason == Reason::Rejected
            && given.as_ref().is_ok_and(|credentials| credentials.is_in(&self.current().settings))
        {
            given = renewal.ask(reason).await;
        }
        let renewed = match given {
            Ok(credentials) if credentials.is_in(&self.current().settings) => {
                renewal.of(&credentials);
                Ok(())
            }
            Ok(credentials) => self.set_credentials(&credentials).await.map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        self.telemetry.engine().renewal(renewed.is_ok());
        if let Err(why) = renewed {
            let expired = renewal.has_expired();
            if let Some(suppressed) = self.warnings.allow() {
                tracing::warn!(
                    store = self.place,
                    suppressed,
                    expired,
                    why,
                    "the store's credentials could not be renewed"
                );
            }
            renewal.failed(why);
        }
    }
}
