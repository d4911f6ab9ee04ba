//! What is recorded of a call: metrics, its span, and the audit record.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use metrics::{Counter, Histogram, SharedString};
use tracing::Span;

use super::audit::{AuditRecord, AuditSink};
use super::engine::{EngineMetrics, TenantSample, TenantSamples};
use super::names;
use crate::error::Error;

/// Declares the operations with their labels, and their methods in S3's API.
macro_rules! operations {
    ($($variant:ident = $label:literal, $method:literal;)+) => {
        /// An operation, for labels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum OperationId {
            $($variant),+
        }

        impl OperationId {
            const COUNT: usize = [$($label),+].len();

            /// The label in metrics and audit records.
            pub(crate) fn label(self) -> &'static str {
                match self {
                    $(OperationId::$variant => $label),+
                }
            }

            /// The method of S3's API, for spans.
            pub(crate) fn method(self) -> &'static str {
                match self {
                    $(OperationId::$variant => $method),+
                }
            }
        }
    };
}

operations! {
    Head = "head", "HeadObject";
    Get = "get", "GetObject";
    Put = "put", "PutObject";
    Delete = "delete", "DeleteObject";
    DeleteMany = "delete_many", "DeleteObjects";
    List = "list", "ListObjectsV2";
    ListVersions = "list_versions", "ListObjectVersions";
    Copy = "copy", "CopyObject";
    Presign = "presign", "Presign";
    GetTags = "get_tags", "GetObjectTagging";
    SetTags = "set_tags", "PutObjectTagging";
    CreateUpload = "create_upload", "CreateMultipartUpload";
    UploadPart = "upload_part", "UploadPart";
    CopyPart = "copy_part", "UploadPartCopy";
    ListParts = "list_parts", "ListParts";
    CompleteUpload = "complete_upload", "CompleteMultipartUpload";
    AbortUpload = "abort_upload", "AbortMultipartUpload";
    ListUploads = "list_uploads", "ListMultipartUploads";
    CreateBucket = "create_bucket", "CreateBucket";
    DeleteBucket = "delete_bucket", "DeleteBucket";
    BucketExists = "bucket_exists", "HeadBucket";
    ListBuckets = "list_buckets", "ListBuckets";
}

/// Declares the outcomes with their labels.
macro_rules! outcomes {
    ($($variant:ident = $label:literal;)+) => {
        /// How a call ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Outcome {
            $($variant),+
        }

        impl Outcome {
            const COUNT: usize = [$($label),+].len();

            fn label(self) -> &'static str {
                match self {
                    $(Outcome::$variant => $label),+
                }
            }
        }
    };
}

outcomes! {
    Ok = "ok";
    Cancelled = "cancelled";
    NotFound = "not_found";
    PreconditionFailed = "precondition_failed";
    NotModified = "not_modified";
    InvalidRange = "invalid_range";
    Conflict = "conflict";
    AccessDenied = "access_denied";
    Throttled = "throttled";
    Timeout = "timeout";
    Network = "network";
    Integrity = "integrity";
    InvalidArgument = "invalid_argument";
    TooLarge = "too_large";
    Unsupported = "unsupported";
    Unknown = "outcome_unknown";
    Service = "service";
    Plugin = "plugin";
    Limit = "limit";
    Busy = "busy";
    Io = "io";
}

impl Outcome {
    fn of(error: &Error) -> Outcome {
        match error {
            Error::NotFound(_) => Outcome::NotFound,
            Error::PreconditionFailed(_) => Outcome::PreconditionFailed,
            Error::NotModified(_) => Outcome::NotModified,
            Error::InvalidRange(_) => Outcome::InvalidRange,
            Error::Conflict(_) => Outcome::Conflict,
            Error::AccessDenied(_) => Outcome::AccessDenied,
            Error::Throttled(_) => Outcome::Throttled,
            Error::Timeout(_) | Error::Overdue { .. } => Outcome::Timeout,
            Error::Network(_) => Outcome::Network,
            Error::Integrity(_) => Outcome::Integrity,
            Error::InvalidSettings(_) | Error::InvalidArgument(_) | Error::Config { .. } => Outcome::InvalidArgument,
            Error::TooLarge(_) => Outcome::TooLarge,
            Error::Unsupported(_) => Outcome::Unsupported,
            Error::OutcomeUnknown(_) => Outcome::Unknown,
            Error::Archived(_) | Error::Service(_) => Outcome::Service,
            Error::Trapped { .. } | Error::Plugin { .. } => Outcome::Plugin,
            Error::OutOfMemory { .. } | Error::OutOfTime { .. } => Outcome::Limit,
            Error::Busy { .. } | Error::NoMemory { .. } => Outcome::Busy,
            Error::Io { .. } => Outcome::Io,
        }
    }
}

/// Classes of a response's status, the last one for requests without any.
const STATUSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

/// The telemetry of an engine.
pub(crate) struct Telemetry {
    pub(crate) engine: EngineMetrics,
    audit: Option<Arc<dyn AuditSink>>,
    /// Number of tenants with a label of their own.
    max_labels: usize,
    without_tenant: Arc<CallMetrics>,
    others: Arc<CallMetrics>,
    labelled: Mutex<HashMap<Arc<str>, Arc<CallMetrics>>>,
    samples: Mutex<TenantSamples>,
}

impl Telemetry {
    /// Registers the metrics with the recorder of the process, if there is one.
    pub(crate) fn new(audit: Option<Arc<dyn AuditSink>>, max_labels: usize) -> Arc<Telemetry> {
        names::describe();
        Arc::new(Telemetry {
            engine: EngineMetrics::new(),
            audit,
            max_labels,
            without_tenant: CallMetrics::new("".into()),
            others: CallMetrics::new(names::OTHER.into()),
            labelled: Mutex::default(),
            samples: Mutex::default(),
        })
    }

    /// What the calls of a store are recorded with.
    pub(crate) fn of_store(self: &Arc<Self>, tenant: Option<Arc<str>>, bucket: Option<&str>) -> TenantMetrics {
        // Only audit records have it.
        let bucket = bucket.filter(|_| self.audit.is_some()).map(Arc::from);
        TenantMetrics { telemetry: self.clone(), calls: OnceLock::new(), tenant, bucket }
    }

    /// The metrics of the calls of this tenant, which gets a label of its own if there is one left. Labels are not given up with their
    /// tenants: recorders keep them as well.
    fn labelled(&self, name: &Arc<str>) -> Arc<CallMetrics> {
        let mut labelled = lock(&self.labelled);
        if let Some(known) = labelled.get(name) {
            return known.clone();
        }
        if labelled.len() >= self.max_labels {
            return self.others.clone();
        }
        let metrics = CallMetrics::new(name.to_string().into());
        labelled.insert(name.clone(), metrics.clone());
        metrics
    }

    /// Sets the gauges of tenants: of these, and to 0 of those that were sampled before and are not among them.
    pub(crate) fn sample_tenants(&self, tenants: impl Iterator<Item = (Arc<str>, TenantSample)>) {
        let mut samples = lock(&self.samples);
        let labelled = lock(&self.labelled);
        for (name, sample) in tenants {
            samples.add(&labelled.get(&name).unwrap_or(&self.others).tenant, sample);
        }
        drop(labelled);
        samples.set();
    }
}

/// What the calls of one store are recorded with.
pub(crate) struct TenantMetrics {
    telemetry: Arc<Telemetry>,
    /// Set by the first call: a tenant whose store is opened to check its settings gets no label.
    calls: OnceLock<Arc<CallMetrics>>,
    tenant: Option<Arc<str>>,
    bucket: Option<Arc<str>>,
}

impl TenantMetrics {
    fn calls(&self) -> &CallMetrics {
        self.calls.get_or_init(|| match &self.tenant {
            None => self.telemetry.without_tenant.clone(),
            Some(name) => self.telemetry.labelled(name),
        })
    }

    pub(crate) fn engine(&self) -> &EngineMetrics {
        &self.telemetry.engine
    }

    /// The tenant's name.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Begins the record of a call.
    pub(crate) fn begin(&self, operation: OperationId, key: &str, span: Span) -> CallRecord<'_> {
        // From now on the tenant has its label, for samples as well.
        self.calls();
        let is_audited = self.telemetry.audit.is_some();
        CallRecord {
            store: self,
            operation,
            began: Instant::now(),
            audited: is_audited.then(|| Audited { time: SystemTime::now(), key: key.to_owned() }),
            wants_id: is_audited || !span.is_disabled(),
            span,
            outcome: Outcome::Cancelled,
            status: None,
            request_id: None,
            requests: 0,
            retries: 0,
            cpu: Duration::ZERO,
            body: None,
        }
    }
}

/// The metrics of the calls with one tenant label. Handles are registered as they are first used.
struct CallMetrics {
    tenant: SharedString,
    operations: [OnceLock<Box<OperationMetrics>>; OperationId::COUNT],
    throttled_by_service: OnceLock<Counter>,
    throttled_by_budget: OnceLock<Counter>,
}

struct OperationMetrics {
    outcomes: [OnceLock<Counter>; Outcome::COUNT],
    requests: [OnceLock<Counter>; STATUSES.len()],
    retries: Counter,
    duration: Histogram,
    cpu: Histogram,
    body: Histogram,
}

impl CallMetrics {
    fn new(tenant: SharedString) -> Arc<CallMetrics> {
        Arc::new(CallMetrics {
            tenant,
            operations: [const { OnceLock::new() }; OperationId::COUNT],
            throttled_by_service: OnceLock::new(),
            throttled_by_budget: OnceLock::new(),
        })
    }

    fn of(&self, operation: OperationId) -> &OperationMetrics {
        self.operations[operation as usize].get_or_init(|| {
            let (tenant, operation) = (|| self.tenant.clone(), operation.label());
            Box::new(OperationMetrics {
                outcomes: [const { OnceLock::new() }; Outcome::COUNT],
                requests: [const { OnceLock::new() }; STATUSES.len()],
                retries: metrics::counter!(names::RETRIES, "tenant" => tenant(), "operation" => operation),
                duration: metrics::histogram!(names::CALL_DURATION, "tenant" => tenant(), "operation" => operation),
                cpu: metrics::histogram!(names::CALL_CPU, "tenant" => tenant(), "operation" => operation),
                body: metrics::histogram!(names::CALL_BODY, "tenant" => tenant(), "operation" => operation),
            })
        })
    }

    fn ended(&self, operation: OperationId, outcome: Outcome) {
        let counter = self.of(operation).outcomes[outcome as usize].get_or_init(|| {
            let tenant = self.tenant.clone();
            let (operation, outcome) = (operation.label(), outcome.label());
            metrics::counter!(names::CALLS, "tenant" => tenant, "operation" => operation, "outcome" => outcome)
        });
        counter.increment(1);
    }

    fn requested(&self, operation: OperationId, class: usize) {
        let counter = self.of(operation).requests[class].get_or_init(|| {
            let (tenant, operation, status) = (self.tenant.clone(), operation.label(), STATUSES[class]);
            metrics::counter!(names::REQUESTS, "tenant" => tenant, "operation" => operation, "status" => status)
        });
        counter.increment(1);
    }

    fn throttled(&self, cell: &OnceLock<Counter>, by: &'static str) {
        let register = || metrics::counter!(names::THROTTLED, "tenant" => self.tenant.clone(), "by" => by);
        cell.get_or_init(register).increment(1);
    }
}

/// What only an audit record needs.
struct Audited {
    time: SystemTime,
    key: String,
}

/// A call in progress. As it is dropped, the call is recorded: as cancelled, unless it [ended](CallRecord::end) before.
pub(crate) struct CallRecord<'a> {
    store: &'a TenantMetrics,
    operation: OperationId,
    began: Instant,
    audited: Option<Audited>,
    wants_id: bool,
    span: Span,
    outcome: Outcome,
    status: Option<u16>,
    request_id: Option<String>,
    requests: u32,
    retries: u32,
    cpu: Duration,
    body: Option<u64>,
}

/// Header fields with the id that a service gives a request.
const REQUEST_IDS: [&str; 3] = ["x-amz-request-id", "x-ms-request-id", "x-guploader-uploadid"];
/// Maximum length of such an id in bytes. AWS's have 16 to 76.
const MAX_REQUEST_ID: usize = 128;

impl CallRecord<'_> {
    /// Records a response, whose header is a field to a line.
    pub(crate) fn response(&mut self, status: u16, headers: &str) {
        self.requested(usize::from(status / 100).clamp(1, 5) - 1);
        self.status = Some(status);
        if self.wants_id {
            self.request_id = request_id(headers);
        }
        if matches!(status, 429 | 503) {
            self.store.calls().throttled(&self.store.calls().throttled_by_service, "service");
        }
    }

    /// Records a request without a response.
    pub(crate) fn no_response(&mut self) {
        self.requested(STATUSES.len() - 1);
        (self.status, self.request_id) = (None, None);
    }

    fn requested(&mut self, class: usize) {
        self.requests += 1;
        self.store.calls().requested(self.operation, class);
    }

    /// Records a retry.
    pub(crate) fn retry(&mut self) {
        self.retries += 1;
        self.store.calls().of(self.operation).retries.increment(1);
    }

    /// Records CPU time of the plugin.
    pub(crate) fn computed(&mut self, cpu: Duration) {
        self.cpu += cpu;
    }

    /// Sets the outcome, and the bytes of the body of a success that has one.
    pub(crate) fn end(&mut self, error: Option<&Error>, body: Option<u64>) {
        self.outcome = error.map_or(Outcome::Ok, Outcome::of);
        self.body = body.filter(|_| error.is_none());
        // Some services have the id in the error's document only.
        if self.wants_id && self.request_id.is_none() {
            let response = error.and_then(Error::failure).and_then(|failure| failure.response.as_ref());
            self.request_id = response.and_then(|response| response.request_id.clone());
        }
        let is_over_budget = |error: &Error| error.retry_after().is_some() && self.requests == 0;
        if self.outcome == Outcome::Throttled && error.is_some_and(is_over_budget) {
            self.store.calls().throttled(&self.store.calls().throttled_by_budget, "budget");
        }
    }
}

impl Drop for CallRecord<'_> {
    fn drop(&mut self) {
        let (duration, outcome) = (self.began.elapsed(), self.outcome.label());
        let of_operation = self.store.calls().of(self.operation);
        self.store.calls().ended(self.operation, self.outcome);
        of_operation.duration.record(duration);
        of_operation.cpu.record(self.cpu);
        if let Some(body) = self.body {
            of_operation.body.record(body as f64);
        }
        if !self.span.is_disabled() {
            if let Some(status) = self.status {
                self.span.record("http.response.status_code", status);
            }
            if let Some(id) = &self.request_id {
                self.span.record("aws.request_id", id.as_str());
            }
            if self.requests > 1 {
                self.span.record("http.request.resend_count", self.requests - 1);
            }
            if self.outcome != Outcome::Ok {
                self.span.record("error.type", outcome).record("otel.status_code", "ERROR");
            }
        }
        if let (Some(sink), Some(Audited { time, key })) = (&self.store.telemetry.audit, self.audited.take()) {
            sink.record(AuditRecord {
                time,
                tenant: self.store.tenant.clone(),
                operation: self.operation.label(),
                bucket: self.store.bucket.clone(),
                key,
                outcome,
                status: self.status,
                request_id: self.request_id.take(),
                bytes: self.body.unwrap_or(0),
                requests: self.requests,
                duration,
            });
        }
    }
}

/// The id in a response's header, if it is an ordinary one.
fn request_id(headers: &str) -> Option<String> {
    let of_line = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let is_id = REQUEST_IDS.iter().any(|known| known.eq_ignore_ascii_case(name.trim()));
        let value = value.trim();
        let is_plain = value.len() <= MAX_REQUEST_ID && value.bytes().all(|byte| byte.is_ascii_graphic());
        (is_id && is_plain && !value.is_empty()).then(|| value.to_owned())
    };
    headers.lines().find_map(of_line)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_bounded_and_plain() {
        let id = |headers: &str| request_id(headers);
        assert_eq!(id("date:x\nX-Amz-Request-Id: 0A1\r\netag:y\n").as_deref(), Some("0A1"));
        assert_eq!(id("x-amz-request-id:a b\n"), None);
        assert_eq!(id(&format!("x-amz-request-id:{}\n", "a".repeat(129))), None);
        assert_eq!(id("no colon\nx-amz-id-2:x"), None);
    }

    #[test]
    fn only_so_many_tenants_have_a_label_of_their_own() {
        let telemetry = Telemetry::new(None, 2);
        // Opening a store to check its settings takes none.
        drop(telemetry.of_store(Some("unused".into()), None));
        let label = |name: &str| telemetry.of_store(Some(name.into()), None).calls().tenant.to_string();
        assert_eq!([label("a"), label("b"), label("c"), label("a"), label("d")], ["a", "b", "other", "a", "other"]);
        assert_eq!(telemetry.of_store(None, None).calls().tenant.to_string(), "");
    }
}
