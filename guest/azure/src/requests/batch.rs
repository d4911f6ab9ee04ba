//! Batches of deletions: a request whose body is requests.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/blob-batch>

use sandbucket_plugin::contract::error::Failure;
use sandbucket_plugin::contract::model::{CallOptions, DeleteOptions};
use sandbucket_plugin::http::request::{Method, Request};

use super::{authorize_within, base, delete};
use crate::settings::Settings;

/// Maximum number of deletions in a batch.
pub const MAX_BATCH: usize = 256;

/// Separates the requests. No line of a request begins with it.
const BOUNDARY: &str = "batch_sandbucket";

/// A blob to delete: its full key and version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteEntry<'a> {
    /// Full key.
    pub key: &'a str,
    /// Version. Default: the current one.
    pub version: Option<&'a str>,
}

/// Deletes several blobs: the request, which is to be authorized, and its body, whose requests are authorized for the service's time
/// `date`, in seconds since 1970.
pub fn delete_many(
    settings: &Settings,
    blobs: &[DeleteEntry<'_>],
    call: &CallOptions,
    date: u64,
) -> Result<(Request, String), Failure> {
    let mut body = String::with_capacity(512 * blobs.len() + 64);
    for (n, blob) in blobs.iter().enumerate() {
        let options = DeleteOptions { version: blob.version.map(str::to_owned), call: call.clone() };
        let mut one = delete(settings, blob.key, &options)?;
        authorize_within(&mut one, settings, 0, date);
        body.push_str(&format!(
            "--{BOUNDARY}\r\ncontent-type: application/http\r\ncontent-transfer-encoding: binary\r\ncontent-id: {n}\r\n\r\n"
        ));
        for piece in [one.method.as_str(), " ", &one.path_and_query(), " HTTP/1.1\r\n"] {
            body.push_str(piece);
        }
        for (name, value) in &one.headers {
            for piece in [name, ": ", value, "\r\n"] {
                body.push_str(piece);
            }
        }
        body.push_str("content-length: 0\r\n\r\n");
    }
    body.push_str(&format!("--{BOUNDARY}--\r\n"));
    let mut request = base(Method::Post, settings, "");
    request.parameter("restype", "container");
    request.parameter("comp", "batch");
    request.header("content-type", format!("multipart/mixed; boundary={BOUNDARY}"));
    Ok((request, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::tests::settings;

    #[test]
    fn batch_has_an_authorized_request_for_each_blob() {
        let blobs = [DeleteEntry { key: "a b", version: None }, DeleteEntry { key: "c", version: Some("v") }];
        let (request, body) = delete_many(&settings(&[]), &blobs, &CallOptions::default(), 0).unwrap();
        assert_eq!(request.path_and_query(), "/devstoreaccount1/demo?restype=container&comp=batch");
        assert_eq!(request.headers, [("content-type".into(), "multipart/mixed; boundary=batch_sandbucket".to_owned())]);
        let parts: Vec<_> = body.split("--batch_sandbucket").collect();
        assert_eq!((parts.len(), parts[0], parts[3]), (4, "", "--\r\n"));
        let part = |n: usize, target: &str| {
            format!(
                "\r\ncontent-type: application/http\r\ncontent-transfer-encoding: binary\r\ncontent-id: {n}\r\n\r\n\
                 DELETE /devstoreaccount1/demo/{target} HTTP/1.1\r\nx-ms-date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
                 authorization: SharedKey devstoreaccount1:"
            )
        };
        assert!(parts[1].starts_with(&part(0, "a%20b")), "{}", parts[1]);
        assert!(parts[2].starts_with(&part(1, "c?versionid=v")), "{}", parts[2]);
        assert!(parts[1].ends_with("\r\ncontent-length: 0\r\n\r\n"), "{}", parts[1]);
    }
}
