//! Tags of a blob.

use sandbucket_plugin::contract::model::Pair;
use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::MalformedResponse;
use sandbucket_plugin::xml::Element;

use super::listing::missing;

/// Parses a `Tagging`.
pub fn tags(tagging: &Element<'_>) -> Result<Vec<Pair>, MalformedResponse> {
    let mut tags = Vec::new();
    for set in tagging.children_named("TagSet") {
        for tag in set.children_named("Tag") {
            let name = tag.raw_text("Key").ok_or_else(|| missing("Key"))?;
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
    use sandbucket_plugin::xml;

    #[test]
    fn tags_are_parsed_untrimmed() {
        let read = |inside: &str| {
            let text = format!("<Tagging><TagSet>{inside}</TagSet></Tagging>");
            tags(&xml::document(text.as_bytes(), "Tagging").unwrap().root())
        };
        let tag = "<Tag><Key> a</Key><Value>b &amp; c</Value></Tag><Tag><Key>e</Key><Value/></Tag>";
        let pairs = [(" a", "b & c"), ("e", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read(tag).unwrap(), pairs);
        assert_eq!(read("").unwrap(), []);
        assert!(read("<Tag><Value>v</Value></Tag>").is_err());
    }

    #[test]
    fn number_and_length_of_tags_are_limited() {
        let read = |count: usize, name: usize, value: usize| {
            let tag = format!("<Tag><Key>{}</Key><Value>{}</Value></Tag>", "k".repeat(name), "v".repeat(value));
            let text = format!("<Tagging><TagSet>{}</TagSet></Tagging>", tag.repeat(count));
            tags(&xml::document(text.as_bytes(), "Tagging").unwrap().root())
        };
        assert!(read(100, 1024, 2048).is_ok());
        assert!(read(101, 1, 1).is_err() && read(1, 1025, 1).is_err() && read(1, 1, 2049).is_err());
    }
}
