//! Counters of requests, by tenant: for `/metrics` and the status page.
//!
//! The number of tenants and operations is bounded by the configuration and by S3, and with them the number of time series.
//! Requests that no key authenticates count for the tenant `-`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::StatusCode;
use serde::Serialize;

use crate::record::Record;

/// The tenant of requests that no key authenticates.
pub(crate) const NOBODY: &str = "-";
/// Upper bounds of the latency buckets, in microseconds: from 0.25 ms, doubling, to 64 s; then everything above.
const BUCKETS: [u64; 19] = {
    let mut bounds = [250; 19];
    let mut n = 1;
    while n < bounds.len() {
        bounds[n] = bounds[n - 1] * 2;
        n += 1;
    }
    bounds
};

/// The counters of a gateway.
#[derive(Default)]
pub(crate) struct Stats {
    tenants: Mutex<BTreeMap<String, Arc<TenantStats>>>,
    /// Connections of the S3 endpoint.
    connections: AtomicU64,
    accepted: AtomicU64,
    in_flight: AtomicU64,
}

/// The counters of a tenant.
#[derive(Default)]
pub(crate) struct TenantStats {
    operations: Mutex<BTreeMap<String, Arc<OperationStats>>>,
    in_flight: AtomicU64,
}

/// The counters of a tenant's operation.
#[derive(Default)]
struct OperationStats {
    /// By class of the status: 1xx to 5xx.
    responses: [AtomicU64; 5],
    throttled: AtomicU64,
    broken: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    latency: [AtomicU64; BUCKETS.len() + 1],
    latency_sum: AtomicU64,
}

/// The counters of a tenant, at a time.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RequestCounts {
    /// All requests that got a response.
    pub requests: u64,
    /// Responses with a status from 400 to 499.
    pub client_errors: u64,
    /// Responses with a status from 500, except `SlowDown`.
    pub server_errors: u64,
    /// Responses `SlowDown`.
    pub throttled: u64,
    /// Responses that broke off.
    pub broken: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Bytes of bodies from clients.
    pub received_bytes: u64,
    /// Bytes of bodies to clients.
    pub sent_bytes: u64,
    /// Median of the time to the response's header, in milliseconds: the upper bound of its bucket.
    pub p50_ms: Option<f64>,
    /// 99th percentile of it.
    pub p99_ms: Option<f64>,
}

impl Stats {
    /// Counts a connection until the guard is dropped.
    pub(crate) fn connection(self: &Arc<Self>) -> ConnectionGuard {
        self.accepted.fetch_add(1, Relaxed);
        self.connections.fetch_add(1, Relaxed);
        ConnectionGuard(self.clone())
    }

    /// Open connections.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Requests in flight.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    pub(crate) fn tenant(&self, name: &str) -> Arc<TenantStats> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tenants.get(name) {
            return known.clone();
        }
        tenants.entry(name.to_owned()).or_default().clone()
    }

    /// Drops the counters of tenants that no longer exist.
    pub(crate) fn retain(&self, exists: impl Fn(&str) -> bool) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|name, _| name == NOBODY || exists(name));
    }

    fn all(&self) -> Vec<(String, Arc<TenantStats>)> {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.iter().map(|(name, stats)| (name.clone(), stats.clone())).collect()
    }

    /// The counters of every tenant that had a request.
    pub(crate) fn counts(&self) -> BTreeMap<String, RequestCounts> {
        self.all().into_iter().map(|(name, stats)| (name, stats.counts())).collect()
    }

    /// Appends the metrics in Prometheus' text format.
    pub(crate) fn render(&self, text: &mut String) {
        use std::fmt::Write as _;
        let gauge = |text: &mut String, name: &str, help: &str, value: u64| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        };
        gauge(text, "sandbucket_gateway_connections", "Open connections.", self.connections.load(Relaxed));
        gauge(text, "sandbucket_gateway_requests_in_flight", "Requests in flight.", self.in_flight.load(Relaxed));
        let accepted = self.accepted.load(Relaxed);
        let name = "sandbucket_gateway_connections_accepted_total";
        let _ = write!(text, "# HELP {name} Accepted connections.\n# TYPE {name} counter\n{name} {accepted}\n");
        let rows: Vec<_> = self
            .all()
            .into_iter()
            .flat_map(|(tenant, stats)| {
                stats.rows().into_iter().map(move |(operation, row)| (tenant.clone(), operation, row))
            })
            .collect();
        let mut family = |name: &str, kind: &str, help: &str, lines: &dyn Fn(&mut String, &str, &OperationStats)| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for (tenant, operation, row) in &rows {
                lines(text, &format!("tenant=\"{tenant}\",operation=\"{operation}\""), row);
            }
        };
        family(
            "sandbucket_gateway_requests_total",
            "counter",
            "Responses by class of the status.",
            &|text, labels, row| {
                for (n, count) in row.responses.iter().enumerate() {
                    let count = count.load(Relaxed);
                    if count > 0 {
                        let class = n + 1;
                        let _ = writeln!(
                            text,
                            "sandbucket_gateway_requests_total{{{labels},status=\"{class}xx\"}} {count}"
                        );
                    }
                }
            },
        );
        type Counter = fn(&OperationStats) -> &AtomicU64;
        let counters: [(&str, &str, Counter); 4] = [
            ("sandbucket_gateway_throttled_total", "Responses SlowDown.", |row| &row.throttled),
            ("sandbucket_gateway_broken_responses_total", "Responses that broke off.", |row| &row.broken),
            ("sandbucket_gateway_received_bytes_total", "Bytes of bodies from clients.", |row| &row.received),
            ("sandbucket_gateway_sent_bytes_total", "Bytes of bodies to clients.", |row| &row.sent),
        ];
        for (name, help, get) in counters {
            family(name, "counter", help, &|text, labels, row| {
                let _ = writeln!(text, "{name}{{{labels}}} {}", get(row).load(Relaxed));
            });
        }
        let name = "sandbucket_gateway_request_duration_seconds";
        family(name, "histogram", "Time to the header of the response.", &|text, labels, row| {
            let mut total = 0;
            for (n, count) in row.latency.iter().enumerate() {
                total += count.load(Relaxed);
                let bound = BUCKETS.get(n).map_or_else(|| "+Inf".to_owned(), |bound| (*bound as f64 / 1e6).to_string());
                let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {total}");
            }
            let _ = writeln!(text, "{name}_sum{{{labels}}} {}", row.latency_sum.load(Relaxed) as f64 / 1e6);
            let _ = writeln!(text, "{name}_count{{{labels}}} {total}");
        });
    }
}

impl TenantStats {
    /// Counts a request of the tenant until the guard is dropped.
    pub(crate) fn request(self: &Arc<Self>) -> TenantGuard {
        self.in_flight.fetch_add(1, Relaxed);
        TenantGuard(self.clone())
    }

    /// The tenant's requests in flight.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }

    fn operation(&self, name: &str) -> Arc<OperationStats> {
        let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = operations.get(name) {
            return known.clone();
        }
        operations.entry(name.to_owned()).or_default().clone()
    }

    fn rows(&self) -> Vec<(String, Arc<OperationStats>)> {
        let operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        operations.iter().map(|(name, row)| (name.clone(), row.clone())).collect()
    }

    fn counts(&self) -> RequestCounts {
        let mut counts = RequestCounts { in_flight: self.in_flight.load(Relaxed), ..RequestCounts::default() };
        let mut latency = [0; BUCKETS.len() + 1];
        for (_, row) in self.rows() {
            let class = |n: usize| row.responses[n].load(Relaxed);
            let throttled = row.throttled.load(Relaxed);
            counts.requests += (0..5).map(class).sum::<u64>();
            counts.client_errors += class(3);
            counts.server_errors += class(4).saturating_sub(throttled);
            counts.throttled += throttled;
            counts.broken += row.broken.load(Relaxed);
            counts.received_bytes += row.received.load(Relaxed);
            counts.sent_bytes += row.sent.load(Relaxed);
            for (sum, count) in latency.iter_mut().zip(&row.latency) {
                *sum += count.load(Relaxed);
            }
        }
        counts.p50_ms = percentile(&latency, 0.5);
        counts.p99_ms = percentile(&latency, 0.99);
        counts
    }
}

/// The upper bound in milliseconds of the bucket with this share of the requests.
fn percentile(buckets: &[u64], share: f64) -> Option<f64> {
    let total: u64 = buckets.iter().sum();
    let rank = (total as f64 * share).ceil() as u64;
    let mut seen = 0;
    let n = buckets.iter().position(|count| {
        seen += count;
        seen >= rank.max(1)
    })?;
    Some(BUCKETS.get(n).copied().unwrap_or(u64::from(u32::MAX)) as f64 / 1e3)
}

/// An open connection.
pub(crate) struct ConnectionGuard(Arc<Stats>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// A request of a tenant in flight.
pub(crate) struct TenantGuard(Arc<TenantStats>);

impl Drop for TenantGuard {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// A request in flight. It ends with the response's body, or when the connection drops it.
pub(crate) struct RequestGuard {
    stats: Arc<Stats>,
    begun: Instant,
    received: Arc<AtomicU64>,
    record: Arc<Record>,
    row: Option<Arc<OperationStats>>,
}

impl RequestGuard {
    pub(crate) fn new(stats: Arc<Stats>, record: Arc<Record>, received: Arc<AtomicU64>) -> Self {
        stats.in_flight.fetch_add(1, Relaxed);
        RequestGuard { stats, begun: Instant::now(), received, record, row: None }
    }

    /// Notes the response's header.
    pub(crate) fn responded(&mut self, status: StatusCode) {
        let record = &self.record;
        let tenant = self.stats.tenant(record.tenant().unwrap_or(NOBODY));
        let row = tenant.operation(record.operation().unwrap_or("other"));
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        row.responses[class].fetch_add(1, Relaxed);
        if status == StatusCode::SERVICE_UNAVAILABLE && record.throttled() {
            row.throttled.fetch_add(1, Relaxed);
        }
        let micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.partition_point(|bound| *bound < micros);
        row.latency[bucket].fetch_add(1, Relaxed);
        row.latency_sum.fetch_add(micros, Relaxed);
        self.row = Some(row);
    }

    /// Notes bytes of the response's body.
    pub(crate) fn sent(&self, bytes: u64) {
        if let Some(row) = &self.row {
            row.sent.fetch_add(bytes, Relaxed);
        }
    }

    /// Notes that the response broke off.
    pub(crate) fn broken(&self) {
        if let Some(row) = &self.row {
            row.broken.fetch_add(1, Relaxed);
        }
    }

    /// Time since the request's header.
    pub(crate) fn elapsed(&self) -> std::time::Duration {
        self.begun.elapsed()
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.stats.in_flight.fetch_sub(1, Relaxed);
        self.record.end();
        if let Some(row) = &self.row {
            row.received.fetch_add(self.received.load(Relaxed), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_tenant_operation_and_status() {
        let stats = Arc::new(Stats::default());
        for (tenant, status) in [(Some("alice"), 200), (Some("alice"), 503), (None, 403)] {
            let record = Arc::new(Record::default());
            if let Some(tenant) = tenant {
                record.set_tenant(tenant, stats.tenant(tenant).request());
                record.set_operation("GetObject");
            }
            if status == 503 {
                record.set_throttled();
            }
            let mut guard = RequestGuard::new(stats.clone(), record, Arc::new(AtomicU64::new(7)));
            guard.responded(StatusCode::from_u16(status).unwrap());
            guard.sent(5);
            assert_eq!(
                (stats.in_flight(), stats.tenant(tenant.unwrap_or("x")).in_flight()),
                (1, u64::from(tenant.is_some()))
            );
        }
        let counts = stats.counts();
        let alice = &counts["alice"];
        assert_eq!((alice.requests, alice.throttled, alice.server_errors, alice.in_flight), (2, 1, 0, 0));
        assert_eq!((alice.received_bytes, alice.sent_bytes), (14, 10));
        assert_eq!(alice.p50_ms, Some(0.25));
        assert_eq!(counts[NOBODY].client_errors, 1);
        let mut text = String::new();
        stats.render(&mut text);
        for line in [
            "sandbucket_gateway_requests_total{tenant=\"alice\",operation=\"GetObject\",status=\"2xx\"} 1",
            "sandbucket_gateway_request_duration_seconds_bucket{tenant=\"alice\",operation=\"GetObject\",le=\"+Inf\"} 2",
            "sandbucket_gateway_requests_total{tenant=\"-\",operation=\"other\",status=\"4xx\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        stats.retain(|_| false);
        assert_eq!(stats.counts().len(), 1);
    }

    #[test]
    fn percentiles_are_bounds_of_buckets() {
        let mut buckets = [0; BUCKETS.len() + 1];
        assert_eq!(percentile(&buckets, 0.5), None);
        buckets[0] = 98;
        buckets[2] = 2;
        assert_eq!((percentile(&buckets, 0.5), percentile(&buckets, 0.99)), (Some(0.25), Some(1.0)));
    }
}
