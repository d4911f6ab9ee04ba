//! What a plugin implements: [`Service`], and the types that it gives to the state machine.

use std::borrow::Cow;
use std::fmt::Debug;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::attributes::{self, Attribute};
use crate::contract::error::{Failure, Kind, MAX_MESSAGE, ServiceResponse, tidy};
use crate::contract::model::{Algorithm, BlobHead, BlobInfo, ByteRange, Digest, Operation, Output, Span};
use crate::http::request::Request;
use crate::http::response::{Head, MAX_ERROR_BODY, MalformedResponse, resolve_range};
use crate::key::MAX_KEY;
use crate::machine::{RequestBody, Response, ResponseBody, Step};
use crate::retry::{self, DEFAULT_RETRIES, Decision};
use crate::settings::{DEFAULT_TIMEOUT, Setting, SettingValues};

/// The longest document that is read of a response, in bytes. A page of 1,000 keys of 1,024 characters, all of them escaped, is a
/// quarter of it.
pub const MAX_DOCUMENT: usize = 16 * 1024 * 1024;

/// A storage service: what a plugin implements.
///
/// An instance is one open store. The machine calls it to make the request of each stage and to interpret its response; the machine
/// itself retries failed attempts and writes their messages. A small plugin implements [`open`](Service::open),
/// [`request`](Service::request) and [`response`](Service::response).
///
/// # Stages
/// Every operation begins with its own request, whose stage is the default of [`Service::Stage`]. Where one request is not enough,
/// [`Service::next`] goes to another stage. Between two requests only the stage, the notes and the operation are kept, and another
/// instance may continue: a stage contains what its request and the interpretation of its response need.
pub trait Service: Sized + 'static {
    /// The request that an operation is at. The default is the operation's own. `()` if there is no other.
    type Stage: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned;

    /// What an operation learned about the service, for other instances that continue it. `()` if nothing.
    type Notes: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned;

    /// An interpreted response: [`Output`], or an enum of it and the results of other stages.
    type Reply: TryInto<Output>;

    /// Value of the header `user-agent`: name and version of the plugin.
    const USER_AGENT: &'static str;

    /// All settings, in display order.
    const SETTINGS: &'static [Setting];

    /// All attributes of calls, in display order. Default: none.
    fn attributes() -> Vec<Attribute> {
        Vec::new()
    }

    /// Opens a store. Sends nothing.
    ///
    /// # Errors
    /// A fault of a setting. The message never contains a secret.
    fn open(settings: &SettingValues<'_>) -> Result<(Self, Config), Failure>;

    /// The digests that bodies of writes are sent with: the host computes them. Default: none.
    fn wanted_digests(&self) -> impl Iterator<Item = Algorithm> {
        std::iter::empty()
    }

    /// Where an operation begins. Default: with its own request, if its attributes are known.
    ///
    /// Override it for operations that send nothing (`presign` ends here: [`Flow::Done`]), or that begin with another stage.
    fn begin(&mut self, step: &mut Step<'_, Self>) -> Flow<Self::Stage> {
        let call = step.operation().call();
        if call.attributes.is_empty() {
            return Flow::own();
        }
        match step.checked(attributes::check(&Self::attributes(), call)) {
            Ok(()) => Flow::own(),
            Err(fault) => Flow::Failed(fault),
        }
    }

    /// The request of the present stage, complete and signed. It is called for each attempt.
    ///
    /// # Errors
    /// A fault of an argument, or [`Step::unsupported`]. The machine adds what was attempted to its message.
    fn request(&mut self, step: &mut Step<'_, Self>) -> Result<Outgoing, Failure>;

    /// Interprets a response to the present stage's request, with a status of 200 to 299.
    ///
    /// # Errors
    /// If it is malformed, or a failure in spite of its status.
    fn response(&mut self, step: &mut Step<'_, Self>, response: &Response<'_>) -> Result<Self::Reply, AttemptError>;

    /// Interprets any other response. `body` is at most [`MAX_ERROR_BODY`] bytes long, and untrusted. Default:
    /// [`ErrorResponse::by_status`].
    fn error_response(&self, step: &Step<'_, Self>, head: &Head<'_>, body: &[u8]) -> ErrorResponse {
        let _ = body;
        ErrorResponse::by_status(head, step.time())
    }

    /// Where the operation goes after a stage, by its interpreted response or the failure of its last attempt. The present
    /// stage is the default again. Default: [`Step::end`], the operation ends with it.
    fn next(
        &mut self,
        step: &mut Step<'_, Self>,
        stage: Self::Stage,
        result: Result<Self::Reply, Failure>,
    ) -> Flow<Self::Stage> {
        let _ = stage;
        step.end(result)
    }

    /// How long a stage's request waits for the service. Default: [`Wait::Default`].
    fn wait(operation: &Operation, stage: &Self::Stage) -> Wait {
        let _ = (operation, stage);
        Wait::Default
    }

    /// Verb and subject of messages about a stage. Default: those of the operation.
    fn subject<'o>(operation: &'o Operation, stage: &'o Self::Stage) -> (&'static str, &'o str) {
        let _ = stage;
        (operation.verb(), operation.subject())
    }

    /// Takes over what an operation learned in another instance. It comes from the driver: check bounds. Default: does nothing.
    fn learn(&mut self, notes: &Self::Notes) {
        let _ = notes;
    }
}

/// What the machine needs of a store: [`Config::new`] has the defaults, to change by field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Address of the service for messages, without credentials: `https://example.org`.
    pub endpoint: String,
    /// Whether requests are sent over TLS: an attacker cannot forge the service's time, and the clock is corrected further.
    pub https: bool,
    /// Container of the blobs for messages: `bucket "photos"`. Default: none.
    pub container: String,
    /// Prefix of every key. Default: none.
    pub key_prefix: String,
    /// Maximum length of a key in bytes of UTF-8, including the prefix. Default: 1,024.
    pub max_key: usize,
    /// Maximum time without progress, per attempt: the setting `timeout`. Default: 30 s.
    pub timeout: Duration,
    /// Maximum time until the response of requests that take long ([`Wait::Long`]): its setting, for messages, and value. Without
    /// effect if it is below `timeout`. Default: `timeout`.
    pub long_timeout: Option<(&'static str, Duration)>,
    /// Maximum number of retries. Default: 8.
    pub max_retries: u32,
}

impl Config {
    /// The defaults, for a service at this address.
    pub fn new(endpoint: impl Into<String>, https: bool) -> Config {
        Config {
            endpoint: endpoint.into(),
            https,
            container: String::new(),
            key_prefix: String::new(),
            max_key: MAX_KEY,
            timeout: DEFAULT_TIMEOUT,
            long_timeout: None,
            max_retries: DEFAULT_RETRIES,
        }
    }
}

/// How long a request waits for the service to make progress, and whether it is retried after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// [`Config::timeout`]; retried.
    Default,
    /// [`Config::long_timeout`]; retried.
    Long,
    /// [`Config::long_timeout`]. It is not retried, as the service may still be working on it.
    LongOnce,
}

/// Where an operation goes.
#[derive(Debug)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "the output of a read is the common case, and not worth an allocation")]
pub enum Flow<G> {
    /// To this stage, after a pause.
    Send(G, Duration),
    /// To a stage whose retries are not the operation's: they leave no trace in [`Step::maybe_applied`] and in the number of retries.
    Aside(G),
    /// To its end.
    Done(Output),
    /// To its end, with a whole sentence: [`Step::failure`].
    Failed(Failure),
}

impl<G> Flow<G> {
    /// To this stage, at once.
    pub fn to(stage: G) -> Self {
        Flow::Send(stage, Duration::ZERO)
    }
}

impl<G: Default> Flow<G> {
    /// To the operation's own request, at once.
    pub fn own() -> Self {
        Flow::to(G::default())
    }
}

impl<G> From<Result<Output, Failure>> for Flow<G> {
    fn from(result: Result<Output, Failure>) -> Self {
        match result {
            Ok(output) => Flow::Done(output),
            Err(failure) => Flow::Failed(failure),
        }
    }
}

/// A request, complete and signed, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outgoing {
    /// Request. `host`, `content-length` and `user-agent` are added when it is written.
    pub request: Request,
    /// Body of the request.
    pub body: RequestBody,
    /// What to do with the body of a successful response.
    pub response_body: ResponseBody,
}

impl Outgoing {
    /// A request without a body, of whose response at most [`MAX_ERROR_BODY`] bytes are read.
    pub fn new(request: Request) -> Outgoing {
        Outgoing { request, body: RequestBody::None, response_body: ResponseBody::Buffer(MAX_ERROR_BODY as u32) }
    }

    /// With this body.
    pub fn with_body(self, body: RequestBody) -> Outgoing {
        Outgoing { body, ..self }
    }

    /// With a response of up to [`MAX_DOCUMENT`] bytes: read it with [`Step::document`].
    pub fn with_document(self) -> Outgoing {
        Outgoing { response_body: ResponseBody::Buffer(MAX_DOCUMENT as u32), ..self }
    }

    /// With a response whose body is the caller's to read: of a get.
    pub fn with_stream(self) -> Outgoing {
        Outgoing { response_body: ResponseBody::Caller, ..self }
    }
}

/// The properties of a blob whose body is read, for [`Output::Get`]: `body_range` is the range that the response's body contains
/// ([`body_range`](crate::http::response::body_range)), `digest` that of the response's body, if the service says it.
///
/// # Errors
/// [`Kind::InvalidRange`] if the requested range contains no byte of the blob.
pub fn blob_head(
    info: BlobInfo,
    body_range: Span,
    requested: ByteRange,
    digest: Option<Digest>,
) -> Result<BlobHead, AttemptError> {
    match resolve_range(requested, info.size) {
        Some(range) => Ok(BlobHead { info, range, body_range, digest }),
        None => {
            let what = format!("no byte of its {} bytes is in the range", info.size);
            Err(AttemptError::Stop(Kind::InvalidRange, what))
        }
    }
}

/// Why an attempt with a response failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttemptError {
    /// The response is malformed: a clause about "it". Retried, as the cause may pass.
    Malformed(String),
    /// The response is an error, of whatever status.
    ErrorResponse(Box<ErrorResponse>),
    /// A failure that is not retried: kind, and what happened.
    Stop(Kind, String),
}

impl From<MalformedResponse> for AttemptError {
    fn from(malformed: MalformedResponse) -> Self {
        AttemptError::Malformed(malformed.0)
    }
}

impl From<ErrorResponse> for AttemptError {
    fn from(response: ErrorResponse) -> Self {
        AttemptError::ErrorResponse(Box::new(response))
    }
}

/// An error response of the service, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorResponse {
    /// Status, code, message and request id, truncated and without control characters ([`tidy`]).
    pub response: ServiceResponse,
    /// Error kind, setting or argument at fault, and advice.
    pub classification: Classification,
    /// Whether the request is retried.
    pub decision: Decision,
}

impl ErrorResponse {
    /// A response with its meaning, for services with error codes. The texts in `response` are made safe to display by [`tidy`].
    pub fn new(response: ServiceResponse, classification: Classification, decision: Decision) -> ErrorResponse {
        ErrorResponse { response, classification, decision }
    }

    /// By the status alone, for services without error codes. `now` is the service's time in seconds since 1970.
    pub fn by_status(head: &Head<'_>, now: u64) -> ErrorResponse {
        let (kind, advice) = Classification::by_status(head.status);
        ErrorResponse {
            response: ServiceResponse { status: head.status, ..ServiceResponse::default() },
            classification: Classification::new(kind, advice),
            decision: retry::by_status(head, now),
        }
    }

    /// With this message of the service, which is made safe to display, and truncated to [`MAX_MESSAGE`] bytes.
    pub fn with_message(mut self, message: &str) -> ErrorResponse {
        self.response.message = Some(tidy(message, MAX_MESSAGE)).filter(|message| !message.is_empty());
        self
    }
}

/// The contract's error for an error response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Classification {
    /// Error kind.
    pub kind: Kind,
    /// Setting or argument at fault.
    pub subject: Option<&'static str>,
    /// Cause or advice for people. May be empty.
    pub advice: Cow<'static, str>,
}

impl Classification {
    /// An error of this kind, without a subject. `advice` is the cause or advice for people, or empty.
    pub fn new(kind: Kind, advice: impl Into<Cow<'static, str>>) -> Classification {
        Classification { kind, subject: None, advice: advice.into() }
    }

    /// With the setting or argument at fault.
    pub fn with_subject(self, subject: impl Into<Option<&'static str>>) -> Classification {
        Classification { subject: subject.into(), ..self }
    }

    /// Kind and advice by the status alone.
    pub const fn by_status(status: u16) -> (Kind, &'static str) {
        match status {
            304 => (Kind::NotModified, "the blob is still the one that the condition names"),
            300..=399 => (Kind::InvalidSettings, "it redirects, and redirects are not followed: check the endpoint"),
            401 | 403 => (Kind::AccessDenied, "check the credentials and what they permit"),
            404 => (Kind::NotFound, "there is no such blob"),
            405 | 501 => (Kind::Unsupported, "it does not know this operation"),
            407 => (Kind::Network, "a proxy in between wants credentials"),
            408 => (Kind::Timeout, ""),
            409 => (Kind::Conflict, ""),
            411 => (Kind::Unsupported, "it wants the length in another way, or a proxy in between took it out"),
            412 => (Kind::PreconditionFailed, "the precondition does not hold for what is there"),
            413 => (Kind::TooLarge, "the body is larger than it takes"),
            416 => (Kind::InvalidRange, "no byte of the blob is in the range"),
            429 => (Kind::Throttled, "it asks for fewer requests"),
            200..=299 => (Kind::Integrity, "it is no response to this request"),
            _ => (Kind::Service, ""),
        }
    }
}
