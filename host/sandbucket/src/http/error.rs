//! Errors of a request: a kind for programs, details for people, and the cause.

use std::error::Error as StdError;
use std::{fmt, io};

use rustls::CertificateError as Fault;

use super::ip_policy::Refusal;
use super::pool::{Excess, SendError};
use super::resolver::LookupError;
use super::tls;
use super::tunnel::TunnelError;
use crate::text::sanitized;

/// Maximum length of an error's details in bytes: they may quote a certificate or what a plugin asked for.
const MAX_DETAIL: usize = 1 << 10;

/// The kinds of [`HttpError`]: those of the contract's `transport-error`, which are a subset of wasi:http's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HttpErrorKind {
    DnsError,
    DestinationUnavailable,
    DestinationIpProhibited,
    ConnectionRefused,
    ConnectionTerminated,
    ConnectionTimeout,
    ConnectionReadTimeout,
    ConnectionWriteTimeout,
    TlsProtocolError,
    TlsCertificateError,
    HttpRequestDenied,
    HttpResponseIncomplete,
    HttpResponseHeaderSectionSize,
    HttpResponseTimeout,
    HttpProtocolError,
}

impl fmt::Display for HttpErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HttpErrorKind::DnsError => "the host name was not resolved",
            HttpErrorKind::DestinationUnavailable => "the address is unreachable",
            HttpErrorKind::DestinationIpProhibited => "the egress policy forbids the address",
            HttpErrorKind::ConnectionRefused => "the connection was refused",
            HttpErrorKind::ConnectionTerminated => "the connection broke",
            HttpErrorKind::ConnectionTimeout => "the connection was not established in time",
            HttpErrorKind::ConnectionReadTimeout => "the response stopped arriving",
            HttpErrorKind::ConnectionWriteTimeout => "the request was no longer read by the service",
            HttpErrorKind::TlsProtocolError => "the TLS handshake failed",
            HttpErrorKind::TlsCertificateError => "the certificate is not trusted",
            HttpErrorKind::HttpRequestDenied => "the request is not allowed",
            HttpErrorKind::HttpResponseIncomplete => "the connection broke in the middle of the response",
            HttpErrorKind::HttpResponseHeaderSectionSize => "the response's header is too large",
            HttpErrorKind::HttpResponseTimeout => "no response arrived in time",
            HttpErrorKind::HttpProtocolError => "the response is not HTTP",
        })
    }
}

/// A request without a response, or a response that broke off.
///
/// [`detail`](HttpError::detail) is the line for people. `Display` leaves out the causes, which [`source`](StdError::source) has.
#[derive(Debug)]
pub(crate) struct HttpError {
    kind: HttpErrorKind,
    /// What failed, where the cause does not say so.
    message: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// The proxy that the request went through, where nothing else names it.
    proxy: Option<String>,
}

impl HttpError {
    pub(crate) fn new(kind: HttpErrorKind, message: impl Into<String>) -> HttpError {
        HttpError { kind, message: Some(message.into()), source: None, proxy: None }
    }

    /// A request that is not allowed out.
    pub(crate) fn denied(message: impl Into<String>) -> HttpError {
        HttpError::new(HttpErrorKind::HttpRequestDenied, message)
    }

    fn caused_by(kind: HttpErrorKind, source: impl StdError + Send + Sync + 'static) -> HttpError {
        HttpError { kind, message: None, source: Some(Box::new(source)), proxy: None }
    }

    fn with_source(self, source: impl StdError + Send + Sync + 'static) -> HttpError {
        HttpError { source: Some(Box::new(source)), ..self }
    }

    pub(crate) fn kind(&self) -> HttpErrorKind {
        self.kind
    }

    /// Whether the response stopped arriving.
    pub(crate) fn is_timeout(&self) -> bool {
        self.kind == HttpErrorKind::ConnectionReadTimeout
    }

    /// What failed and why, on one line of up to 1 KiB that is fit for an error message and a log.
    pub(crate) fn detail(&self) -> String {
        sanitized(self.line(), MAX_DETAIL)
    }

    fn line(&self) -> String {
        let mut line = match (&self.message, &self.source) {
            (Some(message), _) => message.clone(),
            (None, Some(source)) => chain(&**source),
            (None, None) => self.kind.to_string(),
        };
        if let Some(proxy) = &self.proxy {
            line.push_str(&format!(", through the proxy {proxy}"));
        }
        line
    }

    /// Names the proxy that the request went through.
    pub(super) fn through(mut self, proxy: &impl fmt::Display) -> HttpError {
        if !self.line().contains("the proxy ") {
            self.proxy = Some(proxy.to_string());
        }
        self
    }

    pub(super) fn of_client(error: SendError<ConnectError>) -> HttpError {
        match error {
            SendError::MissingAuthority => HttpError::denied("the request names no host"),
            SendError::Connect(error) => HttpError::caused_by(error.kind(), error),
            SendError::Http(error) => match cause::<Excess>(&error) {
                Some(Excess { limit }) => HttpError::new(
                    HttpErrorKind::HttpResponseHeaderSectionSize,
                    format!("more than {limit} bytes of informational responses and header came before the response"),
                )
                .with_source(error),
                None => HttpError::caused_by(kind_of(&error), error),
            },
        }
    }

    /// The error of a body that broke off.
    pub(super) fn of_body(error: hyper::Error) -> HttpError {
        match cause::<Excess>(&error) {
            Some(Excess { limit }) => HttpError::new(
                HttpErrorKind::HttpProtocolError,
                format!("more than {limit} bytes of chunk sizes and extensions came between two pieces of the body"),
            )
            .with_source(error),
            None => HttpError::caused_by(kind_of(&error), error),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => f.write_str(message),
            None => self.kind.fmt(f),
        }
    }
}

impl StdError for HttpError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// A connection that was not established.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the address {address} of {host} is {}, which {}", .refusal.kind(), advice(*.refusal))]
    Prohibited { host: String, address: std::net::IpAddr, refusal: Refusal },
    #[error("the name {host} could not be resolved")]
    Name { host: String, source: LookupError },
    #[error("connecting to {address}")]
    Refused { address: std::net::SocketAddr, source: io::Error },
    #[error("connecting to {address}")]
    Unreachable { address: std::net::SocketAddr, source: io::Error },
    #[error(
        "no connection to {host} within {limit:?}, which is all that {} allows",
        crate::limits::named("connect-timeout")
    )]
    Timeout { host: String, limit: std::time::Duration },
    #[error("the certificate of {host} is not trusted: {source}; {advice}")]
    Certificate { host: String, source: io::Error, advice: &'static str },
    #[error("TLS with {host} failed")]
    Tls { host: String, source: Box<dyn StdError + Send + Sync> },
    #[error(
        "{host} is a name of the local network, which this store may not reach through a proxy: `allow-private` in the \
         operator's configuration file allows it, or the program that opens the store, by `StoreOptions::allow_private`; or \
         `NO_PROXY` can except it from the proxy"
    )]
    LocalName { host: String },
    #[error("the proxy {proxy} opened no tunnel to {target}")]
    Proxy { proxy: String, target: String, source: TunnelError },
    #[error("the proxy {proxy} cannot be used: {source}{}", proxy_advice(source))]
    ToProxy { proxy: String, source: Box<ConnectError> },
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
    fn kind(&self) -> HttpErrorKind {
        match self {
            ConnectError::Prohibited { .. } => HttpErrorKind::DestinationIpProhibited,
            ConnectError::Name { .. } => HttpErrorKind::DnsError,
            ConnectError::Refused { .. } => HttpErrorKind::ConnectionRefused,
            ConnectError::Unreachable { .. } => HttpErrorKind::DestinationUnavailable,
            ConnectError::Timeout { .. } => HttpErrorKind::ConnectionTimeout,
            ConnectError::Certificate { .. } => HttpErrorKind::TlsCertificateError,
            ConnectError::Tls { .. } => HttpErrorKind::TlsProtocolError,
            ConnectError::LocalName { .. } => HttpErrorKind::DestinationIpProhibited,
            ConnectError::ToProxy { source, .. } => source.kind(),
            ConnectError::Proxy { source, .. } => match source {
                // Another attempt would have the same result.
                TunnelError::Unauthorized | TunnelError::Refused { status: ..=499, .. } => {
                    HttpErrorKind::HttpRequestDenied
                }
                TunnelError::Refused { .. } => HttpErrorKind::DestinationUnavailable,
                TunnelError::NoHttp | TunnelError::TooLong | TunnelError::Early => HttpErrorKind::HttpProtocolError,
                TunnelError::Closed | TunnelError::Io(_) => HttpErrorKind::DestinationUnavailable,
            },
        }
    }

    /// The error of a TLS handshake.
    pub(super) fn of_tls(host: &str, error: io::Error) -> ConnectError {
        let host = host.to_owned();
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
                ConnectError::Certificate { host, source: error, advice }
            }
            _ => ConnectError::Tls { host, source: error.into() },
        }
    }
}

/// The kind of an error of hyper's.
fn kind_of(error: &hyper::Error) -> HttpErrorKind {
    if error.is_parse_too_large() {
        HttpErrorKind::HttpResponseHeaderSectionSize
    } else if error.is_parse() || error.is_parse_status() {
        HttpErrorKind::HttpProtocolError
    } else if error.is_incomplete_message() {
        HttpErrorKind::HttpResponseIncomplete
    } else {
        // What is wrong with how a body is framed comes as an error of reading it.
        match cause::<io::Error>(error).map(io::Error::kind) {
            Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => HttpErrorKind::HttpProtocolError,
            Some(io::ErrorKind::UnexpectedEof) => HttpErrorKind::HttpResponseIncomplete,
            _ => HttpErrorKind::ConnectionTerminated,
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
fn chain(error: &(dyn StdError + 'static)) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> ConnectError {
        let address = "127.0.0.1:9".parse().unwrap();
        ConnectError::Refused { address, source: io::ErrorKind::ConnectionRefused.into() }
    }

    fn found<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
        error.downcast_ref().or_else(|| found(error.source()?))
    }

    #[test]
    fn source_chain_ends_at_the_io_error() {
        let direct = HttpError::of_client(SendError::Connect(refused()));
        assert_eq!(direct.kind(), HttpErrorKind::ConnectionRefused);
        assert_eq!(direct.to_string(), "the connection was refused");
        assert_eq!(direct.detail(), "connecting to 127.0.0.1:9: connection refused");
        let proxied = ConnectError::ToProxy { proxy: "http://p".to_owned(), source: Box::new(refused()) };
        let proxied = HttpError::of_client(SendError::Connect(proxied)).through(&"http://p");
        assert_eq!(proxied.kind(), HttpErrorKind::ConnectionRefused);
        assert_eq!(
            proxied.detail(),
            "the proxy http://p cannot be used: connecting to 127.0.0.1:9: connection refused"
        );
        for error in [&direct, &proxied] {
            let io = found::<io::Error>(error).map(io::Error::kind);
            assert_eq!(io, Some(io::ErrorKind::ConnectionRefused), "{error:?}");
        }
    }

    #[test]
    fn details_name_the_proxy_once_and_are_bounded_and_escaped() {
        let timeout = || HttpError::new(HttpErrorKind::ConnectionTimeout, "no connection within 1s");
        assert_eq!(timeout().through(&"http://p").detail(), "no connection within 1s, through the proxy http://p");
        let denied = HttpError::denied("the proxy http://p requires a password").through(&"http://p");
        assert_eq!(denied.detail(), "the proxy http://p requires a password");
        let long = HttpError::denied(format!("\u{1b}[31m{}", "x".repeat(2 * MAX_DETAIL))).detail();
        assert!(long.len() < MAX_DETAIL + 16 && !long.contains('\u{1b}'), "{long}");
    }

    #[test]
    fn certificate_errors_are_not_repeated_in_details() {
        let fault = rustls::Error::InvalidCertificate(Fault::Expired);
        let error = ConnectError::of_tls("s3.test", io::Error::new(io::ErrorKind::InvalidData, fault));
        let error = HttpError::of_client(SendError::Connect(error));
        assert_eq!(error.kind(), HttpErrorKind::TlsCertificateError);
        assert_eq!(error.detail().matches("peer certificate: Expired").count(), 1, "{}", error.detail());
        assert!(found::<io::Error>(&error).is_some());
    }
}
