//! Any operation with any arguments.

use arbitrary::{Arbitrary, Result, Unstructured};
use sandbucket_plugin::contract::model::{
    AbortOptions, BlobRef, BucketOptions, CompleteOptions, CopyOptions, CopyPartOptions, CopySource, DeleteManyOptions,
    DeleteOptions, HeadOptions, ListBucketsOptions, ListOptions, ListPartsOptions, ListUploadsOptions, Operation, Pair,
    Part, PartOptions, PresignOptions, PresignedMethod, Span, TagOptions,
};

use super::service::{call, condition, conditions, digests, key, read_options, write_options};

fn maybe<T>(u: &mut Unstructured<'_>, value: impl FnOnce(&mut Unstructured<'_>) -> Result<T>) -> Result<Option<T>> {
    if bool::arbitrary(u)? { value(u).map(Some) } else { Ok(None) }
}

fn bucket(u: &mut Unstructured<'_>) -> Result<String> {
    const BUCKETS: [&str; 4] = ["demo", "other-bucket", "../up", "a?b"];
    Ok(if u.ratio(1, 4)? { String::arbitrary(u)? } else { (*u.choose(&BUCKETS)?).to_owned() })
}

fn source(u: &mut Unstructured<'_>) -> Result<CopySource> {
    Ok(CopySource { bucket: maybe(u, bucket)?, key: key(u)?, version: version(u)? })
}

fn version(u: &mut Unstructured<'_>) -> Result<Option<String>> {
    if u.ratio(1, 4)? { Arbitrary::arbitrary(u) } else { Ok(None) }
}

fn continuation(u: &mut Unstructured<'_>, likely: &str) -> Result<Option<String>> {
    maybe(u, |u| if u.ratio(1, 4)? { String::arbitrary(u) } else { Ok(likely.to_owned()) })
}

/// What arguments of a plugin look like.
pub struct Arguments {
    /// Names of attributes of calls.
    pub attributes: fn() -> Vec<&'static str>,
    /// Any id of an upload.
    pub upload: fn(&mut Unstructured<'_>) -> Result<String>,
    /// The likely entity tag of a part 1.
    pub etag: fn() -> String,
}

/// Any operation. A body of the caller is 5 bytes long.
pub fn operation(u: &mut Unstructured<'_>, arguments: &Arguments) -> Result<Operation> {
    let names = &(arguments.attributes)();
    let which = u.int_in_range(0..=21)?;
    let (key, upload, number) = (key(u)?, (arguments.upload)(u)?, u32::from(u16::arbitrary(u)?));
    let (length, call) = (5, call(u, names)?);
    Ok(match which {
        0 => Operation::Head { key, options: HeadOptions { conditions: conditions(u)?, version: version(u)?, call } },
        1 => Operation::Get { key, options: read_options(u, names)? },
        2 => Operation::Put { key, length, options: write_options(u, names)? },
        3 => Operation::Delete { key, options: DeleteOptions { version: version(u)?, call } },
        4 => {
            let mut blobs = Vec::new();
            for _ in 0..u.int_in_range(0..=3)? {
                blobs.push(BlobRef { key: super::service::key(u)?, version: version(u)? });
            }
            Operation::DeleteMany { blobs, options: DeleteManyOptions { call } }
        }
        5 | 6 => {
            let options = ListOptions {
                prefix: key,
                delimiter: Arbitrary::arbitrary(u)?,
                start_after: Arbitrary::arbitrary(u)?,
                page_size: Arbitrary::arbitrary(u)?,
                continuation: continuation(u, "tok")?,
                call,
            };
            if which == 5 { Operation::List { options } } else { Operation::ListVersions { options } }
        }
        7 => {
            let options =
                CopyOptions { source_conditions: conditions(u)?, condition: condition(u)?, properties: None, call };
            Operation::Copy { source: source(u)?, to: key, options }
        }
        8 => {
            let methods = [PresignedMethod::Get, PresignedMethod::Head, PresignedMethod::Put, PresignedMethod::Delete];
            let (method, expires) = (*u.choose(&methods)?, u64::arbitrary(u)?);
            let mut headers: Vec<Pair> = Vec::new();
            for _ in 0..u.int_in_range(0..=2)? {
                headers.push((String::arbitrary(u)?, String::arbitrary(u)?));
            }
            Operation::Presign { method, key, options: PresignOptions { expires, headers, version: version(u)?, call } }
        }
        9 => Operation::GetTags { key, options: TagOptions { version: version(u)?, call } },
        10 => {
            let tags = vec![(String::arbitrary(u)?, String::arbitrary(u)?)];
            Operation::SetTags { key, tags, options: TagOptions { version: version(u)?, call } }
        }
        11 => Operation::CreateUpload { key, options: write_options(u, names)? },
        12 => {
            Operation::UploadPart { key, upload, number, length, options: PartOptions { digests: digests(u)?, call } }
        }
        13 => {
            let range = maybe(u, |u| Ok(Span { start: u64::arbitrary(u)?, end: u64::arbitrary(u)? }))?;
            let options = CopyPartOptions { range, source_conditions: conditions(u)?, call };
            Operation::CopyPart { key, upload, number, source: source(u)?, options }
        }
        14 => {
            let options =
                ListPartsOptions { continuation: continuation(u, "t2")?, page_size: Arbitrary::arbitrary(u)?, call };
            Operation::ListParts { key, upload, options }
        }
        15 => {
            let part = |number, etag| Part { number, size: 5, etag, last_modified: None, attributes: Vec::new() };
            let parts = vec![part(1, (arguments.etag)()), part(number, String::arbitrary(u)?)];
            Operation::CompleteUpload {
                key,
                upload,
                parts,
                options: CompleteOptions { condition: condition(u)?, call },
            }
        }
        16 => Operation::AbortUpload { key, upload, options: AbortOptions { call } },
        17 => {
            let (continuation, page_size) = (continuation(u, "1:vk")?, Arbitrary::arbitrary(u)?);
            Operation::ListUploads { options: ListUploadsOptions { prefix: key, continuation, page_size, call } }
        }
        18 => Operation::CreateBucket { name: bucket(u)?, options: BucketOptions { call } },
        19 => Operation::DeleteBucket { name: bucket(u)?, options: BucketOptions { call } },
        20 => Operation::BucketExists { name: bucket(u)?, options: BucketOptions { call } },
        _ => {
            let (continuation, page_size) = (continuation(u, "tt")?, Arbitrary::arbitrary(u)?);
            Operation::ListBuckets { options: ListBucketsOptions { prefix: key, continuation, page_size, call } }
        }
    })
}
