use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures::FutureExt;
use proptest::prelude::*;

use super::*;

type Share = Arc<FairShare<u32>>;
type Permit = FairPermit<u32>;

/// A store's bound on its permits, which may change, and its weight.
struct Bounds {
    weight: usize,
    most: AtomicUsize,
}

impl Claim for Bounds {
    fn weight(&self) -> usize {
        self.weight
    }

    fn has_room(&self, held: usize) -> bool {
        held < self.most.load(Relaxed)
    }
}

fn bounds(weight: usize, most: usize) -> Arc<Bounds> {
    Arc::new(Bounds { weight, most: AtomicUsize::new(most) })
}

fn weight(weight: usize) -> Option<Arc<dyn Claim>> {
    (weight > 1).then(|| -> Arc<dyn Claim> { bounds(weight, usize::MAX) })
}

fn take(share: &Share) -> Permit {
    share.try_acquire().expect("a permit")
}

fn take_all(share: &Share) -> Vec<Permit> {
    std::iter::from_fn(|| share.try_acquire()).collect()
}

fn permit(call: &mut Acquire<u32>) -> Option<Permit> {
    match call.try_take() {
        Some(Grant::Permit(permit)) => Some(permit),
        Some(Grant::Instance(_)) => panic!("an instance where a permit was expected"),
        None => None,
    }
}

fn used(queue: &Arc<FairQueue<u32>>) -> usize {
    queue.state().used
}

#[test]
fn reserve_is_left_to_first_instances() {
    let queue = FairQueue::new(1024);
    let noisy: Vec<Share> = (0..16).map(|_| queue.register(weight(1))).collect();
    let mut held: Vec<Permit> =
        noisy.iter().flat_map(|share| std::iter::from_fn(|| share.try_acquire()).take(64)).collect();
    assert!(noisy[0].holds_several() && held.len() <= 16 + queue.state().shared());
    // Each store that holds none gets one, as many as the reserve has.
    let others: Vec<Share> = (0..256 - 16).map(|_| queue.register(weight(1))).collect();
    held.extend(others.iter().map(take));
    assert!(used(&queue) <= 1024);
    drop(held);
    assert_eq!(used(&queue), 0);
}

#[test]
fn a_lone_store_takes_all_but_the_reserve() {
    for (limit, most) in [(1, 1), (2, 1), (3, 2), (4, 3), (64, 48), (1024, 768)] {
        let queue = FairQueue::new(limit);
        let share = queue.register(weight(1));
        assert_eq!(take_all(&share).len(), most, "of {limit}");
    }
}

#[test]
fn twelve_noisy_stores_leave_shared_instances_to_the_next() {
    let queue = FairQueue::new(1024);
    let noisy: Vec<Share> = (0..12).map(|_| queue.register(weight(1))).collect();
    let mut held: Vec<Vec<Permit>> = noisy.iter().map(|_| Vec::new()).collect();
    // As much as they get, and as evenly as they ask.
    while noisy.iter().zip(&mut held).fold(false, |more, (share, held)| {
        let permit = share.try_acquire();
        let got = permit.is_some();
        held.extend(permit);
        more || got
    }) {}
    let next = queue.register(weight(1));
    let several = take_all(&next);
    assert!(several.len() >= 8, "the next store gets {}", several.len());
    // Waiting, it is served first until it has as many as they.
    let mut waiting: Vec<Acquire<u32>> = noisy.iter().map(|share| share.acquire()).collect();
    let mut nexts: Vec<Acquire<u32>> = (0..60).map(|_| next.acquire()).collect();
    let mut got = Vec::new();
    while several.len() + got.len() < held.iter().map(Vec::len).max().unwrap() - 1 {
        let most = held.iter_mut().max_by_key(|held| held.len()).unwrap();
        drop(most.pop());
        let granted: Vec<Permit> = nexts.iter_mut().filter_map(permit).collect();
        assert!(waiting.iter_mut().all(|call| permit(call).is_none()), "a store that has more was served first");
        got.extend(granted);
    }
}

#[test]
fn calls_of_a_store_are_served_in_order_and_stores_in_turn() {
    let queue = FairQueue::new(1);
    let (a, b, c) = (queue.register(weight(1)), queue.register(weight(1)), queue.register(weight(1)));
    let mut held = Some(take(&a));
    let mut calls: Vec<(&str, Acquire<u32>)> =
        vec![("a1", a.acquire()), ("a2", a.acquire()), ("b1", b.acquire()), ("b2", b.acquire()), ("c1", c.acquire())];
    let mut order = Vec::new();
    while held.take().is_some() {
        calls.retain_mut(|(name, call)| {
            let granted = permit(call);
            order.extend(granted.is_some().then_some(*name));
            held = held.take().or(granted);
            order.last() != Some(name)
        });
    }
    assert_eq!(order, ["b1", "c1", "a1", "b2", "a2"]);
}

#[test]
fn weight_decides_who_has_fewer() {
    let queue = FairQueue::new(40);
    let (light, heavy) = (queue.register(weight(1)), queue.register(weight(3)));
    let all = queue.register(weight(1));
    let mut others = take_all(&all);
    let mut calls: Vec<(bool, Acquire<u32>)> =
        (0..30).flat_map(|_| [(true, heavy.acquire()), (false, light.acquire())]).collect();
    let mut held = Vec::new();
    for _ in 0..16 {
        drop(others.pop());
        for (is_heavy, call) in &mut calls {
            held.extend(permit(call).map(|permit| (*is_heavy, permit)));
        }
    }
    let heavies = held.iter().filter(|(heavy, _)| *heavy).count();
    let lights = held.len() - heavies;
    assert!((2 * lights..=4 * lights).contains(&heavies), "{heavies} to {lights}");
}

#[test]
fn idle_instance_goes_to_the_stores_own_call_or_makes_way_for_another_store() {
    let queue = FairQueue::new(2);
    let (a, b) = (queue.register(weight(1)), queue.register(weight(1)));
    let _held = [take(&a), take(&b)];
    assert_eq!(a.offer(7), Some(7), "nobody waits");
    let mut own = a.acquire();
    assert_eq!(a.offer(8), None);
    assert!(matches!(own.try_take(), Some(Grant::Instance(8))));
    // A store that has none comes first; one that has another one does not.
    let mut own = a.acquire();
    let several = b.acquire();
    assert_eq!(a.offer(9), None);
    assert!(matches!(own.try_take(), Some(Grant::Instance(9))));
    drop(several);
    let none = queue.register(weight(1));
    let _none = none.acquire();
    assert_eq!(a.offer(10), None, "it is dropped");
    assert_eq!((a.evictable(), none.evictable()), (Evictable::Extra, Evictable::Any));
}

#[test]
fn dropped_calls_leave_no_permit_behind() {
    let queue = FairQueue::new(1);
    let (a, b) = (queue.register(weight(1)), queue.register(weight(1)));
    let held = take(&a);
    let (first, second, mut third) = (b.acquire(), b.acquire(), b.acquire());
    drop(first);
    drop(held);
    // It has been granted to the second, which never looks.
    assert!(third.try_take().is_none());
    drop(second);
    assert!(permit(&mut third).is_some());
    assert!(!queue.has_waiting());
    drop(third);
    assert_eq!(used(&queue), 0);
    drop((a, b));
    assert!(queue.state().accounts.is_empty());
}

#[derive(Clone, Debug)]
enum Action {
    Register,
    Take(usize),
    Wait(usize),
    Release(usize),
    Offer(usize),
    Drop(usize),
    Collect,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        1 => Just(Action::Register),
        4 => any::<usize>().prop_map(Action::Take),
        8 => any::<usize>().prop_map(Action::Wait),
        8 => any::<usize>().prop_map(Action::Release),
        4 => any::<usize>().prop_map(Action::Offer),
        4 => any::<usize>().prop_map(Action::Drop),
        2 => Just(Action::Collect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever calls do, permits are neither lost nor too many, and nobody waits for one that is free.
    #[test]
    fn permits_add_up(limit in 1..12usize, actions in prop::collection::vec(action(), 0..200)) {
        let queue: Arc<FairQueue<u32>> = FairQueue::new(limit);
        let mut shares: Vec<Share> = vec![queue.register(weight(1))];
        let mut claims: Vec<Arc<dyn Claim>> = Vec::new();
        let mut held: Vec<Permit> = Vec::new();
        let mut calls: Vec<Acquire<u32>> = Vec::new();
        for action in actions {
            match action {
                Action::Register => {
                    // A quarter of the stores have a bound of their own, or one together with another store.
                    let own = (shares.len() % 4 == 3).then(|| -> Arc<dyn Claim> { bounds(1, 2) });
                    let own = if shares.len() % 8 == 7 { claims.last().cloned() } else { own };
                    claims.extend(own.clone());
                    shares.push(queue.register(own.or_else(|| weight(1 + shares.len() % 3))));
                },
                Action::Take(n) => held.extend(shares[n % shares.len()].try_acquire()),
                Action::Wait(n) => calls.push(shares[n % shares.len()].acquire()),
                Action::Release(n) if !held.is_empty() => drop(held.swap_remove(n % held.len())),
                Action::Offer(n) if !held.is_empty() => {
                    // Its call ended; the permit stays with the instance, if that is handed over.
                    let permit = held.swap_remove(n % held.len());
                    let share = permit.share.clone();
                    let mut before: Vec<usize> = Vec::new();
                    before.extend(calls.iter().map(|call| call.ticket as usize));
                    let kept = share.offer(1);
                    let handed = calls.iter_mut().position(|call| matches!(call.receiver.try_recv(), Ok(Grant::Instance(_))));
                    match (kept, handed) {
                        (Some(_), None) => held.push(permit),
                        (None, Some(place)) => {
                            held.push(permit);
                            drop(calls.swap_remove(place));
                        }
                        (None, None) => drop(permit),
                        (Some(_), Some(_)) => prop_assert!(false, "it was kept and handed over"),
                    }
                }
                Action::Drop(n) if !calls.is_empty() => drop(calls.swap_remove(n % calls.len())),
                Action::Collect => calls.retain_mut(|call| match call.try_take() {
                    Some(Grant::Permit(permit)) => {
                        held.push(permit);
                        false
                    }
                    _ => true,
                }),
                _ => {}
            }
            let mut state = queue.state();
            prop_assert!(state.used <= limit);
            let sum: usize = state.accounts.values().map(|account| account.held).sum();
            let extra: usize = state.accounts.values().map(|account| account.held.saturating_sub(1)).sum();
            prop_assert_eq!((sum, extra), (state.used, state.extra));
            prop_assert!(extra <= state.shared());
            let waiting: usize = state.accounts.values().map(|account| account.calls.len()).sum();
            prop_assert_eq!(waiting, queue.waiting.load(Relaxed));
            prop_assert_eq!(queue.next(&mut state), None, "a call waits for what is free");
            for (id, account) in &state.accounts {
                prop_assert!(account.held <= 2 || account.claim.as_ref().is_none_or(|claim| claim.has_room(2)));
                prop_assert_eq!(account.calls.is_empty() || !account.has_room(), account.rank(*id).is_none_or(|rank| !state.queue.contains(&rank)));
            }
        }
        drop((calls, held));
        prop_assert_eq!(used(&queue), 0);
        prop_assert!(!queue.has_waiting());
        drop(shares);
        prop_assert!(queue.state().accounts.is_empty() && queue.state().by_claim.is_empty());
    }
}

/// Calls of many stores on several threads, a part of which is aborted while it waits or holds a permit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn aborted_calls_under_load_lose_no_permit() {
    let queue: Arc<FairQueue<u32>> = FairQueue::new(5);
    let shares: Vec<Share> = (0..7).map(|_| queue.register(weight(1))).collect();
    let mut tasks = Vec::new();
    for call in 0..3000usize {
        let share = shares[call % shares.len()].clone();
        tasks.push(tokio::spawn(async move {
            let _held = share.acquire().await;
            if call % 5 == 0 {
                tokio::time::sleep(Duration::from_micros(50)).await;
            } else {
                tokio::task::yield_now().await;
            }
        }));
        if call % 3 == 0 {
            tasks[call * 7 / 8].abort();
            tokio::task::yield_now().await;
        }
    }
    let all = futures::future::join_all(tasks);
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("every call is served");
    assert_eq!(used(&queue), 0);
    assert!(queue.register(weight(1)).acquire().now_or_never().is_some());
}

#[test]
fn permit_whose_instance_cannot_be_made_lowers_the_limit_until_it_is_raised() {
    let queue = FairQueue::new(64);
    let (first, second) = (queue.register(weight(1)), queue.register(weight(1)));
    // The only one: there is nothing to wait for.
    let only = take(&first);
    assert!(!queue.lower_limit());
    assert_eq!(queue.limit(), 64);
    let failed = take(&second);
    assert!(queue.lower_limit());
    // The permit that comes back goes to nobody.
    let mut waiting = second.acquire();
    drop(failed);
    assert!(permit(&mut waiting).is_none() && second.try_acquire().is_none());
    assert_eq!((queue.limit(), used(&queue)), (1, 1));
    // An instance that is given up lets it go on.
    drop(only);
    let held = permit(&mut waiting).expect("the permit that came back");
    // And so does another one that is allowed.
    let mut next = first.acquire();
    assert!(permit(&mut next).is_none());
    queue.raise_limit();
    drop(permit(&mut next).expect("the permit that was added"));
    drop(held);
    (0..100).for_each(|_| queue.raise_limit());
    assert_eq!((queue.limit(), used(&queue)), (64, 0));
}

#[test]
fn store_at_its_own_bound_waits_for_its_own_permits_and_holds_up_no_other() {
    let queue = FairQueue::new(8);
    let own = bounds(1, 2);
    let (bounded, other): (Share, Share) = (queue.register(Some(own.clone())), queue.register(None));
    let mut held = [take(&bounded), take(&bounded)].map(Some);
    assert!(bounded.try_acquire().is_none());
    assert_eq!((bounded.evictable(), other.evictable()), (Evictable::None, Evictable::Extra));
    let (mut first, mut second) = (bounded.acquire(), bounded.acquire());
    assert!(queue.has_waiting() && permit(&mut first).is_none());
    // Others are served as if nobody waited.
    let others = [take(&other), take(&other)];
    drop(others);
    // An instance of its own that becomes idle goes to its next call.
    assert!(bounded.offer(7).is_none());
    assert!(matches!(first.try_take(), Some(Grant::Instance(7))));
    held[0] = None;
    let third = permit(&mut second).expect("a permit of its own");
    assert!(bounded.try_acquire().is_none());
    // A bound that was lowered holds as permits come back; one that was raised, with the next change.
    let mut waiting = bounded.acquire();
    own.most.store(1, Relaxed);
    drop(third);
    assert!(permit(&mut waiting).is_none());
    own.most.store(2, Relaxed);
    drop(bounded.acquire());
    assert!(permit(&mut waiting).is_some());
}

#[test]
fn store_whose_bound_is_reached_while_it_is_queued_leaves_the_queue() {
    let queue = FairQueue::new(2);
    let own = bounds(1, 2);
    let (bounded, other): (Share, Share) = (queue.register(Some(own.clone())), queue.register(None));
    let (one, two) = (take(&bounded), take(&other));
    let (mut first, mut second) = (bounded.acquire(), other.acquire());
    own.most.store(1, Relaxed);
    drop(two);
    assert!(permit(&mut first).is_none());
    let third = permit(&mut second).expect("the other store is served");
    drop((one, third));
    assert!(permit(&mut first).is_some());
}

#[test]
fn stores_of_one_tenant_share_its_bound_its_weight_and_its_first_permit() {
    let queue = FairQueue::new(8);
    let claim: Arc<dyn Claim> = bounds(1, 2);
    let of_tenant = || -> Share { queue.register(Some(claim.clone())) };
    let (old, new, other): (Share, Share, Share) = (of_tenant(), of_tenant(), queue.register(None));
    let mut held = [take(&old), take(&old)].map(Some);
    assert!(new.try_acquire().is_none() && new.is_at_own_bound() && new.held() == 2);
    // What the old store has idle makes way; while it has none, the call waits, and others do not.
    assert_eq!(new.evictable(), Evictable::Siblings);
    assert!(old.is_sibling(&new) && !old.is_sibling(&old) && !other.is_sibling(&new));
    let mut waiting = new.acquire();
    assert!(permit(&mut waiting).is_none());
    drop((take(&other), take(&other)));
    // An instance of the old store that becomes idle is no use to the new one.
    assert_eq!(old.offer(7), None);
    held[0] = None;
    let third = permit(&mut waiting).expect("the permit of the instance that was dropped");
    // Calls of both wait in one line.
    let (mut first, mut second) = (old.acquire(), new.acquire());
    drop(third);
    held[0] = permit(&mut first);
    assert!(held[0].is_some() && permit(&mut second).is_none());
    assert_eq!(old.offer(8), None);
    held[1] = None;
    assert!(permit(&mut second).is_some());
    drop(held);
    // A tenant's account goes with its last store.
    drop((old, first, second, waiting));
    assert_eq!(new.held(), 0);
    assert_eq!(queue.state().accounts.len(), 2);
    drop(new);
    assert!(queue.state().by_claim.is_empty());
    assert_eq!(queue.state().accounts.len(), 1);
}

#[test]
fn many_stores_of_one_tenant_get_no_more_than_one() {
    let queue = FairQueue::new(1);
    let (claim, other): (Arc<dyn Claim>, Share) = (bounds(1, usize::MAX), queue.register(None));
    let stores: Vec<Share> = (0..9).map(|_| queue.register(Some(claim.clone()))).collect();
    let mut held = Some(take(&other));
    let mut calls: Vec<(bool, Acquire<u32>)> = stores.iter().map(|store| (false, store.acquire())).collect();
    calls.extend((0..9).map(|_| (true, other.acquire())));
    let mut order = Vec::new();
    while held.take().is_some() {
        calls.retain_mut(|(is_other, call)| {
            let granted = permit(call);
            let is_served = granted.is_some();
            order.extend(is_served.then_some(*is_other));
            held = held.take().or(granted);
            !is_served
        });
    }
    let expected: Vec<bool> = (0..18).map(|n| n % 2 == 1).collect();
    assert_eq!(order, expected);
}
