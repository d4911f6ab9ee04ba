//! Pages of blobs and of their versions.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::continuation::{Page, Versions};
use crate::model::{Datetime, Entry, ListPage, VersionEntry, VersionPage};
use crate::response::{Garbled, decimal};
use crate::text::join;
use crate::time;
use crate::xml::Element;

/// What a listing says of a blob besides what the contract has fields for: the attribute's name, and the element's.
const TOLD: [(&str, &str); 3] =
    [("storage-class", "StorageClass"), ("checksum-algorithm", "ChecksumAlgorithm"), ("checksum-type", "ChecksumType")];

/// How the keys of a page are written, and what they all begin with.
pub(super) struct Keys<'a> {
    url: bool,
    prefix: &'a str,
}

impl<'a> Keys<'a> {
    pub(super) fn of(page: &Element, prefix: &'a str) -> Self {
        // A service that does not know the encoding leaves them as they are, and says nothing.
        Keys { url: page.text("EncodingType").is_some_and(|encoding| encoding.eq_ignore_ascii_case("url")), prefix }
    }

    /// The text that this stands for.
    pub(super) fn decode<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, Garbled> {
        if !self.url {
            return Ok(Cow::Borrowed(text));
        }
        // As in a form: some write spaces as plus signs, and all write plus signs as %2B.
        let text = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
        match percent_decode_str(&text).decode_utf8() {
            Ok(decoded) => Ok(Cow::Owned(decoded.into_owned())),
            Err(_) => Err(Garbled(format!("it names a key that is no UTF-8: \"{}\"", crate::error::tidy(&text, 80)))),
        }
    }

    /// The caller's own part of a key.
    pub(super) fn key(&self, text: &str) -> Result<String, Garbled> {
        let key = self.decode(text)?;
        match key.strip_prefix(self.prefix) {
            Some(own) => Ok(own.to_owned()),
            None => {
                Err(Garbled(format!("it names a key that was not asked for: \"{}\"", crate::error::tidy(&key, 80))))
            }
        }
    }
}

/// Reads a `ListBucketResult`. `key_prefix` is the store's own, which keys come back without; `asked` is the continuation
/// that the page was asked for with.
pub fn list(page: &Element, key_prefix: &str, asked: Option<&str>) -> Result<ListPage, Garbled> {
    let keys = Keys::of(page, key_prefix);
    let mut entries = Vec::new();
    for blob in page.children("Contents") {
        entries.push(entry(blob, &keys)?);
    }
    let prefixes = prefixes(page, &keys)?;
    let mut next = None;
    if page.is_true("IsTruncated") {
        next = match page.exact("NextContinuationToken").filter(|token| !token.trim().is_empty()) {
            Some(token) => Some(Page::Token(token).write()),
            // An old service, which goes on after a key.
            None => {
                let last = entries.last().map(|entry| &entry.key).max(prefixes.last());
                let last = last.ok_or_else(|| Garbled("it is cut off and does not say where".into()))?;
                Some(Page::After(&format!("{key_prefix}{last}")).write())
            }
        };
        if next.as_deref() == asked {
            return Err(Garbled("it goes on where it began".into()));
        }
    }
    Ok(ListPage { entries, prefixes, next })
}

/// Reads a `ListVersionsResult`, as [`list`] does.
pub fn list_versions(page: &Element, key_prefix: &str, asked: Option<&str>) -> Result<VersionPage, Garbled> {
    let keys = Keys::of(page, key_prefix);
    let mut entries = Vec::new();
    for element in &page.children {
        let deleted = match element.name.as_str() {
            "Version" => false,
            "DeleteMarker" => true,
            _ => continue,
        };
        let blob = if deleted {
            Entry {
                key: keys.key(element.exact("Key").ok_or_else(|| missing("Key"))?)?,
                last_modified: last_modified(element)?,
                ..Entry::default()
            }
        } else {
            entry(element, &keys)?
        };
        let version = element.text("VersionId").filter(|version| *version != "null").map(str::to_owned);
        entries.push(VersionEntry { blob, version, latest: element.is_true("IsLatest"), deleted });
    }
    let mut next = None;
    if page.is_true("IsTruncated") {
        let key = page.exact("NextKeyMarker").ok_or_else(|| missing("NextKeyMarker"))?;
        let version = page.text("NextVersionIdMarker").unwrap_or_default();
        let after = Versions { key: &keys.decode(key)?, version }.write();
        if Some(after.as_str()) == asked {
            return Err(Garbled("it goes on where it began".into()));
        }
        next = Some(after);
    }
    Ok(VersionPage { entries, prefixes: prefixes(page, &keys)?, next })
}

fn prefixes(page: &Element, keys: &Keys<'_>) -> Result<Vec<String>, Garbled> {
    let mut prefixes = Vec::new();
    for common in page.children("CommonPrefixes") {
        for prefix in common.children("Prefix") {
            prefixes.push(keys.key(&prefix.text)?);
        }
    }
    Ok(prefixes)
}

fn entry(blob: &Element, keys: &Keys<'_>) -> Result<Entry, Garbled> {
    let key = keys.key(blob.exact("Key").ok_or_else(|| missing("Key"))?)?;
    let size = blob.text("Size").and_then(decimal).ok_or_else(|| missing("Size"))?;
    let mut attributes = Vec::new();
    for (name, element) in TOLD {
        let mut values = Vec::new();
        for value in blob.children(element) {
            values.push(value.text.trim());
        }
        let value = join(&values, ",");
        if !value.is_empty() {
            attributes.push((name.to_owned(), value));
        }
    }
    Ok(Entry { key, size, etag: blob.text("ETag").map(str::to_owned), last_modified: last_modified(blob)?, attributes })
}

/// When it was written, where that is told.
pub(super) fn last_modified(element: &Element) -> Result<Option<Datetime>, Garbled> {
    at(element, "LastModified")
}

/// The second that the child of this name tells, where it is there.
pub(super) fn at(element: &Element, name: &str) -> Result<Option<Datetime>, Garbled> {
    let Some(text) = element.text(name) else { return Ok(None) };
    match time::timestamp(text) {
        Some(second) => Ok(Some(second.into())),
        None => Err(Garbled(format!("its {name} \"{}\" is no time", crate::error::tidy(text, 40)))),
    }
}

pub(super) fn missing(name: &str) -> Garbled {
    Garbled(format!("it has no {name} where there must be one"))
}

#[cfg(test)]
mod tests;
