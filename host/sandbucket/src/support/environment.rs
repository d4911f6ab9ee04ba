//! The process environment: variables and the user's home. Tests substitute their own.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use zeroize::{Zeroize, Zeroizing};

use super::input::MAX_SECRET;
use crate::text::shown;

#[derive(Clone)]
pub(crate) struct Environment {
    variables: Variables,
    /// Whether variables only say where files are.
    only_places: bool,
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
        Environment { variables: Variables::OfProcess, only_places: false }
    }

    /// The same without values: what remains is where the user's home and AWS's shared files are.
    pub(crate) fn only_places(&self) -> Environment {
        Environment { variables: self.variables.clone(), only_places: true }
    }

    /// Whether it is the process's own.
    pub(crate) fn is_of_process(&self) -> bool {
        matches!(self.variables, Variables::OfProcess)
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of<V: AsRef<std::ffi::OsStr> + ?Sized>(variables: &[(&str, &V)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.as_ref().to_owned()));
        Environment { variables: Variables::These(variables.collect()), only_places: false }
    }

    /// A variable that is set and not empty. The returned copy is wiped on drop; the environment itself remains.
    ///
    /// # Errors
    /// If it is longer than 64 KiB or not UTF-8; the message contains nothing of it.
    pub(crate) fn variable(&self, name: &str) -> Result<Option<Zeroizing<String>>, String> {
        if self.only_places {
            return Ok(None);
        }
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

    /// A file in the folder `.aws`, or the one that this variable names; and whether the variable names it.
    pub(crate) fn aws_file(&self, variable: &str, name: &str) -> Option<(PathBuf, bool)> {
        match self.path(variable) {
            Some(path) => Some((self.expand_home(path), true)),
            None => self.path("HOME").map(|home| (home.join(".aws").join(name), false)),
        }
    }

    /// Expands a leading `~/` to the user's home.
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
        assert!(environment.only_places().variable("SECRET").unwrap().is_none());
        // No variable name panics.
        let process = Environment::of_process();
        for odd in ["", "=", "a=b", "a\0b"] {
            assert!(process.variable(odd).unwrap().is_none(), "{odd:?}");
        }
    }
}
