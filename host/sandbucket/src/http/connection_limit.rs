//! Limits on connections in use: a tenant's, and the engine's, which is shared fairly.
//!
//! A connection is in use from before its request is sent until the body of the response is dropped. Idle ones are bounded by the pool.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::HttpGate;
use crate::budget::{Admission, Slot};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::support::deadline::timeout;
use crate::support::fair_queue::{Claim, FairPermit, FairQueue, FairShare, Grant};

/// The connections of an engine.
#[derive(Clone)]
pub(super) struct ConnectionLimit {
    queue: Arc<FairQueue<()>>,
    limit: usize,
    wait: Duration,
}

/// A store's share of them.
pub(super) type ConnectionShare = FairShare<()>;

/// The right to use a connection, for as long as it lives.
pub(crate) struct ConnectionPermit {
    tenant: Option<Slot>,
    engine: Option<FairPermit<()>>,
}

impl ConnectionPermit {
    /// Whether there is nothing to hold.
    pub(super) fn is_unlimited(&self) -> bool {
        self.tenant.is_none() && self.engine.is_none()
    }
}

impl ConnectionLimit {
    /// The limit, if there is one.
    pub(super) fn of(limits: &Limits) -> Option<ConnectionLimit> {
        let (limit, wait) = (limits.connections, limits.instance_wait);
        (limit > 0).then(|| ConnectionLimit { queue: FairQueue::new(limit), limit, wait })
    }

    pub(super) fn share(&self, tenant: Option<&Arc<Admission>>) -> Arc<ConnectionShare> {
        self.queue.register(tenant.map(|tenant| -> Arc<dyn Claim> { tenant.connection_claim().clone() }))
    }
}

impl HttpGate {
    /// The right to a connection, if nobody waits for one.
    pub(crate) fn try_connection(&self) -> Option<ConnectionPermit> {
        let tenant = match &self.tenant {
            Some(tenant) => Some(tenant.try_connection()?),
            None => None,
        };
        let engine = match &self.connections {
            Some(connections) => Some(connections.try_acquire()?),
            None => None,
        };
        Some(ConnectionPermit { tenant, engine })
    }

    /// Waits for the right to a connection.
    ///
    /// # Errors
    /// [`Error::Throttled`] if the tenant has used up its own, [`Error::Busy`] if the engine has.
    pub(crate) async fn connection(&self, operation: &'static str, limit: Duration) -> Result<ConnectionPermit> {
        let began = Instant::now();
        let tenant = match &self.tenant {
            Some(tenant) => Some(tenant.connection(operation, limit).await?),
            None => None,
        };
        let engine = match (&self.connections, &self.state.connection_limit) {
            (Some(connections), Some(ConnectionLimit { limit: most, wait, .. })) => {
                let wait = limit.saturating_sub(began.elapsed()).min(*wait);
                let (name, limit) = ("connections", *most);
                match timeout(wait, connections.acquire()).await {
                    Ok(Grant::Permit(permit)) => Some(permit),
                    // Connections are not handed over.
                    Ok(Grant::Instance(())) | Err(_) => {
                        return Err(Error::Busy { operation, name, limit, waited: wait });
                    }
                }
            }
            _ => None,
        };
        Ok(ConnectionPermit { tenant, engine })
    }
}
