//! Proxies from the environment and from the configuration section. The named proxy does not exist: an error shows that it
//! was to be used.

use super::Bench;

const PROXY: &str = "http://user:hush-hush@127.0.0.1:1";

#[tokio::test(flavor = "multi_thread")]
async fn environment_proxy_is_used_unless_no_proxy_matches() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "k"], b"body").await.ends_with(0);
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        let words = bench.run_in(&[(name, PROXY)], &["get", "k"]).await.ends_with(6).stderr();
        assert!(words.contains("the proxy http://127.0.0.1:1 cannot be used") && !words.contains("hush"), "{words}");
        bench.run_in(&[(name, PROXY), ("NO_PROXY", "example.com, 127.0.0.0/8")], &["get", "k"]).await.ends_with(0);
    }
    bench.run_in(&[("HTTPS_PROXY", PROXY)], &["get", "k"]).await.ends_with(0);
    bench.run_in(&[("HTTP_PROXY", PROXY), ("REQUEST_METHOD", "GET")], &["get", "k"]).await.ends_with(0);
    let words = bench.run_in(&[("ALL_PROXY", "socks5://user:hush-hush@127.0.0.1:1")], &["get", "k"]).await;
    let words = words.ends_with(7).stderr();
    assert!(words.contains("ALL_PROXY") && words.contains("SOCKS") && !words.contains("hush"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn section_proxy_overrides_the_environment_proxy() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "k"], b"body").await.ends_with(0);
    let file = bench.path("sandbucket.toml");
    let section = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{section}proxy = \"none\"\n")).unwrap();
    bench.run_in(&[("ALL_PROXY", PROXY)], &["get", "k"]).await.ends_with(0);
    std::fs::write(&file, format!("{section}proxy = \"{PROXY}\"\n")).unwrap();
    let words = bench.run_in(&[("NO_PROXY", "*")], &["get", "k"]).await.ends_with(6).stderr();
    assert!(words.contains("the proxy http://127.0.0.1:1 cannot be used") && !words.contains("hush"), "{words}");
    std::fs::write(&file, format!("{section}proxy = \"\"\n")).unwrap();
    bench.run_in(&[("HTTPS_PROXY", PROXY)], &["get", "k"]).await.ends_with(0);
}
