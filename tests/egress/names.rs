//! Name resolution: how slow, silent and forging name servers affect a store and its neighbours.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::*;
use futures::future::join_all;
use hickory_proto::op::ResponseCode;
use sandbucket_tests::faulty::Faulty;
use sandbucket_tests::{refused, run};
use tokio::time::{sleep, timeout};

/// More than any of these calls takes, even on a slow machine.
const LONG: Duration = Duration::from_secs(60);

/// Every call opens a connection, and resolves its name.
fn unpooled(limits: &mut Limits) {
    limits.idle_connections = 0;
}

/// Time that sequential HEADs take, each by a new store on a new host, without the pauses in between.
async fn heads(engine: &Engine, hosts: &[String], port: u16, pause: Duration) -> Duration {
    let mut took = Duration::ZERO;
    for host in hosts {
        let store = open_private(engine, &format!("http://{host}:{port}")).await;
        let begun = Instant::now();
        store.head("k").await.unwrap_or_else(|error| panic!("{host}: {error}"));
        took += begun.elapsed();
        sleep(pause).await;
    }
    took
}

#[test]
fn names_without_a_response_do_not_delay_others() {
    run(async {
        let names = NameServer::start(|name| match name {
            name if name.ends_with("quick.test") => Reply::here(),
            _ => Reply::Nothing,
        })
        .await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let engine = engine(&names, |_| {});
        let hosts = |of: &str| -> Vec<String> { (0..10).map(|n| format!("n{n}.{of}{n}-quick.test")).collect() };
        let idle = heads(&engine, &hosts("idle"), server.port(), Duration::ZERO).await;
        // Fewer domains than names, and more than the places for slow lookups. As many calls would take all 512 threads of
        // tokio's blocking pool.
        let mut slow = Vec::new();
        for n in 0..60 {
            slow.push(engine.store(once(&format!("http://s3.slow{n}.test:9"))).await.expect("the store opens"));
        }
        let waiting = tokio::spawn(async move {
            join_all(slow.iter().map(|store| async { join_all((0..16).map(|_| unreached(store))).await })).await
        });
        // Lasts some seconds, so that the slow lookups pass through every stage.
        let busy = heads(&engine, &hosts("busy"), server.port(), Duration::from_millis(300)).await;
        let literal = heads(&engine, &["127.0.0.1".to_owned()], server.port(), Duration::ZERO).await;
        // The first lookups may wait for slow ones to leave the fast lane.
        assert!(busy < 20 * idle + Duration::from_secs(4), "{busy:?} beside slow names, {idle:?} without");
        assert!(literal < Duration::from_secs(4), "{literal:?}");
        let outcomes = timeout(LONG, waiting).await.expect("the slow lookups end").unwrap();
        let outcomes = outcomes.into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(outcomes.len(), 960);
        assert!(outcomes.iter().all(|outcome| outcome.contains("could not be resolved")), "{outcomes:?}");
    });
}

#[test]
fn full_blocking_pool_does_not_delay_lookups() {
    let names = run(NameServer::start(|_| Reply::here()));
    let server = run(Faulty::start([]));
    server.keep(PATH, "here");
    let engine = engine(&names, |_| {});
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let head = runtime.block_on(async {
        let _stuck = tokio::task::spawn_blocking(move || blocked.recv());
        let store = open_private(&engine, &format!("http://quick.test:{}", server.port())).await;
        timeout(LONG, async { store.head("k").await }).await
    });
    drop(release);
    head.expect("the name waits for the blocking pool").expect("a head");
}

#[test]
fn lookup_does_not_wait_for_a_missing_ipv6_response() {
    run(async {
        let names = NameServer::start(|_| Reply::OnlyIpv4).await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let engine = engine(&names, |_| {});
        let took = heads(&engine, &["four.test".to_owned()], server.port(), Duration::ZERO).await;
        assert!(took < Duration::from_secs(4), "{took:?}");
    });
}

#[test]
fn names_of_one_domain_do_not_use_up_all_lookups() {
    run(async {
        let names = NameServer::start(|name| match name {
            name if name.ends_with("quick.test") => Reply::here(),
            _ => Reply::Nothing,
        })
        .await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let engine = engine(&names, |_| {});
        let mut slow = Vec::new();
        for n in 0..60 {
            slow.push(engine.store(once(&format!("http://n{n}.slow.test:9"))).await.expect("the store opens"));
        }
        let waiting = tokio::spawn(async move { join_all(slow.iter().map(unreached)).await });
        sleep(Duration::from_millis(100)).await;
        let took = heads(&engine, &["a.quick.test".to_owned()], server.port(), Duration::ZERO).await;
        assert!(!waiting.is_finished() && took < Duration::from_secs(4), "{took:?}");
        waiting.abort();
    });
}

#[test]
fn concurrent_calls_of_several_runtimes_share_one_query() {
    run(async {
        let names = NameServer::start(|_| Reply::Late(Duration::from_millis(300), vec![[127, 0, 0, 1].into()])).await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let engine = engine(&names, |limits| limits.instances_per_store = 128);
        let store = open_private(&engine, &format!("http://one.test:{}", server.port())).await;
        let heads = async |store: Store| {
            for outcomes in join_all((0..32).map(|_| async { store.head("k").await })).await {
                outcomes.expect("a head");
            }
        };
        let other = store.clone();
        let elsewhere = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(heads(other));
        });
        heads(store).await;
        elsewhere.await.unwrap();
        assert_eq!(names.queries("one.test"), 1);
    });
}

#[test]
fn lookup_is_cached_until_its_ttl_expires() {
    run(async {
        let names = NameServer::start(|_| Reply::Addresses(vec![[127, 0, 0, 1].into()], 4)).await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let engine = engine(&names, unpooled);
        let store = open_private(&engine, &format!("http://ttl.test:{}", server.port())).await;
        let begun = Instant::now();
        for _ in 0..3 {
            store.head("k").await.unwrap();
        }
        let queries = names.queries("ttl.test");
        assert!(queries == 1 || begun.elapsed() > Duration::from_secs(3), "{queries} queries within its TTL");
        sleep(Duration::from_millis(4100)).await;
        store.head("k").await.unwrap();
        assert_eq!(names.queries("ttl.test"), queries + 1);
    });
}

#[test]
fn missing_name_is_cached_for_seconds() {
    run(async {
        let there = Arc::new(AtomicUsize::new(0));
        let is_there = there.clone();
        let names = NameServer::start(move |_| match is_there.load(Ordering::SeqCst) {
            0 => Reply::Code(ResponseCode::NXDomain),
            _ => Reply::here(),
        })
        .await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let engine = engine(&names, unpooled);
        let store = open_private(&engine, &format!("http://new.test:{}", server.port())).await;
        let begun = Instant::now();
        for _ in 0..3 {
            let said = unreached(&store).await;
            assert!(said.contains("new.test could not be resolved: there is no such name"), "{said}");
        }
        let queries = names.queries("new.test");
        assert!(queries == 1 || begun.elapsed() > Duration::from_secs(2), "{queries} queries");
        there.store(1, Ordering::SeqCst);
        sleep(Duration::from_millis(3100)).await;
        store.head("k").await.unwrap();
    });
}

#[test]
fn expired_lookup_is_used_if_the_name_server_fails() {
    run(async {
        let silent = Arc::new(AtomicUsize::new(0));
        let is_silent = silent.clone();
        let names = NameServer::start(move |_| match is_silent.load(Ordering::SeqCst) {
            0 => Reply::Addresses(vec![[127, 0, 0, 1].into()], 1),
            1 => Reply::Nothing,
            2 => Reply::Code(ResponseCode::ServFail),
            _ => Reply::Code(ResponseCode::NXDomain),
        })
        .await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let engine = engine(&names, unpooled);
        let store = open_private(&engine, &format!("http://old.test:{}", server.port())).await;
        store.head("k").await.unwrap();
        for how in [1, 2] {
            silent.store(how, Ordering::SeqCst);
            sleep(Duration::from_millis(1100)).await;
            let begun = Instant::now();
            store.head("k").await.unwrap();
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        }
        // NXDOMAIN is a valid response, and replaces the expired one eventually.
        silent.store(3, Ordering::SeqCst);
        let end = Instant::now() + LONG;
        while store.head("k").await.is_ok() {
            assert!(Instant::now() < end, "the expired lookup is still used");
            sleep(Duration::from_millis(200)).await;
        }
    });
}

#[test]
fn changed_address_is_checked_against_the_policy() {
    run(async {
        let queries = AtomicUsize::new(0);
        let names = NameServer::start(move |_| match queries.fetch_add(1, Ordering::SeqCst) {
            // Both families of the first lookup.
            0 | 1 => Reply::Addresses(vec![[203, 0, 113, 1].into()], 1),
            _ => Reply::Addresses(vec![[127, 0, 0, 1].into()], 1),
        })
        .await;
        let (port, connections) = listener().await;
        let engine = engine(&names, |limits| limits.connect_timeout = Duration::from_secs(2));
        let store = engine.store(once(&format!("http://rebound.test:{port}"))).await.unwrap();
        let said = unreached(&store).await;
        assert!(said.contains("203.0.113.1") && said.contains("reserved"), "{said}");
        sleep(Duration::from_millis(1100)).await;
        let said = unreached(&store).await;
        assert!(said.contains("127.0.0.1") && said.contains("loopback"), "{said}");
        assert_eq!(connections.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn forged_and_malformed_dns_responses_are_ignored() {
    run(async {
        let lies = BTreeMap::from([
            ("id.test", Reply::WrongId),
            ("name.test", Reply::WrongName),
            ("garbage.test", Reply::Garbage),
            ("short.test", Reply::Short),
            ("truncated.test", Reply::AlwaysTruncated),
            ("loop.test", Reply::Alias("loop.test.".to_owned())),
            ("loop1.test", Reply::Alias("loop2.test.".to_owned())),
            ("loop2.test", Reply::Alias("loop1.test.".to_owned())),
            ("chain.test", Reply::Alias("x.chain.test.".to_owned())),
            ("empty.test", Reply::Addresses(Vec::new(), 60)),
            ("refused.test", Reply::Code(ResponseCode::Refused)),
            ("servfail.test", Reply::Code(ResponseCode::ServFail)),
            ("silent.test", Reply::Nothing),
            ("many.test", Reply::Many(1000)),
            // More addresses than hickory may accept.
            ("more.test", Reply::Many(3000)),
        ]);
        let script = lies.clone();
        let names = NameServer::start(move |name| match script.get(name) {
            Some(reply) => reply.clone(),
            // An endless chain of aliases.
            None if name.ends_with("x.chain.test") && name.len() < 200 => Reply::Alias(format!("x.{name}.")),
            None => Reply::here(),
        })
        .await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let engine = engine(&names, |limits| limits.connect_timeout = Duration::from_secs(4));
        let port = server.port();
        // Concurrently, so that they can affect each other.
        let outcomes = join_all(lies.keys().map(|name| {
            let engine = engine.clone();
            async move {
                let store = open_private(&engine, &format!("http://{name}:{port}")).await;
                (*name, timeout(LONG, async { store.head("k").await }).await.expect(name))
            }
        }))
        .await;
        for (name, outcomes) in outcomes {
            // Whether a server listens at these addresses depends on the machine.
            let said = outcomes.map_or_else(|error| error.to_string(), |_| "found".to_owned());
            let resolved = !said.contains("could not be resolved");
            // Over TCP, which hickory tries after UDP fails, it does not compare the question. There the peer is the name
            // server itself, which may return any address for any name.
            let may_be = name == "more.test" || name == "name.test";
            assert!(resolved == (name == "many.test") || may_be, "{name}: {said}");
            assert!(said.len() < 1000 && !said.contains('\u{fffd}'), "{name}: {said}");
        }
        let well = open_private(&engine, &format!("http://well.test:{port}")).await;
        well.head("k").await.expect("the next name is resolved");
        refused!(well.head("nothing").await, NotFound);
    });
}

#[test]
fn dual_stack_name_is_reached_by_the_family_that_works() {
    run(async {
        let both: Vec<IpAddr> = vec!["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        let names = NameServer::start(move |_| Reply::Addresses(both.clone(), 60)).await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let engine = engine(&names, |_| {});
        let store = open_private(&engine, &format!("http://both.test:{}", server.port())).await;
        store.head("k").await.expect("IPv4 is tried after IPv6");
    });
}
