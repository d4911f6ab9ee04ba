//! How much address space instances reserve, and how many of them there is room for.
//!
//! wasmtime's pool reserves the address space of all instances when an engine is made. With 4 GiB and a guard for each, the
//! plugin's code needs no bounds checks: they would take 3 to 5 % of its time (presigning a URL: 20.6 µs without, 21.4 µs
//! with; a listing of 1,000 keys: 4.85 ms and 5.06 ms, in a debug build of the host). So this is what is reserved where the
//! process may: 4.3 TB for 1,024 instances, of which no page is in use. Where it may not (`ulimit -v`, containers,
//! `Limits::address_space`), an instance reserves what `Limits::memory` allows it, about 90 GB for 1,024; and where that is too
//! much as well, there are fewer instances, and calls wait for them.

use rustix::process::{Resource, getrlimit};

use crate::error::{Error, Result};
use crate::limits::{Limits, named};
use crate::sandbox::host_state::{MAX_INSTANCES, MAX_MEMORIES, MAX_TABLE, MAX_TABLES, linear_memory};

/// With so much address space behind its memory, an instance's code needs no bounds checks.
const FULL_RESERVATION: u64 = 4 << 30;
/// wasmtime's default: accesses with an offset up to so many bytes need no bounds check.
const FULL_GUARD: u64 = 32 << 20;
/// The guard where there are bounds checks, which are exact.
const BOUNDED_GUARD: u64 = 64 << 10;
/// wasmtime's default, with the page that guards it.
const STACK: u64 = (2 << 20) + (4 << 10);

/// What the pool of instances is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) instances: u32,
    /// Address space of a linear memory, and of the guard behind it.
    pub(crate) reservation: u64,
    pub(crate) guard: u64,
    /// Memory of one instance that can be written, at most.
    data: u64,
}

impl Plan {
    fn full(instances: u32, limits: &Limits) -> Plan {
        Plan { reservation: FULL_RESERVATION, guard: FULL_GUARD, ..Plan::bounded(instances, limits) }
    }

    fn bounded(instances: u32, limits: &Limits) -> Plan {
        let reservation = linear_memory(limits).next_multiple_of(64 << 10) as u64;
        Plan { instances, reservation, guard: BOUNDED_GUARD, data: reservation + STACK }
    }

    /// Address space of one instance: its memory, its tables and its stack.
    fn slot(self) -> u64 {
        let memories = (self.reservation + self.guard) * MAX_MEMORIES as u64;
        memories + (MAX_TABLES * MAX_TABLE * size_of::<usize>()) as u64 + STACK
    }

    fn fits(self, room: &Room) -> bool {
        let instances = u64::from(self.instances);
        self.slot().saturating_mul(instances) <= room.address_space && self.data.saturating_mul(instances) <= room.data
    }

    pub(crate) fn is_bounded(self) -> bool {
        self.reservation < FULL_RESERVATION
    }

    pub(crate) fn tables(self) -> u32 {
        self.instances.saturating_mul(MAX_TABLES as u32)
    }

    pub(crate) fn memories(self) -> u32 {
        self.instances.saturating_mul(MAX_MEMORIES as u32)
    }

    pub(crate) fn core_instances(self) -> u32 {
        self.instances.saturating_mul(MAX_INSTANCES as u32)
    }
}

/// What instances may reserve: half of what the process has left, as the rest of it needs some, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    address_space: u64,
    /// Private memory that can be written.
    data: u64,
}

impl Room {
    pub(crate) fn of_process(limits: &Limits) -> Room {
        let set = match limits.address_space {
            0 => u64::MAX,
            set => set as u64,
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let left = |resource, used: &str| match getrlimit(resource).current {
            None => u64::MAX,
            Some(limit) => limit.saturating_sub(kibibytes(&status, used).saturating_mul(1024)) / 2,
        };
        Room { address_space: set.min(left(Resource::As, "VmSize:")), data: left(Resource::Data, "VmData:") }
    }

    /// The plans to try one after the other.
    pub(crate) fn plans(&self, limits: &Limits) -> Vec<Plan> {
        let wanted = u32::try_from(limits.instances).unwrap_or(u32::MAX);
        let mut plans = vec![Plan::full(wanted, limits), Plan::bounded(wanted, limits)];
        let one = Plan::bounded(1, limits);
        let most = (self.address_space / one.slot()).min(self.data / one.data).min(u64::from(wanted));
        // The system may give less than it says: there are other bounds than these.
        let mut fewer = u32::try_from(most).unwrap_or(u32::MAX);
        while fewer > 0 {
            plans.push(Plan { instances: fewer, ..one });
            fewer /= 2;
        }
        plans.retain(|plan| plan.fits(self));
        plans.dedup();
        plans
    }

    /// The error where not one instance fits.
    pub(crate) fn too_small(&self, limits: &Limits, cause: Option<String>) -> Error {
        let needed = shown(Plan::bounded(1, limits).slot());
        let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
        let has = match self.address_space.min(self.data) {
            u64::MAX => "which the system does not give".to_owned(),
            room => format!("and {} of what the process may have are left to them", shown(room)),
        };
        Error::no_memory(
            "making the engine",
            format!(
                "an instance of the plugin needs {needed} of address space, {has}{cause}; raise the process's limit \
                 (`ulimit -v`, `ulimit -d`) or {}, or lower {}",
                named("address-space"),
                named("memory")
            ),
        )
    }
}

/// Makes something for the first of these plans that the system gives enough for.
pub(crate) fn first_that_fits<T>(limits: &Limits, make: impl Fn(Plan) -> wasmtime::Result<T>) -> Result<(T, Plan)> {
    let room = Room::of_process(limits);
    let mut cause = None;
    for plan in room.plans(limits) {
        match make(plan) {
            Ok(made) => {
                let (instances, wanted) = (plan.instances, limits.instances);
                if (instances as usize) < wanted {
                    tracing::warn!(
                        instances,
                        wanted,
                        "the address space that the process may have (`ulimit -v`) holds fewer plugin instances than \
                         `instances` allows: calls wait for one another where more are wanted"
                    );
                }
                return Ok((made, plan));
            }
            Err(error) => {
                tracing::debug!(?plan, error = %format!("{error:#}"), "no such pool of instances");
                if !is_out_of_memory(&error) {
                    return Err(Error::plugin(format!("wasmtime does not start: {error:#}")));
                }
                cause = Some(error.root_cause().to_string());
            }
        }
    }
    Err(room.too_small(limits, cause))
}

/// Whether the system refused memory or address space, or the pool of instances has no more.
pub(crate) fn is_out_of_memory(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| {
        let of_system = cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
            error.kind() == std::io::ErrorKind::OutOfMemory
                || error.raw_os_error() == Some(rustix::io::Errno::NOMEM.raw_os_error())
        });
        of_system
            || cause.downcast_ref::<rustix::io::Errno>() == Some(&rustix::io::Errno::NOMEM)
            || cause.is::<wasmtime::PoolConcurrencyLimitError>()
    }) || error.is::<wasmtime::PoolConcurrencyLimitError>()
}

/// A line of `/proc/self/status`.
fn kibibytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()).and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn shown(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserves_what_memory_allows_where_full_reservations_do_not_fit() {
        let limits = Limits::default();
        let plans = |address_space: u64, data: u64| Room { address_space, data }.plans(&limits);
        assert_eq!(plans(u64::MAX, u64::MAX)[0], Plan::full(1024, &limits));
        let bounded = plans(200 << 30, u64::MAX);
        assert_eq!(bounded[0], Plan::bounded(1024, &limits));
        assert!(bounded[0].is_bounded() && bounded[0].slot() < 96 << 20, "{bounded:?}");
        // As many as there is room for, and fewer where the system gives less.
        let few: Vec<u32> = plans(1 << 30, u64::MAX).iter().map(|plan| plan.instances).collect();
        assert_eq!(few, [11, 5, 2, 1]);
        assert_eq!(plans(u64::MAX, 1 << 30)[0].instances, 11);
        assert_eq!(plans(64 << 20, u64::MAX), []);
        let error = Room { address_space: 64 << 20, data: u64::MAX }.too_small(&limits, None).to_string();
        for name in ["ulimit -v", "`memory`", "64 MiB"] {
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn full_plan_needs_its_whole_reservation() {
        let limits = Limits::default().with_instances(2);
        let slot = Plan::full(1, &limits).slot();
        assert_eq!(Room { address_space: 2 * slot, data: u64::MAX }.plans(&limits)[0], Plan::full(2, &limits));
        assert_eq!(Room { address_space: 2 * slot - 1, data: u64::MAX }.plans(&limits)[0], Plan::bounded(2, &limits));
    }
}
