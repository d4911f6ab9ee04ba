//! The sandbox: plugins as WebAssembly components, their instances, and the limits of each guest call. Nothing else in this crate
//! knows wasmtime.
//!
//! | Module | Contents |
//! |---|---|
//! | `component` | From bytes to a compiled component, linked to the host's functions. |
//! | `compile_cache` | Compiled components on disk. |
//! | `bindings` | The contract's types and functions; results are validated at the border. |
//! | `guest` | A component in its own store, and the bounds of each call of it. |
//! | `instance`, `pool` | Instances with an open store: made, leased, evicted. |
//! | `runtime` | What an engine has once for all of its stores. |
//! | `compute`, `address_space` | Limits across instances: CPU at a time, virtual memory. |
//! | `host_state`, `wasi_http` | What a guest call sees of the host: clocks, memory limits, HTTP. |

pub(crate) mod address_space;
pub(crate) mod bindings;
pub(crate) mod compile_cache;
pub(crate) mod component;
pub(crate) mod compute;
mod guest;
pub(crate) mod host_state;
pub(crate) mod instance;
pub(crate) mod pool;
pub(crate) mod runtime;
mod wasi_http;

pub(crate) use guest::{Bounds, CallGuard, CallOutcome, MAX_BATCH, Sandbox};
pub use pool::PoolStatus;
