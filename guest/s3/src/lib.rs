//! S3 as a Sandbucket plugin: the WebAssembly component `sandbucket-s3`.
//!
//! | Folder | Contents |
//! |---|---|
//! | [`contract`] | The contract's data types, the bindings and the component's exports. |
//! | [`ops`] | The operations as sans-I/O state machines: retries, reconciliation and fallbacks. |
//! | [`s3`] | S3 itself: endpoints, requests, SigV4, responses, documents and error codes. |
//! | [`settings`] | The settings: their table, and how they are parsed. |
//! | [`io`] | The driver that sends the requests of [`ops`] over wasi:http, for hosts without a driver of their own. |
//! | [`rt`] | Runtime support: the allocator and other code written by hand for speed or size. |
//!
//! Dependencies point one way: `contract::exports` → `io` → `ops` → { `s3`, `settings` } → `contract::{model, error}`, `rt`. All but
//! the exports, the bindings and `io::wasi` also builds natively, where it is tested.

pub mod contract;
pub mod io;
pub mod ops;
pub mod rt;
pub mod s3;
pub mod settings;
