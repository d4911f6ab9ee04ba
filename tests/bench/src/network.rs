//! A network of the benchmark's own: loopback and nothing else, with the congestion control that Linux has by default.
//!
//! What a machine is set to can be much of a row. BBR paces what is sent by a timer, and where the machine is a virtual
//! one, setting that timer was a third of the client's processor time at a PUT of 1 MiB: the same for all clients, so that
//! ratios say less of them.

use std::io;

use anyhow::{Context, Result};
use serde::Serialize;

const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
/// Linux's own default (`CONFIG_DEFAULT_TCP_CONG`).
const DEFAULT: &str = "cubic";

/// What connections were made over.
#[derive(Clone, Debug, Serialize)]
pub struct Network {
    /// Whether it was the benchmark's own.
    pub apart: bool,
    pub congestion_control: String,
}

/// Goes into a network of its own, with all processes that are started from now on; stays in the machine's where there can
/// be none, or where that is wanted. This must be the only thread.
pub fn enter(machines: bool) -> Result<Network> {
    let apart = !machines && own()?;
    let congestion_control = std::fs::read_to_string(CONGESTION_CONTROL).unwrap_or_else(|_| "unknown".to_owned());
    Ok(Network { apart, congestion_control: congestion_control.trim().to_owned() })
}

/// Whether there is a network of one's own now. There is no way back from one that does not work.
fn own() -> Result<bool> {
    // SAFETY: it takes flags only, and moves no other thread.
    let alone = |flags| if unsafe { libc::unshare(flags) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // Whoever may not have a network may have one among users of its own.
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

/// A new network's loopback is down.
fn loopback_up() -> io::Result<()> {
    // SAFETY: the request is plain data for which zero is a value, of the size that the kernel reads, and the socket is
    // closed by nobody else.
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
