//! Options of a tenant.

use crate::error::{Error, Failure, Result};
use crate::limits::Budget;
use crate::store_options::StoreOptions;

/// Maximum weight: the fractions that waiting tenants are compared in have to distinguish it.
pub(super) const MAX_WEIGHT: u32 = 1000;

/// Options of a tenant: those of its store, its budget and its weight.
///
/// ```no_run
/// # async fn example(tenants: sandbucket::Tenants) -> sandbucket::Result<()> {
/// use sandbucket::{Budget, Credentials, StoreOptions, TenantOptions};
///
/// let store = StoreOptions::new()
///     .setting("bucket", "alice")
///     .setting("region", "eu-west-1")
///     .credentials(Credentials::new("AKID…", "secret"));
/// let options = TenantOptions::new(store).budget(Budget::default().with_calls_per_second(200)).weight(2);
/// tenants.set("alice", options).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TenantOptions {
    pub(super) store: StoreOptions,
    pub(super) budget: Budget,
    pub(super) weight: u32,
}

impl TenantOptions {
    /// Options with the default budget and the weight 1.
    pub fn new(store: StoreOptions) -> Self {
        TenantOptions { store, budget: Budget::default(), weight: 1 }
    }

    /// Sets the budget.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Sets the weight: the tenant's share beside other tenants that wait for instances, connections and CPU time. From 1 to
    /// 1,000. Default: 1.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Checks what does not need the plugin.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |name: &str, message: String| Err(Error::InvalidArgument(Failure::ours(name, message)));
        if !(1..=MAX_WEIGHT).contains(&self.weight) {
            return wrong(
                "weight",
                format!("the tenant's weight is {}; it must be from 1 to {MAX_WEIGHT}", self.weight),
            );
        }
        match self.budget.check() {
            Ok(()) => Ok(()),
            Err(at_odds) => wrong(at_odds.name, at_odds.message),
        }
    }
}

impl From<StoreOptions> for TenantOptions {
    fn from(store: StoreOptions) -> Self {
        TenantOptions::new(store)
    }
}
