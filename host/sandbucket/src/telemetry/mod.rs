//! Metrics, spans and audit records of calls.
//!
//! **Metrics** go to the crate [`metrics`], a facade: a program installs the recorder of its choice, such as
//! `metrics-exporter-prometheus`, before it builds an engine. Without one, a call pays for a few branches. The names are constants of
//! this module. Labels have few values: a tenant's name is a label of its own only for the first
//! [`EngineBuilder::tenant_labels`](crate::EngineBuilder::tenant_labels) tenants that make calls, and [`OTHER`] for the rest.
//! `docs/metrics.md` has a table.
//!
//! **Spans** come from the crate [`tracing`], one for each call at the level `DEBUG`, with the names of OpenTelemetry's semantic
//! conventions for AWS's SDKs. Neither has secrets or presigned URLs; spans have keys of blobs.
//!
//! An **audit record** of each call goes to the [`AuditSink`] of the engine.

mod audit;
mod call;
mod engine;
mod names;

pub use audit::{AuditQueue, AuditRecord, AuditRecords, AuditSink};
pub(crate) use call::{CallRecord, OperationId, Telemetry, TenantMetrics};
pub(crate) use engine::{ConnectionMetrics, EngineSample, OpenConnection, TenantSample};
pub use names::*;
