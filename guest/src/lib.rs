//! S3 as a plugin.

pub mod allocator;
pub mod answer;
pub mod attributes;
pub mod bounds;
pub mod bucket;
pub mod checksum;
#[cfg(any(target_arch = "wasm32", test))]
mod compare;
pub mod composed;
pub mod content;
pub mod continuation;
pub mod duration;
pub mod encode;
pub mod encoded_words;
pub mod endpoint;
pub mod env;
pub mod error;
pub mod headers;
pub mod key;
pub mod model;
pub mod request;
pub mod response;
pub mod retry;
pub mod service_error;
pub mod settings;
pub mod sigv4;
pub mod store;
pub mod text;
pub mod time;
pub mod xml;

#[cfg(target_arch = "wasm32")]
use talc::{cell::TalcSyncCell, wasm::WasmBinning};

/// talc is quicker, and half as large, than the allocator that comes with the target.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: allocator::BySize<TalcSyncCell<heap::Heap, WasmBinning>> =
    allocator::BySize::new(TalcSyncCell::new_wasm(heap::Heap::new()));

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod heap;
#[cfg(target_arch = "wasm32")]
pub mod plugin;
#[cfg(target_arch = "wasm32")]
pub mod transport;
