//! Tenants with hostile plugins at a gateway under load: another tenant's requests all succeed meanwhile, and theirs end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures::future::{join, join_all, try_join_all};
use http::Method;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStoreExt as _, PutPayload, RetryConfig};
use sandbucket::{Limits, PLUGIN, Tenants, TenantsConfig};
use sandbucket_gateway::{AdminClient, Gateway, ServeConfig};
use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{ACCESS_KEY, BUCKET, ROGUE, ROGUE_SANS_IO, SECRET_KEY, builder, dev_server};
use serde_json::json;

use super::{SECRET, run};

/// What each hostile tenant's plugin does, with the plugin that does it.
const MISDEEDS: [(&str, &str); 14] = [
    (ROGUE, "loop"),
    (ROGUE, "allocate"),
    (ROGUE, "recurse"),
    (ROGUE, "unreachable"),
    (ROGUE, "sleep"),
    (ROGUE, "handles"),
    (ROGUE, "huge-error"),
    (ROGUE, "most-metadata"),
    (ROGUE, "long-body"),
    (ROGUE_SANS_IO, "endless-sends"),
    (ROGUE_SANS_IO, "growing-state"),
    (ROGUE_SANS_IO, "huge-body"),
    (ROGUE_SANS_IO, "body-past-the-end"),
    (ROGUE_SANS_IO, "forged-retries"),
];
/// Requests of the honest tenant at once, and of each task.
const TASKS: usize = 8;
const ROUNDS: usize = 25;

/// A client of a tenant's bucket at the gateway that tries once.
fn client(endpoint: &str, name: &str) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(name)
        .with_access_key_id(name)
        .with_secret_access_key(SECRET)
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_client_options(ClientOptions::new().with_allow_http(true).with_timeout(Duration::from_secs(60)))
        .build()
        .unwrap()
}

/// The part of a tenant's configuration that is the gateway's.
fn front(name: &str) -> String {
    format!(
        "[tenants.{name}.gateway]\n\
         keys = [{{ access-key = '{name}', secret-key = '{SECRET}', access = 'read-write' }}]\n\
         buckets.{name} = {{}}\n"
    )
}

#[test]
fn hostile_plugins_do_not_disturb_another_tenant() {
    run(async {
        let server = dev_server().await;
        // Responds to all that a rogue plugin sends.
        let target = Faulty::start((0..100_000).map(|_| Act::respond(200, "", ""))).await;
        let mut text = format!(
            "[tenants.honest.store.blob.s3]\nallow-private = true\nbucket = '{BUCKET}'\nendpoint = '{}'\n\
             access-key = '{ACCESS_KEY}'\nsecret-key = '{SECRET_KEY}'\n{}",
            server.endpoint(),
            front("honest")
        );
        let names: Vec<String> = (0..MISDEEDS.len()).map(|number| format!("rogue-{number}")).collect();
        for ((plugin, mode), name) in MISDEEDS.iter().zip(&names) {
            let authority = target.endpoint().replace("http://", "");
            text.push_str(&format!(
                "[tenants.{name}]\nplugin = '{plugin}'\n[tenants.{name}.store.blob.s3]\nallow-private = true\n\
                 endpoint = 'http://{authority}'\naccess-key = 'x'\nsecret-key = 'x'\nmode = '{mode}'\n\
                 target = '{authority}'\n[tenants.{name}.budget]\ncalls-in-flight = 4\nqueue-wait = '2s'\n{}",
                front(name)
            ));
        }
        let mut limits = Limits::default();
        limits.memory = 16 << 20;
        limits.cpu_time = Duration::from_millis(300);
        limits.call_time = Duration::from_secs(3);
        let engine = builder().limits(limits).build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin.sock");
        let serve = format!("[serve]\nlisten = '127.0.0.1:0'\nadmin = 'unix:{}'\n", socket.display());
        let gateway = Gateway::new(Tenants::new(engine), ServeConfig::parse(&serve).unwrap()).unwrap();
        gateway.apply(&TenantsConfig::parse(&text).unwrap()).await.unwrap();
        let running = gateway.start().await.unwrap();
        let endpoint = format!("http://{}", running.addresses()[0]);

        let over = AtomicBool::new(false);
        let failures = AtomicUsize::new(0);
        let honest = async {
            let store = client(&endpoint, "honest");
            let tasks = (0..TASKS).map(async |task| {
                for round in 0..ROUNDS {
                    let (key, body) = (Path::from(format!("{task}/{round}")), format!("{task}-{round}").repeat(1000));
                    store.put(&key, PutPayload::from(body.clone())).await?;
                    assert_eq!(store.get(&key).await?.bytes().await?, body);
                    store.delete(&key).await?;
                }
                Ok::<_, object_store::Error>(())
            });
            let done = try_join_all(tasks).await;
            over.store(true, Relaxed);
            done
        };
        let hostile = join_all(names.iter().flat_map(|name| [name, name]).map(async |name| {
            let (store, key) = (client(&endpoint, name), Path::from("k"));
            while !over.load(Relaxed) {
                let put = store.put(&key, PutPayload::from_static(b"x")).await.map(drop);
                let got = async { store.get(&key).await?.bytes().await }.await.map(drop);
                let failed = [put, got].iter().filter(|ended| ended.is_err()).count();
                failures.fetch_add(failed, Relaxed);
            }
        }));
        let (done, _) = join(honest, hostile).await;
        done.expect("every request of the honest tenant succeeds");
        assert!(failures.load(Relaxed) >= MISDEEDS.len(), "the hostile plugins behaved: {failures:?}");

        // The gateway is as it was: it responds, and nothing is in flight.
        let admin = AdminClient::new(format!("unix:{}", socket.display()).parse().unwrap());
        let status = admin.get("/status").await.unwrap();
        assert_eq!((&status["ready"], &status["in-flight"]), (&true.into(), &0.into()), "{status}");
        // Another version of the built-in plugin takes over without a restart; a hostile one does not load for the honest tenant.
        let next = folder.path().join("next.wasm");
        std::fs::write(&next, [PLUGIN, &[0, 3, 1, b'v', 1]].concat()).unwrap();
        let swap = async |file: &str| admin.send(Method::POST, "/tenants/honest/swap", file.to_owned()).await;
        assert_eq!(swap(next.to_str().unwrap()).await.unwrap()["swapped"], json!(["honest"]));
        let digest = admin.get("/tenants/honest").await.unwrap()["plugin"].clone();
        assert_eq!(digest.as_str().map(str::len), Some(64), "{digest}");
        client(&endpoint, "honest").put(&Path::from("k"), PutPayload::from_static(b"x")).await.unwrap();
        let refused = swap("/nowhere.wasm").await.unwrap_err().to_string();
        assert!(refused.contains("/nowhere.wasm"), "{refused}");
        assert_eq!(admin.get("/tenants/honest").await.unwrap()["plugin"], digest);
        running.stop().await;
    });
}
