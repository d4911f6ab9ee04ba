//! Which addresses a connection may be made to.
//!
//! An address is first held against what no store may reach whatever its policy: link-local addresses, cloud metadata
//! services, and every IPv6 form that carries an IPv4 address in it, through which a policy on IPv4 addresses could be
//! passed by. Only then does the policy count: public addresses, further networks of the engine, or all private ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The addresses that a store may reach, from the narrowest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    /// Those of the internet.
    Public,
    /// Those, and the networks that the engine allows all its stores.
    Listed,
    /// Private ones too.
    Private,
}

/// Why an address may not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No policy allows it.
    Never(&'static str),
    /// It is not public, and a wider policy would allow it.
    NotPublic(&'static str),
}

impl Refusal {
    /// What kind of address it is.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Refusal::Never(kind) | Refusal::NotPublic(kind) => kind,
        }
    }
}

impl Addresses {
    /// Why this address may not be connected to; none where it may. `listed` are the networks that the engine allows.
    pub(super) fn refuses(self, address: IpAddr, listed: &[IpNet]) -> Option<Refusal> {
        if let Some(kind) = never(address) {
            return Some(Refusal::Never(kind));
        }
        let kind = special(address)?;
        let is_allowed = match self {
            Addresses::Public => false,
            Addresses::Listed => listed.iter().any(|network| network.contains(&address)),
            Addresses::Private => true,
        };
        (!is_allowed).then_some(Refusal::NotPublic(kind))
    }
}

/// The networks of private and loopback addresses.
pub(crate) fn private_networks() -> impl Iterator<Item = IpNet> {
    let four = |a, b, prefix| (IpAddr::from([a, b, 0, 0]), prefix);
    let six = |first, last, prefix| (IpAddr::from([first, 0, 0, 0, 0, 0, 0, last]), prefix);
    let networks = [
        four(10, 0, 8),
        four(100, 64, 10),
        four(127, 0, 8),
        four(172, 16, 12),
        four(192, 168, 16),
        six(0, 1, 128),
        six(0xfc00, 0, 7),
    ];
    networks.into_iter().filter_map(|(address, prefix)| IpNet::new(address, prefix).ok())
}

/// Whether an endpoint at this address is in a private network: not public, and yet a place to connect to.
pub(super) fn is_private(address: IpAddr) -> bool {
    never(address).is_none() && special(address).is_some()
}

/// What an address is that no store may reach.
fn never(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => never_4(address),
        IpAddr::V6(address) => never_6(address),
    }
}

fn never_4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        // AWS's, Google's and most others'; AWS's for containers; Alibaba's, Oracle's, and Azure's, which is a public one.
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] => METADATA,
        [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => METADATA,
        // Among them Scaleway's metadata service (169.254.42.42) and Tencent's (169.254.0.23).
        [169, 254, ..] => LINK_LOCAL,
        [0, ..] => UNSPECIFIED,
        [224..=239, ..] => MULTICAST,
        [255, 255, 255, 255] => "the broadcast address",
        _ => return None,
    })
}

fn never_6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    Some(match segments {
        _ if address.is_unspecified() => UNSPECIFIED,
        _ if address.is_loopback() => return None,
        // AWS's, Google's, Scaleway's, Linode's; Oracle's and others with the IPv4 address's digits in a private one.
        [0xfd00, 0xec2, 0, 0, 0, 0, ..]
        | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
        | [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42] => METADATA,
        [0xfd00, 0xa9fe, 0xa9fe, ..] => METADATA,
        [0xfc00..=0xfdff, .., 0xa9fe, 0xa9fe] => METADATA,
        [0xfe80..=0xfebf, ..] => LINK_LOCAL,
        [0xff00..=0xffff, ..] => MULTICAST,
        [0, 0, 0, 0, 0, 0xffff, ..] => "an IPv4-mapped address",
        [0, 0, 0, 0, 0xffff, 0, ..] => "an IPv4-translated address",
        [0, 0, 0, 0, 0, 0, ..] => "an IPv4-compatible address",
        // Made up by the name servers of networks without IPv4 (DNS64), so it cannot be refused altogether. It stands for
        // public addresses only (RFC 6052, section 3.1).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            let within = Ipv4Addr::new(a, b, c, d);
            let kind = never_4(within).or_else(|| special_4(within));
            return kind.map(|_| "a NAT64 address of an IPv4 address that is not public");
        }
        [0x64, 0xff9b, ..] => "a local NAT64 address",
        [0x2002, ..] => "a 6to4 address",
        [0x2001, 0, ..] => "a Teredo address",
        // With any of the two bits that say whose identifier it is.
        [.., owner, 0x5efe, _, _] if owner & !0x0300 == 0 => "an ISATAP address",
        _ => return None,
    })
}

const METADATA: &str = "a cloud's metadata service";
const LINK_LOCAL: &str = "a link-local address";
const UNSPECIFIED: &str = "an unspecified address";
const MULTICAST: &str = "a multicast address";

/// What an address is that is no public one (IANA's registries of special-purpose addresses, RFC 6890).
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_4(address),
        IpAddr::V6(address) => special_6(address),
    }
}

fn special_4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    Some(match (a, b, c) {
        (127, ..) => "a loopback address",
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => "a private address",
        (100, 64..=127, _) => "a carrier's private address",
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => "a reserved address",
        (240.., ..) => "a reserved address",
        _ => return None,
    })
}

fn special_6(address: Ipv6Addr) -> Option<&'static str> {
    Some(match address.segments() {
        _ if address.is_loopback() => "a loopback address",
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => "a private address",
        // It was judged by the address in it.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => return None,
        // Those of the IETF's protocols, and of documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "a reserved address",
        [0x2000..=0x3fff, ..] => return None,
        _ => "a reserved address",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Addresses; 3] = [Addresses::Public, Addresses::Listed, Addresses::Private];

    fn refuses(addresses: Addresses, address: &str) -> Option<Refusal> {
        addresses.refuses(address.parse().expect("an address"), &[])
    }

    /// Everything, as widely as it can be allowed.
    fn everything() -> Vec<IpNet> {
        ["0.0.0.0/0", "::/0"].iter().map(|network| network.parse().unwrap()).collect()
    }

    /// All forms in which an IPv6 address carries an IPv4 one, but for the well-known NAT64 prefix.
    fn embeddings(four: Ipv4Addr) -> Vec<Ipv6Addr> {
        let [a, b, c, d] = four.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let mut forms = vec![
            Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, high, low, 0, 0, 0, 0),
            Ipv6Addr::new(0x2001, 0, 0x4136, 0xe378, 0x8000, 0, !high, !low),
            Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
            Ipv6Addr::new(0x64, 0xff9b, 1, high, low & 0xff, low << 8, 0, 0),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0x5efe, high, low),
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5efe, high, low),
            Ipv6Addr::new(0x2a00, 1, 2, 3, 0x200, 0x5efe, high, low),
            Ipv6Addr::new(0xfd12, 1, 2, 3, 0x300, 0x5efe, high, low),
        ];
        let compatible = Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low);
        if !compatible.is_loopback() {
            forms.push(compatible);
        }
        forms
    }

    #[test]
    fn private_addresses_need_a_policy_that_allows_them() {
        for address in [
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.0.0.53",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "240.0.0.1",
            "::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "100::1",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(matches!(refuses(Addresses::Public, address), Some(Refusal::NotPublic(_))), "{address}");
            assert!(matches!(refuses(Addresses::Listed, address), Some(Refusal::NotPublic(_))), "{address}");
            assert_eq!(Addresses::Listed.refuses(address.parse().unwrap(), &everything()), None, "{address}");
            assert_eq!(refuses(Addresses::Private, address), None, "{address}");
        }
    }

    #[test]
    fn public_addresses_are_reached_under_every_policy() {
        for address in [
            "1.1.1.1",
            "52.95.110.1",
            "99.255.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700:4700::1111",
            "2a00:1450::1234:5efe:101:101",
            "2001:200::1",
            "64:ff9b::1.1.1.1",
        ] {
            for addresses in ALL {
                assert_eq!(refuses(addresses, address), None, "{address} under {addresses:?}");
            }
        }
    }

    #[test]
    fn metadata_link_local_and_group_addresses_are_refused_under_every_policy() {
        for address in [
            // Metadata services, by who has them there: AWS and most others, AWS's containers, Alibaba, Oracle, Azure,
            // Tencent, Scaleway; then AWS, Google, Scaleway, Oracle, Linode, DigitalOcean.
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "169.254.0.23",
            "169.254.42.42",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:42::42",
            "fd00:c1::a9fe:a9fe",
            "fd00:a9fe:a9fe::1",
            "fe80::a9fe:a9fe",
            // Link-local in general.
            "169.254.0.0",
            "169.254.255.255",
            "fe80::1",
            "febf::1",
            // No places to connect to.
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "ff02::1",
            // Public IPv4 addresses in IPv6 ones.
            "::ffff:1.1.1.1",
            "::ffff:0:1.1.1.1",
            "::1.1.1.1",
            "64:ff9b:1::1.1.1.1",
            "64:ff9b:2::1",
            "2002:101:101::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2a00::5efe:1.1.1.1",
            "2a00::200:5efe:1.1.1.1",
            // NAT64 of what is not public.
            "64:ff9b::10.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::168.63.129.16",
            "64:ff9b::",
        ] {
            for addresses in ALL {
                let refused = addresses.refuses(address.parse().unwrap(), &everything());
                assert!(matches!(refused, Some(Refusal::Never(_))), "{address} under {addresses:?}: {refused:?}");
            }
        }
    }

    #[test]
    fn a_listed_network_widens_the_policy_by_itself_alone() {
        let listed = ["10.1.0.0/16".parse().unwrap(), "fd12::/16".parse().unwrap()];
        for (address, is_allowed) in
            [("10.1.2.3", true), ("fd12::1", true), ("10.2.0.1", false), ("127.0.0.1", false), ("1.1.1.1", true)]
        {
            let address = address.parse().unwrap();
            assert_eq!(Addresses::Listed.refuses(address, &listed).is_none(), is_allowed, "{address}");
            assert_eq!(Addresses::Public.refuses(address, &listed).is_none(), address.to_string() == "1.1.1.1");
        }
    }

    #[test]
    fn the_private_networks_are_what_private_endpoints_are_in() {
        let networks: Vec<IpNet> = private_networks().collect();
        assert_eq!(networks.len(), 7);
        for address in ["10.0.0.1", "100.64.0.1", "127.0.0.1", "172.16.3.4", "192.168.1.1", "::1", "fd00::1"] {
            let address: IpAddr = address.parse().unwrap();
            assert!(is_private(address) && Addresses::Listed.refuses(address, &networks).is_none(), "{address}");
        }
        for address in ["1.1.1.1", "169.254.1.1", "0.0.0.0", "::ffff:10.0.0.1", "fd00:ec2::254"] {
            assert!(!is_private(address.parse().unwrap()), "{address}");
        }
    }

    fn special_fours() -> impl Strategy<Value = Ipv4Addr> {
        let networks = [
            (0u32, 8),
            (0x0a00_0000, 8),
            (0x6440_0000, 10),
            (0x7f00_0000, 8),
            (0xa9fe_0000, 16),
            (0xac10_0000, 12),
            (0xc0a8_0000, 16),
            (0xc000_0200, 24),
            (0xc612_0000, 15),
            (0xe000_0000, 4),
            (0xf000_0000, 4),
        ];
        (proptest::sample::select(networks.to_vec()), any::<u32>())
            .prop_map(|((network, prefix), host)| Ipv4Addr::from(network | (host & (u32::MAX >> prefix))))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_embedding_of_every_ipv4_address_is_refused(four in any::<u32>().prop_map(Ipv4Addr::from)) {
            for six in embeddings(four) {
                for addresses in ALL {
                    let refused = addresses.refuses(six.into(), &everything());
                    prop_assert!(matches!(refused, Some(Refusal::Never(_))), "{six} under {addresses:?}");
                }
            }
        }

        #[test]
        fn every_embedding_of_a_special_ipv4_address_is_refused(four in special_fours()) {
            let [a, b, c, d] = four.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low);
            prop_assert!(Addresses::Public.refuses(four.into(), &[]).is_some(), "{four}");
            for six in embeddings(four).into_iter().chain([nat64]) {
                for addresses in ALL {
                    let refused = addresses.refuses(six.into(), &everything());
                    prop_assert!(matches!(refused, Some(Refusal::Never(_))), "{six} under {addresses:?}");
                }
            }
        }

        #[test]
        fn a_wider_policy_refuses_nothing_that_a_narrower_one_allows(four in any::<u32>(), six in any::<u128>()) {
            for address in [IpAddr::from(Ipv4Addr::from(four)), IpAddr::from(Ipv6Addr::from(six))] {
                let allowed = ALL.map(|addresses| addresses.refuses(address, &[]).is_none());
                prop_assert!(allowed[0] <= allowed[1] && allowed[1] <= allowed[2], "{address}: {allowed:?}");
            }
        }
    }
}
