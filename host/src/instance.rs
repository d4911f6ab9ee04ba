//! One instance of the plugin, with a store open in it: one call at a time.

use std::time::{Duration, Instant};

use wasmtime::component::ResourceAny;

use crate::bindings::{Host, blob_store, wit};
use crate::error::Result;
use crate::limits::Limits;
use crate::runtime::Runtime;
use crate::sandbox::{Ended, Sandbox};
use crate::transport::{Gate, Progress};

/// An instance.
pub(crate) struct Instance {
    sandbox: Sandbox,
    /// The plugin's own store.
    handle: ResourceAny,
    /// Since when it has had nothing to do.
    pub(crate) idle_since: Instant,
}

/// What a call on a key needs besides its options.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) key: &'a str,
    pub(crate) limits: &'a Limits,
    pub(crate) time_limit: Option<Duration>,
}

impl Instance {
    /// Makes an instance and opens a store in it, each in no more than this time.
    pub(crate) async fn open(
        engine: &Runtime,
        gate: Gate,
        settings: &[(String, String)],
        limit: Duration,
    ) -> Result<Instance> {
        let mut sandbox = Sandbox::new(engine, gate, limit).await?;
        let begun = sandbox.begin("opening the store", &engine.limits, Some(limit), None);
        let functions = functions(&sandbox.plugin);
        let asked = functions.call_open(&mut sandbox.store, settings);
        let ended = begun.run(asked).await;
        match sandbox.end(&begun, &engine.limits, ended) {
            Ended::Well(opened) => Ok(Instance { sandbox, handle: opened?, idle_since: Instant::now() }),
            Ended::Badly(error) => Err(error),
        }
    }

    /// `head`, as the contract has it.
    ///
    /// If the future of this or of another call is dropped before its end, the instance must be dropped too.
    pub(crate) async fn head(&mut self, call: Asked<'_>, options: &wit::HeadOptions) -> Ended<wit::BlobInfo> {
        let begun = self.sandbox.begin("head", call.limits, call.time_limit, None);
        let functions = functions(&self.sandbox.plugin);
        let asked = functions.call_head(&mut self.sandbox.store, self.handle, call.key, options);
        let ended = begun.run(asked).await;
        self.sandbox.end(&begun, call.limits, ended)
    }

    /// `get`, as the contract has it.
    pub(crate) async fn get(&mut self, call: Asked<'_>, options: &wit::ReadOptions) -> Ended<wit::Blob> {
        let begun = self.sandbox.begin("get", call.limits, call.time_limit, None);
        let functions = functions(&self.sandbox.plugin);
        let asked = functions.call_get(&mut self.sandbox.store, self.handle, call.key, options);
        let ended = begun.run(asked).await;
        self.sandbox.end(&begun, call.limits, ended)
    }

    /// `put`, as the contract has it.
    pub(crate) async fn put(
        &mut self,
        call: Asked<'_>,
        body: &[u8],
        options: &wit::WriteOptions,
        progress: Option<Progress>,
    ) -> Ended<wit::Written> {
        let begun = self.sandbox.begin("put", call.limits, call.time_limit, progress);
        let functions = functions(&self.sandbox.plugin);
        let asked = functions.call_put(&mut self.sandbox.store, self.handle, call.key, body, options);
        let ended = begun.run(asked).await;
        self.sandbox.end(&begun, call.limits, ended)
    }

    /// `delete`, as the contract has it.
    pub(crate) async fn delete(&mut self, call: Asked<'_>, options: &wit::DeleteOptions) -> Ended<()> {
        let begun = self.sandbox.begin("delete", call.limits, call.time_limit, None);
        let functions = functions(&self.sandbox.plugin);
        let asked = functions.call_delete(&mut self.sandbox.store, self.handle, call.key, options);
        let ended = begun.run(asked).await;
        self.sandbox.end(&begun, call.limits, ended)
    }

    /// Bytes of its linear memory.
    pub(crate) fn used_memory(&self) -> usize {
        self.sandbox.used_memory()
    }
}

/// The plugin's exported functions on a store.
fn functions(plugin: &Host) -> blob_store::GuestStore<'_> {
    plugin.sandbucket_blob_blob_store().store()
}
