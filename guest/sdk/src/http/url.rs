//! Parser of the setting `endpoint`: [`Url::parse`].

use std::fmt;

use crate::contract::error::{Error, Failure, tidy};

use super::ip;

/// The address of a service: scheme, host, port, and a path before all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether requests are sent over TLS.
    pub https: bool,
    /// Host name in lower case, IPv4 address, or IPv6 address in brackets.
    pub host: String,
    /// None for the scheme's default.
    pub port: Option<u16>,
    /// Empty, or a path with a leading and without a trailing slash.
    pub prefix: String,
}

/// Names of the settings that a user and a password belong into, as they are not part of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialSettings(pub &'static [&'static str]);

impl CredentialSettings {
    /// The plugin takes no credentials.
    pub const NONE: CredentialSettings = CredentialSettings(&[]);
}

impl Url {
    /// Parses a host, `host:port` (both https), or an `http` or `https` URL without query and fragment.
    ///
    /// # Errors
    /// A fault of `endpoint`. A user and a password in it are one, which names the settings that they belong into. The message never
    /// contains a possible password.
    pub fn parse(text: &str, credentials: CredentialSettings) -> Result<Url, Failure> {
        parse(text, credentials)
    }

    /// Host, and port if it is not the scheme's default: the authority of requests.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

fn parse(text: &str, credentials: CredentialSettings) -> Result<Url, Failure> {
    let (https, rest) = match text.find("://").map(|end| (&text[..end], &text[end + 3..])) {
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
        let CredentialSettings(settings) = credentials;
        let advice = match settings {
            [] => "this plugin takes none".to_owned(),
            settings => format!("give them as {}", settings.join(" and ")),
        };
        return Err(fault(format!("the endpoint must not have a user or a password in it: {advice}")));
    }
    let (host, port) = split_port(authority)?;
    let port = match port {
        None => None,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Some(port),
            _ => return Err(fault(format!("the endpoint's port \"{}\" is not from 1 to 65535", tidy(digits, 32)))),
        },
    };
    let port = port.filter(|&port| port != if https { 443 } else { 80 });
    Ok(Url { https, host: check_host(host)?, port, prefix: check_prefix(path)? })
}

/// Splits host and port. An IPv6 address contains colons and so has brackets.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), Failure> {
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

/// Validates the host and returns it in lower case.
fn check_host(host: &str) -> Result<String, Failure> {
    let shown = tidy(host, 80);
    if host.is_empty() {
        return Err(fault("the endpoint has no host in it"));
    }
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match ip::ipv6(address) {
            Some(address) => Ok(format!("[{address}]")),
            None => Err(fault(format!("the endpoint's host \"{shown}\" is no IPv6 address"))),
        };
    }
    if !host.is_ascii() {
        return Err(fault(format!("the endpoint's host \"{shown}\" must be in its ASCII spelling (xn--…)")));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(label) {
        return Err(fault(format!("the endpoint's host \"{shown}\" is no host name")));
    }
    let numeric = host.split('.').fold("", |_, label| label).bytes().all(|b| b.is_ascii_digit());
    if numeric && !ip::is_ipv4(host) {
        return Err(fault(format!("the endpoint's host \"{shown}\" is no IPv4 address")));
    }
    Ok(host.to_ascii_lowercase())
}

/// Validates the path, without trailing slashes: it has no characters to encode, and no segments that a proxy would normalize.
fn check_prefix(path: &str) -> Result<String, Failure> {
    let path = path.trim_end_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
    if path.is_empty() || path.split('/').skip(1).all(segment) {
        return Ok(path.to_owned());
    }
    Err(fault("the endpoint's path takes letters, digits and -._~ between single slashes, and no . or .. alone"))
}

fn fault(message: impl Into<String>) -> Failure {
    Error::fault("endpoint", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_an_endpoint_are_a_fault_that_names_their_settings() {
        let fault = |credentials| Url::parse("http://u:hidden@h/", credentials).unwrap_err();
        let named = fault(CredentialSettings(&["username", "password"]));
        assert!(named.message.ends_with("give them as username and password"), "{named}");
        let none = fault(CredentialSettings::NONE);
        assert!(none.message.ends_with("takes none") && !none.message.contains("hidden"), "{none}");
        assert_eq!(none.subject.as_deref(), Some("endpoint"));
    }
}
