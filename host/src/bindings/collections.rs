//! Listings and uploads: from the contract's types to this crate's own.

use super::{datetime, listing, multipart, system_time};
use crate::listing::{Entry, ListPage, VersionEntry, VersionPage};
use crate::multipart::{Part, PartPage, PendingUpload, UploadPage};

impl From<listing::Entry> for Entry {
    fn from(entry: listing::Entry) -> Self {
        Entry {
            key: entry.key,
            size: entry.size,
            etag: entry.etag,
            last_modified: entry.last_modified.and_then(system_time),
            attributes: entry.attributes,
        }
    }
}

impl From<listing::ListPage> for ListPage {
    fn from(page: listing::ListPage) -> Self {
        let entries = page.entries.into_iter().map(Entry::from).collect();
        ListPage { entries, prefixes: page.prefixes, next: page.next }
    }
}

impl From<listing::VersionEntry> for VersionEntry {
    fn from(entry: listing::VersionEntry) -> Self {
        VersionEntry { blob: entry.blob.into(), version: entry.version, latest: entry.latest, deleted: entry.deleted }
    }
}

impl From<listing::VersionPage> for VersionPage {
    fn from(page: listing::VersionPage) -> Self {
        let entries = page.entries.into_iter().map(VersionEntry::from).collect();
        VersionPage { entries, prefixes: page.prefixes, next: page.next }
    }
}

impl From<multipart::Part> for Part {
    fn from(part: multipart::Part) -> Self {
        Part {
            number: part.number,
            size: part.size,
            etag: part.etag,
            last_modified: part.last_modified.and_then(system_time),
            attributes: part.attributes,
        }
    }
}

impl From<Part> for multipart::Part {
    fn from(part: Part) -> Self {
        multipart::Part {
            number: part.number,
            size: part.size,
            etag: part.etag,
            last_modified: part.last_modified.map(datetime),
            attributes: part.attributes,
        }
    }
}

impl From<multipart::PartPage> for PartPage {
    fn from(page: multipart::PartPage) -> Self {
        PartPage { parts: page.parts.into_iter().map(Part::from).collect(), next: page.next }
    }
}

impl From<multipart::UploadPage> for UploadPage {
    fn from(page: multipart::UploadPage) -> Self {
        let uploads = page.uploads.into_iter().map(|upload| PendingUpload {
            key: upload.key,
            id: upload.id,
            initiated: upload.initiated.and_then(system_time),
        });
        UploadPage { uploads: uploads.collect(), next: page.next }
    }
}
