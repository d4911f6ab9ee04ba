//! The registry: tenants are added, changed and removed while calls go on.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures::future::try_join_all;
use sandbucket::{Budget, Credentials, Error, StoreOptions, TenantOptions, Tenants, TenantsConfig};
use sandbucket_tests::{ACCESS_KEY, BUCKET, SECRET_KEY, builder, dev_server, refused, run, settings};

/// The configuration of a tenant on a server like `dev_server`, with its name as the prefix of its keys.
fn section(name: &str, endpoint: &str, further: &str) -> String {
    format!(
        "[tenants.{name}.store.blob.s3]\nbucket = '{BUCKET}'\nendpoint = '{endpoint}'\naccess-key = '{ACCESS_KEY}'\n\
         secret-key = '{SECRET_KEY}'\nkey-prefix = '{name}/'\n{further}"
    )
}

fn parse(sections: &[String]) -> TenantsConfig {
    TenantsConfig::parse(&sections.concat()).expect("a configuration")
}

fn registry() -> Tenants {
    Tenants::new(builder().build().expect("an engine"))
}

async fn put(tenants: &Tenants, name: &str, key: &str) -> sandbucket::Result<()> {
    let tenant = tenants.get(name).expect("the tenant exists");
    tenant.store().await?.put(key, name.to_owned()).await.map(drop)
}

#[test]
fn configuration_is_applied_and_reapplied() {
    run(async {
        let server = dev_server().await;
        let endpoint = server.endpoint();
        let tenants = registry();
        let (alice, bob) = (section("alice", &endpoint, ""), section("bob", &endpoint, ""));
        let changes = tenants.apply(&parse(&[alice.clone(), bob.clone()])).await.unwrap();
        assert_eq!((changes.added, changes.unchanged), (vec!["alice".to_owned(), "bob".to_owned()], 0));
        assert_eq!((tenants.names(), tenants.open_stores()), (vec!["alice".to_owned(), "bob".to_owned()], 0));
        put(&tenants, "alice", "k").await.unwrap();
        put(&tenants, "bob", "k").await.unwrap();
        assert_eq!(tenants.open_stores(), 2);
        let held = tenants.get("alice").unwrap();
        let store = held.store().await.unwrap();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "alice");

        // Bob's settings differ, carol is new, alice stays as she is, with her instances.
        let created = held.status().pool.created;
        let other_bob = section("bob", &endpoint, "max-retries = 1\n[tenants.bob]\nweight = 2\n");
        let changes = tenants.apply(&parse(&[alice, other_bob, section("carol", &endpoint, "")])).await.unwrap();
        assert_eq!((changes.added, changes.changed), (vec!["carol".to_owned()], vec!["bob".to_owned()]));
        assert_eq!((changes.removed, changes.unchanged), (Vec::new(), 1));
        put(&tenants, "alice", "k2").await.unwrap();
        assert_eq!(held.status().pool.created, created);
        assert_eq!(tenants.get("bob").unwrap().status().weight, 2);

        // Only carol is left. A handle of a removed tenant opens no store; the one that is held works.
        let empty = tenants.apply(&parse(&["[serve]\n".to_owned()])).await.unwrap_err();
        assert!(empty.to_string().contains("there is no section [tenants]"), "{empty}");
        assert_eq!(tenants.names().len(), 3);
        let changes = tenants.apply(&parse(&[section("carol", &endpoint, "")])).await.unwrap();
        assert_eq!(changes.removed, ["alice", "bob"]);
        assert!(tenants.get("alice").is_none());
        let failure = refused!(held.store().await, AccessDenied);
        assert!(failure.message.contains("\"alice\" was removed"), "{failure:?}");
        store.head("k").await.unwrap();
        put(&tenants, "carol", "k").await.unwrap();
        assert_eq!(tenants.apply(&parse(&["[tenants]\n".to_owned()])).await.unwrap().removed, ["carol"]);
        let shown = format!("{tenants:?} {held:?} {:?}", tenants.status());
        assert!(!shown.contains(SECRET_KEY), "{shown}");
    });
}

#[test]
fn invalid_change_is_rejected_with_its_place_and_changes_nothing() {
    run(async {
        let server = dev_server().await;
        let endpoint = server.endpoint();
        let tenants = registry();
        let alice = section("alice", &endpoint, "");
        tenants.apply(&parse(std::slice::from_ref(&alice))).await.unwrap();
        put(&tenants, "alice", "k").await.unwrap();
        // The plugin rejects bob's setting; alice's change and carol do not take effect.
        let bob = section("bob", &endpoint, "max-retries = 'many'\n");
        let changed = section("alice", &endpoint, "max-retries = 1\n");
        let rejected = tenants.apply(&parse(&[changed, bob, section("carol", &endpoint, "")])).await.unwrap_err();
        let Error::Config { line, key, .. } = &rejected else { panic!("{rejected:?}") };
        assert_eq!((*line, key.as_deref()), (Some(14), Some("tenants.bob.store.blob.s3.max-retries")));
        assert_eq!(tenants.names(), ["alice"]);
        let again = tenants.apply(&parse(&[alice])).await.unwrap();
        assert_eq!((again.unchanged, again.changed), (1, Vec::new()));
        // So is one of the host's own.
        let bob = section("bob", &endpoint, "ca-file = '/no/such/file'\n");
        let rejected = tenants.apply(&parse(&[bob])).await.unwrap_err();
        let Error::Config { line, key, .. } = &rejected else { panic!("{rejected:?}") };
        assert_eq!((*line, key.as_deref()), (Some(7), Some("tenants.bob.store.blob.s3.ca-file")));
        assert_eq!(tenants.names(), ["alice"]);
    });
}

#[test]
fn program_sets_changes_and_removes_tenants() {
    run(async {
        let server = dev_server().await;
        let endpoint = server.endpoint();
        let tenants = registry();
        let options = |secret: &str| {
            let settings = settings(&endpoint, &[]).into_iter().filter(|(name, _)| !name.ends_with("-key"));
            StoreOptions::new().settings(settings).credentials(Credentials::new(ACCESS_KEY, secret))
        };
        tenants.set("alice", options(SECRET_KEY).into()).await.unwrap();
        put(&tenants, "alice", "k").await.unwrap();
        // It stays beside those of a configuration, which cannot take its name.
        let changes = tenants.apply(&parse(&[section("bob", &endpoint, "")])).await.unwrap();
        assert_eq!((changes.added, changes.removed), (vec!["bob".to_owned()], Vec::new()));
        assert_eq!(tenants.names(), ["alice", "bob"]);
        let taken = tenants.apply(&parse(&[section("alice", &endpoint, "")])).await.unwrap_err();
        assert!(taken.to_string().contains("the program itself has set a tenant \"alice\""), "{taken}");

        // Another budget keeps the store, other credentials replace it.
        let (alice, budget) = (tenants.get("alice").unwrap(), Budget::default().with_calls_in_flight(3));
        let created = alice.status().pool.created;
        let changed = TenantOptions::new(options(SECRET_KEY)).budget(budget.clone()).weight(7);
        tenants.set("alice", changed).await.unwrap();
        assert_eq!((alice.budget(), alice.status().weight, alice.status().pool.created), (budget, 7, created));
        tenants.set("alice", options("another").into()).await.unwrap();
        refused!(put(&tenants, "alice", "k").await, AccessDenied);
        tenants.set("alice", options(SECRET_KEY).into()).await.unwrap();
        put(&tenants, "alice", "k").await.unwrap();

        for (name, wrong) in
            [("A", TenantOptions::new(options("x"))), ("a", TenantOptions::new(options("x")).weight(0))]
        {
            refused!(tenants.set(name, wrong).await, InvalidArgument);
        }
        let wrong = options(SECRET_KEY).setting("no-such-setting", "x");
        refused!(tenants.set("alice", wrong.into()).await, InvalidSettings);
        put(&tenants, "alice", "k").await.unwrap();
        assert!(tenants.remove("alice") && !tenants.remove("alice"));
        assert!(tenants.get("alice").is_none());
        refused!(alice.store().await, AccessDenied);
    });
}

#[test]
fn calls_in_flight_finish_while_tenants_change() {
    run(async {
        let server = dev_server().await;
        let endpoint = server.endpoint();
        let tenants = registry();
        let config = |round: usize| parse(&[section("alice", &endpoint, &format!("max-retries = {}\n", round % 100))]);
        tenants.apply(&config(0)).await.unwrap();
        let done = AtomicUsize::new(0);
        let calls = (0..8).map(|task| {
            let (tenants, done) = (&tenants, &done);
            async move {
                for call in 0..40 {
                    put(tenants, "alice", &format!("k{task}-{call}")).await?;
                    done.fetch_add(1, Relaxed);
                }
                Ok::<_, Error>(())
            }
        });
        let changes = async {
            let mut rounds = 0;
            while done.load(Relaxed) < 300 {
                rounds += 1;
                tenants.apply(&config(rounds)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            rounds
        };
        let (called, rounds) = tokio::join!(try_join_all(calls), changes);
        called.expect("no call fails");
        assert!(rounds > 1, "{rounds} changes");
        assert_eq!(done.into_inner(), 320);
    });
}

#[test]
fn concurrent_first_calls_open_one_store_and_a_dropped_one_breaks_off_nothing() {
    run(async {
        let server = dev_server().await;
        let tenants = registry();
        tenants.apply(&parse(&[section("alice", &server.endpoint(), "")])).await.unwrap();
        let tenant = tenants.get("alice").unwrap();
        // Polled once, then dropped.
        let first = tokio::time::timeout(Duration::ZERO, tenant.store()).await;
        drop(first);
        let stores = try_join_all((0..50).map(|_| tenant.store())).await.unwrap();
        stores[49].put("k", "x").await.unwrap();
        stores[0].head("k").await.unwrap();
        assert_eq!((tenants.open_stores(), tenant.status().pool.created), (1, 1));
    });
}

#[test]
fn idle_stores_close_and_stores_in_use_stay() {
    run(async {
        let server = dev_server().await;
        let endpoint = server.endpoint();
        let tenants = registry().with_max_open_stores(4).with_store_idle_time(Duration::from_secs(3600));
        let sections: Vec<_> = (0..12).map(|n| section(&format!("t{n}"), &endpoint, "")).collect();
        tenants.apply(&parse(&sections)).await.unwrap();
        let held = tenants.get("t0").unwrap().store().await.unwrap();
        for round in 0..2 {
            for n in 0..12 {
                put(&tenants, &format!("t{n}"), &format!("k{round}")).await.unwrap();
                assert!(tenants.open_stores() <= 4, "{} stores are open", tenants.open_stores());
            }
        }
        assert!(tenants.get("t0").unwrap().status().is_open, "a store in use was closed");
        assert!(tenants.get("t11").unwrap().status().is_open, "the store used last was closed");
        held.head("k0").await.unwrap();
        drop(held);
        // The next sweep closes all, and they open again.
        let tenants = tenants.with_store_idle_time(Duration::ZERO);
        while tenants.open_stores() > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        put(&tenants, "t0", "k").await.unwrap();
    });
}
