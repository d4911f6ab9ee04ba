//! Timeouts of a request, and the progress that they are measured by.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::error::{HttpError, HttpErrorKind};
use super::pool::Progressing;
use super::timers::Timer;
use crate::limits::Limits;

/// Maximum times to wait for the service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// Time to connect.
    pub(super) connect: NamedTimeout,
    /// From the end of the request to the beginning of the response.
    pub(super) first_byte: NamedTimeout,
    /// Between two pieces of a body, in either direction.
    pub(super) between_bytes: NamedTimeout,
}

/// A timeout and the limit that sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamedTimeout {
    pub(super) time: Duration,
    /// Name of the host's limit; none if the plugin asked for the timeout.
    limit: Option<&'static str>,
}

/// Timeouts that a plugin asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestedTimeouts {
    pub(crate) connect: Option<Duration>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) between_bytes: Option<Duration>,
}

impl Timeouts {
    pub(super) fn of(limits: &Limits) -> Timeouts {
        let ours = |time, name| NamedTimeout { time, limit: Some(name) };
        Timeouts {
            connect: ours(limits.connect_timeout, "connect-timeout"),
            first_byte: ours(limits.first_byte_timeout, "first-byte-timeout"),
            between_bytes: ours(limits.between_bytes_timeout, "between-bytes-timeout"),
        }
    }

    /// The timeouts that the plugin asks for, where they are no longer than these.
    pub(super) fn within(self, requested: RequestedTimeouts) -> Timeouts {
        let least = |ours: NamedTimeout, requested: Option<Duration>| match requested {
            Some(time) if time <= ours.time => NamedTimeout { time, limit: None },
            _ => ours,
        };
        Timeouts {
            connect: least(self.connect, requested.connect),
            first_byte: least(self.first_byte, requested.first_byte),
            between_bytes: least(self.between_bytes, requested.between_bytes),
        }
    }
}

impl fmt::Display for NamedTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.time)?;
        match self.limit {
            Some(limit) => {
                let set = crate::limits::named(limit);
                write!(f, ", which is all that {set} allows; `StoreOptions::timeout` allows one store more")
            }
            None => Ok(()),
        }
    }
}

/// The progress of a request, from which its timeouts are computed. Times are in nanoseconds since it began.
pub(super) struct RequestProgress {
    began: Instant,
    /// When a connection took the request; 0 until then.
    connected: AtomicU64,
    /// When bytes were last sent.
    last: AtomicU64,
    /// When the whole request was sent; 0 until then.
    sent: AtomicU64,
    /// When connecting began: 0, or later if a first connection failed.
    started: AtomicU64,
    /// Time spent sending the body on connections that failed.
    sent_before: AtomicU64,
    /// Whether there is no body to send.
    empty: bool,
    /// Time left, without the time spent sending the body.
    left: Option<Duration>,
}

impl RequestProgress {
    /// Begins a request. `empty` is whether it has no body.
    pub(super) fn new(empty: bool, left: Option<Duration>) -> Arc<RequestProgress> {
        let zero = || AtomicU64::new(0);
        Arc::new(RequestProgress {
            began: Instant::now(),
            connected: zero(),
            last: zero(),
            sent: AtomicU64::new(empty.into()),
            started: zero(),
            sent_before: zero(),
            empty,
            left,
        })
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64 | 1
    }

    /// Records that a piece of the body was sent; `all` if it was the last.
    pub(super) fn moved(&self, all: bool) {
        let now = self.now();
        self.last.store(now, Relaxed);
        if all {
            self.sent.store(now, Relaxed);
        }
    }

    /// Whether the whole body was sent.
    pub(super) fn is_sent(&self) -> bool {
        self.sent.load(Relaxed) > 0
    }

    /// Time spent sending the body.
    pub(super) fn sending(&self) -> Duration {
        let (connected, sent) = (self.connected.load(Relaxed), self.sent.load(Relaxed));
        let until = if sent > 0 { sent } else { self.last.load(Relaxed) };
        let now = if connected == 0 { 0 } else { until.saturating_sub(connected) };
        Duration::from_nanos(self.sent_before.load(Relaxed) + now)
    }

    /// The deadline unless there is progress, and the phase that it belongs to.
    fn end(&self, timeouts: &Timeouts) -> (Duration, StallPhase) {
        let time = |at: &AtomicU64| Duration::from_nanos(at.load(Relaxed));
        let (end, stall) = if self.connected.load(Relaxed) == 0 {
            let started = time(&self.started);
            let stall = if started.is_zero() { StallPhase::Connecting } else { StallPhase::Reconnecting };
            (started.saturating_add(timeouts.connect.time), stall)
        } else if !self.is_sent() {
            return (time(&self.last).saturating_add(timeouts.between_bytes.time), StallPhase::Sending);
        } else {
            (time(&self.last).saturating_add(timeouts.first_byte.time), StallPhase::Responding)
        };
        match self.left.map(|left| left.saturating_add(self.sending())) {
            Some(over) if over < end => (over, StallPhase::OutOfTime),
            _ => (end, stall),
        }
    }

    /// Returns once the request has made no progress for too long.
    pub(super) async fn stalled(&self, timeouts: Timeouts, timer: &mut Timer) -> HttpError {
        poll_fn(|cx| {
            let (end, stall) = self.end(&timeouts);
            timer.poll(cx, self.began + end).map(|()| stall.error(&timeouts))
        })
        .await
    }
}

impl Progressing for RequestProgress {
    fn connected(&self) {
        let now = self.now();
        self.connected.store(now, Relaxed);
        self.last.store(now, Relaxed);
    }

    fn restarted(&self) {
        let sending = self.sending().as_nanos() as u64;
        self.sent_before.store(sending, Relaxed);
        self.started.store(self.now(), Relaxed);
        self.last.store(0, Relaxed);
        self.sent.store(self.empty.into(), Relaxed);
        self.connected.store(0, Relaxed);
    }
}

/// The phase in which a request stalled.
enum StallPhase {
    Connecting,
    /// After a connection on which the request may have been sent.
    Reconnecting,
    Sending,
    Responding,
    OutOfTime,
}

impl StallPhase {
    fn error(self, timeouts: &Timeouts) -> HttpError {
        let (kind, message) = match self {
            StallPhase::Connecting => {
                (HttpErrorKind::ConnectionTimeout, format!("no connection within {}", timeouts.connect))
            }
            StallPhase::Reconnecting => (
                HttpErrorKind::ConnectionTerminated,
                format!("the connection broke, and there was no other within {}", timeouts.connect),
            ),
            StallPhase::Sending => {
                let timeout = timeouts.between_bytes;
                (HttpErrorKind::ConnectionWriteTimeout, format!("none of the request's body was taken for {timeout}"))
            }
            StallPhase::Responding => {
                let timeout = timeouts.first_byte;
                (HttpErrorKind::HttpResponseTimeout, format!("no response within {timeout}"))
            }
            StallPhase::OutOfTime => {
                (HttpErrorKind::HttpResponseTimeout, "there was no time left to wait for the response".to_owned())
            }
        };
        HttpError::new(kind, message)
    }
}
