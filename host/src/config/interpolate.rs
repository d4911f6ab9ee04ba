//! `%{env:NAME}%` and `%{file:PATH}%`: values that are kept elsewhere.

use std::fs;
use std::io::Read;

use super::environment::Environment;

/// The longest file that can be a value, in bytes: a secret is short, and a path may lead anywhere.
const MAX_FILE: u64 = 64 * 1024;

/// Puts in what is referred to. What was put in is not looked at again.
///
/// # Errors
/// What cannot be found, in words that hold nothing of what was found.
pub(super) fn interpolate(text: &str, environment: &Environment) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("%{") {
        out.push_str(before);
        let Some((reference, after)) = after.split_once("}%") else {
            return Err("a `%{` without its `}%`".to_owned());
        };
        out.push_str(&look_up(reference, environment)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn look_up(reference: &str, environment: &Environment) -> Result<String, String> {
    match reference.split_once(':') {
        Some(("env", name)) => {
            environment.variable(name.trim()).ok_or_else(|| format!("the variable {} is not set", name.trim()))
        }
        Some(("file", path)) => {
            let path = path.trim();
            let failed = |error: std::io::Error| format!("the file {path} cannot be read: {error}");
            let mut text = String::new();
            let file = fs::File::open(path).map_err(failed)?;
            // What a device or a pipe will give is not to be known beforehand.
            file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
            if text.len() as u64 > MAX_FILE {
                return Err(format!("the file {path} is longer than {MAX_FILE} bytes: that is no setting"));
            }
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        // Not shown: it may be part of a secret that happens to look so.
        _ => Err("a `%{…}%` that is neither `%{env:NAME}%` nor `%{file:PATH}%`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_files_are_put_in_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "s3cr%{env:A}%t\r\n\n").unwrap();
        let environment = Environment::of(&[("A", "one"), ("EMPTY", "")]);
        let put = |text: &str| interpolate(text, &environment);
        assert_eq!(put("plain 100% {x}").unwrap(), "plain 100% {x}");
        assert_eq!(put("<%{env:A}%-%{env: A }%>").unwrap(), "<one-one>");
        assert_eq!(put(&format!("%{{file:{}}}%", path.display())).unwrap(), "s3cr%{env:A}%t");
        assert!(put("%{env:NONE}%").unwrap_err().contains("NONE"));
        assert!(put("%{env:EMPTY}%").is_err());
        assert!(put("%{file:/no/such/file}%").unwrap_err().contains("/no/such/file"));
        assert!(put("%{file:/dev/zero}%").unwrap_err().contains("longer"));
        assert!(put("%{env:A").unwrap_err().contains("}%"));
        assert!(put("%{vault:x}%").unwrap_err().contains("%{env:NAME}%"));
    }
}
