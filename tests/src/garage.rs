//! Garage, a distributed S3-compatible store, as a single node on loopback: <https://garagehq.deuxfleurs.fr>.

use std::env;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// The version in use; `interop/garage.sh` installs it.
pub const VERSION: &str = include_str!("../interop/garage-version");

/// Time limit of the start.
const START: Duration = Duration::from_secs(30);

/// An access key in Garage's format. It is valid for the duration of a test.
pub const ACCESS_KEY: &str = "GK5a6dbc0c7e57ab1e0dd5ec7e";
/// Its secret key, in Garage's format.
pub const SECRET_KEY: &str = "7e57ab1e7e57ab1e7e57ab1e7e57ab1e7e57ab1e7e57ab1e7e57ab1e7e57ab1e";

/// The binary: that of `SANDBUCKET_GARAGE`, otherwise the one that `make interop` installs.
///
/// # Errors
/// If it is missing: with advice.
pub fn program() -> Result<PathBuf> {
    if let Some(named) = env::var_os("SANDBUCKET_GARAGE").map(PathBuf::from) {
        anyhow::ensure!(named.is_file(), "SANDBUCKET_GARAGE names {}, which is no file", named.display());
        return Ok(named);
    }
    let caches = match env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(&env::var_os("HOME").context("neither HOME nor XDG_CACHE_HOME is set")?).join(".cache"),
    };
    let installed = caches.join(format!("sandbucket/garage-{}/bin/garage", VERSION.trim()));
    if !installed.is_file() {
        bail!("Garage is not at {}: `make interop` installs it", installed.display());
    }
    Ok(installed)
}

/// A running node. Dropping it kills the process and deletes its folder.
pub struct Garage {
    child: Child,
    /// The value of the setting `endpoint`.
    pub endpoint: String,
    folder: TempDir,
}

impl Drop for Garage {
    fn drop(&mut self) {
        // Either fails only if the process has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Garage {
    /// Starts a node with the bucket `bucket`, for [`ACCESS_KEY`].
    ///
    /// # Errors
    /// If Garage is not installed, or does not start to listen: with its output.
    pub async fn start(bucket: &str) -> Result<Self> {
        let program = program()?;
        // A port that was free may be taken a moment later.
        let mut tries = 3;
        loop {
            tries -= 1;
            match Self::start_once(&program, bucket).await {
                Err(error) if tries > 0 => eprintln!("Garage, once more: {error:#}"),
                outcome => return outcome,
            }
        }
    }

    async fn start_once(program: &Path, bucket: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sandbucket-garage-").tempdir().context("a folder for Garage")?;
        let (api, rpc) = free_ports()?;
        let config = folder.path().join("garage.toml");
        fs::write(&config, configuration(folder.path(), api, rpc)).context("writing Garage's configuration")?;
        let log = folder.path().join("log");
        let child = Command::new(program)
            .arg("--config")
            .arg(&config)
            .args(["server", "--single-node", "--default-bucket"])
            .env("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY)
            .env("GARAGE_DEFAULT_SECRET_KEY", SECRET_KEY)
            .env("GARAGE_DEFAULT_BUCKET", bucket)
            .env("RUST_LOG", "garage=warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).context("Garage's log")?)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut garage = Garage { child, endpoint: format!("http://127.0.0.1:{api}"), folder };
        let begun = Instant::now();
        // Garage listens once its bucket exists.
        while tokio::net::TcpStream::connect(("127.0.0.1", api)).await.is_err() {
            if let Some(status) = garage.child.try_wait().context("waiting for Garage")? {
                bail!("Garage has ended ({status}):\n{}", garage.log());
            }
            if begun.elapsed() > START {
                bail!("Garage does not listen after {START:?}:\n{}", garage.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(garage)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_else(|error| format!("(no log: {error})"))
    }
}

fn free_ports() -> Result<(u16, u16)> {
    let (one, other) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    Ok((one.local_addr()?.port(), other.local_addr()?.port()))
}

/// A single node without replication. Names under `.localhost` are buckets, as on the dev server.
fn configuration(folder: &Path, api: u16, rpc: u16) -> String {
    let folder = folder.display();
    format!(
        "metadata_dir = \"{folder}/meta\"\n\
         data_dir = \"{folder}/data\"\n\
         db_engine = \"sqlite\"\n\
         metadata_fsync = false\n\
         data_fsync = false\n\
         replication_factor = 1\n\
         rpc_bind_addr = \"127.0.0.1:{rpc}\"\n\
         rpc_public_addr = \"127.0.0.1:{rpc}\"\n\
         rpc_secret = \"{SECRET_KEY}\"\n\
         [s3_api]\n\
         s3_region = \"us-east-1\"\n\
         api_bind_addr = \"127.0.0.1:{api}\"\n\
         root_domain = \".localhost\"\n"
    )
}
