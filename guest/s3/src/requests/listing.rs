//! Requests to list blobs and their versions.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>

use crate::continuation::{Page, Versions};
use crate::settings::Settings;
use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::contract::model::ListOptions;
use sandbucket_plugin::http::request::{Method, Request};
use sandbucket_plugin::key::MAX_KEY;
use sandbucket_plugin::listing::check_page_size;

use super::attributes;
use super::base;
use crate::attributes::groups;

/// Maximum number of entries in a page.
const MAX_PAGE: u32 = 1000;

/// Lists a page of blobs.
pub fn list(settings: &Settings, options: &ListOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Get, settings, "");
    request.parameter("list-type", "2");
    let continuation = options.continuation.as_deref().map(Page::read).transpose()?;
    match continuation {
        Some(Page::Token(token)) => request.parameter("continuation-token", token),
        // For services without tokens, which resume after `marker`, the parameter of version 1.
        Some(Page::After(key)) => {
            request.parameter("start-after", key);
            request.parameter("marker", key);
        }
        None => {}
    }
    common(&mut request, settings, options)?;
    // Ignored with a token.
    if let (None, Some(after)) = (&options.continuation, after(settings, options)?) {
        request.parameter("start-after", after);
    }
    Ok(request)
}

/// Lists a page of versions.
pub fn list_versions(settings: &Settings, options: &ListOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Get, settings, "");
    request.parameter("versions", "");
    common(&mut request, settings, options)?;
    match options.continuation.as_deref().map(Versions::read).transpose()? {
        Some(Versions { key, version }) => {
            request.parameter("key-marker", key);
            if !version.is_empty() {
                request.parameter("version-id-marker", version);
            }
        }
        None => {
            if let Some(after) = after(settings, options)? {
                request.parameter("key-marker", after);
            }
        }
    }
    Ok(request)
}

fn common(request: &mut Request, settings: &Settings, options: &ListOptions) -> Result<(), Failure> {
    request.parameter("encoding-type", "url");
    page_size(request, "max-keys", options.page_size)?;
    prefix(request, settings, &options.prefix)?;
    if let Some(delimiter) = options.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()) {
        if delimiter.len() > MAX_KEY {
            return Err(Error::fault("delimiter", "a delimiter has at most 1,024 bytes"));
        }
        request.parameter("delimiter", delimiter);
    }
    attributes::apply(request, &options.call, settings, groups::NONE)
}

fn after(settings: &Settings, options: &ListOptions) -> Result<Option<String>, Failure> {
    let Some(after) = options.start_after.as_deref().filter(|after| !after.is_empty()) else {
        return Ok(None);
    };
    let after = format!("{}{after}", settings.key_prefix);
    if after.len() > MAX_KEY {
        return Err(Error::fault("start-after", "the key to start after has more than S3's 1,024 bytes"));
    }
    // A key before the prefix has no effect on S3, but makes Garage list nothing.
    let prefix = settings.key_prefix.bytes().chain(options.prefix.bytes());
    Ok(Some(after).filter(|after| after.bytes().cmp(prefix).is_ge()))
}

/// Adds the prefix of the keys.
pub(crate) fn prefix(request: &mut Request, settings: &Settings, prefix: &str) -> Result<(), Failure> {
    let prefix = format!("{}{prefix}", settings.key_prefix);
    if prefix.len() > MAX_KEY {
        return Err(Error::fault("prefix", "the prefix has more than the 1,024 bytes of S3's keys"));
    }
    if !prefix.is_empty() {
        request.parameter("prefix", prefix);
    }
    Ok(())
}

/// Adds the maximum number of entries of a page.
pub(crate) fn page_size(request: &mut Request, name: &'static str, size: Option<u32>) -> Result<(), Failure> {
    check_page_size(size, MAX_PAGE)?;
    if let Some(size) = size {
        request.parameter(name, size.to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;
    use sandbucket_plugin::contract::model::{CallOptions, Pair};

    fn store(more: &[(&str, &str)]) -> Settings {
        let pairs = [&[("bucket", "demo"), ("endpoint", "http://localhost")], more].concat();
        let pairs: Vec<Pair> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        settings::parse(&pairs).unwrap()
    }

    #[test]
    fn list_sends_options_in_its_query() {
        let mut options = ListOptions {
            prefix: "a b/".into(),
            delimiter: Some("/".into()),
            start_after: Some("a b/+".into()),
            page_size: Some(7),
            ..ListOptions::default()
        };
        let target = |options: &ListOptions| {
            let request = list(&store(&[("key-prefix", "t/")]), options).unwrap();
            request.path_and_query().into_owned()
        };
        let query = "/demo?list-type=2&encoding-type=url&max-keys=7&prefix=t%2Fa%20b%2F&delimiter=%2F";
        assert_eq!(target(&options), format!("{query}&start-after=t%2Fa%20b%2F%2B"));
        options.start_after = Some("a".into());
        assert_eq!(target(&options), query);
        options.continuation = Some(Page::Token("x=").write());
        let token =
            "/demo?list-type=2&continuation-token=x%3D&encoding-type=url&max-keys=7&prefix=t%2Fa%20b%2F&delimiter=%2F";
        assert_eq!(target(&options), token);
        let bare = list(&store(&[]), &ListOptions::default()).unwrap();
        assert_eq!(bare.path_and_query(), "/demo?list-type=2&encoding-type=url");
    }

    #[test]
    fn list_versions_resumes_after_a_version() {
        let options = ListOptions { start_after: Some("k".into()), ..ListOptions::default() };
        let first = list_versions(&store(&[("key-prefix", "t/")]), &options).unwrap();
        assert_eq!(first.path_and_query(), "/demo?versions=&encoding-type=url&prefix=t%2F&key-marker=t%2Fk");
        let continuation = Some(Versions { key: "t/k", version: "v1" }.write());
        let next = list_versions(&store(&[]), &ListOptions { continuation, ..options }).unwrap();
        assert_eq!(next.path_and_query(), "/demo?versions=&encoding-type=url&key-marker=t%2Fk&version-id-marker=v1");
    }

    #[test]
    fn list_options_beyond_the_limits_of_s3_are_rejected() {
        let subject = |options: ListOptions| list(&store(&[]), &options).unwrap_err().subject.unwrap();
        for size in [0, 1001] {
            assert_eq!(subject(ListOptions { page_size: Some(size), ..Default::default() }), "page-size");
        }
        assert_eq!(subject(ListOptions { prefix: "p".repeat(1025), ..Default::default() }), "prefix");
        assert_eq!(subject(ListOptions { start_after: Some("p".repeat(1025)), ..Default::default() }), "start-after");
        assert_eq!(subject(ListOptions { delimiter: Some("p".repeat(1025)), ..Default::default() }), "delimiter");
        assert_eq!(subject(ListOptions { continuation: Some("?".into()), ..Default::default() }), "continuation");
        let call = CallOptions { attributes: vec![("storage-class".into(), "X".into())], ..CallOptions::default() };
        assert_eq!(subject(ListOptions { call, ..Default::default() }), "storage-class");
    }
}
