//! Attributes of calls (`call-options.attributes`): arguments that only one service knows.
//!
//! [`Service::attributes`](crate::Service::attributes) documents them. A plugin whose attributes are one list for all operations needs
//! no more: the default of [`Service::begin`](crate::Service::begin) checks them with [`check`]. Where operations differ, each
//! attribute is in one of up to 16 [`AttributeGroups`], an operation accepts a set of these groups, and [`accepted`] matches the call's
//! attributes with the rows of the plugin's table ([`AttributeRow`]).

use std::borrow::Cow;

use crate::contract::error::{Error, Failure, Kind, tidy};
use crate::contract::model::CallOptions;

/// Documentation of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attribute {
    /// Name in kebab-case.
    pub name: &'static str,
    /// Whether the value must never be displayed or logged.
    pub secret: bool,
    /// One line for people: which operations accept it, and the syntax of the value.
    pub help: Cow<'static, str>,
}

impl Attribute {
    /// An attribute that is not secret.
    pub fn new(name: &'static str, help: impl Into<Cow<'static, str>>) -> Attribute {
        Attribute { name, secret: false, help: help.into() }
    }

    /// One whose value must never be displayed or logged.
    pub fn secret(self) -> Attribute {
        Attribute { secret: true, ..self }
    }
}

/// A set of up to 16 groups of attributes: the group of one, or those that an operation accepts.
///
/// ```
/// use sandbucket_plugin::attributes::AttributeGroups;
///
/// const CONTENT: AttributeGroups = AttributeGroups::group(0);
/// const LEASE: AttributeGroups = AttributeGroups::group(1);
/// const PUT: AttributeGroups = CONTENT.union(LEASE);
///
/// assert!(PUT.contains(LEASE) && !LEASE.contains(PUT));
/// assert!(LEASE.contains(AttributeGroups::NONE));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeGroups(u16);

impl AttributeGroups {
    /// No group. Every operation accepts an attribute that is in none.
    pub const NONE: AttributeGroups = AttributeGroups(0);

    /// The group of this number, from 0 to 15. Panics if it is larger, in a constant at compile time.
    pub const fn group(number: u32) -> AttributeGroups {
        assert!(number < u16::BITS, "a group's number is from 0 to 15");
        AttributeGroups(1 << number)
    }

    /// The groups of both.
    #[inline]
    pub const fn union(self, other: AttributeGroups) -> AttributeGroups {
        AttributeGroups(self.0 | other.0)
    }

    /// Whether all groups of `other` are among these.
    #[inline]
    pub const fn contains(self, other: AttributeGroups) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A row of a plugin's table of attributes.
pub trait AttributeRow {
    /// Name in kebab-case.
    fn name(&self) -> &'static str;

    /// Its group: operations accept it whose groups contain this one. Default: none, all operations accept it.
    fn group(&self) -> AttributeGroups {
        AttributeGroups::NONE
    }
}

impl AttributeRow for Attribute {
    fn name(&self) -> &'static str {
        self.name
    }
}

/// The row of this name, if an operation that accepts these groups accepts it.
#[inline]
pub fn find<'t, R: AttributeRow>(table: &'t [R], name: &str, accepts: AttributeGroups) -> Option<&'t R> {
    table.iter().find(|row| row.name() == name && accepts.contains(row.group()))
}

/// The attributes of a call, each with its row in the table, for an operation that accepts these groups.
///
/// # Errors
/// [`Kind::Unsupported`] for one that the operation does not accept, [`Kind::InvalidArgument`] for one given twice. The message
/// contains no value.
#[inline]
pub fn accepted<'a, R: AttributeRow>(
    table: &'a [R],
    call: &'a CallOptions,
    accepts: AttributeGroups,
) -> impl Iterator<Item = Result<(&'a R, &'a str), Failure>> {
    let given = &call.attributes;
    given.iter().enumerate().map(move |(n, (name, value))| {
        let row = find(table, name, accepts).ok_or_else(|| unsupported(table, name, accepts))?;
        if given[..n].iter().any(|(before, _)| before == name) {
            return Err(Error::fault(row.name(), format!("the attribute {} is given twice", row.name())));
        }
        Ok((row, value.as_str()))
    })
}

/// Checks that a call has only attributes of this table, each once.
///
/// # Errors
/// As [`accepted`].
pub fn check(table: &[Attribute], call: &CallOptions) -> Result<(), Failure> {
    accepted(table, call, AttributeGroups::NONE).try_for_each(|given| given.map(drop))
}

fn unsupported<R: AttributeRow>(table: &[R], name: &str, accepts: AttributeGroups) -> Failure {
    let name = tidy(name, 64);
    let known: Vec<&str> = table.iter().filter(|row| accepts.contains(row.group())).map(R::name).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let mut fault =
        Error::fault(&name, format!("there is no attribute \"{name}\" here: this operation accepts {known}"));
    fault.kind = Kind::Unsupported;
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: AttributeGroups = AttributeGroups::group(0);
    const LAST: AttributeGroups = AttributeGroups::group(15);

    struct Row(&'static str, AttributeGroups);

    impl AttributeRow for Row {
        fn name(&self) -> &'static str {
            self.0
        }

        fn group(&self) -> AttributeGroups {
            self.1
        }
    }

    const TABLE: [Row; 3] = [Row("any", AttributeGroups::NONE), Row("content", CONTENT), Row("last", LAST)];

    fn names(accepts: AttributeGroups, given: &[(&str, &str)]) -> Result<Vec<&'static str>, Failure> {
        let attributes = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let call = CallOptions { attributes, ..CallOptions::default() };
        accepted(&TABLE, &call, accepts).map(|given| given.map(|(row, _)| row.0)).collect()
    }

    #[test]
    fn operation_accepts_attributes_of_its_groups_and_those_in_none() {
        assert_eq!(names(CONTENT.union(LAST), &[("last", "1"), ("content", "2")]).unwrap(), ["last", "content"]);
        assert_eq!(names(AttributeGroups::NONE, &[("any", "1")]).unwrap(), ["any"]);
        let fault = names(CONTENT, &[("any", "1"), ("last", "hidden")]).unwrap_err();
        assert_eq!((fault.kind, fault.subject.as_deref()), (Kind::Unsupported, Some("last")));
        assert!(fault.message.ends_with("this operation accepts any, content"), "{fault}");
    }

    #[test]
    fn attribute_given_twice_is_rejected_without_its_value() {
        let fault = names(CONTENT, &[("content", "hidden"), ("any", "1"), ("content", "hidden")]).unwrap_err();
        assert_eq!((fault.kind, fault.subject.as_deref()), (Kind::InvalidArgument, Some("content")));
        assert!(!fault.message.contains("hidden"), "{fault}");
    }

    #[test]
    fn plugin_without_attributes_accepts_none() {
        let call = CallOptions { attributes: vec![("acl".into(), "x".into())], ..CallOptions::default() };
        assert!(check(&[], &call).unwrap_err().message.ends_with("accepts none"));
        assert_eq!(check(&[Attribute::new("acl", "").secret()], &call), Ok(()));
    }
}
