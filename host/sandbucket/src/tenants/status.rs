//! What the registry reports.

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// Those of the added and changed tenants whose credentials could not be had, and why. Their settings are valid; each
    /// call tries again, and fails until there are credentials.
    pub unready: BTreeMap<String, String>,
}

/// The outcome of one [`swap`](crate::Tenants::swap): names of tenants, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginSwap {
    /// Tenants whose plugin was replaced.
    pub swapped: Vec<String>,
    /// Number of tenants that had the plugin already.
    pub unchanged: usize,
    /// Tenants that a swap of all left out, because their plugin is for another service, and how that shows.
    pub left_out: BTreeMap<String, String>,
}

/// The state of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantStatus {
    /// The tenant's name.
    pub name: String,
    /// The tenant's weight beside others that wait.
    pub weight: u32,
    /// The SHA-256 of the plugin that the tenant has instead of the engine's, in lower-case hex.
    pub plugin: Option<String>,
    /// Whether the store is open.
    pub is_open: bool,
    /// Why the store could not be opened, if it could not the last time.
    pub unready: Option<String>,
    /// The instances of the open store. All 0 if it is closed.
    pub pool: PoolStatus,
    /// Calls in flight.
    pub calls_in_flight: usize,
    /// Calls that wait for the budget.
    pub calls_queued: usize,
    /// Calls that ended in [`Throttled`](crate::Error::Throttled) because of the budget.
    pub calls_throttled: u64,
    /// Connections in use.
    pub connections: usize,
    /// Linear memory of all instances, in bytes.
    pub memory: u64,
    /// Bytes of response bodies so far.
    pub read_bytes: u64,
    /// Bytes of request bodies so far, those of retries included.
    pub written_bytes: u64,
    /// CPU time of the plugin so far.
    pub cpu_time: Duration,
}
