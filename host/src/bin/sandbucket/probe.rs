//! The way to a service without the sandbox: its name, its port, its certificate. What `check` tries first, since a
//! connection that fails says more when it is known how far it got.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use url::Url;

/// As long as anybody wants to wait for an answer to "is it there?".
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Where a store's requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub https: bool,
    pub host: String,
    pub port: u16,
}

impl Target {
    /// As the plugin derives it from the settings. An endpoint that makes no sense is the plugin's to refuse.
    pub fn of(settings: &[(String, String)]) -> Option<Target> {
        let setting = |name: &str| {
            let value = settings.iter().find(|(n, _)| n == name).map(|(_, value)| value.trim());
            value.filter(|value| !value.is_empty())
        };
        let bucket = setting("bucket")?;
        let style = setting("addressing-style").unwrap_or("auto");
        let (url, by_bucket) = match setting("endpoint") {
            Some(endpoint) => {
                let url = if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") };
                (url, style == "virtual")
            }
            None => {
                let region = setting("region").unwrap_or("us-east-1");
                let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                let by_bucket = style == "virtual" || (style == "auto" && !bucket.contains('.'));
                (format!("https://s3.{region}.{domain}"), by_bucket)
            }
        };
        let url = Url::parse(&url).ok()?;
        // An IPv6 address is in brackets here, and is not in names.
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        let host = if by_bucket { format!("{bucket}.{host}") } else { host.to_owned() };
        Some(Target { https: url.scheme() == "https", host, port: url.port_or_known_default()? })
    }

    /// Whether the host is an address, so that there is no name to look up.
    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// The host's addresses.
    pub async fn look_up(&self) -> Result<Vec<SocketAddr>, String> {
        match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((self.host.as_str(), self.port))).await {
            Ok(Ok(addresses)) => {
                let addresses: Vec<SocketAddr> = addresses.collect();
                if addresses.is_empty() { Err(format!("{} has no address", self.host)) } else { Ok(addresses) }
            }
            Ok(Err(error)) => Err(format!("{} cannot be resolved: {error}", self.host)),
            Err(_) => Err(format!("no name server answers about {}", self.host)),
        }
    }

    /// A connection to the first address that takes one.
    pub async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, String> {
        let mut refusals = Vec::new();
        for address in addresses {
            match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => refusals.push(format!("{address}: {error}")),
                Err(_) => refusals.push(format!("{address}: no answer in {} s", PATIENCE.as_secs())),
            }
        }
        Err(refusals.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(settings: &[(&str, &str)]) -> Option<(bool, String, u16)> {
        let settings: Vec<_> = settings.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        Target::of(&settings).map(|t| (t.https, t.host, t.port))
    }

    #[test]
    fn the_endpoint_or_the_region_says_where_to_go() {
        let some = |https: bool, host: &str, port: u16| Some((https, host.to_owned(), port));
        assert_eq!(target(&[("bucket", "b"), ("endpoint", "http://127.0.0.1:9000")]), some(false, "127.0.0.1", 9000));
        assert_eq!(target(&[("bucket", "b"), ("endpoint", "minio:9000")]), some(true, "minio", 9000));
        assert_eq!(target(&[("bucket", "b"), ("endpoint", "https://[::1]/")]), some(true, "::1", 443));
        assert_eq!(
            target(&[("bucket", "b"), ("endpoint", "https://s3.example"), ("addressing-style", "virtual")]),
            some(true, "b.s3.example", 443)
        );
        assert_eq!(target(&[("bucket", "b")]), some(true, "b.s3.us-east-1.amazonaws.com", 443));
        assert_eq!(
            target(&[("bucket", "b.c"), ("region", "cn-north-1")]),
            some(true, "s3.cn-north-1.amazonaws.com.cn", 443)
        );
        assert_eq!(target(&[("bucket", "b"), ("endpoint", " ")]), some(true, "b.s3.us-east-1.amazonaws.com", 443));
        assert_eq!(target(&[("endpoint", "minio")]), None);
    }
}
