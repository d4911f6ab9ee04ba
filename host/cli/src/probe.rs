//! A connection to a service without the sandbox: name, port, certificate. `check` tries it first, because a failed
//! connection says more if it is known how far it got.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sandbucket::Egress;
use tokio::net::TcpStream;
use url::Url;

use crate::context::setting;

/// Time limit of each step.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The destination of a store's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub https: bool,
    pub host: String,
    pub port: u16,
}

impl Target {
    /// The plugin's destination for these settings. The plugin rejects a malformed endpoint.
    pub fn of(settings: &[(String, String)]) -> Option<Target> {
        let setting = |name| setting(settings, name);
        let bucket = setting("bucket").or_else(|| setting("container"))?;
        let reachable: Vec<String> = Egress::from_settings(settings).ok()?.authorities().collect();
        // The bucket's own host is the second, if there is one.
        let service = reachable.first()?;
        let own = reachable.get(1).unwrap_or(service);
        // The bucket is in the host name if configured, and on AWS if possible.
        let is_aws = [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|domain| service.ends_with(domain));
        let by_bucket = match setting("addressing-style").unwrap_or("auto").to_ascii_lowercase().as_str() {
            "virtual" => true,
            "path" => false,
            _ => is_aws && !bucket.contains('.'),
        };
        let url = Url::parse(if by_bucket { own } else { service }).ok()?;
        // IPv6 addresses are bracketed here, and not in names.
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Target { https: url.scheme() == "https", host, port: url.port_or_known_default()? })
    }

    /// Whether the host is an address, which needs no lookup.
    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// Resolves the host's addresses.
    pub async fn look_up(&self) -> Result<Vec<SocketAddr>, String> {
        match tokio::time::timeout(TIMEOUT, tokio::net::lookup_host((self.host.as_str(), self.port))).await {
            Ok(Ok(addresses)) => {
                let addresses: Vec<SocketAddr> = addresses.collect();
                if addresses.is_empty() { Err(format!("{} has no address", self.host)) } else { Ok(addresses) }
            }
            Ok(Err(error)) => Err(format!("{} cannot be resolved: {error}", self.host)),
            Err(_) => Err(format!("no name server responds for {}", self.host)),
        }
    }

    /// Connects to the first address that accepts.
    pub async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, String> {
        let mut errors = Vec::new();
        for address in addresses {
            match tokio::time::timeout(TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => errors.push(format!("{address}: {error}")),
                Err(_) => errors.push(format!("{address}: no response in {} s", TIMEOUT.as_secs())),
            }
        }
        Err(errors.join("; "))
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
    fn probe_targets_the_endpoint_or_the_regions_host() {
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

    #[test]
    fn probe_targets_special_aws_hosts_if_configured() {
        let aws = |settings: &[(&str, &str)]| {
            let (https, host, port) = target(&[&[("region", "eu-west-1")], settings].concat()).unwrap();
            assert!(https && port == 443);
            host
        };
        let (bucket, on) = (("bucket", "b"), |name| (name, "true"));
        assert_eq!(aws(&[bucket, on("dual-stack")]), "b.s3.dualstack.eu-west-1.amazonaws.com");
        assert_eq!(aws(&[bucket, on("fips")]), "b.s3-fips.eu-west-1.amazonaws.com");
        assert_eq!(aws(&[bucket, on("accelerate")]), "b.s3-accelerate.amazonaws.com");
        assert_eq!(aws(&[bucket, ("addressing-style", "path")]), "s3.eu-west-1.amazonaws.com");
        let endpoint = ("endpoint", "https://s3.eu-west-1.amazonaws.com");
        assert_eq!(aws(&[bucket, endpoint]), "b.s3.eu-west-1.amazonaws.com");
        let access_point = ("bucket", "arn:aws:s3:us-west-2:123456789012:accesspoint/p");
        assert_eq!(aws(&[access_point]), "p-123456789012.s3-accesspoint.us-west-2.amazonaws.com");
    }
}
