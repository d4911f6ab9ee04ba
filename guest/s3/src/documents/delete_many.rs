//! Results of bulk deletes.

use crate::requests::{DeleteEntry, MAX_DELETES};
use sandbucket_plugin::contract::error::{MAX_MESSAGE, ServiceResponse, tidy};
use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::MalformedResponse;
use sandbucket_plugin::key::MAX_KEY;
use sandbucket_plugin::xml::Element;

/// Status of a blob in a `DeleteResult`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeleteStatus {
    /// Deleted, or did not exist.
    Deleted,
    /// Not deleted, with this error.
    Failed(ServiceResponse),
    /// Not in the result.
    NotReported,
}

/// Parses a `DeleteResult`: the status of each blob, in their order.
pub fn delete_many(result: &Element<'_>, blobs: &[DeleteEntry<'_>]) -> Result<Vec<DeleteStatus>, MalformedResponse> {
    let reported: Vec<Element<'_>> =
        result.children().filter(|reported| matches!(reported.name(), "Deleted" | "Error")).collect();
    bounds::count("Deleted and Error", reported.len(), MAX_DELETES)?;
    for one in &reported {
        bounds::text("Key", one.raw_text("Key").unwrap_or_default(), MAX_KEY)?;
    }
    let mut at = 0;
    let mut outcomes = Vec::with_capacity(blobs.len());
    for blob in blobs {
        // Most services keep the order of the request: search from the last match on.
        let found = (0..reported.len()).map(|n| (at + n) % reported.len()).find(|&n| is_of(&reported[n], blob));
        outcomes.push(match found {
            None => DeleteStatus::NotReported,
            Some(n) => {
                at = n + 1;
                outcome(&reported[n])
            }
        });
    }
    Ok(outcomes)
}

fn is_of(reported: &Element<'_>, blob: &DeleteEntry<'_>) -> bool {
    let version = reported.text("VersionId").filter(|version| *version != "null");
    reported.raw_text("Key") == Some(blob.key)
        && (version.is_none() || blob.version.is_none() || version == blob.version)
}

fn outcome(reported: &Element<'_>) -> DeleteStatus {
    if reported.name() == "Deleted" {
        return DeleteStatus::Deleted;
    }
    let text = |name, longest| reported.text(name).map(|text| tidy(text, longest));
    match text("Code", 256).as_deref() {
        Some("NoSuchKey" | "NoSuchVersion") => DeleteStatus::Deleted,
        _ => DeleteStatus::Failed(ServiceResponse {
            status: 200,
            code: text("Code", 256),
            message: text("Message", MAX_MESSAGE),
            request_id: None,
            region: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbucket_plugin::xml;

    fn entries<'a>(key: &'a str, version: Option<&'a str>) -> DeleteEntry<'a> {
        DeleteEntry { key, version }
    }

    #[test]
    fn delete_statuses_are_matched_in_any_order() {
        let text = "<DeleteResult xmlns=\"x\"><Error><Key>c</Key><Code>AccessDenied</Code><Message>no</Message></Error>\
            <Deleted><Key>a&amp;</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m</DeleteMarkerVersionId>\
            </Deleted><Deleted><Key>v</Key><VersionId>1</VersionId></Deleted>\
            <Error><Key>v</Key><VersionId>2</VersionId><Code>InternalError</Code></Error>\
            <Error><Key>gone</Key><Code>NoSuchKey</Code></Error></DeleteResult>";
        let result = xml::document(text.as_bytes(), "DeleteResult").unwrap();
        let blobs = [
            entries("a&", None),
            entries("v", Some("2")),
            entries("v", Some("1")),
            entries("c", None),
            entries("gone", None),
            entries("a&", None),
            entries("unheard of", None),
        ];
        let outcomes = delete_many(&result.root(), &blobs).unwrap();
        let codes: Vec<_> = outcomes
            .iter()
            .map(|outcome| match outcome {
                DeleteStatus::Deleted => "deleted",
                DeleteStatus::Failed(response) => response.code.as_deref().unwrap(),
                DeleteStatus::NotReported => "unsaid",
            })
            .collect();
        assert_eq!(codes, ["deleted", "InternalError", "deleted", "AccessDenied", "deleted", "deleted", "unsaid"]);
    }

    #[test]
    fn blobs_missing_from_the_result_are_not_reported() {
        let result = xml::document(b"<DeleteResult/>", "DeleteResult").unwrap();
        assert_eq!(delete_many(&result.root(), &[entries("k", None)]).unwrap(), [DeleteStatus::NotReported]);
    }

    #[test]
    fn result_with_a_long_key_or_too_many_keys_is_malformed() {
        let read = |count: usize, key: usize| {
            let one = format!("<Deleted><Key>{}</Key></Deleted>", "k".repeat(key));
            let text = format!("<DeleteResult>{}</DeleteResult>", one.repeat(count));
            delete_many(&xml::document(text.as_bytes(), "DeleteResult").unwrap().root(), &[entries("k", None)])
        };
        assert!(read(1000, 1).is_ok() && read(1, 1024).is_ok());
        assert!(read(1001, 1).is_err());
        let MalformedResponse(why) = read(1, 1025).unwrap_err();
        assert!(why.contains("1025 bytes") && why.len() < 200, "{why}");
    }
}
