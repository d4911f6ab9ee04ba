//! Detects whether standard input and output were open when the process started.
//!
//! Rust's runtime opens `/dev/null` for closed ones, and reports reads and writes that fail with EBADF as success. A closed
//! standard input would then look like an empty one, and `put` would store an empty blob.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Exit;
use crate::failure::Failure;

static INPUT: AtomicBool = AtomicBool::new(true);
static OUTPUT: AtomicBool = AtomicBool::new(true);

/// Runs before the standard library's runtime starts; afterwards the state is lost.
// SAFETY: system calls and atomics only, neither of which needs that runtime.
#[allow(unsafe_code)]
#[cfg(unix)]
#[ctor::ctor(unsafe)]
fn look() {
    use rustix::fs::{OFlags, fcntl_getfl};
    let is_open = |fd, unusable: OFlags| {
        // SAFETY: a closed descriptor makes the call fail, and the borrow ends with the call.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        fcntl_getfl(fd).is_ok_and(|flags| !flags.contains(OFlags::PATH) && flags & OFlags::RWMODE != unusable)
    };
    INPUT.store(is_open(0, OFlags::WRONLY), Ordering::Relaxed);
    OUTPUT.store(is_open(1, OFlags::RDONLY), Ordering::Relaxed);
}

/// # Errors
/// If standard input is closed, or open for writing only.
pub fn input() -> Result<(), Failure> {
    if INPUT.load(Ordering::Relaxed) {
        return Ok(());
    }
    let message = "standard input is closed or cannot be read: nothing was stored";
    Err(Failure::new(Exit::Failure, message).with_hint("`< /dev/null` stores an empty blob"))
}

/// # Errors
/// If standard output is closed, or open for reading only.
pub fn output() -> Result<(), Failure> {
    match OUTPUT.load(Ordering::Relaxed) {
        true => Ok(()),
        false => Err(Failure::new(Exit::Failure, "standard output is closed or cannot be written")),
    }
}
