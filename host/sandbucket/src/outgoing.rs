//! `wasi:http/outgoing-handler`, and the answers that are waited for, as this host has them in place of wasmtime's own:
//!
//! - A request is driven by whoever waits for its answer. wasmtime gives each one two tasks of its own.
//! - wasmtime 48 looks at the request's options, which it is given to own, and leaves them in the instance's table.

use std::pin::Pin;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, HostFutureIncomingResponse as _, Method, Scheme};
use wasmtime_wasi_http::p2::body::HostIncomingBody;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{Error, FieldMap, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView};

use crate::deadline;
use crate::state::State;
use crate::transport::has_body;

const HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";
const TYPES: &str = "wasi:http/types@0.2.12";

/// A body up to this length, in bytes, is taken in full before it is sent, so that its request can be driven by whoever
/// waits for the answer. Requests with longer ones have a task of their own.
const UNDRIVEN: u64 = 64 << 10;

type Arguments = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);
type Handled = Result<Resource<Answering>, ErrorCode>;
type Answered = Option<Result<Result<Resource<HostIncomingResponse>, ErrorCode>, ()>>;
type Sent = Result<http::Response<WasiBody>, Error>;

/// An answer that is waited for: what `future-incoming-response` stands for.
enum Answering {
    Pending(Pin<Box<dyn Future<Output = Sent> + Send>>),
    Ready(Sent),
    Taken,
}

#[async_trait::async_trait]
impl Pollable for Answering {
    async fn ready(&mut self) {
        if let Answering::Pending(sent) = self {
            *self = Answering::Ready(sent.await);
        }
    }
}

/// Links the interface, and what of `wasi:http/types` goes with it. The rest of that must have been linked before.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance(HANDLER)?.func_wrap("handle", handle)?;
    let mut types = linker.instance(TYPES)?;
    types.resource("future-incoming-response", ResourceType::host::<Answering>(), |mut store, place| {
        store.data_mut().table.delete(Resource::<Answering>::new_own(place))?;
        Ok(())
    })?;
    types.func_wrap("[method]future-incoming-response.subscribe", ready)?;
    types.func_wrap("[method]future-incoming-response.get", get)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn ready(
    mut store: StoreContextMut<'_, State>,
    (answering,): (Resource<Answering>,),
) -> wasmtime::Result<(Resource<DynPollable>,)> {
    Ok((subscribe(&mut store.data_mut().table, answering)?,))
}

fn get(mut store: StoreContextMut<'_, State>, (answering,): (Resource<Answering>,)) -> wasmtime::Result<(Answered,)> {
    let state = store.data_mut();
    let answering = state.table.get_mut(&answering)?;
    if let Answering::Pending(_) = answering {
        return Ok((None,));
    }
    let response = match std::mem::replace(answering, Answering::Taken) {
        Answering::Ready(Ok(response)) => response,
        Answering::Ready(Err(error)) => return Ok((Some(Ok(Err(code_of(state, error)?))),)),
        Answering::Taken | Answering::Pending(_) => return Ok((Some(Err(())),)),
    };
    let (head, body) = response.into_parts();
    let status = head.status.as_u16();
    let headers = FieldMap::new_immutable(&mut state.hooks, head.headers);
    let body = Some(HostIncomingBody::new(body));
    let answer = state.table.push(HostIncomingResponse { status, headers, body })?;
    Ok((Some(Ok(Ok(answer))),))
}

/// The error as wasi:http has it: wasmtime knows how, and tells it of an answer of its own.
fn code_of(state: &mut State, error: Error) -> wasmtime::Result<ErrorCode> {
    let mut http = state.http();
    let failed = http.table.push(HostFutureIncomingResponse::Ready(Err(error)))?;
    let told = http.get(Resource::new_borrow(failed.rep()));
    http.table.delete(failed)?;
    match told? {
        Some(Ok(Err(code))) => Ok(code),
        _ => Ok(ErrorCode::InternalError(None)),
    }
}

fn handle(mut store: StoreContextMut<'_, State>, (request, options): Arguments) -> wasmtime::Result<(Handled,)> {
    let state = store.data_mut();
    let options = options.map(|options| state.table.delete(options)).transpose()?;
    let request = state.table.delete(request)?;
    let length = match length_of(&request) {
        Ok(length) => length,
        Err(code) => return Ok((Err(code),)),
    };
    let request = match request_of(request, &mut state.hooks) {
        Ok(request) => request,
        Err(code) => return Ok((Err(code),)),
    };
    // What is wrong is said with the error that the plugin makes of the code.
    if let Err(words) = state.hooks.check(&request).and_then(|()| framed(&request, length)) {
        state.hooks.refuse(words);
        return Ok((Err(ErrorCode::HttpRequestDenied),));
    }
    let sending = Pin::from(state.hooks.send_request(request, options, Box::new(async { Ok(()) })));
    let rate = state.hooks.rate();
    let sent = async move {
        let Some(rate) = rate else { return sending.await.map(|(response, _)| response) };
        deadline::sleep(rate.delay()).await;
        let (response, _) = sending.await?;
        rate.responded(response.status().as_u16());
        Ok(response)
    };
    let pending: Pin<Box<dyn Future<Output = Sent> + Send>> = if length.is_some_and(|length| length <= UNDRIVEN) {
        Box::pin(sent)
    } else {
        Box::pin(wasmtime_wasi::runtime::spawn(sent))
    };
    Ok((Ok(state.table.push(Answering::Pending(pending))?),))
}

/// A body is for methods that have one, and says how long it is.
fn framed(request: &Request<WasiBody>, length: Option<u64>) -> Result<(), String> {
    match length {
        Some(0) => Ok(()),
        _ if !has_body(request.method()) => Err(format!("the plugin sent a body with a {} request", request.method())),
        Some(_) => Ok(()),
        None => Err("the plugin sent a body without its content-length".to_owned()),
    }
}

/// How long its body is; none where that is not told. A request without a body can announce none.
fn length_of(request: &HostOutgoingRequest) -> Result<Option<u64>, ErrorCode> {
    let mut lengths = request.headers.get_all(http::header::CONTENT_LENGTH).iter();
    let length = match lengths.next().map(|length| length.to_str().ok().and_then(|length| length.parse().ok())) {
        None => {
            if request.body.is_none() {
                Some(0)
            } else {
                None
            }
        }
        Some(Some(length)) if lengths.next().is_none() => Some(length),
        Some(_) => return Err(ErrorCode::InternalError(Some("the content-length is no number".to_owned()))),
    };
    match length {
        Some(1..) if request.body.is_none() => Err(ErrorCode::HttpRequestBodySize(Some(0))),
        length => Ok(length),
    }
}

/// The request as hyper has it.
fn request_of(request: HostOutgoingRequest, hooks: &mut impl WasiHttpHooks) -> Result<Request<WasiBody>, ErrorCode> {
    let HostOutgoingRequest { method, scheme, authority, path_with_query, headers, body } = request;
    let scheme = match scheme {
        Some(Scheme::Http) => http::uri::Scheme::HTTP,
        Some(Scheme::Https) => http::uri::Scheme::HTTPS,
        Some(Scheme::Other(_)) => return Err(ErrorCode::HttpProtocolError),
        None => hooks.default_scheme().ok_or(ErrorCode::HttpProtocolError)?,
    };
    let mut parts = http::uri::Parts::default();
    let authority = authority.unwrap_or_default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority.try_into().map_err(|_| ErrorCode::HttpRequestUriInvalid)?);
    let path = path_with_query.map_or_else(|| Ok(http::uri::PathAndQuery::from_static("/")), TryInto::try_into);
    parts.path_and_query = Some(path.map_err(|_| ErrorCode::HttpRequestUriInvalid)?);
    let uri = http::Uri::from_parts(parts).map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let body = body.unwrap_or_else(|| Empty::new().map_err(|never| match never {}).boxed_unsync());
    let mut made = Request::new(body);
    *made.method_mut() = method_of(method)?;
    *made.uri_mut() = uri;
    *made.headers_mut() = HeaderMap::from(headers);
    Ok(made)
}

fn method_of(method: Method) -> Result<http::Method, ErrorCode> {
    Ok(match method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
        Method::Connect => http::Method::CONNECT,
        Method::Options => http::Method::OPTIONS,
        Method::Trace => http::Method::TRACE,
        Method::Patch => http::Method::PATCH,
        Method::Other(name) => {
            http::Method::from_bytes(name.as_bytes()).map_err(|_| ErrorCode::HttpRequestMethodInvalid)?
        }
    })
}
