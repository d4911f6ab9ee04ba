//! A blob's tags.

use crate::model::Pair;
use crate::response::Garbled;
use crate::xml::Element;

use super::listing::missing;

/// Reads a `Tagging`.
pub fn tags(tagging: &Element<'_>) -> Result<Vec<Pair>, Garbled> {
    let mut tags = Vec::new();
    for set in tagging.children("TagSet") {
        for tag in set.children("Tag") {
            let name = tag.exact("Key").ok_or_else(|| missing("Key"))?;
            tags.push((name.to_owned(), tag.exact("Value").unwrap_or_default().to_owned()));
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml;

    #[test]
    fn tags_are_read_as_they_are() {
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
}
