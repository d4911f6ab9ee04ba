//! Random operations on a store and on a model of it: both have the same content after every step. The test program says on
//! which service: `crate::place`.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sandbucket::{Error, Part, Result, Store};
use sandbucket_tests::{Kind, run};

/// Number of operations per run.
const OPERATIONS: usize = 100;

/// Few enough to collide, and unusual enough to reveal encoding errors.
const KEYS: [&str; 16] = [
    "a", "a/", "a//b", "a/b", "a/../b", "a b+%2F", "b/", ".", "..", "/x", "é", "e\u{301}", "\u{1}\t", "🪣/1", "🪣/2",
    "~?&=#",
];

/// An operation; keys are indices into [`KEYS`].
#[derive(Clone, Debug)]
enum Operation {
    Put(usize, Vec<u8>, When),
    Upload(usize, Vec<Piece>, When),
    AbandonedUpload(usize),
    Copy(usize, usize, When),
    Rename(usize, usize),
    Delete(usize),
    DeleteMany(Vec<usize>),
    Get(usize, u64, u64),
    List { prefix: String, delimiter: Option<String>, after: Option<usize>, page: u32 },
}

/// The source of a part.
#[derive(Clone, Debug)]
enum Piece {
    Bytes(Vec<u8>),
    /// These bytes, uploaded over a first version of the part.
    Replaced(Vec<u8>),
    /// A copy of the blob at this index: whole, or the range of this offset and length.
    Blob(usize, Option<(usize, usize)>),
}

/// The condition of a write.
#[derive(Clone, Copy, Debug)]
enum When {
    Always,
    Absent,
    /// If the current ETag matches.
    Same,
    /// If another ETag matches.
    Other,
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = || 0..KEYS.len();
    let when =
        || prop_oneof![4 => Just(When::Always), 1 => Just(When::Absent), 1 => Just(When::Same), 1 => Just(When::Other)];
    let body = || prop::collection::vec(any::<u8>(), 0..40);
    let piece = prop_oneof![
        3 => body().prop_map(Piece::Bytes),
        1 => body().prop_map(Piece::Replaced),
        2 => (key(), prop::option::of((0..20_usize, 1..20_usize))).prop_map(|(key, stretch)| Piece::Blob(key, stretch)),
    ];
    let prefix = prop_oneof![2 => Just(String::new()), 1 => prop::sample::select(vec!["a", "a/", "🪣", ".", "no such"]).prop_map(str::to_owned)];
    let delimiter = prop_oneof![2 => Just(None), 2 => Just(Some("/".to_owned())), 1 => Just(Some("b".to_owned()))];
    prop_oneof![
        6 => (key(), body(), when()).prop_map(|(key, body, when)| Operation::Put(key, body, when)),
        3 => (key(), prop::collection::vec(piece, 1..5), when())
            .prop_map(|(key, pieces, when)| Operation::Upload(key, pieces, when)),
        1 => key().prop_map(Operation::AbandonedUpload),
        3 => (key(), key(), when()).prop_map(|(from, to, when)| Operation::Copy(from, to, when)),
        1 => (key(), key()).prop_map(|(from, to)| Operation::Rename(from, to)),
        2 => key().prop_map(Operation::Delete),
        1 => prop::collection::vec(key(), 0..6).prop_map(Operation::DeleteMany),
        4 => (key(), 0..50_u64, 0..50_u64).prop_map(|(key, start, length)| Operation::Get(key, start, length)),
        4 => (prefix, delimiter, prop::option::of(key()), 1..6_u32)
            .prop_map(|(prefix, delimiter, after, page)| Operation::List { prefix, delimiter, after, page }),
    ]
}

/// The content: bytes and ETag by key.
type Model = BTreeMap<String, (Vec<u8>, String)>;

/// Whether the condition of a write holds, by the model.
fn may_write(model: &Model, key: &str, when: When) -> bool {
    match when {
        When::Always => true,
        When::Absent => !model.contains_key(key),
        When::Same => model.contains_key(key),
        When::Other => false,
    }
}

/// The ETag for this condition.
fn tag(model: &Model, key: &str, when: When) -> Option<String> {
    match when {
        When::Same => Some(model.get(key).map_or_else(|| "\"nothing\"".to_owned(), |(_, tag)| tag.clone())),
        When::Other => Some("\"00000000000000000000000000000000\"".to_owned()),
        When::Always | When::Absent => None,
    }
}

/// Asserts that the outcome is the model's, and returns the new ETag.
fn written(result: Result<sandbucket::Written>, may: bool, doing: &str) -> Option<String> {
    match result {
        Ok(written) if may => Some(written.etag.expect("a tag")),
        Err(Error::PreconditionFailed(_) | Error::NotFound(_)) if !may => None,
        other => {
            panic!("{doing}: it {} have succeeded, but returned {other:?}", if may { "should" } else { "should not" })
        }
    }
}

/// Adds the condition, if any.
macro_rules! on {
    ($call:expr, $when:expr, $tag:expr) => {
        match ($when, $tag) {
            (When::Absent, _) => $call.if_absent(),
            (_, Some(tag)) => $call.if_match(tag),
            _ => $call,
        }
    };
}

async fn apply(store: &Store, kind: Kind, model: &mut Model, operation: &Operation) {
    let doing = format!("{operation:?}");
    match operation {
        Operation::Put(key, body, when) => {
            let key = KEYS[*key];
            let done = on!(store.put(key, body.clone()), when, tag(model, key, *when)).await;
            if let Some(tag) = written(done, may_write(model, key, *when), &doing) {
                model.insert(key.to_owned(), (body.clone(), tag));
            }
        }
        Operation::Upload(key, pieces, when) => {
            let key = KEYS[*key];
            let id = store.create_upload(key).await.unwrap();
            let (mut parts, mut body) = (Vec::new(), Vec::new());
            // The part numbers alone determine the order.
            for (n, piece) in pieces.iter().enumerate().rev() {
                if let Some((part, bytes)) = part(store, model, (key, &id, 3 * n as u32 + 1), piece, &doing).await {
                    parts.insert(0, part);
                    body.splice(..0, bytes);
                }
            }
            if parts.is_empty() {
                return store.abort_upload(key, &id).await.unwrap();
            }
            let done = on!(store.complete_upload(key, &id, parts), when, tag(model, key, *when)).await;
            match written(done, may_write(model, key, *when), &doing) {
                Some(tag) => drop(model.insert(key.to_owned(), (body, tag))),
                None => store.abort_upload(key, &id).await.unwrap(),
            }
        }
        Operation::AbandonedUpload(key) => {
            let id = store.create_upload(KEYS[*key]).await.unwrap();
            store.upload_part(KEYS[*key], &id, 1, "never to be seen").await.unwrap();
            store.abort_upload(KEYS[*key], &id).await.unwrap();
        }
        Operation::Copy(from, to, when) => {
            let (from, to) = (KEYS[*from], KEYS[*to]);
            // S3 copies a blob onto itself only if something changes; Azurite knows no copies with other properties.
            let copy = if kind == Kind::Azurite { store.copy(from, to) } else { store.copy(from, to).replace() };
            let copy = on!(copy, when, tag(model, to, *when)).await;
            let may = model.contains_key(from) && may_write(model, to, *when);
            if let Some(tag) = written(copy, may, &doing) {
                let body = model[from].0.clone();
                model.insert(to.to_owned(), (body, tag));
            }
        }
        Operation::Rename(from, to) => {
            let (from, to) = (KEYS[*from], KEYS[*to]);
            if let Some(tag) = written(store.rename(from, to).await, model.contains_key(from), &doing) {
                let (body, _) = model.remove(from).unwrap();
                model.insert(to.to_owned(), (body, tag));
            }
        }
        Operation::Delete(key) => {
            store.delete(KEYS[*key]).await.unwrap();
            model.remove(KEYS[*key]);
        }
        Operation::DeleteMany(keys) => {
            let outcomes = store.delete_many(keys.iter().map(|key| KEYS[*key])).await.unwrap();
            assert!(outcomes.len() == keys.len() && outcomes.iter().all(|outcome| outcome.is_ok()), "{outcomes:?}");
            keys.iter().for_each(|key| drop(model.remove(KEYS[*key])));
        }
        Operation::Get(key, start, length) => {
            let got = store.get(KEYS[*key]).range(*start..start + length + 1).await;
            match (got, model.get(KEYS[*key])) {
                (Ok(blob), Some((body, tag))) => {
                    assert_eq!(blob.info().etag.as_ref(), Some(tag), "{doing}");
                    let end = body.len().min((start + length + 1) as usize);
                    assert_eq!(blob.bytes().await.unwrap(), body[*start as usize..end], "{doing}");
                }
                (Err(Error::InvalidRange(_)), Some((body, _))) => assert!(*start >= body.len() as u64, "{doing}"),
                (Err(Error::NotFound(_)), None) => {}
                (got, there) => panic!("{doing}: {got:?}, where the model has {there:?}"),
            }
        }
        Operation::List { prefix, delimiter, after, page } => {
            let mut list = store.list(prefix).page_size(*page);
            if let Some(delimiter) = delimiter {
                list = list.delimiter(delimiter);
            }
            if let Some(after) = after {
                list = list.start_after(KEYS[*after]);
            }
            let pages: Vec<_> = list.pages().try_collect().await.unwrap();
            assert!(
                pages.iter().all(|listed| listed.entries.len() + listed.prefixes.len() <= *page as usize),
                "{doing}"
            );
            let entries = pages.iter().flat_map(|page| &page.entries).map(|entry| (entry.key.clone(), entry.size));
            let prefixes: Vec<_> = pages.iter().flat_map(|page| page.prefixes.clone()).collect();
            let after = after.map_or("", |after| KEYS[after]);
            let (keys, folders) = expected(model, prefix, delimiter.as_deref(), after);
            assert_eq!(entries.collect::<Vec<_>>(), keys, "{doing}");
            assert_eq!(prefixes, folders, "{doing}");
        }
    }
}

/// A part and its content; `None` if the blob does not exist or is too short.
async fn part(
    store: &Store,
    model: &Model,
    (key, id, number): (&str, &str, u32),
    piece: &Piece,
    doing: &str,
) -> Option<(Part, Vec<u8>)> {
    match piece {
        Piece::Bytes(bytes) => Some((store.upload_part(key, id, number, bytes.clone()).await.unwrap(), bytes.clone())),
        Piece::Replaced(bytes) => {
            store.upload_part(key, id, number, "to be replaced").await.unwrap();
            Some((store.upload_part(key, id, number, bytes.clone()).await.unwrap(), bytes.clone()))
        }
        Piece::Blob(source, stretch) => {
            let mut copy = store.copy_part(key, id, number, KEYS[*source]);
            let there = model.get(KEYS[*source]).map(|(body, _)| body.as_slice());
            let wanted = match stretch {
                None => there,
                Some((start, length)) => {
                    copy = copy.range(*start as u64..(start + length) as u64);
                    there.and_then(|body| body.get(*start..start + length))
                }
            };
            match (copy.await, wanted) {
                (Ok(part), Some(bytes)) => {
                    assert_eq!(part.size, bytes.len() as u64, "{doing}");
                    Some((part, bytes.to_vec()))
                }
                (Err(_), None) => None,
                (copied, wanted) => panic!("{doing}: a part is {copied:?}, but {wanted:?} in the model"),
            }
        }
    }
}

/// The expected listing, by the model.
fn expected(model: &Model, prefix: &str, delimiter: Option<&str>, after: &str) -> (Vec<(String, u64)>, Vec<String>) {
    let (mut keys, mut folders) = (Vec::new(), BTreeSet::new());
    for (key, (body, _)) in model.iter().filter(|(key, _)| key.starts_with(prefix)) {
        match delimiter.and_then(|delimiter| key[prefix.len()..].find(delimiter).map(|at| at + delimiter.len())) {
            Some(end) => {
                let folder = &key[..prefix.len() + end];
                // A folder is sorted by its own name.
                if folder > after {
                    folders.insert(folder.to_owned());
                }
            }
            None if key.as_str() > after => keys.push((key.clone(), body.len() as u64)),
            None => {}
        }
    }
    (keys, folders.into_iter().collect())
}

/// The whole content of the store.
async fn contents(store: &Store) -> BTreeMap<String, Vec<u8>> {
    let entries: Vec<_> = store.list("").entries().try_collect().await.unwrap();
    let mut all = BTreeMap::new();
    for entry in entries {
        let body = store.get(&entry.key).await.unwrap().bytes().await.unwrap();
        all.insert(entry.key, body.to_vec());
    }
    all
}

/// The service that stores are opened on.
pub(crate) trait Place {
    /// Its implementation.
    fn kind(&self) -> Kind;

    /// Opens a store with this setting `key-prefix`.
    async fn open(&self, prefix: &str) -> Store;
}

/// What the service lacks that an operation needs: the operation as it is made there.
fn on(kind: Kind, operation: Operation) -> Option<Operation> {
    let takes = |key: &usize| kind.takes(KEYS[*key]);
    match operation {
        // On Azurite, puts and copies find a key absent only if it has no uncommitted blocks either.
        Operation::Put(key, body, When::Absent) if kind == Kind::Azurite => {
            takes(&key).then_some(Operation::Put(key, body, When::Always))
        }
        Operation::Copy(from, to, When::Absent) if kind == Kind::Azurite => {
            (takes(&from) && takes(&to)).then_some(Operation::Copy(from, to, When::Always))
        }
        // It has no Put Block From URL.
        Operation::Upload(key, mut pieces, when) if kind == Kind::Azurite => {
            pieces.retain(|piece| !matches!(piece, Piece::Blob(..)));
            takes(&key).then_some(Operation::Upload(key, pieces, when))
        }
        Operation::Upload(key, pieces, when) => Some(Operation::Upload(key, pieces, when)).filter(|_| takes(&key)),
        Operation::DeleteMany(mut keys) => {
            keys.retain(takes);
            Some(Operation::DeleteMany(keys))
        }
        Operation::Put(key, ..)
        | Operation::AbandonedUpload(key)
        | Operation::Delete(key)
        | Operation::Get(key, ..)
        | Operation::List { after: Some(key), .. } => takes(&key).then_some(operation),
        Operation::Copy(from, to, _) | Operation::Rename(from, to) => (takes(&from) && takes(&to)).then_some(operation),
        Operation::List { after: None, .. } => Some(operation),
    }
}

/// Compares the store with its model in so many runs.
pub(crate) fn compare(place: &impl Place, runs: u32) {
    let count = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(runs) });
    let done = runner.run(&prop::collection::vec(operation(), OPERATIONS), |operations| {
        count.set(count.get() + 1);
        run(one(place, count.get(), operations));
        Ok(())
    });
    done.unwrap_or_else(|failure| panic!("{failure}"));
}

async fn one(place: &impl Place, run: u32, operations: Vec<Operation>) {
    // Each run has its own prefix.
    let store = place.open(&format!("run {run}/")).await;
    let mut model = Model::new();
    for operation in operations.into_iter().filter_map(|operation| on(place.kind(), operation)) {
        apply(&store, place.kind(), &mut model, &operation).await;
    }
    let wanted: BTreeMap<_, _> = model.into_iter().map(|(key, (body, _))| (key, body)).collect();
    assert_eq!(contents(&store).await, wanted);
    let left: Vec<_> = store.list_uploads("").uploads().try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}
