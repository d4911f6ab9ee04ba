//! Python clients and servers in virtual environments of the tests: boto3, moto and a WebDAV server; azure-storage-blob.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop");
const ENVIRONMENT: &str = concat!(env!("OUT_DIR"), "/python");

/// The Python interpreter with boto3 and moto. Installs them on the first call of the first run, and when the requirements
/// change.
///
/// # Errors
/// If there is no Python 3 with `venv`, or pip fails: with pip's output.
pub fn interpreter() -> Result<PathBuf> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        install(&Path::new(SCRIPTS).join("requirements.txt"), Path::new(ENVIRONMENT))
            .map_err(|error| format!("{error:#}"))
    });
    installed.clone().map_err(anyhow::Error::msg)
}

/// The Python interpreter of the virtual environment in this folder. Makes it with these requirements on the first call of the first
/// run, and when the requirements change.
///
/// # Errors
/// As [`interpreter`].
pub fn install(requirements: &Path, environment: &Path) -> Result<PathBuf> {
    let wanted = fs::read_to_string(requirements).with_context(|| format!("reading {}", requirements.display()))?;
    let python = environment.join("bin/python");
    // Written last, so that an incomplete environment is not used.
    let done = environment.join("installed");
    if fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let _ = fs::remove_dir_all(environment);
    heed(Command::new("python3").args(["-m", "venv"]).arg(environment))
        .context("making a virtual environment (Debian: apt-get install python3-venv)")?;
    heed(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))
        .with_context(|| format!("installing {} with pip: is a package index within reach?", requirements.display()))?;
    fs::write(&done, wanted).context("noting that it is installed")?;
    Ok(python)
}

fn heed(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("running {command:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    bail!("{command:?} failed ({}):\n{}", output.status, String::from_utf8_lossy(&output.stderr))
}

/// A running script with a line-based protocol. Dropping it closes its input, and optionally kills it.
struct Script {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Script {
    fn start(name: &str, arguments: &[&str], kill_on_drop: bool) -> Result<Self> {
        let mut child = tokio::process::Command::new(interpreter()?)
            .arg(Path::new(SCRIPTS).join(name))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(kill_on_drop)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let input = child.stdin.take().context("its standard input")?;
        let output = BufReader::new(child.stdout.take().context("its standard output")?).lines();
        Ok(Script { child, input, output })
    }

    async fn say(&mut self, line: &Value) -> Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).await.context("writing to the script")
    }

    async fn hear(&mut self) -> Result<Value> {
        let Some(line) = self.output.next_line().await.context("reading from the script")? else {
            bail!("the script has ended ({:?}); what it said is above", self.child.wait().await);
        };
        serde_json::from_str(&line).with_context(|| format!("the script said {line:?}"))
    }
}

/// The installed version of moto.
pub fn moto_version() -> &'static str {
    let wanted = include_str!("../interop/requirements.txt").lines().find(|line| line.starts_with("moto"));
    wanted.and_then(|line| line.split_once("==")).map_or("of any version", |(_, version)| version)
}

/// A moto server with authentication on.
pub struct Moto {
    _script: Script,
    /// The value of the setting `endpoint`.
    pub endpoint: String,
    /// The access key of a user with all permissions.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
}

impl Moto {
    /// Starts one on a free loopback port, with the bucket `bucket`.
    pub async fn start(bucket: &str) -> Result<Self> {
        let mut script = Script::start("server.py", &[bucket], true)?;
        let started = script.hear().await?;
        let word = |name: &str| started[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        Ok(Moto {
            endpoint: word("endpoint")?,
            access_key: word("access_key")?,
            secret_key: word("secret_key")?,
            _script: script,
        })
    }
}

/// A WebDAV server with authentication on, which fails some requests by their file's name: see `interop/webdav.py`.
pub struct WebDav {
    _script: Script,
    /// The URL of the server. The folder is `/dav` below it.
    pub endpoint: String,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: String,
}

impl WebDav {
    /// Starts one on a free loopback port, with an empty folder.
    ///
    /// # Errors
    /// If there is no Python 3, or the server cannot be installed or started.
    pub async fn start() -> Result<Self> {
        let mut script = Script::start("webdav.py", &[], true)?;
        let started = script.hear().await?;
        let word = |name: &str| started[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        Ok(WebDav {
            endpoint: word("endpoint")?,
            username: word("username")?,
            password: word("password")?,
            _script: script,
        })
    }
}

/// A service that is already running, and the bucket to create on it.
pub struct External {
    /// The value of the setting `endpoint`.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// The access key of a user who may create buckets.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
    /// A bucket name that is not in use.
    pub bucket: String,
}

/// A boto3 client.
pub struct Boto {
    script: Script,
}

impl Boto {
    /// Starts a client for this endpoint and these keys.
    pub async fn start(endpoint: &str, access_key: &str, secret_key: &str) -> Result<Self> {
        Boto::trusting(endpoint, access_key, secret_key, None).await
    }

    /// The same, which trusts the certificates in this file.
    pub async fn trusting(endpoint: &str, access_key: &str, secret_key: &str, trusted: Option<&Path>) -> Result<Self> {
        let mut script = Script::start("client.py", &[], true)?;
        let start = json!({
            "endpoint": endpoint,
            "region": "us-east-1",
            "access_key": access_key,
            "secret_key": secret_key,
            "trusted": trusted,
        });
        script.say(&start).await?;
        Ok(Boto { script })
    }

    /// The same, with a new bucket that is deleted on drop.
    pub async fn with_bucket(at: &External) -> Result<Self> {
        let mut script = Script::start("client.py", &[], false)?;
        let start = json!({
            "endpoint": at.endpoint,
            "region": at.region,
            "access_key": at.access_key,
            "secret_key": at.secret_key,
            "session_token": at.session_token,
            "bucket": at.bucket,
        });
        script.say(&start).await?;
        let made = script.hear().await?;
        ensure!(made.get("error").is_none(), "{}", made["error"]);
        Ok(Boto { script })
    }

    /// Runs a command of `client.py` and returns its result.
    ///
    /// # Errors
    /// If the call fails: with the service's error code.
    pub async fn call(&mut self, command: Value) -> Result<Value> {
        self.script.say(&command).await?;
        let response = self.script.hear().await?;
        ensure!(response.get("error").is_none(), "boto3 could not {command}: {}", response["error"]);
        Ok(response)
    }
}

/// Bytes in hexadecimal, as the scripts expect them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
