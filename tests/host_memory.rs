//! What a plugin can make the host allocate beside its linear memory, measured by this program's allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::IntoFuture;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use sandbucket::{Limits, Store};
use sandbucket_tests::{ROGUE, builder, run};

/// Counts bytes that are allocated, and the most that were so far.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The instance's limit. Its linear memory is mapped, not allocated, and so not in what is measured.
const MEMORY: usize = 96 << 20;
/// What one call may take on the host: an eighth of the limit, a page of a listing, and what any call takes.
const MOST: usize = MEMORY / 8 + (16 << 20);

#[test]
fn host_memory_of_a_call_is_bounded_whatever_the_plugin_does() {
    run(async {
        let mut limits = Limits::default();
        limits.memory = MEMORY;
        let engine =
            builder().limits(limits).plugin_file(Path::new(ROGUE)).build().expect("an engine with the rogue plugin");
        for mode in [
            "bodies",
            "fields",
            "handles",
            "headers",
            "huge-error",
            "most-metadata",
            "many-metadata",
            "most-entries",
            "many-entries",
            "many-prefixes",
            "aliased-keys",
            "tiny-lines",
            "many-lines",
            "long-line",
        ] {
            let store: Store =
                engine.store([("mode", mode), ("endpoint", "http://127.0.0.1:9"), ("target", "")]).await.unwrap();
            let before = NOW.load(Relaxed);
            PEAK.store(before, Relaxed);
            // Whatever comes of them: the other tests say what.
            let _ = store.head("k").into_future().await;
            let _ = store.put("k", "x").into_future().await;
            let _ = store.list("").await;
            let peak = PEAK.load(Relaxed).saturating_sub(before);
            assert!(peak < MOST, "{mode}: {peak} bytes at once, where {MOST} are expected at most");
        }
    });
}
