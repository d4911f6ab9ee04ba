//! What the registry reports.

use crate::sandbox::PoolStatus;

/// The changes of one [`apply`](crate::Tenants::apply): names of tenants, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantChanges {
    /// Tenants that did not exist before.
    pub added: Vec<String>,
    /// Tenants with other settings, another budget or another weight than before.
    pub changed: Vec<String>,
    /// Tenants that no longer exist.
    pub removed: Vec<String>,
    /// Number of the others, whose stores stay open.
    pub unchanged: usize,
}

/// The state of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantStatus {
    /// The tenant's name.
    pub name: String,
    /// The tenant's weight beside others that wait.
    pub weight: u32,
    /// Whether the store is open.
    pub is_open: bool,
    /// The instances of the open store. All 0 if it is closed.
    pub pool: PoolStatus,
}
