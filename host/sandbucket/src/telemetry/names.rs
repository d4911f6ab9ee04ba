//! The names of all metrics.

use metrics::Unit;

/// The tenant label of tenants without one of their own.
pub const OTHER: &str = "other";

/// What a metric is, for recorders.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Declares the constants, and describes them to the recorder.
macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $kind:ident, $unit:ident;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $text;)+

        /// The names of all metrics.
        pub const ALL: &[&str] = &[$($name),+];

        /// Describes all metrics to the recorder of the process, if there is one.
        pub(super) fn describe() {
            $(describe_one($name, Kind::$kind, Unit::$unit, concat!($($doc),+).trim());)+
        }
    };
}

metrics! {
    /// Calls that have ended, by `tenant`, `operation` and `outcome`.
    CALLS = "sandbucket_calls_total", Counter, Count;
    /// Time from the beginning of a call to its output, of a read to the head of the response; by `tenant` and `operation`.
    CALL_DURATION = "sandbucket_call_duration_seconds", Histogram, Seconds;
    /// CPU time of the plugin in a call, by `tenant` and `operation`.
    CALL_CPU = "sandbucket_call_cpu_seconds", Histogram, Seconds;
    /// Bytes of the body of a successful read or write, by `tenant` and `operation`.
    CALL_BODY = "sandbucket_call_body_bytes", Histogram, Bytes;
    /// HTTP requests, those of retries included, by `tenant`, `operation` and `status`: 2xx, 3xx, 4xx, 5xx, or none without a response.
    REQUESTS = "sandbucket_requests_total", Counter, Count;
    /// Requests sent again after a failure that can pass, by `tenant` and `operation`.
    RETRIES = "sandbucket_retries_total", Counter, Count;
    /// Attempts that a service throttled, and calls that the budget of a tenant refused, by `tenant` and `by`: service or budget.
    THROTTLED = "sandbucket_throttled_total", Counter, Count;
    /// Calls of a tenant in flight, by `tenant`. Sampled every 5 s, like all gauges.
    TENANT_CALLS_IN_FLIGHT = "sandbucket_tenant_calls_in_flight", Gauge, Count;
    /// Calls that wait for the budget of a tenant, by `tenant`.
    TENANT_CALLS_QUEUED = "sandbucket_tenant_calls_queued", Gauge, Count;
    /// Connections that requests of a tenant use, by `tenant`.
    TENANT_CONNECTIONS = "sandbucket_tenant_connections", Gauge, Count;
    /// Linear memory of the instances of a tenant, by `tenant`.
    TENANT_MEMORY = "sandbucket_tenant_memory_bytes", Gauge, Bytes;
    /// Instances of plugins, by `state`: idle or busy.
    INSTANCES = "sandbucket_instances", Gauge, Count;
    /// Linear memory of idle instances.
    INSTANCE_MEMORY = "sandbucket_idle_instance_memory_bytes", Gauge, Bytes;
    /// Instances made.
    INSTANCES_CREATED = "sandbucket_instances_created_total", Counter, Count;
    /// Instances discarded because their plugin crashed, exceeded a limit, or its call was dropped.
    INSTANCES_DISCARDED = "sandbucket_instances_discarded_total", Counter, Count;
    /// Instances not used again because their memory had grown or their store has other credentials.
    INSTANCES_RETIRED = "sandbucket_instances_retired_total", Counter, Count;
    /// Calls that wait for an instance.
    INSTANCE_WAITERS = "sandbucket_instance_waiters", Gauge, Count;
    /// Attempts to connect, by `outcome`: ok or error.
    CONNECTIONS_OPENED = "sandbucket_connections_opened_total", Counter, Count;
    /// Time to connect: name lookup, TCP and TLS.
    CONNECT_DURATION = "sandbucket_connect_duration_seconds", Histogram, Seconds;
    /// Open connections, idle ones included.
    CONNECTIONS_OPEN = "sandbucket_connections_open", Gauge, Count;
    /// Idle connections.
    CONNECTIONS_IDLE = "sandbucket_connections_idle", Gauge, Count;
    /// Renewals of credentials, by `outcome`: ok or error.
    RENEWALS = "sandbucket_credential_renewals_total", Counter, Count;
    /// Plugins of tenants replaced by `Tenants::swap`, by `outcome`: ok, or error and rolled back.
    SWAPS = "sandbucket_plugin_swaps_total", Counter, Count;
    /// Audit records that were dropped because an [`AuditQueue`](super::AuditQueue) was full.
    AUDIT_DROPPED = "sandbucket_audit_records_dropped_total", Counter, Count;
}

fn describe_one(name: &'static str, kind: Kind, unit: Unit, description: &'static str) {
    match kind {
        Kind::Counter => metrics::describe_counter!(name, unit, description),
        Kind::Gauge => metrics::describe_gauge!(name, unit, description),
        Kind::Histogram => metrics::describe_histogram!(name, unit, description),
    }
}
