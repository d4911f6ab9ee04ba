//! The gateway: tenants and their front-end keys, and the servers in front of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use sandbucket::{TenantChanges, Tenants, TenantsConfig};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::config::{ServeConfig, TlsConfig};
use crate::directory::{Directory, Registered, TenantAccess};
use crate::error::{Error, Result};
use crate::s3::{self, Buffers, Redirect, Shared};
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

pub(crate) struct Inner {
    pub tenants: Tenants,
    pub config: ServeConfig,
    pub shared: Arc<Shared>,
    pub stats: Arc<Stats>,
    pub draining: AtomicBool,
    endpoint: Arc<Endpoint>,
    certificate: Option<(TlsConfig, Arc<Certificate>)>,
    /// Held while tenants and keys are changed together.
    changing: Mutex<()>,
    started: SystemTime,
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
        let limits = &config.limits;
        let redirect = config.redirect.as_ref();
        let shared = Arc::new(Shared {
            directory: ArcSwap::default(),
            buffers: Buffers::new(limits.buffers, limits.buffer_wait),
            region: config.region.clone(),
            redirect: redirect.map(|redirect| Redirect { above: redirect.above, expires: redirect.expires }),
        });
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
        let stats = Arc::new(Stats::default());
        let endpoint = Arc::new(Endpoint::new(service, limits.clone(), tls, stats.clone()));
        Ok(Gateway(Arc::new(Inner {
            tenants,
            config,
            shared,
            stats,
            draining: AtomicBool::new(false),
            endpoint,
            certificate,
            changing: Mutex::default(),
            started: SystemTime::now(),
        })))
    }

    /// Makes the tenants of the configuration, and their front-end keys and virtual buckets, those of the gateway: all or none
    /// of them. Requests in flight finish as they began.
    ///
    /// # Errors
    /// [`Error::Sandbucket`] or [`Error::Config`], with file and line where they are known. The former state remains.
    pub async fn apply(&self, config: &TenantsConfig) -> Result<TenantChanges> {
        let Inner { tenants, shared, changing, started, stats, .. } = &*self.0;
        let _changing = changing.lock().await;
        config.check_sections(&["gateway"])?;
        let mut directory = Directory::default();
        for name in config.names() {
            let Some(table) = config.section::<TenantAccess>(name, "gateway")? else { continue };
            let tenant = Arc::new(Registered { tenants: tenants.clone(), name: name.to_owned() });
            directory.add(tenant, table, *started).map_err(|fault| Error::config(fault.to_string()))?;
        }
        let changes = tenants.apply(config).await?;
        shared.directory.store(Arc::new(directory));
        stats.retain(|name| tenants.get(name).is_some());
        Ok(changes)
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

    /// Listens on the configured addresses.
    ///
    /// # Errors
    /// [`Error::Io`] if an address cannot be listened on.
    pub async fn start(&self) -> Result<Running> {
        let (stop, stopped) = watch::channel(false);
        let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
        for address in &self.0.config.listen {
            let listener = TcpListener::bind(address).await.map_err(Error::io(format!("listening on {address}")))?;
            addresses.push(listener.local_addr().map_err(Error::io("listening"))?);
            listeners.push(listener);
        }
        let mut servers = JoinSet::new();
        for listener in listeners {
            servers.spawn(self.0.endpoint.clone().listen(listener, stopped.clone()));
        }
        Ok(Running { gateway: self.clone(), addresses, stop, servers })
    }
}

/// The servers of a gateway. Dropping it stops them at once; [`stop`](Running::stop) lets requests in flight finish.
#[derive(Debug)]
pub struct Running {
    gateway: Gateway,
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
}

impl Running {
    /// The addresses of the S3 endpoint.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Accepts no further connections, and lets requests in flight finish for the time `serve.limits.drain`. `/readyz` fails
    /// meanwhile.
    pub async fn stop(mut self) {
        self.gateway.0.draining.store(true, Relaxed);
        self.stop.send_replace(true);
        while self.servers.join_next().await.is_some() {}
    }
}
