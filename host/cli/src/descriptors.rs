//! File descriptors: raises the soft limit, and bounds concurrent transfers by it.

/// Descriptors of the process itself: standard streams, runtime, signals, resolver and configuration.
const RESERVED: u64 = 24;
/// Descriptors of a transfer: its file, and connections for several parts.
const PER_TRANSFER: u64 = 10;

/// Number of transfers for which the limit is raised in any case.
pub const DEFAULT_TRANSFERS: usize = 8;

/// How many of the requested transfers may run concurrently; at least one.
#[cfg(unix)]
pub fn bound(jobs: usize) -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    let needed = RESERVED + PER_TRANSFER * jobs as u64;
    if limit.current.is_some_and(|current| current < needed) {
        let raised = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
        limit.current = limit.current.max(Some(raised));
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let Some(current) = getrlimit(Resource::Nofile).current else { return jobs };
    let allowed = current.saturating_sub(RESERVED) / PER_TRANSFER;
    usize::try_from(allowed).unwrap_or(jobs).clamp(1, jobs.max(1))
}

/// Raises the soft limit to this many descriptors, as far as the hard limit permits.
#[cfg(unix)]
pub fn raise(descriptors: usize) {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    let needed = descriptors as u64;
    if limit.current.is_some_and(|current| current < needed) {
        limit.current = Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)));
        let _ = setrlimit(Resource::Nofile, limit);
    }
    if getrlimit(Resource::Nofile).current.is_some_and(|current| current < needed) {
        tracing::warn!(needed, "the limit of open files is lower than the configured connections may need");
    }
}

#[cfg(not(unix))]
pub fn raise(_: usize) {}

#[cfg(not(unix))]
pub fn bound(jobs: usize) -> usize {
    jobs
}
