use std::collections::BTreeSet;

use sandbucket_plugin::contract::model::{
    AbortOptions, CompleteOptions, CopyPartOptions, CopySource, ListPartsOptions, ListUploadsOptions, Part,
    PartOptions, PutOptions, Span, Upload, WriteCondition, Written,
};
use sandbucket_plugin::testing::{Reaction, Script, reset, response};
use sandbucket_plugin::{Failure, Kind};

use super::{block_list, created, done, refused, store, there};
use crate::documents::block_list::{Block, state_of};
use crate::upload_id::{ABORTED, Properties, UploadId};

/// An upload without properties.
fn begin() -> (String, UploadId) {
    let id = store(&[]).create_upload(&mut Script::new([]), "k", &PutOptions::default()).unwrap();
    let upload = UploadId::read(&id).unwrap();
    (id, upload)
}

fn part(upload: &UploadId, number: u32, size: u64) -> Part {
    Part { number, size, etag: upload.part_etag(number, size), ..Part::default() }
}

fn block(id: &str) -> Block {
    Block { id: id.to_owned(), size: 5 }
}

#[test]
fn upload_begins_without_a_request_and_validates_its_properties() {
    let begin = |options: &PutOptions| store(&[]).create_upload(&mut Script::new([]), "k", options);
    assert_ne!(begin(&PutOptions::default()).unwrap(), {
        let mut store = store(&[]);
        store.create_upload(&mut Script::new([]), "k", &PutOptions::default()).unwrap();
        store.create_upload(&mut Script::new([]), "k", &PutOptions::default()).unwrap()
    });
    let wrong = |options: PutOptions| begin(&options).unwrap_err().subject.unwrap();
    assert_eq!(wrong(PutOptions { condition: WriteCondition::IfAbsent, ..PutOptions::default() }), "condition");
    assert_eq!(wrong(PutOptions { metadata: vec![("a-b".into(), "1".into())], ..PutOptions::default() }), "metadata");
    assert_eq!(wrong(PutOptions { content_type: Some("\n".into()), ..PutOptions::default() }), "content-type");
    let mut options = PutOptions::default();
    options.call.attributes.push(("content-md5".into(), "x".into()));
    assert_eq!(wrong(options), "content-md5");
    let failure = store(&[]).create_upload(&mut Script::new([]), "../k", &PutOptions::default()).unwrap_err();
    assert_eq!(failure.subject.as_deref(), Some("key"));
}

/// The driver stirs its store before each call.
#[test]
fn instances_of_one_seed_make_different_ids_at_different_times() {
    let id = |nanos| {
        let mut store = store(&[]);
        store.stir(&[0, 1_700_000_000, nanos]);
        store.create_upload(&mut Script::new([]), "k", &PutOptions::default()).unwrap()
    };
    assert_ne!(id(1), id(2));
    assert_eq!(id(1), id(1));
}

#[test]
fn parts_are_blocks_and_empty_parts_none() {
    let (id, upload) = begin();
    let mut store = store(&[]);
    let mut script = Script::new([done(201)]);
    let first = store.upload_part(&mut script, "k", &id, 1, b"hello", &PartOptions::default()).unwrap();
    assert_eq!(first, part(&upload, 1, 5));
    let query: Vec<_> = script.sent[0].request.query.iter().map(|(name, value)| (&**name, value.as_str())).collect();
    assert_eq!(query, [("comp", "block"), ("blockid", &upload.block(1))]);
    let empty = store.upload_part(&mut Script::new([]), "k", &id, 2, b"", &PartOptions::default()).unwrap();
    assert_eq!(empty, part(&upload, 2, 0));
    for (number, id) in [(0, id.as_str()), (50_001, &id), (1, "none")] {
        for body in [&b"hello"[..], b""] {
            let made = store.upload_part(&mut Script::new([]), "k", id, number, body, &PartOptions::default());
            assert_eq!(made.unwrap_err().kind, Kind::InvalidArgument);
        }
    }
    let mut script = Script::new([created("\"e\"")]);
    let written = store.complete_upload(&mut script, "k", &id, &[first, empty], &CompleteOptions::default()).unwrap();
    assert_eq!(written.etag.as_deref(), Some("\"e\""));
    assert!(
        String::from_utf8_lossy(&script.sent[0].body)
            .contains(&format!("<BlockList><Latest>{}</Latest></BlockList>", upload.block(1)))
    );
}

#[test]
fn properties_of_the_beginning_are_those_of_the_blob() {
    let mut store = store(&[]);
    let options = PutOptions {
        content_type: Some("text/plain".into()),
        metadata: vec![("a".into(), "1".into())],
        ..PutOptions::default()
    };
    let id = store.create_upload(&mut Script::new([]), "k", &options).unwrap();
    let parts = [part(&UploadId::read(&id).unwrap(), 1, 5)];
    let mut script = Script::new([created("\"e\"")]);
    store.complete_upload(&mut script, "k", &id, &parts, &CompleteOptions::default()).unwrap();
    let sent = &script.sent[0];
    assert_eq!((sent.header("x-ms-blob-content-type"), sent.header("x-ms-meta-a")), (Some("text/plain"), Some("1")));
}

#[test]
fn parts_are_listed_and_an_upload_without_any_has_none() {
    let (id, upload) = begin();
    let mut store = store(&[]);
    let mut script = Script::new([block_list(&[], &[upload.block(2), "AAAA".into(), upload.block(1)])]);
    let options = ListPartsOptions { page_size: Some(1), ..ListPartsOptions::default() };
    let page = store.list_parts(&mut script, "k", &id, &options).unwrap();
    assert_eq!((page.parts, page.next.as_deref()), (vec![part(&upload, 1, 5)], Some("p1")));
    let page = store.list_parts(&mut Script::new([refused(404, "BlobNotFound")]), "k", &id, &options).unwrap();
    assert!(page.parts.is_empty() && page.next.is_none());
    let mut script = Script::new([block_list(&[], &[upload.block(1), upload.block(ABORTED)])]);
    assert_eq!(store.list_parts(&mut script, "k", &id, &options).unwrap_err().kind, Kind::NotFound);
    for wrong in [
        ListPartsOptions { page_size: Some(0), ..ListPartsOptions::default() },
        ListPartsOptions { continuation: Some("x".into()), ..ListPartsOptions::default() },
    ] {
        assert!(store.list_parts(&mut Script::new([]), "k", &id, &wrong).is_err());
    }
}

#[test]
fn abort_marks_an_upload_that_has_parts_and_touches_nothing_else() {
    let mut store = store(&[]);
    let [id, other] = [(); 2].map(|()| store.create_upload(&mut Script::new([]), "k", &PutOptions::default()).unwrap());
    let [upload, other] = [&id, &other].map(|id| UploadId::read(id).unwrap());
    let mut abort = |script: &mut Script| {
        let result = store.abort_upload(script, "k", &id, &AbortOptions::default());
        assert!(script.done());
        result
    };
    let there = [other.block(1), upload.block(1), other.block(2)];
    let mut script = Script::new([block_list(&["committed".into()], &there), done(201)]);
    abort(&mut script).unwrap();
    assert_eq!(script.methods(), ["GET", "PUT"]);
    // One block is added, and it is this upload's: the other is neither marked nor loses a part.
    let blocks: Vec<&str> = script.sent[1..].iter().map(|sent| sent.request.query[1].1.as_str()).collect();
    assert_eq!((&*script.sent[1].request.query[0].1, &blocks[..]), ("block", &[&*upload.block(ABORTED)][..]));
    let after: Vec<Block> = there.iter().map(String::as_str).chain(blocks).map(block).collect();
    assert_eq!((state_of(&upload, &after), state_of(&other, &after)), ((true, true), (true, false)));
    for nothing in [
        refused(404, "BlobNotFound"),
        block_list(&["committed".into()], &[]),
        block_list(&[], &["AAAA".into(), other.block(1), other.block(ABORTED)]),
        block_list(&[], &[upload.block(1), upload.block(ABORTED)]),
    ] {
        abort(&mut Script::new([nothing])).unwrap();
    }
    assert_eq!(abort(&mut Script::new([refused(404, "ContainerNotFound")])).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn uploads_are_found_by_the_blocks_of_blobs_without_content() {
    let (id, upload) = begin();
    let blob = |name: &str, size: u32| {
        format!("<Blob><Name>t/{name}</Name><Properties><Content-Length>{size}</Content-Length></Properties></Blob>")
    };
    let body = format!(
        "<EnumerationResults><Blobs>{}{}{}</Blobs><NextMarker>m</NextMarker></EnumerationResults>",
        blob("a", 0),
        blob("b", 7),
        blob("c", 0)
    );
    let page = response(200, &[("x-ms-request-id", "1")], &body);
    let mut script = Script::new([page, block_list(&[], &[upload.block(1)]), refused(404, "BlobNotFound")]);
    let listed = store(&[("key-prefix", "t/")]).list_uploads(&mut script, &ListUploadsOptions::default()).unwrap();
    assert_eq!(listed.uploads, [Upload { key: "a".into(), id, initiated: None }]);
    assert_eq!(listed.next.as_deref(), Some("mm"));
    let paths: Vec<_> = script.sent.iter().map(|sent| sent.request.path.as_str()).collect();
    assert_eq!(paths, ["", "/t/a", "/t/c"].map(|path| format!("/devstoreaccount1/demo{path}")));
}

/// A page of blobs without content, and the service's marker of the next.
fn blobs(keys: &[&str], marker: &str) -> Reaction {
    let blob = |key: &&str| {
        format!("<Blob><Name>{key}</Name><Properties><Content-Length>0</Content-Length></Properties></Blob>")
    };
    let blobs: String = keys.iter().map(blob).collect();
    let body =
        format!("<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>");
    response(200, &[("x-ms-request-id", "1")], &body)
}

/// The first block of so many uploads, which begin with number `first`.
fn first_blocks(first: u64, count: u64) -> Vec<String> {
    let id = |n| UploadId::new([n, 0], "k", Properties::default());
    (first..first + count).map(|n| id(n).block(1)).collect()
}

#[test]
fn uploads_to_one_key_are_listed_in_several_pages() {
    let there = first_blocks(0, 1001);
    let mut store = store(&[]);
    let mut script = Script::new([blobs(&["a", "b"], "m"), block_list(&[], &there)]);
    let first = store.list_uploads(&mut script, &ListUploadsOptions::default()).unwrap();
    assert!(script.done() && first.uploads.len() == 1000);
    let options = ListUploadsOptions { continuation: first.next, ..ListUploadsOptions::default() };
    let mut script = Script::new([blobs(&["0", "a", "b"], "m"), block_list(&[], &there), refused(404, "BlobNotFound")]);
    let second = store.list_uploads(&mut script, &options).unwrap();
    assert!(script.done() && script.sent[0].request.query.iter().all(|(name, _)| name != "marker"));
    assert_eq!((second.uploads.len(), second.next.as_deref()), (1, Some("mm")));
    let listed: BTreeSet<_> = first.uploads.iter().chain(&second.uploads).map(|upload| &upload.id).collect();
    assert_eq!(listed.len(), 1001);
}

#[test]
fn page_of_uploads_is_no_larger_than_requested() {
    let mut store = store(&[]);
    let mut list = |page_size, continuation: Option<String>, steps: Vec<Reaction>| {
        let options = ListUploadsOptions { page_size: Some(page_size), continuation, ..ListUploadsOptions::default() };
        let mut script = Script::new(steps);
        let page = store.list_uploads(&mut script, &options).unwrap();
        assert!(script.done());
        let keys: Vec<_> = page.uploads.iter().map(|upload| upload.key.clone()).collect();
        let marker = script.sent[0].request.query.iter().find(|(name, _)| name == "marker");
        (keys.concat(), page.next, marker.map(|(_, marker)| marker.clone()))
    };
    let page = || blobs(&["a", "b", "c"], "n");
    let [a, b, c] = [0, 10, 20].map(|first| block_list(&[], &first_blocks(first, 2)));
    let marker = Some("m".to_owned());
    let (keys, next, sent) = list(3, Some("mm".into()), vec![page(), a.clone(), b.clone()]);
    assert_eq!((keys.as_str(), &sent), ("aab", &marker));
    // The rest of b, and c.
    let (keys, last, sent) = list(3, next.clone(), vec![page(), b.clone(), c.clone()]);
    assert_eq!((keys.as_str(), last.as_deref(), &sent), ("bcc", Some("mn"), &marker));
    // A page that ends with the last upload to a key.
    let (keys, next_a, _) = list(2, Some("mm".into()), vec![page(), a.clone()]);
    assert_eq!(keys, "aa");
    let (keys, _, _) = list(2, next_a, vec![page(), a, b.clone()]);
    assert_eq!(keys, "bb");
    // b is gone.
    let (keys, _, _) = list(3, next.clone(), vec![blobs(&["a", "c"], "n"), c.clone()]);
    assert_eq!(keys, "cc");
    // Pages are smaller now, and that of the position comes later.
    let (keys, next, _) = list(1, next, vec![blobs(&["a"], "o")]);
    assert_eq!(keys, "");
    let (keys, _, sent) = list(1, next, vec![blobs(&["b"], ""), b]);
    assert_eq!((keys.as_str(), sent.as_deref()), ("b", Some("o")));
    let failure = failed_list(Some("mm".into()), blobs(&["a"], "m"));
    assert_eq!(failure.kind, Kind::Integrity);
    assert_eq!(failed_list(Some("u1:1:xk".into()), blobs(&[], "")).subject.as_deref(), Some("continuation"));
}

fn failed_list(continuation: Option<String>, page: Reaction) -> Failure {
    let options = ListUploadsOptions { continuation, ..ListUploadsOptions::default() };
    store(&[]).list_uploads(&mut Script::new([page]), &options).unwrap_err()
}

fn complete(script: &mut Script, condition: WriteCondition) -> Result<Written, Failure> {
    let (id, upload) = begin();
    let options = CompleteOptions { condition, ..CompleteOptions::default() };
    let result = store(&[("max-retries", "1")]).complete_upload(script, "k", &id, &[part(&upload, 1, 5)], &options);
    assert!(script.done());
    result
}

#[test]
fn lost_response_to_a_completion_is_reconciled_by_its_blocks() {
    let (_, upload) = begin();
    let mine = [upload.block(1)];
    // The retry finds the blob of the first attempt.
    let mut script = Script::new([reset(), refused(409, "BlobAlreadyExists"), block_list(&mine, &[])]);
    let written = complete(&mut script, WriteCondition::IfAbsent).unwrap();
    assert_eq!(written.etag.as_deref(), Some("\"0x8D\""));
    // It finds another's, and the blocks are still there.
    let mut script = Script::new([reset(), refused(409, "BlobAlreadyExists"), block_list(&["AAAA".into()], &mine)]);
    assert_eq!(complete(&mut script, WriteCondition::IfAbsent).unwrap_err().kind, Kind::PreconditionFailed);
    // The blocks are nowhere.
    let mut script = Script::new([reset(), refused(400, "InvalidBlockList"), block_list(&["AAAA".into()], &[])]);
    assert_eq!(complete(&mut script, WriteCondition::Always).unwrap_err().kind, Kind::OutcomeUnknown);
    // The retry is lost as well, and neither took effect yet.
    let mut script = Script::new([reset(), reset(), block_list(&[], &mine)]);
    let failure = complete(&mut script, WriteCondition::Always).unwrap_err();
    assert_eq!((failure.kind, failure.retryable), (Kind::OutcomeUnknown, true));
    // A repeated completion makes the same blob.
    let mut script = Script::new([reset(), created("\"e\"")]);
    assert!(complete(&mut script, WriteCondition::Always).is_ok());
}

#[test]
fn completion_that_was_not_lost_needs_no_look() {
    for (error, condition, kind) in [
        (refused(409, "BlobAlreadyExists"), WriteCondition::IfAbsent, Kind::PreconditionFailed),
        (refused(404, "BlobNotFound"), WriteCondition::IfMatch("\"e\"".into()), Kind::PreconditionFailed),
        (refused(400, "InvalidBlockList"), WriteCondition::Always, Kind::NotFound),
    ] {
        assert_eq!(complete(&mut Script::new([error]), condition).unwrap_err().kind, kind);
    }
}

#[test]
fn part_is_copied_from_a_range_or_from_a_whole_source() {
    let (id, upload) = begin();
    let source = CopySource { bucket: None, key: "s".into(), version: None };
    let mut store = store(&[]);
    let ranged = CopyPartOptions { range: Some(Span { start: 2, end: 5 }), ..CopyPartOptions::default() };
    let mut script = Script::new([done(201)]);
    assert_eq!(store.copy_part(&mut script, "k", &id, 1, &source, &ranged).unwrap(), part(&upload, 1, 3));
    assert!(script.sent[0].header("x-ms-copy-source").unwrap().contains("/demo/s?sv="));
    let whole = CopyPartOptions::default();
    let mut script = Script::new([there(7, "\"s\"", "00:00"), done(201)]);
    assert_eq!(store.copy_part(&mut script, "k", &id, 1, &source, &whole).unwrap(), part(&upload, 1, 7));
    assert_eq!(script.methods(), ["HEAD", "PUT"]);
    assert_eq!(script.sent[1].header("x-ms-source-if-match"), Some("\"s\""));
    let mut script = Script::new([there(0, "\"s\"", "00:00")]);
    assert_eq!(store.copy_part(&mut script, "k", &id, 1, &source, &whole).unwrap(), part(&upload, 1, 0));
    let mut script = Script::new([there(5 << 30, "\"s\"", "00:00")]);
    assert_eq!(store.copy_part(&mut script, "k", &id, 1, &source, &whole).unwrap_err().kind, Kind::TooLarge);
    let missing = store.copy_part(&mut Script::new([refused(404, "BlobNotFound")]), "k", &id, 1, &source, &whole);
    assert_eq!(missing.unwrap_err().kind, Kind::NotFound);
    let wrong = store.copy_part(&mut Script::new([]), "k", "none", 1, &source, &whole);
    assert_eq!(wrong.unwrap_err().subject.as_deref(), Some("upload"));
}
