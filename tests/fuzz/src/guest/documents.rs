//! XML documents of every kind, read as every kind.

use sandbucket_plugin::http::request::Method;
use sandbucket_plugin::http::response::Head;
use sandbucket_plugin::xml;
use sandbucket_s3::documents::{delete_many, listing, multipart};
use sandbucket_s3::ops::retry;
use sandbucket_s3::requests::DeleteEntry;
use sandbucket_s3::service_error;

/// The root elements of S3's response documents.
const ROOTS: [&str; 12] = [
    "ListBucketResult",
    "ListVersionsResult",
    "DeleteResult",
    "Tagging",
    "InitiateMultipartUploadResult",
    "ListPartsResult",
    "ListMultipartUploadsResult",
    "CompleteMultipartUploadResult",
    "CopyObjectResult",
    "CopyPartResult",
    "LocationConstraint",
    "Error",
];

/// A response body.
pub fn guest_documents(body: &[u8]) {
    let head = Head { status: 200, headers: vec![] };
    let error = service_error::parse(&head, body, "us-east-1");
    let _ = service_error::classify(Method::Get, &head, &error, false);
    let _ = retry::decide(&head, &error, 0, true);
    let _ = service_error::is_error_document(body);
    let _ = xml::read(&String::from_utf8_lossy(body));
    for name in ROOTS {
        let Ok(document) = xml::document(body, name) else { continue };
        let root = document.root();
        // Listings are recognised by their content, and some services name the root of a result "response".
        let is_another_name = name.starts_with("List") || root.name() == name.replace("Result", "Response");
        assert!(root.name() == name || is_another_name, "{} for {name}", root.name());
        let blobs = [DeleteEntry { key: "a", version: None }, DeleteEntry { key: "b", version: Some("v") }];
        if let Ok(fates) = delete_many::delete_many(&root, &blobs) {
            assert_eq!(fates.len(), blobs.len());
        }
        for (prefix, requested) in [("", None), ("p/", None), ("p/", Some("p/k"))] {
            let _ = listing::list(&root, prefix, requested);
            let _ = listing::list_versions(&root, prefix, requested);
            let _ = multipart::uploads(&root, &Head::default(), prefix, requested);
        }
        let _ = sandbucket_plugin::tags::parse(&root);
        let _ = (multipart::upload_id(&root), multipart::etag(&root));
        let _ = (multipart::parts(&root, None), multipart::parts(&root, Some("1")));
        let _ = multipart::checksums(&root);
    }
}
