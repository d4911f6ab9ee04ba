//! The operations of a store, typed: each converts its arguments to an operation of the contract, and checks the type of
//! the output.

use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use crate::checksum;
use crate::driver::{Driver, Payload};
use crate::error::{Error, Failure, Result};
use crate::http::{Fault, Progress, ResponseBody, Streamed};
use crate::limits::Limits;
use crate::ops::options::{
    self, CallOptions, CompleteOptions, CopyOptions, CopyPartOptions, CopySource, GetOptions, HeadOptions, ListOptions,
    PageOptions, PresignOptions, PutOptions, VersionOptions, only_call,
};
use crate::sandbox::bindings::sans_io::{self, Operation};
use crate::sandbox::bindings::{self, Output, multipart, wit};
use crate::sandbox::pool::{Pool, PoolStatus};
use crate::support::deadline::nanos;
use crate::types::blob::{BlobInfo, ByteRange, Presigned, PresignedMethod, Written};
use crate::types::body::{Chunks, Pieces};
use crate::types::bucket::BucketPage;
use crate::types::digest::{Digest, DigestAlgorithm};
use crate::types::listing::{ListPage, VersionPage};
use crate::types::multipart::{Part, PartPage, UploadPage};

/// A call in flight.
pub type Call<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// The operations of a store.
#[derive(Clone)]
pub(crate) struct Calls {
    driver: Driver,
}

/// Unwraps the output of this operation; another operation's output is an error.
macro_rules! expect {
    ($output:expr, $variant:ident) => {
        match $output {
            Output::$variant(output) => Ok(output),
            _ => Err(another_output()),
        }
    };
}

fn another_output() -> Error {
    Error::plugin("it returned the output of another operation")
}

impl Calls {
    pub(crate) fn new(driver: Driver) -> Calls {
        Calls { driver }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.driver.is_shared()
    }

    pub(crate) fn pool(&self) -> &Pool {
        self.driver.pool()
    }

    /// An error detected by the host, formatted like the plugin's: with key, bucket and endpoint.
    pub(crate) fn failure(&self, subject: &str, operation: &str, key: &str, what: &str) -> Box<Failure> {
        self.pool().failure(subject, operation, key, what)
    }

    /// The digests that writes send of their bodies.
    pub(crate) fn wanted_digests(&self) -> &[DigestAlgorithm] {
        self.driver.wanted_digests()
    }

    /// Whether a streamed body is sent as it arrives, instead of being gathered for its digests.
    pub(crate) fn sends_streams(&self) -> bool {
        self.pool().is_sans_io() && self.wanted_digests().is_empty()
    }

    pub(crate) fn status(&self) -> PoolStatus {
        self.pool().status()
    }

    pub(crate) fn limits(&self) -> &Limits {
        self.pool().limits()
    }

    /// Converts the common options to the contract's form.
    fn call(&self, call: &CallOptions) -> Option<wit::CallOptions> {
        call.record(self.driver.plugin_time_limit(call.time_limit))
    }

    /// Runs an operation without a body.
    async fn run(&self, operation: Operation, call: &CallOptions) -> Result<Output> {
        Ok(self.driver.run(operation, call.time_limit, Payload::None, None).await?.0)
    }

    pub(crate) async fn head(&self, key: &str, options: &HeadOptions) -> Result<BlobInfo> {
        let head = sans_io::Head { key: key.to_owned(), options: options.record(self.call(&options.call)) };
        expect!(self.run(Operation::Head(head), &options.call).await?, Head)
    }

    /// Opens a blob for reading.
    pub(crate) async fn get(&self, key: &str, options: &GetOptions) -> Result<Opened> {
        let get = sans_io::Get { key: key.to_owned(), options: options.record(self.call(&options.call)) };
        let limit = options.call.time_limit;
        match self.driver.run(Operation::Get(get), limit, Payload::None, None).await? {
            (Output::Get(head), Some(body)) => {
                let (range, body_range) = checked_ranges(&head, &options.range)?;
                let bindings::BlobHead { info, digest, .. } = head;
                let digest = digest.map(Digest::from);
                Ok(Opened { info, range, body_range, digest, body: OpenedBody::Response(body) })
            }
            (Output::Blob(blob), _) => {
                let (info, range, body) = checked(blob, &options.range)?;
                Ok(Opened { info, body_range: range.clone(), range, digest: None, body: OpenedBody::Memory(body) })
            }
            _ => Err(another_output()),
        }
    }

    /// Writes a blob from memory.
    pub(crate) async fn put(
        &self,
        key: &str,
        body: &Chunks,
        options: &PutOptions,
        progress: Option<Progress>,
    ) -> Result<Written> {
        let digests = self.digests(body).await;
        self.write(key, body.length(), digests, options, Payload::Here(body), progress).await
    }

    /// Writes a blob from a stream of this length, which can be read once: the store must not require digests.
    pub(crate) async fn put_stream(
        &self,
        key: &str,
        (length, pieces): (u64, Pieces),
        options: &PutOptions,
        progress: Option<Progress>,
    ) -> Result<Written> {
        let fault = Fault::default();
        let payload = Payload::Once(Some(Streamed::new(length, pieces, fault.clone())), fault);
        self.write(key, length, Vec::new(), options, payload, progress).await
    }

    async fn write(
        &self,
        key: &str,
        length: u64,
        digests: Vec<Digest>,
        options: &PutOptions,
        payload: Payload<'_>,
        progress: Option<Progress>,
    ) -> Result<Written> {
        let options_record = options.record(digests, self.call(&options.call));
        let put = Operation::Put(sans_io::Put { key: key.to_owned(), length, options: options_record });
        expect!(self.driver.run(put, options.call.time_limit, payload, progress).await?.0, Put)
    }

    /// The digests of a body that the plugin sends. One without `sans-io` has the body, and computes them.
    async fn digests(&self, body: &Chunks) -> Vec<Digest> {
        let pool = self.pool();
        if !pool.is_sans_io() {
            return Vec::new();
        }
        checksum::of(body, self.wanted_digests(), pool.engine().sums(), pool.in_flight() == 0).await
    }

    pub(crate) async fn delete(&self, key: &str, options: &VersionOptions) -> Result<Option<bool>> {
        let delete = sans_io::Delete { key: key.to_owned(), options: options.delete(self.call(&options.call)) };
        expect!(self.run(Operation::Delete(delete), &options.call).await?, Delete)
    }

    /// Deletes up to 1,000 blobs, with an outcome per blob.
    pub(crate) async fn delete_many(&self, blobs: Vec<wit::BlobRef>, call: &CallOptions) -> Result<Vec<Result<()>>> {
        let count = blobs.len();
        let options = only_call(self.call(call), |call| wit::DeleteManyOptions { call });
        let delete = Operation::DeleteMany(sans_io::DeleteMany { blobs, options });
        let outcomes = expect!(self.run(delete, call).await?, DeleteMany)?;
        if outcomes.len() != count {
            let message = format!(
                "delete several blobs: the plugin returned {} outcomes for {count} blobs to delete",
                outcomes.len()
            );
            return Err(Error::Integrity(Failure::ours("blobs", message)));
        }
        Ok(outcomes)
    }

    pub(crate) async fn list(&self, options: &ListOptions) -> Result<ListPage> {
        let list = Operation::List(options.record(self.call(&options.call)));
        expect!(self.run(list, &options.call).await?, List)
    }

    pub(crate) async fn list_versions(&self, options: &ListOptions) -> Result<VersionPage> {
        let list = Operation::ListVersions(options.record(self.call(&options.call)));
        expect!(self.run(list, &options.call).await?, ListVersions)
    }

    pub(crate) async fn copy(&self, source: &CopySource, to: &str, options: &CopyOptions) -> Result<Written> {
        let record = options.record(self.call(&options.call));
        let copy = sans_io::CopyBlob { source: source.into(), to: to.to_owned(), options: record };
        expect!(self.run(Operation::Copy(copy), &options.call).await?, Copy)
    }

    pub(crate) async fn presign(
        &self,
        method: PresignedMethod,
        key: &str,
        expires_in: Duration,
        options: &PresignOptions,
    ) -> Result<Presigned> {
        let (expires_in, record) = (nanos(expires_in), options.record(self.call(&options.call)));
        let presign = sans_io::Presign { method: method.into(), key: key.to_owned(), expires_in, options: record };
        expect!(self.run(Operation::Presign(presign), &options.call).await?, Presign)
    }

    pub(crate) async fn tags(&self, key: &str, options: &VersionOptions) -> Result<Vec<(String, String)>> {
        let tags = sans_io::GetTags { key: key.to_owned(), options: options.tags(self.call(&options.call)) };
        expect!(self.run(Operation::GetTags(tags), &options.call).await?, GetTags)
    }

    pub(crate) async fn set_tags(
        &self,
        key: &str,
        tags: Vec<(String, String)>,
        options: &VersionOptions,
    ) -> Result<()> {
        let record = options.tags(self.call(&options.call));
        let set = sans_io::SetTags { key: key.to_owned(), tags, options: record };
        expect!(self.run(Operation::SetTags(set), &options.call).await?, SetTags)
    }

    pub(crate) async fn create_upload(&self, key: &str, options: &PutOptions) -> Result<String> {
        let record = options.record(Vec::new(), self.call(&options.call));
        let create = sans_io::CreateUpload { key: key.to_owned(), options: record };
        expect!(self.run(Operation::CreateUpload(create), &options.call).await?, CreateUpload)
    }

    pub(crate) async fn upload_part(
        &self,
        key: &str,
        (upload, number): (&str, u32),
        body: &Chunks,
        call: &CallOptions,
        progress: Option<Progress>,
    ) -> Result<Part> {
        let options = options::part(self.digests(body).await, self.call(call));
        let (key, upload, length) = (key.to_owned(), upload.to_owned(), body.length());
        let part = Operation::UploadPart(sans_io::UploadPart { key, upload, number, length, options });
        expect!(self.driver.run(part, call.time_limit, Payload::Here(body), progress).await?.0, UploadPart)
    }

    /// Uploads a part from a stream of this length, which can be read once: the store must send streams.
    pub(crate) async fn upload_part_stream(
        &self,
        key: &str,
        (upload, number): (&str, u32),
        (length, pieces): (u64, Pieces),
        call: &CallOptions,
        progress: Option<Progress>,
    ) -> Result<Part> {
        let fault = Fault::default();
        let payload = Payload::Once(Some(Streamed::new(length, pieces, fault.clone())), fault);
        let options = options::part(Vec::new(), self.call(call));
        let (key, upload) = (key.to_owned(), upload.to_owned());
        let part = Operation::UploadPart(sans_io::UploadPart { key, upload, number, length, options });
        expect!(self.driver.run(part, call.time_limit, payload, progress).await?.0, UploadPart)
    }

    pub(crate) async fn copy_part(
        &self,
        key: &str,
        (upload, number): (&str, u32),
        source: &CopySource,
        options: &CopyPartOptions,
    ) -> Result<Part> {
        let record = options.record(self.call(&options.call));
        let (key, upload, source) = (key.to_owned(), upload.to_owned(), source.into());
        let part = sans_io::CopyPart { key, upload, number, source, options: record };
        expect!(self.run(Operation::CopyPart(part), &options.call).await?, CopyPart)
    }

    pub(crate) async fn list_parts(&self, key: &str, upload: &str, options: &PageOptions) -> Result<PartPage> {
        let record = options.parts(self.call(&options.call));
        let list = sans_io::ListParts { key: key.to_owned(), upload: upload.to_owned(), options: record };
        expect!(self.run(Operation::ListParts(list), &options.call).await?, ListParts)
    }

    pub(crate) async fn complete_upload(
        &self,
        key: &str,
        upload: &str,
        parts: Vec<Part>,
        options: &CompleteOptions,
    ) -> Result<Written> {
        let parts = parts.into_iter().map(Into::into).collect();
        let record = options.record(self.call(&options.call));
        let complete =
            sans_io::CompleteUpload { key: key.to_owned(), upload: upload.to_owned(), parts, options: record };
        expect!(self.run(Operation::CompleteUpload(complete), &options.call).await?, CompleteUpload)
    }

    pub(crate) async fn abort_upload(&self, key: &str, upload: &str, call: &CallOptions) -> Result<()> {
        let options = only_call(self.call(call), |call| multipart::AbortOptions { call });
        let abort = sans_io::AbortUpload { key: key.to_owned(), upload: upload.to_owned(), options };
        expect!(self.run(Operation::AbortUpload(abort), call).await?, AbortUpload)
    }

    pub(crate) async fn list_uploads(&self, options: &PageOptions) -> Result<UploadPage> {
        let list = Operation::ListUploads(options.uploads(self.call(&options.call)));
        expect!(self.run(list, &options.call).await?, ListUploads)
    }

    pub(crate) async fn create_bucket(&self, name: &str, call: &CallOptions) -> Result<()> {
        expect!(self.run(Operation::CreateBucket(self.bucket(name, call)), call).await?, CreateBucket)
    }

    pub(crate) async fn delete_bucket(&self, name: &str, call: &CallOptions) -> Result<()> {
        expect!(self.run(Operation::DeleteBucket(self.bucket(name, call)), call).await?, DeleteBucket)
    }

    pub(crate) async fn bucket_exists(&self, name: &str, call: &CallOptions) -> Result<bool> {
        expect!(self.run(Operation::BucketExists(self.bucket(name, call)), call).await?, BucketExists)
    }

    fn bucket(&self, name: &str, call: &CallOptions) -> sans_io::BucketOperation {
        let options = only_call(self.call(call), |call| bindings::buckets::BucketOptions { call });
        sans_io::BucketOperation { name: name.to_owned(), options }
    }

    pub(crate) async fn list_buckets(&self, options: &PageOptions) -> Result<BucketPage> {
        let list = Operation::ListBuckets(options.buckets(self.call(&options.call)));
        expect!(self.run(list, &options.call).await?, ListBuckets)
    }
}

/// A blob opened for reading, with validated ranges.
pub(crate) struct Opened {
    pub(crate) info: BlobInfo,
    /// The requested range.
    pub(crate) range: Range<u64>,
    /// The range in the body: the requested one, or a larger one.
    pub(crate) body_range: Range<u64>,
    /// A digest of the body.
    pub(crate) digest: Option<Digest>,
    pub(crate) body: OpenedBody,
}

/// The body of an opened blob.
pub(crate) enum OpenedBody {
    Response(ResponseBody),
    /// From a plugin without `sans-io`.
    Memory(Bytes),
}

/// Returns the requested range and that of the body, if the body's contains it and both lie within the blob. The host does
/// not rely on the plugin to return the requested bytes.
pub(crate) fn checked_ranges(head: &bindings::BlobHead, requested: &ByteRange) -> Result<(Range<u64>, Range<u64>)> {
    let wrong = |message: String| Err(Error::Integrity(Failure::ours("body", format!("get: the plugin {message}"))));
    let (range, given) = (head.range.start..head.range.end, head.body_range.start..head.body_range.end);
    let size = head.info.size;
    if given.start > range.start || range.start > range.end || range.end > given.end || given.end > size {
        return wrong(format!("returns the range {given:?} for {range:?} of a blob of {size} bytes"));
    }
    let wanted = wanted(requested, size);
    if wanted != range {
        return wrong(format!("returns the range {range:?} instead of {wanted:?}"));
    }
    Ok((range, given))
}

/// A blob that the plugin returned in memory. The host does not rely on the plugin's counts, nor on it to return the
/// requested bytes.
pub(crate) fn checked(
    (info, wit::Span { start, end }, body): (BlobInfo, wit::Span, Vec<u8>),
    requested: &ByteRange,
) -> Result<(BlobInfo, Range<u64>, Bytes)> {
    let wanted = wanted(requested, info.size);
    if wanted != (start..end) || end > info.size || end.checked_sub(start) != Some(body.len() as u64) {
        let message = format!(
            "get: the plugin returned {} bytes as the range {start} to {end} of {}, instead of {wanted:?}",
            body.len(),
            info.size
        );
        return Err(Error::Integrity(Failure::ours("body", message)));
    }
    Ok((info, wanted, body.into()))
}

/// The bytes that this range selects of a blob of this size.
pub(crate) fn wanted(range: &ByteRange, size: u64) -> Range<u64> {
    match range {
        ByteRange::Whole => 0..size,
        ByteRange::From(start) => *start..size,
        ByteRange::Within(range) => range.start..range.end.min(size),
        ByteRange::Last(count) => size.saturating_sub(*count)..size,
    }
}
