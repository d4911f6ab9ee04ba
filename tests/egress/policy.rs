//! Settings come from a tenant: whatever endpoint they name, only public addresses are reached, unless the embedding
//! program or the operator allows more.

use super::*;
use sandbucket::{Config, IpNet};
use sandbucket_tests::faulty::Faulty;
use sandbucket_tests::run;

async fn network() -> NameServer {
    NameServer::start(|name| match name {
        "private.test" | "minio.internal" | "minio" => Reply::here(),
        "mixed.test" => Reply::Addresses(vec!["10.0.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap()], 60),
        "metadata.test" => Reply::Addresses(vec!["169.254.169.254".parse().unwrap()], 60),
        "metadata6.test" => Reply::Addresses(vec!["fd00:ec2::254".parse().unwrap()], 60),
        "mapped.test" => Reply::Addresses(vec!["::ffff:127.0.0.1".parse().unwrap()], 60),
        "6to4.test" => Reply::Addresses(vec!["2002:7f00:1::".parse().unwrap()], 60),
        "nat64.test" => Reply::Addresses(vec!["64:ff9b::127.0.0.1".parse().unwrap()], 60),
        _ => Reply::Code(hickory_proto::op::ResponseCode::NXDomain),
    })
    .await
}

/// Every notation of this machine's addresses.
const HERE: [&str; 16] = [
    "127.0.0.1",
    "127.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0x7f.1",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST",
    "bucket.localhost",
    "[::1]",
    "private.test",
    "mixed.test",
    "minio.internal",
    "minio",
];

#[test]
fn settings_alone_reach_no_private_address() {
    run(async {
        let names = network().await;
        let (port, connections) = listener().await;
        let engine = engine(&names, |_| {});
        for host in HERE {
            let endpoint = format!("http://{host}:{port}");
            // An invalid endpoint is rejected before a lookup.
            let Ok(store) = engine.store(once(&endpoint)).await else { continue };
            let said = unreached(&store).await;
            assert!(said.contains("may only reach") || said.contains("not public"), "{host}: {said}");
            assert!(said.contains("may only reach") || said.contains("allow_private"), "{host}: {said}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 0, "a connection was made");
        let store = engine.store(once(&format!("http://localhost:{port}"))).await.unwrap();
        let said = unreached(&store).await;
        for part in ["address 127.0.0.1 of localhost", "loopback", "allow-private", "allow_networks"] {
            assert!(said.contains(part), "{said}");
        }
    });
}

#[test]
fn some_addresses_are_reached_under_no_policy() {
    run(async {
        let names = network().await;
        let everything: [IpNet; 2] = ["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
        let builder = Engine::builder().cache_dir(CACHE).name_servers([names.address]);
        let engine = builder.allow_networks(everything).allow_private_networks().build().unwrap();
        for host in [
            "169.254.169.254",
            "169.254.1.1",
            "0.0.0.0",
            "224.0.0.1",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[2002:7f00:1::]",
            "[64:ff9b:1::7f00:1]",
            "metadata.test",
            "metadata6.test",
            "mapped.test",
            "6to4.test",
            "nat64.test",
        ] {
            let options = StoreOptions::new().settings(once(&format!("http://{host}:9")));
            for options in [options.clone(), options.allow_private()] {
                let said = unreached(&engine.open(options).await.expect(host)).await;
                assert!(said.contains("no store may reach"), "{host}: {said}");
            }
        }
    });
}

#[test]
fn private_address_is_reached_if_the_store_allows_it() {
    run(async {
        let names = network().await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let engine = engine(&names, |_| {});
        for host in ["127.0.0.1", "localhost", "bucket.localhost", "private.test", "mixed.test", "minio"] {
            let store = open_private(&engine, &format!("http://{host}:{}", server.port())).await;
            assert_eq!(store.get("k").await.expect(host).bytes().await.unwrap(), "here");
        }
    });
}

/// Neither its open connection nor its cached lookup serves the other.
#[test]
fn connection_is_not_shared_with_a_store_of_a_narrower_policy() {
    run(async {
        let names = network().await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let builder = Engine::builder().cache_dir(CACHE).name_servers([names.address]);
        let listing = builder.clone().allow_networks(["10.0.0.0/8".parse().unwrap()]).build().unwrap();
        for engine in [listing, builder.build().unwrap()] {
            for host in ["127.0.0.1", "private.test"] {
                let endpoint = format!("http://{host}:{}", server.port());
                let wide = open_private(&engine, &endpoint).await;
                let narrow = engine.store(once(&endpoint)).await.unwrap();
                for _ in 0..3 {
                    assert_eq!(wide.get("k").await.unwrap().bytes().await.unwrap(), "here");
                    let said = unreached(&narrow).await;
                    assert!(said.contains("not public"), "{said}");
                }
            }
        }
    });
}

#[test]
fn engines_allowed_network_applies_to_all_stores() {
    run(async {
        let names = network().await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let of = |network: &str| {
            let builder = Engine::builder().cache_dir(CACHE).name_servers([names.address]);
            builder.allow_networks([network.parse().unwrap()]).build().unwrap()
        };
        let endpoint = format!("http://private.test:{}", server.port());
        let inside = of("127.0.0.0/24").store(once(&endpoint)).await.unwrap();
        assert_eq!(inside.get("k").await.unwrap().bytes().await.unwrap(), "here");
        let outside = of("127.0.1.0/24").store(once(&endpoint)).await.unwrap();
        let said = unreached(&outside).await;
        assert!(said.contains("not public"), "{said}");
    });
}

#[test]
fn configuration_file_reaches_its_private_endpoint_with_any_engine() {
    run(async {
        let names = network().await;
        let server = Faulty::start([]).await;
        server.keep(PATH, "here");
        let engine = engine(&names, |_| {});
        let open = async |host: &str, further: &str| {
            let endpoint = format!("http://{host}:{}", server.port());
            let section = format!("[store.blob.s3]\nbucket = \"sandbucket-tests\"\nendpoint = \"{endpoint}\"\n");
            let keys = "access-key = \"a\"\nsecret-key = \"b\"\nmax-retries = 0\n";
            let config = Config::parse(&format!("{section}{keys}{further}")).unwrap();
            (config.open(&engine).await.unwrap(), config)
        };
        for (host, further) in
            [("127.0.0.1", ""), ("localhost", ""), ("minio.internal", ""), ("private.test", "allow-private = true\n")]
        {
            let (store, _) = open(host, further).await;
            assert_eq!(store.get("k").await.expect(host).bytes().await.unwrap(), "here");
        }
        // A public name must resolve to a public address, in a file, too.
        let said = unreached(&open("private.test", "").await.0).await;
        assert!(said.contains("not public"), "{said}");
        // Its networks apply to the engine built from it.
        let further = "[sandbox]\nallow-networks = [\"127.0.0.1/32\"]\n";
        let (_, config) = open("private.test", further).await;
        let engine = config.engine().cache_dir(CACHE).name_servers([names.address]).build().unwrap();
        let store = engine.store(once(&format!("http://private.test:{}", server.port()))).await.unwrap();
        assert_eq!(store.get("k").await.unwrap().bytes().await.unwrap(), "here");
    });
}

#[test]
fn malformed_allowed_network_is_an_error_that_names_it() {
    for (value, part) in [("\"10.0.0.0/8\"", "a list"), ("[\"10.0.0.0/99\"]", "10.0.0.0/99"), ("[1]", "a number")] {
        let text = format!("[store.blob.s3]\nbucket = \"b\"\n[sandbox]\nallow-networks = {value}\n");
        let error = Config::parse(&text).unwrap_err().to_string();
        assert!(error.contains("sandbox.allow-networks") && error.contains(part), "{error}");
    }
}
