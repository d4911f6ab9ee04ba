use sandbucket_plugin::contract::model::{
    AbortOptions, BlobRef, BucketOptions, CopyOptions, CopySource, DeleteManyOptions, DeleteOptions, PartOptions,
    PutOptions, TagOptions, WriteCondition, Written,
};
use sandbucket_plugin::testing::{Reaction, Script, reset, response, unreachable};
use sandbucket_plugin::{Failure, Kind};

use super::containers::listed;
use super::{block_list, created, done, refused, store, there};
use crate::upload_id::UploadId;

fn if_absent() -> PutOptions {
    PutOptions { condition: WriteCondition::IfAbsent, ..PutOptions::default() }
}

fn if_match(etag: &str) -> PutOptions {
    PutOptions { condition: WriteCondition::IfMatch(etag.into()), ..PutOptions::default() }
}

/// Options with a write id.
fn with_id(mut options: PutOptions) -> PutOptions {
    options.call.attributes.push(("write-id".into(), "w-1".into()));
    options
}

const ID: &str = "x-ms-meta-sandbucket_write_id";

/// Writes `hello` with one retry.
fn put(script: &mut Script, options: &PutOptions) -> Result<Written, Failure> {
    let result = store(&[("max-retries", "1")]).put(script, "k", b"hello", options);
    assert!(script.done());
    result
}

#[test]
fn put_returns_etag_and_version() {
    let mut script = Script::new([created("\"e\"").with("x-ms-version-id", "v2")]);
    let written = put(&mut script, &PutOptions::default()).unwrap();
    assert_eq!(written, Written { etag: Some("\"e\"".into()), version: Some("v2".into()) });
    assert_eq!(
        (script.sent[0].body.as_slice(), script.sent[0].header("x-ms-blob-type")),
        (&b"hello"[..], Some("BlockBlob"))
    );
}

#[test]
fn response_without_etag_or_request_id_is_not_trusted() {
    for headers in [&[][..], &[("etag", "\"e\"")], &[("x-ms-request-id", "1")]] {
        let page = || response(200, headers, "<html>login</html>");
        assert_eq!(put(&mut Script::new([page(), page()]), &PutOptions::default()).unwrap_err().kind, Kind::Integrity);
    }
}

/// A proxy's page, with all that it may have of a response of Azure.
#[test]
fn success_of_a_proxy_is_not_trusted() {
    let page =
        response(200, &[("etag", "\"e\""), ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT")], "<html>login</html>");
    let mut store = store(&[("max-retries", "0")]);
    let id = store.create_upload(&mut Script::new([]), "k", &PutOptions::default()).unwrap();
    let block = UploadId::read(&id).unwrap().block(1);
    let blob = BlobRef { key: "k".into(), version: None };
    let kinds = [
        store.delete(&mut Script::new([page.clone()]), "k", &DeleteOptions::default()).map(drop),
        store.set_tags(&mut Script::new([page.clone()]), "k", &[], &TagOptions::default()),
        store.tags(&mut Script::new([page.clone()]), "k", &TagOptions::default()).map(drop),
        store.copy(&mut Script::new([page.clone()]), &source("a"), "k", &CopyOptions::default()).map(drop),
        store.upload_part(&mut Script::new([page.clone()]), "k", &id, 1, b"x", &PartOptions::default()).map(drop),
        store.abort_upload(
            &mut Script::new([block_list(&[], &[block]), page.clone()]),
            "k",
            &id,
            &AbortOptions::default(),
        ),
        store.create_bucket(&mut Script::new([page.clone()]), "other", &BucketOptions::default()),
        store.delete_bucket(&mut Script::new([page.clone()]), "other", &BucketOptions::default()),
        store.delete_bucket(&mut Script::new([listed("", ""), page.clone()]), "other", &BucketOptions::default()),
        store.bucket_exists(&mut Script::new([page.clone()]), "other", &BucketOptions::default()).map(drop),
    ]
    .map(|result| result.map_err(|failure| failure.kind));
    assert_eq!(kinds, [Err(Kind::Integrity); 10]);
    let mut script = Script::new([page.clone()]);
    let outcomes = store.delete_many(&mut script, std::slice::from_ref(&blob), &DeleteManyOptions::default()).unwrap();
    assert_eq!(outcomes[0].as_ref().unwrap_err().kind, Kind::Integrity);
    // A batch, and then each blob of it.
    let mut whole = batch(&[(0, 202, ""), (1, 202, "")]);
    whole.edit_head(|head| head.headers.retain(|(name, _)| name != "x-ms-request-id"));
    let mut script = Script::new([whole, page.clone(), page]);
    let outcomes = store.delete_many(&mut script, &[blob.clone(), blob], &DeleteManyOptions::default()).unwrap();
    assert!(script.done() && outcomes.iter().all(Result::is_err));
}

#[test]
fn unconditional_put_is_retried_with_its_whole_body() {
    let mut script = Script::new([reset(), created("\"e\"")]);
    put(&mut script, &PutOptions::default()).unwrap();
    assert_eq!(script.sent[1].body, b"hello");
}

#[test]
fn existing_or_missing_blob_fails_the_condition() {
    let mut script = Script::new([refused(409, "BlobAlreadyExists")]);
    assert_eq!(put(&mut script, &if_absent()).unwrap_err().kind, Kind::PreconditionFailed);
    for unmet in [refused(412, "ConditionNotMet"), refused(404, "BlobNotFound")] {
        let mut script = Script::new([unmet]);
        assert_eq!(put(&mut script, &if_match("\"old\"")).unwrap_err().kind, Kind::PreconditionFailed);
    }
    let mut script = Script::new([refused(404, "ContainerNotFound")]);
    assert_eq!(put(&mut script, &if_match("\"old\"")).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn conditional_put_reconciles_a_lost_response_by_its_write_id() {
    for lost in [reset(), response(500, &[], ""), refused(500, "OperationTimedOut")] {
        for options in [if_absent(), if_match("\"old\"")] {
            let found = there(5, "\"e\"", "13:20").with(ID, "w-1");
            let mut script = Script::new([lost.clone(), refused(409, "BlobAlreadyExists"), found]);
            let written = put(&mut script, &with_id(options)).unwrap();
            assert_eq!(written.etag.as_deref(), Some("\"e\""));
            assert_eq!(script.methods(), ["PUT", "PUT", "HEAD"]);
            assert!(script.sent[..2].iter().all(|sent| sent.header(ID) == Some("w-1")));
        }
    }
}

#[test]
fn lost_response_is_an_unmet_condition_if_the_blob_is_older_and_else_unknown() {
    for (written, kind) in [("12:00", Kind::PreconditionFailed), ("13:20", Kind::OutcomeUnknown)] {
        let mut script = Script::new([reset(), refused(409, "BlobAlreadyExists"), there(5, "\"other\"", written)]);
        let failure = put(&mut script, &if_absent()).unwrap_err();
        assert_eq!((failure.kind, failure.retryable), (kind, false), "{failure}");
    }
    // Nothing was sent, or the service was too busy: the condition speaks for itself.
    for step in [unreachable(), refused(503, "ServerBusy")] {
        let mut script = Script::new([step, refused(409, "BlobAlreadyExists")]);
        assert_eq!(put(&mut script, &if_absent()).unwrap_err().kind, Kind::PreconditionFailed);
    }
}

#[test]
fn delete_says_whether_the_blob_existed() {
    let mut store = store(&[("max-retries", "1")]);
    let mut delete = |script: &mut Script| store.delete(script, "k", &DeleteOptions::default());
    assert_eq!(delete(&mut Script::new([done(202)])).unwrap(), Some(true));
    assert_eq!(delete(&mut Script::new([refused(404, "BlobNotFound")])).unwrap(), Some(false));
    assert_eq!(delete(&mut Script::new([reset(), refused(404, "BlobNotFound")])).unwrap(), None);
    assert_eq!(delete(&mut Script::new([refused(404, "ContainerNotFound")])).unwrap_err().kind, Kind::NotFound);
    assert_eq!(delete(&mut Script::new([response(404, &[], "")])).unwrap_err().kind, Kind::NotFound);
    let failure = delete(&mut Script::new([refused(409, "SnapshotsPresent")])).unwrap_err();
    assert_eq!((failure.kind, failure.subject.as_deref()), (Kind::Conflict, Some("delete-snapshots")));
}

#[test]
fn delete_many_has_an_outcome_for_each_blob() {
    let blobs = ["a", "b", "c"].map(|key| BlobRef { key: key.into(), version: None });
    let single = || [done(202), refused(404, "BlobNotFound"), refused(403, "AuthorizationFailure")];
    let answered = batch(&[(0, 202, ""), (1, 404, "BlobNotFound"), (2, 403, "AuthorizationFailure")]);
    // In a batch; and singly on a service that takes none.
    for (steps, methods) in [
        (vec![answered], &["POST"][..]),
        (
            [refused(501, "APINotImplemented")].into_iter().chain(single()).collect(),
            &["POST", "DELETE", "DELETE", "DELETE"],
        ),
    ] {
        let mut script = Script::new(steps);
        let outcomes = store(&[]).delete_many(&mut script, &blobs, &DeleteManyOptions::default()).unwrap();
        assert!(outcomes[0].is_ok() && outcomes[1].is_ok());
        let failure = outcomes[2].as_ref().unwrap_err();
        assert_eq!(failure.kind, Kind::AccessDenied);
        assert!(failure.message.contains("delete \"c\""), "{failure}");
        assert_eq!(script.methods(), methods);
    }
    // Credentials that are wrong for the batch are wrong for each.
    let mut script = Script::new([refused(403, "AuthorizationFailure")]);
    let failure = store(&[]).delete_many(&mut script, &blobs, &DeleteManyOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.attempts), (Kind::AccessDenied, 1));
    let wrong = [BlobRef { key: "../x".into(), version: None }];
    let failure = store(&[]).delete_many(&mut Script::new([]), &wrong, &DeleteManyOptions::default()).unwrap_err();
    assert_eq!(failure.subject.as_deref(), Some("key"));
    assert!(store(&[]).delete_many(&mut Script::new([]), &[], &DeleteManyOptions::default()).unwrap().is_empty());
}

/// A response to a batch: index, status and code of each part.
fn batch(parts: &[(usize, u16, &str)]) -> Reaction {
    let mut body = String::new();
    for (index, status, code) in parts {
        body.push_str(&format!(
            "--b\r\nContent-ID: {index}\r\n\r\nHTTP/1.1 {status} words\r\nx-ms-error-code: {code}\r\n\r\n\r\n"
        ));
    }
    response(
        202,
        &[("content-type", "multipart/mixed; boundary=b"), ("x-ms-request-id", "r-1")],
        &format!("{body}--b--\r\n"),
    )
}

#[test]
fn blobs_whose_outcome_in_a_batch_is_open_are_deleted_singly() {
    let blobs = ["a", "b", "c"].map(|key| BlobRef { key: key.into(), version: None });
    let mut script = Script::new([batch(&[(0, 202, ""), (2, 503, "ServerBusy"), (7, 202, "")]), done(202), done(202)]);
    let mut store = store(&[]);
    let outcomes = store.delete_many(&mut script, &blobs, &DeleteManyOptions::default()).unwrap();
    assert!(outcomes.iter().all(Result::is_ok));
    let paths: Vec<_> = script.sent.iter().map(|sent| sent.request.path.rsplit('/').next().unwrap()).collect();
    assert_eq!(paths, ["demo", "b", "c"]);
    // A batch without a response for any blob is the last one of the store.
    let whole = response(
        202,
        &[("content-type", "multipart/mixed; boundary=b"), ("x-ms-request-id", "r-1")],
        "--b\r\n\r\nHTTP/1.1 400 x\r\n\r\n--b--",
    );
    let mut script = Script::new([whole].into_iter().chain((0..6).map(|_| done(202))));
    for _ in 0..2 {
        store.delete_many(&mut script, &blobs, &DeleteManyOptions::default()).unwrap();
    }
    assert_eq!(script.methods(), ["POST", "DELETE", "DELETE", "DELETE", "DELETE", "DELETE", "DELETE"]);
}

#[test]
fn many_blobs_are_deleted_in_several_batches() {
    let blobs: Vec<_> = (0..300).map(|n| BlobRef { key: n.to_string(), version: None }).collect();
    let all = |count: usize| batch(&(0..count).map(|n| (n, 202, "")).collect::<Vec<_>>());
    let mut script = Script::new([all(256), all(44)]);
    let outcomes = store(&[]).delete_many(&mut script, &blobs, &DeleteManyOptions::default()).unwrap();
    assert!(outcomes.len() == 300 && outcomes.iter().all(Result::is_ok));
    let sent = String::from_utf8_lossy(&script.sent[1].body).into_owned();
    assert!(sent.contains("DELETE /devstoreaccount1/demo/256 HTTP/1.1\r\n") && !sent.contains("/demo/255 "));
}

fn source(key: &str) -> CopySource {
    CopySource { bucket: None, key: key.into(), version: None }
}

#[test]
fn copy_waits_until_the_service_has_made_it() {
    let mut script = Script::new([begun(), look("pending", "c-1"), look("success", "c-1")]);
    let written = copy(&mut script, WriteCondition::Always).unwrap();
    assert_eq!(written.etag.as_deref(), Some("\"f\""));
    assert_eq!(script.methods(), ["PUT", "HEAD", "HEAD"]);
    for ended in ["failed", "aborted"] {
        let failure = copy(&mut Script::new([begun(), look(ended, "c-1")]), WriteCondition::Always).unwrap_err();
        assert_eq!(failure.kind, Kind::Service);
        let ended = created("\"e\"").with("x-ms-copy-status", ended);
        assert_eq!(copy(&mut Script::new([ended]), WriteCondition::Always).unwrap_err().kind, Kind::Service);
    }
    let mut script = Script::new([created("\"e\"").with("x-ms-copy-status", "success")]);
    let written = copy(&mut script, WriteCondition::Always).unwrap();
    assert_eq!(written.etag.as_deref(), Some("\"e\""));
    let without_id = || created("\"e\"").with("x-ms-copy-status", "pending");
    let mut script = Script::new([without_id(), without_id()]);
    assert_eq!(copy(&mut script, WriteCondition::Always).unwrap_err().kind, Kind::Integrity);
}

/// The response to a copy that the service makes on its own.
fn begun() -> Reaction {
    created("\"e\"").with("x-ms-copy-status", "pending").with("x-ms-copy-id", "c-1")
}

/// A blob that was made by this copy.
fn look(status: &str, id: &str) -> Reaction {
    there(5, "\"f\"", "13:20").with("x-ms-copy-status", status).with("x-ms-copy-id", id)
}

fn copy(script: &mut Script, condition: WriteCondition) -> Result<Written, Failure> {
    let options = CopyOptions { condition, ..CopyOptions::default() };
    let result = store(&[("max-retries", "1")]).copy(script, &source("a"), "b", &options);
    assert!(script.done());
    result
}

#[test]
fn copy_that_another_write_replaced_has_an_unknown_outcome() {
    for found in [
        vec![look("success", "c-2")],
        vec![look("failed", "c-2")],
        vec![look("pending", "c-1"), look("pending", "c-2")],
        vec![there(5, "\"f\"", "13:20").with("x-ms-copy-status", "success")],
        vec![there(5, "\"f\"", "13:20").with("x-ms-copy-id", "c-1")],
        vec![there(5, "\"f\"", "13:20")],
        vec![refused(404, "BlobNotFound")],
        vec![refused(403, "AuthorizationFailure")],
        vec![reset(), reset()],
    ] {
        let mut script = Script::new([begun()].into_iter().chain(found));
        let failure = copy(&mut script, WriteCondition::Always).unwrap_err();
        assert_eq!((failure.kind, failure.retryable), (Kind::OutcomeUnknown, false), "{failure}");
        assert!(!failure.message.contains("copy again"), "{failure}");
    }
}

#[test]
fn copy_in_progress_after_a_lost_response_is_looked_at() {
    let pending = || refused(409, "PendingCopyOperation");
    for lost in [reset(), response(500, &[], "")] {
        let mut script = Script::new([lost, pending(), look("pending", "c-1"), look("success", "c-1")]);
        let failure = copy(&mut script, WriteCondition::Always).unwrap_err();
        assert_eq!(script.methods(), ["PUT", "PUT", "HEAD", "HEAD"]);
        // It may be another client's.
        assert_eq!(failure.kind, Kind::OutcomeUnknown, "{failure}");
    }
    let mut script = Script::new([reset(), pending(), look("pending", "c-1")]);
    assert_eq!(copy(&mut script, WriteCondition::IfAbsent).unwrap_err().kind, Kind::OutcomeUnknown);
    // Nothing was lost: it is another client's.
    for steps in [vec![pending()], vec![unreachable(), pending()]] {
        assert_eq!(copy(&mut Script::new(steps), WriteCondition::Always).unwrap_err().kind, Kind::Conflict);
    }
}

#[test]
fn copy_of_a_missing_source_or_onto_an_existing_key_fails() {
    let copy = |code: (u16, &str), condition| {
        let options = CopyOptions { condition, ..CopyOptions::default() };
        store(&[]).copy(&mut Script::new([refused(code.0, code.1)]), &source("a"), "b", &options).unwrap_err().kind
    };
    assert_eq!(copy((404, "BlobNotFound"), WriteCondition::Always), Kind::NotFound);
    assert_eq!(copy((404, "CannotVerifyCopySource"), WriteCondition::Always), Kind::NotFound);
    assert_eq!(copy((409, "BlobAlreadyExists"), WriteCondition::IfAbsent), Kind::PreconditionFailed);
    assert_eq!(copy((304, ""), WriteCondition::Always), Kind::PreconditionFailed);
}
