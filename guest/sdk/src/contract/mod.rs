//! The contract (`wit/`) as Rust types, and the component's exports.

#[cfg(target_arch = "wasm32")]
#[allow(unreachable_pub, reason = "wit-bindgen generates public items")]
#[doc(hidden)]
pub mod bindings;
#[cfg(target_arch = "wasm32")]
mod convert;
pub mod error;
#[cfg(target_arch = "wasm32")]
#[allow(unreachable_pub, reason = "the export macro makes public items")]
#[doc(hidden)]
pub mod exports;
pub mod model;
