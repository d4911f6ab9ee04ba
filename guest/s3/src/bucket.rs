//! Validation of bucket names.

use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::http::ip::is_ipv4;

/// Checks a name for Amazon S3: 3 to 63 lower-case letters, digits, dots and hyphens, a letter or a digit at both ends
/// and on both sides of each dot, not an IPv4 address.
///
/// Reserved prefixes and suffixes are accepted, as the alias of an access point is used like a bucket name; [`check_kind`] rejects
/// the kinds that are not supported.
///
/// # Errors
/// A fault of `bucket`.
pub fn check_aws(name: &str) -> Result<(), Failure> {
    if !(3..=63).contains(&name.len()) {
        return Err(fault(name, "a bucket's name has 3 to 63 characters"));
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-') {
        return Err(fault(name, "a bucket's name has only lower-case letters, digits, dots and hyphens"));
    }
    if !name.split('.').all(is_dns_label) {
        return Err(fault(name, "a bucket's name has a letter or a digit at both ends and beside each dot"));
    }
    if is_ipv4(name) {
        return Err(fault(name, "a bucket's name must not look like an IP address"));
    }
    Ok(())
}

/// Rejects kinds of AWS buckets and access points that are not supported.
///
/// # Errors
/// A fault of `bucket` that names the kind.
pub fn check_kind(name: &str) -> Result<(), Failure> {
    let kinds = [
        (
            "--x-s3",
            "directory buckets (S3 Express One Zone) have sessions and hosts of their own, which are not supported",
        ),
        ("--xa-s3", "access points of directory buckets are not supported"),
        ("--ol-s3", "access points of Object Lambda are not supported"),
        ("--op-s3", "S3 on Outposts is not supported"),
        ("--table-s3", "the buckets of S3 Tables are not supported"),
        (".mrap", "access points of several regions need SigV4A signatures, which are not supported"),
    ];
    match kinds.iter().find(|(end, _)| name.ends_with(end)) {
        Some((_, why)) => Err(fault(name, why)),
        None => Ok(()),
    }
}

/// Checks a name for another service, which may follow the first rules of Amazon: 3 to 255 letters of either
/// case, digits, dots, hyphens and underscores, a letter or a digit first, and no two dots in a row.
///
/// # Errors
/// A fault of `bucket`.
pub fn check_custom(name: &str) -> Result<(), Failure> {
    if !(3..=255).contains(&name.len()) {
        return Err(fault(name, "a bucket's name has 3 to 255 characters"));
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
        return Err(fault(name, "a bucket's name has only letters, digits, dots, hyphens and underscores"));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || name.contains("..") {
        return Err(fault(name, "a bucket's name begins with a letter or a digit and has no two dots in a row"));
    }
    Ok(())
}

/// Whether the name can be one label of a host name, as matched by `*` in a certificate: 1 to 63 lower-case
/// letters, digits and hyphens, no hyphen at either end.
pub fn is_dns_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn fault(name: &str, rule: &str) -> Failure {
    Error::fault(
        "bucket",
        format!("the bucket \"{}\" cannot be: {rule}", sandbucket_plugin::contract::error::tidy(name, 80)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_amazon_s3() {
        for good in ["abc", "a-b", "my.bucket.1", "1234", "a--b", "x-s3alias", &"n".repeat(63)] {
            check_aws(good).unwrap();
        }
        let long = "n".repeat(64);
        for bad in [
            "", "ab", &long, "Abc", "a_b", "a/b", "-ab", "ab-", ".ab", "ab.", "a..b", "a.-b", "a-.b", "1.2.3.4", "é12",
            "a b c", "a\nbc",
        ] {
            assert_eq!(check_aws(bad).unwrap_err().subject.as_deref(), Some("bucket"), "{bad:?}");
        }
    }

    #[test]
    fn bucket_names_follow_the_rules_of_other_services() {
        for good in ["abc", "My_Bucket", "a-.b", "ab-", "192.168.0.1", &"n".repeat(255)] {
            check_custom(good).unwrap();
        }
        let long = "n".repeat(256);
        for bad in ["ab", &long, "a..b", "a/b", ".ab", "..", "../", "-ab", "a?b", "a#b", "a%2F", "é12", "a\r\nb"] {
            assert_eq!(check_custom(bad).unwrap_err().subject.as_deref(), Some("bucket"), "{bad:?}");
        }
    }

    #[test]
    fn dns_labels_are_recognized() {
        for good in ["a", "a-b", "1", &"n".repeat(63)] {
            assert!(is_dns_label(good), "{good}");
        }
        for bad in ["", "a.b", "A", "-a", "a-", "a_b", &"n".repeat(64)] {
            assert!(!is_dns_label(bad), "{bad}");
        }
    }
}
