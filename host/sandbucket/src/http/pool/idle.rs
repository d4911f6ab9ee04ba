//! The idle connections of an engine, whichever of its clients they belong to: bounded for each authority and in all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use slab::Slab;

use super::connection::{BoxedConnection, Target};
use super::{Connect, Outbound};

/// Tells the clients of an engine apart.
pub(super) type ClientId = u32;

/// Idle connections. When there are too many, the one idle for longest is closed.
pub(in crate::http) struct IdlePool<C: Connect, B: Outbound> {
    per_authority: usize,
    in_all: usize,
    timeout: Duration,
    clients: AtomicU32,
    queues: Mutex<Queues<C, B>>,
}

struct Queues<C: Connect, B: Outbound> {
    connections: Slab<Queued<C, B>>,
    /// All of them.
    all: Queue,
    /// Those to each authority. None of these is empty. A hash that withstands chosen keys would take twice as long, and
    /// there are no more keys to collide than connections may be idle.
    by_authority: HashMap<Target, Queue, RandomState>,
}

/// A connection in two queues: in that of all, and in its authority's.
struct Queued<C: Connect, B: Outbound> {
    line: BoxedConnection<C, B>,
    links: [Link; 2],
}

/// Places in [`Queued::links`].
const IN_ALL: usize = 0;
const AT_AUTHORITY: usize = 1;

/// Neighbours in a queue, by their keys.
#[derive(Clone, Copy, Default)]
struct Link {
    older: Option<usize>,
    newer: Option<usize>,
}

/// A doubly linked list of connections, in the order in which they became idle.
#[derive(Default)]
struct Queue {
    oldest: Option<usize>,
    newest: Option<usize>,
    length: usize,
}

impl Queue {
    fn push<C: Connect, B: Outbound>(&mut self, which: usize, key: usize, connections: &mut Slab<Queued<C, B>>) {
        connections[key].links[which] = Link { older: self.newest, newer: None };
        match self.newest {
            Some(newest) => connections[newest].links[which].newer = Some(key),
            None => self.oldest = Some(key),
        }
        self.newest = Some(key);
        self.length += 1;
    }

    fn unlink<C: Connect, B: Outbound>(&mut self, which: usize, key: usize, connections: &mut Slab<Queued<C, B>>) {
        let Link { older, newer } = connections[key].links[which];
        match older {
            Some(older) => connections[older].links[which].newer = newer,
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => connections[newer].links[which].older = older,
            None => self.newest = older,
        }
        self.length -= 1;
    }
}

impl<C: Connect, B: Outbound> IdlePool<C, B> {
    /// Keeps up to `per_authority` connections to each authority and `in_all` of all clients, each for `timeout` at most.
    pub(in crate::http) fn new(per_authority: usize, in_all: usize, timeout: Duration) -> Self {
        // Added to any time, this makes one.
        let timeout = timeout.min(Duration::from_secs(u32::MAX.into()));
        let queues = Queues { connections: Slab::new(), all: Queue::default(), by_authority: HashMap::default() };
        let queues = Mutex::new(queues);
        IdlePool { per_authority, in_all, timeout, clients: AtomicU32::new(0), queues }
    }

    /// A client's own id.
    pub(super) fn client(&self) -> ClientId {
        self.clients.fetch_add(1, Relaxed)
    }

    /// The idle connection used last: it is the least likely to be closed.
    pub(super) fn take(&self, target: &Target) -> Option<BoxedConnection<C, B>> {
        let now = Instant::now();
        let mut queues = self.queues();
        let over = queues.expire(now, self.timeout);
        let line = queues.take(target);
        drop(queues);
        drop(over);
        line
    }

    /// Keeps a connection that can be used again.
    pub(super) fn put(&self, mut line: BoxedConnection<C, B>) {
        if self.per_authority == 0 || self.in_all == 0 {
            return;
        }
        let now = Instant::now();
        line.since = now;
        let mut queues = self.queues();
        let mut over = queues.expire(now, self.timeout);
        let (length, oldest) = queues.push(line);
        if length > self.per_authority {
            over.extend(oldest.map(|key| queues.remove(key)));
        } else if queues.all.length > self.in_all {
            over.extend(queues.all.oldest.map(|key| queues.remove(key)));
        }
        drop(queues);
        drop(over);
    }

    /// Closes what has been idle for too long. That also happens whenever a connection is taken or put back, so this is
    /// for when nothing happens.
    pub(in crate::http) fn sweep(&self) {
        let over = self.queues().expire(Instant::now(), self.timeout);
        drop(over);
    }

    /// Closes all idle connections to this authority: where one that was idle has failed, whatever forgot it (a NAT, a load
    /// balancer, a restarted service) may have forgotten them all.
    pub(super) fn discard(&self, target: &Target) {
        let mut over = Vec::new();
        let mut queues = self.queues();
        while let Some(line) = queues.take(target) {
            over.push(line);
        }
        drop(queues);
        drop(over);
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn length(&self) -> usize {
        let queues = self.queues();
        let by_authority: usize = queues.by_authority.values().map(|queue| queue.length).sum();
        assert_eq!((queues.connections.len(), queues.all.length), (by_authority, by_authority));
        assert!(queues.by_authority.values().all(|queue| queue.length > 0));
        by_authority
    }

    fn queues(&self) -> MutexGuard<'_, Queues<C, B>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is taken out here is for the caller to drop when the lock is gone: that closes it.
impl<C: Connect, B: Outbound> Queues<C, B> {
    /// How many its authority has with it, and the oldest of them.
    fn push(&mut self, line: BoxedConnection<C, B>) -> (usize, Option<usize>) {
        let target = line.target.clone();
        let key = self.connections.insert(Queued { line, links: Default::default() });
        self.all.push(IN_ALL, key, &mut self.connections);
        let queue = self.by_authority.entry(target).or_default();
        queue.push(AT_AUTHORITY, key, &mut self.connections);
        (queue.length, queue.oldest)
    }

    fn take(&mut self, target: &Target) -> Option<BoxedConnection<C, B>> {
        // One look-up for both finding and removing.
        let Entry::Occupied(mut queue) = self.by_authority.entry(target.clone()) else { return None };
        let key = queue.get().newest?;
        queue.get_mut().unlink(AT_AUTHORITY, key, &mut self.connections);
        if queue.get().length == 0 {
            queue.remove();
        }
        self.all.unlink(IN_ALL, key, &mut self.connections);
        Some(self.connections.remove(key).line)
    }

    fn remove(&mut self, key: usize) -> BoxedConnection<C, B> {
        self.all.unlink(IN_ALL, key, &mut self.connections);
        let target = &self.connections[key].line.target;
        if let Some(queue) = self.by_authority.get_mut(target) {
            if queue.length > 1 {
                queue.unlink(AT_AUTHORITY, key, &mut self.connections);
            } else {
                self.by_authority.remove(target);
            }
        }
        self.connections.remove(key).line
    }

    fn expire(&mut self, now: Instant, timeout: Duration) -> Vec<BoxedConnection<C, B>> {
        let mut over = Vec::new();
        while let Some(key) = self.all.oldest
            && self.connections[key].line.since + timeout < now
        {
            over.push(self.remove(key));
        }
        over
    }
}
