//! From the contract's records, whose fields are optional, to the model's, and back.

use crate::contract::bindings::exports::sandbucket::blob::buckets as wit_buckets;
use crate::contract::bindings::exports::sandbucket::blob::listing as wit_listing;
use crate::contract::bindings::exports::sandbucket::blob::multipart as wit_multipart;
use crate::contract::bindings::exports::sandbucket::blob::sans_io;
use crate::contract::bindings::exports::sandbucket::blob::types as wit;
use crate::contract::error::Error;
use crate::http::headers::parse_lines;
use crate::http::request::Request;
use crate::http::response::Head;
use crate::io::wasi::transport_error;
use crate::machine::service::Service;
use crate::machine::state::nanos;
use crate::machine::{self, StateOf};

use super::model::{
    AbortOptions, Blob, BlobHead, BlobInfo, BucketOptions, CallOptions, CompleteOptions, CopyOptions, CopyPartOptions,
    DeleteManyOptions, DeleteOptions, GetOptions, HeadOptions, ListBucketsOptions, ListOptions, ListPartsOptions,
    ListUploadsOptions, Operation, Output, PartOptions, PresignOptions, Properties, PutOptions, TagOptions,
    UNKNOWN_SIZE,
};

/// The model's record of an absent or a given one.
pub(super) fn options<W, M: Default + From<W>>(given: Option<W>) -> M {
    given.map(M::from).unwrap_or_default()
}

/// Converts records field by field: a field with a parenthesis is itself a record or a list, whose absence is its default.
macro_rules! records {
    ($($wit:path => $model:ident { $($plain:ident),* ; $($nested:ident),* })*) => {
        $(
            impl From<$wit> for $model {
                fn from(given: $wit) -> $model {
                    $model {
                        $($plain: given.$plain,)*
                        $($nested: given.$nested.map(Into::into).unwrap_or_default(),)*
                    }
                }
            }
        )*
    };
}

records! {
    wit::CallOptions => CallOptions { time_limit, max_retries; attributes }
    wit::HeadOptions => HeadOptions { version; conditions, call }
    wit::GetOptions => GetOptions { version, max_bytes; range, conditions, call }
    wit::PutOptions => PutOptions { content_type; metadata, condition, digests, call }
    wit::DeleteOptions => DeleteOptions { version; call }
    wit::DeleteManyOptions => DeleteManyOptions { ; call }
    wit::Properties => Properties { content_type; metadata }
    wit::TagOptions => TagOptions { version; call }
    wit_listing::ListOptions => ListOptions { delimiter, start_after, page_size, continuation; prefix, call }
    wit_multipart::PartOptions => PartOptions { ; digests, call }
    wit_multipart::AbortOptions => AbortOptions { ; call }
    wit_multipart::CopyPartOptions => CopyPartOptions { range; source_conditions, call }
    wit_multipart::ListPartsOptions => ListPartsOptions { continuation, page_size; call }
    wit_multipart::CompleteOptions => CompleteOptions { ; condition, call }
    wit_multipart::ListUploadsOptions => ListUploadsOptions { continuation, page_size; prefix, call }
    wit_buckets::BucketOptions => BucketOptions { ; call }
    wit_buckets::ListBucketsOptions => ListBucketsOptions { continuation, page_size; prefix, call }
}

impl From<wit::CopyOptions> for CopyOptions {
    fn from(given: wit::CopyOptions) -> CopyOptions {
        CopyOptions {
            source_conditions: given.source_conditions.unwrap_or_default(),
            condition: given.condition.unwrap_or_default(),
            // Absent properties are the source's, not empty ones.
            properties: given.properties.map(Into::into),
            call: options(given.call),
        }
    }
}

/// Options of a presigned request.
pub(super) fn presign_options(expires: u64, given: Option<wit::PresignOptions>) -> PresignOptions {
    match given {
        Some(wit::PresignOptions { headers, version, call }) => {
            PresignOptions { expires, headers: headers.unwrap_or_default(), version, call: options(call) }
        }
        None => PresignOptions { expires, ..PresignOptions::default() },
    }
}

impl From<sans_io::Operation> for Operation {
    fn from(operation: sans_io::Operation) -> Operation {
        use sans_io::Operation as O;
        match operation {
            O::Head(o) => Operation::Head { key: o.key, options: options(o.options) },
            O::Get(o) => Operation::Get { key: o.key, options: options(o.options) },
            O::Put(o) => Operation::Put { key: o.key, length: o.length, options: options(o.options) },
            O::Delete(o) => Operation::Delete { key: o.key, options: options(o.options) },
            O::DeleteMany(o) => Operation::DeleteMany { blobs: o.blobs, options: options(o.options) },
            O::List(o) => Operation::List { options: options(o) },
            O::ListVersions(o) => Operation::ListVersions { options: options(o) },
            O::Copy(o) => Operation::Copy { source: o.source, to: o.to, options: options(o.options) },
            O::Presign(o) => {
                Operation::Presign { method: o.method, key: o.key, options: presign_options(o.expires_in, o.options) }
            }
            O::GetTags(o) => Operation::GetTags { key: o.key, options: options(o.options) },
            O::SetTags(o) => Operation::SetTags { key: o.key, tags: o.tags, options: options(o.options) },
            O::CreateUpload(o) => Operation::CreateUpload { key: o.key, options: options(o.options) },
            O::UploadPart(o) => Operation::UploadPart {
                key: o.key,
                upload: o.upload,
                number: o.number,
                length: o.length,
                options: options(o.options),
            },
            O::CopyPart(o) => Operation::CopyPart {
                key: o.key,
                upload: o.upload,
                number: o.number,
                source: o.source,
                options: options(o.options),
            },
            O::ListParts(o) => Operation::ListParts { key: o.key, upload: o.upload, options: options(o.options) },
            O::CompleteUpload(o) => {
                Operation::CompleteUpload { key: o.key, upload: o.upload, parts: o.parts, options: options(o.options) }
            }
            O::AbortUpload(o) => Operation::AbortUpload { key: o.key, upload: o.upload, options: options(o.options) },
            O::ListUploads(o) => Operation::ListUploads { options: options(o) },
            O::CreateBucket(o) => Operation::CreateBucket { name: o.name, options: options(o.options) },
            O::DeleteBucket(o) => Operation::DeleteBucket { name: o.name, options: options(o.options) },
            O::BucketExists(o) => Operation::BucketExists { name: o.name, options: options(o.options) },
            O::ListBuckets(o) => Operation::ListBuckets { options: options(o) },
        }
    }
}

impl From<BlobInfo> for wit::BlobInfo {
    fn from(info: BlobInfo) -> wit::BlobInfo {
        let BlobInfo { size, etag, last_modified, content_type, metadata, version, attributes } = info;
        let size = (size != UNKNOWN_SIZE).then_some(size);
        wit::BlobInfo { size, etag, last_modified, content_type, metadata, version, attributes }
    }
}

impl From<Blob> for wit::Blob {
    fn from(blob: Blob) -> wit::Blob {
        wit::Blob { info: blob.info.into(), range: blob.range, body: blob.body }
    }
}

impl From<BlobHead> for wit::BlobHead {
    fn from(head: BlobHead) -> wit::BlobHead {
        let BlobHead { info, range, body_range, digest } = head;
        wit::BlobHead { info: info.into(), range, body_range, digest }
    }
}

impl From<Output> for sans_io::Output {
    fn from(output: Output) -> sans_io::Output {
        use sans_io::Output as O;
        match output {
            Output::Head(info) => O::Head(info.into()),
            Output::Get(head) => O::Get(head.into()),
            Output::Put(written) => O::Put(written),
            Output::Delete(existed) => O::Delete(existed),
            Output::DeleteMany(outcomes) => {
                O::DeleteMany(outcomes.into_iter().map(|outcome| outcome.map_err(error)).collect())
            }
            Output::List(page) => O::List(page),
            Output::ListVersions(page) => O::ListVersions(page),
            Output::Copy(written) => O::Copy(written),
            Output::Presign(presigned) => O::Presign(presigned),
            Output::GetTags(tags) => O::GetTags(tags),
            Output::SetTags => O::SetTags,
            Output::CreateUpload(id) => O::CreateUpload(id),
            Output::UploadPart(part) => O::UploadPart(part),
            Output::CopyPart(part) => O::CopyPart(part),
            Output::ListParts(page) => O::ListParts(page),
            Output::CompleteUpload(written) => O::CompleteUpload(written),
            Output::AbortUpload => O::AbortUpload,
            Output::ListUploads(page) => O::ListUploads(page),
            Output::CreateBucket => O::CreateBucket,
            Output::DeleteBucket => O::DeleteBucket,
            Output::BucketExists(exists) => O::BucketExists(exists),
            Output::ListBuckets(page) => O::ListBuckets(page),
        }
    }
}

/// The next step of a service's operation.
pub(super) fn next_of<S: Service>(next: machine::Next<StateOf<S>>) -> sans_io::Next {
    match next {
        machine::Next::Send(exchange) => sans_io::Next::Send(exchange_of::<S>(*exchange)),
        machine::Next::Done(output) => sans_io::Next::Done(output.into()),
        machine::Next::Failed(failure) => sans_io::Next::Failed(error(failure)),
    }
}

fn exchange_of<S: Service>(exchange: machine::Exchange<StateOf<S>>) -> sans_io::Exchange {
    let machine::Exchange { state, delay, timeout, request, body, response_body, fresh_connection, retries } = exchange;
    sans_io::Exchange {
        state: state.encode(),
        delay: nanos(delay),
        timeout: nanos(timeout),
        request: complete(request, S::USER_AGENT, body.length()),
        body: match body {
            machine::RequestBody::None => sans_io::RequestBody::None,
            machine::RequestBody::Bytes(bytes) => sans_io::RequestBody::Bytes(bytes),
            machine::RequestBody::Caller(_) => sans_io::RequestBody::Caller,
        },
        response_body: match response_body {
            machine::ResponseBody::Caller => sans_io::ResponseBody::Caller,
            machine::ResponseBody::Buffer(max) => sans_io::ResponseBody::Buffer(max),
        },
        fresh_connection,
        retries: retries.map(error),
    }
}

/// The request with all of its header fields.
fn complete(mut request: Request, user_agent: &str, length: u64) -> sans_io::Request {
    let headers = request.field_lines(user_agent, length);
    let (method, https, authority) = (request.method, request.https, std::mem::take(&mut request.authority));
    sans_io::Request { method, https, authority, path_with_query: request.into_path_and_query(), headers }
}

/// The event, as the state machines have it.
pub(super) fn event_of(event: &sans_io::Event) -> machine::Event<'_> {
    match event {
        sans_io::Event::Response(sans_io::Response { status, headers, body, truncated }) => {
            let head = Head { status: *status, headers: parse_lines(headers) };
            machine::Event::Response(machine::Response { head, body, truncated: *truncated })
        }
        sans_io::Event::Failed(sans_io::TransportFailure { error, detail }) => {
            machine::Event::Failed(transport_error(*error, detail.as_deref()))
        }
    }
}

/// Failures are boxed; the contract's errors are not.
#[expect(clippy::boxed_local, reason = "failures are boxed everywhere else")]
pub(super) fn error(failure: crate::contract::error::Failure) -> Error {
    *failure
}
