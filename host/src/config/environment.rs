//! What surrounds the process: variables and the user's home. Tests bring their own.

use std::collections::HashMap;
use std::path::PathBuf;

pub(super) struct Environment {
    variables: Variables,
}

enum Variables {
    OfProcess,
    #[cfg_attr(
        not(any(test, feature = "fuzzing")),
        expect(dead_code, reason = "tests must not touch the process's own")
    )]
    These(HashMap<String, String>),
}

impl Environment {
    pub(super) fn of_process() -> Environment {
        Environment { variables: Variables::OfProcess }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn of(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Environment { variables: Variables::These(variables.collect()) }
    }

    /// A variable that is set, to something.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let value = match &self.variables {
            Variables::OfProcess => std::env::var(name).ok(),
            Variables::These(variables) => variables.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }

    /// A file in the folder `.aws`, unless this variable names another.
    pub(super) fn aws_file(&self, variable: &str, name: &str) -> Option<PathBuf> {
        if let Some(path) = self.variable(variable) {
            return Some(match (path.strip_prefix("~/"), self.variable("HOME")) {
                (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
                _ => PathBuf::from(path),
            });
        }
        self.variable("HOME").map(|home| PathBuf::from(home).join(".aws").join(name))
    }
}
