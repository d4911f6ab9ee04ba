//! Replacing the plugin of tenants while their calls go on.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::kind::Kind;
use super::options::TenantOptions;
use super::registry::{CREDENTIALS_TIME, MAX_LOGGED, Tenants};
use super::status::PluginSwap;
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
    /// Replaces the plugin of one tenant, or of all whose plugin is for the same service: those that exist, and those added later that
    /// name none.
    ///
    /// Plugins are for the same service if they document the same required settings, and the secret settings of one are secret settings
    /// of the other, by name or alias ([`Engine::settings_of`]). That holds between versions of a plugin, and not between the built-in
    /// ones for S3 and Azure. Plugins without required and secret settings are compared by all of their settings. Tenants with
    /// a plugin for another service are [left out](PluginSwap::left_out); a tenant that is named gets the plugin whatever it had.
    ///
    /// Beside the old plugin, the new one opens a store with the settings of each tenant and sends one HEAD for a blob
    /// `sandbucket-probe`, a few tenants at a time. Whatever the service responds, the probe passes; it fails if the plugin
    /// does. Then all of these tenants change at once, or none. Calls in flight, and stores that the program holds, finish with the old
    /// plugin.
    ///
    /// Applying a configuration whose key `plugin` names another one for a tenant, or that has no such key for a tenant that was
    /// swapped by itself, replaces it again.
    ///
    /// ```no_run
    /// # async fn example(tenants: sandbucket::Tenants) -> sandbucket::Result<()> {
    /// let plugin = tenants.engine().plugin_file("/opt/plugins/s3-next.wasm").await?;
    /// tenants.swap(Some("alice"), &plugin).await?;
    /// // It works for her: now for all.
    /// let swap = tenants.swap(None, &plugin).await?;
    /// println!("{} replaced, {} left out", swap.swapped.len(), swap.left_out.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an unknown tenant or a plugin of another engine, [`Error::InvalidSettings`] and
    /// [`Error::Plugin`] of the first tenant whose settings or probe fail, with its name. The former plugins remain.
    pub async fn swap(&self, tenant: Option<&str>, plugin: &Plugin) -> Result<PluginSwap> {
        let swapped = self.try_swap(tenant, plugin).await;
        self.0.engine.telemetry().engine.swap(swapped.is_ok());
        let plugin = plugin.digest();
        match &swapped {
            Ok(PluginSwap { swapped, unchanged, left_out }) => {
                let (count, tenants, left) = (swapped.len(), listed(swapped), left_out.len());
                tracing::info!(count, tenants, unchanged, left_out = left, plugin, "plugin swapped");
                for (tenant, why) in left_out.iter().take(MAX_LOGGED) {
                    tracing::info!(tenant, why, "the tenant keeps its plugin");
                }
            }
            Err(error) => tracing::warn!(%error, plugin, "plugin not swapped"),
        }
        swapped
    }

    async fn try_swap(&self, tenant: Option<&str>, plugin: &Plugin) -> Result<PluginSwap> {
        let _changing = self.0.changing.lock().await;
        let mut entries: Vec<(Arc<str>, Tenant)> = self
            .read()
            .iter()
            .filter(|(name, _)| tenant.is_none_or(|wanted| wanted == &***name))
            .map(|(name, entry)| (name.clone(), entry.tenant.clone()))
            .collect();
        entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        if let Some(name) = tenant
            && entries.is_empty()
        {
            let message = format!("swapping the plugin: there is no tenant \"{}\"", name.escape_debug());
            return Err(Error::InvalidArgument(Failure::ours("tenant", message)));
        }
        let engine = &self.0.engine;
        let kind = match tenant {
            Some(_) => None,
            None => Some(Kind::of(engine, plugin).await?),
        };
        let (mut outcome, mut wanted) = (PluginSwap::default(), Vec::new());
        // Of each present plugin, by its digest.
        let mut differences: HashMap<String, Option<String>> = HashMap::new();
        for (name, tenant) in entries {
            let Some(mut options) = tenant.options() else { continue };
            if options.store.plugin.as_ref() == Some(plugin) {
                outcome.unchanged += 1;
                continue;
            }
            if let Some(kind) = &kind {
                let present = options.store.plugin.as_ref().unwrap_or_else(|| engine.plugin());
                if !differences.contains_key(present.digest()) {
                    let difference = match Kind::of(engine, present).await {
                        Ok(present) => present.difference(kind),
                        Err(error) => Some(format!("what its plugin is for is unknown: {error}")),
                    };
                    differences.insert(present.digest().to_owned(), difference);
                }
                if let Some(Some(why)) = differences.get(present.digest()) {
                    outcome.left_out.insert(name.to_string(), why.clone());
                    continue;
                }
            }
            options.store.plugin = Some(plugin.clone());
            wanted.push((name, options));
        }
        let checked = self.check(wanted, CREDENTIALS_TIME).await.map_err(|(name, error)| of_tenant(&name, error))?;
        // Dropped without a lock: closing a store takes its time.
        let mut former = Vec::new();
        {
            let mut tenants = self.write();
            for change in checked {
                // One that was removed meanwhile stays removed.
                if let Some(origin) = tenants.get(&change.name).map(|entry| entry.origin) {
                    outcome.swapped.push(change.name.to_string());
                    former.extend(self.make(&mut tenants, change, origin));
                }
            }
            if let Some(kind) = kind {
                let mut defaults = self.0.defaults.write().unwrap_or_else(PoisonError::into_inner);
                defaults.retain(|(known, _)| !known.is_same(&kind));
                defaults.push((kind, plugin.clone()));
            }
        }
        drop(former);
        outcome.swapped.sort_unstable();
        Ok(outcome)
    }

    /// The plugin that a swap of all put in the place of this one, which tenants have that name none.
    pub(super) async fn successor(&self, plugin: &Plugin) -> Option<Plugin> {
        let defaults = self.0.defaults.read().unwrap_or_else(PoisonError::into_inner).clone();
        if defaults.is_empty() {
            return None;
        }
        let kind = Kind::of(&self.0.engine, plugin).await.ok()?;
        defaults.into_iter().find(|(known, _)| known.is_same(&kind)).map(|(_, successor)| successor)
    }
}

/// Some of these names, for the log.
fn listed(names: &[String]) -> String {
    let some = names.iter().take(MAX_LOGGED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_LOGGED) {
        0 => some,
        more => format!("{some} and {more} more"),
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
    tenants: &'a Tenants,
    loaded: HashMap<PluginSource, Plugin>,
    /// By the digest of the plugin that they succeed.
    successors: HashMap<String, Option<Plugin>>,
}

impl NamedPlugins<'_> {
    pub(super) fn new(tenants: &Tenants) -> NamedPlugins<'_> {
        NamedPlugins { tenants, loaded: HashMap::new(), successors: HashMap::new() }
    }

    /// The plugin of a tenant with or without a plugin of its own, unless it is the engine's.
    ///
    /// # Errors
    /// [`Error::Config`] if it does not load.
    pub(super) async fn get(&mut self, named: Option<&NamedPlugin>) -> Result<Option<Plugin>> {
        let engine = &self.tenants.0.engine;
        let plugin = match named {
            Some(named) => self.load(named).await?,
            None => engine.s3_plugin().await?,
        };
        if named.is_some_and(|named| !named.by_section) {
            return Ok(Some(plugin));
        }
        Ok(match self.successor(&plugin).await {
            Some(successor) => Some(successor),
            None => (named.is_some() || plugin != *engine.plugin()).then_some(plugin),
        })
    }

    async fn load(&mut self, named: &NamedPlugin) -> Result<Plugin> {
        if let Some(plugin) = self.loaded.get(&named.source) {
            return Ok(plugin.clone());
        }
        let plugin = named.load(&self.tenants.0.engine).await?;
        self.loaded.insert(named.source.clone(), plugin.clone());
        Ok(plugin)
    }

    async fn successor(&mut self, plugin: &Plugin) -> Option<Plugin> {
        if let Some(known) = self.successors.get(plugin.digest()) {
            return known.clone();
        }
        let successor = self.tenants.successor(plugin).await;
        self.successors.insert(plugin.digest().to_owned(), successor.clone());
        successor
    }
}
