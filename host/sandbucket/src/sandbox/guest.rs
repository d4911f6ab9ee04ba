//! An instance of the plugin, and the bounds of each guest call.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Method;
use wasmtime::{Trap, UpdateDeadline};

use crate::error::{Error, Result};
use crate::http::{HttpGate, Progress};
use crate::limits::Limits;
use crate::sandbox::address_space::is_out_of_memory;
use crate::sandbox::bindings::{Host, RESULT, Validate, wit};
use crate::sandbox::component::Plugin;
use crate::sandbox::compute::{ComputeCall, ComputeShare};
use crate::sandbox::host_state::{Meter, State};
use crate::sandbox::runtime::Runtime;
use crate::sandbox::wasi_http::Hooks;
use crate::support::deadline::timeout;
use crate::text::sanitize;
use crate::types::blob::{Attribute, Setting};

/// How much longer than its own time limit a call may take before it is stopped from outside.
const TIMEOUT_GRACE: Duration = Duration::from_secs(5);

/// Bytes of a crash's cause and backtrace that are kept.
const MAX_CAUSE: usize = 512;
const MAX_BACKTRACE: usize = 4 << 10;

/// Operations of one guest call: their inputs and results are in the plugin's memory together.
pub(crate) const MAX_BATCH: usize = 32;

/// How a guest call ended. A poisoned instance is not used again.
pub(crate) enum CallOutcome<T> {
    Completed(Result<T>),
    Poisoned(Error),
}

impl<T> CallOutcome<T> {
    /// With another result.
    pub(crate) fn map<U>(self, map: impl FnOnce(T) -> U) -> CallOutcome<U> {
        match self {
            CallOutcome::Completed(result) => CallOutcome::Completed(result.map(map)),
            CallOutcome::Poisoned(error) => CallOutcome::Poisoned(error),
        }
    }
}

/// The resources that a guest call may use.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// Time that is left; none is all that `call-time` allows.
    pub(crate) time: Option<Duration>,
    /// CPU time that the call has used before, in this instance or another.
    pub(crate) cpu_used: Duration,
    /// Operations that the call is about, or blobs of a bulk operation: each may take as many requests as an operation on one,
    /// and as long to compute.
    pub(crate) operations: usize,
    /// Methods of the requests that it may send over wasi:http.
    pub(crate) methods: &'static [Method],
}

impl Default for Bounds {
    /// Of a call that sends no request.
    fn default() -> Self {
        Bounds { time: None, cpu_used: Duration::ZERO, operations: 1, methods: &[] }
    }
}

/// A guest call whose bounds are set.
pub(crate) struct CallGuard {
    operation: &'static str,
    meter: Arc<Meter>,
    compute: Arc<InstanceCompute>,
    operations: usize,
    limit: Duration,
}

/// The store's share, once more for each instance: so that its count of references is no other processor's to write.
struct InstanceCompute(Arc<ComputeShare>);

impl CallGuard {
    /// CPU time that the call has used so far, parts of it in other instances included.
    pub(crate) fn cpu_used(&self) -> Duration {
        self.meter.spent()
    }

    /// Runs the call, for as long as it may, on the meter.
    pub(crate) async fn run<F: Future>(&self, mut call: Pin<&mut F>) -> Option<F::Output> {
        let mut compute = ComputeCall::new(&self.compute.0, self.operations);
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
        timeout(self.limit.saturating_add(TIMEOUT_GRACE), poll_fn(poll)).await.ok()
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
        plugin: &Plugin,
        gate: HttpGate,
        compute: &Arc<ComputeShare>,
        limit: Duration,
    ) -> Result<Sandbox> {
        let limits = &engine.limits;
        let mut store =
            wasmtime::Store::new(&engine.wasmtime, State::new(Hooks::new(gate), limits, compute.tenant().cloned()));
        store.limiter(|state| &mut state.limiter);
        // Each call sets its own bound: see `bindings::functions`.
        store.set_hostcall_fuel(RESULT);
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
        let call =
            CallGuard { operation, meter: store.data().meter.clone(), compute: compute.clone(), operations: 1, limit };
        let made = call.run(pin!(plugin.pre().instantiate_async(&mut store))).await;
        match made {
            None => Err(Error::Overdue { operation, limit }),
            Some(Ok(plugin)) => Ok(Sandbox { store, plugin, compute }),
            Some(Err(error)) => Err(classify_trap(operation, &store, limits, &error)),
        }
    }

    /// Sets the bounds of a call.
    pub(crate) fn begin(
        &mut self,
        operation: &'static str,
        limits: &Limits,
        bounds: Bounds,
        progress: Option<Progress>,
    ) -> CallGuard {
        let state = self.store.data_mut();
        state.hooks.begin_call(&bounds, progress);
        state.limiter.reset();
        state.meter.start(bounds.cpu_used);
        let meter = state.meter.clone();
        self.store.set_epoch_deadline(1);
        let limit = bounds.time.unwrap_or(limits.call_time).min(limits.longest_call());
        let operations = bounds.operations.min(MAX_BATCH);
        CallGuard { operation, meter, compute: self.compute.clone(), operations, limit }
    }

    /// Classifies how a call ended; none where it was stopped.
    pub(crate) fn end<T: Validate>(
        &mut self,
        call: &CallGuard,
        limits: &Limits,
        ended: Option<wasmtime::Result<std::result::Result<T, wit::Error>>>,
    ) -> CallOutcome<T::Valid> {
        match ended {
            None => CallOutcome::Poisoned(Error::Overdue { operation: call.operation, limit: call.limit }),
            Some(Ok(Ok(value))) => {
                CallOutcome::Completed(value.validate().map_err(|error| of_operation(call.operation, error)))
            }
            Some(Ok(Err(error))) => {
                let mut error = error.into();
                self.explain(&mut error);
                CallOutcome::Completed(Err(error))
            }
            Some(Err(error)) => CallOutcome::Poisoned(classify_trap(call.operation, &self.store, limits, &error)),
        }
    }

    /// Puts the host's own words to what the plugin only knows as a refusal by the host, or as an answer that ended early.
    pub(crate) fn explain(&mut self, error: &mut Error) {
        if let Error::Network(failure)
        | Error::Timeout(failure)
        | Error::Integrity(failure)
        | Error::OutcomeUnknown(failure) = error
            && let Some(detail) = self.store.data_mut().hooks.take_error_detail()
        {
            failure.message.push_str(&format!(" ({detail})"));
        }
    }

    /// The settings that the plugin accepts.
    pub(crate) async fn settings(&mut self, limits: &Limits) -> Result<Vec<Setting>> {
        let call = self.begin("asking for the settings", limits, Bounds::default(), None);
        let ended = call.run(pin!(self.plugin.settings(&mut self.store))).await;
        let ended = ended.map(|settings| settings.map(Ok));
        match self.end(&call, limits, ended) {
            CallOutcome::Completed(result) => result,
            CallOutcome::Poisoned(error) => Err(error),
        }
    }

    /// The attributes that the plugin accepts.
    pub(crate) async fn attributes(&mut self, limits: &Limits) -> Result<Vec<Attribute>> {
        let call = self.begin("asking for the attributes", limits, Bounds::default(), None);
        let ended = call.run(pin!(self.plugin.attributes(&mut self.store))).await;
        match self.end(&call, limits, ended.map(|attributes| attributes.map(Ok))) {
            CallOutcome::Completed(attributes) => attributes,
            CallOutcome::Poisoned(error) => Err(error),
        }
    }

    /// Bytes of its linear memory.
    pub(crate) fn used_memory(&self) -> usize {
        self.store.data().limiter.used
    }

    /// CPU time of the call that was last made.
    pub(crate) fn cpu_used(&self) -> Duration {
        self.store.data().meter.spent()
    }

    /// Whether the plugin keeps resources of the host's: between calls it has no use for any.
    pub(crate) fn holds_resources(&self) -> bool {
        !self.store.data().table.is_empty()
    }
}

/// Classifies the error of a guest call.
fn classify_trap(
    operation: &'static str,
    store: &wasmtime::Store<State>,
    limits: &Limits,
    error: &wasmtime::Error,
) -> Error {
    let state = store.data();
    if state.out_of_time {
        return Error::OutOfTime { operation, limit: limits.cpu_time };
    }
    if state.limiter.exceeds_budget
        && let Some(tenant) = &state.limiter.tenant
    {
        return tenant.out_of_memory(operation, state.limiter.used as u64);
    }
    if state.limiter.refused {
        return Error::OutOfMemory { operation, limit: limits.memory };
    }
    let not_given = is_out_of_memory(error).then(|| error.root_cause().to_string());
    if let Some(cause) = not_given.or_else(|| state.limiter.not_given.clone()) {
        let cause = sanitize(&cause, MAX_CAUSE);
        return Error::no_memory(operation, format!("the system gives the plugin's instance no memory ({cause})"));
    }
    // The whole error has a backtrace, with names that the plugin gave its functions.
    tracing::debug!(operation, error = sanitize(&format!("{error:#}"), MAX_BACKTRACE), "the plugin crashed");
    let message = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => sanitize(&error.root_cause().to_string(), MAX_CAUSE),
    };
    Error::Trapped { operation, message }
}

/// Names the operation whose result was refused.
fn of_operation(operation: &str, error: Error) -> Error {
    match error {
        Error::Plugin { message } => Error::plugin(format!("{operation}: {message}")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Clients, Egress, Network, Proxy, TlsOptions};

    /// A trap's error as wasmtime makes it of a module whose name section has a line feed and an escape sequence in it.
    fn forged_trap(engine: &wasmtime::Engine) -> wasmtime::Error {
        let name = "f\n2026-01-01 ERROR \u{1b}[31mforged\u{202e}";
        let module = [
            &b"\0asm\x01\0\0\0"[..],
            // A type, a function of it, its export "f", and its body: unreachable.
            &[1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, b'f', 0, 0, 10, 5, 1, 3, 0, 0, 0x0b],
            // The custom section "name", with the function's.
            &[0, 5 + 2 + 3 + name.len() as u8, 4],
            b"name",
            &[1, 3 + name.len() as u8, 1, 0, name.len() as u8],
            name.as_bytes(),
        ]
        .concat();
        let module = wasmtime::Module::new(engine, module).unwrap();
        let mut store = wasmtime::Store::new(engine, ());
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
        instance.get_typed_func::<(), ()>(&mut store, "f").unwrap().call(&mut store, ()).unwrap_err()
    }

    #[test]
    fn names_of_a_plugins_functions_forge_no_line_of_a_log() {
        let error = forged_trap(&wasmtime::Engine::default());
        assert!(format!("{error:#}").contains("ERROR \u{1b}[31mforged"), "the name is not in the backtrace: {error:#}");
        let limits = Limits::default();
        let clients = Clients::new(Network::new(&[], Vec::new(), Proxy::none(), &limits, Arc::default()), &limits);
        let gate = clients.gate(&TlsOptions::default(), Egress::none(), None, (&limits, &limits)).unwrap();
        let store = wasmtime::Store::new(&wasmtime::Engine::default(), State::new(Hooks::new(gate), &limits, None));
        let lines = Arc::new(std::sync::Mutex::new(String::new()));
        let shown = tracing::subscriber::with_default(Lines(lines.clone()), || {
            format!("{0} {0:?}", classify_trap("get", &store, &limits, &error))
        });
        let logged = lines.lock().unwrap().clone();
        assert!(logged.contains("crashed") && logged.contains("forged"), "nothing was logged: {logged}");
        assert!(!format!("{shown}{logged}").contains(['\n', '\u{1b}', '\u{202e}']), "{shown}{logged}");
    }

    /// A subscriber that keeps what is logged as it is, unescaped.
    struct Lines(Arc<std::sync::Mutex<String>>);

    impl tracing::Subscriber for Lines {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            struct Text<'a>(&'a mut String);
            impl tracing::field::Visit for Text<'_> {
                fn record_str(&mut self, _: &tracing::field::Field, value: &str) {
                    self.0.push_str(value);
                }
                fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                    self.0.push_str(&format!("{value:?}"));
                }
            }
            event.record(&mut Text(&mut self.0.lock().unwrap()));
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
}
