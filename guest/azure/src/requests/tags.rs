//! Requests for the tags of a blob: <https://learn.microsoft.com/en-us/rest/api/storageservices/set-blob-tags>.

use sandbucket_plugin::attributes::AttributeGroups;
use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::{Pair, TagOptions};
use sandbucket_plugin::http::request::{Method, Request};
use sandbucket_plugin::tags::{check, push_tag_set};

use super::attributes::apply;
use super::{base, version};
use crate::attributes::groups;
use crate::settings::Settings;

/// Reads the tags of a blob.
pub fn get_tags(settings: &Settings, key: &str, options: &TagOptions) -> Result<Request, Failure> {
    tags(Method::Get, settings, key, options, groups::NONE)
}

/// Replaces the tags of a blob: the request and its body.
pub fn set_tags(
    settings: &Settings,
    key: &str,
    pairs: &[Pair],
    options: &TagOptions,
) -> Result<(Request, String), Failure> {
    let wrong = "has characters that Azure does not take: letters, digits, spaces and +-./:=_ are allowed";
    check(pairs, |text| text.bytes().all(|b| b.is_ascii_alphanumeric() || b" +-./:=_".contains(&b)), wrong)?;
    let mut body = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><Tags>");
    push_tag_set(&mut body, pairs);
    body.push_str("</Tags>");
    let mut request = tags(Method::Put, settings, key, options, groups::LEASE)?;
    request.header("content-type", "application/xml");
    Ok((request, body))
}

fn tags(
    method: Method,
    settings: &Settings,
    key: &str,
    options: &TagOptions,
    accepts: AttributeGroups,
) -> Result<Request, Failure> {
    let mut request = base(method, settings, key);
    request.parameter("comp", "tags");
    version(&mut request, options.version.as_deref())?;
    apply(&mut request, &options.call, settings, accepts)?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::tests::settings;

    fn body(pairs: &[(&str, &str)]) -> Result<String, Failure> {
        let pairs: Vec<Pair> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        set_tags(&settings(&[]), "k", &pairs, &TagOptions::default()).map(|(request, body)| {
            assert_eq!(request.path_and_query(), "/devstoreaccount1/demo/k?comp=tags");
            body
        })
    }

    #[test]
    fn tags_are_a_document_also_if_there_are_none() {
        let start = "<?xml version=\"1.0\" encoding=\"utf-8\"?><Tags><TagSet>";
        assert_eq!(body(&[]).unwrap(), format!("{start}</TagSet></Tags>"));
        let tag = "<Tag><Key>a b</Key><Value>1:2</Value></Tag><Tag><Key>c</Key><Value></Value></Tag>";
        assert_eq!(body(&[("a b", "1:2"), ("c", "")]).unwrap(), format!("{start}{tag}</TagSet></Tags>"));
    }

    #[test]
    fn tags_beyond_the_rules_of_azure_are_rejected() {
        let (long, longer) = ("n".repeat(129), "v".repeat(257));
        for wrong in
            [&[("", "v")][..], &[(&long, "v")], &[("n", &longer)], &[("ü", "v")], &[("n", "a&b")], &[("n", "1"); 2]]
        {
            assert_eq!(body(wrong).unwrap_err().subject.as_deref(), Some("tags"), "{wrong:?}");
        }
        let many: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let pairs: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
        assert!(body(&pairs[..10]).is_ok() && body(&pairs).is_err());
    }
}
