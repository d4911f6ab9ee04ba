//! Every operation of the plugin, against a service and a network that do anything.

use arbitrary::{Arbitrary, Result, Unstructured};
use sandbucket_s3::contract::error::Error;
use sandbucket_s3::contract::model::{
    AbortOptions, BlobRef, CompleteOptions, CopyOptions, CopyPartOptions, DeleteManyOptions, DeleteOptions,
    HeadOptions, ListOptions, ListPartsOptions, ListUploadsOptions, Pair, Part, PartOptions, PresignOptions,
    PresignedMethod, Span, TagOptions,
};
use sandbucket_s3::s3::response;

use super::service::{Service, call, condition, conditions, digests, key, range, read_options, store, write_options};

/// A store, and operations on it one after another.
pub fn guest_operations(data: &[u8]) {
    // Input that ends early is one that nothing more happens in.
    let _ = operations(&mut Unstructured::new(data));
}

fn operations(u: &mut Unstructured<'_>) -> Result<()> {
    let Some(mut store) = store(u)? else { return Ok(()) };
    for _ in 0..3 {
        if u.is_empty() {
            return Ok(());
        }
        if let Err(failure) = operation(&mut store, u)? {
            checked(&failure);
        }
    }
    Ok(())
}

fn checked(failure: &Error) {
    assert!(!failure.message.is_empty() && failure.message.len() <= 128 << 10, "{}", failure.message.len());
    assert!(!failure.message.contains("secret\""), "{}", failure.message);
}

type Outcome = std::result::Result<(), Box<Error>>;

fn operation(store: &mut sandbucket_s3::ops::Store, u: &mut Unstructured<'_>) -> Result<Outcome> {
    let (which, key, upload) = (u.int_in_range(0..=18)?, key(u)?, String::arbitrary(u)?);
    let number = u32::from(u16::arbitrary(u)?);
    let version = if u.ratio(1, 4)? { Option::<String>::arbitrary(u)? } else { None };
    let call = call(u)?;
    let body = b"hello";
    Ok(match which {
        0 => {
            let options = HeadOptions { conditions: conditions(u)?, version, call };
            store.head(&mut Service::new(u), &key, &options).map(drop)
        }
        1 => {
            let options = read_options(u)?;
            store.get(&mut Service::new(u), &key, &options).map(|blob| {
                assert_eq!(Some(blob.range), response::wanted(options.range, blob.info.size));
                assert_eq!(blob.range.end - blob.range.start, blob.body.len() as u64);
                assert!(options.max_bytes.is_none_or(|most| blob.body.len() as u64 <= most));
            })
        }
        2 => {
            let options = read_options(u)?;
            store.open_read(&mut Service::new(u), &key, &options).map(|opened| {
                assert!(opened.given.start <= opened.range.start && opened.range.end <= opened.given.end);
                assert!(opened.given.end <= opened.info.size);
            })
        }
        3 => {
            let options = write_options(u)?;
            store.put(&mut Service::new(u), &key, body, &options).map(drop)
        }
        4 => {
            let options = write_options(u)?;
            let sent = if bool::arbitrary(u)? { 5 } else { 3 };
            let mut service = Service::new(u);
            let opened = store.open_write(&mut service, &key, 5, options);
            opened.and_then(|(mut writing, ())| {
                loop {
                    match store.finish_write(&mut service, &mut writing, sent) {
                        Ok(_) => return Ok(()),
                        Err(failure) if !failure.retryable => return Err(failure),
                        Err(_) => store.again(&mut service, &mut writing)?,
                    }
                }
            })
        }
        5 => store.delete(&mut Service::new(u), &key, &DeleteOptions { version, call }).map(drop),
        6 => {
            let mut blobs = Vec::new();
            for _ in 0..u.int_in_range(0..=3)? {
                blobs.push(BlobRef { key: super::service::key(u)?, version: Arbitrary::arbitrary(u)? });
            }
            let outcomes = store.delete_many(&mut Service::new(u), &blobs, &DeleteManyOptions { call });
            outcomes.map(|outcomes| {
                assert_eq!(outcomes.len(), blobs.len());
                outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).for_each(|failure| checked(failure));
            })
        }
        7 | 8 => {
            let options = ListOptions {
                prefix: key,
                delimiter: Arbitrary::arbitrary(u)?,
                start_after: Arbitrary::arbitrary(u)?,
                page_size: Arbitrary::arbitrary(u)?,
                continuation: if bool::arbitrary(u)? { Some("tok".to_owned()) } else { None },
                call,
            };
            if which == 7 {
                store.list(&mut Service::new(u), &options).map(drop)
            } else {
                store.list_versions(&mut Service::new(u), &options).map(drop)
            }
        }
        9 => {
            let options =
                CopyOptions { source_conditions: conditions(u)?, condition: condition(u)?, properties: None, call };
            let source = BlobRef { key: super::service::key(u)?, version };
            store.copy(&mut Service::new(u), &source, &key, &options).map(drop)
        }
        10 => {
            let methods = [PresignedMethod::Get, PresignedMethod::Head, PresignedMethod::Put, PresignedMethod::Delete];
            let (method, expires) = (*u.choose(&methods)?, u64::arbitrary(u)?);
            let mut headers: Vec<Pair> = Vec::new();
            for _ in 0..u.int_in_range(0..=2)? {
                headers.push((String::arbitrary(u)?, String::arbitrary(u)?));
            }
            let options = PresignOptions { expires, headers, version, call };
            store.presign(&mut Service::new(u), method, &key, &options).map(|presigned| {
                let uri: http::Uri = presigned.url.parse().unwrap_or_else(|error| panic!("a presigned URL: {error}"));
                assert!(uri.host().is_some_and(|host| host.ends_with("s3.test") || host.ends_with(".amazonaws.com")));
            })
        }
        11 => store.tags(&mut Service::new(u), &key, &TagOptions { version, call }).map(drop),
        12 => {
            let tags = [(String::arbitrary(u)?, String::arbitrary(u)?)];
            store.set_tags(&mut Service::new(u), &key, &tags, &TagOptions { version, call })
        }
        13 => {
            let options = write_options(u)?;
            store.create_upload(&mut Service::new(u), &key, &options).map(drop)
        }
        14 => {
            let options = PartOptions { digests: digests(u)?, call };
            store.upload_part(&mut Service::new(u), &key, &upload, number, body, &options).map(|part| {
                assert_eq!((part.number, part.size), (number, 5));
            })
        }
        15 => {
            let (start, end) = Arbitrary::arbitrary(u)?;
            let span = if bool::arbitrary(u)? { Some(Span { start, end }) } else { None };
            let options = CopyPartOptions { range: span, source_conditions: conditions(u)?, call };
            let source = BlobRef { key: super::service::key(u)?, version };
            store.copy_part(&mut Service::new(u), &key, &upload, number, &source, &options).map(drop)
        }
        16 => {
            let continuation = if bool::arbitrary(u)? { Some("t2".to_owned()) } else { None };
            let options = ListPartsOptions { continuation, page_size: Arbitrary::arbitrary(u)?, call };
            store.list_parts(&mut Service::new(u), &key, &upload, &options).map(drop)
        }
        17 => {
            let part = |number, etag| Part { number, size: 5, etag, last_modified: None, attributes: Vec::new() };
            let parts = [part(1, "e".to_owned()), part(number, String::arbitrary(u)?)];
            let options = CompleteOptions { condition: condition(u)?, call };
            store.complete_upload(&mut Service::new(u), &key, &upload, &parts, &options).map(drop)
        }
        _ => {
            let _ = range(u)?;
            let aborted = store.abort_upload(&mut Service::new(u), &key, &upload, &AbortOptions { call: call.clone() });
            let continuation = if bool::arbitrary(u)? { Some("1:vk".to_owned()) } else { None };
            let options = ListUploadsOptions { prefix: key, continuation, page_size: None, call };
            store.list_uploads(&mut Service::new(u), &options).map(drop).and(aborted)
        }
    })
}
