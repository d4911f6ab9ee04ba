//! Host memory that a plugin can make the host allocate beside its linear memory, measured by this program's allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::IntoFuture;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use sandbucket::{Limits, Store};
use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{ROGUE, ROGUE_SANS_IO, builder, run};

/// Counts allocated bytes, and their maximum so far.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all calls are forwarded to the system allocator.
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

/// Memory limit of an instance. Linear memory is mapped, not allocated, and so not counted.
const MEMORY: usize = 96 << 20;
/// Maximum host memory of one call: an eighth of the limit, a page of a listing, and the overhead of any call.
const MOST: usize = MEMORY / 8 + (16 << 20);

#[test]
fn host_memory_of_a_call_is_bounded_whatever_the_plugin_does() {
    const SIMPLE: [&str; 11] = [
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
    ];
    const SANS_IO: [&str; 12] = [
        "tiny-lines",
        "many-lines",
        "long-line",
        "huge-state",
        "huge-retries",
        "huge-body",
        "begin-countless-results",
        "begin-huge-error",
        "many-outcomes",
        "most-metadata",
        "most-entries",
        "aliased-keys",
    ];
    run(async {
        let mut limits = Limits::default();
        limits.memory = MEMORY;
        // Some misdeeds retry endlessly.
        limits.call_time = Duration::from_secs(1);
        for (plugin, modes) in [(ROGUE, &SIMPLE[..]), (ROGUE_SANS_IO, &SANS_IO[..])] {
            let engine = builder().limits(limits.clone()).plugin_file(Path::new(plugin)).build().expect("an engine");
            for mode in modes {
                let service = Faulty::start((0..100).map(|_| Act::respond(200, "", ""))).await;
                let endpoint = service.endpoint();
                let target = endpoint.replace("http://", "");
                let store: Store =
                    engine.store([("mode", *mode), ("endpoint", &endpoint), ("target", &target)]).await.unwrap();
                let before = NOW.load(Relaxed);
                PEAK.store(before, Relaxed);
                // The other tests assert the outcomes.
                let _ = store.head("k").into_future().await;
                let _ = store.put("k", "x").into_future().await;
                let _ = store.list("").await;
                let _ = store.set_tags("k", [("a", "b")]).await;
                let _ = store.delete_many(["a", "b"]).await;
                let peak = PEAK.load(Relaxed).saturating_sub(before);
                assert!(peak < MOST, "{mode}: {peak} bytes at once, where {MOST} are expected at most");
            }
        }
    });
}
