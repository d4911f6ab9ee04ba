//! User metadata: validation and headers. Values that are not ASCII are sent as encoded words (RFC 2047), as S3 does:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>

use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::Pair;
use sandbucket_plugin::http::headers::Headers;

use crate::headers::METADATA;

/// Adds the headers of a blob's user metadata.
pub(crate) fn metadata(headers: &mut Headers, pairs: &[Pair]) -> Result<(), Failure> {
    METADATA.push(headers, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbucket_plugin::http::encoded_words::decode;

    fn sent(name: &str, value: &str) -> Result<String, Failure> {
        let mut headers = Headers::new();
        metadata(&mut headers, &[(name.into(), value.into())])?;
        assert_eq!(headers[0].0, format!("x-amz-meta-{}", name.to_ascii_lowercase()));
        Ok(headers.remove(0).1)
    }

    #[test]
    fn ascii_metadata_is_sent_unchanged() {
        assert_eq!(sent("Name", "a  plain = ? value").unwrap(), "a  plain = ? value");
        assert_eq!(sent("empty", "").unwrap(), "");
    }

    #[test]
    fn non_ascii_metadata_is_sent_in_encoded_words() {
        assert_eq!(sent("n", "Grüße").unwrap(), "=?UTF-8?B?R3LDvMOfZQ==?=");
        let long = "ä".repeat(100);
        let words = sent("n", &long).unwrap();
        assert!(words.split(' ').all(|word| word.len() <= 75 && word.starts_with("=?UTF-8?B?")), "{words}");
        assert_eq!(decode(&words), long);
        assert_eq!(decode(&sent("n", "=?UTF-8?Q?not_a_word?=").unwrap()), "=?UTF-8?Q?not_a_word?=");
    }

    #[test]
    fn metadata_beyond_the_limits_of_s3_is_rejected() {
        for (name, value) in
            [("", "v"), ("a b", "v"), ("ü", "v"), ("n", " v"), ("n", "v\u{a0}"), ("n", "a\nb"), ("n", "a\u{85}b")]
        {
            assert_eq!(sent(name, value).unwrap_err().subject.as_deref(), Some("metadata"), "{name:?}: {value:?}");
        }
        assert!(sent("n", &"v".repeat(2047)).is_ok());
        assert!(sent("n", &"v".repeat(2048)).unwrap_err().message.contains("2049 bytes"));
        let twice = [("Name".to_owned(), "1".to_owned()), ("name".to_owned(), "2".to_owned())];
        assert!(metadata(&mut Headers::new(), &twice).unwrap_err().message.contains("twice"));
    }
}
