//! Which bucket names there are.

use crate::error::{Fault, tidy};

/// Checks a bucket's name. AWS's rules for general-purpose buckets hold where `strict`; services of one's own take old
/// names too: upper case, underscores, up to 255 characters.
///
/// # Errors
/// A fault of the setting `bucket` that says which rule is broken.
pub fn check(name: &str, strict: bool) -> Result<(), Fault> {
    match broken_rule(name, strict) {
        None => Ok(()),
        Some(rule) => {
            Err(Fault::new("bucket", format!("bucket: {:?} cannot be a bucket's name: {rule}", tidy(name, 80))))
        }
    }
}

fn broken_rule(name: &str, strict: bool) -> Option<&'static str> {
    if name.contains([':', '/']) {
        return Some("give the name alone, without URL, path or ARN");
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !strict {
        let old = |b: u8| plain(b) || b.is_ascii_uppercase() || b"-._".contains(&b);
        return if !(1..=255).contains(&name.len()) || !name.bytes().all(old) || name == "." || name == ".." {
            Some("it takes 1 to 255 letters, digits, hyphens, dots and underscores")
        } else {
            None
        };
    }
    if !(3..=63).contains(&name.len()) {
        return Some("it takes 3 to 63 characters");
    }
    if !name.bytes().all(|b| plain(b) || b == b'-' || b == b'.') {
        return Some("it takes lower-case letters, digits, hyphens and dots");
    }
    if !name.bytes().next().is_some_and(plain) || !name.bytes().last().is_some_and(plain) {
        return Some("it begins and ends with a letter or a digit");
    }
    if name.contains("..") {
        return Some("it has two dots in a row");
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return Some("it looks like an IP address");
    }
    None
}

/// Whether the name can be a single label of a host name, and so be covered by a wildcard certificate.
pub fn is_dns_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awss_rules_hold_on_aws() {
        for name in ["abc", "my-bucket", "a.b.c", "1-2", &"a".repeat(63)] {
            assert!(check(name, true).is_ok(), "{name}");
        }
        for name in [
            "",
            "ab",
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "a..b",
            "1.2.3.4",
            "a/b",
            "arn:aws:s3:::b",
            "b é",
            &"a".repeat(64),
        ] {
            let fault = check(name, true).unwrap_err();
            assert_eq!(fault.subject.as_deref(), Some("bucket"), "{name}");
        }
    }

    #[test]
    fn other_services_take_old_names() {
        for name in ["Ab_c", "a", "x..y"] {
            assert!(check(name, false).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a b", "a?b", "é", &"a".repeat(256)] {
            assert!(check(name, false).is_err(), "{name}");
        }
    }

    #[test]
    fn a_label_has_no_dots_and_no_capitals() {
        assert!(is_dns_label("my-bucket"));
        for name in ["a.b", "A", "a_b", "-a", "a-", ""] {
            assert!(!is_dns_label(name), "{name}");
        }
    }
}
