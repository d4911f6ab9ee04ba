//! Plugins are replaced while calls go on.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::try_join_all;
use sandbucket::{Budget, BuiltIn, Engine, Error, PLUGIN, Plugin, StoreOptions, TenantOptions, Tenants, TenantsConfig};
use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{BUCKET, ROGUE, ROGUE_SANS_IO, builder, dev_server, refused, run, settings};

/// The built-in plugin with one more custom section: another version of the same behaviour.
async fn version(engine: &Engine, number: u8) -> Plugin {
    version_of(engine, PLUGIN, number).await
}

async fn version_of(engine: &Engine, component: &[u8], number: u8) -> Plugin {
    let mut component = component.to_vec();
    // Id 0, 3 bytes: a name of one byte, and one of content.
    component.extend([0, 3, 1, b'v', number]);
    engine.plugin_bytes(component).await.expect("another version")
}

fn options(endpoint: &str, name: &str) -> TenantOptions {
    TenantOptions::new(StoreOptions::new().settings(settings(endpoint, &[("key-prefix", name)])).allow_private())
}

#[test]
fn no_call_fails_while_plugins_are_swapped() {
    const CALLS: usize = 10_000;
    run(async {
        let server = dev_server().await;
        let tenants = Tenants::new(builder().build().unwrap());
        for name in ["alice", "bob"] {
            tenants.set(name, options(&server.endpoint(), name)).await.unwrap();
        }
        let versions = [version(tenants.engine(), 1).await, version(tenants.engine(), 2).await];
        assert_ne!(versions[0], versions[1]);
        assert_eq!(versions[0], version(tenants.engine(), 1).await);

        let done = AtomicUsize::new(0);
        let calls = try_join_all((0..32).map(async |task: usize| {
            let name = ["alice", "bob"][task % 2];
            while done.fetch_add(1, Relaxed) < CALLS {
                let (tenant, key) = (tenants.get(name).expect("the tenant"), format!("k{task}"));
                if task % 8 < 2 {
                    tenant.store().await?.put(key, name).await?;
                } else {
                    match tenant.store().await?.head("absent").await {
                        Err(Error::NotFound(_)) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
            Ok::<_, Error>(())
        }));
        let swaps = async {
            for swap in 0..20 {
                // Spread over the calls.
                while done.load(Relaxed) < swap * CALLS / 21 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let only = (swap % 3 == 0).then_some("alice");
                tenants.swap(only, &versions[swap % 2]).await?;
            }
            Ok::<_, Error>(())
        };
        let (called, swapped) = tokio::join!(calls, swaps);
        called.unwrap();
        swapped.unwrap();
        let digests: Vec<_> = tenants.status().into_iter().map(|tenant| tenant.plugin.unwrap()).collect();
        assert_eq!(digests, [versions[1].digest(), versions[1].digest()]);
        // One that is added later has the plugin that all were given.
        tenants.set("carol", options(&server.endpoint(), "carol")).await.unwrap();
        assert_eq!(tenants.get("carol").unwrap().status().plugin.as_deref(), Some(versions[1].digest()));
    });
}

#[test]
fn operation_in_flight_ends_on_the_plugin_it_began_on() {
    run(async {
        let server = dev_server().await;
        let tenants = Tenants::new(builder().build().unwrap());
        tenants.set("alice", options(&server.endpoint(), "alice")).await.unwrap();
        let alice = tenants.get("alice").unwrap();
        alice.store().await.unwrap().put("large", vec![7; 4 << 20]).await.unwrap();
        let mut blob = alice.store().await.unwrap().get("large").await.unwrap();
        let first = blob.try_next().await.unwrap().unwrap().len();
        let mut writer = alice.store().await.unwrap().upload("written").begin().unwrap();
        let next = version(tenants.engine(), 1).await;
        assert_eq!(tenants.swap(None, &next).await.unwrap().swapped, ["alice"]);
        let again = tenants.swap(None, &next).await.unwrap();
        assert_eq!((again.swapped.len(), again.unchanged, again.left_out.len()), (0, 1, 0));
        assert_eq!(first + blob.bytes().await.unwrap().len(), 4 << 20);
        writer.write("ab").await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(alice.store().await.unwrap().get("written").await.unwrap().bytes().await.unwrap(), "ab");
    });
}

#[test]
fn swap_is_rolled_back_if_the_plugin_fails() {
    run(async {
        let server = Faulty::start((0..100).map(|_| Act::respond(200, "", ""))).await;
        let tenants = Tenants::new(builder().plugin_file(ROGUE).build().unwrap());
        let engine = tenants.engine();
        let target = server.endpoint().replace("http://", "");
        let options = |mode: &str| {
            let settings = [("mode", mode), ("endpoint", &server.endpoint()), ("target", &target)];
            TenantOptions::new(StoreOptions::new().settings(settings).allow_private())
        };
        // Without the interface sans-io the plugin has no such misdeed: it sends no request.
        tenants.set("bad", options("caller-body")).await.unwrap();
        tenants.set("good", options("")).await.unwrap();
        let put = async |name: &str| tenants.get(name).unwrap().store().await?.put("k", "v").await;
        put("bad").await.unwrap();
        put("good").await.unwrap();

        let next = engine.plugin_file(ROGUE_SANS_IO).await.unwrap();
        let error = tenants.swap(None, &next).await.unwrap_err();
        assert!(matches!(&error, Error::Plugin { message, .. } if message.contains("tenant \"bad\"")), "{error}");
        assert!(tenants.status().iter().all(|tenant| tenant.plugin.is_none()));
        put("bad").await.unwrap();
        assert_eq!(tenants.swap(Some("good"), &next).await.unwrap().swapped, ["good"]);
        put("good").await.unwrap();
        assert_eq!(tenants.get("good").unwrap().status().plugin.as_deref(), Some(next.digest()));

        let failure = refused!(tenants.swap(Some("nobody"), &next).await, InvalidArgument);
        assert_eq!(failure.subject.as_deref(), Some("tenant"));
        assert!(matches!(engine.plugin_bytes("no component").await, Err(Error::Plugin { .. })));
        // A plugin of another engine does not run in this one.
        let foreign = builder().build().unwrap().plugin().clone();
        let failure = refused!(tenants.swap(Some("good"), &foreign).await, InvalidArgument);
        assert_eq!(failure.subject.as_deref(), Some("plugin"));
        put("good").await.unwrap();
    });
}

#[test]
fn tenants_of_one_configuration_have_plugins_of_their_own() {
    run(async {
        let server = dev_server().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rogue.wasm");
        std::fs::copy(ROGUE, &file).unwrap();
        let sections: Vec<String> =
            settings(&server.endpoint(), &[]).iter().map(|(n, v)| format!("{n} = '{v}'")).collect();
        let alice = format!("[tenants.alice.store.blob.s3]\nallow-private = true\n{}\n", sections.join("\n"));
        let text = format!(
            "{alice}[tenants.rogue]\nplugin = '{}'\n[tenants.rogue.store.blob.s3]\nendpoint = '{}'\naccess-key = 'k'\n\
             secret-key = 's'\n",
            file.display(),
            server.endpoint()
        );
        let tenants = Tenants::new(builder().build().unwrap());
        tenants.apply(&TenantsConfig::parse(&text).unwrap()).await.unwrap();
        let put = async |name: &str| tenants.get(name).unwrap().store().await?.put("k", "v").await;
        put("alice").await.unwrap();
        // It keeps its blobs in memory.
        put("rogue").await.unwrap();
        assert!(server.folder().join(BUCKET).join("k").exists());
        assert_eq!(tenants.apply(&TenantsConfig::parse(&text).unwrap()).await.unwrap().unchanged, 2);

        // Another file at the same path is another plugin; one that does not load changes nothing.
        std::fs::write(&file, "no component").unwrap();
        let error = tenants.apply(&TenantsConfig::parse(&text).unwrap()).await.unwrap_err();
        assert!(matches!(&error, Error::Config { line: Some(8), .. }), "{error:?}");
        put("rogue").await.unwrap();
    });
}

#[test]
fn swap_of_all_leaves_tenants_of_other_services_out() {
    run(async {
        let server = dev_server().await;
        // Any response to a probe will do.
        let azure = |name: &str, more: &str| {
            format!(
                "[tenants.{name}.store.blob.azure]\ncontainer = 'ccc'\naccount = 'aaa'\naccess-key = 'c2VjcmV0'\n\
                 endpoint = '{}'\nallow-private = true\nmax-retries = 0\n{more}",
                server.endpoint()
            )
        };
        let lines: Vec<String> =
            settings(&server.endpoint(), &[]).iter().map(|(n, v)| format!("{n} = '{v}'")).collect();
        let s3 = |name: &str| format!("[tenants.{name}.store.blob.s3]\nallow-private = true\n{}\n", lines.join("\n"));
        let text = [s3("alice"), azure("bob", ""), s3("carol"), azure("dave", "plugin = 'azure'\n")].concat();
        let apply = async |tenants: &Tenants| tenants.apply(&TenantsConfig::parse(&text).unwrap()).await.unwrap();
        let tenants = Tenants::new(builder().build().unwrap());
        apply(&tenants).await;
        let engine = tenants.engine();
        let built_in = engine.built_in(BuiltIn::Azure).await.unwrap();
        let next = version(engine, 1).await;
        let swap = tenants.swap(None, &next).await.unwrap();
        assert_eq!((&swap.swapped[..], swap.unchanged), (&["alice".to_owned(), "carol".to_owned()][..], 0));
        assert_eq!(swap.left_out.keys().collect::<Vec<_>>(), ["bob", "dave"]);
        for why in swap.left_out.values() {
            assert!(why.contains("`sas-token`") && why.contains("those of the new one `secret-key`"), "{why}");
        }
        let plugins = |tenants: &Tenants| -> Vec<String> {
            tenants.status().into_iter().map(|tenant| tenant.plugin.unwrap_or_default()).collect()
        };
        assert_eq!(plugins(&tenants), [next.digest(), built_in.digest(), next.digest(), built_in.digest()]);

        let next_azure = version_of(engine, BuiltIn::Azure.component(), 1).await;
        let swap = tenants.swap(None, &next_azure).await.unwrap();
        assert_eq!((swap.swapped, swap.unchanged, swap.left_out.len()), (vec!["bob".into(), "dave".into()], 0, 2));
        // A configuration with `plugin` has the last word, one without keeps both.
        let changes = apply(&tenants).await;
        assert_eq!((changes.changed, changes.unchanged), (vec!["dave".to_owned()], 3));
        assert_eq!(plugins(&tenants), [next.digest(), next_azure.digest(), next.digest(), built_in.digest()]);
        // A tenant that is added by the program has the successor of the engine's.
        tenants.set("erin", options(&server.endpoint(), "erin")).await.unwrap();
        assert_eq!(plugins(&tenants)[4], next.digest());

        // By name, the plugin of another service is refused for its settings.
        let error = tenants.swap(Some("bob"), &next).await.unwrap_err().to_string();
        assert!(error.contains("tenant \"bob\""), "{error}");
        assert_eq!(plugins(&tenants)[1], next_azure.digest());
    });
}

#[test]
fn swapped_tenant_keeps_to_its_instances_while_calls_on_the_old_plugin_hang() {
    run(async {
        let tenants = Tenants::new(builder().plugin_file(ROGUE).build().unwrap());
        // A call of this plugin holds an instance, and sleeps.
        let options = |mode: &str| {
            let settings = [("mode", mode), ("endpoint", "http://127.0.0.1:9"), ("target", "")];
            let budget = Budget::default().with_instances(2).with_queue_wait(Duration::from_millis(200));
            TenantOptions::new(StoreOptions::new().settings(settings)).budget(budget)
        };
        tenants.set("alice", options("sleep")).await.unwrap();
        let alice = tenants.get("alice").unwrap();
        let old = alice.store().await.unwrap();
        let one = alice.status().memory;
        let hanging: Vec<_> = (0..2).map(|_| tokio::spawn(old.delete("k").into_future())).collect();
        while alice.status().memory < 2 * one {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // They do not prevent a change, and the new store waits for their instances.
        tenants.set("alice", options("")).await.unwrap();
        let failure = match alice.store().await {
            Err(Error::Throttled(failure)) => failure,
            Ok(store) => match store.delete("k").await {
                Err(Error::Throttled(failure)) => failure,
                other => panic!("expected Throttled, not {other:?}"),
            },
            Err(other) => panic!("expected Throttled, not {other:?}"),
        };
        assert!(failure.message.contains("2 instances are in use"), "{failure:?}");
        assert_eq!(alice.status().memory, 2 * one);
        hanging[0].abort();
        alice.store().await.unwrap().delete("k").await.unwrap();
        assert!(alice.status().memory <= 2 * one);
        hanging[1].abort();
    });
}
