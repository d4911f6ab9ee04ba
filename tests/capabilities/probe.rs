//! A probe: something that is done on a service, and what came of it.

use std::fmt::Debug;

use futures::future::BoxFuture;
use sandbucket::{Error, Store};
use sandbucket_tests::Service;

/// Something that a service may be able to do.
pub struct Probe {
    /// As the table has it.
    pub name: &'static str,
    /// Does it.
    pub run: for<'a> fn(Bench<'a>) -> BoxFuture<'a, Outcome>,
}

/// What a probe works with.
pub struct Bench<'a> {
    pub service: &'a Service,
    /// Without retries: what the service says first is what counts.
    pub store: Store,
    /// What only this probe uses.
    pub folder: String,
}

impl Bench<'_> {
    /// A key of this probe's own.
    pub fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }
}

/// Whether it can.
pub type Outcome = Result<(), Lack>;

/// Why not.
#[derive(Debug)]
pub enum Lack {
    /// What the service answered, or did instead.
    Service(String),
    /// The plugin or the host failed, or would not even ask.
    Ours(String),
}

impl From<Error> for Lack {
    fn from(error: Error) -> Self {
        let Some(failure) = error.failure() else { return Lack::Ours(error.to_string()) };
        match (&failure.response, &error) {
            (Some(answer), _) => {
                let code = answer.code.as_deref().map_or(String::new(), |code| format!(" `{code}`"));
                Lack::Service(format!("answers {}{code}", answer.status))
            }
            // What came was no answer, or not the one announced.
            (None, Error::Integrity(_) | Error::Network(_) | Error::Timeout(_)) if failure.attempts > 0 => {
                let words = failure.message.split_once("http://").and_then(|(_, rest)| rest.split_once(": "));
                Lack::Service(words.map_or(failure.message.as_str(), |(_, words)| words).to_owned())
            }
            _ => Lack::Ours(error.to_string()),
        }
    }
}

/// The service answered well, but not with this.
pub fn same<T: PartialEq + Debug>(what: &str, got: T, wanted: T) -> Outcome {
    if got == wanted {
        return Ok(());
    }
    holds(false, || format!("{what} is {got:?} instead of {wanted:?}"))
}

/// The service answered well, but this does not hold.
pub fn holds(truth: bool, what: impl FnOnce() -> String) -> Outcome {
    if truth { Ok(()) } else { Err(Lack::Service(what())) }
}

/// The service must refuse this in the case given; that it does something else is told.
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

/// A probe of this name: what is done with the bench.
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
