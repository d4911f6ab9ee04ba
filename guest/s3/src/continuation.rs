//! Continuations of listings: the position after a page, as an opaque text that the caller passes to the next call.

use sandbucket_plugin::contract::error::{Error, Failure};

fn invalid() -> Failure {
    Error::fault("continuation", "this continuation is of no page of this store: begin again without it")
}

/// Position after a page of blobs, parts or buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page<'a> {
    /// The service's continuation token or marker.
    Token(&'a str),
    /// After this key, for services without tokens.
    After(&'a str),
}

impl<'a> Page<'a> {
    /// Formats it for the caller.
    pub fn write(self) -> String {
        match self {
            Page::Token(token) => format!("t{token}"),
            Page::After(key) => format!("k{key}"),
        }
    }

    /// Parses the caller's text.
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

/// Position after a page of versions or of uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions<'a> {
    /// Last key.
    pub key: &'a str,
    /// Its last version, or the id of its last upload. May be empty.
    pub version: &'a str,
}

impl<'a> Versions<'a> {
    /// Formats it for the caller, with the version's length first: both texts may contain any character.
    pub fn write(self) -> String {
        format!("{}:{}{}", self.version.len(), self.version, self.key)
    }

    /// Parses the caller's text.
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
