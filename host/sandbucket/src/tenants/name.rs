//! Names of tenants: they appear in keys of configuration, file names, metrics and logs.

/// Maximum length of a name, in bytes.
const MAX_NAME: usize = 63;

/// Checks that a name has 1 to 63 of the characters `a-z`, `0-9`, `-`, `_` and `.`, and begins with none of `.` and `-`.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let is_allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME || name.starts_with(['.', '-']) || !name.bytes().all(is_allowed) {
        return Err(format!(
            "a tenant's name has 1 to {MAX_NAME} of the characters a-z, 0-9, '-', '_' and '.', and does not begin with '.' or '-'"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_plain() {
        for name in ["a", "alice", "a.b-c_9", "0", &"x".repeat(63)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", ".a", "-a", "A", "a/b", "a b", "ä", "a\0", "..", &"x".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
