//! Resource limits: the name in the configuration, the default and the purpose of each.

mod budget;
mod quantity;
mod setters;

use std::time::Duration;

use serde::Deserialize;

pub use budget::Budget;
pub(crate) use quantity::parse_duration;
use quantity::size;
pub use quantity::{bytes, duration};

/// Limits of plugins, calls and connections.
///
/// Start from the defaults and change some of them:
///
/// ```
/// use std::time::Duration;
///
/// use sandbucket::Limits;
///
/// let limits = Limits::default().with_memory(128 << 20).with_call_time(Duration::from_secs(120)).with_instances(64);
/// ```
///
/// In a configuration file these are the keys of the section `[sandbox]`, in kebab-case. A duration there is a number with
/// a unit (`500ms`, `30s`, `5m`, `1h`; without a unit: seconds), a size a number with a unit (`64KiB`, `96MiB`; without a
/// unit: bytes).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Limits {
    /// Memory of one instance, in bytes. An eighth is reserved for what the host holds for the instance (header fields, and
    /// bodies in transfer), the rest is linear memory. A call that needs more ends in `OutOfMemory`. The results of a call
    /// have a separate limit on the host: 1 MiB, or 8 MiB for a page of a listing. Default: 96 MiB.
    #[serde(deserialize_with = "size")]
    pub memory: usize,
    /// An instance whose memory exceeds this, in bytes, is not reused, because linear memory never shrinks. Default: 16
    /// MiB.
    #[serde(deserialize_with = "size")]
    pub retire_memory: usize,
    /// CPU time of the plugin in one call, over all attempts, without waiting. Measured in steps of 10 ms, and of 2 ms
    /// while calls compute for long. A call that takes more ends in `OutOfTime`. Default: 10 s.
    #[serde(deserialize_with = "duration")]
    pub cpu_time: Duration,
    /// Default time limit of one call, including all attempts and backoff, unless the call (`time_limit`) or its store
    /// ([`StoreOptions::call_time`](crate::StoreOptions::call_time)) sets another one. The plugin gets the deadline, and
    /// ends the call with `Timeout`; a plugin that does not is stopped shortly after. Default: 10 min.
    #[serde(deserialize_with = "duration")]
    pub call_time: Duration,
    /// Maximum time limit that a call or a store may set. Values below `call-time` count as `call-time`. Default: 24 h.
    #[serde(deserialize_with = "duration")]
    pub max_call_time: Duration,
    /// Concurrent calls of one store, and thereby its instances; further calls wait. A call whose requests the host sends
    /// holds an instance only while the plugin computes. Default: 64.
    pub instances_per_store: usize,
    /// Instances of one engine, over all its stores. A quarter of them, and at least one if there are several, is reserved
    /// for the first instances of stores that have none; the rest is shared, and no store takes more than 4/5 of what
    /// others leave (a single store takes all). If none is left for a call, idle instances of other stores are evicted;
    /// then the call waits, and stores with the fewest instances are served first. Default: 1,024.
    pub instances: usize,
    /// Time for which a dropped store is kept, with its idle instances, for a store that is opened with equal options; its secrets are
    /// wiped up to 5 s later. At most 64 stores are kept, and none of a tenant or with a provider of credentials. 0 keeps none.
    /// Default: 5 s.
    #[serde(deserialize_with = "duration")]
    pub reopen_within: Duration,
    /// Address space that all instances of the engine may reserve, in bytes. With 4 GiB per instance, code runs without
    /// bounds checks; if that exceeds this limit, an instance reserves what `memory` allows it and runs with bounds checks,
    /// which cost 3 to 5 % of its time; if that is too much for all of `instances`, there are fewer, and calls wait for
    /// them. 0 means half of what the process may have (`ulimit -v`) when the engine is built. Default: 0.
    #[serde(deserialize_with = "size")]
    pub address_space: usize,
    /// Time that a call waits for an instance that other stores hold, before it ends in `Busy`, which is retryable. The
    /// call's time limit may end it sooner. Waiting for other calls of the same store (`instances-per-store`) is limited by
    /// the time limit only. Default: 10 s.
    #[serde(deserialize_with = "duration")]
    pub instance_wait: Duration,
    /// Calls of one store that may compute for long concurrently, each on a worker thread of the runtime; further ones
    /// wait, without a charge to their `cpu-time`. Calls that take less than 200 µs between waits are exempt. All stores of
    /// an engine together compute on all worker threads but one. 0 means half of the machine's processors, at least 1.
    /// Default: 0.
    pub compute_per_store: usize,
    /// Size of a response head, in bytes. Informational responses (such as `100 Continue`) and the head together may have
    /// 128 KiB more; the framing of a body (sizes and extensions of chunks) may have this much between two chunks. Default:
    /// 64 KiB.
    #[serde(deserialize_with = "size")]
    pub header_bytes: usize,
    /// Largest blob written with one request, in bytes. The parts of a larger one start no larger than this, and grow
    /// beyond it only if 10,000 of them would not hold the blob. Default: 5 GiB, S3's own limit.
    #[serde(deserialize_with = "size")]
    pub max_put: usize,
    /// Consecutive resumptions of an interrupted download without progress, and the total number of restarts on a service
    /// that ignores ranges. Default: 3.
    pub resumes: u32,
    /// Time to resolve a name, connect, and complete the TLS handshake. Default: 10 s.
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Duration,
    /// Time from the end of a request to the response head. The settings `timeout` and `completion-timeout` also limit it,
    /// and are shorter; this is for plugins that do not apply theirs. Default: 10 min.
    #[serde(deserialize_with = "duration")]
    pub first_byte_timeout: Duration,
    /// Time without a byte in either direction during the transfer of a body. Default: 60 s.
    #[serde(deserialize_with = "duration")]
    pub between_bytes_timeout: Duration,
    /// Connections in use of one engine, over all its stores: by requests in flight, and by bodies that are being read. A quarter of
    /// them is reserved for the first connections of stores that have none, and the rest is shared as `instances` are; a request
    /// beyond it waits for as long as `instance-wait`. 0 means unlimited. Default: 0.
    pub connections: usize,
    /// Idle connections per authority. Default: 64.
    pub idle_connections: usize,
    /// Idle connections of one engine, over all its stores and authorities. Beyond it, the connection that has been idle
    /// for longest is closed, whatever its authority: an authority can have fewer than `idle-connections`, never more. With
    /// 0 every request opens a connection. Default: 512.
    pub max_idle_connections: usize,
    /// Time after which an idle connection is closed. It should be shorter than the idle timeout of services and load
    /// balancers: Amazon S3 closes after about 20 s, others after 30 s to several minutes. Default: 18 s.
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Limits {
            memory: 96 * MIB,
            retire_memory: 16 * MIB,
            cpu_time: Duration::from_secs(10),
            call_time: Duration::from_secs(600),
            max_call_time: Duration::from_secs(24 * 3600),
            instances_per_store: 64,
            instances: 1024,
            reopen_within: Duration::from_secs(5),
            address_space: 0,
            instance_wait: Duration::from_secs(10),
            compute_per_store: 0,
            header_bytes: 64 * 1024,
            max_put: 5 * 1024 * MIB,
            resumes: 3,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(600),
            between_bytes_timeout: Duration::from_secs(60),
            connections: 0,
            idle_connections: 64,
            max_idle_connections: 512,
            idle_timeout: Duration::from_secs(18),
        }
    }
}

/// Inconsistent limits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InconsistentLimits {
    /// The name of the limit to change.
    pub(crate) name: &'static str,
    /// The inconsistency, in a message for people.
    pub(crate) message: String,
}

/// A limit by its name in the configuration file and in code, for messages.
pub(crate) fn named(name: &str) -> String {
    format!("`{name}` (`Limits::{}`, or that key in [sandbox])", name.replace('-', "_"))
}

impl Limits {
    /// The maximum time of any call.
    pub(crate) fn longest_call(&self) -> Duration {
        self.max_call_time.max(self.call_time)
    }

    /// Checks that the limits are consistent.
    pub(crate) fn check(&self) -> Result<(), InconsistentLimits> {
        let at_odds = |name: &'static str, message: String| Err(InconsistentLimits { name, message });
        const PAGE: usize = 64 * 1024;
        const LONGEST: Duration = Duration::from_secs(87_600 * 3600);
        let none_at_all = [
            ("instances-per-store", self.instances_per_store),
            ("instances", self.instances),
            ("max-put", self.max_put),
        ];
        for (name, value) in none_at_all {
            if value == 0 {
                return at_odds(name, format!("the limit {} must be above 0", named(name)));
            }
        }
        for (name, value) in [
            ("cpu-time", self.cpu_time),
            ("call-time", self.call_time),
            ("max-call-time", self.max_call_time),
            ("instance-wait", self.instance_wait),
            ("connect-timeout", self.connect_timeout),
            ("first-byte-timeout", self.first_byte_timeout),
            ("between-bytes-timeout", self.between_bytes_timeout),
        ] {
            if value.is_zero() {
                return at_odds(name, format!("the limit {} must be above 0", named(name)));
            }
            // Clocks cannot represent a deadline so far away.
            if value > LONGEST {
                return at_odds(name, format!("the limit {} must be at most 87600h, which is ten years", named(name)));
            }
        }
        for (name, value) in [("idle-timeout", self.idle_timeout), ("reopen-within", self.reopen_within)] {
            if value > LONGEST {
                return at_odds(name, format!("the limit {} must be at most 87600h, which is ten years", named(name)));
            }
        }
        if !(32 * PAGE..=65_536 * PAGE).contains(&self.memory) {
            let message =
                format!("the limit {} is {} bytes; it must be from 2 MiB to 4 GiB", named("memory"), self.memory);
            return at_odds("memory", message);
        }
        if self.header_bytes < 8 * 1024 {
            let message =
                format!("the limit {} is {}; it must be at least 8 KiB", named("header-bytes"), self.header_bytes);
            return at_odds("header-bytes", message);
        }
        if u32::try_from(self.instances).is_err() {
            return at_odds("instances", format!("the limit {} is {}: too many", named("instances"), self.instances));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_parsed_with_units() {
        let limits: Limits = toml::from_str(
            "memory = \"128 MiB\"\nretire-memory = 65536\ncpu-time = \"500ms\"\ncall-time = 90\nconnect-timeout = \"2m\"",
        )
        .unwrap();
        assert_eq!((limits.memory, limits.retire_memory), (128 << 20, 65536));
        assert_eq!(limits.cpu_time, Duration::from_millis(500));
        assert_eq!((limits.call_time, limits.connect_timeout), (Duration::from_secs(90), Duration::from_secs(120)));
        assert_eq!(limits.max_put, Limits::default().max_put);
    }

    #[test]
    fn invalid_limits_are_rejected() {
        for text in
            ["memory = \"much\"", "memory = -1", "cpu-time = \"5 years\"", "mem = 1", "max-put = \"99999999999 GiB\""]
        {
            assert!(toml::from_str::<Limits>(text).is_err(), "{text}");
        }
        let error = toml::from_str::<Limits>("cpu-time = \"soon\"").unwrap_err().to_string();
        assert!(error.contains("500ms") && error.contains("soon"), "{error}");
    }

    #[test]
    fn defaults_are_consistent_and_inconsistent_limits_are_named() {
        assert_eq!(Limits::default().check(), Ok(()));
        assert!(Limits { instances: 0, ..Limits::default() }.check().unwrap_err().message.contains("instances"));
        assert!(
            Limits { cpu_time: Duration::ZERO, ..Limits::default() }.check().unwrap_err().message.contains("cpu-time")
        );
        // Added to an instant, they would overflow.
        let endless = Limits { call_time: Duration::MAX, ..Limits::default() };
        assert!(endless.check().unwrap_err().message.contains("call-time"));
        let endless = Limits { idle_timeout: Duration::MAX, ..Limits::default() };
        assert!(endless.check().unwrap_err().message.contains("idle-timeout"));
    }
}
