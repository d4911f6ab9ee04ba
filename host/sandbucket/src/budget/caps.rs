//! What bounds a tenant's instances, and its weight beside others that wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::limits::Budget;
use crate::support::fair_queue::Claim;

/// A tenant's claim on instances, connections and CPU time beside others.
#[derive(Debug)]
pub(crate) struct Caps {
    weight: AtomicU32,
    /// Of all stores together. 0 means unlimited.
    instances: AtomicUsize,
    /// Bytes of linear memory of all instances, and their bound; 0 means unlimited.
    memory: AtomicU64,
    max_memory: AtomicU64,
}

impl Caps {
    pub(super) fn new(budget: &Budget, weight: u32) -> Caps {
        Caps {
            weight: AtomicU32::new(weight),
            instances: AtomicUsize::new(budget.instances),
            memory: AtomicU64::new(0),
            max_memory: AtomicU64::new(budget.memory),
        }
    }

    pub(super) fn set(&self, budget: &Budget, weight: u32) {
        self.weight.store(weight, Relaxed);
        self.instances.store(budget.instances, Relaxed);
        self.max_memory.store(budget.memory, Relaxed);
    }

    /// Bytes of linear memory of all instances.
    pub(crate) fn memory(&self) -> u64 {
        self.memory.load(Relaxed)
    }

    /// The bound of that; 0 means unlimited.
    pub(crate) fn max_memory(&self) -> u64 {
        self.max_memory.load(Relaxed)
    }

    /// Counts so many bytes more, unless they are too many.
    pub(crate) fn grow(&self, bytes: u64) -> bool {
        let max = self.max_memory();
        let grown = |used: u64| used.checked_add(bytes).filter(|&total| max == 0 || total <= max);
        self.memory.fetch_update(Relaxed, Relaxed, grown).is_ok()
    }

    pub(crate) fn shrink(&self, bytes: u64) {
        self.memory.fetch_sub(bytes, Relaxed);
    }
}

impl Claim for Caps {
    fn weight(&self) -> usize {
        self.weight.load(Relaxed) as usize
    }

    /// There is always room for a first instance. A further one is expected to take as much memory as the others do on average.
    fn has_room(&self, held: usize) -> bool {
        let (instances, max_memory) = (self.instances.load(Relaxed), self.max_memory());
        if held == 0 {
            return true;
        }
        let memory = self.memory();
        (instances == 0 || held < instances) && (max_memory == 0 || memory + memory / held as u64 <= max_memory)
    }
}

/// The same claim on connections, whose number a tenant's own slots bound.
#[derive(Debug)]
pub(crate) struct ConnectionClaim(pub(super) Arc<Caps>);

impl Claim for ConnectionClaim {
    fn weight(&self) -> usize {
        self.0.weight()
    }

    fn has_room(&self, _: usize) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_and_memory_are_bounded() {
        let caps = Caps::new(&Budget::default().with_instances(3).with_memory(100), 2);
        assert_eq!(caps.weight(), 2);
        assert!(caps.has_room(0) && caps.has_room(2) && !caps.has_room(3));
        assert!(caps.grow(40) && caps.has_room(1));
        // Two take 80, a third of that size would not fit.
        assert!(caps.grow(40) && !caps.has_room(2));
        assert!(!caps.grow(21) && caps.grow(20) && !caps.grow(1));
        caps.shrink(60);
        assert_eq!(caps.memory(), 40);
        caps.set(&Budget::default(), 1);
        assert!(caps.has_room(1000) && caps.grow(1 << 40));
    }
}
