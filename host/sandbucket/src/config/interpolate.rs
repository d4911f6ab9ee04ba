//! Interpolation of values: `%{env:NAME}%` and `%{file:PATH}%`, and `%{%}%` for a literal `%`.

use std::path::Path;

use zeroize::Zeroizing;

use crate::support::environment::Environment;
use crate::support::input::{self, MAX_SECRET};
use crate::text::shown;

/// Maximum number of references per value.
const MAX_REFERENCES: usize = 16;

/// Maximum length of a reference in bytes: that of a path.
const MAX_REFERENCE: usize = 4096;

/// Advice on how to write a literal `%{`.
const HOW_LITERAL: &str = "a `%{` that is to be taken as it is, as in a password, is written `%{%}%{`";

/// Replaces the references of a value; inserted text is not interpolated again. A value with everything it refers to has at
/// most 64 KiB. What is read is wiped, and so is the value on drop.
///
/// # Errors
/// If something is missing or too long; the message contains nothing of what was read.
pub(crate) fn interpolate(text: &str, environment: &Environment) -> Result<Zeroizing<String>, String> {
    let mut found: Vec<(&str, Zeroizing<String>)> = Vec::new();
    let mut length = text.len();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("%{") {
        let Some((reference, after)) = after.split_once("}%") else {
            return Err(format!("a `%{{` without its `}}%`; {HOW_LITERAL}"));
        };
        if found.len() == MAX_REFERENCES {
            return Err(format!("more than {MAX_REFERENCES} references, `%{{…}}%`, in one value"));
        }
        let value = look_up(reference, environment)?;
        length += value.len();
        check_length(length)?;
        found.push((before, value));
        rest = after;
    }
    check_length(length)?;
    // It must not grow, because outgrown buffers are not wiped.
    let mut out = Zeroizing::new(String::with_capacity(length));
    for (before, value) in &found {
        out.push_str(before);
        out.push_str(value);
    }
    out.push_str(rest);
    Ok(out)
}

fn check_length(length: usize) -> Result<(), String> {
    if length as u64 > MAX_SECRET {
        return Err(format!("the value is longer than {MAX_SECRET} bytes, with all that it refers to"));
    }
    Ok(())
}

fn look_up(reference: &str, environment: &Environment) -> Result<Zeroizing<String>, String> {
    if reference.len() > MAX_REFERENCE {
        return Err(format!("a `%{{…}}%` with more than {MAX_REFERENCE} bytes between `%{{` and `}}%`"));
    }
    match reference.split_once(':') {
        Some(("env", name)) => {
            let name = name.trim();
            environment.variable(name)?.ok_or_else(|| format!("the variable {} is not set", shown(name)))
        }
        Some(("file", path)) => {
            let path = path.trim();
            let mut text = input::read_text(Path::new(path), MAX_SECRET)
                .map_err(|error| format!("the file {} {error}", shown(path)))?;
            let end = text.trim_end_matches(['\r', '\n']).len();
            text.truncate(end);
            Ok(text)
        }
        None if reference == "%" => Ok(Zeroizing::new("%".to_owned())),
        // Not shown: it may be part of a secret.
        _ => Err(format!("a `%{{…}}%` that is neither `%{{env:NAME}}%` nor `%{{file:PATH}}%`; {HOW_LITERAL}")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn variables_and_files_are_interpolated_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "s3cr%{env:A}%t\r\n\n").unwrap();
        let environment = Environment::of(&[("A", "one"), ("EMPTY", "")]);
        let put = |text: &str| interpolate(text, &environment).map(|text| text.to_string());
        assert_eq!(put("plain 100% {x}").unwrap(), "plain 100% {x}");
        assert_eq!(put("<%{env:A}%-%{env: A }%>").unwrap(), "<one-one>");
        assert_eq!(put(&format!("%{{file:{}}}%", path.display())).unwrap(), "s3cr%{env:A}%t");
        assert!(put("%{env:NONE}%").unwrap_err().contains("NONE"));
        assert!(put("%{env:EMPTY}%").is_err());
        assert!(put("%{file:/no/such/file}%").unwrap_err().contains("/no/such/file"));
        assert!(put("%{file:/dev/zero}%").unwrap_err().contains("longer"));
        assert!(put("%{env:A").unwrap_err().contains("}%"));
        assert_eq!(put("ab%{%}%{cd").unwrap(), "ab%{cd");
        assert_eq!(put("%{%}%{env:A}%%{%}%%{env:A}%").unwrap(), "%{env:A}%%one");
        assert!(put("ab%{cd").unwrap_err().contains("is written `%{%}%{`"));
        assert!(put("ab%{cd}%").unwrap_err().contains("is written `%{%}%{`"));
        assert!(put("%{vault:x}%").unwrap_err().contains("%{env:NAME}%"));
    }

    #[test]
    fn number_and_length_of_references_are_bounded() {
        let long = "x".repeat(MAX_SECRET as usize);
        let half = "x".repeat(MAX_SECRET as usize / 2 + 1);
        let longer = format!("{long}x");
        let environment = Environment::of(&[("A", "one"), ("LONG", &long), ("LONGER", &longer), ("HALF", &half)]);
        let put = |text: &str| interpolate(text, &environment).map(|text| text.len());
        let error = |text: &str| put(text).unwrap_err();
        assert_eq!(put(&"%{env:A}%".repeat(MAX_REFERENCES)), Ok(3 * MAX_REFERENCES));
        assert!(error(&"%{env:A}%".repeat(MAX_REFERENCES + 1)).contains("more than 16 references"));
        assert!(error(&"%{env:A}%".repeat(100_000)).contains("longer than 65536 bytes"));
        assert!(error(&"%{".repeat(500_000)).contains("without its"));
        assert!(error(&format!("%{{file:{}}}%", "a/".repeat(100_000))).contains("4096 bytes"));
        assert!(error("%{env:LONGER}%").contains("the variable LONGER is longer than 65536 bytes"));
        assert!(error("%{env:HALF}%%{env:HALF}%").contains("with all that it refers to"));
        assert!(error(&longer).contains("longer than 65536 bytes"));
        assert!(error(&format!("%{{env:{}}}%", "N".repeat(4000))).len() < 500);
        assert!(!error("%{env:a\u{1b}[31m\n}%").contains(['\u{1b}', '\n']));
    }
}
