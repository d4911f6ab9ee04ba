//! Addresses, and which of them are no places to connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of address that may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    /// Those of the internet.
    Public,
    /// Private ones too.
    Private,
}

impl Addresses {
    /// What kind of address this is, where it may not be connected to.
    pub(super) fn refuses(self, address: IpAddr) -> Option<&'static str> {
        if is_metadata(canonical(address)) {
            return Some("a cloud's metadata service");
        }
        match self {
            Addresses::Private => None,
            Addresses::Public => kind(address),
        }
    }
}

/// The IPv4 address that an IPv6 one stands for, where it does: mapped, or by way of NAT64 or 6to4.
fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    if let Some(four) = six.to_ipv4_mapped() {
        return four.into();
    }
    let segments = six.segments();
    let four = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)).into();
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => four(high, low),
        [0x2002, high, low, ..] => four(high, low),
        _ => address,
    }
}

fn is_metadata(address: IpAddr) -> bool {
    match address {
        // All of AWS's; then Alibaba's, Oracle's, and Azure's, which is a public one.
        IpAddr::V4(address) => {
            matches!(address.octets(), [169, 254, 169, 254] | [169, 254, 170, 2 | 23] | [100, 100, 100, 200])
                || matches!(address.octets(), [192, 0, 0, 192] | [168, 63, 129, 16])
        }
        // AWS's; Google's.
        IpAddr::V6(address) => {
            address.segments()[..6] == [0xfd00, 0xec2, 0, 0, 0, 0]
                || address.segments() == [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
        }
    }
}

/// What an address is that is no public one (IANA's registries of special-purpose addresses, RFC 6890).
pub(super) fn kind(address: IpAddr) -> Option<&'static str> {
    match canonical(address) {
        IpAddr::V4(address) => kind_4(address),
        IpAddr::V6(address) => kind_6(address),
    }
}

fn kind_4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    Some(match (a, b, c) {
        (0, ..) => "an unspecified address",
        (127, ..) => "a loopback address",
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => "a private address",
        (169, 254, _) => "a link-local address",
        (100, 64..=127, _) => "a carrier's private address",
        (192, 0, 0 | 2) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => "a reserved address",
        (224..=239, ..) => "a multicast address",
        (240.., ..) => "a reserved address",
        _ => return None,
    })
}

fn kind_6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    Some(match segments[0] {
        _ if address.is_unspecified() => "an unspecified address",
        _ if address.is_loopback() => "a loopback address",
        first if first & 0xfe00 == 0xfc00 => "a private address",
        first if first & 0xffc0 == 0xfe80 => "a link-local address",
        first if first & 0xffc0 == 0xfec0 => "a private address",
        first if first & 0xff00 == 0xff00 => "a multicast address",
        // The internet is 2000::/3; of it, Teredo and documentation are no places to connect to.
        first if first & 0xe000 != 0x2000 => "a reserved address",
        0x2001 if segments[1] == 0 || segments[1] == 0xdb8 => "a reserved address",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_private_address_is_known() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.53",
            "169.254.1.1",
            "172.31.255.255",
            "192.168.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::7f00:1",
        ] {
            assert!(Addresses::Public.refuses(address.parse().unwrap()).is_some(), "{address}");
        }
        for address in
            ["1.1.1.1", "52.95.110.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "64:ff9b::1.1.1.1"]
        {
            assert_eq!(Addresses::Public.refuses(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn metadata_services_are_never_reached() {
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "169.254.170.2",
            "192.0.0.192",
            "fd20:ce::254",
        ] {
            assert!(Addresses::Private.refuses(address.parse().unwrap()).is_some(), "{address}");
        }
        assert_eq!(Addresses::Private.refuses("127.0.0.1".parse().unwrap()), None);
        // Public as addresses go, and yet only there for the machine itself.
        assert!(Addresses::Public.refuses("168.63.129.16".parse().unwrap()).is_some());
    }
}
