//! Parsers of XML documents in responses.

pub mod bucket;
pub mod delete_many;
pub mod listing;
pub mod multipart;

use sandbucket_plugin::http::response::MalformedResponse;
use sandbucket_plugin::xml::{self, Document, Element};

/// Parses a complete document with this root element, or with one that some services have in its place.
///
/// # Errors
/// If it is invalid, truncated, or has another root element.
pub fn document<'a>(body: &'a [u8], name: &str) -> Result<Document<'a>, MalformedResponse> {
    xml::document_where(body, name, |root| {
        root.name() == name || is_response(root.name(), name) || is_listing(root, name)
    })
}

/// Whether some services use this name for it: `ListPartsResponse` for `ListPartsResult`.
fn is_response(name: &str, result: &str) -> bool {
    name.strip_suffix("Response").is_some_and(|stem| result.strip_suffix("Result") == Some(stem))
}

/// Root elements of lists, and their elements, of which each has at least one.
const LISTINGS: [(&str, [&str; 4]); 4] = [
    ("ListBucketResult", ["Contents", "CommonPrefixes", "IsTruncated", "KeyCount"]),
    ("ListVersionsResult", ["Version", "DeleteMarker", "CommonPrefixes", "IsTruncated"]),
    ("ListPartsResult", ["Part", "PartNumberMarker", "NextPartNumberMarker", "IsTruncated"]),
    ("ListMultipartUploadsResult", ["Upload", "UploadIdMarker", "CommonPrefixes", "IsTruncated"]),
];

/// Root elements of other results.
const OTHERS: [&str; 3] = ["ListAllMyBucketsResult", "DeleteResult", "Error"];

/// Whether it is this list by its elements, with a root name that is specific to the service.
fn is_listing(root: &Element<'_>, name: &str) -> bool {
    let known = LISTINGS.iter().any(|(other, _)| *other == root.name()) || OTHERS.contains(&root.name());
    !known
        && LISTINGS
            .iter()
            .find(|(listing, _)| *listing == name)
            .is_some_and(|(_, elements)| root.children().any(|child| elements.contains(&child.name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_may_be_named_response_instead_of_result() {
        assert!(document(b"<AResponse/>", "AResult").is_ok() && document(b"<BResponse/>", "AResult").is_err());
    }
}
