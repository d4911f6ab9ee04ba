//! Runtime support of the component: code written by hand although a crate or the standard library provides it.
//!
//! Each module names what it replaces, and the measured benefit. Small functions that plugins call for every field of a header, here and
//! in [`crate::http`], are `#[inline]`: across crates they are calls otherwise, 2 % of the instructions of a GET. All `unsafe` code of the plugin is here, in `allocator`, `heap` and
//! `text_builder`, except the code that wit-bindgen generates.

pub mod allocator;
#[cfg(target_arch = "wasm32")]
mod heap;
pub mod hex;
pub mod text_builder;

#[cfg(target_arch = "wasm32")]
use talc::{cell::TalcSyncCell, wasm::WasmBinning};

/// The allocator of a component: talc is faster, and half as large, as the target's default allocator.
#[cfg(target_arch = "wasm32")]
pub type Allocator = allocator::BySize<TalcSyncCell<heap::Heap, WasmBinning>>;

/// The allocator, for a `static`: [`crate::export!`] sets it.
#[cfg(target_arch = "wasm32")]
pub const fn allocator() -> Allocator {
    allocator::BySize::new(TalcSyncCell::new_wasm(heap::Heap::new()))
}
