//! Every result that a plugin can return, through the host's validation, into public types, the `object_store` adapter, and
//! text.

use std::time::{Duration, SystemTime};

use arbitrary::Unstructured;
use sandbucket::fuzzing::{PluginStep, PluginValue, plugin_result, request_head};
use sandbucket::text::is_unsafe_for_display;
use sandbucket::{BlobInfo, Entry, Error};
use sandbucket_object_store::fuzzing::{entry_to_object_store, error_to_object_store, to_object_store};

use super::requests::holds;

/// What each text and list is bounded by, as `host/sandbucket/src/bindings/validate.rs` has it.
const MAX_MESSAGE: usize = 4 << 10;
const MAX_WORD: usize = 256;
const MAX_KEY: usize = 4 << 10;
const MAX_TAG: usize = 2 << 10;
const MAX_TOKEN: usize = 16 << 10;
const MAX_VALUE: usize = 64 << 10;
const MAX_PAIRS: usize = 2048;
const MAX_PAGE: usize = 10_000;
/// What an escape sequence and the truncation mark add to a text.
const ESCAPED: usize = 16;

/// A result of any of a plugin's functions.
pub fn host_plugin_results(data: &[u8]) {
    match plugin_result(&mut Unstructured::new(data)) {
        Ok(Ok(value)) => valid(&value),
        Ok(Err(error)) => shown(error),
        // Too few bytes for a whole result.
        Err(_) => {}
    }
}

fn valid(value: &PluginValue) {
    match value {
        PluginValue::Info(info) | PluginValue::Blob(info, _) => blob(info),
        PluginValue::Written(written) => tags([&written.etag, &written.version]),
        PluginValue::Presigned(presigned) => {
            header(&presigned.url, 32 << 10);
            assert!(presigned.headers.len() <= 128);
            for (name, value) in &presigned.headers {
                http::HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
                header(value, MAX_VALUE);
            }
        }
        PluginValue::List(page) => {
            listed(page.entries.len(), &page.prefixes, &page.next);
            page.entries.iter().for_each(entry);
        }
        PluginValue::Versions(page) => {
            listed(page.entries.len(), &page.prefixes, &page.next);
            for version in &page.entries {
                entry(&version.blob);
                tags([&version.version, &None]);
            }
        }
        PluginValue::Part(part) => self::part(part),
        PluginValue::Parts(page) => {
            listed(page.parts.len(), &[], &page.next);
            page.parts.iter().for_each(self::part);
        }
        PluginValue::Uploads(page) => {
            listed(page.uploads.len(), &[], &page.next);
            for upload in &page.uploads {
                assert!(upload.key.len() <= MAX_KEY);
                header(&upload.id, MAX_TAG);
                time(upload.initiated);
            }
        }
        PluginValue::Buckets(page) => {
            listed(page.buckets.len(), &[], &page.next);
            for bucket in &page.buckets {
                header(&bucket.name, MAX_TAG);
                tags([&bucket.region, &None]);
                time(bucket.created);
            }
        }
        PluginValue::Attributes(attributes) => {
            assert!(attributes.len() <= MAX_WORD);
            for attribute in attributes {
                assert!(!attribute.name.is_empty());
                line(&attribute.name, MAX_WORD);
                line(&attribute.help, MAX_MESSAGE);
            }
        }
        PluginValue::Nothing => {}
        PluginValue::Settings(settings) => {
            assert!(settings.len() <= MAX_WORD);
            for setting in settings {
                line(&setting.help, MAX_MESSAGE);
                setting.default.iter().for_each(|text| line(text, MAX_MESSAGE));
                for name in setting.aliases.iter().chain([&setting.name]) {
                    assert!(!name.is_empty());
                    line(name, MAX_WORD);
                }
            }
        }
        PluginValue::Tags(pairs) => metadata(pairs),
        PluginValue::UploadId(id) => header(id, MAX_TAG),
        PluginValue::Digests(count) => assert!(*count <= 5),
        PluginValue::Outcomes(outcomes) => {
            outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).for_each(|error| shown(error.clone()));
        }
        PluginValue::Steps(steps) => steps.iter().for_each(step),
    }
}

fn step(step: &Result<PluginStep, Error>) {
    match step {
        Ok(PluginStep::Send(prepared)) => match request_head(prepared.clone(), 0) {
            Ok(head) => holds(&head, prepared, 0),
            Err(refused) => line(&refused, MAX_MESSAGE),
        },
        Ok(PluginStep::Done(value)) => valid(value),
        Ok(PluginStep::Failed(error)) | Err(error) => shown(error.clone()),
    }
}

/// Error texts are for people: one bounded line each, without characters that move the cursor or hide others.
fn shown(error: Error) {
    line(&error.to_string(), 2 * MAX_MESSAGE);
    if let Some(failure) = error.failure() {
        line(&failure.message, MAX_MESSAGE);
        failure.subject.iter().for_each(|text| line(text, MAX_WORD));
        if let Some(response) = &failure.response {
            response.message.iter().for_each(|text| line(text, MAX_MESSAGE));
            for text in [&response.code, &response.request_id, &response.region].into_iter().flatten() {
                line(text, MAX_WORD);
            }
        }
    }
    line(&format!("{error:?}"), 8 * MAX_MESSAGE);
    let _ = error.is_retryable();
    line(&error_to_object_store(error).to_string(), 4 * MAX_MESSAGE);
}

fn line(text: &str, max: usize) {
    let odd = text.chars().find(|&c| is_unsafe_for_display(c));
    assert_eq!(odd, None, "{text:?}");
    assert!(text.len() <= max + ESCAPED, "{} bytes", text.len());
}

/// A valid header value.
fn header(text: &str, max: usize) {
    assert!(text.len() <= max, "{} bytes", text.len());
    assert!(http::HeaderValue::from_str(text).is_ok(), "{text:?}");
}

fn tags(tags: [&Option<String>; 2]) {
    tags.into_iter().flatten().for_each(|tag| header(tag, MAX_TAG));
}

fn metadata(pairs: &[(String, String)]) {
    assert!(pairs.len() <= MAX_PAIRS);
    for (name, value) in pairs {
        header(name, MAX_TAG);
        assert!(value.len() <= MAX_VALUE);
    }
}

fn attributes(pairs: &[(String, String)]) {
    metadata(pairs);
    pairs.iter().for_each(|(_, value)| header(value, MAX_VALUE));
}

/// A date within the range of every calendar.
fn time(time: Option<SystemTime>) {
    let since = time.map(|time| time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970"));
    assert!(since.unwrap_or_default() < Duration::from_secs(253_402_300_800));
}

fn blob(info: &BlobInfo) {
    tags([&info.etag, &info.version]);
    tags([&info.content_type, &None]);
    metadata(&info.metadata);
    attributes(&info.attributes);
    time(info.last_modified);
    let (meta, count) = to_object_store("a/b", info);
    assert!(count <= 1 + 2 * MAX_PAIRS);
    let meta = meta.expect("a path");
    assert_eq!(meta.size, info.size);
    assert!(meta.last_modified.to_rfc3339().len() <= 40);
}

fn entry(entry: &Entry) {
    assert!(entry.key.len() <= MAX_KEY);
    tags([&entry.etag, &None]);
    attributes(&entry.attributes);
    time(entry.last_modified);
    if let Some(meta) = entry_to_object_store(entry.clone()) {
        assert_eq!(meta.location.as_ref(), entry.key);
        assert!(meta.last_modified.to_rfc3339().len() <= 40);
    }
}

fn part(part: &sandbucket::Part) {
    header(&part.etag, MAX_TAG);
    attributes(&part.attributes);
    time(part.last_modified);
}

fn listed(count: usize, prefixes: &[String], next: &Option<String>) {
    assert!(count <= MAX_PAGE && prefixes.len() <= MAX_PAGE);
    assert!(prefixes.iter().all(|prefix| prefix.len() <= MAX_KEY));
    assert!(next.as_ref().is_none_or(|next| next.len() <= MAX_TOKEN));
}
