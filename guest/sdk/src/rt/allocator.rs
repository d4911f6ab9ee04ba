//! A global allocator with free lists by size for small blocks; the underlying allocator serves all others. A call allocates and
//! frees about eighty small blocks of few sizes.
//!
//! Replaces talc alone, which remains the underlying allocator: 8.75 µs instead of 9.5 µs for `begin` and `resume` of a GET (wasmtime
//! 48, x86-64, with lifting and lowering).

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr::null_mut;

/// Difference between two sizes in bytes: a power of two, and not less than a pointer.
const STEP: usize = 16;

/// Number of sizes: blocks of up to 512 bytes.
const SIZES: usize = 32;

/// Alignment of the blocks in bytes, sufficient for most.
const ALIGN: usize = 8;

/// Free lists in front of another allocator. They never return blocks to it, so they hold at most the peak of blocks in use.
pub struct BySize<A> {
    /// First free block of each size. It contains the address of the next.
    free: [Cell<*mut u8>; SIZES],
    underlying: A,
}

// SAFETY: a WebAssembly module without shared memory has one thread.
#[cfg(all(target_arch = "wasm32", not(target_feature = "atomics")))]
unsafe impl<A> Sync for BySize<A> {}

impl<A> BySize<A> {
    /// Creates it with empty lists.
    pub const fn new(underlying: A) -> Self {
        BySize { free: [const { Cell::new(null_mut()) }; SIZES], underlying }
    }
}

/// The list for a layout of non-zero size.
#[inline(always)]
fn list(layout: Layout) -> Option<usize> {
    let list = (layout.size().wrapping_sub(1)) / STEP;
    (list < SIZES && layout.align() <= ALIGN).then_some(list)
}

// SAFETY: a block of a list was allocated by the underlying allocator with the list's size and the alignment `ALIGN`. It is
// either in its list or in use, never both.
unsafe impl<A: GlobalAlloc> GlobalAlloc for BySize<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = list(layout) else {
            // SAFETY: the caller's layout.
            return unsafe { self.underlying.alloc(layout) };
        };
        let free = &self.free[list];
        let block = free.get();
        if block.is_null() {
            // SAFETY: the size is not zero, and `ALIGN` is a power of two.
            return unsafe { self.underlying.alloc(Layout::from_size_align_unchecked((list + 1) * STEP, ALIGN)) };
        }
        // SAFETY: a free block begins with the address of the next one, and is aligned for it.
        free.set(unsafe { block.cast::<*mut u8>().read() });
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(list) = list(layout) else {
            // SAFETY: the block was allocated there with this layout.
            return unsafe { self.underlying.dealloc(block, layout) };
        };
        let free = &self.free[list];
        // SAFETY: the block is no longer in use, and is large and aligned enough for an address.
        unsafe { block.cast::<*mut u8>().write(free.get()) };
        free.set(block);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that the size is valid for the alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (list(layout), list(wanted)) {
            // SAFETY: the block was allocated there with this layout.
            (None, None) => unsafe { self.underlying.realloc(block, layout, size) },
            (had, wanted) if had == wanted => block,
            // SAFETY: the blocks are distinct, and both have the bytes that are copied.
            _ => unsafe {
                let new = self.alloc(wanted);
                if !new.is_null() {
                    block.copy_to_nonoverlapping(new, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                new
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::System;

    /// A block in use, and the byte it is filled with.
    struct Used(*mut u8, Layout, u8);

    impl Used {
        fn new(allocator: &BySize<System>, size: usize, align: usize, fill: u8) -> Used {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the size is not zero, and the write ends at the block's end.
            let block = unsafe {
                let block = allocator.alloc(layout);
                assert!(!block.is_null());
                block.write_bytes(fill, size);
                block
            };
            assert_eq!(block.addr() % align, 0);
            Used(block, layout, fill)
        }

        fn check(&self, length: usize) {
            // SAFETY: the block is in use and has at least that length.
            let bytes = unsafe { std::slice::from_raw_parts(self.0, length) };
            assert!(bytes.iter().all(|byte| *byte == self.2), "{bytes:?} of {}", self.2);
        }

        fn resize(&mut self, allocator: &BySize<System>, size: usize) {
            let kept = size.min(self.1.size());
            // SAFETY: the block was allocated there with this layout, and the size is not zero.
            self.0 = unsafe { allocator.realloc(self.0, self.1, size) };
            self.check(kept);
            self.1 = Layout::from_size_align(size, self.1.align()).unwrap();
            // SAFETY: the block has that size.
            unsafe { self.0.write_bytes(self.2, size) };
        }

        fn free(self, allocator: &BySize<System>) {
            self.check(self.1.size());
            // SAFETY: the block was allocated there with this layout.
            unsafe { allocator.dealloc(self.0, self.1) };
        }
    }

    #[test]
    fn freed_block_is_reused_for_its_size() {
        let allocator = BySize::new(System);
        let first = Used::new(&allocator, 17, 1, 1);
        let place = first.0;
        first.free(&allocator);
        let other = Used::new(&allocator, 16, 8, 2);
        assert_ne!(other.0, place, "of another size");
        let mut again = Used::new(&allocator, 32, 8, 3);
        assert_eq!(again.0, place);
        again.resize(&allocator, 18);
        assert_eq!(again.0, place, "it fits where it is");
        again.free(&allocator);
        other.free(&allocator);
    }

    proptest::proptest! {
        #[test]
        fn blocks_in_use_do_not_overlap(
            steps in proptest::collection::vec((0..4_u8, 1..600_usize, 0..6_u32, 0..100_usize), 0..200)
        ) {
            let allocator = BySize::new(System);
            let mut used = Vec::new();
            for (n, (what, size, align, which)) in steps.into_iter().enumerate() {
                match what {
                    0 if !used.is_empty() => { let at = which % used.len(); Used::free(used.swap_remove(at), &allocator) }
                    1 if !used.is_empty() => { let at = which % used.len(); used[at].resize(&allocator, size) }
                    _ => used.push(Used::new(&allocator, size, 1 << align, n as u8)),
                }
            }
            used.into_iter().for_each(|block| block.free(&allocator));
        }
    }
}
