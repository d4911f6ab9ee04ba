//! The SHA-256 of bodies that are to be written at the same time, made by a task for all of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha256_multi::{Digest, MultiSha256};
use tokio::sync::oneshot;

use crate::types::body::Chunks;

/// How many one task takes at a time: as many as can be made side by side.
const MOST: usize = 16;

/// Those who want a sum, of whichever stores.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    bodies: Vec<(oneshot::Sender<Digest>, Chunks)>,
    /// How many tasks are at work.
    tasks: usize,
}

impl Shared {
    /// Whether nobody wants one.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting().tasks == 0
    }

    /// The sum of a body; none where the runtime is ending.
    pub(super) async fn sum(&self, body: Chunks) -> Option<Digest> {
        self.ask(body).await.ok()
    }

    fn ask(&self, body: Chunks) -> oneshot::Receiver<Digest> {
        let (sender, receiver) = oneshot::channel();
        // Who comes while a task is at work joins it; what is a task's fill may be another's.
        let needs_task = {
            let mut waiting = self.waiting();
            waiting.bodies.push((sender, body));
            let needs_task = waiting.tasks == 0 || waiting.bodies.len().is_multiple_of(MOST);
            waiting.tasks += usize::from(needs_task);
            needs_task
        };
        if needs_task {
            // Not under the lock, which is the task's, too, where it comes to its end at once.
            drop(tokio::spawn(Worker { shared: self.clone(), is_done: false }.work()));
        }
        receiver
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task at work.
struct Worker {
    shared: Shared,
    is_done: bool,
}

impl Worker {
    async fn work(mut self) {
        let mut hasher = MultiSha256::new();
        while self.goes_on(&mut hasher) {
            // Whoever wanted it may be gone.
            hasher.advance(|sender| !sender.is_closed(), |sender, sum| _ = sender.send(sum));
            tokio::task::yield_now().await;
        }
    }

    /// Takes in who has come meanwhile. False where there is nothing more to do.
    fn goes_on(&mut self, hasher: &mut MultiSha256<oneshot::Sender<Digest>, Chunks>) -> bool {
        let mut waiting = self.shared.waiting();
        let count = MOST.saturating_sub(hasher.len()).min(waiting.bodies.len());
        waiting.bodies.drain(..count).for_each(|(sender, body)| hasher.push(sender, body));
        if hasher.is_empty() {
            waiting.tasks -= 1;
            self.is_done = true;
        }
        !self.is_done
    }
}

impl Drop for Worker {
    /// Where its runtime ends before it, those who wait are told by their senders' going.
    fn drop(&mut self) {
        if !self.is_done {
            let mut waiting = self.shared.waiting();
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

    /// From a task of one thread and of several, more than one worker takes at a time.
    #[test]
    fn batched_hashes_belong_to_their_inputs() {
        for threads in [1, 4] {
            let runtime = Builder::new_multi_thread().worker_threads(threads).build().expect("a runtime");
            let shared = Shared::default();
            let each = (0..50).map(|n| {
                (
                    n,
                    runtime.spawn({
                        let shared = shared.clone();
                        async move { shared.sum(body(n)).await }
                    }),
                )
            });
            for (n, sum) in each.collect::<Vec<_>>() {
                assert_eq!(runtime.block_on(sum).expect("no panic"), expected(n));
            }
            assert_eq!(shared.waiting().bodies.len(), 0);
        }
    }

    /// Some are given up, and the runtime ends before others are made: who comes after is served.
    #[test]
    fn dropped_hashes_do_not_affect_the_batch() {
        let shared = Shared::default();
        let runtime = || Builder::new_current_thread().build().expect("a runtime");
        let first = runtime();
        let begun = {
            let _within = first.enter();
            drop(shared.ask(body(5000)));
            shared.ask(body(5000))
        };
        drop(first);
        let second = runtime();
        assert!(second.block_on(begun).is_err());
        assert_eq!(second.block_on(shared.sum(body(7))), expected(7));
        drop(second);
        assert!(shared.is_idle());
    }
}
