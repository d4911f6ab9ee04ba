//! Metrics, spans and audit records, as a program receives them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use metrics_util::CompositeKey;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use sandbucket::telemetry::{self, AuditQueue, AuditRecord, AuditRecords};
use sandbucket::{Budget, Credentials, Engine, Error, PresignedMethod, StoreOptions, TenantOptions, Tenants};
use sandbucket_tests::faulty::{Act, Faulty};
use sandbucket_tests::{ACCESS_KEY, BUCKET, SECRET_KEY, builder, dev_server, refused, run, settings};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Much longer than any of this takes.
const LONG: Duration = Duration::from_secs(60);

/// What the recorder of this process has received since it was installed.
struct Recorded {
    snapshotter: Snapshotter,
    /// A snapshot takes the values out of the recorder, and leaves 0: they are kept here.
    values: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Value {
    number: f64,
    samples: Vec<f64>,
}

static RECORDED: LazyLock<Mutex<Recorded>> = LazyLock::new(|| {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().expect("the first recorder");
    Mutex::new(Recorded { snapshotter, values: BTreeMap::new() })
});

/// The builder of an engine whose metrics are recorded.
fn recording() -> sandbucket::EngineBuilder {
    LazyLock::force(&RECORDED);
    builder()
}

/// A metric with its labels, sorted: `name{label=value,…}`.
fn series(key: &CompositeKey) -> String {
    let mut labels: Vec<_> = key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    labels.sort();
    format!("{}{{{}}}", key.key().name(), labels.join(","))
}

/// All series so far.
fn recorded() -> BTreeMap<String, Value> {
    let mut recorded = RECORDED.lock().unwrap_or_else(PoisonError::into_inner);
    for (key, _, _, value) in recorded.snapshotter.snapshot().into_vec() {
        let known = recorded.values.entry(series(&key)).or_default();
        match value {
            DebugValue::Counter(count) => known.number += count as f64,
            // 0 says nothing: it may be what the last snapshot left.
            DebugValue::Gauge(gauge) if gauge.into_inner() == 0.0 => {}
            DebugValue::Gauge(gauge) => known.number = gauge.into_inner(),
            DebugValue::Histogram(samples) => {
                known.samples.extend(samples.into_iter().map(|sample| sample.into_inner()))
            }
        }
    }
    recorded.values.clone()
}

fn number(series: &str) -> f64 {
    recorded().get(series).unwrap_or_else(|| panic!("no {series}")).number
}

/// A registry with one tenant on a server like `dev_server`.
async fn tenant(engine: Engine, name: &str, endpoint: &str, budget: Budget) -> Tenants {
    let tenants = Tenants::new(engine);
    set(&tenants, name, endpoint, budget).await;
    tenants
}

async fn set(tenants: &Tenants, name: &str, endpoint: &str, budget: Budget) {
    let store = StoreOptions::new().settings(settings(endpoint, &[("region", "us-east-1")])).allow_private();
    tenants.set(name, TenantOptions::new(store).budget(budget)).await.expect("the tenant is set");
}

async fn store(tenants: &Tenants, name: &str) -> sandbucket::Store {
    tenants.get(name).expect("the tenant").store().await.expect("the store opens")
}

#[test]
fn calls_are_counted_by_tenant_operation_and_outcome() {
    run(async {
        let server = dev_server().await;
        let engine = recording().build().expect("an engine");
        let tenants = tenant(engine, "counted", &server.endpoint(), Budget::default()).await;
        let store = store(&tenants, "counted").await;
        for n in 0..3 {
            store.put(format!("k{n}"), vec![b'x'; 1000]).await.expect("a put");
        }
        assert_eq!(store.get("k1").range(0..10).await.expect("a get").bytes().await.expect("the body").len(), 10);
        refused!(store.head("none").await, NotFound);
        let all = recorded();
        let of = |name: &str, labels: &str| {
            all.get(&format!("{name}{{{labels}}}")).unwrap_or_else(|| panic!("no {name}{{{labels}}}")).clone()
        };
        assert_eq!(of(telemetry::CALLS, "operation=put,outcome=ok,tenant=counted").number, 3.0);
        assert_eq!(of(telemetry::CALLS, "operation=get,outcome=ok,tenant=counted").number, 1.0);
        assert_eq!(of(telemetry::CALLS, "operation=head,outcome=not_found,tenant=counted").number, 1.0);
        assert_eq!(of(telemetry::CALL_BODY, "operation=put,tenant=counted").samples, [1000.0; 3]);
        assert_eq!(of(telemetry::CALL_BODY, "operation=get,tenant=counted").samples, [10.0]);
        assert!(of(telemetry::CALL_BODY, "operation=head,tenant=counted").samples.is_empty());
        for name in [telemetry::CALL_DURATION, telemetry::CALL_CPU] {
            let samples = of(name, "operation=put,tenant=counted").samples;
            assert!(samples.len() == 3 && samples.iter().all(|&sample| sample > 0.0), "{name}: {samples:?}");
        }
        assert_eq!(of(telemetry::REQUESTS, "operation=put,status=2xx,tenant=counted").number, 3.0);
        assert_eq!(of(telemetry::REQUESTS, "operation=head,status=4xx,tenant=counted").number, 1.0);
        assert!(of(telemetry::CONNECTIONS_OPENED, "outcome=ok").number >= 1.0);
        assert!(!of(telemetry::CONNECT_DURATION, "").samples.is_empty());
        assert!(of(telemetry::CONNECTIONS_OPEN, "").number >= 1.0);
        assert!(of(telemetry::INSTANCES_CREATED, "").number >= 1.0);
        // Only the names that are documented, with their labels, and no secret in any.
        for series in all.keys() {
            let name = series.split('{').next().expect("a name");
            assert!(telemetry::ALL.contains(&name), "{series}");
            assert!(!series.contains(ACCESS_KEY) && !series.contains(SECRET_KEY), "{series}");
        }
    });
}

#[test]
fn retries_and_throttling_are_counted_by_their_cause() {
    run(async {
        let script =
            [Act::error(503, "SlowDown"), Act::well().up_to(20).then_reset(), Act::error(500, "InternalError")];
        let server = Faulty::start(script).await;
        let engine = recording().build().expect("an engine");
        let budget = Budget::default().with_calls_in_flight(1).with_queue_length(0);
        let tenants = tenant(engine, "retried", &server.endpoint(), budget).await;
        let store = store(&tenants, "retried").await;
        store.put("k", "x").await.expect("the fourth attempt");
        assert_eq!(number("sandbucket_retries_total{operation=put,tenant=retried}"), 3.0);
        assert_eq!(number("sandbucket_requests_total{operation=put,status=5xx,tenant=retried}"), 2.0);
        assert_eq!(number("sandbucket_requests_total{operation=put,status=none,tenant=retried}"), 1.0);
        assert_eq!(number("sandbucket_throttled_total{by=service,tenant=retried}"), 1.0);
        // One call is in flight, and none may wait.
        server.then([Act::well().delayed(Duration::from_millis(500))]);
        let (first, second) = tokio::join!(async { store.put("a", "x").await }, async { store.put("b", "x").await });
        first.expect("the first call");
        assert!(refused!(second, Throttled).retry_after.is_some());
        assert_eq!(number("sandbucket_throttled_total{by=budget,tenant=retried}"), 1.0);
        assert_eq!(number("sandbucket_calls_total{operation=put,outcome=throttled,tenant=retried}"), 1.0);
    });
}

#[test]
fn tenants_beyond_the_labels_share_one() {
    run(async {
        let server = dev_server().await;
        let engine = recording().tenant_labels(2).build().expect("an engine");
        let tenants = Tenants::new(engine);
        for name in ["first-label", "second-label", "third-label", "fourth-label"] {
            set(&tenants, name, &server.endpoint(), Budget::default()).await;
            store(&tenants, name).await.list_versions(name).await.expect("a list");
        }
        let count = |tenant: &str| {
            let series = format!("sandbucket_calls_total{{operation=list_versions,outcome=ok,tenant={tenant}}}");
            recorded().get(&series).map(|value| value.number)
        };
        assert_eq!(["first-label", "second-label", "other"].map(count), [Some(1.0), Some(1.0), Some(2.0)]);
        assert_eq!(["third-label", "fourth-label"].map(count), [None, None]);
    });
}

#[test]
fn gauges_are_sampled() {
    run(async {
        let server = Faulty::start([]).await;
        let tenants =
            tenant(recording().build().expect("an engine"), "sampled", &server.endpoint(), Budget::default()).await;
        let store = store(&tenants, "sampled").await;
        server.then([Act::silent().then_stall()]);
        let call = async { store.put("k", "x").await };
        let sampled = async {
            let in_flight = "sandbucket_tenant_calls_in_flight{tenant=sampled}";
            while recorded().get(in_flight).is_none_or(|value| value.number != 1.0) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(number("sandbucket_tenant_calls_queued{tenant=sampled}"), 0.0);
            assert_eq!(number("sandbucket_tenant_connections{tenant=sampled}"), 1.0);
            assert!(number("sandbucket_tenant_memory_bytes{tenant=sampled}") > 0.0);
            for gauge in ["sandbucket_instances{state=idle}", "sandbucket_instances{state=busy}"] {
                assert!(number(gauge) >= 0.0);
            }
        };
        tokio::select! {
            sampled = tokio::time::timeout(LONG, sampled) => sampled.expect("the gauges are sampled"),
            ended = call => panic!("the service is silent: {ended:?}"),
        }
    });
}

/// Takes records until there are so many.
async fn take(records: &mut AuditRecords, count: usize) -> Vec<AuditRecord> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let next = tokio::time::timeout(LONG, records.next()).await.expect("a record in time");
        taken.push(next.expect("a record"));
    }
    taken
}

#[test]
fn each_call_has_one_audit_record() {
    run(async {
        let server = dev_server().await;
        let (queue, mut records) = AuditQueue::new(100);
        let engine = recording().audit(queue).build().expect("an engine");
        let tenants = tenant(engine.clone(), "audited", &server.endpoint(), Budget::default()).await;
        let store = store(&tenants, "audited").await;
        store.put("dir/k", "12345").await.expect("a put");
        store.get("dir/k").await.expect("a get").bytes().await.expect("the body");
        refused!(store.get("none").await, NotFound);
        // It is dropped while its request is in flight, and a store without a tenant.
        let silent = Faulty::always(Act::silent().then_stall()).await;
        let alone = engine.store(settings(&silent.endpoint(), &[])).await.expect("the store opens");
        let dropped = tokio::time::timeout(Duration::from_millis(500), async { alone.delete("late").await });
        dropped.await.expect_err("the service is silent");

        let taken = take(&mut records, 4).await;
        let shown: Vec<_> = taken
            .iter()
            .map(|record| {
                let AuditRecord { tenant, operation, bucket, key, outcome, status, bytes, requests, .. } = record;
                let (tenant, bucket) = (tenant.as_deref().unwrap_or("-"), bucket.as_deref().unwrap_or("-"));
                format!("{tenant} {operation} {bucket}/{key} {outcome} {status:?} {bytes} {requests}")
            })
            .collect();
        let expected = [
            format!("audited put {BUCKET}/dir/k ok Some(200) 5 1"),
            format!("audited get {BUCKET}/dir/k ok Some(200) 5 1"),
            format!("audited get {BUCKET}/none not_found Some(404) 0 1"),
            format!("- delete {BUCKET}/late cancelled None 0 0"),
        ];
        assert_eq!(shown, expected);
        assert!(taken[..3].iter().all(|record| record.request_id.is_some()), "{taken:?}");
        assert!(taken[3].duration >= Duration::from_millis(400), "{taken:?}");
    });
}

#[test]
fn renewal_is_counted_and_the_repeated_call_recorded_once() {
    run(async {
        let server = Faulty::start([]).await;
        let (queue, mut records) = AuditQueue::new(100);
        let engine = recording().audit(queue).build().expect("an engine");
        let queries = Arc::new(AtomicUsize::new(0));
        let provider = move || {
            let n = queries.fetch_add(1, SeqCst);
            async move { Ok::<_, std::io::Error>(Credentials::new(format!("key-{n}"), "secret").session_token("token")) }
        };
        let options = StoreOptions::new().setting("bucket", BUCKET).setting("endpoint", server.endpoint());
        let store = engine.open(options.allow_private().credentials_provider(provider)).await.expect("the store opens");
        let renewals =
            || recorded().get("sandbucket_credential_renewals_total{outcome=ok}").map_or(0.0, |value| value.number);
        let before = renewals();
        server.then([Act::error(400, "ExpiredToken")]);
        store.put("k", "x").await.expect("the new credentials");
        assert_eq!(renewals() - before, 1.0);
        let record = take(&mut records, 1).await.remove(0);
        assert_eq!((record.outcome, record.status, record.requests), ("ok", Some(200), 2));
        store.delete("k").await.expect("a delete");
        assert_eq!(take(&mut records, 1).await[0].operation, "delete");
    });
}

#[test]
fn full_audit_queue_delays_no_call() {
    run(async {
        let server = dev_server().await;
        let (queue, mut records) = AuditQueue::new(2);
        let engine = recording().audit(queue).build().expect("an engine");
        let store = engine.store(settings(&server.endpoint(), &[])).await.expect("the store opens");
        let dropped = || recorded().get("sandbucket_audit_records_dropped_total{}").map_or(0.0, |value| value.number);
        let before = dropped();
        for put in join_all((0..5).map(|n| {
            let store = &store;
            async move { store.put(format!("{n}"), "x").await }
        }))
        .await
        {
            put.expect("a put");
        }
        assert_eq!(dropped() - before, 3.0);
        assert_eq!(take(&mut records, 2).await.len(), 2);
    });
}

/// Keeps the text of all spans and events of this project.
struct Capture;

static CAPTURED: Mutex<String> = Mutex::new(String::new());

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut text = format!("span {} {}", id.into_u64(), attributes.metadata().name());
        attributes.record(&mut Fields(&mut text));
        note(attributes.metadata(), &text);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut text = format!("record {}", id.into_u64());
        values.record(&mut Fields(&mut text));
        CAPTURED.lock().unwrap().push_str(&format!("{text}\n"));
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut text = "event".to_owned();
        event.record(&mut Fields(&mut text));
        note(event.metadata(), &text);
    }
}

fn note(metadata: &tracing::Metadata<'_>, text: &str) {
    if metadata.target().starts_with("sandbucket") {
        CAPTURED.lock().unwrap().push_str(&format!("{text}\n"));
    }
}

#[test]
fn spans_have_the_names_of_semantic_conventions_and_no_secrets() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Capture))
        .expect("the first subscriber");
    run(async {
        let server = Faulty::start([]).await;
        let engine = recording().build().expect("an engine");
        let secrets = Credentials::new("span-access-key", "span-secret").session_token("span-token");
        let options = StoreOptions::new().setting("bucket", "span-bucket").setting("endpoint", server.endpoint());
        let options = options.setting("addressing-style", "path").credentials(secrets).allow_private();
        let store = engine.open(options).await.expect("the store opens");
        server.then([Act::error(503, "SlowDown")]);
        store.put("span-key", "x").await.expect("the second attempt");
        let url = store.presign(PresignedMethod::Get, "span-presigned").await.expect("a URL").url;
        assert!(url.contains("X-Amz-Signature=") && url.contains("span-token"), "{url}");
        server.then([Act::error(400, "ExpiredToken")]);
        let error = store.get("span-denied").await.map(drop).expect_err("the token has expired");
        assert!(matches!(error, Error::AccessDenied(_)), "{error:?}");

        let captured = CAPTURED.lock().unwrap().clone();
        let span = |key: &str| {
            let text = captured.lines().find(|line| line.starts_with("span ") && line.contains(key));
            let text = text.unwrap_or_else(|| panic!("no span of {key}:\n{captured}")).to_owned();
            let id = text.split(' ').nth(1).expect("an id").to_owned();
            let later = captured.lines().filter(|line| line.starts_with(&format!("record {id} ")));
            later.fold(text, |text, line| format!("{text} {line}"))
        };
        let put = span("aws.s3.key=\"span-key\"");
        for field in [
            "otel.name=S3/PutObject".to_owned(),
            "otel.kind=\"client\"".to_owned(),
            "rpc.system=\"aws-api\"".to_owned(),
            "rpc.service=\"S3\"".to_owned(),
            "rpc.method=\"PutObject\"".to_owned(),
            "aws.s3.bucket=\"span-bucket\"".to_owned(),
            "server.address=\"127.0.0.1\"".to_owned(),
            format!("server.port={}", server.port()),
            "http.response.status_code=200".to_owned(),
            "http.request.resend_count=1".to_owned(),
        ] {
            assert!(put.contains(&field), "no {field} in {put}");
        }
        assert!(!put.contains("error.type"), "{put}");
        let denied = span("span-denied");
        assert!(
            denied.contains("error.type=\"access_denied\"") && denied.contains("otel.status_code=\"ERROR\""),
            "{denied}"
        );
        assert!(denied.contains("aws.request_id=\"REQ-ExpiredToken\""), "{denied}");
        for secret in ["span-secret", "span-token", "X-Amz-Signature", "Signature="] {
            assert!(!captured.contains(secret), "{secret} is in\n{captured}");
        }
    });
}

#[test]
fn every_metric_is_documented() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = fs::read_to_string(page).expect("docs/metrics.md");
    let documented: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `sandbucket_")).collect();
    let documented: Vec<_> =
        documented.iter().map(|line| format!("sandbucket_{}", line.split('`').next().unwrap_or_default())).collect();
    assert_eq!(documented, telemetry::ALL);
}
