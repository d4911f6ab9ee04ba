//! `check`: tests the configured service step by step, from the settings to the deletion of a blob.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sandbucket::{Config, Error, Store, TlsOptions};
use serde_json::json;

use crate::calls::{read, timed};
use crate::cli;
use crate::context::{self, Context, setting};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::handshake::handshake;
use crate::output::Tone;
use crate::probe::{TIMEOUT, Target};
use crate::report::{Report, Step, Verdict};
use crate::text;

/// The steps after the connection, in order, so that skipped ones are listed as well.
const OPERATIONS: [&str; 8] =
    ["credentials", "put", "head", "get", "get range", "put if absent", "complete if absent", "delete"];

/// Cleans up at the end, also if interrupted.
pub async fn run(context: &Context, arguments: cli::Check) -> Result<Exit, Failure> {
    let mut check = Check { report: Report::new(context), probe: None };
    let outcome = tokio::select! {
        outcome = check.walk(context, &arguments) => outcome,
        failure = crate::signals::received() => Err(failure),
    };
    let left = check.clean_up().await;
    outcome?;
    check.summary(context, left)
}

struct Check<'a> {
    report: Report<'a>,
    /// The probe, from when it may exist until it is deleted.
    probe: Option<Probe>,
}

#[derive(Clone)]
struct Probe {
    store: Store,
    /// The same store, except that the plugin does not check conditions itself.
    trusting: Store,
    key: String,
}

impl Check<'_> {
    async fn walk(&mut self, context: &Context, arguments: &cli::Check) -> Result<(), Failure> {
        let Some((config, store, trusting)) = self.settings(context).await? else { return self.skip("the settings") };
        if !self.connection(&config).await? {
            return self.skip_operations(0, "the service cannot be reached");
        }
        let probe = Probe { store, trusting, key: probe_key() };
        if !self.credentials(&probe).await? {
            return self.skip_operations(1, "the credentials were not accepted");
        }
        if arguments.read_only {
            return self.skip_operations(1, "not wanted: --read-only");
        }
        self.operations(probe).await
    }

    /// The file, the plugin, and the plugin's validation of the settings.
    async fn settings(&mut self, context: &Context) -> Result<Option<(Config, Store, Store)>, Failure> {
        let begun = Instant::now();
        let opened = async {
            let config = context.config()?;
            let engine = context::engine(Some(&config)).await?;
            let store = config.open(&engine).await?;
            let checks_itself = engine
                .settings_of(&config.plugin(&engine).await?)
                .await?
                .iter()
                .any(|setting| setting.name == "check-conditions");
            let trusting = match checks_itself {
                true => config.open_with(&engine, &[("check-conditions", "false")]).await?,
                false => store.clone(),
            };
            Ok::<_, Failure>((config, store, trusting))
        };
        match opened.await {
            Ok((config, store, trusting)) => {
                let value = |name: &str| setting(config.settings(), name).map(str::to_owned);
                let bucket = value("bucket").or_else(|| value("container")).unwrap_or_default();
                let place = ["endpoint", "account", "region"].iter().find_map(|name| value(name));
                let place = place.unwrap_or_else(|| "us-east-1".to_owned());
                let detail = format!("bucket \"{bucket}\" at {place}, from {}", context.config_file.display());
                self.report.add(Step::ok("settings", begun.elapsed(), detail))?;
                Ok(Some((config, store, trusting)))
            }
            Err(failure) => {
                self.report.add(Step::failed("settings", begun.elapsed(), failure))?;
                Ok(None)
            }
        }
    }

    /// Name, port and certificate.
    async fn connection(&mut self, config: &Config) -> Result<bool, Failure> {
        let Some(target) = Target::of(config.settings()) else { return Ok(true) };
        let unreachable = |message: String, hint: &str| Failure::new(Exit::Network, message).with_hint(hint);

        let begun = Instant::now();
        let addresses = match target.look_up().await {
            Ok(addresses) => addresses,
            Err(message) => {
                let hint = "is `endpoint` (or `region`) spelt right, and does this machine have a name server?";
                self.report.add(Step::failed("DNS", begun.elapsed(), unreachable(message, hint)))?;
                self.report.add(Step::skipped("TCP", ""))?;
                return self.report.add(Step::skipped("TLS", "")).map(|_| false);
            }
        };
        if target.is_address() {
            self.report.add(Step::skipped("DNS", format!("{} is an address", target.host)))?;
        } else {
            let list: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            self.report.add(Step::ok("DNS", begun.elapsed(), format!("{} is {}", target.host, list.join(", "))))?;
        }

        let begun = Instant::now();
        let stream = match target.connect(&addresses).await {
            Ok(stream) => stream,
            Err(message) => {
                let hint =
                    "is the service running, is `endpoint` the right host and port, is there a firewall between?";
                self.report.add(Step::failed("TCP", begun.elapsed(), unreachable(message, hint)))?;
                return self.report.add(Step::skipped("TLS", "")).map(|_| false);
            }
        };
        let peer = stream.peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
        self.report.add(Step::ok("TCP", begun.elapsed(), format!("connected to {peer}")))?;

        if !target.https {
            return self.report.add(Step::skipped("TLS", "plain http: the connection is not encrypted"));
        }
        let begun = Instant::now();
        let tls = config.tls();
        // Errors of the certificate are reported even if the store would accept it.
        let strict = TlsOptions { allow_invalid_certs: false, ..tls.clone() };
        let shaking = handshake(&strict, &target.host, stream);
        let outcome = match tokio::time::timeout(TIMEOUT, shaking).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no response in {} s", TIMEOUT.as_secs())),
        };
        let step = match outcome {
            Ok(agreed) => Step::ok("TLS", begun.elapsed(), agreed),
            Err(message) if tls.allow_invalid_certs => {
                let detail = format!("{message}; going on, since `allow-invalid-certs` is set");
                Step::doubtful("TLS", begun.elapsed(), detail)
            }
            Err(message) => {
                let hint = "an authority of your own goes into `ca-file`; for a service without TLS write http:// in `endpoint`";
                Step::failed("TLS", begun.elapsed(), unreachable(message, hint))
            }
        };
        self.report.add(step)
    }

    /// Whether the service accepts the signature. Reading a missing key shows it, without a blob.
    async fn credentials(&mut self, probe: &Probe) -> Result<bool, Failure> {
        let begun = Instant::now();
        // Not `head`, whose response has no body to explain an error.
        let outcome = probe.store.get(&probe.key).range(0..1).await;
        let took = begun.elapsed();
        let step = match outcome {
            Err(Error::NotFound(failure)) if !matches!(code(&failure), Some("NoSuchBucket" | "ContainerNotFound")) => {
                Step::ok("credentials", took, "accepted, and the bucket is there")
            }
            Ok(_) | Err(Error::InvalidRange(_)) => Step::ok("credentials", took, "accepted"),
            // Without the permission to list, S3 denies access to a missing key.
            Err(Error::AccessDenied(failure)) if matches!(code(&failure), None | Some("AccessDenied")) => {
                let mut step = Step::doubtful("credentials", took, failure.message.clone());
                step.hint = Some(
                    "S3 also responds like this if the credentials may read and write, but not list; continuing"
                        .to_owned(),
                );
                step
            }
            Err(error) => Step::failed("credentials", took, error.into()),
        };
        self.report.add(step)
    }

    async fn operations(&mut self, probe: Probe) -> Result<(), Failure> {
        let Probe { store, trusting, key } = &probe;
        let body: Bytes = (0..1024_u32).map(|n| (n % 251) as u8).collect();

        let begun = Instant::now();
        let put = store.put(key, body.clone()).content_type("application/x-sandbucket-check").metadata("check", "yes");
        // From here on it may exist, whatever the response.
        self.probe = Some(probe.clone());
        let (outcome, is_bare) = match put.await {
            // Some plugins store bytes and nothing else.
            Err(Error::Unsupported(_)) => (store.put(key, body.clone()).await, true),
            outcome => (outcome, false),
        };
        match outcome {
            Ok(_) if is_bare => {
                let detail = format!("1 KiB as {key}; the plugin stores no media type or no metadata");
                self.report.add(Step::doubtful("put", begun.elapsed(), detail))?;
            }
            Ok(_) => {
                self.report.add(Step::ok("put", begun.elapsed(), format!("1 KiB as {key}")))?;
            }
            Err(error) => {
                self.report.add(Step::failed("put", begun.elapsed(), error.into()))?;
                return self.skip_operations(2, "nothing was stored");
            }
        };

        let (info, took) = timed(store.head(key)).await;
        let step = match info {
            Ok(info) if info.size != body.len() as u64 => {
                Step::wrong("head", took, format!("says {} bytes", info.size))
            }
            Ok(_) if is_bare => Step::ok("head", took, "the size is right"),
            Ok(info) if !info.metadata.iter().any(|(name, value)| name == "check" && value == "yes") => {
                Step::doubtful("head", took, "the size is right, but the service lost the metadata")
            }
            Ok(_) => Step::ok("head", took, "size and metadata are right"),
            Err(error) => Step::failed("head", took, error.into()),
        };
        self.report.add(step)?;

        let (whole, took) = timed(read(store, key, None)).await;
        let step = compared("get", took, whole, &body);
        self.report.add(step)?;
        let (part, took) = timed(read(store, key, Some((100..200).into()))).await;
        let step = compared("get range", took, part, &body.slice(100..200));
        self.report.add(step)?;

        let (second, took) = timed(store.put(key, body.clone()).if_absent()).await;
        let step = match second {
            Err(Error::PreconditionFailed(_)) => Step::ok("put if absent", took, "rejected, as expected"),
            Ok(_) => {
                let mut step = Step::doubtful("put if absent", took, "the service ignores the condition");
                step.hint = Some("do not rely on conditional writes here".to_owned());
                step
            }
            Err(Error::Unsupported(failure) | Error::Service(failure)) => {
                Step::doubtful("put if absent", took, failure.message)
            }
            Err(error) => Step::failed("put if absent", took, error.into()),
        };
        self.report.add(step)?;

        let (completed, took) = timed(complete_if_absent(trusting, key)).await;
        let name = "complete if absent";
        let step = match completed {
            Err(Error::PreconditionFailed(_)) => Step::ok(name, took, "rejected, as expected"),
            Ok(_) => {
                let what = "the service ignores the condition of a completed upload";
                let mut step = Step::doubtful(name, took, what);
                step.hint = Some(
                    "the setting `check-conditions` (on by default) checks it with a HEAD before the write".to_owned(),
                );
                step
            }
            Err(Error::Unsupported(failure) | Error::Service(failure)) => Step::doubtful(name, took, failure.message),
            Err(error) => Step::failed(name, took, error.into()),
        };
        self.report.add(step)?;

        let (deleted, took) = timed(store.delete(key)).await;
        let step = match deleted {
            Ok(_) => {
                self.probe = None;
                Step::ok("delete", took, "the probe is deleted")
            }
            Err(error) => Step::failed("delete", took, error.into()),
        };
        self.report.add(step).map(drop)
    }

    /// Deletes the probe if it may exist. Returns its key if that fails.
    async fn clean_up(&mut self) -> Option<String> {
        let probe = self.probe.take()?;
        let delete = probe.store.delete(&probe.key).time_limit(TIMEOUT);
        match delete.await {
            Ok(_) => None,
            Err(_) => Some(probe.key),
        }
    }

    fn skip(&mut self, what: &str) -> Result<(), Failure> {
        for name in ["DNS", "TCP", "TLS"] {
            self.report.add(Step::skipped(name, ""))?;
        }
        self.skip_operations(0, &format!("{what} must be right first"))
    }

    /// Lists the operations from this one on as skipped.
    fn skip_operations(&mut self, from: usize, why: &str) -> Result<(), Failure> {
        for (n, name) in OPERATIONS[from..].iter().enumerate() {
            self.report.add(Step::skipped(name, if n == 0 { why } else { "" }))?;
        }
        Ok(())
    }

    fn summary(self, context: &Context, left: Option<String>) -> Result<Exit, Failure> {
        let output = &context.output;
        let (exit, doubts) = (self.report.exit(), self.report.count(Verdict::Doubtful));
        if output.json {
            let steps = self.report.to_json();
            output.value(&json!({ "ok": exit == Exit::Success, "steps": steps, "left-behind": left }))?;
            return Ok(exit);
        }
        if let Some(key) = left {
            let left = format!("The probe {} may still be there, and could not be deleted.", text::plain(&key));
            output.line(output.paint(Tone::Doubtful, &left))?;
        }
        output.line(match (exit, doubts) {
            (Exit::Success, 0) => output.paint(Tone::Good, "This store is ready to use."),
            (Exit::Success, _) => output.paint(Tone::Doubtful, "This store can be used, with the doubts above."),
            _ => output.paint(Tone::Bad, "This store cannot be used as it is configured."),
        })?;
        Ok(exit)
    }
}

/// Completes an upload to an existing key, on the condition that it does not exist.
async fn complete_if_absent(store: &Store, key: &str) -> Result<(), Error> {
    let upload = store.create_upload(key).await?;
    let completed = async {
        let part = store.upload_part(key, &upload, 1, "a part").await?;
        store.complete_upload(key, &upload, [part]).if_absent().await
    };
    let completed = completed.await;
    if completed.is_err() {
        // Best effort: the other error counts.
        let _ = store.abort_upload(key, &upload).await;
    }
    completed.map(drop)
}

fn compared(name: &'static str, took: Duration, outcome: Result<Bytes, Error>, expected: &Bytes) -> Step {
    match outcome {
        Ok(body) if body == *expected => Step::ok(name, took, format!("{} bytes, as stored", body.len())),
        Ok(body) => Step::wrong(name, took, format!("{} bytes that were not stored", body.len())),
        Err(error) => Step::failed(name, took, error.into()),
    }
}

fn code(failure: &sandbucket::Failure) -> Option<&str> {
    failure.response.as_ref()?.code.as_deref()
}

/// A unique key.
fn probe_key() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("sandbucket-check-{:x}-{:x}", std::process::id(), now.as_nanos())
}
