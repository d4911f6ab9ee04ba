//! Requests for the tags of a blob: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html>.

use crate::settings::Settings;
use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::{Pair, TagOptions};
use sandbucket_plugin::http::request::{Method, Request};
use sandbucket_plugin::tags::{check, push_tag_set};
use sandbucket_plugin::xml;

use super::attributes;
use super::delete_many::document;
use super::{base, version};
use crate::attributes::groups;

/// Reads the tags of a blob.
pub fn tags(settings: &Settings, key: &str, options: &TagOptions) -> Result<Request, Failure> {
    tagging(Method::Get, settings, key, options)
}

/// Replaces the tags of a blob, or deletes them if `tags` is empty: the request and its body.
pub fn set_tags(
    settings: &Settings,
    key: &str,
    tags: &[Pair],
    options: &TagOptions,
) -> Result<(Request, String), Failure> {
    if tags.is_empty() {
        return Ok((tagging(Method::Delete, settings, key, options)?, String::new()));
    }
    check(tags, xml::can_hold, "has control characters")?;
    let mut body = String::from("<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    push_tag_set(&mut body, tags);
    body.push_str("</Tagging>");
    let mut request = tagging(Method::Put, settings, key, options)?;
    document(&mut request, &body);
    Ok((request, body))
}

fn tagging(method: Method, settings: &Settings, key: &str, options: &TagOptions) -> Result<Request, Failure> {
    let mut request = base(method, settings, key);
    request.parameter("tagging", "");
    version(&mut request, options.version.as_deref())?;
    attributes::apply(&mut request, &options.call, settings, groups::NONE)?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    fn put(tags: &[(&str, &str)]) -> Result<(Request, String), Failure> {
        let pairs = [("bucket", "demo"), ("endpoint", "http://localhost")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let tags: Vec<Pair> = tags.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let options = TagOptions { version: Some("v".into()), ..TagOptions::default() };
        set_tags(&settings::parse(&pairs).unwrap(), "k", &tags, &options)
    }

    #[test]
    fn set_tags_puts_tags_and_deletes_if_empty() {
        let (request, body) = put(&[("a&b", "<é>"), ("c", "")]).unwrap();
        assert_eq!((request.method, &*request.path_and_query()), (Method::Put, "/demo/k?tagging=&versionId=v"));
        let set = "<Tag><Key>a&amp;b</Key><Value>&lt;é&gt;</Value></Tag><Tag><Key>c</Key><Value></Value></Tag>";
        assert!(body.ends_with(&format!("<TagSet>{set}</TagSet></Tagging>")), "{body}");
        assert!(request.headers.iter().any(|(name, _)| name == "content-md5"));
        let (request, body) = put(&[]).unwrap();
        assert_eq!((request.method, body.as_str(), request.headers.len()), (Method::Delete, "", 0));
    }

    #[test]
    fn tags_beyond_the_limits_of_s3_are_rejected() {
        let names: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let eleven: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        let (long_name, long_value) = ("n".repeat(129), "v".repeat(257));
        let cases: [&[(&str, &str)]; 6] = [
            &eleven,
            &[("", "v")],
            &[(&long_name, "")],
            &[("a", &long_value)],
            &[("a", "1"), ("a", "2")],
            &[("a", "\u{1}")],
        ];
        for tags in cases {
            assert_eq!(put(tags).unwrap_err().subject.as_deref(), Some("tags"), "{tags:?}");
        }
        assert!(put(&[(&"é".repeat(128), &"é".repeat(256))]).is_ok());
    }
}
