//! Why a request came to nothing: once for the plugin, as wasi:http has it, and once in words for people.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::CertificateError as Fault;
use wasmtime_wasi_http::Error;

use super::addresses::Refusal;
use super::connections::{Excess, SendError};
use super::resolver::LookupError;
use super::tls;
use super::tunnel::TunnelError;
use crate::text::sanitized;

/// Bytes of the host's own words on a request: they may quote a certificate or what a plugin asked for.
pub(crate) const MAX_WORDS: usize = 1 << 10;

/// A request that failed.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) error: Error,
    pub(crate) words: String,
}

/// What the host has to say on the request that failed last.
#[derive(Clone, Default)]
pub(super) struct Words(Arc<Mutex<Option<String>>>);

impl Words {
    pub(super) fn say(&self, words: String) {
        let words = sanitized(words, MAX_WORDS);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Why no connection came about.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the address {address} of {host} is {}, which {}", .refusal.kind(), advice(*.refusal))]
    Prohibited { host: String, address: std::net::IpAddr, refusal: Refusal },
    #[error("the name {host} could not be resolved: {error}")]
    Name { host: String, error: LookupError },
    #[error("connecting to {address}: {told}")]
    Refused { address: std::net::SocketAddr, told: String },
    #[error("connecting to {address}: {told}")]
    Unreachable { address: std::net::SocketAddr, told: String },
    #[error(
        "no connection to {host} within {limit:?}, which is all that {} allows",
        crate::limits::named("connect-timeout")
    )]
    Timeout { host: String, limit: std::time::Duration },
    #[error("the certificate of {host} is not trusted: {told}; {advice}")]
    Certificate { host: String, told: String, advice: &'static str },
    #[error("TLS with {host} failed: {told}")]
    Tls { host: String, told: String },
    #[error(
        "{host} is a name of the local network, which this store may not reach through a proxy: `allow-private` in the \
         operator's configuration file allows it, or the program that opens the store, by `StoreOptions::allow_private`; or \
         `NO_PROXY` can except it from the proxy"
    )]
    LocalName { host: String },
    #[error("the proxy {proxy} opened no tunnel to {target}: {error}")]
    Proxy { proxy: String, target: String, error: TunnelError },
    #[error("the proxy {proxy} cannot be used: {error}{}", proxy_advice(error))]
    ToProxy { proxy: String, error: Arc<ConnectError> },
}

/// What can be done about an address that may not be reached.
fn advice(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Never(_) => "no store may reach; `endpoint` must be another address",
        Refusal::NotPublic(_) => {
            "this store may not reach: it is not public. `allow-private` in the operator's configuration file allows it, \
             or the program that opens the store, by `StoreOptions::allow_private` or `EngineBuilder::allow_networks`"
        }
    }
}

/// What else can be done about the address of a proxy that may not be reached.
fn proxy_advice(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::Prohibited { refusal: Refusal::NotPublic(_), .. } => {
            ", and for the proxy alone `Proxy::allow_private` does"
        }
        _ => "",
    }
}

impl ConnectError {
    fn as_wasi(&self) -> Error {
        match self {
            ConnectError::Prohibited { .. } => Error::DestinationIpProhibited,
            ConnectError::Name { .. } => Error::DnsError { rcode: None, info_code: None },
            ConnectError::Refused { .. } => Error::ConnectionRefused,
            ConnectError::Unreachable { .. } => Error::DestinationUnavailable,
            ConnectError::Timeout { .. } => Error::ConnectionTimeout,
            ConnectError::Certificate { .. } => Error::TlsCertificateError,
            ConnectError::Tls { .. } => Error::TlsProtocolError,
            ConnectError::LocalName { .. } => Error::DestinationIpProhibited,
            ConnectError::ToProxy { error, .. } => error.as_wasi(),
            ConnectError::Proxy { error, .. } => match error {
                // Another attempt would come to the same.
                TunnelError::Unauthorized | TunnelError::Refused { status: ..=499, .. } => Error::HttpRequestDenied,
                TunnelError::Refused { .. } => Error::DestinationUnavailable,
                TunnelError::NoHttp | TunnelError::TooLong | TunnelError::Early => Error::HttpProtocolError,
                TunnelError::Closed | TunnelError::Io(_) => Error::DestinationUnavailable,
            },
        }
    }

    /// What TLS stumbled over.
    pub(super) fn of_tls(host: &str, error: &io::Error) -> ConnectError {
        let host = host.to_owned();
        let told = error.to_string();
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(fault)) => {
                let advice = match fault {
                    Fault::UnknownIssuer => {
                        "`ca-file` can name the authority that signed it, or hold the certificate itself if it is self-signed"
                    }
                    Fault::BadSignature => {
                        "an authority of this name is trusted, but it has another key: is the certificate in `ca-file` an old one?"
                    }
                    fault if tls::is_authority(fault) => {
                        "it is marked as an authority's own: `ca-file` can hold this very certificate, or that of an \
                         authority which signs one for the service"
                    }
                    fault if tls::is_outdated(fault) => {
                        "a certificate of X.509 version 3 is needed, as from `openssl req -x509 -newkey rsa:2048 -nodes \
                         -subj /CN=HOST -addext subjectAltName=DNS:HOST`"
                    }
                    Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
                        "`endpoint` must be a name that is in it, in its subjectAltName: `-addext subjectAltName=DNS:HOST` \
                         or `IP:ADDRESS` of `openssl req` puts one there"
                    }
                    Fault::Expired | Fault::ExpiredContext { .. } => "the service needs a new one",
                    Fault::NotValidYet | Fault::NotValidYetContext { .. } => "is this machine's clock right?",
                    _ => "on a test bench, `allow-invalid-certs` takes any",
                };
                ConnectError::Certificate { host, told, advice }
            }
            _ => ConnectError::Tls { host, told },
        }
    }
}

impl Trouble {
    /// With its words fit for an error and a log.
    pub(crate) fn sanitized(self) -> Trouble {
        Trouble { words: sanitized(self.words, MAX_WORDS), ..self }
    }

    /// Whether what was waited for did not come.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self.error, Error::ConnectionReadTimeout)
    }

    /// A request that is not allowed out.
    pub(super) fn denied(words: String) -> Trouble {
        Trouble { error: Error::HttpRequestDenied, words }
    }

    pub(super) fn of_client(error: SendError<ConnectError>) -> Trouble {
        match error {
            SendError::MissingAuthority => Trouble::denied("the request names no host".to_owned()),
            SendError::Connect(error) => Trouble { error: error.as_wasi(), words: error.to_string() },
            SendError::Http(error) => match cause::<Excess>(&error) {
                Some(Excess { limit }) => Trouble {
                    error: Error::HttpResponseHeaderSectionSize(None),
                    words: format!(
                        "more than {limit} bytes of informational responses and header came before the response"
                    ),
                },
                None => Trouble { error: of_hyper(&error), words: chain(&error) },
            },
        }
    }

    /// A body that broke off.
    pub(super) fn of_body(error: &hyper::Error) -> Trouble {
        match cause::<Excess>(error) {
            Some(Excess { limit }) => Trouble {
                error: Error::HttpProtocolError,
                words: format!(
                    "more than {limit} bytes of chunk sizes and extensions came between two pieces of the body"
                ),
            },
            None => Trouble { error: of_hyper(error), words: chain(error) },
        }
    }
}

/// What hyper's error means to a plugin.
pub(super) fn of_hyper(error: &hyper::Error) -> Error {
    if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_parse() || error.is_parse_status() {
        Error::HttpProtocolError
    } else if error.is_incomplete_message() {
        Error::HttpResponseIncomplete
    } else {
        // What is wrong with how a body is framed comes as an error of reading it.
        match cause::<io::Error>(error).map(io::Error::kind) {
            Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => Error::HttpProtocolError,
            Some(io::ErrorKind::UnexpectedEof) => Error::HttpResponseIncomplete,
            _ => Error::ConnectionTerminated,
        }
    }
}

/// The first error of this type among the causes of an error, those included that I/O errors wrap.
fn cause<E: std::error::Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let found = error.downcast_ref().or_else(|| wrapped.and_then(|wrapped| wrapped.downcast_ref()));
        if found.is_some() {
            return found;
        }
        source = error.source();
    }
    None
}

/// An error and its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words.push_str(": ");
            words.push_str(&cause_words);
        }
        source = cause.source();
    }
    words
}
