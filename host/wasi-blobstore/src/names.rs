//! Names of containers and objects: their validation, and how errors show them.

/// Maximum length of a container's name, in bytes.
const MAX_CONTAINER: usize = 255;

/// How much of a name errors show, in characters.
const SHOWN: usize = 200;

/// A name in quotes, with unsafe characters escaped, and cut.
pub(crate) fn shown(name: &str) -> String {
    let start: String = name.chars().take(SHOWN).collect();
    let rest = if start.len() < name.len() { "…" } else { "" };
    format!("\"{}{rest}\"", sandbucket::text::escaped(&start))
}

/// Checks the name of a container: one segment of a path.
pub(crate) fn check_container(name: &str) -> Result<(), String> {
    let fault = match name {
        "" => "is empty",
        "." | ".." => "is a relative path",
        _ if name.len() > MAX_CONTAINER => "is longer than 255 bytes",
        _ if name.contains(['/', '\\']) => "contains a slash",
        _ if name.contains(sandbucket::text::is_unsafe_for_display) => "contains a control or invisible character",
        _ => return Ok(()),
    };
    Err(format!("container {}: the name {fault}", shown(name)))
}

/// Checks the name of an object. Below a prefix, segments that a service or a proxy may resolve are refused: they could name an
/// object of another container.
pub(crate) fn check_object(name: &str, below_prefix: bool) -> Result<(), String> {
    let relative = || name.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."));
    let fault = match name {
        "" => "is empty",
        _ if below_prefix && relative() => "has a segment \".\" or \"..\"",
        _ => return Ok(()),
    };
    Err(format!("object {}: the name {fault}", shown(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_name_is_one_segment() {
        for name in ["a", "photos 2026", "é", "...", ".hidden", "a:b", &"x".repeat(255)] {
            check_container(name).unwrap();
        }
        for name in ["", ".", "..", "a/b", "/", "a\\b", "a\0", "a\nb", "a\u{202e}b", &"x".repeat(256)] {
            check_container(name).unwrap_err();
        }
    }

    #[test]
    fn object_below_a_prefix_has_no_relative_segment() {
        for name in [".", "..", "../b", "a/../b", "a/..", "./a", "a/./b", "..\\b"] {
            check_object(name, true).unwrap_err();
            check_object(name, false).unwrap();
        }
        for name in ["a", "/", "a//b", "...", "a/..b", "..a/b", "%2e%2e/a"] {
            check_object(name, true).unwrap();
        }
        check_object("", false).unwrap_err();
    }

    #[test]
    fn shown_name_is_cut_and_escaped() {
        assert_eq!(shown("a\n"), "\"a\\n\"");
        assert_eq!(shown(&"é".repeat(201)), format!("\"{}…\"", "é".repeat(200)));
    }
}
