//! The idle connections of an engine, of all its clients: bounded per authority and in total.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use slab::Slab;

use super::connection::{BoxedConnection, Target};
use super::{Connect, Outbound};

/// Identifies a client of an engine.
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
    /// Those to each authority. None of these is empty. A hash that resists chosen keys takes twice as long, and the number of keys
    /// is bounded by that of idle connections.
    by_authority: HashMap<Target, Queue, RandomState>,
}

/// A connection in two queues: that of all, and that of its authority.
struct Queued<C: Connect, B: Outbound> {
    connection: BoxedConnection<C, B>,
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
    /// Keeps up to `per_authority` connections to each authority and `in_all` in total, each for up to `timeout`.
    pub(in crate::http) fn new(per_authority: usize, in_all: usize, timeout: Duration) -> Self {
        // The sum with any `Instant` does not overflow.
        let timeout = timeout.min(Duration::from_secs(u32::MAX.into()));
        let queues = Queues { connections: Slab::new(), all: Queue::default(), by_authority: HashMap::default() };
        let queues = Mutex::new(queues);
        IdlePool { per_authority, in_all, timeout, clients: AtomicU32::new(0), queues }
    }

    /// Returns the id of a new client.
    pub(super) fn client(&self) -> ClientId {
        self.clients.fetch_add(1, Relaxed)
    }

    /// Takes the idle connection used last: it is the least likely to be closed.
    pub(super) fn take(&self, target: &Target) -> Option<BoxedConnection<C, B>> {
        let now = Instant::now();
        let mut queues = self.queues();
        let expired = queues.expire(now, self.timeout);
        let connection = queues.take(target);
        drop(queues);
        drop(expired);
        connection
    }

    /// Keeps a connection that can be used again.
    pub(super) fn put(&self, mut connection: BoxedConnection<C, B>) {
        if self.per_authority == 0 || self.in_all == 0 {
            return;
        }
        let now = Instant::now();
        connection.since = now;
        let mut queues = self.queues();
        let mut expired = queues.expire(now, self.timeout);
        let (length, oldest) = queues.push(connection);
        if length > self.per_authority {
            expired.extend(oldest.map(|key| queues.remove(key)));
        } else if queues.all.length > self.in_all {
            expired.extend(queues.all.oldest.map(|key| queues.remove(key)));
        }
        drop(queues);
        drop(expired);
    }

    /// Closes connections that have been idle for too long. `take` and `put` do, too: this is for times without either.
    pub(in crate::http) fn sweep(&self) {
        let expired = self.queues().expire(Instant::now(), self.timeout);
        drop(expired);
    }

    /// Closes the idle connections to this authority, or only those that have been idle since before an instant: if one fails, what
    /// dropped it (a NAT, a load balancer, a restarted service) may have dropped all.
    pub(super) fn discard(&self, target: &Target, before: Option<Instant>) {
        let mut expired = Vec::new();
        let mut queues = self.queues();
        while let Some(key) = queues.by_authority.get(target).and_then(|queue| queue.oldest)
            && before.is_none_or(|before| queues.connections[key].connection.since < before)
        {
            expired.push(queues.remove(key));
        }
        drop(queues);
        drop(expired);
    }

    /// The number of idle connections.
    pub(in crate::http) fn count(&self) -> usize {
        self.queues().all.length
    }

    /// The number of idle connections, counted in both ways.
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

/// The caller drops removed connections after the lock: that closes them.
impl<C: Connect, B: Outbound> Queues<C, B> {
    /// The number of connections to the same authority, and the oldest of them.
    fn push(&mut self, connection: BoxedConnection<C, B>) -> (usize, Option<usize>) {
        let target = connection.target.clone();
        let key = self.connections.insert(Queued { connection, links: Default::default() });
        self.all.push(IN_ALL, key, &mut self.connections);
        let queue = self.by_authority.entry(target).or_default();
        queue.push(AT_AUTHORITY, key, &mut self.connections);
        (queue.length, queue.oldest)
    }

    fn take(&mut self, target: &Target) -> Option<BoxedConnection<C, B>> {
        // One lookup both finds and removes.
        let Entry::Occupied(mut queue) = self.by_authority.entry(target.clone()) else { return None };
        let key = queue.get().newest?;
        queue.get_mut().unlink(AT_AUTHORITY, key, &mut self.connections);
        if queue.get().length == 0 {
            queue.remove();
        }
        self.all.unlink(IN_ALL, key, &mut self.connections);
        Some(self.connections.remove(key).connection)
    }

    fn remove(&mut self, key: usize) -> BoxedConnection<C, B> {
        self.all.unlink(IN_ALL, key, &mut self.connections);
        let target = &self.connections[key].connection.target;
        if let Some(queue) = self.by_authority.get_mut(target) {
            if queue.length > 1 {
                queue.unlink(AT_AUTHORITY, key, &mut self.connections);
            } else {
                self.by_authority.remove(target);
            }
        }
        self.connections.remove(key).connection
    }

    fn expire(&mut self, now: Instant, timeout: Duration) -> Vec<BoxedConnection<C, B>> {
        let mut expired = Vec::new();
        while let Some(key) = self.all.oldest
            && self.connections[key].connection.since + timeout < now
        {
            expired.push(self.remove(key));
        }
        expired
    }
}
