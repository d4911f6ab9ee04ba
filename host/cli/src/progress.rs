//! A bar for a transfer that takes a while, on a terminal.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// A transfer that is done sooner has no bar.
const PATIENCE: Duration = Duration::from_millis(600);

/// The progress of one transfer; a clone shows the same.
#[derive(Debug, Clone)]
pub struct Progress {
    bar: ProgressBar,
    allowed: bool,
}

impl Progress {
    /// For a transfer of so many bytes, where that is known.
    pub fn new(output: &Output, total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = match total {
            Some(_) => "{bar:32} {bytes:>11} of {total_bytes}  {bytes_per_sec}  {eta} left",
            None => "{spinner} {bytes:>11}  {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Progress { bar, allowed: output.has_remarks() && io::stderr().is_terminal() }
    }

    /// So many bytes are through in all.
    pub fn reached(&self, bytes: u64) {
        if !self.allowed {
            return;
        }
        if self.bar.is_hidden() && self.bar.elapsed() >= PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(bytes);
    }
}

impl Progress {
    /// Takes it from the terminal, before what is printed at the end.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    /// Leaves no trace on the terminal. Clones share the bar: the first to go takes it away, and hidden it stays.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
