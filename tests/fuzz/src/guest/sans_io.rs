//! Every operation by `begin` and `resume`, in two instances: requests must belong to the operation and pass the host's
//! rules, and any event must end the operation or lead to another request, also if the driver alters the state.

use arbitrary::{Arbitrary, Result, Unstructured};
use sandbucket_plugin::contract::error::Kind;
use sandbucket_plugin::contract::model::{Operation, Output, Pair};
use sandbucket_plugin::http::request::Method;
use sandbucket_plugin::machine::{
    Event, Exchange, Next, RequestBody, Response, ResponseBody, State, Store, TransportError,
};
use sandbucket_plugin::service::Service;
use sandbucket_s3::attributes;
use sandbucket_s3::ops::S3;

use super::operation::{Arguments, operation};
use super::operations::{checked, fits};
use super::service::{self, response, settings};

/// More than retries, reconciliation and single deletes of one operation take.
const MAX_STEPS: usize = 2048;

/// A store, and an operation on it, step by step.
pub fn guest_sans_io(data: &[u8]) {
    // The steps end with the input.
    let _ = steps::<S3>(&mut Unstructured::new(data), &S3_PLUGIN);
}

/// What is specific to a plugin.
pub(super) struct Plugin {
    /// Settings of a store.
    pub settings: fn(&mut Unstructured<'_>) -> Result<Vec<Pair>>,
    /// Arguments of operations.
    pub arguments: Arguments,
    /// A response of the service.
    pub response: fn(&mut Unstructured<'_>) -> Result<service::Response>,
    /// Methods of the requests of an operation.
    pub methods: fn(&Operation) -> &'static [Method],
}

const S3_PLUGIN: Plugin = Plugin { settings, arguments: ARGUMENTS, response, methods };

/// Arguments of operations of the S3 plugin.
pub(super) const ARGUMENTS: Arguments = Arguments {
    attributes: || attributes::TABLE.iter().map(|attribute| attribute.name).collect(),
    upload: |u| String::arbitrary(u),
    etag: || "e".to_owned(),
};

pub(super) fn steps<S: Service>(u: &mut Unstructured<'_>, plugin: &Plugin) -> Result<()> {
    let settings = (plugin.settings)(u)?;
    let Ok(store) = Store::<S>::open(&settings, u64::arbitrary(u)?) else { return Ok(()) };
    let mut stores = [store, Store::open(&settings, 1).expect("the same settings")];
    let operation = operation(u, &plugin.arguments)?;
    let mut wall = *u.choose(&[1_700_000_000, 0, u64::MAX])?;
    let (mut next, mut altered, mut elapsed) = (stores[0].begin(wall, operation.clone()), false, 0_u64);
    // The state to resume with if the caller's body breaks off.
    let mut reading = None;
    for _ in 0..MAX_STEPS {
        let (state, received, truncated) = match next {
            Next::Send(exchange) => {
                if let Some(failure) = &exchange.retries {
                    checked(failure);
                }
                if !altered {
                    belongs(&exchange, &operation, plugin.methods);
                }
                passes(&exchange);
                if u.is_empty() {
                    return Ok(());
                }
                let mut bytes = exchange.state.encode();
                if u.ratio(1, 16)? {
                    let place = u.choose_index(bytes.len())?;
                    bytes[place] = u8::arbitrary(u)?;
                    altered = true;
                }
                let Ok(state) = State::decode(&bytes) else {
                    assert!(altered, "a state is not read back");
                    return Ok(());
                };
                let received = (plugin.response)(u)?.map(|(head, chunks)| (head, chunks.concat()));
                let is_success = matches!(&received, Ok((head, _)) if (200..300).contains(&head.status));
                let is_callers = exchange.response_body == ResponseBody::Caller;
                reading = (is_success && is_callers).then(|| state.clone());
                (state, received, u.ratio(1, 16)?)
            }
            Next::Done(output) => {
                if !altered {
                    fits(&output, &operation);
                }
                let is_read = matches!(output, Output::Get(_));
                assert!(altered || !is_read || reading.is_some(), "a body without a successful response");
                match reading.take() {
                    Some(state) if is_read && !u.is_empty() && bool::arbitrary(u)? => (state, Err(broken()), false),
                    _ => return Ok(()),
                }
            }
            Next::Failed(failure) => {
                checked(&failure);
                return Ok(());
            }
        };
        wall = wall.saturating_add(u64::from(u8::arbitrary(u)?));
        elapsed = if u.ratio(1, 16)? { u64::arbitrary(u)? } else { elapsed.saturating_add(1_000_000_000) };
        let event = match &received {
            Ok((head, body)) => Event::Response(Response { head: head.clone(), body, truncated }),
            Err(error) => Event::Failed(error.clone()),
        };
        next = stores[usize::from(bool::arbitrary(u)?)].resume(wall, state, elapsed, event);
    }
    panic!("{operation:?} goes on without end");
}

/// A body that breaks off while the caller reads it.
fn broken() -> TransportError {
    TransportError { kind: Kind::Integrity, message: "the body broke off".to_owned(), not_sent: false, retryable: true }
}

/// Checks that the request is one of the operation's, as `wit/README.md` lists them.
fn belongs<T>(exchange: &Exchange<T>, operation: &Operation, methods: fn(&Operation) -> &'static [Method]) {
    match (&exchange.body, operation) {
        (RequestBody::Caller(sent), Operation::Put { length, .. } | Operation::UploadPart { length, .. }) => {
            assert_eq!(sent, length);
        }
        (RequestBody::Caller(_), operation) => panic!("{operation:?} has no body of the caller's"),
        (RequestBody::None | RequestBody::Bytes(_), _) => {}
    }
    let is_get = matches!(operation, Operation::Get { .. });
    assert!(is_get || exchange.response_body != ResponseBody::Caller, "{operation:?} has no body to read");
    let method = exchange.request.method;
    assert!(methods(operation).contains(&method), "{operation:?}: {method:?}");
}

fn methods(operation: &Operation) -> &'static [Method] {
    match operation {
        Operation::Head { .. } | Operation::BucketExists { .. } => &[Method::Head],
        Operation::Get { .. }
        | Operation::List { .. }
        | Operation::ListVersions { .. }
        | Operation::GetTags { .. }
        | Operation::ListParts { .. }
        | Operation::ListUploads { .. }
        | Operation::ListBuckets { .. } => &[Method::Get],
        Operation::Put { .. }
        | Operation::Copy { .. }
        | Operation::CopyPart { .. }
        | Operation::CreateBucket { .. } => &[Method::Put, Method::Head, Method::Get],
        Operation::UploadPart { .. } => &[Method::Put],
        Operation::SetTags { .. } => &[Method::Put, Method::Delete],
        Operation::Delete { .. } | Operation::AbortUpload { .. } => &[Method::Delete],
        Operation::DeleteMany { .. } => &[Method::Post, Method::Delete],
        Operation::CreateUpload { .. } => &[Method::Post],
        Operation::CompleteUpload { .. } => &[Method::Post, Method::Head, Method::Get],
        Operation::DeleteBucket { .. } => &[Method::Delete, Method::Head],
        Operation::Presign { .. } => &[],
    }
}

#[cfg(not(feature = "host"))]
fn passes<T>(_: &Exchange<T>) {}

/// Checks that the host sends the plugin's request.
#[cfg(feature = "host")]
fn passes<T>(exchange: &Exchange<T>) {
    use sandbucket::fuzzing::{PreparedRequest, request_head};

    let request = &exchange.request;
    let (headers, length) = (request.field_lines("fuzz/1", exchange.body.length()), exchange.body.length());
    let path_with_query = request.path_and_query().into_owned();
    // The host rejects oversized requests, and sends all others.
    let is_large = headers.len() > 64 << 10 || path_with_query.len() > 32 << 10;
    let prepared = PreparedRequest {
        method: request.method.as_str().parse().expect("a method"),
        https: request.https,
        authority: request.authority.clone(),
        path_with_query,
        headers,
        timeout: exchange.timeout,
    };
    if let Err(refused) = request_head(prepared, length) {
        assert!(is_large, "{refused}");
    }
}
