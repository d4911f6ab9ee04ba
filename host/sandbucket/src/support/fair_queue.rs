//! Allocates what an engine has a number of, instances and connections, to stores, fairly.
//!
//! Each store has a share ([`FairShare`]) and takes a permit from it for everything that it holds. Shares with the same claim
//! ([`Claim`]), which are those of a tenant's stores, have one account; any other store has its own. An account's first
//! permit may be any that is left; what it holds beyond that counts against a shared part, so that a reserve stays for
//! the first permits of other accounts. Waiting is first in, first out within an account. Between accounts, one that holds
//! none is served first, then the one that holds the fewest for its weight, and of several such the one served longest
//! ago. An account whose claim allows it no more waits for its own permits only, and holds up no other. A permit
//! that is dropped, or granted to a call that was dropped, goes to the next call that waits.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

/// An account takes another shared instance while it holds fewer than so many times those that are left: one alone
/// comes to 4/5 of the shared part, twelve come to 4/49 each, and some are always left for the next. (Switches share
/// their buffers between ports this way; there it is called a dynamic threshold.)
const SHARE_OF_FREE: usize = 4;

/// Fractions of an instance that shares are compared in.
const SCALE: usize = 1 << 16;

/// What bounds the shares of a tenant's stores together, and their weight beside others.
pub(crate) trait Claim: Send + Sync {
    fn weight(&self) -> usize;

    /// Whether an account that holds so many may have one more. Always true of one that holds none.
    fn has_room(&self, held: usize) -> bool;
}

/// The permits of an engine. `T` is what holds one, and can be handed to another call of the same store.
pub(crate) struct FairQueue<T> {
    /// Permits at once, where there is memory for so many.
    most: usize,
    /// Calls that wait. Written under the lock of `state`.
    waiting: AtomicUsize,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Permits at once.
    limit: usize,
    used: usize,
    /// Of those, the ones beyond the first of each account.
    extra: usize,
    accounts: HashMap<u64, Account<T>>,
    /// The accounts with a claim, by its address: they keep it.
    by_claim: HashMap<usize, u64>,
    /// Accounts with calls that wait, the one to be served next first.
    queue: BTreeSet<Rank>,
    next_account: u64,
    next_store: u64,
    next_ticket: u64,
    /// Grants so far.
    grants: u64,
}

/// How much an account holds for its weight, at which grant it was last served, and its number.
type Rank = (usize, u64, u64);

struct Account<T> {
    /// None of a store without bounds of its own, whose weight is 1.
    claim: Option<Arc<dyn Claim>>,
    /// Stores that share it.
    shares: usize,
    held: usize,
    served: u64,
    calls: VecDeque<Entry<T>>,
    /// Its place in the queue. Bounds and weight may have changed since.
    queued: Option<Rank>,
}

/// A call that waits.
struct Entry<T> {
    ticket: u64,
    share: Arc<FairShare<T>>,
    sender: oneshot::Sender<Grant<T>>,
}

/// What a call waited for.
pub(crate) enum Grant<T> {
    /// The right to make an instance.
    Permit(FairPermit<T>),
    /// An instance of the same store that became idle.
    Instance(T),
}

/// Which idle instances of other stores to give up for a call that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evictable {
    /// Those of accounts that hold several, and of the account's other stores.
    Extra,
    /// Those of accounts that hold several first, then any.
    Any,
    /// Those of the other stores of the same account, which has reached its own bound.
    Siblings,
    /// None: the store has reached a bound of its own.
    None,
}

impl<T> FairQueue<T> {
    /// A queue for so many instances, of which a quarter, and at least one, is the reserve for first instances.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(FairQueue {
            most: limit,
            waiting: AtomicUsize::new(0),
            state: Mutex::new(State {
                limit,
                used: 0,
                extra: 0,
                accounts: HashMap::new(),
                by_claim: HashMap::new(),
                queue: BTreeSet::new(),
                next_account: 0,
                next_store: 0,
                next_ticket: 0,
                grants: 0,
            }),
        })
    }

    /// A store's share, with a claim that all stores of its tenant have, or without.
    pub(crate) fn register(self: &Arc<Self>, claim: Option<Arc<dyn Claim>>) -> Arc<FairShare<T>> {
        let mut state = self.state();
        let store = state.next_store;
        state.next_store += 1;
        let key = claim.as_ref().map(address);
        let known = key.and_then(|key| state.by_claim.get(&key).copied());
        let account = known.unwrap_or(state.next_account);
        if let Some(known) = known.and_then(|known| state.accounts.get_mut(&known)) {
            known.shares += 1;
        } else {
            state.next_account += 1;
            state.by_claim.extend(key.map(|key| (key, account)));
            let served = state.grants;
            let new = Account { claim, shares: 1, held: 0, served, calls: VecDeque::new(), queued: None };
            state.accounts.insert(account, new);
        }
        drop(state);
        Arc::new(FairShare { queue: self.clone(), account, store })
    }

    /// Permits at once now.
    pub(crate) fn limit(&self) -> usize {
        self.state().limit
    }

    /// Allows as many permits as there are now but for one, of which the instance could not be made. False, and no change,
    /// where that is the only one.
    pub(crate) fn lower_limit(&self) -> bool {
        let mut state = self.state();
        let others = state.used.saturating_sub(1);
        if others > 0 {
            state.limit = state.limit.min(others);
        }
        others > 0
    }

    /// Allows one permit more again, up to as many as there were to begin with.
    pub(crate) fn raise_limit(&self) {
        let mut state = self.state();
        if state.limit == self.most {
            return;
        }
        state.limit += 1;
        let served = self.serve(&mut state);
        drop(state);
        FairQueue::send(served);
    }

    /// Whether calls wait.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    /// The number of calls that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an account may have one more now, apart from others that wait.
    fn admits(&self, state: &State<T>, account: &Account<T>) -> bool {
        if !account.has_room() {
            return false;
        }
        if account.held == 0 || state.used >= state.limit {
            return state.used < state.limit;
        }
        let free = state.shared().saturating_sub(state.extra);
        let alone = state.accounts.len() < 2;
        free > 0 && (alone || account.held - 1 < free.saturating_mul(SHARE_OF_FREE).saturating_mul(account.weight()))
    }

    /// The account to be served now.
    fn next(&self, state: &mut State<T>) -> Option<u64> {
        loop {
            let &(_, _, id) = state.queue.first()?;
            let account = state.accounts.get(&id)?;
            if account.has_room() {
                // If the first may not have one more, none may: it is the one that holds the least.
                return self.admits(state, account).then_some(id);
            }
            // It has reached a bound of its own since it was queued, and leaves the queue.
            state.adjust(id, |_| {});
        }
    }

    /// Grants permits to calls that wait. They are sent once the lock is released: dropping an unclaimed permit takes it.
    fn serve(&self, state: &mut State<T>) -> Vec<Entry<T>> {
        let mut served = Vec::new();
        while let Some(id) = self.next(state) {
            let Some(entry) = self.pop(state, id) else { break };
            state.adjust(id, |account| account.held += 1);
            served.push(entry);
        }
        served
    }

    /// Takes an account's first call off the queue.
    fn pop(&self, state: &mut State<T>, id: u64) -> Option<Entry<T>> {
        self.pop_first(state, id, |_| true)
    }

    /// Takes the first call of an account for which this holds off the queue.
    fn pop_first(&self, state: &mut State<T>, id: u64, wanted: impl Fn(&Entry<T>) -> bool) -> Option<Entry<T>> {
        state.grants += 1;
        let grants = state.grants;
        let mut entry = None;
        state.adjust(id, |account| {
            account.served = grants;
            let place = account.calls.iter().position(wanted);
            entry = place.and_then(|place| account.calls.remove(place));
        });
        self.waiting.fetch_sub(usize::from(entry.is_some()), Relaxed);
        entry
    }

    fn send(served: Vec<Entry<T>>) {
        for Entry { share, sender, .. } in served {
            // Who is gone leaves the permit to the next: it is dropped here.
            drop(sender.send(Grant::Permit(FairPermit { share })));
        }
    }
}

impl<T> State<T> {
    /// Permits at once beyond the first of each account.
    fn shared(&self) -> usize {
        let reserve = if self.limit > 1 { (self.limit / 4).max(1) } else { 0 };
        self.limit.saturating_sub(1 + reserve)
    }

    /// Changes an account, and what follows from it.
    fn adjust(&mut self, id: u64, change: impl FnOnce(&mut Account<T>)) {
        let Some(account) = self.accounts.get_mut(&id) else { return };
        let held = account.held;
        change(account);
        if let Some(rank) = account.queued.take() {
            self.queue.remove(&rank);
        }
        account.queued = account.rank(id);
        self.queue.extend(account.queued);
        self.used = self.used - held + account.held;
        self.extra = self.extra - held.saturating_sub(1) + account.held.saturating_sub(1);
    }
}

impl<T> Account<T> {
    fn weight(&self) -> usize {
        self.claim.as_ref().map_or(1, |claim| claim.weight().max(1))
    }

    /// Whether its own bounds allow it one more.
    fn has_room(&self) -> bool {
        self.held == 0 || self.claim.as_ref().is_none_or(|claim| claim.has_room(self.held))
    }

    /// Its place in the queue; none where no call waits, or waits for the account's own bounds.
    fn rank(&self, id: u64) -> Option<Rank> {
        let waits = !self.calls.is_empty() && self.has_room();
        waits.then(|| (self.held.saturating_mul(SCALE) / self.weight(), self.served, id))
    }
}

/// One store's share of the instances.
pub(crate) struct FairShare<T> {
    queue: Arc<FairQueue<T>>,
    account: u64,
    store: u64,
}

impl<T> FairShare<T> {
    /// A permit, where no call has to wait for it.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<FairPermit<T>> {
        let mut state = self.queue.state();
        let account = state.accounts.get(&self.account)?;
        if !state.queue.is_empty() || !self.queue.admits(&state, account) {
            return None;
        }
        state.grants += 1;
        let served = state.grants;
        state.adjust(self.account, |account| {
            account.held += 1;
            account.served = served;
        });
        Some(FairPermit { share: self.clone() })
    }

    /// Waits for a permit, or for an instance of the same store that becomes idle.
    pub(crate) fn acquire(self: &Arc<Self>) -> Acquire<T> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.queue.state();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let entry = Entry { ticket, share: self.clone(), sender };
        state.adjust(self.account, |account| account.calls.push_back(entry));
        self.queue.waiting.fetch_add(1, Relaxed);
        let served = self.queue.serve(&mut state);
        drop(state);
        FairQueue::send(served);
        Acquire { share: self.clone(), ticket, receiver }
    }

    /// Whether the store's account holds several.
    pub(crate) fn holds_several(&self) -> bool {
        self.held() > 1
    }

    /// The number of permits that the store's account holds.
    pub(crate) fn held(&self) -> usize {
        self.queue.state().accounts.get(&self.account).map_or(0, |account| account.held)
    }

    /// Whether the account's own bounds allow it no more.
    pub(crate) fn is_at_own_bound(&self) -> bool {
        self.queue.state().accounts.get(&self.account).is_some_and(|account| !account.has_room())
    }

    /// Whether it is the share of another store of the same account.
    pub(crate) fn is_sibling(&self, other: &Self) -> bool {
        self.account == other.account && self.store != other.store
    }

    /// Which idle instances, given up, would let this store have one more.
    pub(crate) fn evictable(&self) -> Evictable {
        let state = self.queue.state();
        let Some(account) = state.accounts.get(&self.account) else { return Evictable::None };
        if !account.has_room() {
            return if account.shares > 1 { Evictable::Siblings } else { Evictable::None };
        }
        let full = state.used >= state.limit;
        if full && (account.held == 0 || state.extra < state.shared()) { Evictable::Any } else { Evictable::Extra }
    }

    /// Offers an idle instance of this store to calls that wait: returns it, to be kept, where no call
    /// needs it, else hands it to the store's next call, or drops it where another store is to be served before.
    pub(crate) fn offer(&self, mut instance: T) -> Option<T> {
        loop {
            let mut state = self.queue.state();
            // A call that waits for its account's own bounds is not in the queue.
            let waits = state.accounts.get(&self.account).is_some_and(|account| !account.calls.is_empty());
            if state.queue.is_empty() && !waits {
                return Some(instance);
            }
            // Who would be served if this one were gone?
            state.adjust(self.account, |account| account.held = account.held.saturating_sub(1));
            let next = self.queue.next(&mut state);
            state.adjust(self.account, |account| account.held += 1);
            if next.is_some_and(|id| id != self.account) {
                return None;
            }
            let is_own = |entry: &Entry<T>| entry.share.store == self.store;
            let Some(account) = state.accounts.get(&self.account) else { return Some(instance) };
            // Without it, the account may have room for a call of another of its stores, which waits for longer.
            if account.calls.front().is_some_and(|first| !is_own(first)) && (next.is_some() || !account.has_room()) {
                return None;
            }
            let own = self.queue.pop_first(&mut state, self.account, is_own);
            let Some(Entry { sender, .. }) = own else { return Some(instance) };
            drop(state);
            match sender.send(Grant::Instance(instance)) {
                Err(Grant::Instance(unwanted)) => instance = unwanted,
                _ => return None,
            }
        }
    }
}

impl<T> Drop for FairShare<T> {
    fn drop(&mut self) {
        // Its calls and permits hold it: there are none.
        let mut state = self.queue.state();
        if let Some(account) = state.accounts.get_mut(&self.account) {
            account.shares -= 1;
            if account.shares == 0
                && let Some(Account { claim: Some(claim), .. }) = state.accounts.remove(&self.account)
            {
                state.by_claim.remove(&address(&claim));
            }
        }
        // An account that is alone may have more.
        let served = self.queue.serve(&mut state);
        drop(state);
        FairQueue::send(served);
    }
}

/// A call that waits for an instance. Dropping it gives its place up, and what it was granted.
pub(crate) struct Acquire<T> {
    share: Arc<FairShare<T>>,
    ticket: u64,
    receiver: oneshot::Receiver<Grant<T>>,
}

impl<T> Acquire<T> {
    /// What it was granted, if it was.
    pub(crate) fn try_take(&mut self) -> Option<Grant<T>> {
        self.receiver.try_recv().ok()
    }
}

impl<T> Future for Acquire<T> {
    type Output = Grant<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Grant<T>> {
        match Pin::new(&mut self.receiver).poll(cx) {
            Poll::Ready(Ok(grant)) => Poll::Ready(grant),
            // A sender is dropped only with the call's place in the queue, which is given up by dropping this.
            _ => Poll::Pending,
        }
    }
}

impl<T> Drop for Acquire<T> {
    fn drop(&mut self) {
        let mut state = self.share.queue.state();
        let mut entry = None;
        let ticket = self.ticket;
        state.adjust(self.share.account, |account| {
            if let Ok(place) = account.calls.binary_search_by_key(&ticket, |entry| entry.ticket) {
                entry = account.calls.remove(place);
            }
        });
        self.share.queue.waiting.fetch_sub(usize::from(entry.is_some()), Relaxed);
        // The first in the queue may have been one that could not be served, and the next can.
        let served = self.share.queue.serve(&mut state);
        drop(state);
        drop(entry);
        FairQueue::send(served);
    }
}

/// The right to one instance, for as long as it lives.
pub(crate) struct FairPermit<T> {
    share: Arc<FairShare<T>>,
}

impl<T> Drop for FairPermit<T> {
    fn drop(&mut self) {
        let queue = &self.share.queue;
        let mut state = queue.state();
        state.adjust(self.share.account, |account| account.held = account.held.saturating_sub(1));
        let served = queue.serve(&mut state);
        drop(state);
        FairQueue::send(served);
    }
}

/// The address of a claim, which identifies it.
fn address(claim: &Arc<dyn Claim>) -> usize {
    Arc::as_ptr(claim).cast::<()>().addr()
}

#[cfg(test)]
mod tests;
