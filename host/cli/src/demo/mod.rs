//! `demo`: runs everything once on this machine: server, plugin, files in and out, and operations that must be rejected.

mod samples;

use std::time::{Duration, Instant};

use sandbucket::{ByteRange, Engine, Error, Proxy, Store, StoreOptions};
use sandbucket_dev_server::DevServer;
use serde_json::json;

use crate::calls::{read, timed};
use crate::cli;
use crate::context::{self, Context};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::head;
use crate::output::Tone;
use crate::report::{Report, Step, Verdict};
use crate::text;
use samples::{ODD_KEY, Sample};

const BUCKET: &str = "demo";
const ACCESS_KEY: &str = "demo-access-key";
const SECRET_KEY: &str = "demo-secret-key";
/// Concurrent reads, to show the pool of instances.
const CONCURRENT_READS: usize = 32;
/// Maximum size of a sample file in bytes: all are held in memory.
const SAMPLE: usize = 64 << 20;

pub async fn run(context: &Context, arguments: cli::Demo) -> Result<Exit, Failure> {
    let samples = samples::gather(&arguments.files, SAMPLE).await?;
    let begun = Instant::now();
    let mut demo = Demo { context, report: Report::new(context), imports: Vec::new() };
    let finished = demo.show(&samples).await?;
    demo.summary(finished, begun.elapsed())
}

struct Demo<'a> {
    context: &'a Context,
    report: Report<'a>,
    imports: Vec<String>,
}

impl Demo<'_> {
    /// Returns false if a prerequisite of all else failed.
    async fn show(&mut self, samples: &[Sample]) -> Result<bool, Failure> {
        self.heading("Sandbucket: blobs in and out of S3, through a sandbox")?;
        let (server, took) =
            timed(DevServer::builder().buckets([BUCKET]).credentials(ACCESS_KEY, SECRET_KEY).start()).await;
        let server = match server {
            Ok(server) => server,
            Err(error) => {
                let failure = Failure::new(Exit::Failure, format!("the S3 server does not start: {error}"));
                return self.report.add(Step::failed("server", took, failure));
            }
        };
        let address = format!("{}, an S3 server in this process; it verifies every signature", server.endpoint());
        self.report.add(Step::ok("server", took, address))?;

        let Some(engine) = self.plugin().await? else { return Ok(false) };
        let (store, took) = timed(open(&engine, &server, SECRET_KEY)).await;
        let store = match store {
            Ok(store) => store,
            Err(error) => return self.report.add(Step::failed("open", took, error.into())),
        };
        self.report.add(Step::ok("open", took, format!("a store on the bucket \"{BUCKET}\"")))?;

        self.heading("\nIn and out")?;
        for sample in samples {
            self.put(&store, sample).await?;
        }
        for sample in samples {
            self.get(&store, sample).await?;
        }
        for sample in samples.iter().filter(|sample| sample.body.len() > 1 << 20) {
            self.ranges(&store, sample).await?;
        }
        self.head(&store, &samples[0]).await?;
        self.together(&store, &samples[0]).await?;

        self.heading("\nRefused, as it should be")?;
        self.rejected_operations(&store, &samples[0]).await?;
        self.delete(&store, ODD_KEY).await?;
        self.wrong_key(&engine, &server).await?;

        let pool = store.pool();
        self.heading(&format!(
            "\nThe sandbox made {} instances for this store, {} of them idle now, {} discarded.",
            pool.created, pool.idle, pool.discarded
        ))?;
        server.stop().await;
        Ok(true)
    }

    /// Loads the plugin, and shows its size and its imports.
    async fn plugin(&mut self) -> Result<Option<Engine>, Failure> {
        let (engine, took) = timed(context::engine(None)).await;
        let engine = match engine {
            Ok(engine) => engine,
            Err(failure) => {
                self.report.add(Step::failed("plugin", took, failure))?;
                return Ok(None);
            }
        };
        self.imports = engine.imports().to_vec();
        let size = text::size(sandbucket::PLUGIN.len() as u64);
        let detail = format!("{size} of WebAssembly, loaded; it imports this, and nothing else:");
        self.report.add(Step::ok("plugin", took, detail))?;
        for import in self.imports.clone() {
            self.heading(&format!("{:35}{import}", ""))?;
        }
        Ok(Some(engine))
    }

    async fn put(&mut self, store: &Store, sample: &Sample) -> Result<(), Failure> {
        let mut put = store.put(&sample.key, sample.body.clone()).metadata("stored-by", "sandbucket demo");
        if let Some(media_type) = sample.media_type {
            put = put.content_type(media_type);
        }
        let (written, took) = timed(put).await;
        let step = match written {
            Ok(written) => {
                let tag = written.etag.map(|tag| format!(", etag {tag}")).unwrap_or_default();
                Step::ok("put", took, format!("{}{tag}", measured(sample, took)))
            }
            Err(error) => Step::failed("put", took, error.into()),
        };
        self.report.add(step).map(drop)
    }

    async fn get(&mut self, store: &Store, sample: &Sample) -> Result<(), Failure> {
        let (body, took) = timed(read(store, &sample.key, None)).await;
        let step = match body {
            Ok(body) if body == sample.body => {
                Step::ok("get", took, format!("{}, byte for byte", measured(sample, took)))
            }
            Ok(body) => Step::wrong("get", took, format!("{} came back as {} other bytes", sample.key, body.len())),
            Err(error) => Step::failed("get", took, error.into()),
        };
        self.report.add(step).map(drop)
    }

    async fn ranges(&mut self, store: &Store, sample: &Sample) -> Result<(), Failure> {
        let whole = &sample.body;
        let middle = whole.len() as u64 / 2;
        let cases = [
            ("the first 100 bytes", ByteRange::from(0..100), whole.slice(..100)),
            (
                "1,000 from the middle",
                ByteRange::from(middle..middle + 1000),
                whole.slice(whole.len() / 2..whole.len() / 2 + 1000),
            ),
            ("the last 100 bytes", ByteRange::Last(100), whole.slice(whole.len() - 100..)),
        ];
        for (name, range, expected) in cases {
            let (body, took) = timed(read(store, &sample.key, Some(range))).await;
            let step = match body {
                Ok(body) if body == expected => Step::ok("get range", took, format!("{}: {name}", sample.key)),
                Ok(body) => {
                    Step::wrong("get range", took, format!("{}: {name} came as {} others", sample.key, body.len()))
                }
                Err(error) => Step::failed("get range", took, error.into()),
            };
            self.report.add(step)?;
        }
        Ok(())
    }

    async fn head(&mut self, store: &Store, sample: &Sample) -> Result<(), Failure> {
        let (info, took) = timed(store.head(&sample.key)).await;
        let info = match info {
            Ok(info) => info,
            Err(error) => return self.report.add(Step::failed("head", took, error.into())).map(drop),
        };
        let mine = info.metadata.iter().any(|(name, value)| name == "stored-by" && value == "sandbucket demo");
        let right = mine && info.size == sample.body.len() as u64 && info.content_type.as_deref() == sample.media_type;
        let step = if right {
            Step::ok("head", took, sample.key.clone())
        } else {
            Step::wrong("head", took, format!("{} is not described as it was stored", sample.key))
        };
        self.report.add(step)?;
        for (name, value) in head::rows(&info) {
            self.heading(&format!("{:35}{:<20} {}", "", text::plain(&name), text::plain(&value)))?;
        }
        Ok(())
    }

    async fn together(&mut self, store: &Store, sample: &Sample) -> Result<(), Failure> {
        let reads = (0..CONCURRENT_READS).map(|_| read(store, &sample.key, None));
        let (bodies, took) = timed(futures::future::try_join_all(reads)).await;
        let step = match bodies {
            Ok(bodies) if bodies.iter().all(|body| *body == sample.body) => {
                Step::ok("get", took, format!("{}, {CONCURRENT_READS} times at once", sample.key))
            }
            Ok(_) => {
                Step::wrong("get", took, format!("{} differs when read {CONCURRENT_READS} times at once", sample.key))
            }
            Err(error) => Step::failed("get", took, error.into()),
        };
        self.report.add(step).map(drop)
    }

    async fn rejected_operations(&mut self, store: &Store, sample: &Sample) -> Result<(), Failure> {
        let (missing, took) = timed(read(store, "no/such/key", None)).await;
        self.refused("missing key", took, missing, |error| matches!(error, Error::NotFound(_)))?;

        let (second, took) = timed(store.put(&sample.key, "other").if_absent()).await;
        self.refused("put if absent", took, second, |error| matches!(error, Error::PreconditionFailed(_)))?;

        let (stale, took) = timed(store.put(&sample.key, "other").if_match("\"not-its-tag\"")).await;
        self.refused("put if match", took, stale, |error| matches!(error, Error::PreconditionFailed(_)))?;

        let (body, took) = timed(read(store, &sample.key, None)).await;
        let step = match body {
            Ok(body) if body == sample.body => Step::ok("get", took, format!("{} is as it was", sample.key)),
            Ok(_) => Step::wrong("get", took, format!("{} was changed by a write that was refused", sample.key)),
            Err(error) => Step::failed("get", took, error.into()),
        };
        self.report.add(step).map(drop)
    }

    async fn delete(&mut self, store: &Store, key: &str) -> Result<(), Failure> {
        let (deleted, took) = timed(store.delete(key)).await;
        let step = match deleted {
            Ok(_) => Step::ok("delete", took, key),
            Err(error) => Step::failed("delete", took, error.into()),
        };
        self.report.add(step)?;
        let (gone, took) = timed(read(store, key, None)).await;
        self.refused("get deleted", took, gone, |error| matches!(error, Error::NotFound(_)))
    }

    async fn wrong_key(&mut self, engine: &Engine, server: &DevServer) -> Result<(), Failure> {
        let attempt = async {
            let store = open(engine, server, "not-the-secret-key").await?;
            read(&store, "README.md", None).await
        };
        let (read, took) = timed(attempt).await;
        self.refused("wrong key", took, read, |error| matches!(error, Error::AccessDenied(_)))
    }

    /// A step that must fail with the right error.
    fn refused<T>(
        &mut self,
        name: &'static str,
        took: Duration,
        outcome: Result<T, Error>,
        right: impl FnOnce(&Error) -> bool,
    ) -> Result<(), Failure> {
        let step = match outcome {
            Err(error) if right(&error) => Step::ok(name, took, error.to_string()),
            Err(error) => Step::failed(name, took, error.into()),
            Ok(_) => Step::wrong(name, took, "this was not refused"),
        };
        self.report.add(step).map(drop)
    }

    fn heading(&self, text: &str) -> Result<(), Failure> {
        let output = &self.context.output;
        if output.json { Ok(()) } else { output.line(output.paint(Tone::Strong, text)) }
    }

    fn summary(self, finished: bool, took: Duration) -> Result<Exit, Failure> {
        let (ok, failed) = (self.report.count(Verdict::Ok), self.report.count(Verdict::Failed));
        let exit = self.report.exit();
        let output = &self.context.output;
        if output.json {
            output.value(&json!({
                "ok": exit == Exit::Success && finished,
                "plugin": { "size": sandbucket::PLUGIN.len(), "imports": self.imports },
                "steps": self.report.to_json(),
            }))?;
        } else if exit == Exit::Success {
            let all = format!("All {ok} steps are as they should be, in {}.", text::time(took));
            output.line(output.paint(Tone::Good, &all))?;
        } else {
            let few = format!("{failed} of {} steps are not as they should be.", ok + failed);
            output.line(format!("\n{}", output.paint(Tone::Bad, &few)))?;
        }
        Ok(exit)
    }
}

async fn open(engine: &Engine, server: &DevServer, secret_key: &str) -> Result<Store, Error> {
    let endpoint = server.endpoint();
    let settings =
        [("bucket", BUCKET), ("endpoint", endpoint.as_str()), ("access-key", ACCESS_KEY), ("secret-key", secret_key)];
    engine.open(StoreOptions::new().settings(settings).allow_private().proxy(Proxy::none())).await
}

/// `README.md, 8.7 KiB`, with the speed if the blob is large enough to measure.
fn measured(sample: &Sample, took: Duration) -> String {
    let length = sample.body.len() as u64;
    let speed = text::speed(length, took).map(|speed| format!(" at {speed}")).unwrap_or_default();
    format!("{}, {}{speed}", sample.key, text::size(length))
}
