//! What a store may reach: its endpoint, and nothing else.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use http::uri::Scheme;
use url::{Host, Url};

use super::error::HttpError;
use super::ip_policy::{Addresses, is_private};

/// The authorities that a store's plugin may send requests to, and the kind of address they may lead to.
///
/// Both are checked: the authority of each request, and the address of each connection when it is made. A policy allows
/// public addresses, and the networks of [`EngineBuilder::allow_networks`](crate::EngineBuilder::allow_networks), whatever
/// the endpoint is: settings may come from a tenant, who must not reach the host's own network by naming `127.0.0.1` or a
/// name that leads there. [`allow_private`](Egress::allow_private) and
/// [`allow_private_endpoint`](Egress::allow_private_endpoint) are for endpoints that the operator chose.
///
/// No policy allows link-local addresses, those of cloud metadata services, and IPv6 addresses with an IPv4 address in
/// them (mapped, 6to4, Teredo and so on; NAT64 addresses of public IPv4 addresses are allowed).
#[derive(Clone, PartialEq, Eq)]
pub struct Egress {
    allowed: Arc<[Authority]>,
    addresses: Addresses,
    /// Whether the endpoint is itself a private address, or a name for the network at hand.
    is_local: bool,
}

/// A scheme, host and port.
#[derive(Clone, PartialEq, Eq)]
struct Authority {
    https: bool,
    host: String,
    port: u16,
}

impl Egress {
    /// Nothing at all.
    pub fn none() -> Egress {
        Egress { allowed: Arc::new([]), addresses: Addresses::Listed, is_local: false }
    }

    /// Exactly this: a host, `host:port`, or an `http` or `https` URL, of which the path does not count. Without a
    /// scheme it is https.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) where it is none of these.
    pub fn only(endpoint: &str) -> crate::Result<Egress> {
        let (authority, is_local) = parse(endpoint).ok_or_else(|| crate::Error::Config {
            path: None,
            line: None,
            key: Some("egress".to_owned()),
            message: format!("\"{endpoint}\" is no host, host:port, or http or https URL"),
        })?;
        Ok(Egress { allowed: Arc::new([authority]), addresses: Addresses::Listed, is_local })
    }

    /// What a store with these settings has to reach: the host that `endpoint` names; that of `account` at Azure; or AWS's for
    /// `region` and what else is wanted of it. The first and the last also with the name `bucket` before it; for the ARN of an
    /// access point, its host alone. With `accelerate` it is also the region's host, which takes operations on buckets.
    ///
    /// This is the one thing that the host itself reads from a plugin's settings: a plugin cannot be asked what it
    /// should be kept from. Where they make no sense it is nothing; the plugin will say what is wrong with them.
    pub fn from_settings(settings: &[(String, String)]) -> crate::Result<Egress> {
        let of = |name: &str| {
            let found = settings.iter().find(|(known, value)| known == name && !value.trim().is_empty());
            found.map(|(_, value)| value.trim())
        };
        let bucket = of("bucket");
        let (endpoint, bucket) = match (of("endpoint"), bucket) {
            (Some(endpoint), bucket) => (Some(endpoint.to_owned()), bucket),
            (None, _) if account(&of).is_some() => (account(&of).and_then(azure), None),
            (None, Some(arn)) if arn.starts_with("arn:") => (access_point(arn, &of), None),
            (None, bucket) => (aws(&of), bucket),
        };
        let Some((authority, is_local)) = endpoint.as_deref().and_then(parse) else { return Ok(Egress::none()) };
        let mut allowed = vec![authority.clone()];
        if let Some(bucket) = bucket.filter(|_| !is_address(&authority.host)) {
            let host = format!("{}.{}", bucket.to_ascii_lowercase(), authority.host);
            allowed.push(Authority { host, ..authority });
        }
        // Operations on buckets go to the region's own host, which transfer acceleration does not know.
        if of("endpoint").is_none()
            && is_on(&of, "accelerate")
            && let Some((regional, _)) = regional(&of).as_deref().and_then(parse)
            && !bucket_is_arn(&of)
        {
            allowed.push(regional);
        }
        Ok(Egress { allowed: allowed.into(), addresses: Addresses::Listed, is_local })
    }

    /// The URLs that may be asked, each a scheme, a host, and a port where it is not the scheme's own. Where
    /// [`from_settings`](Egress::from_settings) allows the bucket's own host beside the endpoint's, it is the second.
    pub fn authorities(&self) -> impl Iterator<Item = String> {
        self.allowed.iter().map(Authority::to_string)
    }

    /// Allows private and loopback addresses, whatever the endpoint is. Not for settings that a tenant may write.
    pub fn allow_private(mut self) -> Egress {
        self.addresses = Addresses::Private;
        self
    }

    /// Allows private and loopback addresses if the endpoint is plainly meant for them: if it is such an address,
    /// `localhost`, a bare name, or a name below `.localhost`, `.local`, `.internal`, `.lan` or `.home.arpa`. A public name
    /// still has to lead to a public address. Not for settings that a tenant may write;
    /// [`Config::open`](crate::Config::open) does this, since a configuration file is the operator's.
    pub fn allow_private_endpoint(self) -> Egress {
        if self.is_local { self.allow_private() } else { self }
    }

    /// Allows public addresses alone, not even the networks of
    /// [`EngineBuilder::allow_networks`](crate::EngineBuilder::allow_networks).
    pub fn only_public(mut self) -> Egress {
        self.addresses = Addresses::Public;
        self
    }

    /// The URLs of [`authorities`](Egress::authorities).
    pub(super) fn urls(&self) -> impl Iterator<Item = Uri> {
        // Those that are no URL for HTTP cannot be asked for either.
        self.allowed.iter().map(|allowed| allowed.to_string().parse().unwrap_or_default())
    }

    /// Whether a request may go to this URL; if so, the place of its authority among those that are allowed, and to which
    /// addresses.
    pub(super) fn check(&self, uri: &Uri) -> Result<(usize, Addresses), HttpError> {
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        if !https && uri.scheme() != Some(&Scheme::HTTP) {
            let scheme = uri.scheme_str().unwrap_or("none");
            return Err(HttpError::denied(format!(
                "the plugin asked for a URL of the scheme {scheme}, which is not HTTP's"
            )));
        }
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(default_port(https));
        let asked = Authority { https, host, port };
        if uri.authority().is_some_and(is_host_and_port)
            && let Some(place) = self.allowed.iter().position(|allowed| *allowed == asked)
        {
            return Ok((place, self.addresses));
        }
        Err(HttpError::denied(format!("the plugin asked for {asked}, but this store may only reach {self}")))
    }
}

/// Whether there is a host, and a port where there is more. A user, or a port that is none, is there to be read as something
/// else by others.
fn is_host_and_port(authority: &http::uri::Authority) -> bool {
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => true,
        Some(rest) => rest
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()),
        None => false,
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<IpAddr>().is_ok()
}

/// A setting's value by its name.
type Of<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

/// The account of a store at Azure.
fn account<'a>(of: &Of<'a>) -> Option<&'a str> {
    of("account").or_else(|| of("account-name"))
}

/// AWS's host for these settings, without a bucket.
fn aws(of: &Of) -> Option<String> {
    if is_on(of, "accelerate") {
        return Some(format!("s3-accelerate{}.{}", dual_stack(of), domain(region(of))?));
    }
    regional(of)
}

/// AWS's host for the region, without a bucket.
fn regional(of: &Of) -> Option<String> {
    let region = region(of);
    Some(format!("s3{}{}.{region}.{}", fips(of), dual_stack(of), domain(region)?))
}

/// Azure's host for a storage account, whose name has 3 to 24 letters and digits.
fn azure(account: &str) -> Option<String> {
    let is_name = (3..=24).contains(&account.len()) && account.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then(|| format!("{}.blob.core.windows.net", account.to_ascii_lowercase()))
}

fn region<'a>(of: &Of<'a>) -> &'a str {
    of("region").unwrap_or("us-east-1")
}

fn bucket_is_arn(of: &Of) -> bool {
    of("bucket").is_some_and(|bucket| bucket.starts_with("arn:"))
}

/// The host of an access point: `arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME`.
fn access_point(arn: &str, of: &Of) -> Option<String> {
    let mut fields = arn.splitn(6, ':').skip(3);
    let (region, account, resource) = (fields.next()?, fields.next()?, fields.next()?);
    let name = resource.strip_prefix("accesspoint").and_then(|rest| rest.strip_prefix(['/', ':']))?;
    let domain = domain(region).filter(|_| is_label(name) && is_label(account))?;
    Some(format!("{name}-{account}.s3-accesspoint{}{}.{region}.{domain}", fips(of), dual_stack(of)))
}

fn is_on(of: &Of, name: &str) -> bool {
    of(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn dual_stack(of: &Of) -> &'static str {
    if is_on(of, "dual-stack") { ".dualstack" } else { "" }
}

fn fips(of: &Of) -> &'static str {
    if is_on(of, "fips") { "-fips" } else { "" }
}

/// What AWS's hosts in this region end in; none where it cannot be a region.
fn domain(region: &str) -> Option<&'static str> {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    is_label(region).then_some(domain)
}

/// Whether this can be one label of a host name, and no more than one.
fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The authority, and whether it is one of the network at hand.
fn parse(endpoint: &str) -> Option<(Authority, bool)> {
    let url = match endpoint.split_once("://") {
        Some((scheme, _)) if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
            Url::parse(endpoint).ok()?
        }
        Some(_) => return None,
        None => Url::parse(&format!("https://{endpoint}")).ok()?,
    };
    let is_local = match url.host()? {
        Host::Ipv4(address) => is_private(address.into()),
        Host::Ipv6(address) => is_private(address.into()),
        Host::Domain(name) => is_local_name(name),
    };
    let https = url.scheme() == "https";
    let port = url.port().unwrap_or(default_port(https));
    Some((Authority { https, host: url.host_str()?.to_ascii_lowercase(), port }, is_local))
}

/// A name that can only be meant for the network at hand.
pub(super) fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let ends_in = |suffix: &str| name.len() > suffix.len() && name.ends_with(suffix);
    !name.contains('.') || [".localhost", ".local", ".internal", ".lan", ".home.arpa"].into_iter().any(ends_in)
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port != default_port(self.https) {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

impl fmt::Display for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.allowed.is_empty() {
            return f.write_str("nothing");
        }
        for (place, authority) in self.allowed.iter().enumerate() {
            let between = if place == 0 { "" } else { " or " };
            write!(f, "{between}{authority}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Egress({self}, {:?} addresses)", self.addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn allows(egress: &Egress, url: &str) -> bool {
        egress.check(&url.parse().unwrap()).is_ok()
    }

    #[test]
    fn only_the_endpoint_and_its_bucket_are_reached() {
        let egress =
            Egress::from_settings(&settings(&[("endpoint", "https://s3.example.com:9000/base"), ("bucket", "b")]))
                .unwrap();
        for url in ["https://s3.example.com:9000/b/k", "https://B.s3.Example.com:9000/k"] {
            assert!(allows(&egress, url), "{url}");
        }
        for url in [
            "http://s3.example.com:9000/",
            "https://s3.example.com/",
            "https://s3.example.com:9001/",
            "https://c.s3.example.com:9000/",
            "https://s3.example.com.evil.test:9000/",
            "https://s3.example.com:9000@evil.test/",
            "https://u@s3.example.com:9000/",
            "https://169.254.169.254/",
        ] {
            assert!(!allows(&egress, url), "{url}");
        }
        let refused = egress.check(&"https://evil.test/".parse().unwrap()).unwrap_err();
        assert!(
            refused.detail().contains("https://evil.test") && refused.detail().contains("https://s3.example.com:9000")
        );
    }

    #[test]
    fn account_at_azure_is_reached_and_no_bucket_of_aws() {
        for name in ["account", "account-name"] {
            let egress = Egress::from_settings(&settings(&[(name, "demo1"), ("bucket", "b")])).unwrap();
            assert!(allows(&egress, "https://demo1.blob.core.windows.net/b/k"));
            for url in [
                "http://demo1.blob.core.windows.net/b/k",
                "https://other.blob.core.windows.net/b/k",
                "https://b.demo1.blob.core.windows.net/k",
                "https://s3.us-east-1.amazonaws.com/b/k",
            ] {
                assert!(!allows(&egress, url), "{url}");
            }
        }
        for account in ["evil.test/", "a.b", "a@b", "a:1"] {
            let egress = Egress::from_settings(&settings(&[("account", account)])).unwrap();
            assert_eq!(egress.authorities().count(), 0, "{account}");
        }
        let custom = settings(&[("account", "demo1"), ("endpoint", "https://blobs.example.com")]);
        let egress = Egress::from_settings(&custom).unwrap();
        assert!(!allows(&egress, "https://demo1.blob.core.windows.net/"));
    }

    #[test]
    fn url_with_an_invalid_port_is_refused() {
        let egress = Egress::only("https://s3.example.com").unwrap();
        assert!(allows(&egress, "https://s3.example.com:443/k"));
        for port in ["443demo", "99999", "65979", "+443", "", "x@s3.example.com:443"] {
            let url = format!("https://s3.example.com:{port}/k");
            assert!(url.parse::<Uri>().is_err() || !allows(&egress, &url), "{url}");
        }
    }

    #[test]
    fn url_of_another_scheme_is_refused() {
        let egress = Egress::only("http://s3.example.com").unwrap();
        assert!(allows(&egress, "http://s3.example.com/k"));
        for url in ["ftp://s3.example.com:80/k", "javascript://s3.example.com:80/%0aalert(1)", "s3.example.com:80"] {
            assert!(!allows(&egress, url), "{url}");
        }
    }

    #[test]
    fn a_scheme_is_one_in_capitals_too() {
        for (endpoint, url) in
            [("HTTPS://s3.example.com", "https://s3.example.com/k"), ("Http://h:9000", "http://h:9000/")]
        {
            let egress = Egress::only(endpoint).unwrap();
            assert!(allows(&egress, url), "{endpoint} is {egress}");
        }
    }

    #[test]
    fn what_may_be_asked_is_told_in_full() {
        let of =
            |pairs: &[(&str, &str)]| Vec::from_iter(Egress::from_settings(&settings(pairs)).unwrap().authorities());
        let told = of(&[("endpoint", "http://s3.example.com:9000/base"), ("bucket", "b")]);
        assert_eq!(told, ["http://s3.example.com:9000", "http://b.s3.example.com:9000"]);
        assert_eq!(of(&[("endpoint", "[::1]"), ("bucket", "b")]), ["https://[::1]"]);
        assert_eq!(of(&[("endpoint", "ftp://x")]), Vec::<String>::new());
    }

    #[test]
    fn without_an_endpoint_it_is_aws() {
        let egress =
            Egress::from_settings(&settings(&[("region", "eu-west-1"), ("bucket", "b"), ("endpoint", " ")])).unwrap();
        assert!(allows(&egress, "https://b.s3.eu-west-1.amazonaws.com/k"));
        assert!(allows(&egress, "https://s3.eu-west-1.amazonaws.com/b/k"));
        assert!(!allows(&egress, "https://s3.eu-west-2.amazonaws.com/b/k"));
        let china = Egress::from_settings(&settings(&[("region", "cn-north-1")])).unwrap();
        assert!(allows(&china, "https://s3.cn-north-1.amazonaws.com.cn/b/k"));
    }

    #[test]
    fn awss_further_hosts_are_those_that_the_settings_want() {
        let reaches = |pairs: &[(&str, &str)], host: &str| {
            let egress = Egress::from_settings(&settings(&[&[("region", "eu-west-1")], pairs].concat())).unwrap();
            assert!(allows(&egress, &format!("https://{host}/k")), "{egress} is not {host}");
            assert!(!allows(&egress, "https://b.s3.eu-west-1.amazonaws.com/k"), "{egress}");
        };
        let on = |name| (name, "true");
        reaches(&[("bucket", "b"), on("dual-stack")], "b.s3.dualstack.eu-west-1.amazonaws.com");
        reaches(&[("bucket", "b"), on("fips")], "b.s3-fips.eu-west-1.amazonaws.com");
        reaches(&[("bucket", "b"), on("fips"), on("dual-stack")], "b.s3-fips.dualstack.eu-west-1.amazonaws.com");
        reaches(&[("bucket", "b"), on("accelerate")], "b.s3-accelerate.amazonaws.com");
        reaches(&[("bucket", "b"), on("accelerate"), on("dual-stack")], "b.s3-accelerate.dualstack.amazonaws.com");
        let arn = ("bucket", "arn:aws:s3:us-west-2:123456789012:accesspoint/p");
        reaches(&[arn], "p-123456789012.s3-accesspoint.us-west-2.amazonaws.com");
        reaches(&[arn, on("fips")], "p-123456789012.s3-accesspoint-fips.us-west-2.amazonaws.com");
    }

    #[test]
    fn account_without_an_endpoint_is_azures() {
        let of =
            |pairs: &[(&str, &str)]| Vec::from_iter(Egress::from_settings(&settings(pairs)).unwrap().authorities());
        assert_eq!(of(&[("account", "Photos1"), ("container", "c")]), ["https://photos1.blob.core.windows.net"]);
        let local = [("account", "devstoreaccount1"), ("endpoint", "http://127.0.0.1:10000/devstoreaccount1")];
        assert_eq!(of(&local), ["http://127.0.0.1:10000"]);
        for wrong in ["ab", "evil.example.com/", "a.b", "photos1.blob.core.windows.net", "x".repeat(25).as_str()] {
            assert_eq!(of(&[("account", wrong)]), Vec::<String>::new(), "{wrong}");
        }
    }

    #[test]
    fn operations_on_buckets_reach_the_regions_host() {
        for further in [&[][..], &[("accelerate", "true")], &[("bucket", "b"), ("accelerate", "true")]] {
            let egress = Egress::from_settings(&settings(&[&[("region", "eu-west-1")], further].concat())).unwrap();
            assert!(allows(&egress, "https://s3.eu-west-1.amazonaws.com/other?location"), "{egress}");
            assert!(!allows(&egress, "https://other.s3.eu-west-1.amazonaws.com/"), "{egress}");
        }
    }

    #[test]
    fn what_is_put_into_awss_hosts_is_one_label() {
        for pairs in [
            [("region", "x.evil.test/"), ("bucket", "b")],
            [("region", "evil.test#"), ("bucket", "b")],
            [("region", ""), ("bucket", "arn:aws:s3:us-west-2:1/evil.test/:accesspoint/p")],
            [("region", ""), ("bucket", "arn:aws:s3:us-west-2:123456789012:accesspoint/evil.test/p")],
            [("region", ""), ("bucket", "arn:aws:s3:evil.test/:123456789012:accesspoint/p")],
            [("region", ""), ("bucket", "arn:aws:s3")],
        ] {
            assert_eq!(Egress::from_settings(&settings(&pairs)).unwrap(), Egress::none(), "{pairs:?}");
        }
    }

    #[test]
    fn nonsense_reaches_nothing() {
        for endpoint in ["ftp://x", "https://", "a b", "http://[::1", "https://x:99999"] {
            let egress = Egress::from_settings(&settings(&[("endpoint", endpoint)])).unwrap();
            assert_eq!(egress, Egress::none(), "{endpoint}");
            assert!(Egress::only(endpoint).is_err(), "{endpoint}");
        }
    }

    const PRIVATE_ENDPOINTS: [&str; 9] = [
        "http://127.0.0.1:9000",
        "http://2130706433:9000",
        "http://0x7f.1:9000",
        "10.1.2.3",
        "http://[::1]:9000",
        "localhost:9000",
        "https://myminio:9000",
        "s3.corp.internal",
        "minio.localhost",
    ];

    #[test]
    fn private_addresses_need_an_opt_in_whatever_the_endpoint_is() {
        for endpoint in PRIVATE_ENDPOINTS {
            let by_settings = Egress::from_settings(&settings(&[("endpoint", endpoint), ("bucket", "b")])).unwrap();
            for egress in [Egress::only(endpoint).unwrap(), by_settings] {
                assert_eq!(egress.addresses, Addresses::Listed, "{endpoint}");
                assert_eq!(egress.allow_private().addresses, Addresses::Private, "{endpoint}");
            }
        }
    }

    #[test]
    fn an_operators_private_endpoint_is_an_opt_in() {
        let of = |endpoint| Egress::only(endpoint).unwrap().allow_private_endpoint().addresses;
        for endpoint in PRIVATE_ENDPOINTS {
            assert_eq!(of(endpoint), Addresses::Private, "{endpoint}");
        }
        for endpoint in [
            "s3.amazonaws.com",
            "1.2.3.4",
            "https://minio.example.com",
            "[2606:4700::1]",
            "169.254.169.254",
            "[::ffff:127.0.0.1]",
            "[fe80::1]",
            "0.0.0.0",
        ] {
            assert_eq!(of(endpoint), Addresses::Listed, "{endpoint}");
        }
        assert_eq!(Egress::only("localhost").unwrap().allow_private().only_public().addresses, Addresses::Public);
    }
}
