//! Requests to create, delete, check and list buckets.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html>
//!
//! All have the bucket in the path, so that any bucket is reached by the endpoint's own host.

use crate::attributes::groups;
use crate::bucket::{check_aws, check_custom, check_kind};
use crate::continuation::Page;
use crate::settings::Settings;
use sandbucket_plugin::contract::error::{Error, Failure, Kind};
use sandbucket_plugin::contract::model::{BucketOptions, ListBucketsOptions};
use sandbucket_plugin::http::bounds::MAX_TOKEN;
use sandbucket_plugin::http::encode;
use sandbucket_plugin::http::request::{Method, Request};
use sandbucket_plugin::xml;

use super::attributes;
use super::listing::page_size;

/// Region of buckets that are created without a region.
const DEFAULT_REGION: &str = "us-east-1";

/// Creates a bucket: the request and its body, which is empty if there is no region to name.
pub fn create_bucket(settings: &Settings, name: &str, options: &BucketOptions) -> Result<(Request, String), Failure> {
    let mut request = of_bucket(Method::Put, settings, name)?;
    attributes::apply(&mut request, &options.call, settings, groups::NONE)?;
    let mut body = String::new();
    // Other services have regions of their own, mostly one.
    if settings.endpoint.aws && settings.region != DEFAULT_REGION {
        body.push_str("<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        xml::push_element(&mut body, "LocationConstraint", &settings.region);
        body.push_str("</CreateBucketConfiguration>");
        request.header("content-type", "application/xml");
    }
    Ok((request, body))
}

/// Deletes a bucket.
pub fn delete_bucket(settings: &Settings, name: &str, options: &BucketOptions) -> Result<Request, Failure> {
    let mut request = of_bucket(Method::Delete, settings, name)?;
    attributes::apply(&mut request, &options.call, settings, groups::NONE)?;
    Ok(request)
}

/// Looks for a bucket.
pub fn head_bucket(settings: &Settings, name: &str, options: &BucketOptions) -> Result<Request, Failure> {
    let mut request = of_bucket(Method::Head, settings, name)?;
    attributes::apply(&mut request, &options.call, settings, groups::NONE)?;
    Ok(request)
}

/// Asks for a page of the buckets.
pub fn list_buckets(settings: &Settings, options: &ListBucketsOptions) -> Result<Request, Failure> {
    let mut request = of_service(Method::Get, settings, "")?;
    page_size(&mut request, "max-buckets", options.page_size)?;
    if options.prefix.len() > 255 {
        return Err(Error::fault("prefix", "the prefix has more than the 255 characters of a bucket's name"));
    }
    if !options.prefix.is_empty() {
        request.parameter("prefix", options.prefix.clone());
    }
    if let Some(Page::Token(token) | Page::After(token)) =
        options.continuation.as_deref().map(Page::read).transpose()?
    {
        if token.len() > MAX_TOKEN {
            return Err(Error::fault("continuation", "this continuation is of no page of this store"));
        }
        request.parameter("continuation-token", token);
    }
    attributes::apply(&mut request, &options.call, settings, groups::NONE)?;
    Ok(request)
}

/// Turns a request for a key of the store's bucket into one for the same key of another.
pub fn in_bucket(request: &mut Request, settings: &Settings, bucket: &str, key: &str) -> Result<(), Failure> {
    let Request { authority, path, .. } = of_bucket(request.method, settings, bucket)?;
    request.authority = authority;
    request.path = path;
    request.path.push('/');
    encode::push_key_path(&mut request.path, key);
    Ok(())
}

/// Checks the name of another bucket.
pub(super) fn check_name(settings: &Settings, name: &str) -> Result<(), Failure> {
    check_kind(name)?;
    if settings.endpoint.aws { check_aws(name) } else { check_custom(name) }
}

fn of_bucket(method: Method, settings: &Settings, name: &str) -> Result<Request, Failure> {
    check_name(settings, name).map_err(|mut fault| {
        fault.subject = Some("name".into());
        fault
    })?;
    of_service(method, settings, name)
}

/// A request to the endpoint itself, whose path ends with this bucket.
fn of_service(method: Method, settings: &Settings, bucket: &str) -> Result<Request, Failure> {
    let endpoint = &settings.endpoint;
    let Some(service) = &endpoint.service else {
        let mut fault = Error::fault(
            "bucket",
            "this operation names buckets in the path, which an access point does not allow: use a store of a bucket's name",
        );
        fault.kind = Kind::Unsupported;
        return Err(fault);
    };
    Ok(Request {
        method,
        https: endpoint.https,
        authority: service.authority.clone(),
        path: format!("{}/{bucket}", service.path),
        query: Vec::new(),
        headers: Vec::with_capacity(12),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    fn store(more: &[(&str, &str)]) -> Settings {
        let pairs: Vec<_> =
            [("bucket", "demo")].iter().chain(more).map(|(n, v)| (n.to_string(), v.to_string())).collect();
        settings::parse(&pairs).unwrap()
    }

    #[test]
    fn create_bucket_sends_the_region_on_aws_unless_default() {
        let aws = store(&[("region", "eu-central-1")]);
        let (request, body) = create_bucket(&aws, "other-bucket", &BucketOptions::default()).unwrap();
        assert_eq!(
            (request.authority.as_str(), request.path.as_str()),
            ("s3.eu-central-1.amazonaws.com", "/other-bucket")
        );
        assert!(body.contains("<LocationConstraint>eu-central-1</LocationConstraint>"), "{body}");
        assert_eq!(create_bucket(&store(&[]), "other-bucket", &BucketOptions::default()).unwrap().1, "");
        let other = store(&[("endpoint", "http://localhost:9000/base"), ("region", "eu-central-1")]);
        let (request, body) = create_bucket(&other, "other-bucket", &BucketOptions::default()).unwrap();
        assert_eq!((request.authority.as_str(), request.path.as_str()), ("localhost:9000", "/base/other-bucket"));
        assert_eq!(body, "");
    }

    #[test]
    fn list_buckets_sends_options_in_its_query() {
        let options = ListBucketsOptions {
            prefix: "a".into(),
            page_size: Some(2),
            continuation: Some(Page::Token("t=").write()),
            ..ListBucketsOptions::default()
        };
        let request = list_buckets(&store(&[("endpoint", "http://localhost")]), &options).unwrap();
        assert_eq!(request.path_and_query(), "/?max-buckets=2&prefix=a&continuation-token=t%3D");
        assert!(list_buckets(&store(&[]), &ListBucketsOptions { page_size: Some(0), ..options }).is_err());
    }

    #[test]
    fn invalid_bucket_name_is_rejected() {
        for name in ["", "a", "../other", "a/b", "a?b", "a bucket"] {
            let fault = delete_bucket(&store(&[]), name, &BucketOptions::default()).unwrap_err();
            assert_eq!(fault.subject.as_deref(), Some("name"), "{name}");
        }
    }

    #[test]
    fn bucket_operations_on_access_point_are_unsupported_and_accelerate_uses_the_regional_host() {
        let arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/p";
        let pairs = [("bucket".to_owned(), arn.to_owned())];
        let fault = head_bucket(&settings::parse(&pairs).unwrap(), "demo", &BucketOptions::default()).unwrap_err();
        assert_eq!(fault.kind, Kind::Unsupported);
        let request = head_bucket(&store(&[("accelerate", "true")]), "other", &BucketOptions::default()).unwrap();
        assert_eq!((request.authority.as_str(), request.path.as_str()), ("s3.us-east-1.amazonaws.com", "/other"));
    }
}
