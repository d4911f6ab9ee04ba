//! Validation of container names.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>

use sandbucket_plugin::contract::error::{Error, Failure, tidy};

/// Containers of the service that break the rules for others.
const SYSTEM: [&str; 4] = ["$root", "$web", "$logs", "$blobchangefeed"];

/// Checks a name: 3 to 63 lower-case letters, digits and hyphens, a letter or a digit at both ends and beside each hyphen; or a
/// container of the service, such as `$web`.
///
/// # Errors
/// A fault of `subject`.
pub fn check(subject: &str, name: &str) -> Result<(), Failure> {
    if SYSTEM.contains(&name) {
        return Ok(());
    }
    let fault = |rule: &str| Error::fault(subject, format!("the container \"{}\" cannot be: {rule}", tidy(name, 80)));
    if !(3..=63).contains(&name.len()) {
        return Err(fault("a container's name has 3 to 63 characters"));
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err(fault("a container's name has only lower-case letters, digits and hyphens"));
    }
    if name.split('-').any(str::is_empty) {
        return Err(fault("a container's name has a letter or a digit at both ends and beside each hyphen"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_names_follow_the_rules_of_azure() {
        for good in ["abc", "a-b", "1-2-3", "$root", "$web", &"n".repeat(63)] {
            check("container", good).unwrap();
        }
        for bad in ["", "ab", &"n".repeat(64), "Abc", "a_b", "a.b", "-ab", "ab-", "a--b", "$other", "a/b", "é12", "a b"]
        {
            assert_eq!(check("container", bad).unwrap_err().subject.as_deref(), Some("container"), "{bad:?}");
        }
    }
}
