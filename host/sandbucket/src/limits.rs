//! Every bound of the sandbox: its name in the configuration, its default, and what it guards against.

mod quantity;
mod setters;

use std::time::Duration;

use serde::Deserialize;

pub(crate) use quantity::parse_duration;
use quantity::{duration, size};

/// What a plugin, a call or a connection may use.
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
/// In a configuration file these are the keys of the section `[sandbox]`, in kebab-case. A duration there is a number
/// with a unit (`500ms`, `30s`, `5m`, `1h`; bare: seconds), a size a number with a unit (`64KiB`, `96MiB`; bare: bytes).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Limits {
    /// Memory of one instance, in bytes. An eighth of it is set aside for what the host holds for the instance (header fields,
    /// and bodies on their way), the rest is linear memory. A call that needs more ends in `OutOfMemory`. What a call's result
    /// takes on the host is bounded apart from it: 1 MiB, for a page of a listing 8 MiB. Default: 96 MiB.
    #[serde(deserialize_with = "size")]
    pub memory: usize,
    /// An instance whose memory has grown past this, in bytes, is not used again: memory never shrinks. Default: 16 MiB.
    #[serde(deserialize_with = "size")]
    pub retire_memory: usize,
    /// CPU time that the plugin's code may take in one call, all its attempts together; waiting does not count. It is
    /// measured in steps of 10 ms, and of 2 ms while calls compute for long. A call that takes more ends in `OutOfTime`.
    /// Default: 10 s.
    #[serde(deserialize_with = "duration")]
    pub cpu_time: Duration,
    /// Time that one call may take in all, tries and pauses included, where neither the call (`time_limit`) nor its store
    /// ([`StoreOptions::call_time`](crate::StoreOptions::call_time)) says otherwise. The plugin gets it, and ends the call
    /// itself with `Timeout`; one that does not is stopped a little later. Default: 10 min.
    #[serde(deserialize_with = "duration")]
    pub call_time: Duration,
    /// The most time that a call or a store may ask for. Less than `call-time` counts as `call-time`. Default: 24 h.
    #[serde(deserialize_with = "duration")]
    pub max_call_time: Duration,
    /// Calls under way at once in one store, and so instances of its own; further ones wait their turn. A call whose
    /// requests the host sends (to look, to read, to write) takes an instance for moments only. Default: 64.
    pub instances_per_store: usize,
    /// Instances alive at once in one engine, for all its stores. A quarter of them, and at least one where there are
    /// several, is a reserve for the first instances of stores that have none; the rest is shared, and no store takes more
    /// than 4/5 of what others leave of it (one that is alone takes all). When none is left to a call, idle ones of other stores are given up first; then it
    /// waits, and stores with the fewest instances are served first. Default: 1,024.
    pub instances: usize,
    /// Address space that all instances of the engine may reserve, in bytes. With 4 GiB for each, their code runs without
    /// bounds checks; where that is more than there is, an instance reserves what `memory` allows it and has bounds checks, which
    /// cost 3 to 5 % of its time; where that is too much for all of `instances`, there are fewer, and calls wait for them. 0 is
    /// half of what the process may have (`ulimit -v`) when the engine is made. Default: 0.
    #[serde(deserialize_with = "size")]
    pub address_space: usize,
    /// How long a call waits for an instance because other stores have them, before it ends in `Busy`, which can be tried
    /// again. Its own time limit may end it sooner. Waiting for other calls of the same store (`instances-per-store`) is
    /// bounded by the time limit only. Default: 10 s.
    #[serde(deserialize_with = "duration")]
    pub instance_wait: Duration,
    /// Calls of one store that may compute at once for long, each on a worker thread of the runtime; further ones wait
    /// their turn, which costs them no `cpu-time`. Calls that take less than 200 µs between waits are not bound by it. All
    /// stores of an engine together compute on at most all worker threads but one. 0 is half of the machine's processors,
    /// and at least 1. Default: 0.
    pub compute_per_store: usize,
    /// The header of an answer, in bytes. Informational responses (such as `100 Continue`) may come before it: of them and
    /// it together at most 128 KiB more than this are read, and of what frames a body (sizes and extensions of chunks) at
    /// most so much between two pieces. Default: 64 KiB.
    #[serde(deserialize_with = "size")]
    pub header_bytes: usize,
    /// The largest blob written with one request, in bytes. The parts of a larger one begin no larger than this, and grow beyond it
    /// only where 10,000 of them would not hold the blob. Default: 5 GiB, which is S3's own bound.
    #[serde(deserialize_with = "size")]
    pub max_put: usize,
    /// How often in a row a download that broke off is taken up again without having given a byte more, and how often in all
    /// from a service that ignores ranges, of which the blob is read again from its beginning. Default: 3.
    pub resumes: u32,
    /// Time to resolve a name, connect, and agree on TLS. Default: 10 s.
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Duration,
    /// Time from a request's end to its response's beginning. The settings `timeout` and `completion-timeout` bound it as well,
    /// and sooner; this is for plugins that do not keep to theirs. Default: 10 min.
    #[serde(deserialize_with = "duration")]
    pub first_byte_timeout: Duration,
    /// Time without a byte going either way while a body is under way. Default: 60 s.
    #[serde(deserialize_with = "duration")]
    pub between_bytes_timeout: Duration,
    /// Idle connections kept for each authority. Default: 64.
    pub idle_connections: usize,
    /// Idle connections kept in one engine, for all its stores and authorities. When there are more, the one idle for
    /// longest is closed, whichever authority it leads to: an authority can have fewer than `idle-connections`, never more.
    /// With 0 each request takes a connection of its own. Default: 512.
    pub max_idle_connections: usize,
    /// Time after which an idle connection is closed. It should be less than services and what is before them keep one: Amazon
    /// S3 closes after about 20 s, other services and load balancers after 30 s to several minutes. Default: 18 s.
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
            address_space: 0,
            instance_wait: Duration::from_secs(10),
            compute_per_store: 0,
            header_bytes: 64 * 1024,
            max_put: 5 * 1024 * MIB,
            resumes: 3,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(600),
            between_bytes_timeout: Duration::from_secs(60),
            idle_connections: 64,
            max_idle_connections: 512,
            idle_timeout: Duration::from_secs(18),
        }
    }
}

/// Limits that cannot hold together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AtOdds {
    /// The name of the one to blame.
    pub(crate) name: &'static str,
    /// What is wrong with them, in words for people.
    pub(crate) message: String,
}

/// A limit by the names that those can set it by who read a message: a configuration file's, and a program's.
pub(crate) fn named(name: &str) -> String {
    format!("`{name}` (`Limits::{}`, or that key in [sandbox])", name.replace('-', "_"))
}

impl Limits {
    /// The most time that any call may take.
    pub(crate) fn longest_call(&self) -> Duration {
        self.max_call_time.max(self.call_time)
    }

    /// What is at odds in these limits.
    pub(crate) fn check(&self) -> Result<(), AtOdds> {
        let at_odds = |name: &'static str, message: String| Err(AtOdds { name, message });
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
            // A moment so far away is none that clocks can tell.
            if value > LONGEST {
                return at_odds(name, format!("the limit {} must be at most 87600h, which is ten years", named(name)));
            }
        }
        if self.idle_timeout > LONGEST {
            let message = format!("the limit {} must be at most 87600h, which is ten years", named("idle-timeout"));
            return at_odds("idle-timeout", message);
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
        // Added to a moment, they would be none any more.
        let endless = Limits { call_time: Duration::MAX, ..Limits::default() };
        assert!(endless.check().unwrap_err().message.contains("call-time"));
        let endless = Limits { idle_timeout: Duration::MAX, ..Limits::default() };
        assert!(endless.check().unwrap_err().message.contains("idle-timeout"));
    }
}
