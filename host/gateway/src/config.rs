//! The table `[serve]` of the configuration file.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sandbucket::quantity::{bytes, duration};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result};

/// Maximum size of a configuration file in bytes, as for the library's own tables.
const MAX_FILE: u64 = 1 << 20;

/// The table `[serve]`.
///
/// ```toml
/// [serve]
/// listen = ["0.0.0.0:9000"]
/// admin = "unix:/run/sandbucket/admin.sock"
/// health = "0.0.0.0:9090"
/// domains = ["s3.example.com"]
/// region = "us-east-1"
///
/// [serve.tls]
/// cert = "/etc/sandbucket/tls.crt"
/// key = "/etc/sandbucket/tls.key"
///
/// [serve.limits]
/// connections = 10000
/// header-timeout = "30s"
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ServeConfig {
    /// The addresses of the S3 endpoint. Default: `127.0.0.1:9000`.
    #[serde(deserialize_with = "one_or_more")]
    pub listen: Vec<SocketAddr>,
    /// The admin API: a Unix socket, or an address on loopback. Default: none.
    pub admin: Option<AdminAddress>,
    /// The address of `/healthz`, `/readyz` and `/metrics` alone, which the admin API has as well. Default: none.
    pub health: Option<SocketAddr>,
    /// Domains whose subdomains are buckets (virtual-hosted style). Path style always works. Default: none.
    pub domains: Vec<String>,
    /// The region that the gateway reports. Default: `us-east-1`.
    pub region: String,
    /// A directory with a file per tenant, in addition to the tenants of the configuration file. Default: none.
    pub tenants: Option<PathBuf>,
    /// TLS for the S3 endpoint. Default: none, plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Redirects of large reads to the tenant's service. Default: none.
    pub redirect: Option<RedirectConfig>,
    /// Limits.
    pub limits: ServeLimits,
}

impl Default for ServeConfig {
    fn default() -> Self {
        ServeConfig {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9000))],
            admin: None,
            health: None,
            domains: Vec::new(),
            region: "us-east-1".to_owned(),
            tenants: None,
            tls: None,
            redirect: None,
            limits: ServeLimits::default(),
        }
    }
}

/// The table `[serve.tls]`: PEM files, read again when they change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TlsConfig {
    /// The certificate chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The table `[serve.redirect]`. Clients reach the tenant's service directly then, and see its endpoint, bucket and access key
/// in the URL, though no secret.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RedirectConfig {
    /// Minimum length of a read that is redirected. Default: 64 MiB.
    #[serde(default = "default_redirect", deserialize_with = "bytes")]
    pub above: u64,
    /// Validity of the URL. Default: 5 minutes.
    #[serde(default = "default_expiry", deserialize_with = "duration")]
    pub expires: Duration,
}

fn default_redirect() -> u64 {
    64 << 20
}

fn default_expiry() -> Duration {
    Duration::from_secs(300)
}

/// The table `[serve.limits]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ServeLimits {
    /// Connections of the S3 endpoint at once; further ones wait in the system's queue. Default: 10,000.
    pub connections: usize,
    /// Time for the TLS handshake, and for the next request's header, idle time included. Default: 30 s.
    #[serde(deserialize_with = "duration")]
    pub header_timeout: Duration,
    /// Size of a request's line and header fields, in bytes: at least 8 KiB. Default: 64 KiB.
    #[serde(deserialize_with = "bytes")]
    pub header_size: u64,
    /// Time in which a client has to send or take 1 KiB of a body. Default: 30 s.
    #[serde(deserialize_with = "duration")]
    pub body_timeout: Duration,
    /// Requests of a tenant in flight; further ones are `SlowDown`. Default: 1,000.
    pub requests_per_tenant: u64,
    /// Memory for bodies that are gathered before they are sent, of all requests. Default: 1 GiB.
    #[serde(deserialize_with = "bytes")]
    pub buffers: u64,
    /// Memory for such bodies of one tenant, and so the size of a part that can be gathered. Default: 256 MiB.
    #[serde(deserialize_with = "bytes")]
    pub buffers_per_tenant: u64,
    /// Time that a request waits for memory. Default: 30 s.
    #[serde(deserialize_with = "duration")]
    pub buffer_wait: Duration,
    /// Time for requests in flight after the shutdown begins. Default: 30 s.
    #[serde(deserialize_with = "duration")]
    pub drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        ServeLimits {
            connections: 10_000,
            header_timeout: Duration::from_secs(30),
            header_size: 64 << 10,
            body_timeout: Duration::from_secs(30),
            requests_per_tenant: 1000,
            buffers: 1 << 30,
            buffers_per_tenant: 256 << 20,
            buffer_wait: Duration::from_secs(30),
            drain: Duration::from_secs(30),
        }
    }
}

/// The address of the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdminAddress {
    /// A Unix socket, which its owner alone may use: `unix:/run/sandbucket/admin.sock`.
    Unix(PathBuf),
    /// An address on loopback, which every user of the machine may use.
    Tcp(SocketAddr),
}

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(AdminAddress::Unix(PathBuf::from(path)));
        }
        let address: SocketAddr = text.parse().map_err(|_| {
            format!("\"{}\" is neither unix:PATH nor an address such as 127.0.0.1:9001", text.escape_debug())
        })?;
        if !address.ip().is_loopback() {
            return Err(format!("{address} is not on loopback: the admin API has no authentication"));
        }
        Ok(AdminAddress::Tcp(address))
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            AdminAddress::Tcp(address) => write!(f, "{address}"),
        }
    }
}

impl<'de> Deserialize<'de> for AdminAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl ServeConfig {
    /// Reads the table of a configuration file. Other tables are ignored; without the table, the defaults apply.
    ///
    /// # Errors
    /// [`Error::Config`] with file and line.
    pub fn load(path: impl AsRef<Path>) -> Result<ServeConfig> {
        let path = path.as_ref();
        let wrong = |message: String| Error::Config { path: Some(path.to_owned()), line: None, message };
        let metadata = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return Err(wrong(format!("it is no regular file of at most {MAX_FILE} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        ServeConfig::of(&text, Some(path))
    }

    /// Parses the table of a configuration.
    ///
    /// # Errors
    /// [`Error::Config`] with the line.
    pub fn parse(text: &str) -> Result<ServeConfig> {
        ServeConfig::of(text, None)
    }

    fn of(text: &str, path: Option<&Path>) -> Result<ServeConfig> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            serve: ServeConfig,
        }
        let wrong =
            |line: Option<usize>, message: String| Error::Config { path: path.map(Path::to_owned), line, message };
        // Not the error's own text: it quotes the line, which may contain a secret.
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            wrong(line, error.message().to_owned())
        })?;
        let config = file.serve;
        config.check().map_err(|message| wrong(None, message))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let limits = &self.limits;
        let times = [
            ("header-timeout", limits.header_timeout),
            ("body-timeout", limits.body_timeout),
            ("buffer-wait", limits.buffer_wait),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.is_zero()) {
            return Err(format!("serve.limits.{name} has to be above 0"));
        }
        if limits.connections == 0 || limits.requests_per_tenant == 0 {
            return Err("serve.limits.connections and requests-per-tenant have to be above 0".to_owned());
        }
        // One body that is uploaded in parts takes so much.
        if limits.buffers_per_tenant < 40 << 20 || limits.buffers < limits.buffers_per_tenant {
            return Err(
                "serve.limits.buffers-per-tenant is at least 40MiB, and at most serve.limits.buffers".to_owned()
            );
        }
        if !(8 << 10..=1 << 20).contains(&limits.header_size) {
            return Err("serve.limits.header-size is from 8KiB to 1MiB".to_owned());
        }
        if self.listen.is_empty() {
            return Err("serve.listen has no address".to_owned());
        }
        let week = Duration::from_secs(7 * 86_400);
        if self.redirect.as_ref().is_some_and(|redirect| redirect.expires.is_zero() || redirect.expires > week) {
            return Err("serve.redirect.expires is from 1s to 7 days".to_owned());
        }
        Ok(())
    }
}

/// One address, or a list.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(SocketAddr),
        More(Vec<SocketAddr>),
    }
    Ok(
        match OneOrMore::deserialize(deserializer)
            .map_err(|_| D::Error::custom("expected addresses such as \"0.0.0.0:9000\""))?
        {
            OneOrMore::One(address) => vec![address],
            OneOrMore::More(addresses) => addresses,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_read_and_others_are_ignored() {
        let config = ServeConfig::parse(
            r#"
            [store.blob.s3]
            bucket = "b"
            [serve]
            listen = "0.0.0.0:9000"
            admin = "unix:/run/s.sock"
            domains = ["s3.example.com"]
            [serve.limits]
            connections = 5
            header-timeout = "500ms"
            body-timeout = 3
            buffers = "512MiB"
            [serve.redirect]
            above = "1GiB"
            "#,
        )
        .unwrap();
        assert_eq!(config.listen, ["0.0.0.0:9000".parse().unwrap()]);
        assert_eq!(config.admin, Some(AdminAddress::Unix("/run/s.sock".into())));
        let limits = config.limits;
        assert_eq!((limits.connections, limits.buffers, limits.drain), (5, 512 << 20, Duration::from_secs(30)));
        assert_eq!(limits.header_timeout, Duration::from_millis(500));
        assert_eq!(limits.body_timeout, Duration::from_secs(3));
        let redirect = config.redirect.unwrap();
        assert_eq!((redirect.above, redirect.expires), (1 << 30, Duration::from_secs(300)));
        assert_eq!(ServeConfig::parse("").unwrap().listen, ServeConfig::default().listen);
    }

    #[test]
    fn faults_have_the_line_and_do_not_quote_it() {
        for (text, expected) in [
            ("\n[serve]\nlisten = 'nowhere'", "3"),
            ("[serve]\nadmin = '10.0.0.1:9'", "loopback"),
            ("[serve.limits]\nheader-timeout = '1 fortnight'", "duration"),
            ("[serve.limits]\nheader-timeout = 0", "header-timeout"),
            ("[serve.limits]\nheader-size = 1", "header-size"),
            ("[serve.limits]\nbuffers-per-tenant = '1MiB'", "buffers-per-tenant"),
            ("[serve.limits]\nbuffers = '100MiB'", "buffers-per-tenant"),
            ("[serve]\nlistens = []", "listens"),
            ("[serve]\nx = hunter2", "2"),
        ] {
            let error = ServeConfig::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
