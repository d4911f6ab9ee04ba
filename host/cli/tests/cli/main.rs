//! Tests of the command as users run it, against a server in this process.

mod escaping;
mod plugin;
mod profiles;
mod proxies;
#[cfg(unix)]
mod serve;
mod several;
#[cfg(unix)]
mod shell;
mod stores;
mod sync;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sandbucket_dev_server::DevServer;
use serde_json::Value;

/// A server, a folder with its configuration, and the command.
struct Bench {
    folder: tempfile::TempDir,
    server: DevServer,
}

impl Bench {
    async fn start() -> Self {
        let server =
            DevServer::builder().buckets(["bench"]).credentials("the-key", "the-secret").start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("none"), "").unwrap();
        let bench = Bench { folder, server };
        bench.configure(&bench.server.endpoint(), "the-secret");
        bench
    }

    fn configure(&self, endpoint: &str, secret_key: &str) {
        let section = format!(
            "[store.blob.s3]\nbucket = \"bench\"\nendpoint = \"{endpoint}\"\naccess-key = \"the-key\"\n\
             secret-key = \"{secret_key}\"\nmax-retries = 0\n"
        );
        std::fs::write(self.path("sandbucket.toml"), section).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the command in the folder with this standard input.
    async fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let (folder, arguments) = (self.folder.path().to_owned(), arguments.iter().map(|a| (*a).to_owned()).collect());
        let input = input.to_owned();
        tokio::task::spawn_blocking(move || run(&folder, &[], arguments, &input)).await.unwrap()
    }

    /// Runs the command in the folder with these variables.
    async fn run_in(&self, variables: &[(&'static str, &str)], arguments: &[&str]) -> Ran {
        let (folder, arguments) = (self.folder.path().to_owned(), arguments.iter().map(|a| (*a).to_owned()).collect());
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        tokio::task::spawn_blocking(move || run(&folder, &variables, arguments, b"")).await.unwrap()
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, b"").await
    }
}

fn run(folder: &Path, variables: &[(&str, String)], arguments: Vec<String>, input: &[u8]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbucket"));
    command.current_dir(folder).args(&arguments).env("NO_COLOR", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.env_remove("SANDBUCKET_CONFIG");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    for name in ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"] {
        command.env(name, folder.join("none"));
    }
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A command that does not read its input closes it.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    Ran { arguments, output }
}

/// The outcome of a run.
struct Ran {
    arguments: Vec<String>,
    output: Output,
}

impl Ran {
    fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    fn stderr(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    #[track_caller]
    fn ends_with(self, status: i32) -> Self {
        let output =
            format!("{:?}\n--- stdout\n{}\n--- stderr\n{}", self.arguments, self.stdout_lossy(), self.stderr());
        assert_eq!(self.output.status.code(), Some(status), "{output}");
        assert!(!self.stderr().contains("panicked"), "{output}");
        self
    }

    fn stdout_lossy(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// Standard output as JSON.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.output.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout_lossy()))
    }

    /// The error on standard error, as JSON.
    #[track_caller]
    fn error(&self) -> Value {
        let error: Value = serde_json::from_str(&self.stderr()).unwrap_or_else(|e| panic!("{e}: {}", self.stderr()));
        error["error"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn body_is_read_from_stdin_and_written_to_stdout_whole_and_by_range() {
    let bench = Bench::start().await;
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    bench.run_with(&["put", "a/b c.bin"], &body).await.ends_with(0);
    assert_eq!(bench.run(&["get", "a/b c.bin"]).await.ends_with(0).output.stdout, body);
    for (range, expected) in [("0-99", &body[..100]), ("99990-", &body[99_990..]), ("-7", &body[99_993..])] {
        let got = bench.run(&["get", "a/b c.bin", "--range", range]).await.ends_with(0);
        assert_eq!(got.output.stdout, expected, "{range}");
    }
    let failed = bench.run(&["--json", "get", "a/b c.bin", "-r", "100000-"]).await.ends_with(4);
    assert_eq!(failed.error()["kind"], "invalid-range");
}

#[tokio::test(flavor = "multi_thread")]
async fn file_round_trips_or_leaves_no_partial_file() {
    let bench = Bench::start().await;
    // More than one read.
    let body: Vec<u8> = (0..9_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(bench.path("photo.png"), &body).unwrap();
    let put = bench.run(&["--json", "put", "photo", "photo.png", "-m", "Colour=blue", "-a", "cache-control=no-cache"]);
    let put = put.await.ends_with(0).json();
    assert_eq!((put["key"].as_str(), put["size"].as_u64()), (Some("photo"), Some(9_000_000)));

    let head = bench.run(&["head", "photo", "--json"]).await.ends_with(0).json();
    assert_eq!(head["size"], 9_000_000);
    assert_eq!(head["etag"], put["etag"]);
    assert_eq!(head["content-type"], "image/png");
    assert_eq!(head["metadata"]["colour"], "blue");
    assert_eq!(head["attributes"]["cache-control"], "no-cache");
    assert!(head["last-modified"].as_str().unwrap().ends_with('Z'));
    let shown = bench.run(&["head", "photo"]).await.ends_with(0).stdout();
    assert!(shown.contains("8.6 MiB (9000000 bytes)") && shown.contains("metadata colour"), "{shown}");

    // A checksum of the body applies to a single request.
    let wrong = bench.run(&["--json", "put", "photo", "photo.png", "-a", "content-md5=AAAAAAAAAAAAAAAAAAAAAA=="]).await;
    assert_eq!(wrong.error()["response"]["code"], "BadDigest");

    std::fs::write(bench.path("copy.png"), "what was there before").unwrap();
    bench.run(&["get", "photo", "copy.png"]).await.ends_with(0);
    assert!(std::fs::read(bench.path("copy.png")).unwrap() == body);
    bench.run(&["get", "nothing", "copy.png"]).await.ends_with(3);
    assert!(std::fs::read(bench.path("copy.png")).unwrap() == body);
    let mut names: Vec<_> = std::fs::read_dir(bench.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["copy.png", "none", "photo.png", "sandbucket.toml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_too_large_for_one_call_is_uploaded_in_parts() {
    let bench = Bench::start().await;
    let section = std::fs::read_to_string(bench.path("sandbucket.toml")).unwrap();
    std::fs::write(bench.path("sandbucket.toml"), format!("{section}[sandbox]\nmax-put = \"5MiB\"\n")).unwrap();
    let body: Vec<u8> = (0..11 << 20).map(|n: u32| (n / 3) as u8).collect();
    std::fs::write(bench.path("large.txt"), &body).unwrap();
    let from_file =
        bench.run(&["--json", "put", "a", "large.txt", "--if-absent", "-m", "a=1"]).await.ends_with(0).json();
    let from_stdin = bench.run_with(&["--json", "put", "b"], &body).await.ends_with(0).json();
    for put in [from_file, from_stdin] {
        assert_eq!(put["size"].as_u64(), Some(11 << 20));
        assert!(put["etag"].as_str().unwrap().ends_with("-3\""), "{put}");
        let key = put["key"].as_str().unwrap();
        assert!(bench.run(&["get", key]).await.ends_with(0).output.stdout == body);
    }
    let head = bench.run(&["head", "a", "--json"]).await.json();
    assert_eq!((head["metadata"]["a"].as_str(), head["content-type"].as_str()), (Some("1"), Some("text/plain")));
    // A failed condition leaves nothing behind.
    bench.run(&["put", "a", "large.txt", "--if-absent"]).await.ends_with(4);
    let uploads = bench.run(&["uploads", "--json"]).await.ends_with(0);
    assert_eq!(uploads.stdout(), "");
    bench.run(&["put", "c", "no such file"]).await.ends_with(1);
    bench.run(&["put", "c", "."]).await.ends_with(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_status_reports_the_kind_of_error() {
    let bench = Bench::start().await;
    bench.run(&["put", "k", "sandbucket.toml"]).await.ends_with(0);
    let missing = bench.run(&["head", "nothing"]).await.ends_with(3);
    assert!(missing.stderr().starts_with("error: ") && missing.stderr().contains("nothing"), "{}", missing.stderr());
    bench.run_with(&["put", "k", "--if-absent"], b"other").await.ends_with(4);
    bench.run_with(&["put", "k", "--if-match", "\"other\""], b"other").await.ends_with(4);
    let tag = bench.run(&["head", "k", "--json"]).await.ends_with(0).json()["etag"].as_str().unwrap().to_owned();
    bench.run(&["get", "k", "--if-none-match", &tag]).await.ends_with(4);
    bench.run_with(&["put", "k", "--if-match", &tag], b"other").await.ends_with(0);
    bench.run(&["rm", "k", "nothing"]).await.ends_with(0);
    bench.run(&["get", "k"]).await.ends_with(3);

    bench.run(&["get"]).await.ends_with(2);
    bench.run(&["get", "k", "--range", "9-1"]).await.ends_with(2);
    bench.run_with(&["put", &"k".repeat(1025)], b"").await.ends_with(2);
    let missing = bench.run(&["--config", "other.toml", "get", "k"]).await.ends_with(7);
    assert!(missing.stderr().contains("other.toml") && missing.stderr().contains("hint:"), "{}", missing.stderr());

    bench.configure(&bench.server.endpoint(), "wrong");
    let denied = bench.run(&["--json", "get", "k"]).await.ends_with(5);
    assert_eq!(denied.error()["response"]["code"], "SignatureDoesNotMatch");
    bench.configure("http://127.0.0.1:1", "the-secret");
    let unreachable = bench.run(&["get", "k"]).await.ends_with(6);
    assert!(unreachable.stderr().contains("127.0.0.1:1"), "{}", unreachable.stderr());
    std::fs::write(bench.path("sandbucket.toml"), "[store.blob.s3]\nbuckt = \"bench\"\n").unwrap();
    let wrong = bench.run(&["get", "k"]).await.ends_with(7);
    let output = wrong.stderr();
    assert!(
        output.contains("sandbucket.toml:2: store.blob.s3.buckt: ") && output.contains("did you mean bucket"),
        "{output}"
    );
    assert!(output.contains("hint: ") && output.contains("sandbucket settings"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_passes_on_a_working_service_and_cleans_up() {
    let bench = Bench::start().await;
    let ran = bench.run(&["check"]).await.ends_with(0);
    for step in [
        "settings",
        "TCP",
        "credentials",
        "put",
        "head",
        "get",
        "get range",
        "put if absent",
        "complete if absent",
        "delete",
    ] {
        let line = ran.stdout().lines().find(|line| line.contains(&format!("ok  {step} "))).map(str::to_owned);
        assert!(line.is_some(), "no \"ok {step}\" in\n{}", ran.stdout());
    }
    let files: Vec<_> = std::fs::read_dir(bench.server.folder().join("bench")).unwrap().collect();
    assert!(files.is_empty(), "{files:?}");

    let report = bench.run(&["check", "--json", "--read-only"]).await.ends_with(0).json();
    assert_eq!(report["ok"], true);
    let put = report["steps"].as_array().unwrap().iter().find(|step| step["step"] == "put").unwrap();
    assert_eq!(put["outcome"], "skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_failed_step_and_the_remedy() {
    let bench = Bench::start().await;
    let failed = |report: Value| -> Vec<(String, String)> {
        let steps = report["steps"].as_array().unwrap().clone();
        let failed = steps.iter().filter(|step| step["outcome"] == "failed");
        failed.map(|s| (s["step"].as_str().unwrap().to_owned(), s["hint"].as_str().unwrap().to_owned())).collect()
    };
    bench.configure(&bench.server.endpoint(), "wrong");
    let report = failed(bench.run(&["check", "--json"]).await.ends_with(5).json());
    assert!(
        matches!(&report[..], [(step, hint)] if step == "credentials" && hint.contains("secret-key")),
        "{report:?}"
    );

    bench.configure("http://127.0.0.1:1", "the-secret");
    let report = failed(bench.run(&["check", "--json"]).await.ends_with(6).json());
    assert!(matches!(&report[..], [(step, hint)] if step == "TCP" && hint.contains("endpoint")), "{report:?}");

    bench.configure("http://no-such-host.invalid", "the-secret");
    let report = failed(bench.run(&["check", "--json"]).await.ends_with(6).json());
    assert!(matches!(&report[..], [(step, _)] if step == "DNS"), "{report:?}");

    // HTTPS to a server without TLS.
    bench.configure(&bench.server.endpoint().replace("http:", "https:"), "the-secret");
    let report = failed(bench.run(&["check", "--json"]).await.ends_with(6).json());
    assert!(matches!(&report[..], [(step, hint)] if step == "TLS" && hint.contains("http://")), "{report:?}");

    bench.configure("ftp://127.0.0.1", "the-secret");
    let report = failed(bench.run(&["check", "--json"]).await.ends_with(7).json());
    assert!(matches!(&report[..], [(step, _)] if step == "settings"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_succeeds_and_shows_the_plugins_imports() {
    let bench = Bench::start().await;
    let ran = bench.run(&["demo", "sandbucket.toml"]).await.ends_with(0);
    for word in ["wasi:http/outgoing-handler@0.2", "yours/sandbucket.toml", "wrong key", "as they should be"] {
        assert!(ran.stdout().contains(word), "no {word} in\n{}", ran.stdout());
    }
    let report = bench.run(&["demo", "--json"]).await.ends_with(0).json();
    assert_eq!(report["ok"], true);
    let imports = report["plugin"]["imports"].as_array().unwrap();
    let allowed = |import: &Value| {
        let import = import.as_str().unwrap();
        ["wasi:http/", "wasi:io/", "wasi:clocks/"].iter().any(|package| import.starts_with(package))
    };
    assert!(!imports.is_empty() && imports.iter().all(allowed), "{imports:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_listed_without_a_configuration() {
    let bench = Bench::start().await;
    std::fs::remove_file(bench.path("sandbucket.toml")).unwrap();
    let settings = bench.run(&["settings", "--json"]).await.ends_with(0).json();
    let find = |name: &str| settings.as_array().unwrap().iter().find(|s| s["name"] == name).cloned().unwrap();
    assert_eq!(find("bucket")["required"], true);
    assert_eq!(find("secret-key")["secret"], true);
    assert_eq!(find("timeout")["kind"], "duration");
    let shown = bench.run(&["settings"]).await.ends_with(0).stdout();
    assert!(shown.contains("addressing-style"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_stdout_pipe_prints_no_error() {
    let bench = Bench::start().await;
    bench.run_with(&["put", "large"], &vec![7; 3_000_000]).await.ends_with(0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbucket"));
    command.current_dir(bench.folder.path()).args(["get", "large"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// An interrupted `put` aborts its upload before it exits.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn interrupted_put_aborts_its_upload() {
    let bench = Bench::start().await;
    let uploads = async || bench.run(&["uploads", "--json"]).await.ends_with(0).stdout().lines().count();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbucket"));
    command.current_dir(bench.folder.path()).args(["put", "k"]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // Its input stays open: more could follow.
    let mut stdin = child.stdin.take().unwrap();
    let stdin = tokio::task::spawn_blocking(move || stdin.write_all(&vec![7; 20 << 20]).map(|()| stdin));
    let stdin = stdin.await.unwrap().unwrap();
    while uploads().await == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it has ended by itself");
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    drop(stdin);
    assert_eq!((status.code(), uploads().await), (Some(130), 0));
    bench.run(&["head", "k"]).await.ends_with(3);
}

/// Starts, prints a working configuration, and stops on a signal.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn dev_server_prints_a_working_configuration() {
    use std::io::{BufRead, BufReader};

    let bench = Bench::start().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbucket"));
    command.current_dir(bench.folder.path()).args([
        "dev-server",
        "data",
        "--listen",
        "127.0.0.1:0",
        "--bucket",
        "mine",
    ]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let section: Vec<String> = lines.take(5).map(Result::unwrap).collect();
    std::fs::write(bench.path("sandbucket.toml"), section.join("\n")).unwrap();
    bench.run_with(&["put", "k"], b"v").await.ends_with(0);
    assert_eq!(bench.run(&["get", "k"]).await.ends_with(0).stdout(), "v");
    assert!(bench.path("data/mine").is_dir());

    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}
