//! IP addresses as text: what `std::net` takes, and writes, at a fifth of the code.

use std::fmt::Write as _;

/// Whether this is an IPv4 address: four numbers up to 255, none of which begins with a zero that it does not need.
pub fn is_ipv4(text: &str) -> bool {
    ipv4(text).is_some()
}

fn ipv4(text: &str) -> Option<[u8; 4]> {
    let mut fields = text.split('.');
    let mut address = [0; 4];
    for byte in &mut address {
        let field = fields.next()?;
        let plain = (1..=3).contains(&field.len()) && (field.len() == 1 || !field.starts_with('0'));
        *byte = if plain { u8::try_from(crate::s3::response::decimal(field)?).ok()? } else { return None };
    }
    fields.next().is_none().then_some(address)
}

/// The IPv6 address that this is, as RFC 5952 writes it.
pub(super) fn ipv6(text: &str) -> Option<String> {
    let mut groups = [0; 8];
    match text.as_bytes().windows(2).position(|two| two == b"::") {
        None if read(text, true, &mut groups)? == 8 => {}
        None => return None,
        Some(at) => {
            let (mut head, mut tail) = ([0; 7], [0; 7]);
            let before = read(text.get(..at)?, false, &mut head)?;
            let after = read(text.get(at + 2..)?, true, &mut tail)?;
            // The colons stand for one group at least.
            if before + after > 7 {
                return None;
            }
            groups[..before].copy_from_slice(&head[..before]);
            groups[8 - after..].copy_from_slice(&tail[..after]);
        }
    }
    Some(write(&groups))
}

/// Reads groups of up to four hex digits between colons, the last two of which may be an IPv4 address at the very end:
/// how many there are.
fn read(text: &str, to_the_end: bool, groups: &mut [u16]) -> Option<usize> {
    let mut count = 0;
    if text.is_empty() {
        return Some(0);
    }
    let mut fields = text.split(':').peekable();
    while let Some(field) = fields.next() {
        if to_the_end && fields.peek().is_none() && field.contains('.') {
            let [a, b, c, d] = ipv4(field)?;
            *groups.get_mut(count)? = u16::from_be_bytes([a, b]);
            *groups.get_mut(count + 1)? = u16::from_be_bytes([c, d]);
            return Some(count + 2);
        }
        if !(1..=4).contains(&field.len()) || !field.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        *groups.get_mut(count)? = u16::from_str_radix(field, 16).ok()?;
        count += 1;
    }
    Some(count)
}

fn write(groups: &[u16; 8]) -> String {
    let mut text = String::with_capacity(39);
    if let [0, 0, 0, 0, 0, 0xffff, high, low] = *groups {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        let _ = write!(text, "::ffff:{a}.{b}.{c}.{d}");
        return text;
    }
    // The longest stretch of zeros is left out, the first of those that are as long, and none of a single group.
    let zeros = |from: usize| groups[from..].iter().take_while(|group| **group == 0).count();
    let (mut start, mut length) = (8, 1);
    for from in 0..8 {
        if zeros(from) > length {
            (start, length) = (from, zeros(from));
        }
    }
    let mut at = 0;
    while at < 8 {
        if at == start {
            text.push_str("::");
            at += length;
            continue;
        }
        if at > 0 && at != start + length {
            text.push(':');
        }
        let _ = write!(text, "{:x}", groups[at]);
        at += 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    /// As the library has it.
    fn known(text: &str) -> Option<String> {
        text.parse::<Ipv6Addr>().ok().map(|address| address.to_string())
    }

    #[test]
    fn the_same_as_the_library_has_them() {
        for text in [
            "",
            ":",
            "::",
            ":::",
            "1",
            "::1",
            "1::",
            "1::1",
            "1::1::1",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7",
            "::2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "1:2:3:4:5:6:7:8::",
            "::1:2:3:4:5:6:7:8",
            "::ffff:1.2.3.4",
            "::1.2.3.4",
            "1.2.3.4::",
            "1:2:3:4:5:6:1.2.3.4",
            "1:2:3:4:5:6:7:1.2.3.4",
            "1:2:3:4:5:1.2.3.4",
            "1.2.3.4",
            "0:0:1:0:0:0:1:0",
            "1:0:0:2:0:0:3:4",
            "1:0:2:0:3:0:4:0",
            "ABCD::00ef",
            "00001::",
            "::1.2.3",
            "::1.2.3.04",
            "::1.2.3.256",
            "+1::",
            "fe80::1%1",
            " ::1",
            "0:0:0:0:0:ffff:0:0",
            "::ffff:0:0:0",
            "1:",
            ":1",
            "::1:",
            "é::",
        ] {
            assert_eq!(ipv6(text), known(text), "{text}");
            assert_eq!(is_ipv4(text), text.parse::<Ipv4Addr>().is_ok(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_same_as_the_library_has_any(
            groups in proptest::array::uniform8(0..3_u16),
            shift in 0..16_u32,
            text in "[0-9a-fA-F:.]{0,20}|([0-9a-f]{0,5}:){0,8}[0-9.]{0,9}|([0f]{1,4}:){0,4}:(:[0f]{1,4}){0,4}|([0-9]{1,3}\\.){3}[0-9]{1,3}",
        ) {
            let full = groups.map(|group| format!("{:x}", group << shift)).join(":");
            for text in [full.as_str(), text.as_str()] {
                proptest::prop_assert_eq!(ipv6(text), known(text), "{}", text);
                proptest::prop_assert_eq!(is_ipv4(text), text.parse::<Ipv4Addr>().is_ok(), "{}", text);
            }
        }
    }
}
