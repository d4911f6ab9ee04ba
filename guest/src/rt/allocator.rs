//! The plugin's allocator: small blocks that were freed are kept by size for the next of that size, and all else is for the
//! allocator beneath. A call makes and frees some eighty small blocks, always the same sizes.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr::null_mut;

/// By how many bytes the sizes that are kept differ. A power of two, and enough for a link to the next block.
const STEP: usize = 16;

/// How many sizes are kept: up to 512 bytes.
const SIZES: usize = 32;

/// What blocks are aligned to, as most want no more.
const ALIGN: usize = 8;

/// Lists of free blocks, before another allocator. Blocks in them stay there: they are as many as were in use at once.
pub struct BySize<A> {
    /// The first free block of each size; in it is the address of the next.
    free: [Cell<*mut u8>; SIZES],
    beneath: A,
}

// SAFETY: a WebAssembly module without shared memory has one thread.
#[cfg(all(target_arch = "wasm32", not(target_feature = "atomics")))]
unsafe impl<A> Sync for BySize<A> {}

impl<A> BySize<A> {
    /// With nothing in its lists.
    pub const fn new(beneath: A) -> Self {
        BySize { free: [const { Cell::new(null_mut()) }; SIZES], beneath }
    }
}

/// The list that a block of this layout is of, which has bytes.
#[inline(always)]
fn list(layout: Layout) -> Option<usize> {
    let list = (layout.size().wrapping_sub(1)) / STEP;
    (list < SIZES && layout.align() <= ALIGN).then_some(list)
}

// SAFETY: a block of a list has the list's size at least, is aligned to `ALIGN`, and came from the allocator beneath with
// that layout. It is in a list or in use, never both.
unsafe impl<A: GlobalAlloc> GlobalAlloc for BySize<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = list(layout) else {
            // SAFETY: the caller's layout.
            return unsafe { self.beneath.alloc(layout) };
        };
        let free = &self.free[list];
        let block = free.get();
        if block.is_null() {
            // SAFETY: neither is zero, and `ALIGN` is a power of two.
            return unsafe { self.beneath.alloc(Layout::from_size_align_unchecked((list + 1) * STEP, ALIGN)) };
        }
        // SAFETY: a free block has the next one's address in it, where it is aligned for one.
        free.set(unsafe { block.cast::<*mut u8>().read() });
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(list) = list(layout) else {
            // SAFETY: it came from there with this layout.
            return unsafe { self.beneath.dealloc(block, layout) };
        };
        let free = &self.free[list];
        // SAFETY: nobody uses the block, which is large and aligned enough.
        unsafe { block.cast::<*mut u8>().write(free.get()) };
        free.set(block);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's size is one that the alignment allows.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (list(layout), list(wanted)) {
            // SAFETY: it came from there with this layout.
            (None, None) => unsafe { self.beneath.realloc(block, layout, size) },
            (had, wanted) if had == wanted => block,
            // SAFETY: both have the bytes that are copied, and they are two blocks.
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

    /// A block in use, and the byte that it is full of.
    struct Used(*mut u8, Layout, u8);

    impl Used {
        fn new(allocator: &BySize<System>, size: usize, align: usize, fill: u8) -> Used {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the size is not zero, and the block is written to no further than its end.
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
            // SAFETY: it is in use, and of that length at least.
            let bytes = unsafe { std::slice::from_raw_parts(self.0, length) };
            assert!(bytes.iter().all(|byte| *byte == self.2), "{bytes:?} of {}", self.2);
        }

        fn resize(&mut self, allocator: &BySize<System>, size: usize) {
            let kept = size.min(self.1.size());
            // SAFETY: it came from there with this layout, and the size is not zero.
            self.0 = unsafe { allocator.realloc(self.0, self.1, size) };
            self.check(kept);
            self.1 = Layout::from_size_align(size, self.1.align()).unwrap();
            // SAFETY: it has that size.
            unsafe { self.0.write_bytes(self.2, size) };
        }

        fn free(self, allocator: &BySize<System>) {
            self.check(self.1.size());
            // SAFETY: it came from there with this layout.
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
