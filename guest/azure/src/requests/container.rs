//! Requests to create, delete, check and list containers: the contract's buckets.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/operations-on-containers>

use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::contract::model::{BucketOptions, CallOptions, ListBucketsOptions};
use sandbucket_plugin::http::request::{Method, Request};

use super::attributes::apply;
use super::listing::page_size;
use crate::attributes::groups;
use crate::container::check;
use crate::continuation;
use crate::settings::Settings;

/// Creates a container.
pub fn create_container(settings: &Settings, name: &str, options: &BucketOptions) -> Result<Request, Failure> {
    of_container(Method::Put, settings, name, &options.call)
}

/// Deletes a container, and all that is in it.
pub fn delete_container(settings: &Settings, name: &str, options: &BucketOptions) -> Result<Request, Failure> {
    of_container(Method::Delete, settings, name, &options.call)
}

/// Looks for a container.
pub fn container_exists(settings: &Settings, name: &str, options: &BucketOptions) -> Result<Request, Failure> {
    of_container(Method::Head, settings, name, &options.call)
}

/// Asks for the first blob of a container after this marker: whether it is empty.
///
/// Previous versions and snapshots count unless `current_only`: they are deleted with the container. Blocks that are not committed
/// do not, as uploads in progress do not keep S3 from deleting a bucket.
pub fn first_blob(
    settings: &Settings,
    name: &str,
    marker: Option<&str>,
    current_only: bool,
    call: &CallOptions,
) -> Result<Request, Failure> {
    let mut request = of_container(Method::Get, settings, name, call)?;
    request.parameter("comp", "list");
    if !current_only {
        request.parameter("include", "snapshots,versions");
    }
    request.parameter("maxresults", "1");
    if let Some(marker) = marker {
        request.parameter("marker", marker);
    }
    Ok(request)
}

/// Asks for a page of the containers.
pub fn list_containers(settings: &Settings, options: &ListBucketsOptions) -> Result<Request, Failure> {
    let endpoint = &settings.endpoint;
    let mut request = Request::new(Method::Get, endpoint.https, &endpoint.authority, endpoint.path("", ""));
    request.parameter("comp", "list");
    page_size(&mut request, options.page_size)?;
    if options.prefix.len() > 63 {
        return Err(Error::fault("prefix", "the prefix has more than the 63 characters of a container's name"));
    }
    if !options.prefix.is_empty() {
        request.parameter("prefix", options.prefix.clone());
    }
    if let Some(continuation) = options.continuation.as_deref() {
        request.parameter("marker", continuation::read(continuation)?);
    }
    apply(&mut request, &options.call, settings, groups::NONE)?;
    Ok(request)
}

fn of_container(method: Method, settings: &Settings, name: &str, call: &CallOptions) -> Result<Request, Failure> {
    check("name", name)?;
    let endpoint = &settings.endpoint;
    let mut request = Request::new(method, endpoint.https, &endpoint.authority, endpoint.path(name, ""));
    request.parameter("restype", "container");
    apply(&mut request, call, settings, groups::NONE)?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::tests::settings;

    #[test]
    fn container_requests_name_the_container_in_the_path() {
        let store = settings(&[]);
        let request = create_container(&store, "other", &BucketOptions::default()).unwrap();
        assert_eq!(request.path_and_query(), "/devstoreaccount1/other?restype=container");
        for (current_only, include) in [(true, ""), (false, "&include=snapshots%2Cversions")] {
            let request = first_blob(&store, "other", Some("m"), current_only, &CallOptions::default()).unwrap();
            let query = format!("/devstoreaccount1/other?restype=container&comp=list{include}&maxresults=1&marker=m");
            assert_eq!(request.path_and_query(), query);
        }
        for name in ["", "a", "../other", "a/b", "a?b", "A-container"] {
            let fault = delete_container(&store, name, &BucketOptions::default()).unwrap_err();
            assert_eq!(fault.subject.as_deref(), Some("name"), "{name}");
        }
    }

    #[test]
    fn list_containers_sends_options_in_its_query() {
        let options = ListBucketsOptions {
            prefix: "a".into(),
            page_size: Some(2),
            continuation: Some(continuation::write("/devstoreaccount1/b")),
            ..ListBucketsOptions::default()
        };
        let request = list_containers(&settings(&[]), &options).unwrap();
        let query = "/devstoreaccount1/?comp=list&maxresults=2&prefix=a&marker=%2Fdevstoreaccount1%2Fb";
        assert_eq!(request.path_and_query(), query);
        assert!(list_containers(&settings(&[]), &ListBucketsOptions { page_size: Some(0), ..options }).is_err());
    }
}
