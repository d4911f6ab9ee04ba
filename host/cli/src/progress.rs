//! A progress bar for long transfers, on a terminal.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// A shorter transfer shows no bar.
const SHOW_AFTER: Duration = Duration::from_millis(600);

/// The progress of one transfer; clones share it.
#[derive(Debug, Clone)]
pub struct Progress {
    bar: ProgressBar,
    allowed: bool,
}

impl Progress {
    /// For a transfer of `total` bytes, if known.
    pub fn new(output: &Output, total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = match total {
            Some(_) => "{bar:32} {bytes:>11} of {total_bytes}  {bytes_per_sec}  {eta} left",
            None => "{spinner} {bytes:>11}  {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Progress { bar, allowed: output.has_notes() && io::stderr().is_terminal() }
    }

    /// Sets the number of bytes transferred.
    pub fn reached(&self, bytes: u64) {
        if !self.allowed {
            return;
        }
        if self.bar.is_hidden() && self.bar.elapsed() >= SHOW_AFTER {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(bytes);
    }
}

impl Progress {
    /// Removes the bar before the final output.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    /// Removes the bar. Clones share it: the first drop removes it, and it stays hidden.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
