//! Replacing the plugin of tenants while their calls go on.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::options::TenantOptions;
use super::registry::{CREDENTIALS_TIME, Tenants};
use super::tenant::Tenant;
use crate::config::NamedPlugin;
use crate::engine::Engine;
use crate::error::{Error, Failure, Result};
use crate::plugins::PluginSource;
use crate::sandbox::Plugin;
use crate::store_options::StoreOptions;

/// The blob that a probe asks for. It need not exist.
const PROBE_KEY: &str = "sandbucket-probe";
/// Time limit of a probe.
const PROBE_TIME: Duration = Duration::from_secs(10);

impl Tenants {
    /// Replaces the plugin of one tenant, or of all: those that exist, and those added later that name none. Returns the
    /// number of tenants whose plugin was replaced.
    ///
    /// Beside the old plugin, the new one opens a store with the settings of each tenant and sends one HEAD for a blob
    /// `sandbucket-probe`, a few tenants at a time. Whatever the service responds, the probe passes; it fails if the plugin
    /// does. Then all tenants change at once, or none. Calls in flight, and stores that the program holds, finish with the old
    /// plugin.
    ///
    /// Applying a configuration that names another plugin for a tenant, or that names none for a tenant that was swapped by
    /// itself, replaces it again.
    ///
    /// ```no_run
    /// # async fn example(tenants: sandbucket::Tenants) -> sandbucket::Result<()> {
    /// let plugin = tenants.engine().plugin_file("/opt/plugins/s3-next.wasm").await?;
    /// tenants.swap(Some("alice"), &plugin).await?;
    /// // It works for her: now for all.
    /// tenants.swap(None, &plugin).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown tenant or a plugin of another engine, [`Error::InvalidSettings`] and
    /// [`Error::Plugin`] of the first tenant whose settings or probe fail, with its name. The former plugins remain.
    pub async fn swap(&self, tenant: Option<&str>, plugin: &Plugin) -> Result<usize> {
        let swapped = self.try_swap(tenant, plugin).await;
        self.0.engine.telemetry().engine.swap(swapped.is_ok());
        match &swapped {
            Ok(tenants) => tracing::info!(tenants, plugin = plugin.digest(), "plugin swapped"),
            Err(error) => tracing::warn!(%error, plugin = plugin.digest(), "plugin not swapped"),
        }
        swapped
    }

    async fn try_swap(&self, tenant: Option<&str>, plugin: &Plugin) -> Result<usize> {
        let _changing = self.0.changing.lock().await;
        let entries: Vec<(Arc<str>, Tenant)> = self
            .read()
            .iter()
            .filter(|(name, _)| tenant.is_none_or(|wanted| wanted == &***name))
            .map(|(name, entry)| (name.clone(), entry.tenant.clone()))
            .collect();
        if let Some(name) = tenant
            && entries.is_empty()
        {
            let message = format!("swapping the plugin: there is no tenant \"{}\"", name.escape_debug());
            return Err(Error::InvalidArgument(Failure::ours("tenant", message)));
        }
        let mut wanted = Vec::new();
        for (name, tenant) in entries {
            let Some(mut options) = tenant.options() else { continue };
            if options.store.plugin.as_ref() != Some(plugin) {
                options.store.plugin = Some(plugin.clone());
                wanted.push((name, options));
            }
        }
        let count = wanted.len();
        let checked = self.check(wanted, CREDENTIALS_TIME).await.map_err(|(name, error)| of_tenant(&name, error))?;
        // Dropped without a lock: closing a store takes its time.
        let mut former = Vec::new();
        {
            let mut tenants = self.write();
            for change in checked {
                // One that was removed meanwhile stays removed.
                if let Some(origin) = tenants.get(&change.name).map(|entry| entry.origin) {
                    former.extend(self.make(&mut tenants, change, origin));
                }
            }
            if tenant.is_none() {
                *self.0.plugin.write().unwrap_or_else(PoisonError::into_inner) = Some(plugin.clone());
            }
        }
        drop(former);
        Ok(count)
    }
}

impl Tenant {
    /// The tenant's present options, unless it was removed.
    fn options(&self) -> Option<TenantOptions> {
        let store = self.lazy()?;
        Some(TenantOptions { store: store.options.clone(), budget: self.budget(), weight: self.weight() })
    }
}

/// Adds the tenant to an error.
fn of_tenant(name: &str, error: Error) -> Error {
    let of_tenant = |mut failure: Box<Failure>| {
        failure.message = format!("tenant \"{name}\": {}", failure.message);
        failure
    };
    match error {
        Error::InvalidSettings(failure) => Error::InvalidSettings(of_tenant(failure)),
        Error::InvalidArgument(failure) => Error::InvalidArgument(of_tenant(failure)),
        other => Error::plugin(format!("tenant \"{name}\": {other}")),
    }
}

/// Sends a request through a store with these options, outside the tenant's budget.
///
/// # Errors
/// Those that are the plugin's. A service that is down, or that refuses, is not its fault.
pub(super) async fn probe(engine: &Engine, options: &StoreOptions) -> Result<()> {
    let mut options = options.clone();
    options.tenant = None;
    let probed = engine.open(options).await?.head(PROBE_KEY).time_limit(PROBE_TIME).await;
    match probed {
        Err(
            error @ (Error::Plugin { .. }
            | Error::Trapped { .. }
            | Error::OutOfMemory { .. }
            | Error::OutOfTime { .. }
            | Error::Overdue { .. }
            | Error::Integrity(_)
            | Error::InvalidArgument(_)
            | Error::InvalidSettings(_)
            | Error::Unsupported(_)),
        ) => Err(error),
        _ => Ok(()),
    }
}

/// The plugins that a configuration names, each loaded once.
pub(super) struct NamedPlugins<'a> {
    engine: &'a Engine,
    loaded: HashMap<PluginSource, Plugin>,
}

impl NamedPlugins<'_> {
    pub(super) fn new(engine: &Engine) -> NamedPlugins<'_> {
        NamedPlugins { engine, loaded: HashMap::new() }
    }

    /// # Errors
    /// [`Error::Config`] if it does not load.
    pub(super) async fn get(&mut self, named: &NamedPlugin) -> Result<Plugin> {
        if let Some(plugin) = self.loaded.get(&named.source) {
            return Ok(plugin.clone());
        }
        let plugin = named.load(self.engine).await?;
        self.loaded.insert(named.source.clone(), plugin.clone());
        Ok(plugin)
    }
}
