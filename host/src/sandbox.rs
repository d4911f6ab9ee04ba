//! The plugin running: wasmtime's store around it, and the bounds of each call into it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use wasmtime::{Trap, UpdateDeadline};

use crate::bindings::{Host, wit};
use crate::compute::{ComputeCall, ComputeShare};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::runtime::Runtime;
use crate::state::{Meter, State};
use crate::transport::{Gate, Hooks, Progress};

/// How much longer than its own time limit a call may take before it is stopped from outside.
const GRACE: Duration = Duration::from_secs(5);

/// How a call ended: with an answer, of whichever kind, from a plugin that is well; or with one that is not.
pub(crate) enum Ended<T> {
    Well(Result<T>),
    Badly(Error),
}

/// A call whose bounds are set.
pub(crate) struct Begun {
    operation: &'static str,
    meter: Arc<Meter>,
    compute: Arc<InstanceCompute>,
    limit: Duration,
}

/// The store's share, once more for each instance: so that its count of references is no other processor's to write.
struct InstanceCompute(Arc<ComputeShare>);

/// How a call ended, as wasmtime has it; none where it was stopped.
pub(crate) type Raw<T> = Option<wasmtime::Result<T>>;

impl Begun {
    /// Runs the call, for as long as it may, on the meter.
    pub(crate) async fn run<F: Future>(&self, mut call: Pin<&mut F>) -> Option<F::Output> {
        let mut compute = ComputeCall::new(&self.compute.0);
        let mut metered = |cx: &mut Context<'_>| {
            let before = self.meter.spent();
            let polled = self.meter.poll(call.as_mut(), cx);
            (polled, self.meter.spent().saturating_sub(before))
        };
        let mut poll = |cx: &mut Context<'_>| compute.poll(cx, &mut metered);
        // Mostly the plugin does not wait for anything, and no clock has to be set for it.
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(poll(cx))).await {
            return Some(output);
        }
        tokio::time::timeout(self.limit.saturating_add(GRACE), poll_fn(poll)).await.ok()
    }
}

/// The plugin, with memory of its own.
pub(crate) struct Sandbox {
    pub(crate) store: wasmtime::Store<State>,
    pub(crate) plugin: Host,
    compute: Arc<InstanceCompute>,
}

impl Sandbox {
    /// Makes one. What the plugin does to begin with is bounded as a call is.
    pub(crate) async fn new(
        engine: &Runtime,
        gate: Gate,
        compute: &Arc<ComputeShare>,
        limit: Duration,
    ) -> Result<Sandbox> {
        let limits = &engine.limits;
        let mut store = wasmtime::Store::new(&engine.wasmtime, State::new(Hooks::new(gate), limits));
        store.limiter(|state| &mut state.limiter);
        // What a call gives back is copied out of the plugin's memory, and cannot well be more than that.
        store.set_hostcall_fuel(limits.memory.max(1 << 20));
        let cpu_time = limits.cpu_time;
        store.epoch_deadline_callback(move |mut context| {
            let state = context.data_mut();
            if state.meter.spent() > cpu_time {
                state.out_of_time = true;
                return Ok(UpdateDeadline::Interrupt);
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_epoch_deadline(1);
        let operation = "making an instance";
        let compute = Arc::new(InstanceCompute(compute.clone()));
        let begun = Begun { operation, meter: store.data().meter.clone(), compute: compute.clone(), limit };
        let made = begun.run(pin!(engine.plugin.pre.instantiate_async(&mut store))).await;
        match made {
            None => Err(Error::Overdue { operation, limit }),
            Some(Ok(plugin)) => Ok(Sandbox { store, plugin, compute }),
            Some(Err(error)) => Err(trouble(operation, &store, limits, &error)),
        }
    }

    /// Sets the bounds of a call.
    pub(crate) fn begin(
        &mut self,
        operation: &'static str,
        limits: &Limits,
        time_limit: Option<Duration>,
        progress: Option<Progress>,
    ) -> Begun {
        let state = self.store.data_mut();
        state.hooks.begin_call(progress);
        state.limiter.refused = false;
        state.meter.reset();
        let meter = state.meter.clone();
        self.store.set_epoch_deadline(1);
        let limit = time_limit.unwrap_or(limits.call_time).min(limits.call_time);
        Begun { operation, meter, compute: self.compute.clone(), limit }
    }

    /// Understands how a call ended.
    pub(crate) fn end<T>(
        &mut self,
        begun: &Begun,
        limits: &Limits,
        ended: Raw<std::result::Result<T, wit::Error>>,
    ) -> Ended<T> {
        match ended {
            None => Ended::Badly(Error::Overdue { operation: begun.operation, limit: begun.limit }),
            Some(Ok(Ok(value))) => Ended::Well(Ok(value)),
            Some(Ok(Err(error))) => Ended::Well(Err(self.explained(error.into()))),
            Some(Err(error)) => Ended::Badly(trouble(begun.operation, &self.store, limits, &error)),
        }
    }

    /// Puts the host's own words to what the plugin only knows as a refusal by the host, or as an answer that ended early.
    fn explained(&mut self, mut error: Error) -> Error {
        if let Error::Network(failure) | Error::Timeout(failure) | Error::Integrity(failure) = &mut error
            && let Some(words) = self.refusal()
        {
            failure.message.push_str(&words);
        }
        error
    }

    /// The host's own words on what the plugin only knows as a refusal by the host, or as an answer that ended early.
    pub(crate) fn refusal(&mut self) -> Option<String> {
        self.store.data_mut().hooks.take_refusal().map(|words| format!(" ({words})"))
    }

    /// What the plugin knows.
    pub(crate) async fn settings(&mut self, limits: &Limits) -> Result<Vec<wit::Setting>> {
        let begun = self.begin("asking for the settings", limits, None, None);
        let ended = begun.run(pin!(self.plugin.call_settings(&mut self.store))).await;
        let ended = ended.map(|told| told.map(Ok));
        match self.end(&begun, limits, ended) {
            Ended::Well(told) => told,
            Ended::Badly(error) => Err(error),
        }
    }

    /// Bytes of its linear memory.
    pub(crate) fn used_memory(&self) -> usize {
        self.store.data().limiter.used
    }
}

/// Why an instance broke.
fn trouble(operation: &'static str, store: &wasmtime::Store<State>, limits: &Limits, error: &wasmtime::Error) -> Error {
    let state = store.data();
    if state.out_of_time {
        return Error::OutOfTime { operation, limit: limits.cpu_time };
    }
    if state.limiter.refused {
        return Error::OutOfMemory { operation, limit: limits.memory };
    }
    tracing::warn!(operation, error = %format!("{error:#}"), "the plugin crashed");
    let message = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    Error::Trapped { operation, message }
}
