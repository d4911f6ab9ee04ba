//! IP addresses as text, parsed and formatted by `core::net`.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether the text is an IPv4 address: four decimal numbers up to 255 without leading zeros.
pub fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

/// Parses an IPv6 address and formats it in the canonical form of RFC 5952.
pub(crate) fn ipv6(text: &str) -> Option<String> {
    text.parse::<Ipv6Addr>().ok().map(|address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_and_ipv6_is_canonical() {
        for (text, canonical) in [
            ("::", Some("::")),
            ("0:0:1:0:0:0:1:0", Some("0:0:1::1:0")),
            ("1:0:0:2:0:0:3:4", Some("1::2:0:0:3:4")),
            ("ABCD::00ef", Some("abcd::ef")),
            ("::ffff:0102:0304", Some("::ffff:1.2.3.4")),
            ("::1.2.3.4", Some("::102:304")),
            ("1:2:3:4:5:6:7:8:9", None),
            ("1::1::1", None),
            ("00001::", None),
            ("::1.2.3.04", None),
            ("fe80::1%1", None),
            (" ::1", None),
            ("1.2.3.4", None),
            ("", None),
        ] {
            assert_eq!(ipv6(text).as_deref(), canonical, "{text}");
        }
        for (text, valid) in
            [("1.2.3.4", true), ("255.255.255.255", true), ("1.2.3.256", false), ("1.2.3.04", false), ("1.2.3", false)]
        {
            assert_eq!(is_ipv4(text), valid, "{text}");
        }
    }
}
