//! Every operation by the blocking driver, against a service and a network with arbitrary behaviour.

use arbitrary::{Arbitrary, Result, Unstructured};
use sandbucket_plugin::contract::error::Error;
use sandbucket_plugin::contract::model::{Operation, Output};
use sandbucket_plugin::http::response;
use sandbucket_plugin::io::{Driver, Writer};
use sandbucket_s3::ops::Store;

use super::operation::operation;
use super::sans_io::ARGUMENTS;
use super::service::{SECRET_KEY, Service, store};

/// A store, and a sequence of operations on it.
pub fn guest_operations(data: &[u8]) {
    // The operations end with the input.
    let _ = operations(&mut Unstructured::new(data));
}

fn operations(u: &mut Unstructured<'_>) -> Result<()> {
    let Some(mut store) = store(u)? else { return Ok(()) };
    for _ in 0..3 {
        if u.is_empty() {
            return Ok(());
        }
        let (operation, streams) = (operation(u, &ARGUMENTS)?, bool::arbitrary(u)?);
        let result = if streams { by_stream(&mut store, u, &operation)? } else { None };
        let result = match result {
            Some(result) => result,
            None => Driver::new(&mut store, &mut Service::new(u)).run(operation.clone(), b"hello").map(|output| {
                fits(&output, &operation);
            }),
        };
        if let Err(failure) = result {
            checked(&failure);
        }
    }
    Ok(())
}

pub(super) fn checked(failure: &Error) {
    assert!(!failure.message.is_empty() && failure.message.len() <= 128 << 10, "{}", failure.message.len());
    assert!(!failure.message.contains(SECRET_KEY), "{}", failure.message);
}

type Outcome = std::result::Result<(), Box<Error>>;

/// Operations that stream bodies, which only the blocking driver has.
fn by_stream(store: &mut Store, u: &mut Unstructured<'_>, operation: &Operation) -> Result<Option<Outcome>> {
    Ok(Some(match operation {
        Operation::Get { key, options } if bool::arbitrary(u)? => {
            store.get(&mut Service::new(u), key, options).map(|blob| {
                assert_eq!(Some(blob.range), response::resolve_range(options.range, blob.info.size));
                assert_eq!(blob.range.end - blob.range.start, blob.body.len() as u64);
                assert!(options.max_bytes.is_none_or(|most| blob.body.len() as u64 <= most));
            })
        }
        Operation::Get { key, options } => {
            store.open_get(&mut Service::new(u), key, options).map(|(head, _)| fits(&Output::Get(head), operation))
        }
        Operation::Put { .. } | Operation::UploadPart { .. } => {
            let sent = if bool::arbitrary(u)? { 5 } else { 3 };
            let mut service = Service::new(u);
            Writer::open(store, &mut service, operation.clone()).and_then(|mut writer| {
                loop {
                    writer.body(store, &mut service)?;
                    match writer.finish(store, &mut service, sent) {
                        Ok(_) => return Ok(()),
                        Err(failure) if !failure.retryable => return Err(failure),
                        Err(_) => {}
                    }
                }
            })
        }
        _ => return Ok(None),
    }))
}

/// Whether the output is of the operation's type.
pub(super) fn fits(output: &Output, operation: &Operation) {
    match (output, operation) {
        (Output::Get(head), Operation::Get { options, .. }) => {
            assert_eq!(Some(head.range), response::resolve_range(options.range, head.info.size));
            assert!(head.body_range.start <= head.range.start && head.range.end <= head.body_range.end);
            assert!(head.body_range.end <= head.info.size);
        }
        (Output::UploadPart(part), Operation::UploadPart { number, length, .. }) => {
            assert_eq!((part.number, part.size), (*number, *length));
        }
        (Output::DeleteMany(outcomes), Operation::DeleteMany { blobs, .. }) => {
            assert_eq!(outcomes.len(), blobs.len());
            outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).for_each(|failure| checked(failure));
        }
        (Output::Presign(presigned), Operation::Presign { .. }) => {
            let uri: http::Uri = presigned.url.parse().unwrap_or_else(|error| panic!("a presigned URL: {error}"));
            assert!(uri.host().is_some_and(|host| {
                [".amazonaws.com", ".blob.core.windows.net"].iter().any(|end| host.ends_with(end))
                    || host.ends_with("s3.test")
            }));
        }
        (Output::Head(_), Operation::Head { .. })
        | (Output::Put(_), Operation::Put { .. })
        | (Output::Delete(_), Operation::Delete { .. })
        | (Output::List(_), Operation::List { .. })
        | (Output::ListVersions(_), Operation::ListVersions { .. })
        | (Output::Copy(_), Operation::Copy { .. })
        | (Output::GetTags(_), Operation::GetTags { .. })
        | (Output::SetTags, Operation::SetTags { .. })
        | (Output::CreateUpload(_), Operation::CreateUpload { .. })
        | (Output::CopyPart(_), Operation::CopyPart { .. })
        | (Output::ListParts(_), Operation::ListParts { .. })
        | (Output::CompleteUpload(_), Operation::CompleteUpload { .. })
        | (Output::AbortUpload, Operation::AbortUpload { .. })
        | (Output::ListUploads(_), Operation::ListUploads { .. })
        | (Output::CreateBucket, Operation::CreateBucket { .. })
        | (Output::DeleteBucket, Operation::DeleteBucket { .. })
        | (Output::BucketExists(_), Operation::BucketExists { .. })
        | (Output::ListBuckets(_), Operation::ListBuckets { .. }) => {}
        (output, operation) => panic!("{operation:?} ended in {output:?}"),
    }
}
