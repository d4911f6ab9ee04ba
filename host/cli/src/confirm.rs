//! Confirmation of irreversible actions.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

/// Asks on the terminal whether to `verb` `what`; `done` is the verb's participle for the error message.
pub fn confirm(verb: &str, done: &str, what: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let message = format!("{what} would be {done}, but there is no terminal to ask for confirmation");
        return Err(Failure::new(Exit::Usage, message).with_hint("--yes skips the confirmation"));
    }
    let mut reply = String::new();
    let _ = write!(io::stderr(), "{verb} {}? [y/N] ", text::plain(what));
    let read = tokio::task::block_in_place(|| io::stdin().lock().read_line(&mut reply));
    if read.is_ok() && matches!(reply.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Failure, format!("nothing was {done}")))
}
