//! Where the bucket is: the service's address, and whether the bucket is named in its host or in the path.

use std::net::IpAddr;

use crate::bucket;
use crate::encode;
use crate::error::{Fault, tidy};

/// Where a request names the bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressingStyle {
    /// In the host on AWS where the name allows it, in the path everywhere else.
    #[default]
    Auto,
    /// `https://host/bucket/key`
    Path,
    /// `https://bucket.host/key`
    Virtual,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether over TLS.
    pub https: bool,
    /// Host, with the bucket where it is named there, and port where it is not the scheme's own.
    pub authority: String,
    /// What the path begins with: empty, or segments each with a slash before it.
    pub base_path: String,
    /// The service's address for people, without the bucket.
    pub display: String,
}

impl Endpoint {
    /// Works out where `bucket` is. No endpoint is AWS's of the region. A bare host is meant with `https`.
    ///
    /// # Errors
    /// A fault of `endpoint`, `bucket`, `region` or `addressing-style`.
    pub fn resolve(
        endpoint: Option<&str>,
        region: &str,
        bucket: &str,
        style: AddressingStyle,
    ) -> Result<Endpoint, Fault> {
        let url = match endpoint {
            Some(text) => Url::parse(text)?,
            None => Url { https: true, host: aws_host(region)?, port: None, path: String::new() },
        };
        let aws = url.host.ends_with(".amazonaws.com") || url.host.ends_with(".amazonaws.com.cn");
        bucket::check(bucket, aws)?;
        let ip = url.host.starts_with('[') || url.host.parse::<IpAddr>().is_ok();
        let in_host = match style {
            AddressingStyle::Path => false,
            AddressingStyle::Auto => aws && bucket::is_dns_label(bucket),
            AddressingStyle::Virtual => {
                let why = if ip {
                    Some("an IP address takes no bucket before it")
                } else if url.https && !bucket::is_dns_label(bucket) {
                    Some("its certificate would not cover a bucket with this name before the host")
                } else if bucket.contains('_') || bucket.bytes().any(|b| b.is_ascii_uppercase()) {
                    Some("this bucket's name cannot be part of a host name")
                } else {
                    None
                };
                if let Some(why) = why {
                    return Err(Fault::new(
                        "addressing-style",
                        format!("addressing-style: virtual does not work here: {why}; use path"),
                    ));
                }
                true
            }
        };
        let port = url.port.map_or(String::new(), |port| format!(":{port}"));
        let scheme = if url.https { "https" } else { "http" };
        let display = format!("{scheme}://{}{port}{}", url.host, url.path);
        let (authority, base_path) = if in_host {
            (format!("{bucket}.{}{port}", url.host), url.path)
        } else {
            (format!("{}{port}", url.host), format!("{}/{bucket}", url.path))
        };
        Ok(Endpoint { https: url.https, authority, base_path, display })
    }

    /// The path of a key.
    pub fn object_path(&self, key: &str) -> String {
        let mut path = String::with_capacity(self.base_path.len() + key.len() + 16);
        path.push_str(&self.base_path);
        path.push('/');
        path.push_str(&encode::key_path(key));
        path
    }
}

/// AWS's host of this region. What no list has to name: a new region works on the day it opens.
fn aws_host(region: &str) -> Result<String, Fault> {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    if !bucket::is_dns_label(region) {
        return Err(Fault::new("region", format!("region: {:?} is no region of AWS", tidy(region, 80))));
    }
    Ok(format!("s3.{region}.amazonaws.com{suffix}"))
}

struct Url {
    https: bool,
    host: String,
    port: Option<u16>,
    path: String,
}

impl Url {
    fn parse(text: &str) -> Result<Url, Fault> {
        let wrong = |why: &str| {
            Fault::new(
                "endpoint",
                format!("endpoint: {why}; it takes a host, host:port, or an http:// or https:// URL"),
            )
        };
        // A name and password before the host are not repeated in the message.
        if text.contains('@') {
            return Err(wrong("a name and password do not belong in it (access-key and secret-key are for them)"));
        }
        let shown = format!("{:?}", tidy(text, 120));
        let (https, rest) = match text.split_once("://") {
            None => (true, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, _)) => return Err(wrong(&format!("the scheme {:?} is not known", tidy(scheme, 20)))),
        };
        if rest.contains(['?', '#']) {
            return Err(wrong(&format!("{shown} has a query or a fragment")));
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let path = path.trim_end_matches('/');
        if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/%".contains(&b)) {
            return Err(wrong(&format!("the path of {shown} has characters that do not belong in one")));
        }
        let (host, port) = split_port(authority).ok_or_else(|| wrong(&format!("{shown} has no host")))?;
        let port = match port {
            None => None,
            Some(port) => match port.parse::<u16>() {
                Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => Some(number),
                _ => return Err(wrong(&format!("{:?} is no port", tidy(port, 20)))),
            },
        };
        let host = host.to_ascii_lowercase();
        if !is_host(&host) {
            return Err(wrong(&format!("{shown} has no valid host")));
        }
        let own = if https { 443 } else { 80 };
        Ok(Url { https, host, port: port.filter(|port| *port != own), path: path.to_owned() })
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let end_of_host = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(end_of_host);
    let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
    (!host.is_empty()).then_some((host, port))
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    host.len() <= 253
        && host.trim_end_matches('.').split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: &str, bucket: &str, style: AddressingStyle) -> Result<(bool, String, String), Fault> {
        let endpoint = (!endpoint.is_empty()).then_some(endpoint);
        let found = Endpoint::resolve(endpoint, "eu-central-1", bucket, style)?;
        Ok((found.https, found.authority.clone(), found.object_path("k")))
    }

    fn is(https: bool, authority: &str, path: &str) -> Result<(bool, String, String), Fault> {
        Ok((https, authority.into(), path.into()))
    }

    #[test]
    fn each_form_of_address_is_understood() {
        use AddressingStyle::{Auto, Path, Virtual};
        for (endpoint, bucket, style, expected) in [
            ("", "demo", Auto, is(true, "demo.s3.eu-central-1.amazonaws.com", "/k")),
            ("", "a.b.c", Auto, is(true, "s3.eu-central-1.amazonaws.com", "/a.b.c/k")),
            ("", "demo", Path, is(true, "s3.eu-central-1.amazonaws.com", "/demo/k")),
            ("minio", "demo", Auto, is(true, "minio", "/demo/k")),
            ("minio:9000", "demo", Auto, is(true, "minio:9000", "/demo/k")),
            ("http://MinIO:80/", "demo", Auto, is(false, "minio", "/demo/k")),
            ("https://h:443", "demo", Auto, is(true, "h", "/demo/k")),
            ("HTTPS://h:8443/s3/", "Demo_1", Auto, is(true, "h:8443", "/s3/Demo_1/k")),
            ("https://h.example/s3", "demo", Virtual, is(true, "demo.h.example", "/s3/k")),
            ("http://[::1]:9000", "demo", Auto, is(false, "[::1]:9000", "/demo/k")),
            ("http://127.0.0.1:9000", "demo", Auto, is(false, "127.0.0.1:9000", "/demo/k")),
            ("s3.us-west-2.amazonaws.com", "demo", Auto, is(true, "demo.s3.us-west-2.amazonaws.com", "/k")),
            ("http://h", "a.b", Virtual, is(false, "a.b.h", "/k")),
        ] {
            assert_eq!(at(endpoint, bucket, style), expected, "{endpoint} {bucket}");
        }
        let china = Endpoint::resolve(None, "cn-north-1", "demo", Auto).unwrap();
        assert_eq!(china.authority, "demo.s3.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for endpoint in [
            "ftp://h",
            "http://",
            "https:///x",
            "http://h:0",
            "http://h:99999",
            "http://h:+1",
            "http://h:",
            "http://u:p@h",
            "http://h?x",
            "http://h#x",
            "http://h/a b",
            "h ost",
            "http://[::1",
            "http://[::g]",
            "a..b",
            "http://h\r\nx: y",
        ] {
            let fault = at(endpoint, "demo", AddressingStyle::Auto).unwrap_err();
            assert_eq!(fault.subject.as_deref(), Some("endpoint"), "{endpoint}");
        }
        let fault = at("http://me:hunter2@h", "demo", AddressingStyle::Auto).unwrap_err();
        assert!(!fault.message.contains("hunter2"));
    }

    #[test]
    fn a_bucket_that_cannot_be_in_the_host_is_refused_there() {
        for (endpoint, bucket) in
            [("http://127.0.0.1", "demo"), ("https://[::1]", "demo"), ("https://h", "a.b"), ("http://h", "A_b")]
        {
            let fault = at(endpoint, bucket, AddressingStyle::Virtual).unwrap_err();
            assert_eq!(fault.subject.as_deref(), Some("addressing-style"), "{endpoint} {bucket}");
        }
        assert_eq!(at("", "Demo", AddressingStyle::Auto).unwrap_err().subject.as_deref(), Some("bucket"));
        let fault = Endpoint::resolve(None, "a/b", "demo", AddressingStyle::Auto).unwrap_err();
        assert_eq!(fault.subject.as_deref(), Some("region"));
    }
}
