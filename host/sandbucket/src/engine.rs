//! The engine: per-process state such as wasmtime, the compiled plugin, the connections, and the count of instances.

mod closed_stores;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use ipnet::IpNet;

use crate::budget::Admission;
use crate::driver::Driver;
use crate::error::{Error, Failure, Result};
use crate::http::{Egress, Network, Proxy, TlsOptions, private_networks};
use crate::limits::Limits;
use crate::plugins::{BuiltIn, PluginSource};
use crate::sandbox::pool::Pool;
pub(crate) use crate::sandbox::runtime::Sweep;
use crate::sandbox::runtime::{InstancePermit, Runtime, wasmtime_engine};
use crate::sandbox::{Plugin, Sandbox};
use crate::store::Store;
use crate::store_options::StoreOptions;
use crate::support::fair_queue::Grant;
use crate::support::input::{self, MAX_PLUGIN};
use crate::telemetry::{AuditSink, Telemetry};
use crate::types::blob::{Attribute, Setting};
use crate::types::settings::check_settings;
use closed_stores::ClosedStores;

/// Loads the plugin and opens stores.
///
/// One engine serves a whole process: building one compiles the plugin, or loads what an earlier run compiled. Cloning is
/// cheap and returns the same engine.
///
/// # Debug builds
/// Compiling takes about a second, and ten times as long if the compiler, Cranelift, is built without optimisation, as in a
/// debug build. These lines in the `Cargo.toml` of the program's workspace make Cargo optimise dependencies in debug builds
/// as well:
///
/// ```toml
/// [profile.dev.package."*"]
/// opt-level = 2
/// ```
///
/// # The built-in plugins
/// The crate contains prebuilt plugins: see [`BuiltIn`]. If `SANDBUCKET_PLUGIN` names a component when the crate is built, that
/// one replaces the plugin for S3. In a checkout whose plugin sources have changed, the build script builds the plugins from
/// them, which needs the target `wasm32-unknown-unknown`. [`EngineBuilder::plugin_file`] loads another component at run time.
///
/// # Example
/// ```no_run
/// # async fn example() -> sandbucket::Result<()> {
/// use sandbucket::{Engine, Limits};
///
/// let engine = Engine::new(Limits::default())?;
/// let store = engine.store([("bucket", "photos"), ("region", "eu-west-1")]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine {
    runtime: Arc<Runtime>,
    /// Where its plugin comes from.
    source: Arc<PluginSource>,
    closed: Arc<ClosedStores>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("limits", &self.runtime.limits).field("plugin", &self.runtime.plugin).finish()
    }
}

/// Builder of an [`Engine`].
#[derive(Clone, Debug, Default)]
pub struct EngineBuilder {
    proxy: Option<Proxy>,
    limits: Limits,
    cache: Cache,
    plugin: PluginSource,
    networks: Vec<IpNet>,
    name_servers: Vec<SocketAddr>,
    audit: Audit,
    tenant_labels: Option<usize>,
}

#[derive(Clone, Default)]
struct Audit(Option<Arc<dyn AuditSink>>);

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Audit(..)" } else { "None" })
    }
}

/// Number of tenants with a label of their own in metrics, unless the builder sets another.
const TENANT_LABELS: usize = 256;

#[derive(Clone, Debug, Default)]
enum Cache {
    /// The user's cache folder.
    #[default]
    Usual,
    At(PathBuf),
    None,
}

impl EngineBuilder {
    /// Sets the limits of plugins, calls and connections.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the folder of the compile cache. Default: the folder that the variable `SANDBUCKET_CACHE_DIR` names, else
    /// `sandbucket` in `$XDG_CACHE_HOME`, else in `~/.cache`. If none of these variables is set to an absolute path, as for
    /// many services, nothing is cached, and every start compiles the plugin.
    ///
    /// The folder is created with access for this user only. A folder that is a symbolic link, belongs to another user or
    /// is writable for others is not used, and the plugin is compiled each time, because its content is executed as machine
    /// code. It holds the 8 most recently used entries, each bound to one component and one engine configuration.
    pub fn cache_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Cache::At(folder.into());
        self
    }

    /// Disables the compile cache.
    pub fn no_cache(mut self) -> Self {
        self.cache = Cache::None;
        self
    }

    /// Loads this built-in plugin. Default: [`BuiltIn::S3`].
    pub fn built_in(mut self, plugin: BuiltIn) -> Self {
        self.plugin = PluginSource::BuiltIn(plugin);
        self
    }

    /// Loads a component instead of a built-in one: a regular file of at most 64 MiB.
    pub fn plugin_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.plugin = PluginSource::File(file.into());
        self
    }

    /// Adds networks whose addresses every store may reach, besides public addresses. Default: none.
    ///
    /// This is for services in the operator's network that tenants may name as their endpoint. They can name anything else
    /// there as well, so keep the networks narrow. Link-local addresses and those of cloud metadata services are never
    /// reached, even inside one of these networks.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = sandbucket::Engine::builder().allow_networks(["10.20.0.0/24".parse()?]).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn allow_networks(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.networks.extend(networks);
        self
    }

    /// Allows every store to reach all private and loopback addresses: `10.0.0.0/8`, `100.64.0.0/10`, `127.0.0.0/8`,
    /// `172.16.0.0/12`, `192.168.0.0/16`, `::1` and `fc00::/7`.
    ///
    /// For programs whose operator writes all settings, and for tests. Anybody who can write a store's settings can then
    /// send requests to any service of this machine and its network. [`StoreOptions::allow_private`] applies to one store.
    pub fn allow_private_networks(self) -> Self {
        self.allow_networks(private_networks())
    }

    /// Replaces the name servers of `/etc/resolv.conf`, whose search list and options are then ignored; `/etc/hosts`
    /// applies. Each is queried over UDP, and over TCP if a response is truncated. Default: none, which means the system's.
    pub fn name_servers(mut self, servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.name_servers = servers.into_iter().collect();
        self
    }

    /// Sets the proxy of stores without their own ([`StoreOptions::proxy`]). Default: [`Proxy::environment`], like other
    /// clients; [`Proxy::none`] ignores the environment. It may be at a private address.
    ///
    /// **Through a proxy, the proxy must check the addresses of endpoints**: see [`Proxy`] before stores of tenants use
    /// one.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy.allow_private());
        self
    }

    /// Sets the receiver of a record of each call. Default: none.
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.audit = Audit(Some(Arc::new(sink)));
        self
    }

    /// Sets the number of tenants whose name is a label of metrics: the first that make calls. The others share the label
    /// [`OTHER`](crate::telemetry::OTHER). Recorders keep a label forever, so this bounds their memory. Default: 256.
    pub fn tenant_labels(mut self, labels: usize) -> Self {
        self.tenant_labels = Some(labels);
        self
    }

    /// Builds the engine like [`build`](EngineBuilder::build), on a blocking thread of the Tokio runtime, so that other
    /// tasks continue. Dropping the future does not stop the compilation, whose result is cached for the next start.
    ///
    /// ```no_run
    /// # async fn example() -> sandbucket::Result<()> {
    /// let engine = sandbucket::Engine::builder().cache_dir("/var/cache/app").build_async().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`build`](EngineBuilder::build).
    pub async fn build_async(self) -> Result<Engine> {
        let built = tokio::task::spawn_blocking(|| self.build()).await;
        built.unwrap_or_else(|_| Err(Error::plugin("making the engine was broken off: the runtime shuts down")))
    }

    /// Builds the engine.
    ///
    /// Blocks while the plugin is compiled: about a second the first time, and 10 s in a program whose dependencies are
    /// built without optimisation (see [`Engine`]). In async code use [`build_async`](EngineBuilder::build_async).
    ///
    /// # Errors
    /// [`Error::Config`] for inconsistent limits, [`Error::Io`] for a plugin file that cannot be read, [`Error::Plugin`]
    /// for a component that is no blob store or has forbidden imports, [`Error::NoMemory`] if the process may not have
    /// enough address space for one instance.
    pub fn build(self) -> Result<Engine> {
        let EngineBuilder { proxy, limits, cache, plugin, networks, name_servers, audit, tenant_labels } = self;
        limits.check().map_err(|at_odds| Error::Config {
            path: None,
            line: None,
            key: Some(format!("sandbox.{}", at_odds.name)),
            message: at_odds.message,
        })?;
        let wasmtime = wasmtime_engine(&limits)?;
        let folder = match cache {
            Cache::Usual => usual_cache(|name| std::env::var_os(name)),
            Cache::At(folder) => Some(folder),
            Cache::None => None,
        };
        let source = Arc::new(plugin);
        let plugin = match &*source {
            PluginSource::BuiltIn(plugin) => Plugin::load(&wasmtime.0, plugin.component(), folder.as_deref())?,
            PluginSource::File(file) => load_file(file, |bytes| Plugin::load(&wasmtime.0, bytes, folder.as_deref()))?,
        };
        let proxy = proxy.unwrap_or_else(Proxy::environment);
        let telemetry = Telemetry::new(audit.0, tenant_labels.unwrap_or(TENANT_LABELS));
        let connections = telemetry.engine.connections.clone();
        let network = Network::new(&networks, name_servers, proxy, &limits, connections);
        let closed = ClosedStores::new(limits.reopen_within);
        let runtime = Runtime::new(wasmtime, plugin, folder, limits, network, telemetry)?;
        let swept: Weak<ClosedStores> = Arc::downgrade(&closed);
        runtime.on_sweep(swept);
        Ok(Engine { runtime, source, closed })
    }
}

impl Engine {
    /// Builds an engine with the built-in plugin without blocking the runtime: see [`EngineBuilder::build_async`].
    ///
    /// ```no_run
    /// # async fn example() -> sandbucket::Result<()> {
    /// use sandbucket::{Engine, Limits};
    ///
    /// let engine = Engine::load(Limits::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn load(limits: Limits) -> Result<Engine> {
        Engine::builder().limits(limits).build_async().await
    }

    /// Builds an engine with the built-in plugin. Blocks while the plugin is compiled: see [`EngineBuilder::build`]. In
    /// async code use [`load`](Engine::load).
    pub fn new(limits: Limits) -> Result<Engine> {
        Engine::builder().limits(limits).build()
    }

    /// Returns a builder of an engine.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// The engine's limits.
    pub fn limits(&self) -> &Limits {
        &self.runtime.limits
    }

    /// The plugin's imports, which are all that it can reach: names such as `wasi:http/types@0.2.0`, sorted.
    pub fn imports(&self) -> &[String] {
        self.runtime.plugin.imports()
    }

    /// The plugin's exports: names such as `sandbucket:blob/store@0.2.0`, sorted.
    pub fn exports(&self) -> &[String] {
        self.runtime.plugin.exports()
    }

    /// The settings that the plugin documents, in display order.
    pub async fn settings(&self) -> Result<Vec<Setting>> {
        self.settings_of(&self.runtime.plugin).await
    }

    /// The settings that another plugin of this engine documents, in display order.
    pub async fn settings_of(&self, plugin: &Plugin) -> Result<Vec<Setting>> {
        let mut bare = self.instance_of(plugin).await?;
        bare.sandbox.settings(&self.runtime.limits).await
    }

    /// The attributes that the plugin accepts in calls, in display order.
    pub async fn attributes(&self) -> Result<Vec<Attribute>> {
        self.attributes_of(&self.runtime.plugin).await
    }

    /// The attributes that another plugin of this engine accepts in calls, in display order.
    pub async fn attributes_of(&self, plugin: &Plugin) -> Result<Vec<Attribute>> {
        let mut bare = self.instance_of(plugin).await?;
        bare.sandbox.attributes(&self.runtime.limits).await
    }

    /// Whether the plugin exports the interface `sans-io`: the host then sends its requests, and no instance is held while
    /// one is in flight. A plugin without it sends requests over wasi:http.
    pub fn is_sans_io(&self) -> bool {
        self.runtime.plugin.is_sans_io()
    }

    /// The plugin of stores that name no other ([`StoreOptions::plugin`]).
    pub fn plugin(&self) -> &Plugin {
        &self.runtime.plugin
    }

    /// Loads a built-in plugin, for [`StoreOptions::plugin`] or [`Tenants::swap`](crate::Tenants::swap), unless it is in use already.
    ///
    /// # Errors
    /// [`Error::Plugin`] if it cannot be compiled.
    pub async fn built_in(&self, plugin: BuiltIn) -> Result<Plugin> {
        self.plugin_bytes(plugin.component()).await
    }

    /// The plugin of stores for S3 that name none: the engine's, unless that is a built-in one for another service.
    pub(crate) async fn s3_plugin(&self) -> Result<Plugin> {
        match &*self.source {
            PluginSource::BuiltIn(plugin) if *plugin != BuiltIn::S3 => self.built_in(BuiltIn::S3).await,
            _ => Ok(self.runtime.plugin.clone()),
        }
    }

    /// Loads another plugin from a file, for [`StoreOptions::plugin`] or [`Tenants::swap`](crate::Tenants::swap): a component of at most
    /// 64 MiB. Compiles it on a blocking thread, unless it is in use already or in the compile cache.
    ///
    /// ```no_run
    /// # async fn example(engine: sandbucket::Engine) -> sandbucket::Result<()> {
    /// use sandbucket::StoreOptions;
    ///
    /// let plugin = engine.plugin_file("/opt/plugins/other.wasm").await?;
    /// let store = engine.open(StoreOptions::new().plugin(plugin).setting("bucket", "photos")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::Plugin`] for a component that is no blob store or has forbidden imports.
    pub async fn plugin_file(&self, file: impl Into<PathBuf>) -> Result<Plugin> {
        let (runtime, file) = (self.runtime.clone(), file.into());
        self.load_on_blocking_thread(move || load_file(&file, |bytes| runtime.load(bytes))).await
    }

    /// Loads another plugin, given as the bytes of a component, as [`plugin_file`](Engine::plugin_file) does.
    ///
    /// # Errors
    /// [`Error::Plugin`] for a component that is no blob store or has forbidden imports.
    pub async fn plugin_bytes(&self, component: impl Into<Bytes>) -> Result<Plugin> {
        let (runtime, component) = (self.runtime.clone(), component.into());
        self.load_on_blocking_thread(move || runtime.load(&component)).await
    }

    async fn load_on_blocking_thread(&self, load: impl FnOnce() -> Result<Plugin> + Send + 'static) -> Result<Plugin> {
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded.unwrap_or_else(|_| Err(Error::plugin("loading the plugin was broken off: the runtime shuts down")))
    }

    /// Waits until no cleanup of the engine's stores is running: the best-effort abort of multipart uploads whose
    /// [`Upload`](crate::Upload), [`Writer`](crate::Writer) or [`Copy`](crate::Copy) was dropped early. Call it before the
    /// runtime shuts down. A cleanup takes up to a minute.
    ///
    /// ```no_run
    /// # async fn example(engine: sandbucket::Engine) {
    /// let _ = tokio::time::timeout(std::time::Duration::from_secs(5), engine.drain()).await;
    /// # }
    /// ```
    pub async fn drain(&self) {
        self.runtime.cleanups().drain().await;
    }

    /// What is recorded of calls.
    pub(crate) fn telemetry(&self) -> &Arc<Telemetry> {
        self.runtime.telemetry()
    }

    /// Adds something that is swept every few seconds, as long as it exists.
    pub(crate) fn on_sweep(&self, sweep: Weak<dyn Sweep>) {
        self.runtime.on_sweep(sweep);
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for a plugin of another engine.
    fn own<'a>(&self, plugin: &'a Plugin, operation: &str) -> Result<&'a Plugin> {
        if plugin.is_of(&self.runtime.wasmtime) {
            return Ok(plugin);
        }
        let message = format!("{operation}: its plugin was loaded by another engine");
        Err(Error::InvalidArgument(Failure::ours("plugin", message)))
    }

    /// Whether a tenant has all the instances that its budget allows.
    pub(crate) fn is_at_bound_of(&self, tenant: &Arc<Admission>) -> bool {
        self.runtime.instance_share(Some(tenant)).is_at_own_bound()
    }

    /// Creates an instance without a store, which can reach nothing, for measurements.
    #[doc(hidden)]
    pub async fn instance(&self) -> Result<BareInstance> {
        self.instance_of(&self.runtime.plugin).await
    }

    /// Creates an instance of a plugin, without a store.
    async fn instance_of(&self, plugin: &Plugin) -> Result<BareInstance> {
        let plugin = self.own(plugin, "making an instance")?;
        let limits = &self.runtime.limits;
        let gate = self.runtime.gate(&TlsOptions::default(), Egress::none(), None, &self.runtime.limits)?;
        // Its own share: the reserve is for first instances.
        let share = self.runtime.instance_share(None);
        let end = Instant::now() + limits.call_time;
        let granted = self.runtime.instance_permit("making an instance", &share, end, || None).await?;
        let Grant::Permit(permit) = granted else { return Err(Error::plugin("no call takes over a bare instance")) };
        let compute = self.runtime.compute_share(None);
        Ok(BareInstance {
            sandbox: Sandbox::new(&self.runtime, plugin, gate, &compute, limits.call_time).await?,
            _permit: permit,
        })
    }

    /// Opens a store with these settings: names and values as the plugin documents them.
    ///
    /// The settings may be a tenant's. Whatever endpoint they name, the store reaches that endpoint only, and only at
    /// public addresses or in [`EngineBuilder::allow_networks`]; a call to any other address ends in [`Error::Network`]
    /// before a packet is sent. For an endpoint on this machine or its network see [`StoreOptions::allow_private`].
    ///
    /// # Errors
    /// [`Error::InvalidSettings`], which names the setting. No request is sent: the first call reports a wrong key.
    pub async fn store<N: Into<String>, V: Into<String>>(
        &self,
        settings: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Store> {
        self.open(StoreOptions::new().settings(settings)).await
    }

    /// Opens a store with options. Endpoints and errors are as for [`store`](Engine::store), unless the options change
    /// that. A store that was dropped less than [`Limits::reopen_within`] ago is opened again, if the options are equal.
    pub async fn open(&self, options: StoreOptions) -> Result<Store> {
        let limits = options.limits(&self.runtime.limits)?;
        let mut options = options;
        let plugin = options.plugin.get_or_insert_with(|| self.runtime.plugin.clone()).clone();
        self.own(&plugin, "opening the store")?;
        check_settings(&options.settings)?;
        let (closed, on_close) = self.closed.take(&options);
        if let Some(closed) = closed {
            return Ok(Store::new(Driver::reopen(closed, on_close)));
        }
        let renewal = options.complete().await?;
        check_settings(&options.settings)?;
        let egress = match options.egress {
            Some(egress) => egress,
            None => Egress::from_settings(&options.settings)?,
        };
        let egress = if options.allow_private { egress.allow_private() } else { egress };
        let gate = self.runtime.gate(&options.tls, egress, options.proxy.as_ref(), &limits)?;
        let pool = Pool::new(self.runtime.clone(), plugin, gate, limits, options.settings, renewal, options.tenant);
        Ok(Store::new(Driver::open(pool, on_close).await?))
    }
}

/// Reads a component of a bounded size and loads it.
fn load_file(file: &Path, load: impl FnOnce(&[u8]) -> Result<Plugin>) -> Result<Plugin> {
    let bytes = input::read(file, MAX_PLUGIN).map_err(|error| Error::Io {
        doing: format!("reading the plugin {}", file.display()),
        source: Arc::new(error.into()),
    })?;
    load(&bytes).map_err(|error| match error {
        Error::Plugin { message } => Error::plugin(format!("{}: {message}", file.display())),
        other => other,
    })
}

/// See [`Engine::instance`].
#[doc(hidden)]
pub struct BareInstance {
    sandbox: Sandbox,
    _permit: InstancePermit,
}

/// The default folder of the compile cache.
fn usual_cache(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(folder) = absolute("SANDBUCKET_CACHE_DIR") {
        return Some(folder);
    }
    let folder = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    if folder.is_none() {
        tracing::info!(
            "the compiled plugin is not kept, as none of SANDBUCKET_CACHE_DIR, XDG_CACHE_HOME and HOME is an absolute path: \
             each start compiles it"
        );
    }
    Some(folder?.join("sandbucket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_variable_sets_the_cache_folder() {
        let of = |set: &[(&str, &str)]| {
            usual_cache(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        let (home, xdg) = (("HOME", "/home/u"), ("XDG_CACHE_HOME", "/xdg"));
        assert_eq!(of(&[("SANDBUCKET_CACHE_DIR", "/var/cache/app"), xdg, home]), Some("/var/cache/app".into()));
        assert_eq!(of(&[("SANDBUCKET_CACHE_DIR", ""), xdg, home]), Some("/xdg/sandbucket".into()));
        assert_eq!(of(&[("XDG_CACHE_HOME", "relative"), home]), Some("/home/u/.cache/sandbucket".into()));
        assert_eq!(of(&[]), None);
    }

    #[tokio::test]
    async fn engine_is_built_without_blocking_the_runtime() {
        // The only thread of the runtime counts while the engine is built.
        let counting = tokio::spawn(async {
            for _ in 0..3 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        });
        let engine =
            Engine::builder().limits(Limits::default().with_instances(2)).no_cache().build_async().await.unwrap();
        assert!(counting.is_finished());
        assert_eq!(engine.limits().instances, 2);
    }
}
