//! Lists of blobs and of their versions: `EnumerationResults`.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/list-blobs>

use sandbucket_plugin::contract::error::tidy;
use sandbucket_plugin::contract::model::{Entry, ListPage, VersionEntry, VersionPage};
use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::{MalformedResponse, decimal};
use sandbucket_plugin::http::time;
use sandbucket_plugin::xml::Element;

use crate::continuation;
use crate::key::MAX_KEY_BYTES;

/// Root of the document.
pub const ROOT: &str = "EnumerationResults";

/// Attributes of a blob in a list: name and element.
const ATTRIBUTES: [(&str, &str); 7] = [
    ("cache-control", "Cache-Control"),
    ("content-disposition", "Content-Disposition"),
    ("content-encoding", "Content-Encoding"),
    ("content-language", "Content-Language"),
    ("access-tier", "AccessTier"),
    ("archive-status", "ArchiveStatus"),
    ("blob-type", "BlobType"),
];

/// Parses a page of blobs. `key_prefix` is removed from keys, `start_after` excludes keys up to it; `requested` is the continuation of
/// the request.
pub fn list(
    page: &Element<'_>,
    key_prefix: &str,
    start_after: Option<&str>,
    requested: Option<&str>,
) -> Result<ListPage, MalformedResponse> {
    let after = start_after.unwrap_or_default();
    let mut entries = Vec::new();
    for blob in blobs(page) {
        bounds::count("Blob", entries.len() + 1, bounds::MAX_PAGE)?;
        entries.push(entry(&blob, key_prefix)?);
    }
    entries.retain(|entry| entry.key.as_str() > after);
    Ok(ListPage { entries, prefixes: prefixes(page, key_prefix, after)?, next: next(page, requested)? })
}

/// Parses a page of versions, as [`list`] does. Azure lists the versions of a blob from the oldest on; the contract, from the newest.
/// Across pages the order is Azure's.
pub fn list_versions(
    page: &Element<'_>,
    key_prefix: &str,
    start_after: Option<&str>,
    requested: Option<&str>,
) -> Result<VersionPage, MalformedResponse> {
    let after = start_after.unwrap_or_default();
    let mut entries: Vec<VersionEntry> = Vec::new();
    for element in blobs(page) {
        bounds::count("Blob", entries.len() + 1, bounds::MAX_PAGE)?;
        let blob = entry(&element, key_prefix)?;
        let version = element.text("VersionId");
        let version =
            version.map(|id| bounds::text("VersionId", id, bounds::MAX_VERSION)).transpose()?.map(str::to_owned);
        // An account without versions has one blob per key.
        let latest = version.is_none() || element.is_true("IsCurrentVersion");
        entries.push(VersionEntry { blob, version, latest, deleted: false });
    }
    entries.retain(|entry| entry.blob.key.as_str() > after);
    for run in entries.chunk_by_mut(|one, other| one.blob.key == other.blob.key) {
        run.reverse();
    }
    Ok(VersionPage { entries, prefixes: prefixes(page, key_prefix, after)?, next: next(page, requested)? })
}

/// The full keys of a page that may have uncommitted blocks: blobs without content. And the service's marker of the next page.
pub fn uncommitted(page: &Element<'_>, key_prefix: &str) -> Result<(Vec<String>, Option<String>), MalformedResponse> {
    let mut keys = Vec::new();
    let mut count = 0;
    for blob in blobs(page) {
        count += 1;
        bounds::count("Blob", count, bounds::MAX_PAGE)?;
        let entry = entry(&blob, key_prefix)?;
        if entry.size == 0 {
            keys.push(entry.key);
        }
    }
    Ok((keys, marker(page)?.map(str::to_owned)))
}

/// Whether a page has no blob, and the service's marker of the next page.
pub fn is_empty(page: &Element<'_>) -> Result<(bool, Option<String>), MalformedResponse> {
    // A container is deleted on this word: nothing is read into a page without a list.
    page.child("Blobs").ok_or_else(|| MalformedResponse::missing("Blobs"))?;
    Ok((blobs(page).next().is_none(), marker(page)?.map(str::to_owned)))
}

fn blobs<'d>(page: &Element<'d>) -> impl Iterator<Item = Element<'d>> {
    page.child("Blobs").into_iter().flat_map(|blobs| blobs.children().filter(|child| child.name() == "Blob"))
}

fn prefixes(page: &Element<'_>, key_prefix: &str, after: &str) -> Result<Vec<String>, MalformedResponse> {
    let mut prefixes = Vec::new();
    for prefix in page.child("Blobs").iter().flat_map(|blobs| blobs.children_named("BlobPrefix")) {
        bounds::count("BlobPrefix", prefixes.len() + 1, bounds::MAX_PAGE)?;
        prefixes.push(key(&prefix, key_prefix)?);
    }
    prefixes.retain(|prefix| prefix.as_str() > after);
    Ok(prefixes)
}

/// The marker of the next page.
pub(super) fn marker<'d>(page: &Element<'d>) -> Result<Option<&'d str>, MalformedResponse> {
    page.text("NextMarker").map(|marker| bounds::text("NextMarker", marker, bounds::MAX_TOKEN - 1)).transpose()
}

/// The continuation after a page.
pub(super) fn next(page: &Element<'_>, requested: Option<&str>) -> Result<Option<String>, MalformedResponse> {
    let next = marker(page)?.map(continuation::write);
    // The list would repeat endlessly.
    if next.is_some() && next.as_deref() == requested {
        return Err(MalformedResponse("it goes on where it began".into()));
    }
    Ok(next)
}

/// The key in an element, without the prefix.
fn key(element: &Element<'_>, key_prefix: &str) -> Result<String, MalformedResponse> {
    let key = element.raw_text("Name").ok_or_else(|| MalformedResponse::missing("Name"))?;
    bounds::text("Name", key, MAX_KEY_BYTES)?;
    match key.strip_prefix(key_prefix) {
        Some(own) => Ok(own.to_owned()),
        None => Err(MalformedResponse(format!("it names a key that was not requested for: \"{}\"", tidy(key, 80)))),
    }
}

fn entry(blob: &Element<'_>, key_prefix: &str) -> Result<Entry, MalformedResponse> {
    let properties = blob.child("Properties").ok_or_else(|| MalformedResponse::missing("Properties"))?;
    let mut attributes = Vec::new();
    for (name, element) in ATTRIBUTES {
        if let Some(value) = properties.text(element) {
            attributes.push((name.to_owned(), bounds::text(element, value, bounds::MAX_ATTRIBUTE)?.to_owned()));
        }
    }
    let etag = properties.text("Etag").map(|etag| bounds::text("Etag", etag, bounds::MAX_ETAG)).transpose()?;
    Ok(Entry {
        key: key(blob, key_prefix)?,
        size: properties
            .text("Content-Length")
            .and_then(decimal)
            .ok_or_else(|| MalformedResponse::missing("Content-Length"))?,
        // Headers have quotes around it, lists do not.
        etag: etag.map(|etag| if etag.contains('"') { etag.to_owned() } else { format!("\"{etag}\"") }),
        last_modified: properties.text("Last-Modified").and_then(time::date).map(Into::into),
        attributes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbucket_plugin::xml::{self, Document};

    fn read(inside: &str) -> Document<'static> {
        xml::document(format!("<{ROOT}>{inside}</{ROOT}>").leak().as_bytes(), ROOT).unwrap()
    }

    fn blob(name: &str, size: u64, more: &str) -> String {
        format!(
            "<Blob><Name>{name}</Name>{more}<Properties><Last-Modified>Tue, 14 Nov 2023 22:13:20 GMT</Last-Modified>\
             <Etag>0x8D</Etag><Content-Length>{size}</Content-Length><AccessTier>Cool</AccessTier><BlobType>BlockBlob</BlobType>\
             </Properties></Blob>"
        )
    }

    #[test]
    fn page_is_parsed_without_the_key_prefix() {
        let inside = format!(
            "<Blobs>{}<BlobPrefix><Name>t/b/</Name></BlobPrefix></Blobs><NextMarker>2!8!x=</NextMarker>",
            blob("t/a &amp; é", 5, "")
        );
        let page = read(&inside);
        let listed = list(&page.root(), "t/", None, None).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let entry = Entry {
            key: "a & é".into(),
            size: 5,
            etag: Some("\"0x8D\"".into()),
            last_modified: Some(1_700_000_000.into()),
            attributes: vec![pair("access-tier", "Cool"), pair("blob-type", "BlockBlob")],
        };
        assert_eq!(
            listed,
            ListPage { entries: vec![entry], prefixes: vec!["b/".into()], next: Some("m2!8!x=".into()) }
        );
        assert!(list(&page.root(), "t/", None, Some("m2!8!x=")).is_err());
        assert!(list(&page.root(), "u/", None, None).is_err());
        let empty = read("<Blobs/><NextMarker/>");
        assert_eq!(list(&empty.root(), "t/", None, None).unwrap(), ListPage::default());
    }

    #[test]
    fn entries_up_to_start_after_are_dropped() {
        let inside: String = ["a", "b", "c"].map(|name| blob(name, 1, "")).concat();
        let prefix = |name: &str| format!("<BlobPrefix><Name>{name}</Name></BlobPrefix>");
        let page = read(&format!("<Blobs>{inside}{}{}</Blobs>", prefix("a/"), prefix("b/")));
        let listed = list(&page.root(), "", Some("b"), None).unwrap();
        let keys: Vec<_> = listed.entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!((keys, listed.prefixes), (vec!["c"], vec!["b/".to_owned()]));
    }

    #[test]
    fn versions_are_reversed_per_key() {
        let version = |id: &str, current: &str| format!("<VersionId>{id}</VersionId>{current}");
        let current = "<IsCurrentVersion>true</IsCurrentVersion>";
        let inside = [
            blob("a", 1, &version("1", "")),
            blob("a", 2, &version("2", current)),
            blob("b", 3, &version("1", "")),
            blob("c", 4, ""),
        ]
        .concat();
        let page = list_versions(&read(&format!("<Blobs>{inside}</Blobs>")).root(), "", None, None).unwrap();
        let seen: Vec<_> =
            page.entries.iter().map(|e| (e.blob.key.as_str(), e.version.as_deref(), e.latest, e.deleted)).collect();
        assert_eq!(
            seen,
            [
                ("a", Some("2"), true, false),
                ("a", Some("1"), false, false),
                ("b", Some("1"), false, false),
                ("c", None, true, false)
            ]
        );
    }

    #[test]
    fn blobs_without_content_may_have_uncommitted_blocks() {
        let inside = [blob("t/a", 1, ""), blob("t/b", 0, "")].concat();
        let page = read(&format!("<Blobs>{inside}</Blobs><NextMarker>m</NextMarker>"));
        assert_eq!(uncommitted(&page.root(), "t/").unwrap(), (vec!["b".to_owned()], Some("m".to_owned())));
        assert_eq!(is_empty(&page.root()).unwrap(), (false, Some("m".to_owned())));
        assert_eq!(is_empty(&read("<Blobs/><NextMarker/>").root()).unwrap(), (true, None));
        assert!(is_empty(&read("<NextMarker/>").root()).is_err());
    }

    #[test]
    fn missing_elements_lengths_and_counts_are_malformed() {
        for inside in [
            "<Blob><Properties/></Blob>".to_owned(),
            "<Blob><Name>a</Name></Blob>".to_owned(),
            "<Blob><Name>a</Name><Properties><Content-Length>-1</Content-Length></Properties></Blob>".to_owned(),
            blob(&"k".repeat(MAX_KEY_BYTES + 1), 1, ""),
            blob("a", 1, "").repeat(1001),
            "<BlobPrefix><Name>a/</Name></BlobPrefix>".repeat(1001),
        ] {
            assert!(list(&read(&format!("<Blobs>{inside}</Blobs>")).root(), "", None, None).is_err());
        }
        assert!(
            list(&read(&format!("<Blobs>{}</Blobs>", blob("a", 1, "").repeat(1000))).root(), "", None, None).is_ok()
        );
        let long = "m".repeat(bounds::MAX_TOKEN);
        assert!(list(&read(&format!("<Blobs/><NextMarker>{long}</NextMarker>")).root(), "", None, None).is_err());
    }
}
