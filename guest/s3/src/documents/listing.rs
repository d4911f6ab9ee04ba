//! Lists of blobs and of their versions.

use std::borrow::Cow;

use crate::continuation::{Page, Versions};
use sandbucket_plugin::contract::model::{Datetime, Entry, ListPage, VersionEntry, VersionPage};
use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::{Head, MalformedResponse, decimal};
use sandbucket_plugin::http::time;
use sandbucket_plugin::key::MAX_KEY;
use sandbucket_plugin::xml::Element;

/// Attributes of a blob in a list: name and element.
const RESPONSE_ATTRIBUTES: [(&str, &str); 3] =
    [("storage-class", "StorageClass"), ("checksum-algorithm", "ChecksumAlgorithm"), ("checksum-type", "ChecksumType")];

/// Encoding and prefix of the keys of a page.
pub(super) struct Keys<'a> {
    url: bool,
    prefix: &'a str,
}

impl<'a> Keys<'a> {
    pub(super) fn of(page: &Element<'_>, prefix: &'a str) -> Self {
        // A service that does not know `encoding-type` does not encode and has no `EncodingType`.
        Keys { url: page.text("EncodingType").is_some_and(|encoding| encoding.eq_ignore_ascii_case("url")), prefix }
    }

    /// The same for a page of uploads. Ceph encodes their keys on request without an `EncodingType`. Its request ids are
    /// `tx` and hexadecimal numbers.
    pub(super) fn of_uploads(page: &Element<'_>, head: &Head, prefix: &'a str) -> Self {
        let id = head.get("x-amz-request-id").and_then(|id| id.strip_prefix("tx")?.split_once('-'));
        let is_ceph = id.is_some_and(|(id, _)| id.len() > 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let keys = Keys::of(page, prefix);
        Keys { url: keys.url || is_ceph, ..keys }
    }

    /// Decodes the full key in an element with this name.
    pub(super) fn decode<'t>(&self, element: &str, text: &'t str) -> Result<Cow<'t, str>, MalformedResponse> {
        let key = if !self.url || !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
            Cow::Borrowed(text)
        } else {
            match String::from_utf8(form_decoded(text)) {
                Ok(decoded) => Cow::Owned(decoded),
                Err(_) => {
                    let shown = sandbucket_plugin::contract::error::tidy(text, 80);
                    return Err(MalformedResponse(format!("its {element} is a key that is no UTF-8: \"{shown}\"")));
                }
            }
        };
        if key.len() > MAX_KEY {
            let length = key.len();
            return Err(MalformedResponse(format!(
                "its {element} is a key of {length} bytes, and S3's keys have at most {MAX_KEY}"
            )));
        }
        Ok(key)
    }

    /// Decodes the marker after a page, whose last key is `last`. Ceph encodes the keys but not the marker.
    pub(super) fn marker<'t>(
        &self,
        element: &str,
        text: &'t str,
        last: Option<&str>,
    ) -> Result<Cow<'t, str>, MalformedResponse> {
        let is_plain = text.bytes().any(|byte| byte <= b' ' || byte >= 0x7f)
            || last.is_some_and(|last| text.strip_prefix(self.prefix) == Some(last));
        if is_plain { Keys { url: false, ..*self }.decode(element, text) } else { self.decode(element, text) }
    }

    /// Decodes the key in an element with this name and removes the prefix.
    pub(super) fn key(&self, element: &str, text: &str) -> Result<String, MalformedResponse> {
        let key = self.decode(element, text)?;
        if self.prefix.is_empty() {
            return Ok(key.into_owned());
        }
        match key.strip_prefix(self.prefix) {
            Some(own) => Ok(own.to_owned()),
            None => Err(MalformedResponse(format!(
                "it names a key that was not requested for: \"{}\"",
                sandbucket_plugin::contract::error::tidy(&key, 80)
            ))),
        }
    }
}

/// Decodes `application/x-www-form-urlencoded`: some services encode spaces as plus signs, and all encode plus signs as %2B. A
/// percent sign without two digits stays.
fn form_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let mut byte = if *first == b'+' { b' ' } else { *first };
        if byte == b'%'
            && let [high, low, after @ ..] = after
            && let (Some(high), Some(low)) = (char::from(*high).to_digit(16), char::from(*low).to_digit(16))
        {
            byte = (high << 4 | low) as u8;
            rest = after;
        }
        decoded.push(byte);
    }
    decoded
}

/// Parses a `ListBucketResult`. `key_prefix` is removed from keys; `requested` is the
/// continuation of the request.
pub fn list(page: &Element<'_>, key_prefix: &str, requested: Option<&str>) -> Result<ListPage, MalformedResponse> {
    let keys = Keys::of(page, key_prefix);
    let mut entries = Vec::new();
    for blob in page.children_named("Contents") {
        bounds::count("Contents", entries.len() + 1, bounds::MAX_PAGE)?;
        entries.push(entry(&blob, &keys)?);
    }
    let prefixes = prefixes(page, &keys)?;
    let mut next = None;
    if page.is_true("IsTruncated") {
        next = match page.raw_text("NextContinuationToken").filter(|token| !token.trim().is_empty()) {
            Some(token) => Some(Page::Token(bounds::text("NextContinuationToken", token, bounds::MAX_TOKEN)?).write()),
            // A service that knows version 1 only, whose continuation is a key.
            None => {
                let last = entries.last().map(|entry| &entry.key).max(prefixes.last());
                let last = match page.raw_text("NextMarker").filter(|marker| !marker.is_empty()) {
                    Some(marker) => keys.marker("NextMarker", marker, last.map(String::as_str))?.into_owned(),
                    None => {
                        let last =
                            last.ok_or_else(|| MalformedResponse("it is cut off and does not say where".into()))?;
                        format!("{key_prefix}{last}")
                    }
                };
                // The list would repeat endlessly.
                if requested.and_then(after).is_some_and(|before| last.as_str() <= before) {
                    return Err(MalformedResponse(CIRCLE.into()));
                }
                Some(Page::After(&last).write())
            }
        };
        if next.as_deref() == requested {
            return Err(MalformedResponse(CIRCLE.into()));
        }
    }
    Ok(ListPage { entries, prefixes, next })
}

/// Error of a page whose continuation leads to itself.
const CIRCLE: &str = "it goes on where it began";

/// The key in a continuation of the request.
fn after(continuation: &str) -> Option<&str> {
    match Page::read(continuation) {
        Ok(Page::After(key)) => Some(key),
        _ => None,
    }
}

/// Drops entries that are not after this key (without prefix): services that know version 1 only ignore `start-after`. Keeps a
/// common prefix of the key itself, as it may group later keys.
pub fn only_after(page: &mut ListPage, key: &str) {
    page.entries.retain(|entry| entry.key.as_str() > key);
    page.prefixes.retain(|prefix| prefix.as_str() > key || key.starts_with(prefix.as_str()));
}

/// Parses a `ListVersionsResult`, as [`list`] does.
pub fn list_versions(
    page: &Element<'_>,
    key_prefix: &str,
    requested: Option<&str>,
) -> Result<VersionPage, MalformedResponse> {
    let keys = Keys::of(page, key_prefix);
    let mut entries = Vec::new();
    for element in page.children() {
        let deleted = match element.name() {
            "Version" => false,
            "DeleteMarker" => true,
            _ => continue,
        };
        bounds::count("Version and DeleteMarker", entries.len() + 1, bounds::MAX_PAGE)?;
        let blob = if deleted {
            Entry {
                key: keys.key("Key", element.raw_text("Key").ok_or_else(|| MalformedResponse::missing("Key"))?)?,
                last_modified: last_modified(&element),
                ..Entry::default()
            }
        } else {
            entry(&element, &keys)?
        };
        let version = match element.text("VersionId").filter(|version| *version != "null") {
            Some(version) => Some(bounds::text("VersionId", version, bounds::MAX_VERSION)?.to_owned()),
            None => None,
        };
        entries.push(VersionEntry { blob, version, latest: element.is_true("IsLatest"), deleted });
    }
    let (mut next, prefixes) = (None, prefixes(page, &keys)?);
    if page.is_true("IsTruncated") {
        let key = page.raw_text("NextKeyMarker").ok_or_else(|| MalformedResponse::missing("NextKeyMarker"))?;
        let version = page.text("NextVersionIdMarker").unwrap_or_default();
        let version = bounds::text("NextVersionIdMarker", version, bounds::MAX_VERSION)?;
        let last = entries.last().map(|entry| &entry.blob.key).max(prefixes.last()).map(String::as_str);
        let after = Versions { key: &keys.marker("NextKeyMarker", key, last)?, version }.write();
        if Some(after.as_str()) == requested {
            return Err(MalformedResponse(CIRCLE.into()));
        }
        next = Some(after);
    }
    Ok(VersionPage { entries, prefixes, next })
}

fn prefixes(page: &Element<'_>, keys: &Keys<'_>) -> Result<Vec<String>, MalformedResponse> {
    let mut prefixes = Vec::new();
    for common in page.children_named("CommonPrefixes") {
        for prefix in common.children_named("Prefix") {
            bounds::count("CommonPrefixes", prefixes.len() + 1, bounds::MAX_PAGE)?;
            prefixes.push(keys.key("CommonPrefixes", prefix.content())?);
        }
    }
    Ok(prefixes)
}

/// Parses a blob in one pass, as a page may have a thousand. The first of several elements with the same name counts, except for
/// attributes, which are joined.
fn entry(blob: &Element<'_>, keys: &Keys<'_>) -> Result<Entry, MalformedResponse> {
    let (mut key, mut size, mut etag, mut last_modified) = (None, None, None, None);
    let mut values: [String; RESPONSE_ATTRIBUTES.len()] = Default::default();
    for child in blob.children() {
        let (name, text) = (child.name(), child.content());
        let first = match name {
            "Key" => &mut key,
            "Size" => &mut size,
            "ETag" => &mut etag,
            "LastModified" => &mut last_modified,
            _ => {
                if let Some(n) = RESPONSE_ATTRIBUTES.iter().position(|(_, element)| *element == name) {
                    let value = &mut values[n];
                    if value.is_empty() {
                        *value = text.trim().to_owned();
                    } else {
                        value.push(',');
                        value.push_str(text.trim());
                    }
                    bounds::text(name, value, bounds::MAX_ATTRIBUTE)?;
                }
                continue;
            }
        };
        first.get_or_insert(text);
    }
    let mut attributes = Vec::new();
    for ((name, _), value) in RESPONSE_ATTRIBUTES.iter().zip(values) {
        if !value.is_empty() {
            attributes.push(((*name).to_owned(), value));
        }
    }
    let last_modified = last_modified.and_then(second);
    let etag = match etag.map(str::trim) {
        Some(etag) if !etag.is_empty() => Some(bounds::text("ETag", etag, bounds::MAX_ETAG)?.to_owned()),
        _ => None,
    };
    Ok(Entry {
        key: keys.key("Key", key.ok_or_else(|| MalformedResponse::missing("Key"))?)?,
        size: size.and_then(|size| decimal(size.trim())).ok_or_else(|| MalformedResponse::missing("Size"))?,
        etag,
        last_modified,
        attributes,
    })
}

/// Time of the last modification, if reported.
pub(super) fn last_modified(element: &Element<'_>) -> Option<Datetime> {
    at(element, "LastModified")
}

/// The time in the child with this name.
pub(super) fn at(element: &Element<'_>, name: &str) -> Option<Datetime> {
    element.text(name).and_then(second)
}

/// Parses a time. Informative: an invalid one counts as absent.
fn second(text: &str) -> Option<Datetime> {
    time::date(text.trim()).map(Into::into)
}

#[cfg(test)]
mod tests;
