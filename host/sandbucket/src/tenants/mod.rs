//! Tenants: named stores with a budget, added, changed and removed at run time.
//!
//! [`Tenants`] is the registry. It takes tenants from a [`TenantsConfig`], all or none of whose changes apply, or from the program
//! ([`Tenants::set`]). A [`Tenant`] opens its store when it is first used and closes it when it is idle; everything else of a store
//! works as without tenants. Storage quotas are out of scope: no budget bounds the bytes that a tenant stores.

mod config;
mod kind;
mod name;
mod open;
mod options;
mod registry;
mod status;
mod swap;
mod tenant;
#[cfg(test)]
mod tests;
mod value;

pub use config::TenantsConfig;
pub use options::TenantOptions;
pub use registry::Tenants;
pub use status::{PluginSwap, TenantChanges, TenantStatus};
pub use tenant::Tenant;
