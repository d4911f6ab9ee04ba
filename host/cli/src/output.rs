//! What the command prints: results to standard output, everything about it to standard error; for people or as JSON.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::standard;
use crate::text;

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
    /// Whether nothing but errors, and what was asked for, is printed.
    quiet: bool,
    /// Colours on standard output, and on standard error.
    colours: (bool, bool),
}

/// Colours, by what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    Doubtful,
    Quiet,
    Strong,
}

impl Output {
    pub fn new(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Output {
            json,
            quiet: false,
            colours: (wanted && io::stdout().is_terminal(), wanted && io::stderr().is_terminal()),
        }
    }

    /// The same, without remarks where they are not wanted.
    pub fn quiet_if(self, quiet: bool) -> Self {
        Output { quiet: self.quiet || quiet, ..self }
    }

    /// Whether there is anything but results to show.
    pub fn has_remarks(&self) -> bool {
        !self.json && !self.quiet
    }

    /// One line of a result.
    pub fn line(&self, line: impl AsRef<str>) -> Result<(), Failure> {
        standard::output()?;
        let mut out = io::stdout().lock();
        out.write_all(line.as_ref().as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(stdout_failed)
    }

    /// A piece of a result that is printed bit by bit.
    pub fn piece(&self, piece: impl AsRef<str>) -> Result<(), Failure> {
        standard::output()?;
        io::stdout().lock().write_all(piece.as_ref().as_bytes()).map_err(stdout_failed)
    }

    /// A result for programs.
    pub fn value(&self, value: &Value) -> Result<(), Failure> {
        self.line(text::json(&format!("{value:#}")))
    }

    /// One of several results for programs, on a line of its own.
    pub fn row(&self, value: &Value) -> Result<(), Failure> {
        self.line(text::json(&value.to_string()))
    }

    /// A row about what was done, which is a remark where it is for people.
    pub fn report(&self, value: &Value) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { self.row(value) }
    }

    /// A result for programs where standard output carries a blob.
    pub fn value_aside(&self, value: &Value) {
        let _ = writeln!(io::stderr(), "{}", text::json(&value.to_string()));
    }

    /// A remark that is not the result.
    pub fn note(&self, note: &str) {
        if self.has_remarks() {
            let _ = writeln!(io::stderr(), "{note}");
        }
    }

    /// Text for a line on standard output, in a colour where there are colours.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.colours.0, tone, text)
    }

    /// Why the command did not do what it was to do. Nobody is left to tell when standard error is gone too.
    pub fn failure(&self, failure: &Failure) {
        if failure.exit == Exit::BrokenPipe {
            return;
        }
        let mut err = io::stderr().lock();
        if self.json {
            let _ = writeln!(err, "{}", text::json(&failure.to_json().to_string()));
            return;
        }
        let colours = self.colours.1;
        let _ = writeln!(err, "{} {}", paint(colours, Tone::Bad, "error:"), text::plain(&failure.message));
        if let Some(cause) = &failure.cause {
            let _ = writeln!(err, "{} {}", paint(colours, Tone::Quiet, "cause:"), text::plain(cause));
        }
        if let Some(hint) = &failure.hint {
            let _ = writeln!(err, "{}  {}", paint(colours, Tone::Strong, "hint:"), text::plain(hint));
        }
    }
}

fn paint(colours: bool, tone: Tone, text: &str) -> String {
    if !colours {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "1;31",
        Tone::Doubtful => "33",
        Tone::Quiet => "2",
        Tone::Strong => "1",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// A reader that has had enough, such as `head`, is no error worth a word.
pub fn stdout_failed(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(Exit::BrokenPipe, "nobody reads standard output any more"),
        _ => Failure::new(Exit::Failure, format!("standard output cannot be written: {error}")),
    }
}
