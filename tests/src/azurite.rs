//! Azurite, Microsoft's emulator of Azure Storage, on loopback: <https://github.com/Azure/Azurite>. It verifies signatures.
//!
//! One process serves all tests of a program, each with a container of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use sandbucket::{BuiltIn, Engine};

use crate::builder;

/// The version in use.
pub const VERSION: &str = include_str!("../interop/azurite-version");
/// The account of Azurite, and its key, which its documentation publishes.
pub const ACCOUNT: &str = "devstoreaccount1";
/// Its key.
pub const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Where Azurite is installed, kept between runs.
const FOLDER: &str = concat!(env!("OUT_DIR"), "/azurite");

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    builder().built_in(BuiltIn::Azure).build().expect("an engine with the plugin for Azure Blob Storage")
});

static SERVER: LazyLock<Azurite> =
    LazyLock::new(|| Azurite::start().unwrap_or_else(|error| panic!("Azurite: {error:#}")));

/// The engine with the plugin for Azure Blob Storage.
pub fn engine() -> &'static Engine {
    &ENGINE
}

/// The value of the setting `endpoint`.
pub fn endpoint() -> &'static str {
    &SERVER.endpoint
}

/// The settings for a container, or for other places at `endpoint`, followed by `further`: a name that is given again overrides the
/// first.
pub fn settings(endpoint: &str, container: &str, further: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = Vec::new();
    let common = [("container", container), ("account", ACCOUNT), ("access-key", KEY), ("endpoint", endpoint)];
    for (name, value) in common.iter().chain(further) {
        settings.retain(|(known, _)| known != name);
        settings.push(((*name).to_owned(), (*value).to_owned()));
    }
    settings
}

/// Creates a container that no other test uses, and returns its name.
pub async fn new_container() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("sandbucket-tests-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let store = engine().store(settings(endpoint(), &name, &[])).await.expect("the store opens");
    store.create_bucket(&name).await.expect("a container on Azurite");
    name
}

/// A running Azurite. It ends with the program: its shell waits for the end of its standard input.
struct Azurite {
    endpoint: String,
    _shell: Child,
}

impl Azurite {
    fn start() -> Result<Azurite> {
        let main = install()?;
        let mut shell = Command::new("sh")
            .args(["-c", "\"$@\" & cat > /dev/null; kill -9 $!", "sh", "node"])
            .arg(&main)
            .args([
                "--inMemoryPersistence",
                "--skipApiVersionCheck",
                "--disableTelemetry",
                "--silent",
                "--blobHost",
                "127.0.0.1",
                "--blobPort",
                "0",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting node")?;
        let output = shell.stdout.take().context("its output")?;
        for line in BufReader::new(output).lines() {
            if let Some((_, url)) = line?.split_once("successfully listens on ") {
                let endpoint = format!("{}/{ACCOUNT}", url.trim());
                return Ok(Azurite { endpoint, _shell: shell });
            }
        }
        bail!("it ended before it listened")
    }
}

/// The program. Installs it on the first call of the first run, and when the version changes.
fn install() -> Result<PathBuf> {
    let folder = Path::new(FOLDER);
    let main = folder.join("node_modules/azurite/dist/src/blob/main.js");
    // Written last, so that an incomplete installation is not used.
    let done = folder.join("installed");
    if fs::read_to_string(&done).is_ok_and(|installed| installed == VERSION) {
        return Ok(main);
    }
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(folder)
        .arg(format!("azurite@{}", VERSION.trim()))
        .stdin(Stdio::null())
        .output()
        .context("running npm, which the tests on Azurite need, with Node 20")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "npm does not install it: is a package registry within reach?\n{text}");
    fs::write(&done, VERSION).context("noting that Azurite is installed")?;
    Ok(main)
}
