//! Latency of well-behaved tenants beside noisy ones: what fairness between tenants is worth.
//!
//! A few tenants read small blobs at a steady rate, alone and beside one noise after the other, in rotation. The server runs in
//! another process, and responds as late as a service nearby. Limits and budgets are the defaults, except for the noise's CPU time
//! (`--noise-cpu`).

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use futures::TryStreamExt;
use futures::future::try_join_all;
use sandbucket::{Budget, Engine, Error, Limits, Proxy, StoreOptions, TenantOptions, Tenants};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::rows::Service;
use crate::server::{ACCESS_KEY, BUCKET, SECRET_KEY, Server};
use crate::{measure, network};

/// Well-behaved tenants, and the pause between the beginnings of two calls of one.
const TENANTS: usize = 8;
const PERIOD: Duration = Duration::from_millis(4);

/// Keys of blobs of 1 KiB and of 64 MiB.
const SMALL: &str = "get/1024/7";
const LARGE: &str = "get/67108864/1";

/// The component of `tests/rogue`.
const ROGUE: &str = env!("SANDBUCKET_ROGUE_SANS_IO");

/// The noise has this long to reach its height.
const RISE: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub struct FairnessOptions {
    /// Rounds, of which the median is reported
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Time until the service's responses begin, in milliseconds. With 0, the service shares the processors' whole time with its clients,
    /// which services on other machines do not
    #[arg(long, default_value_t = 5)]
    latency: u64,
    /// Threads of the runtime
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Connections in use of the engine, all tenants together; 0 is unlimited
    #[arg(long, default_value_t = 0)]
    connections: usize,
    /// CPU time per second of each noisy tenant's plugin, in milliseconds; 0 is unlimited
    #[arg(long, default_value_t = 100)]
    noise_cpu: u64,
    /// Tasks of the noise of queued calls, all of which have a call in flight or waiting
    #[arg(long, default_value_t = 10_000)]
    queued: usize,
    /// The queued calls' budget `calls-in-flight`; 0 is the default
    #[arg(long, default_value_t = 0)]
    noise_calls: usize,
    /// Only noises whose name contains this, beside the measurement alone
    #[arg(long)]
    only: Option<String>,
}

/// What a tenant does to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noise {
    None,
    /// Thousands of calls at once, most of which wait.
    Queued,
    /// A service that accepts connections and never answers.
    Unanswered,
    /// Large bodies, hardly read.
    SlowReader,
    /// A plugin that computes for as long as it may.
    Spinning,
}

impl Noise {
    fn name(self) -> &'static str {
        match self {
            Noise::None => "alone",
            Noise::Queued => "queued calls",
            Noise::Unanswered => "a service that never answers",
            Noise::SlowReader => "a reader of a byte a second",
            Noise::Spinning => "a plugin that spins",
        }
    }
}

/// The median and the 99th percentile of a measurement, in seconds.
#[derive(Clone, Copy)]
struct Latency {
    p50: f64,
    p99: f64,
}

struct Bench {
    tenants: Tenants,
    endpoint: String,
    silent: String,
    noise: Budget,
    queued: usize,
}

pub fn run(options: &FairnessOptions) -> Result<()> {
    let network = network::enter(false)?;
    measure::allow_many_files()?;
    let server = Server::start(Service::Memory, Some(options.latency))?;
    let endpoint = server.ready.endpoint.clone();
    // Nothing accepts: the kernel completes connections, and no byte is read.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let silent_endpoint = format!("http://{}", silent.local_addr()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(options.threads).enable_all().build()?;
    println!(
        "{TENANTS} tenants, a GET of 1 KiB each {PERIOD:?}, responses after {} ms, {} threads, {} connections, \
         {} ms of CPU a second for noise, {}",
        options.latency, options.threads, options.connections, options.noise_cpu, network.congestion_control
    );
    let mut noises = vec![Noise::None, Noise::Queued, Noise::Unanswered, Noise::SlowReader, Noise::Spinning];
    if let Some(only) = &options.only {
        noises.retain(|noise| *noise == Noise::None || noise.name().contains(only.as_str()));
    }
    let limits = Limits::default().with_connections(options.connections);
    let engine = Engine::builder().limits(limits).allow_private_networks().proxy(Proxy::none()).build()?;
    let mut noise = Budget::default().with_cpu_per_second(Duration::from_millis(options.noise_cpu));
    if options.noise_calls > 0 {
        noise = noise.with_calls_in_flight(options.noise_calls);
    }
    let bench =
        Bench { tenants: Tenants::new(engine), endpoint, silent: silent_endpoint, noise, queued: options.queued };
    runtime.block_on(bench.report(&noises, options))?;
    runtime.shutdown_background();
    Ok(())
}

impl Bench {
    async fn report(&self, noises: &[Noise], options: &FairnessOptions) -> Result<()> {
        for n in 0..TENANTS {
            self.set(&format!("tenant-{n}"), &self.endpoint, Budget::default()).await?;
        }
        let time = Duration::from_secs_f64(options.seconds);
        self.measure(time / 4).await?;
        let mut laps: Vec<Vec<Latency>> = vec![Vec::new(); noises.len()];
        for _ in 0..options.rounds {
            for (noise, laps) in noises.iter().zip(&mut laps) {
                let running = self.start(*noise).await?;
                tokio::time::sleep(RISE).await;
                laps.push(self.measure(time).await?);
                drop(running);
                self.quiet().await;
            }
        }
        let median = |laps: &[Latency], of: fn(&Latency) -> f64| {
            let mut values: Vec<f64> = laps.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let p99 = |latency: &Latency| latency.p99;
        let alone = median(&laps[0], p99);
        println!("\n| noise | p50 | p99 | p99 to alone |");
        println!("| --- | --- | --- | --- |");
        for (noise, laps) in noises.iter().zip(&laps) {
            let (p50, p99) = (median(laps, |latency| latency.p50), median(laps, p99));
            let name = match noise {
                Noise::Queued => format!("{} {}", self.queued, noise.name()),
                _ => noise.name().to_owned(),
            };
            println!("| {name} | {:.0} µs | {:.0} µs | {:.2} |", p50 * 1e6, p99 * 1e6, p99 / alone);
        }
        Ok(())
    }

    async fn set(&self, name: &str, endpoint: &str, budget: Budget) -> Result<()> {
        let options = StoreOptions::new().settings([
            ("bucket", BUCKET),
            ("region", "us-east-1"),
            ("endpoint", endpoint),
            ("access-key", ACCESS_KEY),
            ("secret-key", SECRET_KEY),
            ("addressing-style", "path"),
            ("checksum", "none"),
        ]);
        self.tenants.set(name, TenantOptions::new(options).budget(budget)).await?;
        Ok(())
    }

    /// Latencies of the well-behaved tenants' calls during this time. None of them may fail.
    async fn measure(&self, time: Duration) -> Result<Latency> {
        let tasks = (0..TENANTS).map(|n| {
            let tenants = self.tenants.clone();
            tokio::spawn(async move {
                let (name, end) = (format!("tenant-{n}"), Instant::now() + time);
                let mut ticks = tokio::time::interval(PERIOD);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let mut latencies = Vec::new();
                while Instant::now() < end {
                    ticks.tick().await;
                    let began = Instant::now();
                    let store = tenants.get(&name).context("the tenant is gone")?.store().await?;
                    let bytes = store.get(SMALL).await?.bytes().await?;
                    latencies.push(began.elapsed().as_secs_f64());
                    ensure!(bytes.len() == 1024, "a blob of {} bytes", bytes.len());
                }
                Ok::<_, anyhow::Error>(latencies)
            })
        });
        let latencies: Result<Vec<Vec<f64>>> = try_join_all(tasks).await?.into_iter().collect();
        let mut latencies = latencies?.concat();
        latencies.sort_by(f64::total_cmp);
        let at = |share: usize| latencies.get((latencies.len() - 1) * share / 100).copied().unwrap_or(f64::NAN);
        Ok(Latency { p50: at(50), p99: at(99) })
    }

    /// Starts a noise, which ends when the tasks are dropped.
    async fn start(&self, noise: Noise) -> Result<JoinSet<()>> {
        let mut tasks = JoinSet::new();
        let budget = self.noise.clone();
        if noise == Noise::Queued {
            // None of them is throttled: all wait.
            let budget = budget.clone().with_queue_length(self.queued).with_queue_wait(Duration::from_secs(600));
            self.set("queued", &self.endpoint, budget).await?;
            (0..self.queued).for_each(|_| drop(tasks.spawn(repeat(self.tenants.clone(), "queued"))));
        }
        if noise == Noise::Unanswered {
            self.set("unanswered", &self.silent, budget.clone()).await?;
            (0..200).for_each(|_| drop(tasks.spawn(repeat(self.tenants.clone(), "unanswered"))));
        }
        if noise == Noise::SlowReader {
            self.set("reader", &self.endpoint, budget.clone()).await?;
            (0..200).for_each(|_| drop(tasks.spawn(hold(self.tenants.clone(), "reader"))));
        }
        if noise == Noise::Spinning {
            self.set_spinning(budget).await?;
            (0..64).for_each(|_| drop(tasks.spawn(spin(self.tenants.clone()))));
        }
        Ok(tasks)
    }

    /// A tenant with the rogue plugin, whose every call computes until it is stopped. The others have the built-in one.
    async fn set_spinning(&self, budget: Budget) -> Result<()> {
        let plugin = self.tenants.engine().plugin_file(Path::new(ROGUE)).await?;
        let target = self.endpoint.trim_start_matches("http://");
        let settings = [("mode", "begin-loop"), ("endpoint", self.endpoint.as_str()), ("target", target)];
        let options = StoreOptions::new().settings(settings).plugin(plugin);
        self.tenants.set("spinning", TenantOptions::new(options).budget(budget)).await?;
        Ok(())
    }

    /// Removes the noisy tenants, and waits until nothing of theirs is in flight.
    async fn quiet(&self) {
        for name in ["queued", "unanswered", "reader", "spinning"] {
            let Some(tenant) = self.tenants.get(name) else { continue };
            self.tenants.remove(name);
            while tenant.status().calls_in_flight + tenant.status().connections > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Repeats calls, and waits as long as an error says.
async fn repeat(tenants: Tenants, name: &'static str) {
    while let Some(tenant) = tenants.get(name) {
        let Ok(store) = tenant.store().await else { return };
        if let Err(error) = store.get(SMALL).await {
            tokio::time::sleep(error.retry_after().unwrap_or(Duration::from_millis(1))).await;
        }
    }
}

/// Repeats calls that compute until they are stopped. Any other end is a fault of the benchmark.
async fn spin(tenants: Tenants) {
    while let Some(tenant) = tenants.get("spinning") {
        let Ok(store) = tenant.store().await else { return };
        match store.head(SMALL).await {
            Err(Error::OutOfTime { .. } | Error::Overdue { .. } | Error::Busy { .. }) => {}
            Err(error @ Error::Throttled(_)) => {
                tokio::time::sleep(error.retry_after().unwrap_or(Duration::from_millis(1))).await;
            }
            Err(Error::AccessDenied(_)) if tenants.get("spinning").is_none() => return,
            other => {
                eprintln!("sandbucket-bench: a call of the spinning plugin ended otherwise: {other:?}");
                return;
            }
        }
    }
}

/// Holds bodies of which it reads a piece each minute.
async fn hold(tenants: Tenants, name: &'static str) {
    while let Some(tenant) = tenants.get(name) {
        let Ok(store) = tenant.store().await else { return };
        match store.get(LARGE).await {
            Ok(mut blob) => {
                while let Ok(Some(_)) = blob.try_next().await {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            }
            Err(error) => tokio::time::sleep(error.retry_after().unwrap_or(Duration::from_millis(10))).await,
        }
    }
}
