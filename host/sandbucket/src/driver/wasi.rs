//! Operations on a plugin without the interface `sans-io`: it sends its requests over wasi:http, in an instance that the operation
//! holds until it ends.

use std::pin::pin;
use std::time::Duration;

use super::Driver;
use super::operation::{Describe, Operation};
use crate::error::Result;
use crate::http::{Progress, ResponseBody};
use crate::sandbox::Bounds;
use crate::sandbox::bindings::Output;
use crate::support::deadline::nanos;
use crate::types::body::Chunks;

/// Runs an operation whose body, if it has one, is in memory.
pub(super) async fn run(
    driver: &Driver,
    operation: &Operation,
    limit: Duration,
    body: Option<&Chunks>,
    progress: Option<Progress>,
) -> Result<(Output, Option<ResponseBody>)> {
    let (pool, name) = (driver.pool(), operation.name());
    let (mut lease, left) = pool.lease(name, limit).await?;
    let mut operation = operation.clone();
    if let Some(call) = operation.call_options() {
        call.time_limit = Some(nanos(left));
        driver.0.retries.bound(call);
    }
    let body = body.map(Chunks::joined).unwrap_or_default();
    let (limits, bounds) = (pool.limits(), operation.bounds());
    let bounds =
        Bounds { time: Some(left), cpu_used: lease.cpu_used(), operations: operation.blobs(), methods: bounds.methods };
    let (sandbox, store) = lease.instance()?.parts();
    let call = sandbox.begin(name, limits, bounds, progress);
    /// Calls a method, and makes an output of its result.
    macro_rules! method {
        ($method:ident($($argument:expr),*) => $output:expr) => {{
            let method = sandbox.plugin.$method(&mut sandbox.store, store, $($argument),*);
            let result = call.run(pin!(method)).await;
            sandbox.end(&call, limits, result).map($output)
        }};
    }
    let ended = match &operation {
        Operation::Head(head) => method!(head(&head.key, head.options.as_ref()) => Output::Head),
        Operation::Get(get) => method!(get(&get.key, get.options.as_ref()) => Output::Blob),
        Operation::Put(put) => method!(put(&put.key, &body, put.options.as_ref()) => Output::Put),
        Operation::Delete(delete) => method!(delete(&delete.key, delete.options.as_ref()) => Output::Delete),
        Operation::DeleteMany(delete) => {
            method!(delete_many(&delete.blobs, delete.options.as_ref()) => Output::DeleteMany)
        }
        Operation::List(options) => method!(list(options.as_ref()) => Output::List),
        Operation::ListVersions(options) => method!(list_versions(options.as_ref()) => Output::ListVersions),
        Operation::Copy(copy) => method!(copy(&copy.source, &copy.to, copy.options.as_ref()) => Output::Copy),
        Operation::Presign(presign) => method!(
            presign(presign.method, &presign.key, presign.expires_in, presign.options.as_ref()) => Output::Presign
        ),
        Operation::GetTags(tags) => method!(get_tags(&tags.key, tags.options.as_ref()) => Output::GetTags),
        Operation::SetTags(tags) => method!(set_tags(&tags.key, &tags.tags, tags.options.as_ref()) => Output::SetTags),
        Operation::CreateUpload(upload) => {
            method!(create_upload(&upload.key, upload.options.as_ref()) => Output::CreateUpload)
        }
        Operation::UploadPart(part) => method!(
            upload_part(&part.key, &part.upload, part.number, &body, part.options.as_ref()) => Output::UploadPart
        ),
        Operation::CopyPart(part) => method!(
            copy_part(&part.key, &part.upload, part.number, &part.source, part.options.as_ref()) => Output::CopyPart
        ),
        Operation::ListParts(list) => {
            method!(list_parts(&list.key, &list.upload, list.options.as_ref()) => Output::ListParts)
        }
        Operation::CompleteUpload(upload) => method!(
            complete_upload(&upload.key, &upload.upload, &upload.parts, upload.options.as_ref())
                => Output::CompleteUpload
        ),
        Operation::AbortUpload(upload) => {
            method!(abort_upload(&upload.key, &upload.upload, upload.options.as_ref()) => Output::AbortUpload)
        }
        Operation::ListUploads(options) => method!(list_uploads(options.as_ref()) => Output::ListUploads),
        Operation::CreateBucket(bucket) => {
            method!(create_bucket(&bucket.name, bucket.options.as_ref()) => Output::CreateBucket)
        }
        Operation::DeleteBucket(bucket) => {
            method!(delete_bucket(&bucket.name, bucket.options.as_ref()) => Output::DeleteBucket)
        }
        Operation::BucketExists(bucket) => {
            method!(bucket_exists(&bucket.name, bucket.options.as_ref()) => Output::BucketExists)
        }
        Operation::ListBuckets(options) => method!(list_buckets(options.as_ref()) => Output::ListBuckets),
    };
    let result = lease.end(ended);
    driver.0.retries.settle(&result);
    result.map(|output| (output, None))
}
