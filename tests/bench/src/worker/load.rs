//! One client with the work of one row, and a fixed number of operations in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Zipf};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::Job;
use crate::clients::{Client, Large, Target};
use crate::measure::{Memory, cpu_time};
use crate::rows::{PART, PARTS_AT_ONCE, Service, Work};

/// Number of blobs that are written or read in rotation.
const KEYS: u64 = 64;
/// Operations after which the sequence of clients repeats.
const TURNS: usize = 1 << 14;
/// Duration of the unmeasured warm-up, after which connections are open and caches are filled.
const WARM_UP: Duration = Duration::from_millis(300);

/// Measurements of some operations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lap {
    pub operations: u64,
    /// Total duration.
    pub seconds: f64,
    /// CPU time of the process during the lap.
    pub cpu_seconds: f64,
    /// Median latency of an operation.
    pub median_seconds: f64,
    /// Peak memory of the process so far.
    pub peak_bytes: u64,
    /// Memory per client that was opened and kept.
    pub bytes_per_client: Option<u64>,
}

/// A client with its work.
pub trait Load {
    /// Warms up, and returns the operations per second.
    fn warm_up(&mut self) -> Result<f64>;

    fn lap(&mut self, operations: u64) -> Result<Lap>;
}

/// A client on a runtime, with everything that an operation needs prepared.
pub struct Loaded<C: Client> {
    runtime: Runtime,
    bench: Arc<Bench<C>>,
    in_flight: usize,
}

struct Bench<C: Client> {
    shared: C::Shared,
    target: Target,
    /// At least one.
    clients: Vec<C>,
    /// The client of each of so many operations.
    turns: Vec<usize>,
    work: Work,
    keys: Vec<String>,
    body: Bytes,
    /// The number of the next client with an access key of its own.
    next_tenant: AtomicU64,
}

impl<C: Client> Loaded<C> {
    pub fn new(job: &Job) -> Result<Self> {
        let runtime = match job.threads {
            0 | 1 => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            threads => tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?,
        };
        let work = job.row.work;
        let keys = (0..KEYS).map(|number| key(work, number)).collect();
        let body = Bytes::from(vec![0xA5; usize::try_from(job.row.bytes().min(PART * 2))?]);
        let bench = runtime.block_on(async {
            let shared = C::shared()?;
            let mut clients = Vec::new();
            for number in 0..job.row.clients {
                let target = if number == 0 { job.target.clone() } else { job.target.of_tenant(number as u64) };
                clients.push(C::open(&shared, &target).await?);
            }
            let turns = turns(clients.len())?;
            let bench = Bench {
                shared,
                target: job.target.clone(),
                clients,
                turns,
                work,
                keys,
                body,
                next_tenant: AtomicU64::new(0),
            };
            if job.row.service == Service::Files && matches!(work, Work::Get { .. }) {
                for key in &bench.keys {
                    bench.clients[0].put(key, bench.body.clone()).await?;
                }
            }
            anyhow::Ok(bench)
        })?;
        Ok(Loaded { runtime, bench: Arc::new(bench), in_flight: job.row.in_flight })
    }

    /// Runs this many operations, and returns the latency of each.
    fn run(&self, operations: u64) -> Result<Vec<Duration>> {
        self.runtime.block_on(async {
            let next = Arc::new(AtomicU64::new(0));
            let mut tasks = JoinSet::new();
            for _ in 0..self.in_flight {
                let (bench, next) = (self.bench.clone(), next.clone());
                tasks.spawn(async move {
                    let mut times = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Relaxed);
                        if number >= operations {
                            return anyhow::Ok(times);
                        }
                        let start = Instant::now();
                        bench.once(number).await?;
                        times.push(start.elapsed());
                    }
                });
            }
            let mut times = Vec::new();
            while let Some(done) = tasks.join_next().await {
                times.extend(done??);
            }
            Ok(times)
        })
    }

    /// Creates `count` items, and keeps them until memory is measured.
    fn kept<T>(&self, count: u64, make: impl AsyncFn(&Bench<C>) -> Result<T>) -> Result<(Vec<Duration>, u64)> {
        let before = Memory::now()?.resident;
        self.runtime.block_on(async {
            let (mut kept, mut times) = (Vec::new(), Vec::new());
            for _ in 0..count {
                let start = Instant::now();
                kept.push(make(&self.bench).await?);
                times.push(start.elapsed());
            }
            let held = Memory::now()?.resident.saturating_sub(before);
            Ok((times, held / count.max(1)))
        })
    }
}

impl<C: Client> Load for Loaded<C> {
    fn warm_up(&mut self) -> Result<f64> {
        if let Work::Tenants { .. } | Work::Instances { .. } = self.bench.work {
            // The first one initialises what is needed once.
            self.runtime.block_on(self.bench.clients[0].get(&self.bench.keys[0]))?;
            return Ok(1.0);
        }
        let mut operations = self.in_flight as u64;
        let begin = Instant::now();
        loop {
            let start = Instant::now();
            self.run(operations)?;
            let took = start.elapsed();
            if begin.elapsed() >= WARM_UP {
                return Ok(operations as f64 / took.as_secs_f64());
            }
            operations *= 2;
        }
    }

    fn lap(&mut self, operations: u64) -> Result<Lap> {
        let (cpu, start) = (cpu_time()?, Instant::now());
        let kept = match self.bench.work {
            Work::Tenants { count } => Some(self.kept(count, Bench::open)?),
            Work::Instances { count } => {
                Some(self.kept(count, async |bench: &Bench<C>| C::instance(&bench.shared).await)?)
            }
            _ => None,
        };
        let (mut times, bytes_per_client) = match kept {
            Some((times, held)) => (times, Some(held)),
            None => (self.run(operations)?, None),
        };
        let (seconds, cpu) = (start.elapsed(), cpu_time()?.saturating_sub(cpu));
        times.sort_unstable();
        Ok(Lap {
            operations: times.len() as u64,
            seconds: seconds.as_secs_f64(),
            cpu_seconds: cpu.as_secs_f64(),
            median_seconds: times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64),
            peak_bytes: Memory::now()?.peak,
            bytes_per_client,
        })
    }
}

impl<C: Client> Bench<C> {
    /// Runs one operation, and checks its result.
    async fn once(&self, number: u64) -> Result<()> {
        let key = &self.keys[(number % KEYS) as usize];
        let client = &self.clients[self.turns[number as usize % TURNS]];
        let large = |size| Large { size, part: PART, at_once: PARTS_AT_ONCE };
        match self.work {
            Work::Put { .. } => client.put(key, self.body.clone()).await,
            Work::Get { size } => expect("bytes", size, client.get(key).await?),
            Work::Head => expect("bytes", HEAD_SIZE, client.head(key).await?),
            Work::List { keys } => expect("keys", keys, client.list(key).await?),
            Work::Upload { size } => client.upload(key, large(size)).await,
            Work::Download { size } => expect("bytes", size, client.download(key, large(size)).await?),
            Work::Open { .. } | Work::Tenants { .. } => self.open().await.map(drop),
            Work::Instance | Work::Instances { .. } => C::instance(&self.shared).await.map(drop),
        }
    }

    /// Another client, used once.
    async fn open(&self) -> Result<C> {
        let client = match self.work {
            Work::Open { distinct: false } => C::open(&self.shared, &self.target).await?,
            _ => C::open(&self.shared, &self.target.of_tenant(self.next_tenant.fetch_add(1, Relaxed))).await?,
        };
        expect("bytes", HEAD_SIZE, client.get(&self.keys[0]).await?)?;
        Ok(client)
    }
}

/// Which of the clients each operation is of, by Zipf's law: the first has as many operations as the two next together.
fn turns(clients: usize) -> Result<Vec<usize>> {
    let law = Zipf::new(clients as f64, 1.0)?;
    let rng = StdRng::seed_from_u64(1);
    // Ranks are numbered from 1.
    Ok(law.sample_iter(rng).take(TURNS).map(|rank| rank as usize - 1).collect())
}

/// Length of a blob where it does not matter.
const HEAD_SIZE: u64 = 1024;

/// The key of a blob; on the memory server it selects the response.
fn key(work: Work, number: u64) -> String {
    match work {
        Work::Put { .. } | Work::Upload { .. } => format!("put/{number}"),
        Work::Get { size } | Work::Download { size } => format!("get/{size}/{number}"),
        Work::Head | Work::Open { .. } | Work::Tenants { .. } | Work::Instance | Work::Instances { .. } => {
            format!("get/{HEAD_SIZE}/{number}")
        }
        Work::List { keys } => format!("list/{keys}/"),
    }
}

fn expect(what: &str, wanted: u64, got: u64) -> Result<()> {
    if wanted != got {
        bail!("{wanted} {what} were to come, and {got} came");
    }
    Ok(())
}
