//! `plugin inspect`.

use super::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn inspect_shows_exports_imports_and_documentation_of_a_file() {
    let bench = Bench::start().await;
    std::fs::remove_file(bench.path("sandbucket.toml")).unwrap();
    std::fs::write(bench.path("s3.wasm"), sandbucket::PLUGIN).unwrap();
    let shown = bench.run(&["plugin", "inspect", "s3.wasm", "--json"]).await.ends_with(0).json();
    let names = |list: &str| -> Vec<String> {
        shown[list].as_array().unwrap().iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect()
    };
    for export in ["types", "listing", "multipart", "buckets", "store", "sans-io"] {
        assert!(names("exports").contains(&format!("sandbucket:blob/{export}@0.2.0")), "{shown}");
    }
    assert!(names("imports").contains(&"wasi:http/outgoing-handler@0.2.0".to_owned()), "{shown}");
    assert_eq!(shown["sans-io"], true);
    let find = |list: &str, name: &str| {
        shown[list].as_array().unwrap().iter().find(|one| one["name"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(find("settings", "secret-key")["secret"], true);
    assert_eq!(find("attributes", "sse-customer-key")["secret"], true);
    assert!(find("attributes", "cache-control")["help"].as_str().unwrap().contains("put"), "{shown}");
    let text = bench.run(&["plugin", "inspect", "s3.wasm"]).await.ends_with(0).stdout();
    assert!(text.contains("no instance is held") && text.contains("addressing-style"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_of_a_file_that_is_no_component_is_an_error() {
    let bench = Bench::start().await;
    std::fs::write(bench.path("text.wasm"), "not a component").unwrap();
    let message = bench.run(&["plugin", "inspect", "text.wasm"]).await.ends_with(1).stderr();
    assert!(message.contains("text.wasm"), "{message}");
    let message = bench.run(&["plugin", "inspect", "missing.wasm"]).await.ends_with(1).stderr();
    assert!(message.contains("missing.wasm"), "{message}");
}
