//! The operations of S3 on the SDK's state machine: requests and responses of their stages, and where they go next.
//!
//! | File | Contents |
//! |---|---|
//! | `service` | [`S3`], the service that the machine calls: from a stage to its request, and from a response to the next stage. |
//! | `stage` | What an operation remembers between two requests. |
//! | `retry` | Which error responses are retried. |
//! | `call` | What the stages have in common: signing, documents, errors. |
//! | `blob`, `put`, `copy`, `multipart`, `delete_many`, `documents`, `bucket`, `presign` | The requests and responses of each operation. |
//! | `reconcile`, `outcome` | Stages after a lost response, and before a condition that a service may ignore. |
//! | `verify` | The stage after a write, with the setting `verify-after-write`. |

mod blob;
mod bucket;
mod call;
mod copy;
mod delete_many;
mod documents;
mod multipart;
mod outcome;
mod presign;
mod put;
mod reconcile;
pub mod retry;
mod service;
mod stage;
mod verify;

pub use service::{S3, State, Store};
pub use stage::{Notes, Reply, Stage};

#[cfg(test)]
mod tests;
