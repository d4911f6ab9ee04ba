//! Endpoints: scheme, authority and base path of a bucket.

mod aws;

use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::http::url::{CredentialSettings, Url};
use sandbucket_plugin::http::{encode, ip};

use crate::bucket;

/// Where a request has the bucket's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressingStyle {
    /// In the host name on AWS if the bucket's name is a valid label, else in the path.
    #[default]
    Auto,
    /// In the path: `https://host/bucket/key`.
    Path,
    /// In the host name: `https://bucket.host/key`.
    Virtual,
}

/// Variants of AWS hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AwsHosts {
    /// Hosts with IPv4 and IPv6 addresses.
    pub dual_stack: bool,
    /// Hosts with FIPS 140 cryptography.
    pub fips: bool,
    /// S3 Transfer Acceleration.
    pub accelerate: bool,
}

impl AwsHosts {
    /// Setting of the first enabled variant.
    fn first(self) -> Option<&'static str> {
        [(self.dual_stack, "dual-stack"), (self.fips, "fips"), (self.accelerate, "accelerate")]
            .into_iter()
            .find_map(|(wanted, name)| wanted.then_some(name))
    }
}

/// Address of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Host, and port if it is not the scheme's default.
    pub authority: String,
    /// Encoded path before `/bucket`.
    pub path: String,
}

/// Address of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether requests are sent over TLS.
    pub https: bool,
    /// Host, and port if it is not the scheme's default, in lower case. Begins with the bucket in virtual-hosted style. Value of
    /// `host`, and the address to connect to.
    pub authority: String,
    /// Encoded path before `/key`: empty, `/bucket`, `/prefix` or `/prefix/bucket`.
    pub base_path: String,
    /// Address for requests with a bucket in the path. None for an access point.
    pub service: Option<Service>,
    /// Whether it is a host of AWS.
    pub aws: bool,
    /// Region in the ARN of an access point.
    pub region: Option<String>,
    /// URL of the service for messages, without the bucket.
    pub display: String,
}

impl Endpoint {
    /// Resolves the address of a bucket.
    ///
    /// `endpoint` is a host, a host and port, or an `http` or `https` URL, optionally with a path that precedes all others.
    /// The default scheme is `https`. None or blank means Amazon S3 in `region`, on `hosts`; `bucket` may then be the ARN of an
    /// access point, whose region takes precedence.
    ///
    /// # Errors
    /// A fault of `endpoint`, `region`, `bucket`, `addressing-style`, or a variant of AWS hosts. The message never contains a
    /// possible password in the endpoint.
    pub fn resolve(
        endpoint: Option<&str>,
        region: &str,
        bucket: &str,
        style: AddressingStyle,
        hosts: AwsHosts,
    ) -> Result<Endpoint, Failure> {
        let endpoint = endpoint.map(str::trim).filter(|text| !text.is_empty());
        bucket::check_kind(bucket)?;
        if endpoint.is_some()
            && let Some(name) = hosts.first()
        {
            let message = format!("{name} is for AWS's own hosts: leave the endpoint blank to have the right one");
            return Err(Error::fault(name, message));
        }
        if bucket.starts_with("arn:") {
            return aws::access_point(endpoint, bucket, style, hosts);
        }
        let url = match endpoint {
            Some(text) => Url::parse(text, CredentialSettings(&["access-key", "secret-key"]))?,
            None => Url { https: true, host: aws::host(region, hosts)?, port: None, prefix: String::new() },
        };
        let (https, host) = (url.https, &*url.host);
        let aws = host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
        if aws {
            bucket::check_aws(bucket)?;
            if host.starts_with(&format!("{bucket}.s3")) {
                let host = &host[bucket.len() + 1..];
                return Err(fault(format!(
                    "the endpoint has the bucket in it already: write \"{host}\", or leave it blank"
                )));
            }
        } else {
            bucket::check_custom(bucket)?;
        }
        let in_host = match style {
            _ if hosts.accelerate => {
                if style == AddressingStyle::Path || !bucket::is_dns_label(bucket) {
                    let why = "accelerate has the bucket in the host name: it goes with no addressing-style path, and \
                               with no bucket with a dot in its name";
                    return Err(Error::fault("accelerate", why));
                }
                true
            }
            AddressingStyle::Auto => aws && bucket::is_dns_label(bucket),
            AddressingStyle::Path => false,
            AddressingStyle::Virtual => {
                check_virtual(bucket, host, https)?;
                true
            }
        };
        let (authority, display) = (url.authority(), url.to_string());
        // S3 Transfer Acceleration has hosts for objects only.
        let plain = if hosts.accelerate {
            aws::host(region, AwsHosts { accelerate: false, ..hosts })?
        } else {
            authority.clone()
        };
        let prefix = url.prefix;
        let service = Some(Service { authority: plain, path: prefix.clone() });
        let authority = if in_host { format!("{bucket}.{authority}") } else { authority };
        let base_path = if in_host { prefix } else { format!("{prefix}/{bucket}") };
        Ok(Endpoint { https, authority, base_path, service, aws, region: None, display })
    }

    /// Encoded path of a key, or of the bucket if the key is empty.
    pub fn object_path(&self, key: &str) -> String {
        let mut path = String::with_capacity(self.base_path.len() + 1 + key.len());
        path.push_str(&self.base_path);
        if path.is_empty() || !key.is_empty() {
            path.push('/');
        }
        encode::push_key_path(&mut path, key);
        path
    }
}

/// Checks that the bucket is valid in the host name.
fn check_virtual(bucket: &str, host: &str, https: bool) -> Result<(), Failure> {
    let wrong = |why: &str| {
        let message = format!("with addressing-style virtual the bucket is part of the host name, but {why}; use path");
        Err(Error::fault("addressing-style", message))
    };
    if host.starts_with('[') || ip::is_ipv4(host) {
        return wrong("the endpoint is an IP address");
    }
    if https && bucket.contains('.') {
        return wrong("a certificate does not cover a bucket with a dot in its name");
    }
    if !bucket.split('.').all(bucket::is_dns_label) || bucket.len() + 1 + host.len() > 253 {
        return wrong("this bucket's name cannot be part of one");
    }
    Ok(())
}

fn fault(message: impl Into<String>) -> Failure {
    Error::fault("endpoint", message)
}

#[cfg(test)]
mod tests;
