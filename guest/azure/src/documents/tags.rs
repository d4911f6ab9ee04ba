//! Tags of a blob.

use sandbucket_plugin::contract::model::Pair;
use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::MalformedResponse;
use sandbucket_plugin::xml::Element;

use super::missing;

/// Root of the document.
pub const ROOT: &str = "Tags";

/// Parses the tags of a blob.
pub fn tags(root: &Element<'_>) -> Result<Vec<Pair>, MalformedResponse> {
    let mut tags = Vec::new();
    for tag in root.child("TagSet").iter().flat_map(|set| set.children_named("Tag")) {
        let name = tag.raw_text("Key").ok_or_else(|| missing("Key"))?;
        let value = tag.raw_text("Value").unwrap_or_default();
        bounds::count("Tag", tags.len() + 1, bounds::MAX_TAGS)?;
        bounds::text("Key", name, bounds::MAX_TAG_NAME)?;
        bounds::text("Value", value, bounds::MAX_TAG_VALUE)?;
        tags.push((name.to_owned(), value.to_owned()));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbucket_plugin::xml;

    fn read(inside: &str) -> Result<Vec<Pair>, MalformedResponse> {
        let text = format!("<Tags><TagSet>{inside}</TagSet></Tags>");
        tags(&xml::document(text.as_bytes(), ROOT).unwrap().root())
    }

    #[test]
    fn tags_are_parsed_untrimmed() {
        let tag = "<Tag><Key> a</Key><Value>b &amp; c</Value></Tag><Tag><Key>e</Key><Value/></Tag>";
        let pairs = [(" a", "b & c"), ("e", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read(tag).unwrap(), pairs);
        assert_eq!(read("").unwrap(), []);
        assert!(read("<Tag><Value>v</Value></Tag>").is_err());
        assert!(read(&"<Tag><Key>a</Key></Tag>".repeat(101)).is_err());
    }
}
