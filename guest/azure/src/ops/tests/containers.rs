use sandbucket_plugin::Kind;
use sandbucket_plugin::contract::model::{BucketOptions, ListBucketsOptions};
use sandbucket_plugin::testing::{Reaction, Script, reset, response};

use super::{refused, store};

fn listed(blobs: &str, marker: &str) -> Reaction {
    let body =
        format!("<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>");
    response(200, &[("x-ms-request-id", "1")], &body)
}

const BLOB: &str = "<Blob><Name>a</Name><Properties><Content-Length>1</Content-Length></Properties></Blob>";

#[test]
fn only_an_empty_container_is_deleted() {
    let delete = |script: &mut Script| {
        let result = store(&[("max-retries", "1")]).delete_bucket(script, "other", &BucketOptions::default());
        assert!(script.done());
        result
    };
    let mut script = Script::new([listed("", "m"), listed("", ""), response(202, &[], "")]);
    delete(&mut script).unwrap();
    assert_eq!(script.methods(), ["GET", "GET", "DELETE"]);
    let mut script = Script::new([listed(BLOB, "m")]);
    assert_eq!(delete(&mut script).unwrap_err().kind, Kind::Conflict);
    let mut script = Script::new([refused(404, "ContainerNotFound")]);
    assert_eq!(delete(&mut script).unwrap_err().kind, Kind::NotFound);
    // It is gone, by the attempt whose response was lost.
    let mut script = Script::new([listed("", ""), reset(), refused(404, "ContainerNotFound")]);
    delete(&mut script).unwrap();
}

#[test]
fn container_is_created_once() {
    let create = |script: &mut Script| store(&[]).create_bucket(script, "other", &BucketOptions::default());
    create(&mut Script::new([response(201, &[], "")])).unwrap();
    let mut script = Script::new([refused(409, "ContainerAlreadyExists")]);
    assert_eq!(create(&mut script).unwrap_err().kind, Kind::Conflict);
    create(&mut Script::new([reset(), refused(409, "ContainerAlreadyExists")])).unwrap();
}

#[test]
fn containers_are_looked_for_and_listed() {
    let exists = |reaction| store(&[]).bucket_exists(&mut Script::new([reaction]), "other", &BucketOptions::default());
    assert!(exists(response(200, &[("etag", "e")], "")).unwrap());
    assert!(!exists(refused(404, "ContainerNotFound")).unwrap());
    assert_eq!(exists(refused(403, "AuthorizationFailure")).unwrap_err().kind, Kind::AccessDenied);
    let body =
        "<EnumerationResults><Containers><Container><Name>abc</Name></Container></Containers></EnumerationResults>";
    let mut script = Script::new([response(200, &[], body)]);
    let page = store(&[]).list_buckets(&mut script, &ListBucketsOptions::default()).unwrap();
    assert_eq!((page.buckets[0].name.as_str(), page.next), ("abc", None));
    assert_eq!(script.sent[0].request.path, "/devstoreaccount1/");
}
