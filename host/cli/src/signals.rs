//! Signals that end the command: SIGINT, SIGTERM and SIGHUP.
//!
//! Each is handled alike: uploads are aborted, temporary files are deleted, and the exit status is 128 plus the signal's
//! number. SIGHUP stays ignored if it was ignored at the start, as under `nohup`. A second signal terminates the process at
//! once.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::exit::Exit;
use crate::failure::Failure;

/// How long a signal may go unnoticed, for example while the main task is blocked writing to a pipe that nobody reads.
const NOTICE: Duration = Duration::from_secs(2);
/// Time limit of the cleanup after the signal was noticed.
const CLEANUP: Duration = Duration::from_secs(20);

static CAUGHT: LazyLock<watch::Sender<Option<Exit>>> = LazyLock::new(|| watch::Sender::new(None));
static NOTICED: AtomicBool = AtomicBool::new(false);

/// What the signals end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// A command, which cleans up within a time limit.
    Command,
    /// A server, which has a time limit of its own, and reloads at SIGHUP.
    Server,
}

/// Starts to listen; must be called within the runtime, before any work.
#[cfg(unix)]
pub fn listen(ends: Ends) {
    use tokio::signal::unix::{SignalKind, signal};

    // With a handler, exceeding `ulimit -f` is a write error instead of a crash that leaves temporary files.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
    let mut kinds = vec![(SignalKind::interrupt(), Exit::Interrupted), (SignalKind::terminate(), Exit::Terminated)];
    if ends == Ends::Command && !is_ignored(SignalKind::hangup().as_raw_value()) {
        kinds.push((SignalKind::hangup(), Exit::HungUp));
    }
    let mut streams: Vec<_> =
        kinds.into_iter().filter_map(|(kind, exit)| signal(kind).ok().map(|stream| (stream, exit))).collect();
    // A task of its own, so that a signal counts while the main task is blocked.
    tokio::spawn(async move {
        let exit = next(&mut streams).await;
        CAUGHT.send_replace(Some(exit));
        tokio::select! {
            _ = next(&mut streams) => {}
            () = overdue(), if ends == Ends::Command => {}
        }
        std::process::exit(exit as i32);
    });
}

/// The exit status of the next signal.
#[cfg(unix)]
async fn next(streams: &mut [(tokio::signal::unix::Signal, Exit)]) -> Exit {
    let receive = streams.iter_mut().map(|(stream, exit)| {
        Box::pin(async move {
            // The stream never ends.
            let _ = stream.recv().await;
            *exit
        })
    });
    futures::future::select_all(receive).await.0
}

#[cfg(not(unix))]
pub fn listen(ends: Ends) {
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            CAUGHT.send_replace(Some(Exit::Interrupted));
            if ends == Ends::Command {
                overdue().await;
                std::process::exit(Exit::Interrupted as i32);
            }
        }
    });
}

async fn overdue() {
    tokio::time::sleep(NOTICE).await;
    if NOTICED.load(Ordering::Relaxed) {
        tokio::time::sleep(CLEANUP).await;
    }
}

/// Waits for one of the signals.
pub async fn received() -> Failure {
    let mut caught = CAUGHT.subscribe();
    let exit = match caught.wait_for(Option::is_some).await {
        Ok(exit) => exit.unwrap_or(Exit::Interrupted),
        // The sender is static.
        Err(_) => std::future::pending().await,
    };
    NOTICED.store(true, Ordering::Relaxed);
    Failure::ended_by(exit)
}

/// Whether the parent process has the signal ignored. Known on Linux only.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}
