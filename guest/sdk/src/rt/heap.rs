//! The source of the allocator's memory: first the rest of the initial linear memory behind the data, then growth on demand.
//!
//! Replaces `talc::wasm::WasmGrowAndExtend`, which ignores the initial memory. That memory is available at once, while each growth
//! is a system call, and so is the reset for the next instance.

use std::alloc::Layout;
use std::arch::wasm32::{memory_grow, memory_size};
use std::ptr::NonNull;

use talc::base::binning::Binning;
use talc::base::{CHUNK_UNIT, Talc};
use talc::source::Source;

const PAGE: usize = 64 << 10;

unsafe extern "C" {
    /// End of the static data, defined by the linker.
    static mut __heap_base: u8;
}

/// The linear memory behind the static data.
#[derive(Debug)]
pub struct Heap {
    /// Whether the initial memory was claimed, or was too small.
    begun: bool,
    /// End of the allocator's memory, if it has any.
    end: Option<NonNull<u8>>,
}

impl Heap {
    /// Creates it without claiming memory.
    pub const fn new() -> Heap {
        Heap { begun: false, end: None }
    }
}

// SAFETY: `acquire` does not allocate.
unsafe impl Source for Heap {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let begin = &raw mut __heap_base;
        if !talc.source.begun {
            talc.source.begun = true;
            // SAFETY: nothing else uses the memory behind the data, and it is claimed once.
            talc.source.end = unsafe { talc.claim(begin, size() - begin.addr()) };
            if talc.source.end.is_some() {
                return Ok(());
            }
        }
        // Includes the metadata of a block and its alignment.
        let wanted = layout.size().saturating_add(layout.align()).saturating_add(4 * CHUNK_UNIT);
        let pages = memory_grow::<0>(wanted.div_ceil(PAGE));
        if pages == usize::MAX {
            return Err(());
        }
        let grown = begin.with_addr(pages * PAGE);
        let end = begin.with_addr(size());
        let claimed = match talc.source.end {
            // SAFETY: the memory in between was just added.
            Some(before) if before.as_ptr() == grown => Some(unsafe { talc.extend(before, end) }),
            // SAFETY: the memory was just added, and is not adjacent to the allocator's.
            _ => unsafe { talc.claim(grown, end.addr() - grown.addr()) },
        };
        talc.source.end = claimed.or(talc.source.end);
        claimed.map(drop).ok_or(())
    }
}

/// Size of the memory in bytes, at most the largest address.
fn size() -> usize {
    memory_size::<0>().saturating_mul(PAGE)
}
