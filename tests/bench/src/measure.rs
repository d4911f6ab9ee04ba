//! CPU time and memory of the process, as the system reports them.

use std::time::Duration;

use anyhow::{Context, Result, bail};

/// CPU time of all threads of this process so far, in user and kernel mode.
pub fn cpu_time() -> Result<Duration> {
    // SAFETY: `rusage` is plain numbers, for which zero is valid; the call fills in all of it or fails.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::getrusage(libc::RUSAGE_SELF, &mut usage) != 0 {
            return Err(std::io::Error::last_os_error()).context("getrusage");
        }
        usage
    };
    Ok(duration(usage.ru_utime) + duration(usage.ru_stime))
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
}

/// Memory of this process in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub resident: u64,
    /// The peak.
    pub peak: u64,
}

impl Memory {
    pub fn now() -> Result<Memory> {
        let status = std::fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
        let kibibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
            let number: Option<u64> = number.and_then(|number| number.parse().ok());
            number.map(|number| number * 1024).with_context(|| format!("/proc/self/status has no {name}"))
        };
        Ok(Memory { resident: kibibytes("VmRSS")?, peak: kibibytes("VmHWM")? })
    }
}

/// Raises the limit of open files to the maximum: a thousand clients have a thousand connections.
pub fn allow_many_files() -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a limit that lives long enough.
    let done = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0
        }
    };
    if !done {
        bail!("raising the limit of open files: {}", std::io::Error::last_os_error());
    }
    Ok(())
}
