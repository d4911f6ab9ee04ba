//! Front ends as processes of their own.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use sandbucket::{Engine, Proxy, Tenants, TenantsConfig};
use sandbucket_gateway::{Gateway, ServeConfig};

use super::load::{Times, Transfer};
use super::{Large, Small};
use crate::child::{self, Child};
use crate::rows::Service;
use crate::server::{ACCESS_KEY, BUCKET, Ready, SECRET_KEY};

/// Time in which a program has to listen.
const START_TIME: Duration = Duration::from_secs(20);

/// A front end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// `sandbucket serve`.
    Gateway,
    /// The same with the tenant's setting `payload-signing = "unsigned"`.
    GatewayUnsigned,
    /// s3s before aws-sdk-s3: the proxy of the crate s3s-aws.
    #[cfg(feature = "native-clients")]
    S3sProxy,
    /// `rclone serve s3`.
    Rclone,
}

impl Kind {
    /// Those that work with a backend. rclone lists directories to find a blob, which the memory server cannot do.
    pub fn all(backend: Service, with_rclone: bool) -> Vec<Kind> {
        let mut all = vec![
            Kind::Gateway,
            Kind::GatewayUnsigned,
            #[cfg(feature = "native-clients")]
            Kind::S3sProxy,
        ];
        all.extend((with_rclone && backend == Service::Files).then_some(Kind::Rclone));
        all
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Gateway => "Sandbucket gateway",
            Kind::GatewayUnsigned => "Sandbucket gateway, unsigned payloads",
            #[cfg(feature = "native-clients")]
            Kind::S3sProxy => "s3s-aws proxy",
            Kind::Rclone => "rclone serve s3",
        }
    }
}

#[derive(Debug, Args)]
pub struct FrontOptions {
    kind: Kind,
    /// The backend's URL
    backend: String,
    #[arg(long)]
    threads: usize,
}

/// Runs a front end until standard input closes.
pub fn serve(options: &FrontOptions) -> Result<()> {
    crate::measure::allow_many_files()?;
    let parent = child::parent_gone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(options.threads).enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            served = run(options) => served,
            _ = parent => Ok(()),
        }
    })
}

async fn run(options: &FrontOptions) -> Result<()> {
    match options.kind {
        Kind::Gateway => gateway(&options.backend, "auto").await,
        Kind::GatewayUnsigned => gateway(&options.backend, "unsigned").await,
        #[cfg(feature = "native-clients")]
        Kind::S3sProxy => super::s3s_proxy::serve(&options.backend).await,
        Kind::Rclone => bail!("rclone is a program of its own"),
    }
}

pub(super) fn ready(address: SocketAddr) -> Result<()> {
    let line = serde_json::to_string(&Ready { endpoint: format!("http://{address}"), ca_file: None })?;
    writeln!(std::io::stdout(), "{line}").context("reporting the address")
}

async fn gateway(backend: &str, payload_signing: &str) -> Result<()> {
    let config = TenantsConfig::parse(&format!(
        "[tenants.bench.store.blob.s3]\nbucket = '{BUCKET}'\nregion = 'us-east-1'\nendpoint = '{backend}'\n\
         access-key = '{ACCESS_KEY}'\nsecret-key = '{SECRET_KEY}'\naddressing-style = 'path'\n\
         payload-signing = '{payload_signing}'\n\
         [tenants.bench.gateway]\nbuckets.{BUCKET} = {{}}\n\
         keys = [{{ access-key = '{ACCESS_KEY}', secret-key = '{SECRET_KEY}', access = 'read-write' }}]\n"
    ))?;
    let engine = Engine::builder().proxy(Proxy::none()).build_async().await?;
    let gateway = Gateway::new(Tenants::new(engine), ServeConfig::parse("[serve]\nlisten = '127.0.0.1:0'\n")?)?;
    gateway.apply(&config).await?;
    let running = gateway.start().await?;
    ready(running.addresses()[0])?;
    std::future::pending().await
}

/// A running front end.
pub struct Running {
    pub kind: Kind,
    pub endpoint: String,
    process: Process,
}

enum Process {
    Own(Child),
    Program(std::process::Child),
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Process::Program(child) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Running {
    pub fn start(kind: Kind, backend: &str, threads: usize, rclone: Option<&Path>) -> Result<Running> {
        if kind == Kind::Rclone {
            return rclone_front(rclone.context("no program rclone")?, backend, threads);
        }
        let name = kind.to_possible_value().context("every front end has a name")?;
        let arguments = ["front", name.get_name(), backend, "--threads", &threads.to_string()].map(str::to_owned);
        let mut process = Child::start(&arguments, &[])?;
        let ready: Ready = process.read()?;
        Ok(Running { kind, endpoint: ready.endpoint, process: Process::Own(process) })
    }

    fn id(&self) -> u32 {
        match &self.process {
            Process::Own(child) => child.id(),
            Process::Program(child) => child.id(),
        }
    }

    /// CPU time of the process so far.
    fn cpu_time(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).context("the front end ended")?;
        // The name, in parentheses, may contain anything.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("/proc/PID/stat has no times")?;
        // SAFETY: it takes a number and reads a constant of the system.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        ensure!(per_second > 0, "the system has no clock ticks");
        Ok((user + system) / per_second as f64)
    }

    fn peak(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).context("the front end ended")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("there is no VmHWM")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes << 10)
    }

    /// Measures requests of small blobs.
    pub async fn small(&self, load: impl Future<Output = Result<Times>>) -> Result<Small> {
        let before = self.cpu_time()?;
        let times = load.await.with_context(|| self.kind.name())?;
        let cpu = self.cpu_time()? - before;
        Ok(Small {
            per_second: times.count() as f64 / times.elapsed(),
            cpu_seconds: cpu / times.count() as f64,
            p50: times.percentile(50),
            p99: times.percentile(99),
        })
    }

    /// Measures one transfer.
    pub async fn large(&self, load: impl Future<Output = Result<Transfer>>) -> Result<Large> {
        // Sets the peak to what is resident now.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5");
        let before = self.cpu_time()?;
        let Transfer { bytes, seconds } = load.await?;
        let cpu_seconds = self.cpu_time()? - before;
        Ok(Large { bytes_per_second: bytes as f64 / seconds, cpu_seconds, peak: self.peak()? })
    }
}

fn rclone_front(program: &Path, backend: &str, threads: usize) -> Result<Running> {
    // A port that is free now.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let remote = format!(
        ":s3,provider=Other,access_key_id={ACCESS_KEY},secret_access_key={SECRET_KEY},region=us-east-1,\
         endpoint='{backend}',no_check_bucket=true:"
    );
    let mut command = Command::new(program);
    command
        .args(["serve", "s3", &remote, "--addr", &address.to_string(), "--config", "/dev/null"])
        .args(["--auth-key", &format!("{ACCESS_KEY},{SECRET_KEY}"), "--vfs-cache-mode", "off", "--log-level", "ERROR"])
        // It would store these beside the blob, and asks the backend for them.
        .args(["--no-modtime", "--dir-cache-time", "1h"])
        .env("GOMAXPROCS", threads.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
    let running =
        Running { kind: Kind::Rclone, endpoint: format!("http://{address}"), process: Process::Program(child) };
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        ensure!(begun.elapsed() < START_TIME, "rclone does not listen on {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(running)
}
