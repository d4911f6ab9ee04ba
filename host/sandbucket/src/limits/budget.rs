//! The budget of a tenant: the name in the configuration, the default and the purpose of each bound.

use std::time::Duration;

use serde::Deserialize;

use super::InconsistentLimits;
use super::quantity::{bytes, duration};

/// What a tenant may use of an engine. All stores opened for the tenant share it, and the engine's own [`Limits`](crate::Limits)
/// apply on top.
///
/// A call beyond the budget waits in the tenant's own queue, first in, first out. If the queue is full, or the call has
/// waited for `queue-wait`, it ends in [`Error::Throttled`](crate::Error::Throttled), which has the time to wait
/// ([`Error::retry_after`](crate::Error::retry_after)). Rates are token buckets that hold one second's worth: a tenant that
/// was idle may use that much at once.
///
/// In a configuration file these are the keys of `[tenants.NAME.budget]`, in kebab-case, with the units of [`Limits`](crate::Limits).
///
/// ```
/// use std::time::Duration;
///
/// use sandbucket::Budget;
///
/// let budget = Budget::default().with_calls_per_second(200).with_cpu_per_second(Duration::from_millis(250));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Budget {
    /// Calls in flight. The body of a read counts only until its response head has arrived. Default: 64.
    pub calls_in_flight: usize,
    /// Calls begun per second. 0 means unlimited. Default: 0.
    pub calls_per_second: u64,
    /// Bytes of response bodies per second. Reading pauses when the rate is used up: no call fails. At least 4 KiB, or 0, which means
    /// unlimited. Default: 0.
    #[serde(deserialize_with = "bytes")]
    pub read_bytes_per_second: u64,
    /// Bytes of request bodies per second. Sending pauses when the rate is used up: no call fails. At least 4 KiB, or 0, which means
    /// unlimited. Default: 0.
    #[serde(deserialize_with = "bytes")]
    pub written_bytes_per_second: u64,
    /// CPU time of the plugin per second, over all instances: `500ms` is half of a processor. A call that begins when it is
    /// used up waits, and one that computes then pauses. At least 1 ms, or 0, which means unlimited. Default: 0.
    #[serde(deserialize_with = "duration")]
    pub cpu_per_second: Duration,
    /// Instances, idle ones included. 0 means unlimited. Default: 0.
    pub instances: usize,
    /// Linear memory of the tenant's instances together, in bytes. A call that needs a further instance beyond it waits. 0
    /// means unlimited. Default: 0.
    #[serde(deserialize_with = "bytes")]
    pub memory: u64,
    /// Calls that wait for the budget. Further ones end in `Throttled` at once. Default: 1,000.
    pub queue_length: usize,
    /// Time that a call waits for the budget, before it ends in `Throttled`. The call's time limit may end it sooner.
    /// Default: 10 s.
    #[serde(deserialize_with = "duration")]
    pub queue_wait: Duration,
    /// Connections in use: by requests in flight, and by bodies that are being read. A request beyond it waits. An upload or a
    /// download uses as many as its `concurrency`. Default: 256.
    pub connections: usize,
}

/// The least rates: a piece of a body that was read at once, of up to 132 KiB, is paid in half a minute, and a slice of CPU time of up to
/// 10 ms in ten seconds.
const MIN_BYTES: u64 = 4 << 10;
const MIN_CPU: Duration = Duration::from_millis(1);

impl Default for Budget {
    fn default() -> Self {
        Budget {
            calls_in_flight: 64,
            calls_per_second: 0,
            read_bytes_per_second: 0,
            written_bytes_per_second: 0,
            cpu_per_second: Duration::ZERO,
            instances: 0,
            memory: 0,
            queue_length: 1000,
            queue_wait: Duration::from_secs(10),
            connections: 256,
        }
    }
}

impl Budget {
    /// Checks that the tenant can make calls at all.
    pub(crate) fn check(&self) -> Result<(), InconsistentLimits> {
        for (name, value) in [("calls-in-flight", self.calls_in_flight), ("connections", self.connections)] {
            if value == 0 {
                let message = format!("the budget `{name}` must be above 0");
                return Err(InconsistentLimits { name, message });
            }
        }
        for (name, rate) in [
            ("read-bytes-per-second", self.read_bytes_per_second),
            ("written-bytes-per-second", self.written_bytes_per_second),
        ] {
            if rate > 0 && rate < MIN_BYTES {
                let message = format!("the budget `{name}` is {rate} bytes; it must be at least {MIN_BYTES}, or 0");
                return Err(InconsistentLimits { name, message });
            }
        }
        let cpu = self.cpu_per_second;
        if !cpu.is_zero() && cpu < MIN_CPU {
            let name = "cpu-per-second";
            let message = format!("the budget `{name}` is {cpu:?}; it must be at least {MIN_CPU:?}, or 0");
            return Err(InconsistentLimits { name, message });
        }
        // Clocks cannot represent a deadline so far away.
        if self.queue_wait > Duration::from_secs(24 * 3600) {
            let message = "the budget `queue-wait` must be at most 24h".to_owned();
            return Err(InconsistentLimits { name: "queue-wait", message });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_is_parsed_with_units() {
        let budget: Budget = toml::from_str(
            "calls-in-flight = 8\ncalls-per-second = 100\nread-bytes-per-second = \"10MiB\"\ncpu-per-second = \"250ms\"",
        )
        .unwrap();
        assert_eq!((budget.calls_in_flight, budget.calls_per_second), (8, 100));
        assert_eq!((budget.read_bytes_per_second, budget.cpu_per_second), (10 << 20, Duration::from_millis(250)));
        assert_eq!(budget.queue_length, Budget::default().queue_length);
        for wrong in ["calls-per-second = -1", "memory = \"much\"", "requests = 1", "queue-wait = \"soon\""] {
            assert!(toml::from_str::<Budget>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn budget_without_calls_is_rejected_by_name() {
        assert_eq!(Budget::default().check(), Ok(()));
        assert_eq!(Budget::default().with_calls_in_flight(0).check().unwrap_err().name, "calls-in-flight");
        assert_eq!(Budget::default().with_connections(0).check().unwrap_err().name, "connections");
        let slow = Budget::default().with_read_bytes_per_second(4095);
        assert!(slow.check().unwrap_err().message.contains("`read-bytes-per-second` is 4095 bytes"));
        assert_eq!(
            Budget::default().with_written_bytes_per_second(1).check().unwrap_err().name,
            "written-bytes-per-second"
        );
        assert_eq!(
            Budget::default().with_cpu_per_second(Duration::from_micros(1)).check().unwrap_err().name,
            "cpu-per-second"
        );
        assert_eq!(Budget::default().with_queue_wait(Duration::MAX).check().unwrap_err().name, "queue-wait");
    }
}
