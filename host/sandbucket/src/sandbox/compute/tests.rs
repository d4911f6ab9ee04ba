use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::AtomicBool;

use futures::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::limits::Budget;

/// Computes for some slices, each of which ends as if it were interrupted.
async fn slices(share: &ComputeShare, count: usize, mut each: impl FnMut()) {
    let mut call = ComputeCall::new(share, 1);
    let mut left = count;
    poll_fn(|cx| {
        call.poll(cx, |cx| {
            thread::sleep(SHORT * 2);
            each();
            left -= 1;
            cx.waker().wake_by_ref();
            (if left == 0 { Poll::Ready(()) } else { Poll::Pending }, SHORT * 2)
        })
    })
    .await;
}

fn idle(compute: &Compute) -> bool {
    let state = compute.state();
    let permits = state.stores.values().all(|permits| permits.running == 0 && permits.calls.is_empty());
    permits && state.running == 0 && state.waiting == 0 && state.queue.is_empty() && state.granted.is_empty()
}

#[tokio::test]
async fn short_calls_need_no_permit() {
    let compute = Compute::new();
    let share = compute.register(1, None);
    for _ in 0..1000 {
        let mut call = ComputeCall::new(&share, 1);
        poll_fn(|cx| call.poll(cx, |_| (Poll::Ready(()), SHORT))).await;
    }
    assert!(idle(&compute) && share.limited_until.load(Relaxed) == 0);
}

/// The tick is slow while nothing computes, and must not let the first slice last longer than others.
#[tokio::test]
async fn ticker_is_unparked_when_calls_begin_to_compute() {
    let compute = Compute::new();
    let share = compute.register(1, None);
    let ticker = thread::spawn({
        let compute = compute.clone();
        move || {
            let long = Duration::from_secs(60);
            let began = Instant::now();
            while !compute.is_active() && began.elapsed() < long {
                thread::park_timeout(long);
            }
            began.elapsed() < long
        }
    });
    compute.set_ticker(ticker.thread().clone());
    share.charge(MOST_LIMITED);
    let mut computes = pin!(slices(&share, 2, || ()));
    // It waits for its permit, which nobody takes from it.
    assert!(computes.as_mut().now_or_never().is_none());
    assert!(ticker.join().unwrap());
    computes.await;
    assert!(idle(&compute));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn long_calls_are_bounded_for_each_store_and_for_all_together() {
    let compute = Compute::new();
    let running: Arc<Vec<AtomicUsize>> = Arc::new((0..4).map(|_| AtomicUsize::new(0)).collect());
    let most = Arc::new(AtomicUsize::new(0));
    let shares: Vec<_> = (0..4).map(|_| compute.register(2, None)).collect();
    shares.iter().for_each(|share| share.charge(MOST_LIMITED));
    let tasks: Vec<_> = (0..64usize)
        .map(|n| {
            let (running, most, share) = (running.clone(), most.clone(), shares[n % 4].clone());
            tokio::spawn(async move {
                let mut call = ComputeCall::new(&share, 1);
                let mut left = 5;
                poll_fn(|cx| {
                    call.poll(cx, |cx| {
                        assert!(running[n % 4].fetch_add(1, Relaxed) < 2, "a store computes more than twice at once");
                        most.fetch_max(running.iter().map(|running| running.load(Relaxed)).sum(), Relaxed);
                        thread::sleep(SHORT * 3);
                        running[n % 4].fetch_sub(1, Relaxed);
                        left -= 1;
                        cx.waker().wake_by_ref();
                        (if left == 0 { Poll::Ready(()) } else { Poll::Pending }, SHORT * 3)
                    })
                })
                .await
            })
        })
        .collect();
    let all = futures::future::try_join_all(tasks);
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("all calls end").unwrap();
    let most = most.load(Relaxed);
    assert!(most <= 3, "{most} of 4 workers computed");
    assert!(idle(&compute));
}

#[tokio::test]
async fn stores_compute_in_turn() {
    let compute = Compute::new();
    let shares = [compute.register(1, None), compute.register(1, None)];
    shares.iter().for_each(|share| share.charge(MOST_LIMITED));
    let order = Arc::new(Mutex::new(Vec::new()));
    // Eight calls of the first, and one of the second, which began last.
    let calls = [0, 0, 0, 0, 0, 0, 0, 0, 1].map(|store: usize| {
        let (share, order) = (shares[store].clone(), order.clone());
        tokio::spawn(async move { slices(&share, 4, || order.lock().unwrap().push(store)).await })
    });
    futures::future::try_join_all(calls).await.unwrap();
    let order = order.lock().unwrap().clone();
    let last = order.iter().rposition(|&store| store == 1).unwrap();
    assert!(last < 16, "{order:?}");
    assert!(idle(&compute));
}

#[tokio::test]
async fn stores_compute_by_their_weight() {
    let compute = Compute::new();
    let tenant = Admission::new("alice".into(), Budget::default(), 3);
    let shares = [compute.register(1, Some(tenant)), compute.register(1, None)];
    shares.iter().for_each(|share| share.charge(MOST_LIMITED));
    let order = Arc::new(Mutex::new(Vec::new()));
    let calls = (0..24).map(|call| {
        let (share, order) = (shares[call % 2].clone(), order.clone());
        tokio::spawn(async move { slices(&share, 4, || order.lock().unwrap().push(call % 2)).await })
    });
    futures::future::try_join_all(calls).await.unwrap();
    let order = order.lock().unwrap().clone();
    // While both wait, of four slices the first store gets three.
    let first = order[..40].iter().filter(|&&store| store == 0).count();
    assert!((28..=32).contains(&first), "{first} of 40: {order:?}");
    assert!(idle(&compute));
}

/// All of them wait when the tenant's CPU time is paid, and only the first one's slice is.
#[tokio::test]
async fn calls_of_a_tenant_that_owes_cpu_time_pause_when_their_turn_comes() {
    let compute = Compute::new();
    let tenant = Admission::new("alice".into(), Budget::default().with_cpu_per_second(Duration::from_millis(10)), 1);
    let share = compute.register(1, Some(tenant.clone()));
    share.charge(MOST_LIMITED);
    let begun = std::cell::Cell::new(0);
    let mut calls: Vec<_> = (0..8)
        .map(|_| {
            let mut call = ComputeCall::new(&share, 1);
            let slice = || {
                begun.set(begun.get() + 1);
                (Poll::Ready(()), Duration::from_secs(10))
            };
            Box::pin(poll_fn(move |cx| call.poll(cx, |_| slice())))
        })
        .collect();
    for _ in 0..100 {
        calls.retain_mut(|call| call.now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    assert_eq!((begun.get(), calls.len()), (1, 7));
    tenant.set(Budget::default(), 1);
    futures::future::join_all(calls).await;
    assert!(begun.get() == 8 && idle(&compute));
}

#[tokio::test]
async fn slices_are_brief_while_calls_compute_that_have_paused() {
    let compute = Compute::new();
    let tenant = Admission::new("alice".into(), Budget::default().with_cpu_per_second(Duration::from_millis(100)), 1);
    let share = compute.register(1, Some(tenant.clone()));
    assert_eq!(compute.slice(), SLICE);
    let mut of_slices = Vec::new();
    // The first takes the burst of a second and 10 ms more, for which the call pauses.
    let mut left = [Duration::from_millis(110), Duration::ZERO].into_iter();
    let mut call = ComputeCall::new(&share, 1);
    poll_fn(|cx| {
        call.poll(cx, |cx| {
            of_slices.push(compute.slice());
            cx.waker().wake_by_ref();
            left.next().map_or((Poll::Ready(()), SHORT), |took| (Poll::Pending, took))
        })
    })
    .await;
    assert_eq!(of_slices, [SLICE, BRIEF_SLICE, SLICE]);
    assert_eq!(compute.slice(), SLICE);
}

#[tokio::test]
async fn permit_of_a_call_that_nobody_polls_goes_to_the_next() {
    let compute = Compute::new();
    let shares = [compute.register(1, None), compute.register(1, None)];
    shares.iter().for_each(|share| share.charge(MOST_LIMITED));
    let mut abandoned = pin!(slices(&shares[0], 3, || {}));
    assert!(abandoned.as_mut().now_or_never().is_none());
    assert!(compute.is_active());
    let mut other = pin!(slices(&shares[1], 3, || {}));
    assert!(other.as_mut().now_or_never().is_none());
    thread::sleep(UNCLAIMED * 2);
    compute.expire();
    other.await;
    // Driven again, it goes on.
    abandoned.await;
    assert!(idle(&compute) && !compute.is_active());
}

#[test]
fn store_that_computed_long_is_limited_for_a_second_at_most() {
    let compute = Compute::new();
    let share = compute.register(0, None);
    assert!(!share.is_limited());
    share.charge(Duration::from_millis(5));
    assert!(!share.is_limited(), "it has credit");
    share.charge(Duration::from_secs(1000));
    assert!(share.is_limited());
    assert!(share.limited_until.load(Relaxed) <= share.compute.now() + nanos(MOST_LIMITED));
}

/// What becomes of a call.
#[derive(Clone, Debug)]
struct Fate {
    store: usize,
    slices: usize,
    /// After how many polls it is dropped.
    polls: usize,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Calls are polled and dropped at any point; in the end all permits are back, and all that are driven end.
    #[test]
    fn permits_add_up(
        fates in prop::collection::vec((0..3usize, 1..4usize, 0..6usize), 1..12),
        order in prop::collection::vec(any::<usize>(), 0..60),
    ) {
        let compute = Compute::new();
        let shares = [compute.register(1, None), compute.register(1, None), compute.register(2, None)];
        shares.iter().for_each(|share| share.charge(MOST_LIMITED));
        let fates = fates.into_iter().map(|(store, slices, polls)| Fate { store, slices, polls });
        let mut calls: Vec<_> = fates
            .map(|Fate { store, slices, polls }| {
                let mut call = ComputeCall::new(&shares[store], 1);
                let mut left = slices;
                let future = poll_fn(move |cx| call.poll(cx, |cx| {
                    left -= 1;
                    cx.waker().wake_by_ref();
                    (if left == 0 { Poll::Ready(()) } else { Poll::Pending }, SHORT * 2)
                }));
                (Box::pin(future), polls)
            })
            .collect();
        for n in order {
            if calls.is_empty() {
                break;
            }
            let n = n % calls.len();
            let (call, polls) = &mut calls[n];
            let ended = call.as_mut().now_or_never().is_some();
            *polls = polls.saturating_sub(1);
            if ended || *polls == 0 {
                drop(calls.swap_remove(n));
            }
        }
        let rest = futures::future::join_all(calls.into_iter().map(|(call, _)| call));
        let done = AtomicBool::new(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(30), rest).await.expect("a wake-up was lost");
            done.store(true, Relaxed);
        });
        prop_assert!(done.load(Relaxed));
        prop_assert!(idle(&compute));
    }
}

#[tokio::test]
async fn stores_of_one_tenant_compute_as_one() {
    let compute = Compute::new();
    let tenant = |name: &str| Admission::new(name.into(), Budget::default(), 1);
    let (alice, bob) = (tenant("alice"), tenant("bob"));
    let shares = [(); 2].map(|()| compute.register(1, Some(alice.clone())));
    assert!(Arc::ptr_eq(&shares[0], &shares[1]));
    assert!(!Arc::ptr_eq(&shares[0], &compute.register(1, Some(bob))));
    drop(shares);
    let state = compute.state();
    assert!(state.stores.is_empty() && state.tenants.is_empty());
}

#[tokio::test]
async fn permit_that_is_not_claimed_costs_the_turns_that_others_lost() {
    let compute = Compute::new();
    let (idler, other) = (compute.register(1, None), compute.register(1, None));
    idler.charge(MOST_LIMITED);
    other.charge(MOST_LIMITED);
    // Its permit is kept for it until it expires.
    let mut left = Box::pin(slices(&idler, 1, || ()));
    assert!((&mut left).now_or_never().is_none());
    thread::sleep(UNCLAIMED + Duration::from_millis(20));
    compute.expire();
    drop(left);
    let start = compute.state().stores[&idler.store].start;
    assert_eq!(start, (1 + UNCLAIMED_SLICES) * VIRTUAL_SLICE);
    // So many calls of another store come first, those that begin later as well.
    let served = Mutex::new(Vec::new());
    let named = |name: char| {
        let served = &served;
        move || served.lock().unwrap().push(name)
    };
    let calls = "oioooo".chars().map(|name| slices(if name == 'i' { &idler } else { &other }, 1, named(name)));
    futures::future::join_all(calls).await;
    assert_eq!(served.lock().unwrap().iter().collect::<String>(), "oooooi");
    assert!(idle(&compute));
}
