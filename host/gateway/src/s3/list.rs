//! Listings of objects and versions.
//!
//! Continuation tokens are the service's, encoded: they are opaque on both sides. A marker, which is a key, becomes the
//! library's `start_after`.

use base64ct::{Base64UrlUnpadded, Encoding};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use sandbucket::{Entry, ListPage};

use super::access::denied;
use super::attributes::{etag, timestamp};
use super::{Front, Scope};

/// Maximum number of entries and prefixes of a page.
const MAX_PAGE: i32 = 1000;
/// Maximum number of pages without an entry that a request goes through.
const MAX_EMPTY_PAGES: usize = 16;
/// What `encoding-type=url` leaves as it is.
const UNENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b'*');
/// Marks a version or upload marker that contains a continuation token of the service.
const TOKEN_MARK: &str = "sandbucket.";

/// Encodes a token of the service for a response.
pub(super) fn encode_token(token: &str) -> String {
    Base64UrlUnpadded::encode_string(token.as_bytes())
}

/// Decodes a token of a request.
pub(super) fn decode_token(token: &str) -> S3Result<String> {
    let bytes = Base64UrlUnpadded::decode_vec(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

/// A token in the place of a marker.
pub(super) fn marker_of(token: &str) -> String {
    format!("{TOKEN_MARK}{}", encode_token(token))
}

/// The token in a marker, if it has one.
pub(super) fn token_in(marker: Option<&String>) -> S3Result<Option<String>> {
    let token = marker.and_then(|marker| marker.strip_prefix(TOKEN_MARK));
    token.map(decode_token).transpose()
}

/// The size of a page: 0 to 1,000.
pub(super) fn page_size(max: Option<i32>) -> S3Result<i32> {
    match max {
        None => Ok(MAX_PAGE),
        Some(max @ 0..) => Ok(max.min(MAX_PAGE)),
        Some(_) => Err(s3_error!(InvalidArgument, "Argument max-keys must be an integer between 0 and 2147483647")),
    }
}

/// How texts appear in a response.
#[derive(Clone, Copy)]
pub(super) struct TextEncoding(bool);

impl TextEncoding {
    pub(super) fn of(encoding: Option<&EncodingType>) -> S3Result<Self> {
        match encoding.map(|encoding| encoding.as_str()) {
            None => Ok(TextEncoding(false)),
            Some("url") => Ok(TextEncoding(true)),
            Some(_) => Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request")),
        }
    }

    pub(super) fn text(self, text: String) -> String {
        if self.0 { utf8_percent_encode(&text, UNENCODED).to_string() } else { text }
    }

    pub(super) fn opt(self, text: Option<String>) -> Option<String> {
        text.map(|text| self.text(text))
    }
}

/// What to list, in the client's terms.
struct Wanted<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    start_after: Option<&'a str>,
    continuation: Option<String>,
    size: i32,
}

/// The key after which a listing goes on. With a delimiter, S3 skips all keys below a marker that is a common prefix.
fn start_after(wanted: &Wanted<'_>) -> Option<String> {
    let after = wanted.start_after.filter(|after| !after.is_empty())?;
    let folded = wanted.delimiter.is_some_and(|delimiter| {
        let rest = after.strip_prefix(wanted.prefix);
        rest.is_some_and(|rest| rest.find(delimiter).is_some_and(|at| at + delimiter.len() == rest.len()))
    });
    Some(if folded { format!("{after}{}", char::MAX) } else { after.to_owned() })
}

impl Scope {
    /// Checks that the front-end key may list below this prefix.
    pub(super) fn permit_listing(&self, prefix: &str) -> S3Result<()> {
        if self.grant.permits_listing(prefix) { Ok(()) } else { Err(denied()) }
    }

    /// A page of the bucket, with the client's keys.
    async fn page(&self, wanted: &Wanted<'_>) -> S3Result<ListPage> {
        self.permit_listing(wanted.prefix)?;
        let mut list = self.store.list(self.inside(wanted.prefix));
        if let Some(delimiter) = wanted.delimiter {
            list = list.delimiter(delimiter);
        }
        if let Some(after) = start_after(wanted) {
            list = list.start_after(self.inside(&after));
        }
        if let Some(token) = &wanted.continuation {
            list = list.continuation(token);
        }
        let size = u32::try_from(wanted.size).unwrap_or(1).max(1);
        let mut page = list.page_size(size).await.map_err(|error| self.error(&error))?;
        // A service that lists beyond the prefix does not widen the bucket.
        page.entries.retain_mut(|entry| match self.outside(&entry.key) {
            Some(key) => {
                entry.key = key;
                true
            }
            None => false,
        });
        page.prefixes = page.prefixes.iter().filter_map(|prefix| self.outside(prefix)).collect();
        Ok(page)
    }
}

impl Front {
    pub(super) async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = &request.input;
        let scope = self.scope(&request, &input.bucket, "ListObjectsV2").await?;
        let encoding = TextEncoding::of(input.encoding_type.as_ref())?;
        let size = page_size(input.max_keys)?;
        let token = input.continuation_token.as_deref().filter(|token| !token.is_empty());
        let wanted = Wanted {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()),
            start_after: input.start_after.as_deref(),
            continuation: token.map(decode_token).transpose()?,
            size,
        };
        let page = if size == 0 {
            scope.permit_listing(wanted.prefix)?;
            ListPage::default()
        } else {
            scope.page(&wanted).await?
        };
        let count = i32::try_from(page.entries.len() + page.prefixes.len()).unwrap_or(MAX_PAGE);
        let owner = input.fetch_owner == Some(true);
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket.clone()),
            prefix: Some(encoding.text(input.prefix.clone().unwrap_or_default())),
            max_keys: Some(size),
            key_count: Some(count),
            continuation_token: input.continuation_token.clone(),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.as_deref().map(encode_token),
            contents: some_list(page.entries.into_iter().map(|entry| object(entry, encoding, owner)).collect()),
            common_prefixes: some_list(page.prefixes.into_iter().map(|prefix| common(prefix, encoding)).collect()),
            delimiter: encoding.opt(input.delimiter.clone().filter(|delimiter| !delimiter.is_empty())),
            encoding_type: input.encoding_type.clone(),
            start_after: encoding.opt(input.start_after.clone()),
            ..ListObjectsV2Output::default()
        }))
    }

    pub(super) async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = &request.input;
        let scope = self.scope(&request, &input.bucket, "ListObjects").await?;
        let encoding = TextEncoding::of(input.encoding_type.as_ref())?;
        let size = page_size(input.max_keys)?;
        let mut wanted = Wanted {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()),
            start_after: input.marker.as_deref(),
            continuation: None,
            size,
        };
        scope.permit_listing(wanted.prefix)?;
        let mut page = ListPage::default();
        if size > 0 {
            // The next marker is the last key of a page, so that a page needs one.
            for _ in 0..MAX_EMPTY_PAGES {
                page = scope.page(&wanted).await?;
                if page.next.is_none() || !page.entries.is_empty() || !page.prefixes.is_empty() {
                    break;
                }
                wanted.continuation = page.next.take();
            }
        }
        let last = page.entries.last().map(|entry| &entry.key).into_iter().chain(page.prefixes.last()).max().cloned();
        let next = page.next.and(last);
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket.clone()),
            prefix: Some(encoding.text(input.prefix.clone().unwrap_or_default())),
            marker: Some(encoding.text(input.marker.clone().unwrap_or_default())),
            max_keys: Some(size),
            is_truncated: Some(next.is_some()),
            contents: some_list(page.entries.into_iter().map(|entry| object(entry, encoding, true)).collect()),
            common_prefixes: some_list(page.prefixes.into_iter().map(|prefix| common(prefix, encoding)).collect()),
            delimiter: encoding.opt(input.delimiter.clone().filter(|delimiter| !delimiter.is_empty())),
            next_marker: encoding.opt(next),
            encoding_type: input.encoding_type.clone(),
            ..ListObjectsOutput::default()
        }))
    }

    pub(super) async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let input = &request.input;
        let scope = self.scope(&request, &input.bucket, "ListObjectVersions").await?;
        let encoding = TextEncoding::of(input.encoding_type.as_ref())?;
        let size = page_size(input.max_keys)?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        scope.permit_listing(prefix)?;
        let (mut versions, mut markers, mut prefixes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut next, mut last) = (None, None);
        if size > 0 {
            let mut list = scope.store.list_versions(scope.inside(prefix)).page_size(u32::try_from(size).unwrap_or(1));
            if let Some(delimiter) = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()) {
                list = list.delimiter(delimiter);
            }
            match (token_in(input.version_id_marker.as_ref())?, input.key_marker.as_deref()) {
                (Some(token), _) => list = list.continuation(token),
                (None, Some(key)) if !key.is_empty() => list = list.start_after(scope.inside(key)),
                (None, _) => {}
            }
            let page = list.await.map_err(|error| scope.error(&error))?;
            next = page.next;
            for entry in page.entries {
                let Some(key) = scope.outside(&entry.blob.key) else { continue };
                last = Some(key.clone());
                let (key, last_modified) = (Some(encoding.text(key)), entry.blob.last_modified.and_then(timestamp));
                let version_id = Some(entry.version.unwrap_or_else(|| "null".to_owned()));
                if entry.deleted {
                    markers.push(DeleteMarkerEntry {
                        is_latest: Some(entry.latest),
                        key,
                        last_modified,
                        owner: Some(owner()),
                        version_id,
                    });
                    continue;
                }
                let class = class(&entry.blob);
                versions.push(ObjectVersion {
                    e_tag: entry.blob.etag.as_deref().map(etag),
                    is_latest: Some(entry.latest),
                    key,
                    last_modified,
                    owner: Some(owner()),
                    size: i64::try_from(entry.blob.size).ok(),
                    storage_class: Some(class.into()),
                    version_id,
                    ..ObjectVersion::default()
                });
            }
            prefixes.extend(page.prefixes.iter().filter_map(|prefix| scope.outside(prefix)));
        }
        let last = last.into_iter().chain(prefixes.last().cloned()).max();
        Ok(S3Response::new(ListObjectVersionsOutput {
            common_prefixes: some_list(prefixes.into_iter().map(|prefix| common(prefix, encoding)).collect()),
            delete_markers: some_list(markers),
            delimiter: encoding.opt(input.delimiter.clone().filter(|delimiter| !delimiter.is_empty())),
            encoding_type: input.encoding_type.clone(),
            is_truncated: Some(next.is_some()),
            key_marker: Some(encoding.text(input.key_marker.clone().unwrap_or_default())),
            max_keys: Some(size),
            name: Some(input.bucket.clone()),
            next_key_marker: next.as_ref().map(|_| encoding.text(last.unwrap_or_default())),
            next_version_id_marker: next.as_deref().map(marker_of),
            prefix: Some(encoding.text(prefix.to_owned())),
            version_id_marker: Some(input.version_id_marker.clone().unwrap_or_default()),
            versions: some_list(versions),
            ..ListObjectVersionsOutput::default()
        }))
    }
}

fn object(entry: Entry, encoding: TextEncoding, with_owner: bool) -> Object {
    let class = class(&entry);
    Object {
        e_tag: entry.etag.as_deref().map(etag),
        key: Some(encoding.text(entry.key)),
        last_modified: entry.last_modified.and_then(timestamp),
        owner: with_owner.then(owner),
        size: i64::try_from(entry.size).ok(),
        storage_class: Some(class.into()),
        ..Object::default()
    }
}

fn class(entry: &Entry) -> String {
    let class = entry.attributes.iter().find(|(name, _)| name == "storage-class");
    class.map_or_else(|| "STANDARD".to_owned(), |(_, class)| class.clone())
}

/// The owner of everything: clients show it, so it has to be there, and the tenant's own account is not the client's to see.
pub(super) fn owner() -> Owner {
    Owner { display_name: Some("sandbucket".to_owned()), id: Some("sandbucket".to_owned()) }
}

pub(super) fn common(prefix: String, encoding: TextEncoding) -> CommonPrefix {
    CommonPrefix { prefix: Some(encoding.text(prefix)) }
}

pub(super) fn some_list<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_markers_round_trip() {
        assert_eq!(decode_token(&encode_token("tenant/é\u{1}")).unwrap(), "tenant/é\u{1}");
        let marker = marker_of("token");
        assert_eq!(token_in(Some(&marker)).unwrap().as_deref(), Some("token"));
        assert_eq!(token_in(Some(&"null".to_owned())).unwrap(), None);
        assert!(decode_token("%").is_err() && token_in(Some(&"sandbucket.%".to_owned())).is_err());
    }

    #[test]
    fn marker_that_is_a_common_prefix_skips_the_keys_below_it() {
        let after = |prefix, delimiter, marker| {
            start_after(&Wanted { prefix, delimiter, start_after: Some(marker), continuation: None, size: 1 })
        };
        assert_eq!(after("", Some("/"), "a/"), Some(format!("a/{}", char::MAX)));
        assert_eq!(after("a/", Some("/"), "a/b/"), Some(format!("a/b/{}", char::MAX)));
        for marker in ["a", "a/b/c", "a/b"] {
            assert_eq!(after("", Some("/"), marker).as_deref(), Some(marker));
        }
        assert_eq!(after("", None, "a/").as_deref(), Some("a/"));
        assert_eq!(after("a/", Some("/"), "a/").as_deref(), Some("a/"));
        assert_eq!(after("", None, ""), None);
    }

    #[test]
    fn texts_are_encoded_on_request_only() {
        let url = TextEncoding::of(Some(&EncodingType::from_static("url"))).unwrap();
        assert_eq!(url.text("a b/é\u{1}".to_owned()), "a%20b/%C3%A9%01");
        assert_eq!(TextEncoding::of(None).unwrap().text("a b".to_owned()), "a b");
        assert!(TextEncoding::of(Some(&EncodingType::from_static("xml"))).is_err());
        assert!(page_size(Some(-1)).is_err());
        assert_eq!((page_size(Some(5000)).unwrap(), page_size(None).unwrap()), (1000, 1000));
    }
}
