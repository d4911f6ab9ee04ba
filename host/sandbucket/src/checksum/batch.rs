//! Batched SHA-256: a task hashes several bodies side by side (multi-buffer hashing).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha256_multi::{Digest, MultiSha256};
use tokio::sync::oneshot;

use crate::types::body::Chunks;

/// Maximum number of bodies per batch: as many as can be hashed side by side.
const MAX_BATCH: usize = 16;

/// Bodies waiting to be hashed, of all stores.
#[derive(Clone, Default)]
pub(crate) struct Batcher(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    bodies: Vec<(oneshot::Sender<Digest>, Chunks)>,
    /// Number of running tasks.
    tasks: usize,
}

impl Batcher {
    /// Whether no body is waiting.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting().tasks == 0
    }

    /// The SHA-256 of a body; `None` if the runtime shuts down.
    pub(super) async fn sha256(&self, body: Chunks) -> Option<Digest> {
        self.enqueue(body).await.ok()
    }

    fn enqueue(&self, body: Chunks) -> oneshot::Receiver<Digest> {
        let (sender, receiver) = oneshot::channel();
        // A request joins the batch of a running task; once that is full, it starts another task.
        let needs_task = {
            let mut waiting = self.waiting();
            waiting.bodies.push((sender, body));
            let needs_task = waiting.tasks == 0 || waiting.bodies.len().is_multiple_of(MAX_BATCH);
            waiting.tasks += usize::from(needs_task);
            needs_task
        };
        if needs_task {
            // Spawned outside the lock, which the task takes as well if it ends at once.
            drop(tokio::spawn(Worker { batcher: self.clone(), is_done: false }.work()));
        }
        receiver
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running task.
struct Worker {
    batcher: Batcher,
    is_done: bool,
}

impl Worker {
    async fn work(mut self) {
        let mut hasher = MultiSha256::new();
        while self.take_requests(&mut hasher) {
            // The receiver may have been dropped.
            hasher.advance(|sender| !sender.is_closed(), |sender, sum| _ = sender.send(sum));
            tokio::task::yield_now().await;
        }
    }

    /// Adds the requests that arrived since. Returns false if nothing is left to do.
    fn take_requests(&mut self, hasher: &mut MultiSha256<oneshot::Sender<Digest>, Chunks>) -> bool {
        let mut waiting = self.batcher.waiting();
        let count = MAX_BATCH.saturating_sub(hasher.len()).min(waiting.bodies.len());
        waiting.bodies.drain(..count).for_each(|(sender, body)| hasher.push(sender, body));
        if hasher.is_empty() {
            waiting.tasks -= 1;
            self.is_done = true;
        }
        !self.is_done
    }
}

impl Drop for Worker {
    /// If the runtime drops the task first, the waiting calls notice their dropped senders.
    fn drop(&mut self) {
        if !self.is_done {
            let mut waiting = self.batcher.waiting();
            waiting.tasks -= 1;
            waiting.bodies.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::Sha256;
    use tokio::runtime::Builder;

    use super::*;

    fn body(n: usize) -> Chunks {
        vec![n as u8; 1000 * n].into()
    }

    fn expected(n: usize) -> Option<Digest> {
        Some(<Sha256 as sha2::Digest>::digest(body(n).joined()).into())
    }

    /// With a single-threaded and a multi-threaded runtime; more requests than one task takes at a time.
    #[test]
    fn batched_hashes_belong_to_their_inputs() {
        for threads in [1, 4] {
            let runtime = Builder::new_multi_thread().worker_threads(threads).build().expect("a runtime");
            let batcher = Batcher::default();
            let each = (0..50).map(|n| {
                (
                    n,
                    runtime.spawn({
                        let batcher = batcher.clone();
                        async move { batcher.sha256(body(n)).await }
                    }),
                )
            });
            for (n, sum) in each.collect::<Vec<_>>() {
                assert_eq!(runtime.block_on(sum).expect("no panic"), expected(n));
            }
            assert_eq!(batcher.waiting().bodies.len(), 0);
        }
    }

    /// Some requests are dropped, and the runtime shuts down before others are hashed: later ones still succeed.
    #[test]
    fn dropped_hashes_do_not_affect_the_batch() {
        let batcher = Batcher::default();
        let runtime = || Builder::new_current_thread().build().expect("a runtime");
        let first = runtime();
        let begun = {
            let _within = first.enter();
            drop(batcher.enqueue(body(5000)));
            batcher.enqueue(body(5000))
        };
        drop(first);
        let second = runtime();
        assert!(second.block_on(begun).is_err());
        assert_eq!(second.block_on(batcher.sha256(body(7))), expected(7));
        drop(second);
        assert!(batcher.is_idle());
    }
}
