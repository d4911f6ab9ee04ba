//! User metadata as header fields: a prefix and the name, with values that are not ASCII as encoded words (RFC 2047).
//!
//! [`Rules`] are those of a service for names and sizes. [`Rules::push`] validates metadata and adds its header fields to a request;
//! [`Rules::read`] returns the metadata in a response.

use crate::contract::error::{Error, Failure, tidy};
use crate::contract::model::Pair;
use crate::http::encoded_words::{decode, encode};
use crate::http::headers::Headers;
use crate::http::response::Head;

/// A service's rules for user metadata.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Prefix of the header fields, in lower case: `x-amz-meta-`.
    pub prefix: &'static str,
    /// Maximum length of all names and values in bytes, as sent.
    pub max_bytes: usize,
    /// Whether the service takes this name. One that it takes consists of characters of header names
    /// ([`is_token`](crate::http::request::is_token)).
    pub is_name: fn(&str) -> bool,
    /// Which names it takes, for errors: `a name takes letters and digits`.
    pub names: &'static str,
    /// The service in errors: `S3`.
    pub service: &'static str,
}

impl Rules {
    /// Adds the header fields of a blob's metadata, names in lower case.
    ///
    /// # Errors
    /// A fault of `metadata`: a name that the service does not take or that is given twice, in any case; a value with control
    /// characters or with white space at an end; more than [`Rules::max_bytes`].
    pub fn push(&self, headers: &mut Headers, pairs: &[Pair]) -> Result<(), Failure> {
        let mut total = 0;
        for (name, value) in pairs {
            let wrong = |why: &str| Err(Error::fault("metadata", format!("metadata \"{}\" {why}", tidy(name, 64))));
            if !(self.is_name)(name) {
                return wrong(&format!("cannot be: {}", self.names));
            }
            if value.trim().len() != value.len() || value.chars().any(char::is_control) {
                return wrong("has a value with control characters, or white space at an end");
            }
            let value = encode(value);
            total += name.len() + value.len();
            let header = format!("{}{}", self.prefix, name.to_ascii_lowercase());
            if headers.iter().any(|(there, _)| *there == header) {
                return wrong("is given twice; case does not count");
            }
            headers.push((header.into(), value));
        }
        if total > self.max_bytes {
            let (service, max) = (self.service, self.max_bytes);
            let why =
                format!("the metadata are {total} bytes of names and values as they are sent; {service} takes {max}");
            return Err(Error::fault("metadata", why));
        }
        Ok(())
    }

    /// The metadata of a blob in a response, names in lower case.
    #[inline]
    pub fn read(&self, head: &Head<'_>) -> Vec<Pair> {
        let mut metadata = Vec::new();
        for (name, value) in &head.headers {
            match name.split_at_checked(self.prefix.len()) {
                Some((prefix, name)) if prefix.eq_ignore_ascii_case(self.prefix) && !name.is_empty() => {
                    metadata.push((name.to_ascii_lowercase(), decode(value.trim_ascii())));
                }
                _ => {}
            }
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::is_token;

    const RULES: Rules = Rules {
        prefix: "x-meta-",
        max_bytes: 20,
        is_name: |name| !name.is_empty() && name.bytes().all(is_token),
        names: "a name takes tokens",
        service: "It",
    };

    fn sent(pairs: &[(&str, &str)]) -> Result<Headers, Failure> {
        let pairs: Vec<Pair> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let mut headers = Headers::new();
        RULES.push(&mut headers, &pairs).map(|()| headers)
    }

    #[test]
    fn metadata_round_trips_through_header_fields() {
        let headers = sent(&[("Name", "a  b"), ("n", "")]).unwrap();
        assert_eq!(headers, [("x-meta-name".into(), "a  b".into()), ("x-meta-n".into(), String::new())]);
        let encoded = "=?UTF-8?B?R3LDvMOfZQ==?=";
        let fields = [("X-Meta-Name", encoded), ("x-meta-", "no name"), ("x-met", "short"), ("etag", "e")];
        let head = Head { status: 200, headers: fields.map(|(name, value)| (name.into(), value.into())).to_vec() };
        assert_eq!(RULES.read(&head), [("name".to_owned(), "Grüße".to_owned())]);
    }

    #[test]
    fn metadata_beyond_the_rules_is_rejected() {
        for (pairs, why) in [
            (&[("", "v")][..], "tokens"),
            (&[("a b", "v")], "tokens"),
            (&[("n", " v")], "white space"),
            (&[("n", "v\u{a0}")], "white space"),
            (&[("n", "a\u{85}b")], "control characters"),
            (&[("N", "1"), ("n", "2")], "twice"),
            (&[("name", "12345678901234567")], "21 bytes"),
        ] {
            let fault = sent(pairs).unwrap_err();
            assert!(fault.subject.as_deref() == Some("metadata") && fault.message.contains(why), "{pairs:?}: {fault}");
        }
        assert!(sent(&[("name", "1234567890123456")]).is_ok());
    }
}
