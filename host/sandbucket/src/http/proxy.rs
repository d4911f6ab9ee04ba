//! Proxies: which one a store's requests go through, by its options, the engine's or the environment.

use std::fmt;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

use super::ip_policy::Addresses;
use crate::error::{Error, Result};
use crate::support::environment::Environment;

/// How a store's requests go out: directly, or through an HTTP proxy.
///
/// Endpoints are reached through a tunnel that the proxy opens (`CONNECT`). TLS in it is the store's own: of HTTPS endpoints the
/// proxy sees host and port, and no more. Many proxies open no tunnels to plain HTTP endpoints: where one is refused, such
/// requests are sent to the proxy, which forwards them. The proxy itself is connected to over HTTP, or over TLS if its URL is
/// `https://…`, under the store's [`TlsOptions`](crate::TlsOptions). SOCKS proxies are not supported.
///
/// # Egress
/// A proxy resolves names and connects to the endpoint in the host's place. [`Egress`](crate::Egress) still bounds to which host
/// and port requests go, and refuses endpoints that are addresses, or names of the local network (such as `localhost` or
/// `minio.internal`), which the store may not reach. **Which addresses other names lead to is the proxy's to check**: where
/// tenants choose endpoints, the proxy must itself refuse private addresses and metadata services, or stores must not use it
/// ([`Proxy::none`]).
///
/// The address of the proxy is held against the store's policy too, unless [`allow_private`](Proxy::allow_private) says that
/// the operator chose it, as it does for those of the environment and of [`EngineBuilder::proxy`](crate::EngineBuilder::proxy).
///
/// ```
/// # fn example() -> sandbucket::Result<()> {
/// use sandbucket::{Proxy, StoreOptions};
///
/// let proxy = Proxy::url("http://user:password@proxy.example.com:3128")?;
/// let options = StoreOptions::new().setting("bucket", "photos").proxy(proxy);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    choice: Choice,
    no_proxy: String,
    allow_private: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Choice {
    None,
    Environment,
    Server(Arc<ProxyServer>),
}

impl Proxy {
    /// None: requests go straight to the endpoint, whatever the environment says.
    pub fn none() -> Proxy {
        Proxy { choice: Choice::None, no_proxy: String::new(), allow_private: false }
    }

    /// What the environment said when the engine was built, which is an engine's default.
    ///
    /// `https_proxy` or `HTTPS_PROXY` is for HTTPS endpoints, `http_proxy` or `HTTP_PROXY` for plain ones, and `all_proxy` or
    /// `ALL_PROXY` for those that have none; the first that is set counts. `HTTP_PROXY` does not where `REQUEST_METHOD` is set,
    /// as then it may be a header of a CGI request. Endpoints in `no_proxy` or `NO_PROXY` are reached directly: see
    /// [`no_proxy`](Proxy::no_proxy).
    pub fn environment() -> Proxy {
        Proxy { choice: Choice::Environment, ..Proxy::none() }
    }

    /// The proxy at this URL: `http://HOST:PORT` or `https://HOST:PORT`, with `USER:PASSWORD@` before the host if it asks for
    /// them, percent-encoded. Without a scheme it is `http`, without a port the scheme's own. `NO_PROXY` does not count.
    ///
    /// # Errors
    /// [`Error::Config`] where it is none of these. No error shows the URL.
    pub fn url(url: &str) -> Result<Proxy> {
        let server = ProxyServer::parse(url).map_err(|message| wrong("proxy", message))?;
        Ok(Proxy { choice: Choice::Server(Arc::new(server)), ..Proxy::none() })
    }

    /// As the setting `proxy` has it: a URL, or `none`.
    pub(crate) fn from_setting(text: &str) -> std::result::Result<Proxy, String> {
        if text.trim().eq_ignore_ascii_case("none") {
            return Ok(Proxy::none());
        }
        let server = ProxyServer::parse(text)?;
        Ok(Proxy { choice: Choice::Server(Arc::new(server)), ..Proxy::none() })
    }

    /// Endpoints that are reached directly, besides those that the environment excepts where this is [`Proxy::environment`].
    /// Default: none.
    ///
    /// Entries are separated by commas or spaces: a domain (`example.com` and `.example.com` both mean it and all below it), an
    /// address, a network (`10.0.0.0/8`), each also with a port (`example.com:9000`), or `*` for all.
    pub fn no_proxy(mut self, list: impl Into<String>) -> Proxy {
        self.no_proxy = list.into();
        self
    }

    /// Lets the proxy be at a private or loopback address, whatever the store's egress policy says of its endpoint. Not for a
    /// proxy that a tenant may name.
    pub fn allow_private(mut self) -> Proxy {
        self.allow_private = true;
        self
    }

    /// Whether any URL may be reached through a proxy.
    pub(super) fn is_any(&self, environment: &ProxyEnvironment) -> bool {
        match self.choice {
            Choice::None => false,
            Choice::Environment => environment.is_any(),
            Choice::Server(_) => true,
        }
    }

    /// The proxy for this URL; none where it is reached directly.
    pub(super) fn server(&self, environment: &ProxyEnvironment, to: &Uri) -> Result<Option<Arc<ProxyServer>>> {
        if is_excepted(&self.no_proxy, to) {
            return Ok(None);
        }
        let (found, allow_private) = match &self.choice {
            Choice::None => (None, false),
            Choice::Environment => (environment.server(to)?, true),
            Choice::Server(server) => (Some(server.clone()), self.allow_private),
        };
        Ok(found.map(|server| if allow_private { Arc::new(server.trusted()) } else { server }))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.choice {
            Choice::None => f.write_str("Proxy(none)"),
            Choice::Environment => f.write_str("Proxy(environment)"),
            Choice::Server(server) => write!(f, "Proxy({server})"),
        }
    }
}

/// A proxy. What it shows of itself is without user and password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct ProxyServer {
    pub(super) https: bool,
    /// A name, or an address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `proxy-authorization`. It is wiped when the last copy is dropped.
    pub(super) authorization: Option<HeaderValue>,
    trusted: bool,
}

impl ProxyServer {
    /// Fails with what is wrong with the URL, in words that hold nothing of it but its scheme.
    fn parse(text: &str) -> std::result::Result<ProxyServer, String> {
        const EXPECTED: &str = "expected http://HOST:PORT or https://HOST:PORT, with USER:PASSWORD@ before the host if the \
                                proxy asks for them, percent-encoded";
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "http" | "https" => {}
            "socks4" | "socks4a" | "socks5" | "socks5h" => {
                return Err(format!("SOCKS proxies ({scheme}) are not supported; {EXPECTED}"));
            }
            _ => return Err(format!("this is no URL of a proxy; {EXPECTED}")),
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let url =
            Url::parse(&format!("{scheme}://{host}/")).map_err(|_| format!("this is no URL of a proxy; {EXPECTED}"))?;
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().filter(|port| *port > 0);
        let port = port.ok_or_else(|| format!("a proxy cannot be at port 0; {EXPECTED}"))?;
        let authorization = user.map(basic);
        Ok(ProxyServer { https: scheme == "https", host, port, authorization, trusted: false })
    }

    /// The same, chosen by the operator: it may be at a private address.
    fn trusted(&self) -> ProxyServer {
        ProxyServer { trusted: true, ..self.clone() }
    }

    /// To which addresses it may lead for a store with this policy.
    pub(super) fn addresses(&self, policy: Addresses) -> Addresses {
        if self.trusted { Addresses::Private } else { policy }
    }
}

impl fmt::Display for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        let ProxyServer { host, port, .. } = self;
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

impl fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value of `proxy-authorization` (RFC 7617) for `USER:PASSWORD`, percent-encoded.
fn basic(userinfo: &str) -> HeaderValue {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    // Of the size that it needs at most, so that no copy stays where it grew out of.
    let mut plain = Zeroizing::new(Vec::with_capacity(userinfo.len() + 1));
    plain.extend(percent_decode_str(user));
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    let encoded = Zeroizing::new(Base64::encode_string(&plain));
    let mut value = Zeroizing::new(String::with_capacity("Basic ".len() + encoded.len()));
    value.push_str("Basic ");
    value.push_str(&encoded);
    // Base64 is always a header's value.
    let value = HeaderValue::from_maybe_shared(Bytes::from_owner(value));
    let mut value = value.unwrap_or_else(|_| HeaderValue::from_static("Basic Og=="));
    value.set_sensitive(true);
    value
}

/// The variables of the environment that name proxies, as they were when the engine was built.
///
/// What is wrong with one is an error of the stores that it is for, and of no others.
pub(super) struct ProxyEnvironment {
    http: Option<Variable>,
    https: Option<Variable>,
    all: Option<Variable>,
    no_proxy: std::result::Result<String, (&'static str, String)>,
}

/// A variable's name, and the proxy in it or what is wrong with it.
struct Variable {
    name: &'static str,
    server: std::result::Result<Arc<ProxyServer>, String>,
}

impl ProxyEnvironment {
    pub(super) fn read(environment: &Environment) -> ProxyEnvironment {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|&name| match environment.variable(name) {
                Ok(value) => value.filter(|value| !value.trim().is_empty()).map(|value| (name, Ok(value))),
                Err(message) => Some((name, Err(message))),
            })
        };
        let proxy = |names: &[&'static str]| {
            first(names).map(|(name, value)| {
                let server = value.and_then(|value| ProxyServer::parse(&value)).map(Arc::new);
                Variable { name, server }
            })
        };
        // A web server hands a request's header `Proxy` to a CGI program in this variable.
        let is_cgi = !matches!(environment.variable("REQUEST_METHOD"), Ok(None));
        let http: &[_] = if is_cgi { &["http_proxy"] } else { &["http_proxy", "HTTP_PROXY"] };
        let no_proxy = match first(&["no_proxy", "NO_PROXY"]) {
            None => Ok(String::new()),
            Some((_, Ok(list))) => Ok(list.to_string()),
            Some((name, Err(message))) => Err((name, message)),
        };
        let (https, all) = (proxy(&["https_proxy", "HTTPS_PROXY"]), proxy(&["all_proxy", "ALL_PROXY"]));
        ProxyEnvironment { http: proxy(http), https, all, no_proxy }
    }

    fn is_any(&self) -> bool {
        self.http.is_some() || self.https.is_some() || self.all.is_some()
    }

    fn server(&self, to: &Uri) -> Result<Option<Arc<ProxyServer>>> {
        let own = if to.scheme_str() == Some("https") { &self.https } else { &self.http };
        let Some(Variable { name, server }) = own.as_ref().or(self.all.as_ref()) else { return Ok(None) };
        match &self.no_proxy {
            Ok(list) if is_excepted(list, to) => return Ok(None),
            Ok(_) => {}
            Err((name, message)) => return Err(wrong(name, message.clone())),
        }
        server.clone().map(Some).map_err(|message| wrong(name, message))
    }
}

fn wrong(key: &str, message: String) -> Error {
    Error::Config { path: None, line: None, key: Some(key.to_owned()), message }
}

/// Whether a list such as that of `NO_PROXY` has the URL's host in it.
fn is_excepted(list: &str, to: &Uri) -> bool {
    // Most stores have none, and matching costs 3 µs of opening one.
    if list.trim().is_empty() {
        return false;
    }
    let https = to.scheme_str() == Some("https");
    let port = to.port_u16().unwrap_or(if https { 443 } else { 80 });
    let mut entries = String::new();
    for entry in list.split(|c: char| c == ',' || c.is_whitespace()) {
        let (host, its_port) = split_port(entry);
        if its_port.is_some_and(|its| its != port) {
            continue;
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        match host.strip_prefix('*') {
            Some("") => return true,
            Some(below) if below.starts_with('.') => entries.push_str(below),
            _ => entries.push_str(host),
        }
        entries.push(',');
    }
    let host = to.host().unwrap_or_default().trim_end_matches('.');
    let Ok(host) = Uri::builder().scheme("http").authority(host).path_and_query("/").build() else { return false };
    let matcher = Matcher::builder().all("http://proxy").no(entries).build();
    matcher.intercept(&host).is_none()
}

/// An entry's host, and its port where it has one. The colons of an IPv6 address without brackets are its own.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((host, port)) = entry.rsplit_once(':')
        && (host.ends_with(']') || !host.contains(':'))
        && let Ok(port) = port.parse()
    {
        return (host, Some(port));
    }
    (entry, None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_proxy_nothing_is_looked_up() {
        let read = |variables: &[(&str, &str)]| ProxyEnvironment::read(&Environment::of(variables));
        let proxy = Proxy::url("http://proxy.example.com:3128").unwrap();
        for variables in [&[][..], &[("NO_PROXY", "example.com")], &[("HTTP_PROXY", " ")]] {
            let environment = read(variables);
            assert!(!Proxy::environment().is_any(&environment) && proxy.is_any(&environment), "{variables:?}");
        }
        for name in ["http_proxy", "HTTPS_PROXY", "all_proxy"] {
            // A malformed one is an error of the stores that would use it, and is looked up as well.
            for value in ["http://proxy.example.com:3128", "socks5://proxy.example.com"] {
                let environment = read(&[(name, value)]);
                assert!(
                    Proxy::environment().is_any(&environment) && !Proxy::none().is_any(&environment),
                    "{name} {value}"
                );
            }
        }
    }

    fn through(variables: &[(&str, &str)], to: &str) -> Option<String> {
        let environment = ProxyEnvironment::read(&Environment::of(variables));
        let server = Proxy::environment().server(&environment, &to.parse().unwrap());
        server.unwrap().map(|server| server.to_string())
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_proxy_is_for_the_rest() {
        let all = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "p:2"), ("ALL_PROXY", "https://a")];
        assert_eq!(through(&all, "https://s3.test/k").unwrap(), "http://s:1");
        assert_eq!(through(&all, "http://s3.test/k").unwrap(), "http://p:2");
        assert_eq!(through(&all[2..], "http://s3.test/k").unwrap(), "https://a:443");
        assert_eq!(through(&all[..1], "http://s3.test/k"), None);
        // The first that is set to something.
        let both = [("https_proxy", "http://lower:1"), ("HTTPS_PROXY", "http://upper:1")];
        assert_eq!(through(&both, "https://s3.test").unwrap(), "http://lower:1");
        assert_eq!(through(&[("https_proxy", " "), both[1]], "https://s3.test").unwrap(), "http://upper:1");
        assert_eq!(through(&[("https_proxy", "")], "https://s3.test"), None);
    }

    #[test]
    fn http_proxy_in_capitals_is_ignored_in_a_cgi_program() {
        let upper = [("HTTP_PROXY", "http://evil:1"), ("REQUEST_METHOD", "GET")];
        assert_eq!(through(&upper, "http://s3.test"), None);
        assert_eq!(
            through(&[("http_proxy", "http://p:1"), upper[0], upper[1]], "http://s3.test").unwrap(),
            "http://p:1"
        );
    }

    #[test]
    fn no_proxy_takes_domains_addresses_networks_ports_and_all() {
        for (list, excepted, others) in [
            (
                "example.com",
                "https://example.com,https://s3.Example.com,http://a.b.example.com:9000",
                "https://notexample.com",
            ),
            (".example.com", "https://example.com,https://s3.example.com", "https://notexample.com"),
            ("*.example.com", "https://s3.example.com", "https://notexample.com"),
            ("example.com.", "https://s3.example.com,https://s3.example.com.", "https://example.org"),
            ("a, b  c.test", "http://a,http://b,http://c.test", "http://d"),
            ("example.com:9000", "http://s3.example.com:9000", "http://s3.example.com,http://s3.example.com:9001"),
            ("example.com:443", "https://example.com", "http://example.com"),
            ("10.0.0.0/8,192.0.2.7", "http://10.1.2.3:9000,https://192.0.2.7", "http://11.1.2.3,https://192.0.2.8"),
            ("127.0.0.1:9000", "http://127.0.0.1:9000", "http://127.0.0.1:9001"),
            ("::1,fd00::/8", "http://[::1]:9000,http://[fd00::5]", "http://[fe00::1]"),
            ("[::1]:9000", "http://[::1]:9000", "http://[::1]:9001"),
            ("*", "http://a,https://10.0.0.1,http://[::1]", ""),
            (",, ,", "", "http://a,https://10.0.0.1"),
        ] {
            let variables = [("ALL_PROXY", "http://p:1"), ("NO_PROXY", list)];
            for url in excepted.split(',').filter(|url| !url.is_empty()) {
                assert_eq!(through(&variables, url), None, "{list}: {url}");
            }
            for url in others.split(',').filter(|url| !url.is_empty()) {
                assert!(through(&variables, url).is_some(), "{list}: {url}");
            }
        }
    }

    #[test]
    fn settings_are_urls_or_none_and_errors_show_no_secret() {
        let environment = ProxyEnvironment::read(&Environment::of(&[("ALL_PROXY", "http://p:1"), ("NO_PROXY", "*")]));
        let server = |proxy: &Proxy| proxy.server(&environment, &"https://s3.test".parse().unwrap()).unwrap();
        assert_eq!(server(&Proxy::from_setting(" None ").unwrap()), None);
        let ours = Proxy::from_setting("HTTP://user:p%40ss:w@[::1]:3128/").unwrap();
        assert_eq!(server(&ours).unwrap().to_string(), "http://[::1]:3128");
        assert_eq!(server(&ours.clone().no_proxy("s3.test")), None);
        // "user:p@ss:w"
        assert_eq!(server(&ours).unwrap().authorization.as_ref().unwrap(), "Basic dXNlcjpwQHNzOnc=");
        assert_eq!(format!("{ours:?} {:?}", server(&ours)), "Proxy(http://[::1]:3128) Some(http://[::1]:3128)");
        for bad in [
            "socks5://user:hush@p:1",
            "ftp://user:hush@p",
            "http://",
            "http://user:hush@",
            "http://user:hu/sh@p:1",
            "http://user:hush@p:99999",
            "http://user:hush@p:0",
            "http://user:hush@a b",
            "://user:hush@p",
            "@",
            ":",
        ] {
            let message = Proxy::from_setting(bad).unwrap_err();
            assert!(!message.contains("hush") && message.contains("http://HOST:PORT"), "{bad}: {message}");
            assert!(Proxy::url(bad).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_proxy_or_an_error_that_shows_no_password(text in ".{0,60}", list in "[a-z0-9.:,*/\\[\\] -]{0,40}") {
            let _ = Proxy::from_setting(&text);
            if let Err(message) = Proxy::from_setting(&format!("http://user:hush-hush{text}@host")) {
                prop_assert!(!message.contains("hush-hush"), "{}", message);
            }
            for to in ["https://s3.a.test", "http://a", "http://127.0.0.1:9000", "http://[::1]:9000/k"] {
                let excepted = is_excepted(&list, &to.parse().unwrap());
                prop_assert!(!excepted || !list.trim().is_empty());
            }
        }
    }

    #[test]
    fn variable_that_is_no_proxy_is_an_error_of_the_stores_that_it_is_for() {
        let variables = [("HTTPS_PROXY", "socks5://u:hush@p:1"), ("NO_PROXY", "direct.test")];
        let environment = ProxyEnvironment::read(&Environment::of(&variables));
        let server = |to: &str| Proxy::environment().server(&environment, &to.parse().unwrap());
        assert!(server("http://s3.test").unwrap().is_none() && server("https://direct.test").unwrap().is_none());
        let Error::Config { key, message, .. } = server("https://s3.test").unwrap_err() else { panic!("no Config") };
        assert_eq!(key.as_deref(), Some("HTTPS_PROXY"));
        assert!(message.contains("SOCKS") && !message.contains("hush"), "{message}");
    }

    #[test]
    fn proxy_is_at_a_private_address_only_where_the_operator_or_the_policy_says_so() {
        let environment = ProxyEnvironment::read(&Environment::of(&[("ALL_PROXY", "http://p:1")]));
        let policy = |proxy: Proxy| {
            let server = proxy.server(&environment, &"https://s3.test".parse().unwrap()).unwrap().unwrap();
            (server.addresses(Addresses::Public), server.addresses(Addresses::Private))
        };
        let tenants = Proxy::url("http://p:1").unwrap();
        assert_eq!(policy(tenants.clone()), (Addresses::Public, Addresses::Private));
        for operators in [tenants.allow_private(), Proxy::environment()] {
            assert_eq!(policy(operators), (Addresses::Private, Addresses::Private));
        }
    }
}
