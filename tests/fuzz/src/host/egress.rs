//! The egress policy with arbitrary settings and URLs. An allowed URL has an authority of the endpoint for every URL
//! parser; requests that the plugin builds from the same settings are allowed.
//!
//! The input has a setting `name=value` on each line, then a blank line, then a URL or an address on each line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sandbucket::Egress;
use sandbucket::fuzzing::{egress_allows, refuses_address};
use sandbucket_s3::settings;
use url::Url;

use crate::text;

/// Settings, and URLs or addresses to reach with them.
pub fn host_egress(data: &[u8]) {
    let (settings, rest) = text::head_and_body(data);
    let settings = text::pairs(&settings);
    let text = text::of(rest);
    for line in text.lines() {
        if let Ok(address) = line.parse() {
            addresses(address);
        }
    }
    if let [octets @ .., _, _] = rest
        && let Some(octets) = octets.first_chunk::<16>()
    {
        addresses(Ipv6Addr::from(*octets).into());
    }
    for (_, value) in &settings {
        if let Ok(egress) = Egress::only(value) {
            urls(&egress, &text);
        }
    }
    let Ok(egress) = Egress::from_settings(&settings) else { return };
    urls(&egress, &text);
    if let Ok(understood) = settings::parse(&settings) {
        let endpoint = understood.endpoint;
        let scheme = if endpoint.https { "https" } else { "http" };
        let url = format!("{scheme}://{}/", endpoint.authority);
        let uri = url.parse().unwrap_or_else(|error| panic!("{url:?}: {error}"));
        if let Err(refused) = egress_allows(&egress, &uri) {
            panic!("{refused}");
        }
    }
}

fn urls(egress: &Egress, text: &str) {
    // A bucket's own host is a subdomain of the endpoint.
    let allowed: Vec<String> = egress.authorities().collect();
    let hosts: Vec<&str> = allowed.iter().map(|authority| host_of(authority)).collect();
    if let [endpoint, bucket] = hosts[..] {
        assert!(bucket.ends_with(&format!(".{endpoint}")), "{bucket} beside {endpoint}");
    }
    for line in text.lines() {
        let Ok(uri) = line.parse::<http::Uri>() else { continue };
        match egress_allows(egress, &uri) {
            Err(refused) => assert!(!refused.is_empty()),
            Ok(()) => {
                let read = Url::parse(line).unwrap_or_else(|error| panic!("{line:?} is allowed, and {error}"));
                let default = if read.scheme() == "https" { 443 } else { 80 };
                let port = read.port().filter(|&port| port != default).map_or(String::new(), |port| format!(":{port}"));
                let read = format!("{}://{}{port}", read.scheme(), read.host_str().unwrap_or_default());
                assert!(allowed.contains(&read), "{line:?} is {read:?}, and allowed are {allowed:?}");
            }
        }
    }
}

/// The host and port of an authority with its scheme.
fn host_of(authority: &str) -> &str {
    authority.split_once("://").map_or(authority, |(_, host)| host)
}

/// A refused address is refused in every notation, and what a private store must not reach, a public one must not either.
fn addresses(address: IpAddr) {
    let refused = |address: IpAddr| [false, true].map(|private| refuses_address(private, address).is_some());
    let [public, private] = refused(address);
    assert!(public || !private, "{address}");
    let four = match address {
        IpAddr::V4(four) => four,
        IpAddr::V6(six) => Ipv4Addr::from(*six.octets().last_chunk::<4>().expect("16 octets")),
    };
    let [public, _] = refused(four.into());
    let [a, b, c, d] = four.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    // IPv6 forms of IPv4 addresses are refused under every policy.
    for six in [
        four.to_ipv6_mapped(),
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0x2001, 0, high, low, 0, 0, !high, !low),
        Ipv6Addr::new(0x2606, 0, 0, 0, 0, 0x5efe, high, low),
    ] {
        assert_eq!(refused(six.into()), [true, true], "{six} stands for {four}");
    }
    // Except the DNS64 prefix, which represents public addresses.
    let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low);
    assert_eq!(refused(nat64.into()), [public, public], "{nat64} stands for {four}");
}
