//! Listings: ordered by the keys' bytes, paged, folded at a delimiter.

use cap_std::fs::Dir;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use s3s::dto::{CommonPrefix, ListObjectsV2Input, ListObjectsV2Output, Object, Timestamp};
use s3s::{S3Error, S3Result, s3_error};

use super::extras::Extras;
use super::keys::Keys;

const MAX_PAGE: i32 = 1000;
/// With `encoding-type=url` keys may contain what XML cannot represent, such as control characters.
const IN_XML: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// An entry of a page: a blob, or a prefix that folds all blobs below it.
enum Entry {
    Blob(String),
    Prefix(String),
}

/// The requested page. `extras` returns the side data of a file.
pub(super) fn page(
    bucket: &Dir,
    keys: &Keys,
    extras: impl Fn(&str) -> Extras,
    input: ListObjectsV2Input,
) -> S3Result<ListObjectsV2Output> {
    let prefix = input.prefix.as_deref().unwrap_or("");
    let delimiter = input.delimiter.as_deref().filter(|d| !d.is_empty());
    let max_keys = input.max_keys.unwrap_or(MAX_PAGE);
    if max_keys < 0 {
        return Err(s3_error!(InvalidArgument, "max-keys must not be negative"));
    }
    let limit = usize::try_from(max_keys.min(MAX_PAGE)).unwrap_or(0);
    // What XML cannot represent is encoded in tokens, as in keys.
    let token = input.continuation_token.as_deref().map(|token| percent_decode_str(token).decode_utf8_lossy());
    let after = token.as_deref().or(input.start_after.as_deref());

    let mut found: Vec<String> = bucket
        .entries()
        .map_err(S3Error::internal_error)?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| keys.key(entry.file_name().to_str()?))
        .filter(|key| key.starts_with(prefix))
        .collect();
    found.sort_unstable();

    let mut entries: Vec<Entry> = Vec::new();
    let mut truncated = false;
    for key in found {
        let folded = delimiter.and_then(|d| key[prefix.len()..].find(d).map(|at| prefix.len() + at + d.len()));
        let entry = match folded {
            Some(end) => Entry::Prefix(key[..end].to_owned()),
            None => Entry::Blob(key),
        };
        // A prefix is listed once; if it was the last entry of the previous page, it is skipped.
        if matches!((&entry, entries.last()), (Entry::Prefix(new), Some(Entry::Prefix(last))) if new == last)
            || after.is_some_and(|after| entry.name() <= after)
        {
            continue;
        }
        if entries.len() == limit {
            truncated = limit > 0;
            break;
        }
        entries.push(entry);
    }

    let by_url = input.encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == "url");
    let response_key = |text: String| response_key(text, by_url);
    let next = if truncated { entries.last().map(|last| last.name().to_owned()) } else { None };
    let count = i32::try_from(entries.len()).unwrap_or(MAX_PAGE);
    let mut contents = Vec::new();
    let mut common_prefixes = Vec::new();
    for entry in entries {
        match entry {
            Entry::Prefix(prefix) => common_prefixes.push(CommonPrefix { prefix: Some(response_key(prefix)) }),
            Entry::Blob(key) => {
                // Deleted since the folder was read.
                let name = keys.name(&key);
                let Some(metadata) = bucket.symlink_metadata(&name).ok().filter(|metadata| metadata.is_file()) else {
                    continue;
                };
                let extras = extras(&name);
                contents.push(Object {
                    size: i64::try_from(metadata.len()).ok(),
                    last_modified: metadata.modified().ok().map(|at| Timestamp::from(at.into_std())),
                    key: Some(response_key(key)),
                    e_tag: extras.etag(),
                    storage_class: Some(extras.storage_class.unwrap_or_else(|| "STANDARD".to_owned()).into()),
                    ..Default::default()
                });
            }
        }
    }
    Ok(ListObjectsV2Output {
        key_count: Some(count),
        max_keys: Some(max_keys.min(MAX_PAGE)),
        is_truncated: Some(truncated),
        contents: (!contents.is_empty()).then_some(contents),
        common_prefixes: (!common_prefixes.is_empty()).then_some(common_prefixes),
        next_continuation_token: next.map(|last| self::response_key(last, true)),
        continuation_token: input.continuation_token,
        delimiter: input.delimiter.map(response_key),
        encoding_type: input.encoding_type,
        name: Some(input.bucket),
        prefix: input.prefix.map(response_key),
        start_after: input.start_after.map(response_key),
        ..Default::default()
    })
}

/// A key as it appears in a response.
pub(super) fn response_key(key: String, by_url: bool) -> String {
    if by_url { utf8_percent_encode(&key, IN_XML).to_string() } else { key }
}

/// The key of a continuation token, as it appears in a response.
pub(super) fn marker(token: String, by_url: bool) -> String {
    if by_url { token } else { percent_decode_str(&token).decode_utf8_lossy().into_owned() }
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Entry::Blob(name) | Entry::Prefix(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage;

    fn names(output: &ListObjectsV2Output) -> Vec<String> {
        let blobs = output.contents.iter().flatten().filter_map(|o| o.key.clone());
        let prefixes = output.common_prefixes.iter().flatten().filter_map(|p| p.prefix.clone());
        blobs.chain(prefixes).collect()
    }

    #[test]
    fn pages_have_no_gap_or_overlap_and_fold_at_the_delimiter() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        let keys = Keys::new(storage.clone());
        let bucket = storage.make_folder(&["bucket"]).unwrap();
        let long = format!("z/{}", "n".repeat(500));
        for key in ["a", "a/1", "a/2", "b//x", "b/y", "é", long.as_str()] {
            bucket.write(keys.name_for_writing(key).unwrap(), key).unwrap();
        }
        let input = |prefix: &str, delimiter: Option<&str>, max: i32, token: Option<String>| ListObjectsV2Input {
            bucket: "bucket".to_owned(),
            prefix: Some(prefix.to_owned()),
            delimiter: delimiter.map(str::to_owned),
            max_keys: Some(max),
            continuation_token: token,
            ..Default::default()
        };
        let all = page(&bucket, &keys, |_| Extras::default(), input("", None, 1000, None)).unwrap();
        assert_eq!(names(&all), ["a", "a/1", "a/2", "b//x", "b/y", long.as_str(), "é"]);
        assert_eq!(all.is_truncated, Some(false));
        let encoding_type = Some(s3s::dto::EncodingType::from_static("url"));
        let encoded = page(
            &bucket,
            &keys,
            |_| Extras::default(),
            ListObjectsV2Input { encoding_type, ..input("é", None, 1000, None) },
        )
        .unwrap();
        assert_eq!((names(&encoded), encoded.prefix.as_deref()), (vec!["%C3%A9".to_owned()], Some("%C3%A9")));

        let folded = page(&bucket, &keys, |_| Extras::default(), input("", Some("/"), 1000, None)).unwrap();
        assert_eq!(names(&folded), ["a", "é", "a/", "b/", "z/"]);
        assert_eq!(
            names(&page(&bucket, &keys, |_| Extras::default(), input("b/", Some("/"), 1000, None)).unwrap()),
            ["b/y", "b//"]
        );

        let (mut seen, mut token) = (Vec::new(), None);
        loop {
            let one = page(&bucket, &keys, |_| Extras::default(), input("", Some("/"), 1, token)).unwrap();
            seen.extend(names(&one));
            token = one.next_continuation_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["a", "a/", "b/", "z/", "é"]);
    }
}
