//! SDK for plugins of Sandbucket: everything a plugin needs that is not specific to its storage service.
//!
//! A plugin is a WebAssembly component that turns operations on blobs (get, put, list …) into HTTP requests of one service, and
//! responses into results. It implements [`Service`]; the SDK does the rest:
//!
//! | Module | Contents |
//! |---|---|
//! | [`service`] | The trait [`Service`], and the types that it returns to the machine: [`Config`], [`Outgoing`], [`Flow`], [`ErrorResponse`]. |
//! | [`machine`] | The state machine: retries, backoff, time limits, clock correction, failure messages, state as bytes. |
//! | [`retry`], [`reconcile`] | Retry policy; classification of a write whose response was lost. |
//! | [`settings`], [`attributes`] | Tables that document settings and attributes, and parsers of values. |
//! | [`http`] | Requests, responses, conditions, ranges, dates, percent-encoding, endpoints, encoded words. |
//! | [`metadata`], [`tags`], [`presign`], [`multipart`], [`listing`] | What services have in common: user metadata as header fields, tags, presigned requests, checks of arguments. |
//! | [`xml`], [`checksum`], [`content`], [`key`] | Documents; digests; bodies of writes; keys. |
//! | [`contract`] | The contract's operations, results and errors as Rust types. |
//! | [`io`] | The driver over wasi:http, for hosts without one of their own. |
//! | [`rt`] | Allocator, text builder, hex: measured to be faster in WebAssembly. |
//! | `testing` | With the feature of that name: a scripted service and a simulated clock. |
//!
//! # A plugin, step by step
//!
//! The plugin below reads files of a web server. `guest/webdav` is a larger one, which `docs/plugins.md` walks through.
//!
//! 1. The crate is a `cdylib`, and an `rlib` for its tests. It depends on this crate, by `path` or `git`, and on `serde` if it has
//!    stages.
//! 2. A type holds what is specific to an open store. [`Service::open`] makes it of the settings, which [`Service::SETTINGS`]
//!    documents.
//! 3. [`Service::request`] makes the request of an operation, and [`Service::response`] interprets a successful response. Everything
//!    else has a default: error responses are classified and retried by their status, and operations without a request are
//!    [`Step::unsupported`].
//! 4. [`export!`] makes it a component. `docs/plugins.md` has the commands that build, load and test it.
//!
//! ```
//! use sandbucket_plugin::http::encode::key_path;
//! use sandbucket_plugin::http::response::{body_range, properties};
//! use sandbucket_plugin::http::url::{CredentialSettings, Url};
//! use sandbucket_plugin::service::blob_head;
//! use sandbucket_plugin::{
//!     AttemptError, Config, Failure, Method, Operation, Outgoing, Output, Request, Response, Service, Setting, SettingKind,
//!     SettingValues, Step,
//! };
//!
//! struct Files(Url);
//!
//! impl Service for Files {
//!     type Stage = ();
//!     type Notes = ();
//!     type Reply = Output;
//!
//!     const USER_AGENT: &'static str = "files/1";
//!     const SETTINGS: &'static [Setting] = &[Setting::new("endpoint", SettingKind::Url, None, "The server.").required()];
//!
//!     fn open(settings: &SettingValues<'_>) -> Result<(Files, Config), Failure> {
//!         let server = Url::parse(settings.required("endpoint")?, CredentialSettings::NONE)?;
//!         let config = Config::new(server.to_string(), server.https);
//!         Ok((Files(server), config))
//!     }
//!
//!     fn request(&mut self, step: &mut Step<'_, Self>) -> Result<Outgoing, Failure> {
//!         let Operation::Get { options, .. } = step.operation() else { return Err(step.unsupported()) };
//!         let Files(server) = self;
//!         let path = format!("{}/{}", server.prefix, key_path(&step.full_key()?));
//!         let mut request = Request::new(Method::Get, server.https, server.authority(), path);
//!         request.range(options.range)?;
//!         Ok(Outgoing::new(request).with_stream())
//!     }
//!
//!     fn response(&mut self, step: &mut Step<'_, Self>, response: &Response<'_>) -> Result<Output, AttemptError> {
//!         let Operation::Get { options, .. } = step.operation() else { return Ok(Output::Delete(None)) };
//!         let (size, range) = body_range(&response.head, options.range)?;
//!         Ok(Output::Get(blob_head(properties(&response.head, size)?, range, options.range, None)?))
//!     }
//! }
//!
//! sandbucket_plugin::export!(Files);
//!
//! // In a test, without WebAssembly: the first step of a get is its request.
//! use sandbucket_plugin::machine::{Next, Store};
//! use sandbucket_plugin::model::GetOptions;
//!
//! let settings = [("endpoint".to_owned(), "http://localhost:8080/files".to_owned())];
//! let mut store = Store::<Files>::open(&settings, 1).unwrap();
//! let get = Operation::Get { key: "a b".to_owned(), options: GetOptions::default() };
//! let Next::Send(exchange) = store.begin(1_700_000_000, get) else { panic!("no request") };
//! assert_eq!(exchange.request.path_and_query(), "/files/a%20b");
//! ```
//!
//! # Operations of several requests
//!
//! [`Service::Stage`] is an enum of the requests that an operation can be at; its default is the operation's own. After each stage
//! [`Service::next`] says where the operation goes: to another stage ([`Flow::to`]), to one whose retries are not the operation's
//! ([`Flow::Aside`]), or to its end. The stage is serialized between two requests, and another instance may continue: it contains
//! all that its request needs. `guest/s3/src/ops` uses this for bulk deletes, lost responses and verification.
//!
//! # Errors
//!
//! Faults of arguments and settings ([`Error::fault`]) name the problem and the valid values, and contain no secret. The machine
//! adds what was attempted: `put "k" in bucket "b" at https://…: …`. A service with error codes overrides [`Service::error_response`].
//!
//! # Untrusted input
//!
//! Responses are an attacker's: [`http::bounds`] limits their texts, [`xml`] their documents, [`Head::check_size`] their headers,
//! and [`contract::error::tidy`] makes text safe to display. State and notes come from the driver, and are checked as well.

pub mod attributes;
pub mod checksum;
pub mod content;
pub mod contract;
pub mod http;
pub mod io;
pub mod key;
pub mod listing;
pub mod machine;
pub mod metadata;
pub mod multipart;
pub mod presign;
pub mod reconcile;
pub mod retry;
pub mod rt;
pub mod settings;
pub mod tags;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod xml;

pub use attributes::Attribute;
pub use contract::error::{Error, Failure, Kind, ServiceResponse};
pub use contract::model::{self, Operation, Output};
pub use http::request::{Method, Request};
pub use http::response::{Head, MalformedResponse};
pub use machine::service::{self, AttemptError, Classification, Config, ErrorResponse, Flow, Outgoing, Service, Wait};
pub use machine::{RequestBody, Response, Step, Store};
pub use retry::Decision;
pub use settings::{Secret, Setting, SettingKind, SettingValues};

/// Makes the crate a component: exports the interfaces of the contract for a [`Service`], and sets the allocator.
///
/// Does nothing on targets other than wasm32, where the crate is tested.
#[macro_export]
macro_rules! export {
    ($service:ty) => {
        #[cfg(target_arch = "wasm32")]
        mod sandbucket_plugin_exports {
            use super::*;

            type Exports = $crate::contract::exports::Plugin<$service>;

            $crate::contract::bindings::export!(Exports with_types_in $crate::contract::bindings);

            #[global_allocator]
            static ALLOCATOR: $crate::rt::Allocator = $crate::rt::allocator();
        }
    };
}
