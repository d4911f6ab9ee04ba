//! What surrounds the process: variables and the user's home. Tests bring their own.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use zeroize::{Zeroize, Zeroizing};

use super::input::MAX_SECRET;
use crate::text::shown;

#[derive(Clone)]
pub(crate) struct Environment {
    variables: Variables,
}

#[derive(Clone)]
enum Variables {
    OfProcess,
    #[cfg_attr(
        not(any(test, feature = "fuzzing")),
        expect(dead_code, reason = "tests must not touch the process's own")
    )]
    These(HashMap<String, OsString>),
}

impl Environment {
    pub(crate) fn of_process() -> Environment {
        Environment { variables: Variables::OfProcess }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of<V: AsRef<std::ffi::OsStr> + ?Sized>(variables: &[(&str, &V)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.as_ref().to_owned()));
        Environment { variables: Variables::These(variables.collect()) }
    }

    /// A variable that is set, to something. The copy returned is wiped when dropped; the environment itself stays.
    ///
    /// # Errors
    /// One longer than 64 KiB, or that is not UTF-8, in words that hold nothing of it.
    pub(crate) fn variable(&self, name: &str) -> Result<Option<Zeroizing<String>>, String> {
        let Some(value) = self.raw(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        let (length, value) = (value.len() as u64, String::from_utf8(value.into_encoded_bytes()));
        match value {
            Ok(value) if length <= MAX_SECRET => Ok(Some(Zeroizing::new(value))),
            Ok(mut value) => {
                value.zeroize();
                Err(format!("the variable {} is longer than {MAX_SECRET} bytes", shown(name)))
            }
            Err(error) => {
                error.into_bytes().zeroize();
                Err(format!("the variable {} is not UTF-8 text", shown(name)))
            }
        }
    }

    /// A file in the folder `.aws`, unless this variable names another; and whether it does.
    pub(crate) fn aws_file(&self, variable: &str, name: &str) -> Option<(PathBuf, bool)> {
        match self.path(variable) {
            Some(path) => Some((self.expand_home(path), true)),
            None => self.path("HOME").map(|home| (home.join(".aws").join(name), false)),
        }
    }

    /// Replaces `~/` at the beginning of a path by the user's home.
    pub(crate) fn expand_home(&self, path: PathBuf) -> PathBuf {
        match (path.strip_prefix("~/"), self.path("HOME")) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path,
        }
    }

    fn path(&self, variable: &str) -> Option<PathBuf> {
        self.raw(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    fn raw(&self, name: &str) -> Option<OsString> {
        match &self.variables {
            Variables::OfProcess => std::env::var_os(name),
            Variables::These(variables) => variables.get(name).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn variable_that_is_not_utf8_is_named_and_not_shown() {
        let bytes = std::ffi::OsStr::from_bytes(b"hush\xff");
        let environment = Environment::of(&[("SECRET", bytes)]);
        assert_eq!(environment.variable("SECRET").unwrap_err(), "the variable SECRET is not UTF-8 text");
        assert!(environment.variable("OTHER").unwrap().is_none());
        // No name of a variable makes it panic.
        let process = Environment::of_process();
        for odd in ["", "=", "a=b", "a\0b"] {
            assert!(process.variable(odd).unwrap().is_none(), "{odd:?}");
        }
    }
}
