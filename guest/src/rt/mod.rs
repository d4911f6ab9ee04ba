//! Runtime support of the component: what is written by hand although a crate or the standard library does it.
//!
//! Each module states what it replaces and what that saves. `unsafe` code of the plugin is in `allocator` and `heap`, and
//! nowhere else but in the code that wit-bindgen generates.

pub mod allocator;
#[cfg(target_arch = "wasm32")]
mod heap;
pub mod hex;

#[cfg(target_arch = "wasm32")]
use talc::{cell::TalcSyncCell, wasm::WasmBinning};

/// talc is faster, and half as large, as the target's default allocator.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: allocator::BySize<TalcSyncCell<heap::Heap, WasmBinning>> =
    allocator::BySize::new(TalcSyncCell::new_wasm(heap::Heap::new()));
