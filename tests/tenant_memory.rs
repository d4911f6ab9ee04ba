//! Memory of many tenants: 10,000 configured and 1,000 of them used, in a process of their own.

use std::fmt::Write;
use std::time::Instant;

use sandbucket::{Tenants, TenantsConfig};
use sandbucket_tests::{ACCESS_KEY, BUCKET, SECRET_KEY, builder, dev_server, run};

/// Tenants, and those that are used.
const TENANTS: usize = 10_000;
const USED: usize = 1_000;

/// The bound, in bytes: 400 MiB in all.
const MOST: usize = 400 << 20;

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("memory of this process");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * 4096
}

#[test]
fn ten_thousand_tenants_with_a_thousand_open_take_less_than_400_mib() {
    run(async {
        let server = dev_server().await;
        let mut text = String::new();
        for n in 0..TENANTS {
            write!(
                text,
                "[tenants.t{n}.store.blob.s3]\nbucket = '{BUCKET}'\nendpoint = '{}'\nregion = 'us-east-1'\n\
                 access-key = '{ACCESS_KEY}'\nsecret-key = '{SECRET_KEY}'\nkey-prefix = 't{n}/'\n\
                 [tenants.t{n}.budget]\ncalls-per-second = 1000\n",
                server.endpoint()
            )
            .expect("a text grows");
        }
        let tenants = Tenants::new(builder().build().expect("an engine"));
        let (before, began) = (resident(), Instant::now());
        let config = TenantsConfig::parse(&text).expect("a configuration");
        let parsed = began.elapsed();
        assert_eq!(tenants.apply(&config).await.expect("it is valid").added.len(), TENANTS);
        let applied = began.elapsed() - parsed;
        drop(config);
        drop(text);
        let configured = resident();
        let began = Instant::now();
        for n in 0..USED {
            let store = tenants.get(&format!("t{n}")).expect("the tenant exists").store().await.expect("it opens");
            store.put("k", "x").await.expect("a put");
        }
        let used = began.elapsed();
        let open = resident();
        println!(
            "parsed in {parsed:?}, applied in {applied:?}, used in {used:?}; MiB resident: {} before, {} with {TENANTS} \
             configured, {} with {USED} open",
            before >> 20,
            configured >> 20,
            open >> 20
        );
        assert_eq!(tenants.open_stores(), USED);
        assert!(open < MOST, "{} MiB", open >> 20);
        let began = Instant::now();
        assert_eq!(tenants.status().len(), TENANTS);
        println!("status in {:?}", began.elapsed());
    });
}
