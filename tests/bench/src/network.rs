//! A network namespace for the benchmark: loopback only, with Linux's default congestion control.
//!
//! A machine's settings can dominate a row. BBR paces sends by a timer, and on a virtual machine setting that timer took a
//! third of the client's CPU time for a PUT of 1 MiB: the same for all clients, which hides the difference between them.

use std::io;

use anyhow::{Context, Result};
use serde::Serialize;

const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
/// Linux's default (`CONFIG_DEFAULT_TCP_CONG`).
const DEFAULT: &str = "cubic";

/// The network that connections used.
#[derive(Clone, Debug, Serialize)]
pub struct Network {
    /// Whether it was a namespace of the benchmark.
    pub apart: bool,
    pub congestion_control: String,
}

/// Enters a new network namespace with all processes started later; stays in the machine's if that is requested or creating
/// one fails. Must be called by the only thread.
pub fn enter(machines: bool) -> Result<Network> {
    let apart = !machines && own()?;
    let congestion_control = std::fs::read_to_string(CONGESTION_CONTROL).unwrap_or_else(|_| "unknown".to_owned());
    Ok(Network { apart, congestion_control: congestion_control.trim().to_owned() })
}

/// Creates a namespace and returns whether it works. One that does not work cannot be left again.
fn own() -> Result<bool> {
    // SAFETY: it takes flags only, and affects no other thread.
    let alone = |flags| if unsafe { libc::unshare(flags) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // A user without the privilege may create one inside a new user namespace.
    if let Err(error) = alone(libc::CLONE_NEWNET).or_else(|_| alone(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)) {
        eprintln!("sandbucket-bench: measuring over the machine's own network, as there can be no other: {error}");
        return Ok(false);
    }
    loopback_up().context("bringing up loopback in a network of its own; --machine-network does without one")?;
    if let Err(error) = std::fs::write(CONGESTION_CONTROL, DEFAULT) {
        eprintln!("sandbucket-bench: the congestion control stays what it is: writing {CONGESTION_CONTROL}: {error}");
    }
    Ok(true)
}

/// Brings up loopback, which is down in a new namespace.
fn loopback_up() -> io::Result<()> {
    // SAFETY: the request is plain data for which zero is valid, of the size that the kernel reads; nothing else closes the
    // socket.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
        let done = libc::ioctl(socket, libc::SIOCSIFFLAGS, &request);
        let error = io::Error::last_os_error();
        libc::close(socket);
        if done == 0 { Ok(()) } else { Err(error) }
    }
}
