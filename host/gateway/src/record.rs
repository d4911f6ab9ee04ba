//! What a request is noted under in metrics and logs.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use http::StatusCode;

use crate::s3::Memory;
use crate::stats::TenantGuard;

/// The record of a request, in its extensions: filled in as the request is understood.
#[derive(Default)]
pub(crate) struct Record {
    tenant: OnceLock<String>,
    /// Counts the request as one of the tenant's in flight, until it ends.
    in_flight: Mutex<Option<TenantGuard>>,
    operation: OnceLock<String>,
    /// Memory that the request's body takes.
    memory: Mutex<Option<Memory>>,
    throttled: AtomicBool,
    status: OnceLock<StatusCode>,
}

impl Record {
    pub(crate) fn set_tenant(&self, tenant: &str, in_flight: TenantGuard) {
        // Once per request: a second one would be the same.
        let _ = self.tenant.set(tenant.to_owned());
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = Some(in_flight);
    }

    /// Holds memory until the request ends.
    pub(crate) fn hold(&self, memory: Memory) {
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Some(memory);
    }

    /// Ends the request.
    pub(crate) fn end(&self) {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(crate) fn set_operation(&self, operation: &str) {
        let _ = self.operation.set(operation.to_owned());
    }

    /// Sets the status of a successful response, which s3s does not let an operation do.
    pub(crate) fn set_status(&self, status: StatusCode) {
        let _ = self.status.set(status);
    }

    pub(crate) fn status(&self) -> Option<StatusCode> {
        self.status.get().copied()
    }

    /// Notes that the response is `SlowDown`.
    pub(crate) fn set_throttled(&self) {
        self.throttled.store(true, Relaxed);
    }

    pub(crate) fn throttled(&self) -> bool {
        self.throttled.load(Relaxed)
    }

    /// The tenant, once the request is authenticated.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.tenant.get().map(String::as_str)
    }

    /// The operation, such as `GetObject`, once the request's line and signature are understood.
    pub(crate) fn operation(&self) -> Option<&str> {
        self.operation.get().map(String::as_str)
    }
}
