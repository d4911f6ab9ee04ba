//! Server-side copies: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>.

use crate::settings::Settings;
use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::contract::model::CopyOptions;
use sandbucket_plugin::http::encode;
use sandbucket_plugin::http::request::{Method, Request, visible};

use super::attributes;
use super::blob::WRITES;
use super::{SOURCE, base, check_version, metadata};
use crate::attributes::{groups, kept_by_copies};

/// The source of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// Bucket. Default: the store's own.
    pub bucket: Option<&'a str>,
    /// Full key, including the prefix.
    pub key: &'a str,
    /// Version. Default: the current one.
    pub version: Option<&'a str>,
}

/// Copies a blob.
pub fn copy(settings: &Settings, key: &str, from: Source<'_>, options: &CopyOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Put, settings, key);
    source(&mut request, settings, from)?;
    request.read_conditions(&options.source_conditions, SOURCE)?;
    request.write_condition(&options.condition, !settings.bare_if_match)?;
    let given = &options.call.attributes;
    match &options.properties {
        Some(properties) => {
            request.header("x-amz-metadata-directive", "REPLACE");
            if let Some(media_type) = &properties.content_type {
                request.header("content-type", visible("content-type", media_type)?);
            }
            metadata(&mut request.headers, &properties.metadata)?;
        }
        None => {
            if let Some(name) = kept_by_copies(given) {
                let why = format!("{name} is kept as the source has it, unless the copy's properties are given anew");
                return Err(Error::fault(name, why));
            }
        }
    }
    if given.iter().any(|(name, _)| name == "tags") {
        request.header("x-amz-tagging-directive", "REPLACE");
    }
    attributes::apply(&mut request, &options.call, settings, WRITES.union(groups::SOURCE))?;
    Ok(request)
}

/// Adds the source of a copy.
pub(crate) fn source(request: &mut Request, settings: &Settings, from: Source<'_>) -> Result<(), Failure> {
    if let Some(bucket) = from.bucket {
        super::bucket::check_name(settings, bucket)?;
    }
    let bucket = from.bucket.unwrap_or(&settings.bucket);
    let mut text = String::with_capacity(bucket.len() + from.key.len() + 16);
    text.push_str(bucket);
    // The ARN of an access point is followed by `/object/`.
    text.push_str(if bucket.starts_with("arn:") { "/object/" } else { "/" });
    encode::push_key_path(&mut text, from.key);
    if let Some(version) = from.version {
        check_version(version)?;
        text.push_str("?versionId=");
        text.push_str(&encode::query(version));
    }
    request.header("x-amz-copy-source", text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;
    use sandbucket_plugin::contract::error::Kind;
    use sandbucket_plugin::contract::model::{CallOptions, Properties, ReadConditions, WriteCondition};

    fn store(bucket: &str, endpoint: &str) -> Settings {
        let pairs = [("bucket", bucket), ("endpoint", endpoint)].map(|(n, v)| (n.to_owned(), v.to_owned()));
        settings::parse(&pairs).unwrap()
    }

    fn call(attributes: &[(&str, &str)]) -> CallOptions {
        let attributes = attributes.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        CallOptions { attributes, ..CallOptions::default() }
    }

    fn lines(options: &CopyOptions) -> Result<Vec<String>, Failure> {
        let from = Source { bucket: None, key: "a b/é?", version: None };
        let request = copy(&store("demo", "http://localhost"), "to", from, options)?;
        Ok(request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect())
    }

    #[test]
    fn copy_source_is_encoded() {
        let named = |bucket: &str, endpoint: &str, version| {
            let mut request = base(Method::Put, &store(bucket, endpoint), "to");
            source(&mut request, &store(bucket, endpoint), Source { bucket: None, key: "a b+/../é", version }).unwrap();
            request.headers.remove(0).1
        };
        assert_eq!(named("demo", "http://localhost", None), "demo/a%20b%2B/../%C3%A9");
        assert_eq!(named("demo", "http://localhost", Some("v/1")), "demo/a%20b%2B/../%C3%A9?versionId=v%2F1");
        let arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/p";
        assert_eq!(named(arn, "", None), format!("{arn}/object/a%20b%2B/../%C3%A9"));
    }

    #[test]
    fn copy_keeps_or_replaces_properties() {
        assert_eq!(lines(&CopyOptions::default()).unwrap(), ["x-amz-copy-source: demo/a%20b/%C3%A9%3F"]);
        let anew = CopyOptions {
            properties: Some(Properties {
                content_type: Some("text/plain".into()),
                metadata: vec![("a".into(), "1".into())],
            }),
            call: call(&[("cache-control", "no-store"), ("tags", "a=b"), ("storage-class", "GLACIER")]),
            ..CopyOptions::default()
        };
        assert_eq!(
            lines(&anew).unwrap()[1..],
            [
                "x-amz-metadata-directive: REPLACE",
                "content-type: text/plain",
                "x-amz-meta-a: 1",
                "x-amz-tagging-directive: REPLACE",
                "cache-control: no-store",
                "x-amz-tagging: a=b",
                "x-amz-storage-class: GLACIER",
            ]
        );
        let refused = lines(&CopyOptions { call: call(&[("cache-control", "no-store")]), ..CopyOptions::default() });
        let refused = refused.unwrap_err();
        assert_eq!((refused.kind, refused.subject.as_deref()), (Kind::InvalidArgument, Some("cache-control")));
        assert!(lines(&CopyOptions { call: call(&[("storage-class", "X")]), ..CopyOptions::default() }).is_ok());
    }

    #[test]
    fn copy_sends_conditions_on_source_and_destination() {
        let options = CopyOptions {
            source_conditions: ReadConditions {
                if_match: Some("\"a\"".into()),
                if_unmodified_since: Some(0.into()),
                ..ReadConditions::default()
            },
            condition: WriteCondition::IfAbsent,
            ..CopyOptions::default()
        };
        let epoch = "x-amz-copy-source-if-unmodified-since: Thu, 01 Jan 1970 00:00:00 GMT";
        let wanted = ["x-amz-copy-source-if-match: \"a\"", epoch, "if-none-match: *"];
        assert_eq!(lines(&options).unwrap()[1..], wanted);
    }
}
