//! `serve` and `tenants` as operators run them.

use std::io::Read;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::Bench;

/// A running `serve`, which is killed on drop.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(bench: &Bench) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbucket"));
        command.current_dir(bench.folder.path()).args(["--json", "serve"]).env_remove("RUST_LOG");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = serde_json::Deserializer::from_reader(child.stdout.take().unwrap());
        let started = output.into_iter::<Value>().next().and_then(Result::ok).unwrap_or_else(|| {
            let mut errors = String::new();
            let _ = child.kill();
            child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("it did not start: {errors}")
        });
        assert_eq!(started["tenants"], 1);
        let address = started["listen"][0].as_str().unwrap().to_owned();
        Server { child, address }
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

fn configure(bench: &Bench, key: &str) {
    let text = format!(
        "[serve]\nlisten = '127.0.0.1:0'\nadmin = 'unix:{}'\n\
         [tenants.alice.store.blob.s3]\nbucket = 'bench'\nendpoint = '{}'\naccess-key = 'the-key'\n\
         secret-key = 'the-secret'\n\
         [tenants.alice.gateway]\nkeys = [{{ access-key = '{key}', secret-key = 'front-secret', access = 'read-write' }}]\n\
         buckets.photos = {{ prefix = 'photos/' }}\n",
        bench.path("admin.sock").display(),
        bench.server.endpoint()
    );
    std::fs::write(bench.path("sandbucket.toml"), text).unwrap();
}

/// A client of the gateway: the command itself.
fn as_client(bench: &Bench, server: &Server, key: &str) {
    let text = format!(
        "[store.blob.s3]\nbucket = 'photos'\nendpoint = 'http://{}'\naccess-key = '{key}'\nsecret-key = 'front-secret'\n\
         max-retries = 0\n",
        server.address
    );
    std::fs::write(bench.path("client.toml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_reloads_at_hangup_and_stops_at_sigterm() {
    let bench = Bench::start().await;
    configure(&bench, "alice");
    bench.run(&["serve", "--check"]).await.ends_with(0);
    let mut server = Server::start(&bench);
    as_client(&bench, &server, "alice");
    bench.run_with(&["-c", "client.toml", "put", "k"], b"v").await.ends_with(0);
    assert_eq!(bench.run(&["-c", "client.toml", "get", "k"]).await.ends_with(0).stdout(), "v");
    assert!(bench.server.folder().join("bench").read_dir().unwrap().count() > 0);

    configure(&bench, "alice-new");
    server.signal("-HUP");
    as_client(&bench, &server, "alice-new");
    // The signal is handled some time later.
    while bench.run(&["-c", "client.toml", "get", "k"]).await.output.status.code() != Some(0) {}
    as_client(&bench, &server, "alice");
    assert_ne!(bench.run(&["-c", "client.toml", "get", "k"]).await.output.status.code(), Some(0));

    let listed = bench.run(&["tenants", "list"]).await.ends_with(0).stdout();
    assert!(listed.starts_with("alice\topen\t"), "{listed}");
    let status: Value =
        serde_json::from_str(&bench.run(&["--json", "tenants", "status"]).await.ends_with(0).stdout()).unwrap();
    assert_eq!(status["tenants"][0]["name"], "alice");
    bench.run(&["tenants", "drain", "alice"]).await.ends_with(0);
    as_client(&bench, &server, "alice-new");
    assert_ne!(bench.run(&["-c", "client.toml", "get", "k"]).await.output.status.code(), Some(0));
    bench.run(&["tenants", "resume", "alice"]).await.ends_with(0);
    bench.run(&["-c", "client.toml", "get", "k"]).await.ends_with(0);
    let reloaded = bench.run(&["tenants", "reload"]).await.ends_with(0).stderr();
    assert!(reloaded.contains("1 unchanged"), "{reloaded}");

    // A swap of all is one of those for the same service.
    let azure = format!(
        "[store.blob.azure]\ncontainer = 'ccc'\naccount = 'aaa'\naccess-key = 'c2VjcmV0'\nendpoint = '{}'\n\
         [gateway]\nkeys = [{{ access-key = 'bob', secret-key = 'front-secret', access = 'read-only' }}]\n\
         buckets.bobs = {{ prefix = '' }}\n",
        bench.server.endpoint()
    );
    std::fs::write(bench.path("bob.toml"), azure).unwrap();
    bench.run(&["tenants", "set", "bob", "bob.toml"]).await.ends_with(0);
    std::fs::write(bench.path("next.wasm"), [sandbucket::PLUGIN, &[0, 2, 1, b'x']].concat()).unwrap();
    let swapped = bench.run(&["tenants", "swap", "next.wasm"]).await.ends_with(0).stderr();
    assert!(swapped.contains("1 swapped (alice), 0 unchanged, 1 left out"), "{swapped}");
    assert!(swapped.contains("The tenant bob keeps its plugin: ") && swapped.contains("`sas-token`"), "{swapped}");
    let swapped = bench.run(&["--json", "tenants", "swap", "next.wasm"]).await.ends_with(0).stdout();
    let swapped: Value = serde_json::from_str(&swapped).unwrap();
    assert_eq!((&swapped["swapped"], &swapped["unchanged"]), (&serde_json::json!([]), &serde_json::json!(1)));
    assert!(swapped["left-out"]["bob"].is_string(), "{swapped}");
    bench.run(&["-c", "client.toml", "get", "k"]).await.ends_with(0);
    let unknown = bench.run(&["tenants", "remove", "nobody"]).await.ends_with(1).stderr();
    assert!(unknown.contains("no tenant"), "{unknown}");

    server.signal("-TERM");
    let status = server.child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    let absent = bench.run(&["tenants", "list"]).await.ends_with(1).stderr();
    assert!(absent.contains("admin.sock"), "{absent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_configuration_is_an_error_with_its_line() {
    let bench = Bench::start().await;
    configure(&bench, "a/b");
    let stderr = bench.run(&["serve", "--check"]).await.ends_with(7).stderr();
    assert!(stderr.contains("tenants.alice.gateway") && !stderr.contains("front-secret"), "{stderr}");
    std::fs::write(bench.path("sandbucket.toml"), "[serve]\nlisten = 'nowhere'\n").unwrap();
    let stderr = bench.run(&["serve"]).await.ends_with(7).stderr();
    assert!(stderr.contains("sandbucket.toml:2"), "{stderr}");
}

/// Tenants with keys of their own, with those of a program, and with none.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_tenants_are_named_and_a_program_runs_once_for_all_of_them() {
    let bench = Bench::start().await;
    configure(&bench, "alice");
    let own = std::fs::read_to_string(bench.path("sandbucket.toml")).unwrap();
    let tenant = |name: &str, source: &str| {
        format!(
            "[tenants.{name}.store.blob.s3]\nbucket = 'bench'\nendpoint = '{}'\n{source}\n",
            bench.server.endpoint()
        )
    };
    let write = |text: String| std::fs::write(bench.path("sandbucket.toml"), text).unwrap();
    let program = bench.path("program.sh");
    std::fs::write(&program, "echo >> runs\nsleep 0.1\ncat keys\n").unwrap();
    let shared = format!("[profile program]\ncredential_process = sh {}\n", program.display());
    std::fs::write(bench.path("none"), shared).unwrap();
    let runs = || std::fs::read_to_string(bench.path("runs")).map_or(0, |text| text.lines().count());

    // The program has nothing to give: its tenants are not ready, and no error of the others.
    let named: String = (0..20).map(|n| tenant(&format!("t{n}"), "profile = 'program'")).collect();
    write(own.clone() + &named);
    let stderr = bench.run(&["serve", "--check"]).await.ends_with(0).stderr();
    assert!(stderr.contains("The tenant t0 is not ready") && stderr.contains("21 tenants"), "{stderr}");
    assert!(!stderr.contains("alice"), "{stderr}");

    std::fs::write(bench.path("keys"), r#"{"Version":1,"AccessKeyId":"the-key","SecretAccessKey":"the-secret"}"#)
        .unwrap();
    let before = runs();
    let stderr = bench.run(&["serve", "--check"]).await.ends_with(0).stderr();
    assert!(!stderr.contains("not ready"), "{stderr}");
    assert_eq!(runs() - before, 1);

    // The keys of the process are for no tenant that does not name them.
    let keys = [("AWS_ACCESS_KEY_ID", "the-key"), ("AWS_SECRET_ACCESS_KEY", "the-secret")];
    write(own.clone() + &tenant("bob", ""));
    let stderr = bench.run_in(&keys, &["serve", "--check"]).await.ends_with(7).stderr();
    assert!(stderr.contains("tenants.bob.store.blob.s3: there are no keys"), "{stderr}");
    assert!(stderr.contains("sandbucket.toml:12") && !stderr.contains("the-secret"), "{stderr}");
    for (source, status) in [("credentials = 'environment'", 0), ("credentials = 'anonymous'", 0)] {
        write(own.clone() + &tenant("bob", source));
        bench.run_in(&keys, &["serve", "--check"]).await.ends_with(status);
    }
    bench.run(&["serve", "--check"]).await.ends_with(0);
    write(own + &tenant("bob", "credentials = 'environment'"));
    let stderr = bench.run(&["serve", "--check"]).await.ends_with(7).stderr();
    assert!(stderr.contains("there are no credentials in the environment"), "{stderr}");
}

/// The figures of docs/operating.md: `ulimit -n 20000; cargo test --release --package sandbucket-cli --test cli idle -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes 20,000 file descriptors"]
async fn ten_thousand_idle_connections_leave_others_served() {
    const CONNECTIONS: usize = 9_900;

    let bench = Bench::start().await;
    configure(&bench, "alice");
    let text = std::fs::read_to_string(bench.path("sandbucket.toml")).unwrap();
    let limits = "[serve.limits]\nheader-timeout = '10m'\nconnections = 10000\n";
    std::fs::write(bench.path("sandbucket.toml"), text + limits).unwrap();
    let server = Server::start(&bench);
    as_client(&bench, &server, "alice");
    bench.run_with(&["-c", "client.toml", "put", "k"], b"v").await.ends_with(0);
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = memory();
    let mut idle = Vec::new();
    while idle.len() < CONNECTIONS {
        idle.push(TcpStream::connect(&server.address).unwrap());
    }
    let mut open = 0;
    while open < CONNECTIONS as u64 {
        let status = bench.run(&["--json", "tenants", "status"]).await.ends_with(0).stdout();
        open = serde_json::from_str::<Value>(&status).unwrap()["connections"].as_u64().unwrap();
    }
    let begun = std::time::Instant::now();
    assert_eq!(bench.run(&["-c", "client.toml", "get", "k"]).await.ends_with(0).stdout(), "v");
    let (took, after) = (begun.elapsed(), memory());
    let each = (after - before) * 1024 / CONNECTIONS as u64;
    println!(
        "{CONNECTIONS} idle connections: {before} KiB before, {after} KiB with them, {each} bytes each; a get took {took:?}"
    );
    assert!(each < 64 << 10, "{each} bytes each");
}
