//! Metrics of an engine: instances, connections, credentials, and samples of its tenants.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, SharedString};

use super::names;

/// What the stores of an engine share.
#[derive(Clone)]
pub(crate) struct EngineMetrics {
    pub(crate) created: Counter,
    pub(crate) discarded: Counter,
    pub(crate) retired: Counter,
    renewed: Counter,
    renewal_failed: Counter,
    swapped: Counter,
    swap_failed: Counter,
    idle: Gauge,
    busy: Gauge,
    memory: Gauge,
    waiters: Gauge,
    connections_idle: Gauge,
    pub(crate) connections: Arc<ConnectionMetrics>,
}

/// What an engine holds at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EngineSample {
    pub(crate) idle: usize,
    pub(crate) busy: usize,
    pub(crate) memory: usize,
    pub(crate) waiters: usize,
    pub(crate) idle_connections: usize,
}

impl EngineMetrics {
    pub(super) fn new() -> EngineMetrics {
        EngineMetrics {
            created: metrics::counter!(names::INSTANCES_CREATED),
            discarded: metrics::counter!(names::INSTANCES_DISCARDED),
            retired: metrics::counter!(names::INSTANCES_RETIRED),
            renewed: metrics::counter!(names::RENEWALS, "outcome" => "ok"),
            renewal_failed: metrics::counter!(names::RENEWALS, "outcome" => "error"),
            swapped: metrics::counter!(names::SWAPS, "outcome" => "ok"),
            swap_failed: metrics::counter!(names::SWAPS, "outcome" => "error"),
            idle: metrics::gauge!(names::INSTANCES, "state" => "idle"),
            busy: metrics::gauge!(names::INSTANCES, "state" => "busy"),
            memory: metrics::gauge!(names::INSTANCE_MEMORY),
            waiters: metrics::gauge!(names::INSTANCE_WAITERS),
            connections_idle: metrics::gauge!(names::CONNECTIONS_IDLE),
            connections: Arc::default(),
        }
    }

    /// Counts a renewal of credentials.
    pub(crate) fn renewal(&self, succeeded: bool) {
        if succeeded { &self.renewed } else { &self.renewal_failed }.increment(1);
    }

    /// Counts a swap of plugins.
    pub(crate) fn swap(&self, succeeded: bool) {
        if succeeded { &self.swapped } else { &self.swap_failed }.increment(1);
    }

    /// Sets the gauges.
    pub(crate) fn sample(&self, sample: EngineSample) {
        self.idle.set(sample.idle as f64);
        self.busy.set(sample.busy as f64);
        self.memory.set(sample.memory as f64);
        self.waiters.set(sample.waiters as f64);
        self.connections_idle.set(sample.idle_connections as f64);
    }
}

/// The connections of an engine.
pub(crate) struct ConnectionMetrics {
    opened: Counter,
    failed: Counter,
    duration: Histogram,
    open: Gauge,
    count: AtomicUsize,
}

/// An open connection, counted until it is dropped.
pub(crate) struct OpenConnection(Arc<ConnectionMetrics>);

impl Default for ConnectionMetrics {
    fn default() -> ConnectionMetrics {
        ConnectionMetrics {
            opened: metrics::counter!(names::CONNECTIONS_OPENED, "outcome" => "ok"),
            failed: metrics::counter!(names::CONNECTIONS_OPENED, "outcome" => "error"),
            duration: metrics::histogram!(names::CONNECT_DURATION),
            open: metrics::gauge!(names::CONNECTIONS_OPEN),
            count: AtomicUsize::new(0),
        }
    }
}

impl ConnectionMetrics {
    /// Counts a connection that took this long to open.
    pub(crate) fn opened(self: &Arc<Self>, took: Duration) -> OpenConnection {
        self.opened.increment(1);
        self.duration.record(took);
        self.open.set((self.count.fetch_add(1, Relaxed) + 1) as f64);
        OpenConnection(self.clone())
    }

    /// Counts an attempt that failed.
    pub(crate) fn failed(&self) {
        self.failed.increment(1);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let others = self.0.count.fetch_sub(1, Relaxed).saturating_sub(1);
        self.0.open.set(others as f64);
    }
}

/// The gauges of tenants with one label.
#[derive(Default)]
pub(crate) struct TenantSamples(HashMap<SharedString, (TenantGauges, TenantSample)>);

struct TenantGauges {
    in_flight: Gauge,
    queued: Gauge,
    connections: Gauge,
    memory: Gauge,
}

/// What a tenant uses at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TenantSample {
    pub(crate) in_flight: usize,
    pub(crate) queued: usize,
    pub(crate) connections: usize,
    pub(crate) memory: u64,
}

impl TenantSamples {
    /// Adds what a tenant with this label uses.
    pub(super) fn add(&mut self, label: &SharedString, of_tenant: TenantSample) {
        let (_, sample) = self.0.entry(label.clone()).or_insert_with(|| (TenantGauges::new(label), Default::default()));
        sample.in_flight += of_tenant.in_flight;
        sample.queued += of_tenant.queued;
        sample.connections += of_tenant.connections;
        sample.memory += of_tenant.memory;
    }

    /// Sets the gauges to what was added, and begins anew.
    pub(super) fn set(&mut self) {
        for (gauges, sample) in self.0.values_mut() {
            let sample = std::mem::take(sample);
            gauges.in_flight.set(sample.in_flight as f64);
            gauges.queued.set(sample.queued as f64);
            gauges.connections.set(sample.connections as f64);
            gauges.memory.set(sample.memory as f64);
        }
    }
}

impl TenantGauges {
    fn new(label: &SharedString) -> TenantGauges {
        TenantGauges {
            in_flight: metrics::gauge!(names::TENANT_CALLS_IN_FLIGHT, "tenant" => label.clone()),
            queued: metrics::gauge!(names::TENANT_CALLS_QUEUED, "tenant" => label.clone()),
            connections: metrics::gauge!(names::TENANT_CONNECTIONS, "tenant" => label.clone()),
            memory: metrics::gauge!(names::TENANT_MEMORY, "tenant" => label.clone()),
        }
    }
}

impl fmt::Debug for EngineMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineMetrics").finish_non_exhaustive()
    }
}
