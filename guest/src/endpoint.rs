//! Where a bucket is: scheme, host and the path before a key.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::bucket;
use crate::encode;
use crate::error::{Fault, tidy};

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
    /// The service for people: as it was given, but in full and without the bucket.
    pub display: String,
}

impl Endpoint {
    /// Finds out where a bucket is.
    ///
    /// `endpoint` is a host, a host and port, or an `http` or `https` URL, which may have a path to put before all
    /// others; without a scheme it is `https`. None, or blank, is Amazon S3 in `region`.
    ///
    /// # Errors
    /// A fault of `endpoint`, `region`, `bucket` or `addressing-style`. What may be a password in an endpoint is not in
    /// its words.
    pub fn resolve(
        endpoint: Option<&str>,
        region: &str,
        bucket: &str,
        style: AddressingStyle,
    ) -> Result<Endpoint, Fault> {
        let Base { https, host, port, prefix } = match endpoint.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => parse(text)?,
            None => Base { https: true, host: aws_host(region)?, port: None, prefix: String::new() },
        };
        let aws = host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
        if aws {
            bucket::check_aws(bucket)?;
            if host.starts_with(&format!("{bucket}.s3")) {
                let host = &host[bucket.len() + 1..];
                return Err(fault(format!(
                    "the endpoint has the bucket in it already: write {host:?}, or leave it blank"
                )));
            }
        } else {
            bucket::check_custom(bucket)?;
        }
        let in_host = match style {
            AddressingStyle::Auto => aws && bucket::is_dns_label(bucket),
            AddressingStyle::Path => false,
            AddressingStyle::Virtual => {
                check_virtual(bucket, &host, https)?;
                true
            }
        };
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        let display = format!("{}://{host}{port}{prefix}", if https { "https" } else { "http" });
        let authority = if in_host { format!("{bucket}.{host}{port}") } else { format!("{host}{port}") };
        let base_path = if in_host { prefix } else { format!("{prefix}/{bucket}") };
        Ok(Endpoint { https, authority, base_path, display })
    }

    /// The path of a key, encoded as it is sent and signed.
    pub fn object_path(&self, key: &str) -> String {
        let mut path = String::with_capacity(self.base_path.len() + 1 + key.len());
        path.push_str(&self.base_path);
        path.push('/');
        encode::push_key_path(&mut path, key);
        path
    }
}

/// What an endpoint says.
struct Base {
    https: bool,
    host: String,
    /// None is the scheme's own.
    port: Option<u16>,
    /// Empty, or a slash and what follows, without a slash at the end.
    prefix: String,
}

fn parse(text: &str) -> Result<Base, Fault> {
    let (https, rest) = match text.split_once("://") {
        None => (true, text),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        Some(_) => return Err(fault("the endpoint must be a host, host:port, or an http:// or https:// URL")),
    };
    if rest.contains(['?', '#']) {
        return Err(fault("the endpoint must not have a query or a fragment (? or #)"));
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(fault(
            "the endpoint must not have a user or a password in it: give them as access-key and secret-key",
        ));
    }
    let (host, port) = split_port(authority)?;
    let port = match port {
        None => None,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Some(port),
            _ => return Err(fault(format!("the endpoint's port {:?} is not from 1 to 65535", tidy(digits, 32)))),
        },
    };
    let port = port.filter(|&port| port != if https { 443 } else { 80 });
    Ok(Base { https, host: check_host(host)?, port, prefix: check_prefix(path)? })
}

/// Takes the port off, minding that an IPv6 address has colons of its own.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), Fault> {
    if authority.starts_with('[') {
        return match authority.split_once(']') {
            Some((_, "")) => Ok((authority, None)),
            Some((host, port)) if port.starts_with(':') => Ok((&authority[..host.len() + 1], Some(&port[1..]))),
            _ => Err(fault("the endpoint's IPv6 address is written [address] or [address]:port")),
        };
    }
    match authority.split_once(':') {
        None => Ok((authority, None)),
        Some((_, port)) if port.contains(':') => {
            Err(fault("the endpoint has too many colons; an IPv6 address is written [address] or [address]:port"))
        }
        Some((host, port)) => Ok((host, Some(port))),
    }
}

/// The host in lower case, if it can be one.
fn check_host(host: &str) -> Result<String, Fault> {
    let shown = tidy(host, 80);
    if host.is_empty() {
        return Err(fault("the endpoint has no host in it"));
    }
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match address.parse::<Ipv6Addr>() {
            Ok(address) => Ok(format!("[{address}]")),
            Err(_) => Err(fault(format!("the endpoint's host {shown:?} is no IPv6 address"))),
        };
    }
    if !host.is_ascii() {
        return Err(fault(format!("the endpoint's host {shown:?} must be in its ASCII spelling (xn--…)")));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(label) {
        return Err(fault(format!("the endpoint's host {shown:?} is no host name")));
    }
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if numeric && !is_ip(host) {
        return Err(fault(format!("the endpoint's host {shown:?} is no IPv4 address")));
    }
    Ok(host.to_ascii_lowercase())
}

/// The path before all others, without slashes at its end. It takes nothing that would need encoding, and nothing that a
/// proxy would tidy away.
fn check_prefix(path: &str) -> Result<String, Fault> {
    let path = path.trim_end_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
    if path.is_empty() || path.split('/').skip(1).all(segment) {
        return Ok(path.to_owned());
    }
    Err(fault("the endpoint's path takes letters, digits and -._~ between single slashes, and no . or .. alone"))
}

/// The host of Amazon S3 in this region.
fn aws_host(region: &str) -> Result<String, Fault> {
    let wrong = |why: &str| {
        let message = format!(
            "the region {:?} {why}; with no endpoint given the store is Amazon S3: set the endpoint if it is another service",
            tidy(region, 64)
        );
        Err(Fault::new("region", message))
    };
    if !bucket::is_dns_label(region) || !region.contains('-') || !region.ends_with(|c: char| c.is_ascii_digit()) {
        return wrong("is not spelled as AWS spells them, such as eu-central-1");
    }
    if region.starts_with("cn-") {
        return Ok(format!("s3.{region}.amazonaws.com.cn"));
    }
    if region.starts_with("eusc-") || region.contains("-iso") {
        return wrong("is in a partition of AWS whose hosts must be given as the endpoint");
    }
    Ok(format!("s3.{region}.amazonaws.com"))
}

/// Checks that the bucket can stand in the host name.
fn check_virtual(bucket: &str, host: &str, https: bool) -> Result<(), Fault> {
    let wrong = |why: &str| {
        let message = format!("with addressing-style virtual the bucket is part of the host name, but {why}; use path");
        Err(Fault::new("addressing-style", message))
    };
    if host.starts_with('[') || is_ip(host) {
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

fn is_ip(host: &str) -> bool {
    host.parse::<Ipv4Addr>().is_ok()
}

fn fault(message: impl Into<String>) -> Fault {
    Fault::new("endpoint", message)
}

#[cfg(test)]
mod tests;
