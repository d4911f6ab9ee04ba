//! The gateway: tenants and their front-end keys, and the servers in front of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sandbucket::{TenantChanges, Tenants, TenantsConfig};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::admin;
use crate::config::{AdminAddress, ServeConfig, TlsConfig};
use crate::directory::{Directory, Registered, TenantAccess};
use crate::error::{Error, Result};
use crate::reload::{LastReload, Source};
use crate::s3::{self, Shared};
use crate::server::Endpoint;
use crate::server::tls::Certificate;
use crate::stats::{RequestCounts, Stats};

/// A gateway. Cloning is cheap and returns the same gateway.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use sandbucket::{Tenants, TenantsConfig};
/// use sandbucket_gateway::{Gateway, ServeConfig};
///
/// let config = TenantsConfig::load("sandbucket.toml")?;
/// let tenants = Tenants::new(config.engine().build_async().await?);
/// let gateway = Gateway::new(tenants, ServeConfig::load("sandbucket.toml")?)?;
/// gateway.apply(&config).await?;
/// let running = gateway.start().await?;
/// println!("listening on {:?}", running.addresses());
/// tokio::signal::ctrl_c().await?;
/// running.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

type Exporter = Box<dyn Fn() -> String + Send + Sync>;

pub(crate) struct Inner {
    pub tenants: Tenants,
    pub config: ServeConfig,
    pub shared: Arc<Shared>,
    pub stats: Arc<Stats>,
    /// The files that the gateway was loaded from.
    pub source: Option<Source>,
    draining: AtomicBool,
    endpoint: Arc<Endpoint>,
    certificate: Option<(TlsConfig, Arc<Certificate>)>,
    /// Locked while tenants and keys are changed together.
    access: Mutex<Access>,
    last_reload: StdMutex<LastReload>,
    /// Renders metrics of the program.
    exporter: OnceLock<Exporter>,
    started: SystemTime,
    started_at: Instant,
}

/// The tables of all tenants.
#[derive(Default)]
struct Access {
    /// Of the configuration.
    configured: BTreeMap<String, TenantAccess>,
    /// Of tenants that the program or the admin API set.
    set: BTreeMap<String, TenantAccess>,
}

impl Inner {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Whether a configuration was applied.
    pub(crate) fn is_applied(&self) -> bool {
        self.last_reload().at.is_some()
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.started_at.elapsed()
    }

    pub(crate) fn last_reload(&self) -> LastReload {
        self.last_reload.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes the outcome of a reload. A failed one leaves the time of the last that was applied.
    pub(crate) fn note_reload(&self, error: Option<String>) {
        let mut last = self.last_reload.lock().unwrap_or_else(PoisonError::into_inner);
        if error.is_none() {
            last.at = Some(SystemTime::now());
        }
        last.error = error;
    }

    /// The directory of these tables.
    fn directory(&self, access: &Access) -> Result<Directory> {
        let mut directory = Directory::default();
        for (name, table) in access.configured.iter().chain(&access.set) {
            let tenant = Arc::new(Registered { tenants: self.tenants.clone(), name: name.clone() });
            let added = directory.add(tenant, table.clone(), self.started);
            added.map_err(|fault| Error::config(fault.to_string()))?;
        }
        Ok(directory)
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("tenants", &self.0.tenants).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway without front-end keys: see [`apply`](Gateway::apply).
    ///
    /// # Errors
    /// [`Error::Config`] for a domain or a certificate that cannot be used.
    pub fn new(tenants: Tenants, config: ServeConfig) -> Result<Gateway> {
        Gateway::build(tenants, config, None)
    }

    /// A gateway with the tenants, front-end keys and virtual buckets of this configuration file, which it watches while it
    /// [runs](Gateway::run). The engine has the limits and the plugin of `[sandbox]` in the same file.
    ///
    /// # Errors
    /// As [`new`](Gateway::new) and [`apply`](Gateway::apply), and those of building the engine.
    pub async fn load(path: impl AsRef<Path>) -> Result<Gateway> {
        let path = path.as_ref().to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let config = ServeConfig::load(&path)?;
            let source = Source::new(&path, &config);
            let tenants = source.tenants()?;
            // A directory of tenants has no `[sandbox]`.
            let engine = TenantsConfig::load(&path)?.engine().build()?;
            Ok::<_, Error>((config, source, tenants, engine))
        });
        let joined = read.await.map_err(std::io::Error::other).map_err(Error::io("reading the configuration"))?;
        let (config, source, tenants, engine) = joined?;
        let gateway = Gateway::build(Tenants::new(engine), config, Some(source))?;
        gateway.apply(&tenants).await?;
        Ok(gateway)
    }

    fn build(tenants: Tenants, config: ServeConfig, source: Option<Source>) -> Result<Gateway> {
        let limits = &config.limits;
        let stats = Arc::new(Stats::default());
        let shared = Arc::new(Shared::new(stats.clone(), &config));
        let service = s3::service(&shared, &config.domains);
        let service = service.map_err(|error| Error::config(format!("serve.domains: {error}")))?;
        let certificate = match &config.tls {
            Some(tls) => Some((tls.clone(), Certificate::load(tls)?)),
            None => None,
        };
        let tls = match &certificate {
            Some((_, certificate)) => Some(TlsAcceptor::from(certificate.server_config()?)),
            None => None,
        };
        let endpoint = Arc::new(Endpoint::new(service, limits.clone(), tls, stats.clone()));
        Ok(Gateway(Arc::new(Inner {
            tenants,
            config,
            shared,
            stats,
            source,
            draining: AtomicBool::new(false),
            endpoint,
            certificate,
            access: Mutex::default(),
            last_reload: StdMutex::default(),
            exporter: OnceLock::new(),
            started: SystemTime::now(),
            started_at: Instant::now(),
        })))
    }

    /// Makes the tenants of the configuration, and their front-end keys and virtual buckets, those of the gateway: all or none
    /// of them. Requests in flight finish as they began.
    ///
    /// # Errors
    /// [`Error::Sandbucket`] or [`Error::Config`], with file and line where they are known. The former state remains.
    pub async fn apply(&self, config: &TenantsConfig) -> Result<TenantChanges> {
        let inner = &self.0;
        let mut access = inner.access.lock().await;
        config.check_sections(&["gateway"])?;
        let mut configured = BTreeMap::new();
        for name in config.names() {
            if let Some(table) = config.section::<TenantAccess>(name, "gateway")? {
                configured.insert(name.to_owned(), table);
            }
        }
        let changed = Access { configured, set: access.set.clone() };
        let directory = inner.directory(&changed)?;
        let changes = inner.tenants.apply(config).await?;
        inner.shared.directory.store(Arc::new(directory));
        *access = changed;
        inner.stats.retain(|name| inner.tenants.get(name).is_some());
        inner.note_reload(None);
        Ok(changes)
    }

    /// Adds a tenant of this name from a configuration that has it, or changes one that was added in this way. It stays until it
    /// is removed or the process ends, whatever configuration is applied.
    ///
    /// # Errors
    /// As [`apply`](Gateway::apply), and [`Error::Config`] for a tenant of the applied configuration: change it there.
    pub async fn set_tenant(&self, name: &str, config: &TenantsConfig) -> Result<()> {
        let inner = &self.0;
        let mut access = inner.access.lock().await;
        config.check_sections(&["gateway"])?;
        if inner.tenants.get(name).is_some() && !access.set.contains_key(name) {
            return Err(Error::config(format!("the tenant {name} belongs to the configuration: change it there")));
        }
        let mut changed = Access { configured: access.configured.clone(), set: access.set.clone() };
        let table = config.section(name, "gateway")?.unwrap_or_default();
        changed.set.insert(name.to_owned(), table);
        let directory = inner.directory(&changed)?;
        inner.tenants.set_from(name, config).await?;
        inner.shared.directory.store(Arc::new(directory));
        *access = changed;
        Ok(())
    }

    /// Removes a tenant and its keys. Requests in flight finish. One of the configuration comes back when that is applied
    /// again. Returns whether it existed.
    pub async fn remove_tenant(&self, name: &str) -> bool {
        let inner = &self.0;
        let mut access = inner.access.lock().await;
        access.set.remove(name);
        access.configured.remove(name);
        if let Ok(directory) = inner.directory(&access) {
            inner.shared.directory.store(Arc::new(directory));
        }
        let existed = inner.tenants.remove(name);
        inner.stats.retain(|name| inner.tenants.get(name).is_some());
        existed
    }

    /// Fails `/readyz` from now on. The gateway goes on serving.
    pub fn drain(&self) {
        self.0.draining.store(true, Relaxed);
    }

    /// Adds the metrics of a recorder of the crate `metrics` to `/metrics`, such as those of [`sandbucket::telemetry`]: `render`
    /// returns them in Prometheus' text format. The recorder has to be installed before the engine is built. Without effect if
    /// called again.
    pub fn export_metrics(&self, render: impl Fn() -> String + Send + Sync + 'static) {
        let _ = self.0.exporter.set(Box::new(render));
    }

    /// The metrics in Prometheus' text format.
    pub fn metrics_text(&self) -> String {
        use std::fmt::Write as _;
        let (mut text, tenants) = (String::new(), &self.0.tenants);
        self.0.stats.render(&mut text);
        let unready = tenants.status().iter().filter(|tenant| tenant.unready.is_some()).count();
        for (name, help, value) in [
            ("sandbucket_gateway_tenants", "Tenants.", tenants.len()),
            ("sandbucket_gateway_tenants_unready", "Tenants whose store could not be opened the last time.", unready),
            ("sandbucket_gateway_open_stores", "Open stores of tenants.", tenants.open_stores()),
        ] {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        }
        if let Some(render) = self.0.exporter.get() {
            text.push_str(&render());
        }
        text
    }

    /// Reads the certificate again.
    ///
    /// # Errors
    /// If it cannot be used: the former one stays.
    pub fn reload_certificate(&self) -> Result<()> {
        match &self.0.certificate {
            Some((config, certificate)) => certificate.reload(config),
            None => Ok(()),
        }
    }

    /// The tenants.
    pub fn tenants(&self) -> &Tenants {
        &self.0.tenants
    }

    /// The configuration that the gateway was made with.
    pub fn config(&self) -> &ServeConfig {
        &self.0.config
    }

    /// The counters of the tenants that had a request.
    pub fn counts(&self) -> BTreeMap<String, RequestCounts> {
        self.0.stats.counts()
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// Listens on the configured addresses: the S3 endpoint, the admin API and the health endpoints.
    ///
    /// # Errors
    /// [`Error::Io`] if an address cannot be listened on.
    pub async fn start(&self) -> Result<Running> {
        let config = &self.0.config;
        let (stop, stopped) = watch::channel(false);
        let mut servers = JoinSet::new();
        let bind = async |address: &SocketAddr| {
            let listener = TcpListener::bind(address).await.map_err(Error::io(format!("listening on {address}")))?;
            let address = listener.local_addr().map_err(Error::io("listening"))?;
            Ok::<_, Error>((listener, address))
        };
        let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
        for address in &config.listen {
            let (listener, address) = bind(address).await?;
            listeners.push(listener);
            addresses.push(address);
        }
        let mut admin = None;
        let mut probes = JoinSet::new();
        match &config.admin {
            None => {}
            Some(AdminAddress::Tcp(address)) => {
                let (listener, address) = bind(address).await?;
                admin = Some(AdminAddress::Tcp(address));
                probes.spawn(serve_admin(listener, admin::admin(self.clone()), stopped.clone()));
            }
            Some(AdminAddress::Unix(path)) => {
                let listener = admin::unix_listener(path).await;
                let listener = listener.map_err(Error::io(format!("listening on {}", path.display())))?;
                admin = Some(AdminAddress::Unix(path.clone()));
                probes.spawn(serve_admin(listener, admin::admin(self.clone()), stopped.clone()));
            }
        }
        let mut health = None;
        if let Some(address) = &config.health {
            let (listener, address) = bind(address).await?;
            health = Some(address);
            probes.spawn(serve_admin(listener, admin::health(self.clone()), stopped.clone()));
        }
        for listener in listeners {
            servers.spawn(self.0.endpoint.clone().listen(listener, stopped.clone()));
        }
        Ok(Running { gateway: self.clone(), addresses, admin, health, stop, servers, probes })
    }

    /// Runs until `shutdown` is ready: listens, reloads at `SIGHUP` and when a file of the configuration changes, and lets
    /// requests in flight finish in the end. `started` is called once all addresses are listened on.
    ///
    /// # Errors
    /// As [`start`](Gateway::start).
    pub async fn run(&self, shutdown: impl Future<Output = ()>, started: impl FnOnce(&Running)) -> Result<()> {
        let running = self.start().await?;
        started(&running);
        let mut background = JoinSet::new();
        if self.0.source.is_some() {
            background.spawn(self.clone().watch());
            background.spawn(self.clone().reload_on_hangup());
        }
        shutdown.await;
        drop(background);
        running.stop().await;
        Ok(())
    }
}

/// Serves admin or health requests until the gateway has stopped.
async fn serve_admin<L>(listener: L, routes: axum::Router, mut stopped: watch::Receiver<bool>)
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    let stop = async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the admin API ended");
    }
}

/// The servers of a gateway. Dropping it stops them at once; [`stop`](Running::stop) lets requests in flight finish.
#[derive(Debug)]
pub struct Running {
    gateway: Gateway,
    addresses: Vec<SocketAddr>,
    admin: Option<AdminAddress>,
    health: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
    /// Of the admin API and the health endpoints, which serve until the requests in flight have ended.
    probes: JoinSet<()>,
}

impl Running {
    /// The addresses of the S3 endpoint.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The address of the admin API.
    pub fn admin(&self) -> Option<&AdminAddress> {
        self.admin.as_ref()
    }

    /// The address of the health endpoints.
    pub fn health(&self) -> Option<SocketAddr> {
        self.health
    }

    /// Accepts no further connections, and lets requests in flight finish for the time `serve.limits.drain`. `/readyz` fails
    /// meanwhile.
    pub async fn stop(mut self) {
        self.gateway.drain();
        self.stop.send_replace(true);
        while self.servers.join_next().await.is_some() {}
        self.probes.abort_all();
        if let Some(AdminAddress::Unix(path)) = &self.admin {
            // The socket is of no use to the next process.
            let _ = std::fs::remove_file(path);
        }
    }
}
