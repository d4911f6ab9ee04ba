//! Requests for the tags of a blob: <https://learn.microsoft.com/en-us/rest/api/storageservices/set-blob-tags>.

use sandbucket_plugin::contract::error::{Error, Failure, tidy};
use sandbucket_plugin::contract::model::{Pair, TagOptions};
use sandbucket_plugin::http::request::{Method, Request};
use sandbucket_plugin::xml;

use super::attributes::apply;
use super::{base, version};
use crate::attributes::Accepts;
use crate::settings::Settings;

/// Maximum number of tags of a blob.
const MAX_TAGS: usize = 10;

/// Reads the tags of a blob.
pub fn get_tags(settings: &Settings, key: &str, options: &TagOptions) -> Result<Request, Failure> {
    tags(Method::Get, settings, key, options, Accepts::NOTHING)
}

/// Replaces the tags of a blob: the request and its body.
pub fn set_tags(
    settings: &Settings,
    key: &str,
    pairs: &[Pair],
    options: &TagOptions,
) -> Result<(Request, String), Failure> {
    check(pairs)?;
    let mut body = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><Tags><TagSet>");
    for (name, value) in pairs {
        body.push_str("<Tag>");
        xml::push_element(&mut body, "Key", name);
        xml::push_element(&mut body, "Value", value);
        body.push_str("</Tag>");
    }
    body.push_str("</TagSet></Tags>");
    let mut request = tags(Method::Put, settings, key, options, Accepts::LEASE)?;
    request.header("content-type", "application/xml");
    Ok((request, body))
}

fn tags(
    method: Method,
    settings: &Settings,
    key: &str,
    options: &TagOptions,
    accepts: Accepts,
) -> Result<Request, Failure> {
    let mut request = base(method, settings, key);
    request.parameter("comp", "tags");
    version(&mut request, options.version.as_deref())?;
    apply(&mut request, &options.call, settings, accepts)?;
    Ok(request)
}

fn check(pairs: &[Pair]) -> Result<(), Failure> {
    if pairs.len() > MAX_TAGS {
        return Err(Error::fault("tags", format!("{} tags are too many: a blob has at most {MAX_TAGS}", pairs.len())));
    }
    let is_taken = |c: char| c.is_ascii_alphanumeric() || " +-./:=_".contains(c);
    for (n, (name, value)) in pairs.iter().enumerate() {
        let wrong = |why: &str| Err(Error::fault("tags", format!("the tag \"{}\" {why}", tidy(name, 64))));
        if !(1..=128).contains(&name.len()) || value.len() > 256 {
            return wrong("is too long: a name has 1 to 128 characters, a value up to 256");
        }
        if !name.chars().chain(value.chars()).all(is_taken) {
            return wrong("has characters that Azure does not take: letters, digits, spaces and +-./:=_ are allowed");
        }
        if pairs[..n].iter().any(|(before, _)| before == name) {
            return wrong("is given twice");
        }
    }
    Ok(())
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
