//! The contract (`wit/`) as Rust types, and the component's exports.

#[cfg(target_arch = "wasm32")]
pub(crate) mod bindings;
#[cfg(target_arch = "wasm32")]
mod convert;
pub mod error;
#[cfg(target_arch = "wasm32")]
mod exports;
pub mod model;
