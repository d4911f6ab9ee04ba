//! Where a page of a listing ended, as one opaque text for the caller to hand back.

use crate::contract::error::{Error, Failure};

fn invalid() -> Failure {
    Error::fault("continuation", "this continuation is of no page of this store: begin again without it")
}

/// Where a page of blobs or of parts ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page<'a> {
    /// As the service says it.
    Token(&'a str),
    /// After this key, from a service that says nothing.
    After(&'a str),
}

impl<'a> Page<'a> {
    /// As the caller gets it.
    pub fn write(self) -> String {
        match self {
            Page::Token(token) => format!("t{token}"),
            Page::After(key) => format!("k{key}"),
        }
    }

    /// As the caller gave it back.
    ///
    /// # Errors
    /// A fault of `continuation`.
    pub fn read(text: &'a str) -> Result<Self, Failure> {
        match text.split_at_checked(1) {
            Some(("t", token)) if !token.is_empty() => Ok(Page::Token(token)),
            Some(("k", key)) if !key.is_empty() => Ok(Page::After(key)),
            _ => Err(invalid()),
        }
    }
}

/// Where a page of versions, or of uploads, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions<'a> {
    /// The last key.
    pub key: &'a str,
    /// Its last version, or the id of its last upload; may be empty.
    pub version: &'a str,
}

impl<'a> Versions<'a> {
    /// As the caller gets it: the length of the version comes first, as either may hold any character.
    pub fn write(self) -> String {
        format!("{}:{}{}", self.version.len(), self.version, self.key)
    }

    /// As the caller gave it back.
    ///
    /// # Errors
    /// A fault of `continuation`.
    pub fn read(text: &'a str) -> Result<Self, Failure> {
        let (length, rest) = text.split_once(':').ok_or_else(invalid)?;
        let length = length.parse().map_err(|_| invalid())?;
        let (version, key) = rest.split_at_checked(length).ok_or_else(invalid)?;
        Ok(Versions { key, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn continuation_round_trips(key in "\\PC{1,20}", version in "\\PC{0,20}") {
            for page in [Page::Token(&key), Page::After(&key)] {
                let written = page.write();
                proptest::prop_assert_eq!(Page::read(&written), Ok(page));
            }
            let versions = Versions { key: &key, version: &version };
            let written = versions.write();
            proptest::prop_assert_eq!(Versions::read(&written), Ok(versions));
        }

        #[test]
        fn random_text_never_panics(text in "[tk0-9:é]{0,8}|\\PC{0,20}") {
            let _ = (Page::read(&text), Versions::read(&text));
        }
    }

    #[test]
    fn invalid_continuation_is_rejected() {
        for text in ["", "t", "x", "ü"] {
            assert_eq!(Page::read(text).unwrap_err().subject.as_deref(), Some("continuation"));
        }
        for text in ["", ":", "9:x", "-1:x", "1:ü"] {
            assert_eq!(Versions::read(text).unwrap_err().subject.as_deref(), Some("continuation"));
        }
    }
}
