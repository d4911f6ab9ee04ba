//! One instance of the plugin, with a store open in it: one call at a time.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::ResourceAny;

use crate::error::Result;
use crate::http::HttpGate;
use crate::sandbox::component::Plugin;
use crate::sandbox::compute::ComputeShare;
use crate::sandbox::runtime::Runtime;
use crate::sandbox::{Bounds, CallOutcome, Sandbox};

/// An instance.
pub(crate) struct Instance {
    sandbox: Sandbox,
    /// The plugin's own store.
    handle: ResourceAny,
    /// Since when it has had nothing to do.
    pub(crate) idle_since: Instant,
}

impl Instance {
    /// Makes an instance and opens a store in it, each in no more than this time.
    pub(crate) async fn open(
        engine: &Runtime,
        plugin: &Plugin,
        gate: HttpGate,
        compute: &Arc<ComputeShare>,
        settings: &[(String, String)],
        limit: Duration,
    ) -> Result<Instance> {
        let mut sandbox = Sandbox::new(engine, plugin, gate, compute, limit).await?;
        let bounds = Bounds { time: Some(limit), cpu_used: sandbox.cpu_used(), ..Bounds::default() };
        let call = sandbox.begin("opening the store", &engine.limits, bounds, None);
        let ended = call.run(pin!(sandbox.plugin.open(&mut sandbox.store, settings))).await;
        match sandbox.end(&call, &engine.limits, ended) {
            CallOutcome::Completed(opened) => Ok(Instance { sandbox, handle: opened?, idle_since: Instant::now() }),
            CallOutcome::Poisoned(error) => Err(error),
        }
    }

    /// The plugin, and its store.
    ///
    /// If the future of a call is dropped before its end, the instance must be dropped too.
    pub(crate) fn parts(&mut self) -> (&mut Sandbox, ResourceAny) {
        (&mut self.sandbox, self.handle)
    }

    /// CPU time of the call that was last made, or that making the instance took.
    pub(crate) fn cpu_used(&self) -> Duration {
        self.sandbox.cpu_used()
    }

    /// Whether it is as it was before its last call, but for its memory.
    pub(crate) fn is_clean(&self) -> bool {
        !self.sandbox.holds_resources()
    }

    /// Bytes of its linear memory.
    pub(crate) fn used_memory(&self) -> usize {
        self.sandbox.used_memory()
    }
}
