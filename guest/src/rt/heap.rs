//! Where the allocator's memory comes from: first what the plugin's memory begins with behind its data, and then as much more
//! as is wanted.
//!
//! What a memory begins with is there at once. Growing it is a call into the kernel, and so is making it small again for
//! the next instance.

use std::alloc::Layout;
use std::arch::wasm32::{memory_grow, memory_size};
use std::ptr::NonNull;

use talc::base::binning::Binning;
use talc::base::{CHUNK_UNIT, Talc};
use talc::source::Source;

const PAGE: usize = 64 << 10;

unsafe extern "C" {
    /// Where the linker's data ends.
    static mut __heap_base: u8;
}

/// The whole memory behind the data.
#[derive(Debug)]
pub struct Heap {
    /// Whether what the memory began with was taken, or was too little.
    begun: bool,
    /// Where the allocator's memory ends, once it has some.
    end: Option<NonNull<u8>>,
}

impl Heap {
    /// Nothing of it taken.
    pub const fn new() -> Heap {
        Heap { begun: false, end: None }
    }
}

// SAFETY: it allocates nothing.
unsafe impl Source for Heap {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let begin = &raw mut __heap_base;
        if !talc.source.begun {
            talc.source.begun = true;
            // SAFETY: nothing else uses the memory behind the data, and it is claimed but once.
            talc.source.end = unsafe { talc.claim(begin, size() - begin.addr()) };
            if talc.source.end.is_some() {
                return Ok(());
            }
        }
        // What goes with a block, and room to align it.
        let wanted = layout.size().saturating_add(layout.align()).saturating_add(4 * CHUNK_UNIT);
        let pages = memory_grow::<0>(wanted.div_ceil(PAGE));
        if pages == usize::MAX {
            return Err(());
        }
        let grown = begin.with_addr(pages * PAGE);
        let end = begin.with_addr(size());
        let claimed = match talc.source.end {
            // SAFETY: the memory between the two is new.
            Some(before) if before.as_ptr() == grown => Some(unsafe { talc.extend(before, end) }),
            // SAFETY: what was grown is new. There is nothing yet, or it ends elsewhere.
            _ => unsafe { talc.claim(grown, end.addr() - grown.addr()) },
        };
        talc.source.end = claimed.or(talc.source.end);
        claimed.map(drop).ok_or(())
    }
}

/// How large the memory is, in bytes: a byte less where that is more than an address can tell.
fn size() -> usize {
    memory_size::<0>().saturating_mul(PAGE)
}
