//! Stores of both plugins in one configuration and one engine.

use sandbucket::{Config, Error, TenantsConfig};
use sandbucket_tests::azurite::{self, ACCOUNT, KEY};
use sandbucket_tests::{ACCESS_KEY, BUCKET, CACHE, SECRET_KEY, dev_server, run};

/// A configuration with the store `s3` at this endpoint, and `azure` on Azurite.
fn two_stores(s3: &str, container: &str) -> String {
    format!(
        "[store.blob.s3]\nbucket = '{BUCKET}'\nendpoint = '{s3}'\naccess-key = '{ACCESS_KEY}'\nsecret-key = '{SECRET_KEY}'\n\
         [store.blob.azure]\ncontainer = '{container}'\nendpoint = '{}'\naccount = '{ACCOUNT}'\naccess-key = '{KEY}'\n\
         [sandbox]\ncache-dir = '{CACHE}'\n",
        azurite::endpoint()
    )
}

#[test]
fn one_engine_runs_the_stores_of_both_plugins() {
    run(async {
        let (server, container) = (dev_server().await, azurite::new_container().await);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sandbucket.toml");
        std::fs::write(&file, two_stores(&server.endpoint(), &container)).unwrap();
        let (s3, azure) = (Config::load(&file).unwrap(), Config::load_store(&file, "azure").unwrap());
        assert_eq!((s3.store_name(), azure.store_name()), ("s3", "azure"));
        let engine = s3.engine().build_async().await.unwrap();
        let (from, to) = (s3.open(&engine).await.unwrap(), azure.open(&engine).await.unwrap());

        from.put("a/b", "from S3 to Azure").content_type("text/x-test").metadata("colour", "blue").await.unwrap();
        let blob = from.get("a/b").await.unwrap();
        let info = blob.info().clone();
        let copy = info.metadata.iter().fold(to.upload("a/b"), |copy, (name, value)| copy.metadata(name, value));
        copy.content_type(info.content_type.unwrap()).stream(blob).await.unwrap();
        let there = to.get("a/b").await.unwrap();
        assert_eq!(there.info().content_type.as_deref(), Some("text/x-test"));
        assert_eq!(there.info().metadata, [("colour".to_owned(), "blue".to_owned())]);
        assert_eq!(there.bytes().await.unwrap(), "from S3 to Azure");
    });
}

#[test]
fn wrong_setting_of_azure_is_an_error_with_its_place() {
    run(async {
        let text = two_stores("http://127.0.0.1:1", "ccc").replace(&format!("'{KEY}'"), "'no base64'");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sandbucket.toml");
        std::fs::write(&file, text).unwrap();
        let config = Config::load_store(&file, "azure").unwrap();
        let error = config.open(azurite::engine()).await.unwrap_err();
        assert!(matches!(error, Error::Config { line: Some(10), .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("store.blob.azure.access-key") && !message.contains("no base64"), "{message}");
    });
}

#[test]
fn tenants_have_stores_of_both_plugins() {
    run(async {
        let (server, container) = (dev_server().await, azurite::new_container().await);
        let text = two_stores(&server.endpoint(), &container);
        let text = text.replace("[store.blob.s3]", "[tenants.alice.store.blob.s3]");
        let text = text.replace("[store.blob.azure]", "[tenants.bob.store.blob.azure]");
        let config = TenantsConfig::parse(&text).unwrap();
        let tenants = sandbucket::Tenants::new(config.engine().build_async().await.unwrap());
        tenants.apply(&config).await.unwrap();
        for name in ["alice", "bob"] {
            let store = tenants.get(name).unwrap().store().await.unwrap();
            store.put("k", name).await.unwrap();
            assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), name);
        }
        // A plugin that does not know a tenant's settings is not swapped in, for any of them.
        let s3 = tenants.engine().plugin().clone();
        let error = tenants.swap(Some("bob"), &s3).await.unwrap_err();
        assert!(error.to_string().contains("tenant \"bob\""), "{error}");
        let bob = tenants.get("bob").unwrap().store().await.unwrap();
        assert_eq!(bob.get("k").await.unwrap().bytes().await.unwrap(), "bob");
    });
}
