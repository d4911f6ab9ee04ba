//! Several stores in one configuration: `--store`, `store.NAME:KEY`, and plugins by name and by file.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::Bench;

/// The built-in plugin with one more custom section: another component to the engine.
fn other_plugin() -> Vec<u8> {
    [sandbucket::PLUGIN, &[0, 2, 1, b'x']].concat()
}

/// Adds a store `archive` with a plugin from a file, below another prefix.
fn with_archive(bench: &Bench) {
    let config = std::fs::read_to_string(bench.path("sandbucket.toml")).unwrap();
    let own = config.split_once('\n').unwrap().1;
    std::fs::create_dir(bench.path("plugins")).unwrap();
    std::fs::write(bench.path("plugins/other.wasm"), other_plugin()).unwrap();
    let archive = format!("[store.blob.archive]\nplugin = 'plugins/other.wasm'\nkey-prefix = 'archived/'\n{own}");
    std::fs::write(bench.path("sandbucket.toml"), format!("{config}{archive}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_copied_between_stores_of_different_plugins() {
    let bench = Bench::start().await;
    with_archive(&bench);
    std::fs::create_dir(bench.path("photos")).unwrap();
    for name in ["a.txt", "b.txt"] {
        std::fs::write(bench.path("photos").join(name), name.repeat(1000)).unwrap();
    }
    bench.run(&["cp", "-r", "photos", "store:photos"]).await.ends_with(0);
    let copied = bench.run(&["--json", "cp", "-r", "store:photos", "store.archive:2026"]).await.ends_with(0);
    assert!(copied.stdout().contains("\"store.archive:2026/a.txt\""), "{}", copied.stdout());
    bench.run(&["cp", "store.s3:photos/a.txt", "store.archive:"]).await.ends_with(0);

    let listed = |ran: super::Ran| ran.ends_with(0).stdout().matches(".txt").count();
    assert_eq!(listed(bench.run(&["ls", "-r", "--store", "archive"]).await), 3);
    assert_eq!(listed(bench.run(&["ls", "-r", "archived/"]).await), 3);
    assert_eq!(listed(bench.run_in(&[("SANDBUCKET_STORE", "archive")], &["ls", "-r"]).await), 3);
    let read = bench.run(&["cp", "store.archive:2026/b.txt", "-"]).await.ends_with(0).stdout();
    assert_eq!(read, "b.txt".repeat(1000));
    let read = bench.run(&["get", "2026/b.txt", "--store", "archive"]).await.ends_with(0).stdout();
    assert_eq!(read, "b.txt".repeat(1000));
    // The second time there is nothing to do, and a folder is not copied into itself.
    let again = bench.run(&["--json", "sync", "store:photos", "store.archive:2026"]).await.ends_with(0);
    assert!(!again.stdout().contains("a.txt"), "{}", again.stdout());
    bench.run(&["cp", "-r", "store.s3:photos", "store:photos/x"]).await.ends_with(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_store_is_an_error_that_names_the_others() {
    let bench = Bench::start().await;
    with_archive(&bench);
    for arguments in [&["ls", "--store", "azure"][..], &["cp", "store.azure:x", "-"]] {
        let message = bench.run(arguments).await.ends_with(7).stderr();
        assert!(message.contains("no section [store.blob.azure]") && message.contains("archive, s3"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plugin_that_is_missing_is_an_error_with_its_place() {
    let bench = Bench::start().await;
    with_archive(&bench);
    std::fs::remove_file(bench.path("plugins/other.wasm")).unwrap();
    let message = bench.run(&["cp", "store:x", "store.archive:x"]).await.ends_with(7).stderr();
    assert!(message.contains("store.blob.archive.plugin") && message.contains("other.wasm"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plugin_is_inspected_by_its_name() {
    let bench = Bench::start().await;
    let shown = bench.run(&["plugin", "inspect", "s3"]).await.ends_with(0).stdout();
    assert!(shown.contains("addressing-style"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_without_a_plugin_is_s3s_whatever_the_other_stores_plugin_is() {
    let bench = Bench::start().await;
    with_archive(&bench);
    bench.run_with(&["put", "a", "--store", "archive"], b"archived").await.ends_with(0);
    bench.run(&["cp", "store.archive:a", "store.s3:b"]).await.ends_with(0);
    assert_eq!(bench.run(&["get", "b"]).await.ends_with(0).stdout(), "archived");
    let shown = bench.run(&["settings", "--store", "archive", "--json"]).await.ends_with(0).json();
    assert!(shown.as_array().unwrap().iter().any(|setting| setting["name"] == "addressing-style"), "{shown}");

    // A plugin that does not know S3's settings: it is not given them.
    let config = std::fs::read_to_string(bench.path("sandbucket.toml")).unwrap();
    let azure =
        "[store.blob.azure]\ncontainer = 'ccc'\naccount = 'demo1'\nendpoint = 'http://127.0.0.1:1'\nmax-retries = 0\n";
    std::fs::write(bench.path("sandbucket.toml"), format!("{config}{azure}")).unwrap();
    let message = bench.run(&["cp", "store.azure:a", "store.s3:b"]).await.ends_with(6).stderr();
    assert!(message.contains("http://127.0.0.1:1"), "{message}");
    let shown = bench.run(&["settings", "--store", "azure"]).await.ends_with(0).stdout();
    assert!(shown.contains("sas-token") && !shown.contains("addressing-style"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_two_stores_in_one_bucket_are_not_one_inside_the_other() {
    let bench = Bench::start().await;
    with_archive(&bench);
    bench.run_with(&["put", "archived/x"], b"kept").await.ends_with(0);
    for arguments in [
        // The target holds the source, which would be extraneous there.
        &["sync", "--delete", "store.archive:", "store:"][..],
        // The source holds the target, whose files would be copied again.
        &["cp", "-r", "store:", "store.archive:"],
        &["cp", "-r", "store:archived", "store.archive:copies"],
    ] {
        let message = bench.run(arguments).await.ends_with(2).stderr();
        assert!(message.contains("one inside the other"), "{message}");
    }
    bench.run(&["cp", "-r", "store:other", "store.archive:copies"]).await.ends_with(1);
    assert_eq!(bench.run(&["get", "archived/x"]).await.ends_with(0).stdout(), "kept");
}

/// A blob of the S3 store with an attribute and metadata that Azure does not accept.
async fn with_properties(bench: &Bench, key: &str) {
    let properties =
        ["-a", "expires=Thu, 01 Jan 2032 00:00:00 GMT", "-a", "content-language=de", "-m", "a-b=1", "-m", "team=c"];
    bench.run_with(&[&["put", key][..], &properties].concat(), b"hello").await.ends_with(0);
}

/// Adds a store `azure` with anonymous access at this address.
fn with_azure(bench: &Bench, endpoint: &str) {
    let config = std::fs::read_to_string(bench.path("sandbucket.toml")).unwrap();
    let azure = format!("[store.blob.azure]\ncontainer = 'ccc'\nendpoint = '{endpoint}/demo1'\nmax-retries = 0\n");
    std::fs::write(bench.path("sandbucket.toml"), format!("{config}{azure}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn property_that_the_target_does_not_accept_is_an_error_with_advice() {
    let bench = Bench::start().await;
    with_azure(&bench, "http://127.0.0.1:1");
    with_properties(&bench, "photos/a").await;
    let error = bench.run(&["--json", "cp", "store.s3:photos/a", "store.azure:a"]).await.ends_with(2).error();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("\"a\"") && message.contains("metadata \"a-b\""), "{message}");
    assert!(error["hint"].as_str().unwrap().contains("--drop-unsupported"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_unsupported_copies_blobs_without_what_the_target_does_not_accept() {
    let bench = Bench::start().await;
    let azure = TcpListener::bind("127.0.0.1:0").unwrap();
    with_azure(&bench, &format!("http://{}", azure.local_addr().unwrap()));
    for key in ["photos/a", "photos/b"] {
        with_properties(&bench, key).await;
    }
    // Two puts, one after the other.
    let seen = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for _ in 0..2 {
            let (mut client, _) = azure.accept().unwrap();
            let (mut request, mut piece) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"hello") {
                let count = client.read(&mut piece).unwrap();
                assert!(count > 0, "{}", String::from_utf8_lossy(&request));
                request.extend_from_slice(&piece[..count]);
            }
            let created = "HTTP/1.1 201 Created\r\netag: \"e\"\r\nx-ms-request-id: 1\r\ncontent-length: 0\r\n\
                           connection: close\r\n\r\n";
            client.write_all(created.as_bytes()).unwrap();
            requests.push(String::from_utf8(request).unwrap().to_ascii_lowercase());
        }
        requests
    });
    let arguments = ["--json", "cp", "-r", "-j", "1", "--drop-unsupported", "store.s3:photos", "store.azure:2026"];
    let copied = bench.run(&arguments).await.ends_with(0).stdout();
    let rows: Vec<serde_json::Value> = copied.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for row in &rows[..2] {
        assert_eq!(
            (&row["dropped"], &row["size"]),
            (&serde_json::json!(["expires", "metadata a-b"]), &5.into()),
            "{row}"
        );
    }
    assert_eq!((&rows[2]["copied"], &rows[2]["bytes"]), (&2.into(), &10.into()), "{copied}");
    for request in seen.join().unwrap() {
        assert!(request.contains("x-ms-meta-team: c") && request.contains("content-language: de"), "{request}");
        assert!(!request.contains("expires") && !request.contains("meta-a-b"), "{request}");
    }
}
