//! Requests to list blobs, their versions, and blobs with uncommitted blocks.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/list-blobs>

use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::contract::model::{CallOptions, ListOptions, ListUploadsOptions};
use sandbucket_plugin::http::request::{Method, Request};
use sandbucket_plugin::listing::check_page_size;

use super::attributes::apply;
use super::base;
use crate::attributes::groups;
use crate::continuation;
use crate::key::MAX_KEY;
use crate::settings::Settings;
use crate::upload_id::UploadId;

/// Maximum number of entries in a page.
const MAX_PAGE: u32 = 1000;

/// Maximum number of blobs in a page of uploads: the blocks of each are a request of their own.
const MAX_UPLOADS: u32 = 50;

/// Lists a page of blobs.
pub fn list(settings: &Settings, options: &ListOptions) -> Result<Request, Failure> {
    of_blobs(settings, options, None)
}

/// Lists a page of versions.
pub fn list_versions(settings: &Settings, options: &ListOptions) -> Result<Request, Failure> {
    of_blobs(settings, options, Some("versions"))
}

/// Lists a page of blobs, of which those without content may have blocks that are not committed.
pub fn list_uploads(settings: &Settings, options: &ListUploadsOptions) -> Result<Request, Failure> {
    let page_size = options.page_size.unwrap_or(MAX_PAGE);
    let ListUploadsOptions { prefix, continuation, call, .. } = options.clone();
    let position = continuation.as_deref().map(continuation::read_upload).transpose()?.unwrap_or_default();
    if let Some((_, id)) = &position.after {
        UploadId::read(id).map_err(|_| continuation::invalid())?;
    }
    let continuation = position.marker.as_deref().map(continuation::write);
    // 0 is a fault.
    let page_size = Some(if page_size > MAX_PAGE { page_size } else { page_size.min(MAX_UPLOADS) });
    let options = ListOptions { prefix, page_size, continuation, call, ..ListOptions::default() };
    of_blobs(settings, &options, Some("uncommittedblobs"))
}

fn of_blobs(settings: &Settings, options: &ListOptions, include: Option<&'static str>) -> Result<Request, Failure> {
    let ListOptions { prefix, delimiter, start_after, continuation, call, .. } = options;
    let mut request = container(settings, call)?;
    if let Some(include) = include {
        request.parameter("include", include);
    }
    page_size(&mut request, options.page_size)?;
    let prefix = format!("{}{prefix}", settings.key_prefix);
    bounded("prefix", &prefix)?;
    if !prefix.is_empty() {
        request.parameter("prefix", prefix);
    }
    if let Some(delimiter) = delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()) {
        bounded("delimiter", delimiter)?;
        request.parameter("delimiter", delimiter);
    }
    // Azure's markers are opaque, so entries up to this key are dropped from the response.
    bounded("start-after", start_after.as_deref().unwrap_or_default())?;
    if let Some(continuation) = continuation.as_deref() {
        request.parameter("marker", continuation::read(continuation)?);
    }
    Ok(request)
}

fn container(settings: &Settings, call: &CallOptions) -> Result<Request, Failure> {
    let mut request = base(Method::Get, settings, "");
    request.parameter("restype", "container");
    request.parameter("comp", "list");
    apply(&mut request, call, settings, groups::NONE)?;
    Ok(request)
}

fn bounded(name: &'static str, text: &str) -> Result<(), Failure> {
    if text.chars().map(char::len_utf16).sum::<usize>() > MAX_KEY {
        return Err(Error::fault(name, format!("{name} has more than the {MAX_KEY} characters of Azure's keys")));
    }
    Ok(())
}

/// Adds the maximum number of entries of a page.
pub(super) fn page_size(request: &mut Request, size: Option<u32>) -> Result<(), Failure> {
    check_page_size(size, MAX_PAGE)?;
    // Azure's own default is 5,000, which is more than a page holds.
    request.parameter("maxresults", size.unwrap_or(MAX_PAGE).to_string());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::tests::settings;

    #[test]
    fn list_sends_options_in_its_query() {
        let options = ListOptions {
            prefix: "a b/".into(),
            delimiter: Some("/".into()),
            start_after: Some("a b/+".into()),
            page_size: Some(7),
            continuation: Some(continuation::write("2!8!x=")),
            ..ListOptions::default()
        };
        let request = list(&settings(&[("key-prefix", "t/")]), &options).unwrap();
        let path = "/devstoreaccount1/demo?restype=container&comp=list";
        let query = "maxresults=7&prefix=t%2Fa%20b%2F&delimiter=%2F&marker=2%218%21x%3D";
        assert_eq!(request.path_and_query(), format!("{path}&{query}"));
        let bare = list(&settings(&[]), &ListOptions::default()).unwrap();
        assert_eq!(bare.path_and_query(), format!("{path}&maxresults=1000"));
        let versions = list_versions(&settings(&[]), &ListOptions::default()).unwrap();
        assert_eq!(versions.path_and_query(), format!("{path}&include=versions&maxresults=1000"));
    }

    #[test]
    fn page_of_uploads_is_small() {
        let size = |page_size| {
            let request = list_uploads(&settings(&[]), &ListUploadsOptions { page_size, ..Default::default() })?;
            Ok::<_, Failure>(request.query.iter().find(|(name, _)| name == "maxresults").unwrap().1.clone())
        };
        assert_eq!(size(None).unwrap(), "50");
        assert_eq!(size(Some(1000)).unwrap(), "50");
        assert_eq!(size(Some(3)).unwrap(), "3");
        for wrong in [0, 1001] {
            assert_eq!(size(Some(wrong)).unwrap_err().subject.as_deref(), Some("page-size"));
        }
    }

    #[test]
    fn list_options_beyond_the_limits_of_azure_are_rejected() {
        let subject = |options: ListOptions| list(&settings(&[]), &options).unwrap_err().subject.unwrap();
        for size in [0, 1001] {
            assert_eq!(subject(ListOptions { page_size: Some(size), ..Default::default() }), "page-size");
        }
        assert_eq!(subject(ListOptions { prefix: "p".repeat(1025), ..Default::default() }), "prefix");
        assert_eq!(subject(ListOptions { start_after: Some("p".repeat(1025)), ..Default::default() }), "start-after");
        assert_eq!(subject(ListOptions { delimiter: Some("p".repeat(1025)), ..Default::default() }), "delimiter");
        assert_eq!(subject(ListOptions { continuation: Some("?".into()), ..Default::default() }), "continuation");
        let call = CallOptions { attributes: vec![("access-tier".into(), "X".into())], ..CallOptions::default() };
        assert_eq!(subject(ListOptions { call, ..Default::default() }), "access-tier");
    }
}
