//! Where a bucket is: scheme, host and the path before a key.

mod aws;
pub(crate) mod ip;
mod url;

use crate::contract::error::{Error, Failure};
use crate::s3::bucket;
use crate::s3::encode;

use url::Url;

/// How a request names the bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressingStyle {
    /// In the host name on AWS, where the bucket's name can be one label of it; else in the path.
    #[default]
    Auto,
    /// In the path: `https://host/bucket/key`.
    Path,
    /// In the host name: `https://bucket.host/key`.
    Virtual,
}

/// Which of AWS's hosts to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AwsHosts {
    /// Those with IPv6 addresses too.
    pub dual_stack: bool,
    /// Those with FIPS 140 cryptography.
    pub fips: bool,
    /// S3 Transfer Acceleration.
    pub accelerate: bool,
}

impl AwsHosts {
    /// The name of the first that is wanted.
    fn first(self) -> Option<&'static str> {
        [(self.dual_stack, "dual-stack"), (self.fips, "fips"), (self.accelerate, "accelerate")]
            .into_iter()
            .find_map(|(wanted, name)| wanted.then_some(name))
    }
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Host, and port if it is not the scheme's default.
    pub authority: String,
    /// What comes before `/bucket` in a path, encoded.
    pub path: String,
}

/// Where a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether requests go over TLS.
    pub https: bool,
    /// The `host` header and what to connect to: the host, with the bucket before it where that is how it is addressed,
    /// and the port where it is not the scheme's own. In lower case.
    pub authority: String,
    /// What comes before `/key` in a path, encoded: empty, `/bucket`, `/prefix` or `/prefix/bucket`.
    pub base_path: String,
    /// Where the service itself is, for requests that name a bucket in the path. None of an access point.
    pub service: Option<Service>,
    /// Whether it is one of AWS's.
    pub aws: bool,
    /// The region that the bucket's name itself says, as an access point's ARN does.
    pub region: Option<String>,
    /// The service for people: as it was given, but in full and without the bucket.
    pub display: String,
}

impl Endpoint {
    /// Finds out where a bucket is.
    ///
    /// `endpoint` is a host, a host and port, or an `http` or `https` URL, which may have a path to put before all
    /// others; without a scheme it is `https`. None, or blank, is Amazon S3 in `region`, on the `hosts` wanted of it. The
    /// bucket may there be the ARN of an access point, whose own region then counts.
    ///
    /// # Errors
    /// A fault of `endpoint`, `region`, `bucket`, `addressing-style`, or what is wanted of AWS's hosts. What may be a
    /// password in an endpoint is not in its words.
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
        let Url { https, host, port, prefix } = match endpoint {
            Some(text) => url::parse(text)?,
            None => Url { https: true, host: aws::host(region, hosts)?, port: None, prefix: String::new() },
        };
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
                check_virtual(bucket, &host, https)?;
                true
            }
        };
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        let display = format!("{}://{host}{port}{prefix}", if https { "https" } else { "http" });
        // S3 Transfer Acceleration has hosts for objects only.
        let plain = if hosts.accelerate {
            aws::host(region, AwsHosts { accelerate: false, ..hosts })?
        } else {
            format!("{host}{port}")
        };
        let service = Some(Service { authority: plain, path: prefix.clone() });
        let authority = if in_host { format!("{bucket}.{host}{port}") } else { format!("{host}{port}") };
        let base_path = if in_host { prefix } else { format!("{prefix}/{bucket}") };
        Ok(Endpoint { https, authority, base_path, service, aws, region: None, display })
    }

    /// The path of a key, encoded as it is sent and signed; of the bucket itself where the key is empty.
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

/// Checks that the bucket can stand in the host name.
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
