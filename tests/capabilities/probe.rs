//! A probe: an operation on a service, and its outcome.

use std::fmt::Debug;

use futures::future::BoxFuture;
use sandbucket::{Error, Store};
use sandbucket_tests::Service;

/// A probe of one capability.
pub struct Probe {
    /// Its name in the table.
    pub name: &'static str,
    /// Runs it.
    pub run: for<'a> fn(Bench<'a>) -> BoxFuture<'a, Outcome>,
}

/// The environment of a probe.
pub struct Bench<'a> {
    pub service: &'a Service,
    /// Without retries: the first response counts.
    pub store: Store,
    /// A prefix that only this probe uses.
    pub folder: String,
}

impl Bench<'_> {
    /// A key of this probe.
    pub fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }
}

/// Whether the service has the capability.
pub type Outcome = Result<(), Lack>;

/// Why it does not.
#[derive(Debug)]
pub enum Lack {
    /// The service's response, or its deviating behaviour.
    Service(String),
    /// The plugin or the host failed, or rejected the operation.
    Ours(String),
}

impl From<Error> for Lack {
    fn from(error: Error) -> Self {
        let Some(failure) = error.failure() else { return Lack::Ours(error.to_string()) };
        match (&failure.response, &error) {
            (Some(response), _) => {
                let code = response.code.as_deref().map_or(String::new(), |code| format!(" `{code}`"));
                Lack::Service(format!("responds {}{code}", response.status))
            }
            // No response, or a malformed one.
            (None, Error::Integrity(_) | Error::Network(_) | Error::Timeout(_)) if failure.attempts > 0 => {
                let words = failure.message.split_once("http://").and_then(|(_, rest)| rest.split_once(": "));
                Lack::Service(words.map_or(failure.message.as_str(), |(_, words)| words).to_owned())
            }
            _ => Lack::Ours(error.to_string()),
        }
    }
}

/// Compares a value of a successful response.
pub fn same<T: PartialEq + Debug>(what: &str, got: T, wanted: T) -> Outcome {
    if got == wanted {
        return Ok(());
    }
    holds(false, || format!("{what} is {got:?} instead of {wanted:?}"))
}

/// Checks a property of a successful response.
pub fn holds(truth: bool, what: impl FnOnce() -> String) -> Outcome {
    if truth { Ok(()) } else { Err(Lack::Service(what())) }
}

/// The service must reject this with the given error; any other outcome is reported.
#[macro_export]
macro_rules! must_refuse {
    ($result:expr, $case:ident) => {
        match $result {
            Err(sandbucket::Error::$case(_)) => {}
            Err(other) => return Err(other.into()),
            Ok(_) => return Err($crate::probe::Lack::Service("does it whatever the condition".to_owned())),
        }
    };
}

/// A probe with this name and body.
#[macro_export]
macro_rules! probe {
    ($name:literal, |$bench:ident| $body:block) => {
        $crate::probe::Probe {
            name: $name,
            run: |$bench| {
                Box::pin(async move {
                    $body
                    #[allow(unreachable_code)]
                    Ok(())
                })
            },
        }
    };
}
