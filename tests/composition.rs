//! Composition: a small HTTP service and the plugin become one component, which `jco serve` runs.
//!
//! The service imports `sandbucket:blob/store`; `wac plug` binds the import to the plugin's export. What is left to import is
//! WASI, so that any host of `wasi:http/proxy` and an environment can run it.

use std::net::TcpListener as Listener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sandbucket_tests::{BUCKET, builder, dev_server, run_within, settings};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions};

/// How long installing, transpiling and starting may take.
const START: Duration = Duration::from_secs(300);

/// The service with its import of a store bound to the plugin, as `wac plug` makes it.
fn composed() -> Vec<u8> {
    let service = std::fs::read(env!("SANDBUCKET_HTTP_SERVICE")).expect("the service");
    let mut graph = CompositionGraph::new();
    let mut package = |name: &str, bytes: Vec<u8>| {
        let package = Package::from_bytes(name, None, bytes, graph.types_mut()).expect("a component");
        graph.register_package(package).expect("a package of its own name")
    };
    let (service, plugin) =
        (package("example:service", service), package("sandbucket:s3", sandbucket::PLUGIN.to_vec()));
    wac_graph::plug(&mut graph, vec![plugin], service).expect("the plugin exports what the service imports");
    graph.encode(EncodeOptions::default()).expect("a component")
}

/// The interfaces that a component imports and exports, without their versions.
fn interfaces(component: &[u8]) -> (Vec<String>, Vec<String>) {
    let mut graph = CompositionGraph::new();
    let package = Package::from_bytes("composed", None, component, graph.types_mut()).expect("a component");
    let world = &graph.types()[package.ty()];
    let bare = |name: &String| name.split('@').next().unwrap_or(name).to_owned();
    (world.imports.keys().map(bare).collect(), world.exports.keys().map(bare).collect())
}

#[test]
fn composed_component_imports_wasi_alone() {
    let (imports, exports) = interfaces(&composed());
    assert!(imports.contains(&"wasi:http/outgoing-handler".to_owned()), "{imports:?}");
    assert!(imports.iter().all(|name| name.starts_with("wasi:")), "{imports:?}");
    assert_eq!(exports, ["wasi:http/incoming-handler"]);
}

/// jco of the npm package's development dependencies; none where the build script found no Node 20 and npm.
async fn jco() -> Option<PathBuf> {
    if !cfg!(node) {
        eprintln!("composition under jco serve: LEFT OUT: Node 20 or newer and npm are not here");
        return None;
    }
    let node = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/node");
    let installed = Command::new("bash").arg(node.join("scripts/install.sh")).status().await.expect("bash");
    assert!(installed.success(), "installing jco: {installed}");
    Some(node.join("node_modules/.bin/jco"))
}

/// A component served by `jco serve`, which is a process of its own with children.
struct Served {
    port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Served {
    async fn start(jco: &Path, component: &[u8], variables: &[(String, String)]) -> Served {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("composed.wasm");
        std::fs::write(&file, component).expect("a file");
        let port = Listener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let mut child = Command::new(jco)
            .arg("serve")
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .arg(&file)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("NO_COLOR", "1")
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("jco");
        let (out, errors) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let mut lines = BufReader::new(errors.chain(out)).lines();
        // It prints its address; what follows is read so that it never waits for a reader.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("jco serve: {line}");
            }
        });
        let served = Served { port, child, _folder: folder };
        tokio::time::timeout(START, async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .expect("jco serve listens");
        served
    }

    /// Sends a request, and returns status and body.
    async fn send(&self, method: &str, key: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("a connection");
        let head = format!(
            "{method} /{key} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await.expect("a request");
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.expect("a response");
        let end = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("the end of the head");
        let head = String::from_utf8_lossy(&response[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, response.split_off(end + 4))
    }
}

impl Drop for Served {
    /// Kills the group.
    fn drop(&mut self) {
        if let Some(group) = self.child.id() {
            let _ = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status();
        }
    }
}

#[test]
fn composed_service_stores_blobs_under_jco_serve() {
    run_within(START, async {
        let Some(jco) = jco().await else { return };
        let server = dev_server().await;
        let variables: Vec<(String, String)> = settings(&server.endpoint(), &[])
            .into_iter()
            .map(|(name, value)| (format!("BLOB_{}", name.to_uppercase().replace('-', "_")), value))
            .collect();
        let served = Served::start(&jco, &composed(), &variables).await;

        let body: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        assert_eq!(served.send("PUT", "a/b.bin", &body).await.0, 201);
        assert_eq!(served.send("GET", "a/b.bin", b"").await, (200, body.clone()));
        // The server has it, as another client reads it.
        let engine = builder().build_async().await.expect("an engine");
        let store = engine.store(settings(&server.endpoint(), &[])).await.expect("a store");
        assert_eq!(store.get("a/b.bin").await.expect("a blob").bytes().await.expect("its body"), body);

        assert_eq!(served.send("DELETE", "a/b.bin", b"").await.0, 204);
        let (status, message) = served.send("GET", "a/b.bin", b"").await;
        let message = String::from_utf8_lossy(&message);
        assert!(
            status == 404 && message.contains(&format!("\"a/b.bin\" in bucket \"{BUCKET}\"")),
            "{status} {message}"
        );
        assert_eq!(served.send("PATCH", "a", b"").await.0, 405);
    });
}
