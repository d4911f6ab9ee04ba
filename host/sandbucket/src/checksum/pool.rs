//! A process-wide thread pool for digests of large bodies, with a thread per processor.
//!
//! tokio's blocking pool is shared with other blocking work of the program, and 512 threads that hash are no faster than
//! one per processor. rayon's global pool compiles wasmtime modules. A job yields after each slice, so that a body of one
//! GiB does not delay smaller ones, and is cancelled when its result is dropped.

use std::collections::VecDeque;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use bytes::Bytes;
use rayon_core::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot;

use super::Hasher;
use crate::types::body::Chunks;
use crate::types::digest::{Digest, DigestAlgorithm};

/// Bytes hashed before a job yields: about a millisecond of work.
const SLICE: usize = 2 << 20;

static POOL: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let builder = ThreadPoolBuilder::new()
        .num_threads(available_parallelism().map_or(1, usize::from))
        .thread_name(|number| format!("sandbucket-digest-{number}"))
        // The waiting call notices that the sender is dropped.
        .panic_handler(|_| tracing::error!("hashing a body panicked"));
    let built = builder.build();
    built
        .inspect_err(|error| tracing::warn!(%error, "no threads for hashing; each body is hashed where it is sent"))
        .ok()
});

/// Digests of a body. `None` if there are no threads, or a job panicked.
pub(super) async fn digests(body: &Chunks, algorithms: &[DigestAlgorithm]) -> Option<Vec<Digest>> {
    let pool = POOL.as_ref()?;
    let sums = algorithms.iter().map(|&algorithm| (algorithm, Hasher::new(algorithm))).collect();
    let (sender, receiver) = oneshot::channel();
    jobs().push_back(Job { left: body.pieces().cloned().collect(), sums, sender });
    pool.spawn_fifo(run_slice);
    receiver.await.ok()
}

/// The queue of jobs that no thread works on. A [`run_slice`] is spawned for each.
///
/// A rayon thread prefers work that it spawned itself, so a job that respawned itself would delay the others until its end.
/// This queue determines which job continues.
static JOBS: Mutex<VecDeque<Job>> = Mutex::new(VecDeque::new());

fn jobs() -> MutexGuard<'static, VecDeque<Job>> {
    JOBS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a slice of the job at the front of the queue.
fn run_slice() {
    let Some(job) = jobs().pop_front() else { return };
    if let Some(job) = job.slice() {
        jobs().push_back(job);
        rayon_core::spawn_fifo(run_slice);
    }
}

/// A body that is being hashed.
struct Job {
    left: VecDeque<Bytes>,
    sums: Vec<(DigestAlgorithm, Hasher)>,
    sender: oneshot::Sender<Vec<Digest>>,
}

impl Job {
    /// Hashes a slice, and returns the job if more is left.
    fn slice(mut self) -> Option<Job> {
        if self.sender.is_closed() {
            return None;
        }
        let mut slice = SLICE;
        while slice > 0
            && let Some(piece) = self.left.front_mut()
        {
            let now = piece.split_to(piece.len().min(slice));
            slice -= now.len();
            if piece.is_empty() {
                self.left.pop_front();
            }
            self.sums.iter_mut().for_each(|(_, sum)| sum.update(&now));
        }
        if !self.left.is_empty() {
            return Some(self);
        }
        let digests = self.sums.into_iter().map(|(algorithm, sum)| Digest { algorithm, value: sum.finish() });
        let _ = self.sender.send(digests.collect());
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const ALGORITHMS: [DigestAlgorithm; 2] = [DigestAlgorithm::Sha256, DigestAlgorithm::Crc64nvme];

    fn body(bytes: usize, pieces: usize) -> Chunks {
        let piece = Bytes::from(vec![7; bytes / pieces]);
        Chunks::from(vec![piece; pieces])
    }

    fn values(digests: Vec<Digest>) -> Vec<Vec<u8>> {
        digests.into_iter().map(|digest| digest.value).collect()
    }

    #[tokio::test]
    async fn slices_do_not_change_the_digests() {
        for (bytes, pieces) in [(SLICE, 1), (3 * SLICE + 1, 1), (SLICE, 64), (4 * SLICE, 3), (0, 1), (9, 9)] {
            let body = body(bytes, pieces);
            let made = digests(&body, &ALGORITHMS).await.expect("digests");
            assert_eq!(values(made), values(super::super::hash_now(body.pieces(), &ALGORITHMS)), "{bytes} in {pieces}");
        }
    }

    /// A runtime with a full blocking pool still hashes.
    #[test]
    fn full_blocking_pool_does_not_delay_hashing() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let digests = runtime.block_on(async {
            let _stuck = tokio::task::spawn_blocking(move || blocked.recv());
            let large = body(2 * super::super::POOL_FROM as usize, 1);
            let batcher = super::super::Batcher::default();
            let made = super::super::of(&large, &ALGORITHMS, &batcher, false);
            tokio::time::timeout(Duration::from_secs(60), made).await
        });
        drop(release);
        assert_eq!(digests.expect("hashing waits for the blocking pool").len(), 2);
    }

    /// More large bodies than threads do not delay a small one until they are done.
    #[tokio::test]
    async fn small_body_does_not_wait_for_large_ones() {
        let large = body(64 << 20, 1);
        let at_once = 4 * available_parallelism().map_or(1, usize::from);
        let mut waiting: Vec<_> = (0..at_once).map(|_| Box::pin(digests(&large, &ALGORITHMS))).collect();
        for job in &mut waiting {
            assert!(futures::FutureExt::now_or_never(job.as_mut()).is_none());
        }
        let begun = Instant::now();
        digests(&body(SLICE, 1), &ALGORITHMS).await.expect("digests");
        let small = begun.elapsed();
        for job in waiting {
            job.await.expect("digests");
        }
        assert!(small < begun.elapsed() / 4, "{small:?} of {:?}", begun.elapsed());
    }
}
