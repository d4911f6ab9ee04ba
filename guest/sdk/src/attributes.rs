//! Attributes of calls (`call-options.attributes`): arguments that only one service knows.

use std::borrow::Cow;

use crate::contract::error::{Error, Failure, Kind, tidy};
use crate::contract::model::CallOptions;

/// Documentation of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Name in kebab-case.
    pub name: &'static str,
    /// Whether the value must never be displayed or logged.
    pub secret: bool,
    /// One line for people: which operations accept it, and the syntax of the value.
    pub help: Cow<'static, str>,
}

/// Checks that a call has only attributes of this table, each once.
///
/// # Errors
/// [`Kind::Unsupported`] for one that is not in the table, [`Kind::InvalidArgument`] for one given twice. The message has no value.
pub fn check(table: &[Attribute], call: &CallOptions) -> Result<(), Failure> {
    for (n, (name, _)) in call.attributes.iter().enumerate() {
        let shown = tidy(name, 64);
        if !table.iter().any(|known| known.name == name) {
            let mut fault = Error::fault(&shown, format!("there is no attribute \"{shown}\" here"));
            fault.kind = Kind::Unsupported;
            return Err(fault);
        }
        if call.attributes[..n].iter().any(|(before, _)| before == name) {
            return Err(Error::fault(&shown, format!("the attribute {shown} is given twice")));
        }
    }
    Ok(())
}
