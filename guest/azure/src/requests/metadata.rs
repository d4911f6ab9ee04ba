//! User metadata: validation and headers. Values that are not ASCII are sent as encoded words (RFC 2047), as the S3 plugin does:
//! header fields of Azure are ASCII.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources>

use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::Pair;
use sandbucket_plugin::http::request::Request;

use crate::headers::METADATA;

/// Adds the headers of a blob's user metadata.
///
/// # Errors
/// A fault of `metadata`.
pub fn metadata(request: &mut Request, pairs: &[Pair]) -> Result<(), Failure> {
    METADATA.push(&mut request.headers, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbucket_plugin::http::encoded_words::decode;
    use sandbucket_plugin::http::request::Method;

    fn sent(pairs: &[(&str, &str)]) -> Result<Request, Failure> {
        let mut request = Request::new(Method::Put, true, "h", "/");
        let pairs: Vec<Pair> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        metadata(&mut request, &pairs).map(|()| request)
    }

    #[test]
    fn names_are_sent_in_lower_case_and_values_in_ascii() {
        let request = sent(&[("Name", "a  plain = ? value"), ("_a1", ""), ("n", "Grüße")]).unwrap();
        let lines = crate::requests::tests::lines(&request);
        assert_eq!(lines[..2], ["x-ms-meta-name: a  plain = ? value", "x-ms-meta-_a1: "]);
        assert_eq!(decode(&request.headers[2].1), "Grüße");
        assert!(request.headers[2].1.is_ascii());
    }

    #[test]
    fn metadata_beyond_the_rules_of_azure_is_rejected() {
        for (name, value) in [
            ("", "v"),
            ("a-b", "v"),
            ("1a", "v"),
            ("ü", "v"),
            ("a.b", "v"),
            ("n", " v"),
            ("n", "a\nb"),
            ("n", "a\u{85}b"),
        ] {
            assert_eq!(sent(&[(name, value)]).unwrap_err().subject.as_deref(), Some("metadata"), "{name:?}: {value:?}");
        }
        assert!(sent(&[("n", &"v".repeat(8191))]).is_ok());
        assert!(sent(&[("n", &"v".repeat(8192))]).unwrap_err().message.contains("8193 bytes"));
        assert!(sent(&[("Name", "1"), ("name", "2")]).unwrap_err().message.contains("twice"));
    }
}
