//! Keys and endpoint from AWS's shared files, and anonymous requests.

use super::Bench;

/// Writes AWS's shared files, which are one file in these tests, and a configuration without keys.
fn write(bench: &Bench, shared: &str, section: &str) {
    std::fs::write(bench.path("none"), shared).unwrap();
    let section = format!("[store.blob.s3]\nbucket = \"bench\"\nregion = \"us-east-1\"\nmax-retries = 0\n{section}");
    std::fs::write(bench.path("sandbucket.toml"), section).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn default_profile_sets_keys_and_endpoint_in_every_spelling() {
    let bench = Bench::start().await;
    let endpoint = bench.server.endpoint();
    for shared in [
        format!(
            "[default]\n    aws_access_key_id = the-key\n    aws_secret_access_key = the-secret\n    endpoint_url = {endpoint}\n"
        ),
        format!(
            "\u{feff}[default]\r\naws_access_key_id: the-key\r\naws_secret_access_key: the-secret\r\nendpoint_url: {endpoint}\r\n"
        ),
        format!(
            "[default]\n\tcredential_process = echo '{{\"Version\": 1, \"AccessKeyId\": \"the-key\", \"SecretAccessKey\": \
             \"the-secret\"}}'\n\tservices = here\n[services here]\ns3 =\n\tendpoint_url = {endpoint}\n"
        ),
    ] {
        write(&bench, &shared, "");
        bench.run_with(&["put", "k"], b"body").await.ends_with(0);
        assert_eq!(bench.run(&["get", "k"]).await.ends_with(0).stdout(), "body");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_anonymous_request_error_says_anonymous() {
    let bench = Bench::start().await;
    write(&bench, "", &format!("endpoint = \"{}\"\n", bench.server.endpoint()));
    for arguments in [["get", "k"], ["head", "k"], ["ls", "p/"]] {
        let words = bench.run(&arguments).await.ends_with(5).stderr();
        assert!(words.contains("anonymous") && words.contains("without credentials"), "{words}");
        assert!(!words.contains("check the keys") && !words.contains("do the credentials allow"), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_without_usable_keys_is_an_error() {
    let bench = Bench::start().await;
    let endpoint = format!("endpoint = \"{}\"\n", bench.server.endpoint());
    for (shared, section) in [
        ("[default]\naws_access_key_id = hush\n", ""),
        ("[default]\nrole_arn = arn:x\n", ""),
        ("[default]\ncredential_process = false\n", ""),
        ("aws_access_key_id = hush\n", ""),
        ("", "profile = \"work\"\n"),
    ] {
        write(&bench, shared, &format!("{endpoint}{section}"));
        let error = bench.run(&["--json", "head", "k"]).await.error();
        assert_eq!(error["kind"], "config", "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}
