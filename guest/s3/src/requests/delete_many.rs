//! Bulk delete: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>.

use sandbucket_plugin::checksum::{Algorithm, base64};
use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::CallOptions;
use sandbucket_plugin::http::request::{Method, Request};

use crate::checksum::Names;
use crate::settings::Settings;
use sandbucket_plugin::xml;

use super::attributes;
use super::{base, check_version};
use crate::attributes::groups;

/// Maximum number of blobs in a request.
pub const MAX_DELETES: usize = 1000;

/// A blob to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteEntry<'a> {
    /// Full key, including the prefix.
    pub key: &'a str,
    /// Version to delete permanently.
    pub version: Option<&'a str>,
}

/// Deletes several blobs, each with its own status: the request and its body.
pub fn delete_many(
    settings: &Settings,
    blobs: &[DeleteEntry<'_>],
    call: &CallOptions,
) -> Result<(Request, String), Failure> {
    let mut body = String::with_capacity(64 + blobs.len() * 64);
    body.push_str("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for blob in blobs {
        body.push_str("<Object>");
        xml::push_element(&mut body, "Key", blob.key);
        if let Some(version) = blob.version {
            check_version(version)?;
            xml::push_element(&mut body, "VersionId", version);
        }
        body.push_str("</Object>");
    }
    body.push_str("</Delete>");
    let mut request = base(Method::Post, settings, "");
    request.parameter("delete", "");
    attributes::apply(&mut request, call, settings, groups::BYPASS)?;
    document(&mut request, &body);
    Ok((request, body))
}

/// Adds the headers of an XML body. S3 requires a checksum for some, and MD5 is the one that every service knows.
pub(crate) fn document(request: &mut Request, body: &str) {
    request.header("content-type", "application/xml");
    request.header(Algorithm::Md5.header(), base64(&Algorithm::Md5.digest(body.as_bytes())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings;

    #[test]
    fn delete_many_sends_keys_and_versions() {
        let pairs = [("bucket", "demo"), ("endpoint", "http://localhost")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let settings = settings::parse(&pairs).unwrap();
        let blobs = [DeleteEntry { key: "a<&>b", version: None }, DeleteEntry { key: "é", version: Some("v1") }];
        let (request, body) = delete_many(&settings, &blobs, &CallOptions::default()).unwrap();
        assert_eq!(request.path_and_query(), "/demo?delete=");
        let objects =
            "<Object><Key>a&lt;&amp;&gt;b</Key></Object><Object><Key>é</Key><VersionId>v1</VersionId></Object>";
        assert!(body.ends_with(&format!("\">{objects}</Delete>")), "{body}");
        let sum = base64(&Algorithm::Md5.digest(body.as_bytes()));
        assert!(request.headers.contains(&("content-md5".into(), sum)));
    }
}
