//! Tags of blobs, as S3 and Azure have them: their limits, and their documents.
//!
//! [`check`] validates tags, [`push_tag_set`] writes the element `TagSet` of a request's document, and [`parse`] reads that of a
//! response.

use crate::contract::error::{Error, Failure, tidy};
use crate::contract::model::Pair;
use crate::http::bounds;
use crate::http::response::MalformedResponse;
use crate::xml::{self, Element};

/// Maximum number of tags of a blob.
pub const MAX_TAGS: usize = 10;

/// Maximum length of a tag's name in characters. The minimum is 1.
pub const MAX_NAME: usize = 128;

/// Maximum length of a tag's value in characters.
pub const MAX_VALUE: usize = 256;

/// Checks the tags of a request: at most [`MAX_TAGS`], each name once, within the limits of length, and of texts that the service
/// takes. `wrong_text` completes the error for another text: `the tag "a" …`.
///
/// # Errors
/// A fault of `tags`.
pub fn check(tags: &[Pair], is_text: impl Fn(&str) -> bool, wrong_text: &str) -> Result<(), Failure> {
    if tags.len() > MAX_TAGS {
        return Err(Error::fault("tags", format!("{} tags are too many: a blob has at most {MAX_TAGS}", tags.len())));
    }
    for (n, (name, value)) in tags.iter().enumerate() {
        let wrong = |why: &str| Err(Error::fault("tags", format!("the tag \"{}\" {why}", tidy(name, 64))));
        if !(1..=MAX_NAME).contains(&name.chars().count()) || value.chars().count() > MAX_VALUE {
            return wrong(&format!(
                "has a wrong length: a name has 1 to {MAX_NAME} characters, a value up to {MAX_VALUE}"
            ));
        }
        if !is_text(name) || !is_text(value) {
            return wrong(wrong_text);
        }
        if tags[..n].iter().any(|(before, _)| before == name) {
            return wrong("is given twice");
        }
    }
    Ok(())
}

/// Appends the tags as the element `TagSet`.
pub fn push_tag_set(document: &mut String, tags: &[Pair]) {
    document.push_str("<TagSet>");
    for (name, value) in tags {
        document.push_str("<Tag>");
        xml::push_element(document, "Key", name);
        xml::push_element(document, "Value", value);
        document.push_str("</Tag>");
    }
    document.push_str("</TagSet>");
}

/// Parses the tags in a document with this root element, untrimmed.
///
/// # Errors
/// If one has no name, or there are more or longer ones than [`bounds`] permit.
pub fn parse(root: &Element<'_>) -> Result<Vec<Pair>, MalformedResponse> {
    let mut tags = Vec::new();
    for set in root.children_named("TagSet") {
        for tag in set.children_named("Tag") {
            let name = tag.raw_text("Key").ok_or_else(|| MalformedResponse::missing("Key"))?;
            let value = tag.raw_text("Value").unwrap_or_default();
            bounds::count("Tag", tags.len() + 1, bounds::MAX_TAGS)?;
            bounds::text("Key", name, bounds::MAX_TAG_NAME)?;
            bounds::text("Value", value, bounds::MAX_TAG_VALUE)?;
            tags.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(tags: &[(&str, &str)]) -> Vec<Pair> {
        tags.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn tag_set_round_trips_untrimmed() {
        let tags = pairs(&[(" a", "b & c"), ("e", "")]);
        let mut document = String::from("<Tags>");
        push_tag_set(&mut document, &tags);
        document.push_str("</Tags>");
        let set = "<Tag><Key> a</Key><Value>b &amp; c</Value></Tag><Tag><Key>e</Key><Value></Value></Tag>";
        assert_eq!(document, format!("<Tags><TagSet>{set}</TagSet></Tags>"));
        assert_eq!(parse(&xml::document(document.as_bytes(), "Tags").unwrap().root()).unwrap(), tags);
        let nameless = "<Tags><TagSet><Tag><Value>v</Value></Tag></TagSet></Tags>";
        assert!(parse(&xml::document(nameless.as_bytes(), "Tags").unwrap().root()).is_err());
    }

    #[test]
    fn number_and_length_of_tags_in_a_response_are_limited() {
        let read = |count: usize, name: usize, value: usize| {
            let tag = format!("<Tag><Key>{}</Key><Value>{}</Value></Tag>", "k".repeat(name), "v".repeat(value));
            let text = format!("<Tags><TagSet>{}</TagSet></Tags>", tag.repeat(count));
            parse(&xml::document(text.as_bytes(), "Tags").unwrap().root())
        };
        assert!(read(100, 1024, 2048).is_ok());
        assert!(read(101, 1, 1).is_err() && read(1, 1025, 1).is_err() && read(1, 1, 2049).is_err());
    }

    #[test]
    fn tags_of_a_request_beyond_the_limits_are_rejected() {
        let is_text = |text: &str| !text.contains('!');
        let long = |length: usize| "é".repeat(length);
        assert_eq!(check(&pairs(&[(&long(128), &long(256))]), is_text, ""), Ok(()));
        for (tags, why) in [
            (&[("", "v")][..], "wrong length"),
            (&[(&long(129), "")], "wrong length"),
            (&[("a", &long(257))], "wrong length"),
            (&[("a!", "")], "has a !"),
            (&[("a", "!")], "has a !"),
            (&[("a", "1"), ("a", "2")], "\"a\" is given twice"),
            (&[("a", ""); 11], "11 tags"),
        ] {
            let fault = check(&pairs(tags), is_text, "has a !").unwrap_err();
            assert!(fault.subject.as_deref() == Some("tags") && fault.message.contains(why), "{fault}");
        }
    }
}
