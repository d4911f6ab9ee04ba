//! Output of the command: results to standard output, everything else to standard error; for people or as JSON.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::standard;
use crate::text;

/// Output format and destination.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
    /// Whether to print only errors and requested results.
    quiet: bool,
    /// Colours on standard output and on standard error.
    colours: (bool, bool),
}

/// Colours by meaning.
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

    /// The same, without notes if `quiet`.
    pub fn quiet_if(self, quiet: bool) -> Self {
        Output { quiet: self.quiet || quiet, ..self }
    }

    /// Whether notes are shown.
    pub fn has_notes(&self) -> bool {
        !self.json && !self.quiet
    }

    /// Prints a line of a result.
    pub fn line(&self, line: impl AsRef<str>) -> Result<(), Failure> {
        standard::output()?;
        let mut out = io::stdout().lock();
        out.write_all(line.as_ref().as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(stdout_failed)
    }

    /// Prints a piece of a result without a line end.
    pub fn piece(&self, piece: impl AsRef<str>) -> Result<(), Failure> {
        standard::output()?;
        io::stdout().lock().write_all(piece.as_ref().as_bytes()).map_err(stdout_failed)
    }

    /// Prints a result as JSON.
    pub fn value(&self, value: &Value) -> Result<(), Failure> {
        self.line(text::json(&format!("{value:#}")))
    }

    /// Prints one of several results as JSON, on one line.
    pub fn row(&self, value: &Value) -> Result<(), Failure> {
        self.line(text::json(&value.to_string()))
    }

    /// Prints a row about a completed action; a note in the format for people.
    pub fn report(&self, value: &Value) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { self.row(value) }
    }

    /// Prints a result as JSON to standard error, because standard output carries a blob.
    pub fn value_aside(&self, value: &Value) {
        let _ = writeln!(io::stderr(), "{}", text::json(&value.to_string()));
    }

    /// Prints a note, which is not part of the result.
    pub fn note(&self, note: &str) {
        if self.has_notes() {
            let _ = writeln!(io::stderr(), "{note}");
        }
    }

    /// Colours text for standard output, if enabled.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.colours.0, tone, text)
    }

    /// Prints the error of the command. Errors of standard error itself are ignored.
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

/// A reader that closes the pipe early, such as `head`, causes no error message.
pub fn stdout_failed(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(Exit::BrokenPipe, "the reader of standard output has closed it"),
        _ => Failure::new(Exit::Failure, format!("standard output cannot be written: {error}")),
    }
}
