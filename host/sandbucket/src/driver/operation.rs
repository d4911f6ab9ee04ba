//! What the driver has to know of an operation: its name, its key, the methods of its requests, and what it may take.

use http::Method;

pub(crate) use crate::sandbox::bindings::sans_io::Operation;
use crate::sandbox::bindings::wit::CallOptions;
use crate::sandbox::bindings::{PAGE, RESULT};
use crate::telemetry::OperationId;

/// Host memory, in bytes, of a step of one operation in a batch: a request and a state, or a blob's properties.
const STEP: usize = 256 << 10;
/// The same for each blob, part or tag that an operation is given, besides [`PER_BYTE`] for its text.
const PER_ITEM: usize = 1 << 10;
/// Bytes in a document and a state together for each byte of text that an operation is given: a quote is six bytes in XML.
const PER_BYTE: usize = 16;
/// The outcome of one blob of a bulk delete: an error with the service's message.
const OUTCOME: usize = 8 << 10;

/// Requests that one operation may send. The retry policy is the plugin's, and this is its bound: more than any setting asks for
/// (`max-retries` is at most 100).
const MAX_REQUESTS: usize = 128;
/// Requests that may follow one another as soon as the plugin likes.
const FREE_REQUESTS: usize = 4;

/// Further requests of a listing of uploads: the Azure plugin requests the blocks of each key of a page.
const PER_UPLOADS: usize = 50;

/// Methods of the requests of an operation. After a write whose response is lost, the plugin looks what is stored.
const HEAD: &[Method] = &[Method::HEAD];
const LOOK: &[Method] = &[Method::GET, Method::HEAD];
const PUT: &[Method] = &[Method::PUT, Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST, Method::GET, Method::HEAD];
/// S3 completes an upload by a POST, Azure by a PUT.
const COMPLETE: &[Method] = &[Method::POST, Method::PUT, Method::GET, Method::HEAD];
/// S3 has uploads to delete; on Azure, the plugin looks for the parts of one and marks it as aborted.
const ABORT: &[Method] = &[Method::DELETE, Method::GET, Method::PUT];
const DELETE: &[Method] = &[Method::DELETE];
const DELETE_MANY: &[Method] = &[Method::POST, Method::DELETE];
const SET_TAGS: &[Method] = &[Method::PUT, Method::DELETE];
const DELETE_BUCKET: &[Method] = &[Method::DELETE, Method::GET, Method::HEAD];

/// The bounds of one operation.
#[derive(Clone, Copy)]
pub(crate) struct OperationBounds {
    /// Methods of its requests.
    pub(crate) methods: &'static [Method],
    /// Requests in all, and those before the driver forces a pause before each.
    pub(crate) max_requests: usize,
    pub(crate) free_requests: usize,
    /// Host memory, in bytes, that the result of `begin` and of `resume` may take.
    pub(crate) begin_bytes: usize,
    pub(crate) resume_bytes: usize,
}

/// The name of an operation, for errors, and its bounds.
pub(crate) trait Describe {
    fn name(&self) -> &'static str;

    /// The operation in metrics, spans and audit records.
    fn id(&self) -> OperationId;

    /// The key, where it is of one blob.
    fn key(&self) -> &str;

    /// The number of blobs that it is about.
    fn blobs(&self) -> usize;

    fn bounds(&self) -> OperationBounds;

    /// The common options, where it is given any.
    fn call_options(&mut self) -> Option<&mut CallOptions>;
}

impl Describe for Operation {
    fn name(&self) -> &'static str {
        match self {
            Operation::Head(_) => "head",
            Operation::Get(_) => "get",
            Operation::Put(_) => "put",
            Operation::Delete(_) => "delete",
            Operation::DeleteMany(_) => "delete several blobs",
            Operation::List(_) => "list",
            Operation::ListVersions(_) => "list versions",
            Operation::Copy(_) => "copy",
            Operation::Presign(_) => "presign",
            Operation::GetTags(_) => "get tags",
            Operation::SetTags(_) => "set tags",
            Operation::CreateUpload(_) => "begin an upload",
            Operation::UploadPart(_) => "upload a part",
            Operation::CopyPart(_) => "copy a part",
            Operation::ListParts(_) => "list parts",
            Operation::CompleteUpload(_) => "complete an upload",
            Operation::AbortUpload(_) => "abort an upload",
            Operation::ListUploads(_) => "list uploads",
            Operation::CreateBucket(_) => "create a bucket",
            Operation::DeleteBucket(_) => "delete a bucket",
            Operation::BucketExists(_) => "look for a bucket",
            Operation::ListBuckets(_) => "list buckets",
        }
    }

    fn id(&self) -> OperationId {
        match self {
            Operation::Head(_) => OperationId::Head,
            Operation::Get(_) => OperationId::Get,
            Operation::Put(_) => OperationId::Put,
            Operation::Delete(_) => OperationId::Delete,
            Operation::DeleteMany(_) => OperationId::DeleteMany,
            Operation::List(_) => OperationId::List,
            Operation::ListVersions(_) => OperationId::ListVersions,
            Operation::Copy(_) => OperationId::Copy,
            Operation::Presign(_) => OperationId::Presign,
            Operation::GetTags(_) => OperationId::GetTags,
            Operation::SetTags(_) => OperationId::SetTags,
            Operation::CreateUpload(_) => OperationId::CreateUpload,
            Operation::UploadPart(_) => OperationId::UploadPart,
            Operation::CopyPart(_) => OperationId::CopyPart,
            Operation::ListParts(_) => OperationId::ListParts,
            Operation::CompleteUpload(_) => OperationId::CompleteUpload,
            Operation::AbortUpload(_) => OperationId::AbortUpload,
            Operation::ListUploads(_) => OperationId::ListUploads,
            Operation::CreateBucket(_) => OperationId::CreateBucket,
            Operation::DeleteBucket(_) => OperationId::DeleteBucket,
            Operation::BucketExists(_) => OperationId::BucketExists,
            Operation::ListBuckets(_) => OperationId::ListBuckets,
        }
    }

    fn key(&self) -> &str {
        match self {
            Operation::Head(head) => &head.key,
            Operation::Get(get) => &get.key,
            Operation::Put(put) => &put.key,
            Operation::Delete(delete) => &delete.key,
            Operation::Copy(copy) => &copy.to,
            Operation::Presign(presign) => &presign.key,
            Operation::GetTags(tags) => &tags.key,
            Operation::SetTags(tags) => &tags.key,
            Operation::CreateUpload(upload) => &upload.key,
            Operation::UploadPart(part) => &part.key,
            Operation::CopyPart(part) => &part.key,
            Operation::ListParts(list) => &list.key,
            Operation::CompleteUpload(upload) => &upload.key,
            Operation::AbortUpload(upload) => &upload.key,
            Operation::CreateBucket(bucket) | Operation::DeleteBucket(bucket) | Operation::BucketExists(bucket) => {
                &bucket.name
            }
            Operation::DeleteMany(_)
            | Operation::List(_)
            | Operation::ListVersions(_)
            | Operation::ListUploads(_)
            | Operation::ListBuckets(_) => "",
        }
    }

    fn blobs(&self) -> usize {
        if let Operation::DeleteMany(delete) = self { delete.blobs.len() } else { 1 }
    }

    fn bounds(&self) -> OperationBounds {
        let (methods, input) = match self {
            Operation::Head(_) => (HEAD, 0),
            // A service without ranges of last bytes is asked for the size before.
            Operation::Get(_)
            | Operation::List(_)
            | Operation::ListVersions(_)
            | Operation::GetTags(_)
            | Operation::ListParts(_)
            | Operation::ListUploads(_)
            | Operation::BucketExists(_)
            | Operation::ListBuckets(_) => (LOOK, 0),
            Operation::Put(_)
            | Operation::Copy(_)
            | Operation::UploadPart(_)
            | Operation::CopyPart(_)
            | Operation::CreateBucket(_) => (PUT, 0),
            Operation::Delete(_) => (DELETE, 0),
            Operation::AbortUpload(_) => (ABORT, 0),
            Operation::DeleteMany(delete) => {
                let version = |version: &Option<String>| version.as_ref().map_or(0, String::len);
                (DELETE_MANY, sum(&delete.blobs, |blob| blob.key.len() + version(&blob.version)))
            }
            Operation::Presign(_) => (&[] as &[Method], 0),
            Operation::SetTags(tags) => (SET_TAGS, sum(&tags.tags, pair)),
            Operation::CreateUpload(_) => (POST, 0),
            Operation::CompleteUpload(upload) => {
                (COMPLETE, sum(&upload.parts, |part| part.etag.len() + sum(&part.attributes, pair)))
            }
            Operation::DeleteBucket(_) => (DELETE_BUCKET, 0),
        };
        let begin_bytes = STEP.saturating_add(input);
        let resume_bytes = match self {
            Operation::List(_)
            | Operation::ListVersions(_)
            | Operation::ListParts(_)
            | Operation::ListUploads(_)
            | Operation::ListBuckets(_) => PAGE,
            Operation::DeleteMany(_) => begin_bytes.saturating_add(RESULT + self.blobs() * OUTCOME),
            _ => begin_bytes,
        };
        let further = match self {
            // It can fall back to one request for each blob.
            Operation::DeleteMany(_) => self.blobs(),
            Operation::ListUploads(_) => PER_UPLOADS,
            _ => 0,
        };
        OperationBounds {
            methods,
            max_requests: MAX_REQUESTS + further,
            free_requests: FREE_REQUESTS + further,
            begin_bytes,
            resume_bytes,
        }
    }

    fn call_options(&mut self) -> Option<&mut CallOptions> {
        match self {
            Operation::Head(head) => head.options.as_mut()?.call.as_mut(),
            Operation::Get(get) => get.options.as_mut()?.call.as_mut(),
            Operation::Put(put) => put.options.as_mut()?.call.as_mut(),
            Operation::Delete(delete) => delete.options.as_mut()?.call.as_mut(),
            Operation::DeleteMany(delete) => delete.options.as_mut()?.call.as_mut(),
            Operation::List(options) | Operation::ListVersions(options) => options.as_mut()?.call.as_mut(),
            Operation::Copy(copy) => copy.options.as_mut()?.call.as_mut(),
            Operation::Presign(presign) => presign.options.as_mut()?.call.as_mut(),
            Operation::GetTags(tags) => tags.options.as_mut()?.call.as_mut(),
            Operation::SetTags(tags) => tags.options.as_mut()?.call.as_mut(),
            Operation::CreateUpload(upload) => upload.options.as_mut()?.call.as_mut(),
            Operation::UploadPart(part) => part.options.as_mut()?.call.as_mut(),
            Operation::CopyPart(part) => part.options.as_mut()?.call.as_mut(),
            Operation::ListParts(list) => list.options.as_mut()?.call.as_mut(),
            Operation::CompleteUpload(upload) => upload.options.as_mut()?.call.as_mut(),
            Operation::AbortUpload(upload) => upload.options.as_mut()?.call.as_mut(),
            Operation::ListUploads(options) => options.as_mut()?.call.as_mut(),
            Operation::CreateBucket(bucket) | Operation::DeleteBucket(bucket) | Operation::BucketExists(bucket) => {
                bucket.options.as_mut()?.call.as_mut()
            }
            Operation::ListBuckets(options) => options.as_mut()?.call.as_mut(),
        }
    }
}

fn pair((name, value): &(String, String)) -> usize {
    name.len() + value.len()
}

/// Host memory, in bytes, of a document and a state that contain these.
fn sum<T>(items: &[T], text: impl Fn(&T) -> usize) -> usize {
    items.iter().fold(0, |sum: usize, item| sum.saturating_add(PER_ITEM).saturating_add(text(item) * PER_BYTE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::bindings::sans_io::{DeleteMany, Head};
    use crate::sandbox::bindings::wit::BlobRef;

    #[test]
    fn bounds_grow_with_the_input() {
        let head = Operation::Head(Head { key: "k".to_owned(), options: None }).bounds();
        assert_eq!((head.begin_bytes, head.resume_bytes, head.max_requests), (STEP, STEP, MAX_REQUESTS));
        let blobs = vec![BlobRef { key: "k".repeat(1024), version: None }; 1000];
        let delete = Operation::DeleteMany(DeleteMany { blobs, options: None }).bounds();
        // A document and a state with a thousand keys of a kibibyte, of which each byte may be escaped.
        assert!(delete.begin_bytes > 2 * 6 * (1 << 20) && delete.resume_bytes > delete.begin_bytes + 1000 * OUTCOME);
        assert_eq!((delete.max_requests, delete.free_requests), (MAX_REQUESTS + 1000, FREE_REQUESTS + 1000));
        let list = Operation::List(None).bounds();
        assert_eq!((list.begin_bytes, list.resume_bytes), (STEP, PAGE));
    }

    #[test]
    fn reads_send_nothing_else() {
        assert_eq!(Operation::List(None).bounds().methods, LOOK);
        let head = Operation::Head(Head { key: "k".to_owned(), options: None });
        assert_eq!(head.bounds().methods, [Method::HEAD]);
    }
}
