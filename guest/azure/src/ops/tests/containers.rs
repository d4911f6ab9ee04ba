use sandbucket_plugin::Kind;
use sandbucket_plugin::contract::model::{BucketOptions, ListBucketsOptions};
use sandbucket_plugin::testing::{Reaction, Script, Sent, reset, response};

use super::{done, refused, store};

pub(super) fn listed(blobs: &str, marker: &str) -> Reaction {
    let body =
        format!("<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>");
    response(200, &[("x-ms-request-id", "1")], &body)
}

const BLOB: &str = "<Blob><Name>a</Name><Properties><Content-Length>1</Content-Length></Properties></Blob>";

/// A previous version, and a snapshot, of a blob that is deleted.
const PREVIOUS: &str =
    "<Blob><Name>a</Name><VersionId>1</VersionId><Properties><Content-Length>1</Content-Length></Properties></Blob>";
const SNAPSHOT: &str =
    "<Blob><Name>a</Name><Snapshot>1</Snapshot><Properties><Content-Length>1</Content-Length></Properties></Blob>";

/// What each request includes.
fn includes(script: &Script) -> Vec<Option<&str>> {
    let of = |sent: &'_ Sent| sent.request.query.iter().position(|(name, _)| name == "include");
    script.sent.iter().map(|sent| of(sent).map(|at| sent.request.query[at].1.as_str())).collect()
}

#[test]
fn only_an_empty_container_is_deleted() {
    let delete = |script: &mut Script| {
        let result = store(&[("max-retries", "1")]).delete_bucket(script, "other", &BucketOptions::default());
        assert!(script.done());
        result
    };
    let mut script = Script::new([listed("", "m"), listed("", ""), done(202)]);
    delete(&mut script).unwrap();
    assert_eq!(script.methods(), ["GET", "GET", "DELETE"]);
    assert_eq!(includes(&script), [Some("snapshots,versions"), Some("snapshots,versions"), None]);
    for there in [BLOB, PREVIOUS, SNAPSHOT] {
        let mut script = Script::new([listed("", "m"), listed(there, "n")]);
        assert_eq!(delete(&mut script).unwrap_err().kind, Kind::Conflict);
    }
    // An account that has no versions to list.
    for (status, code) in [
        (409, "FeatureNotYetSupportedForHierarchicalNamespaceAccounts"),
        (400, "InvalidQueryParameterValue"),
        (400, "UnsupportedQueryParameter"),
    ] {
        let mut script = Script::new([refused(status, code), listed("", "m"), listed("", ""), done(202)]);
        delete(&mut script).unwrap();
        assert_eq!(includes(&script), [Some("snapshots,versions"), None, None, None]);
        let mut script = Script::new([refused(status, code), listed(BLOB, "")]);
        assert_eq!(delete(&mut script).unwrap_err().kind, Kind::Conflict);
        // Refused after a page: not for want of versions.
        assert!(delete(&mut Script::new([listed("", "m"), refused(status, code)])).is_err());
    }
    for (status, code) in [(403, "AuthorizationPermissionMismatch"), (400, "OutOfRangeQueryParameterValue")] {
        assert_eq!(delete(&mut Script::new([refused(status, code)])).unwrap_err().code(), Some(code));
    }
    let mut script = Script::new([refused(404, "ContainerNotFound")]);
    assert_eq!(delete(&mut script).unwrap_err().kind, Kind::NotFound);
    // It is gone, by the attempt whose response was lost.
    let mut script = Script::new([listed("", ""), reset(), refused(404, "ContainerNotFound")]);
    delete(&mut script).unwrap();
}

#[test]
fn container_is_created_once() {
    let create = |script: &mut Script| store(&[]).create_bucket(script, "other", &BucketOptions::default());
    create(&mut Script::new([done(201)])).unwrap();
    let mut script = Script::new([refused(409, "ContainerAlreadyExists")]);
    assert_eq!(create(&mut script).unwrap_err().kind, Kind::Conflict);
    create(&mut Script::new([reset(), refused(409, "ContainerAlreadyExists")])).unwrap();
}

#[test]
fn containers_are_looked_for_and_listed() {
    let exists = |reaction| store(&[]).bucket_exists(&mut Script::new([reaction]), "other", &BucketOptions::default());
    assert!(exists(done(200)).unwrap());
    assert!(!exists(refused(404, "ContainerNotFound")).unwrap());
    assert_eq!(exists(refused(403, "AuthorizationFailure")).unwrap_err().kind, Kind::AccessDenied);
    let body =
        "<EnumerationResults><Containers><Container><Name>abc</Name></Container></Containers></EnumerationResults>";
    let mut script = Script::new([response(200, &[], body)]);
    let page = store(&[]).list_buckets(&mut script, &ListBucketsOptions::default()).unwrap();
    assert_eq!((page.buckets[0].name.as_str(), page.next), ("abc", None));
    assert_eq!(script.sent[0].request.path, "/devstoreaccount1/");
}
