//! This program as its own child process: it exchanges lines of JSON with its parent, and exits with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

/// A child process. Dropping it closes its standard input, which makes it exit, and waits for that.
pub struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts this program again with these arguments and additional environment variables.
    pub fn start(arguments: &[String], environment: &[(&str, String)]) -> Result<Child> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(&program);
        // Some clients honour these variables, others do not.
        for name in ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "AWS_PROFILE", "AWS_CONFIG_FILE"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        let mut process = command
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let output = BufReader::new(output.context("the child has no output")?);
        Ok(Child { process, input, output })
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a message to the child.
    pub fn write(&mut self, message: &impl Serialize) -> Result<()> {
        let input = self.input.as_mut().context("the child's input is closed")?;
        let mut line = serde_json::to_string(message)?;
        line.push('\n');
        input.write_all(line.as_bytes()).context("writing to a child process")
    }

    /// Waits for a message from the child.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("reading from a child process")?;
        if line.is_empty() {
            bail!("the child process ended: {}", self.process.wait()?);
        }
        serde_json::from_str(&line).with_context(|| format!("a child process said {line:?}"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.input.take());
        // Nobody is left to report the status to.
        let _ = self.process.wait();
    }
}

/// Resolves when standard input closes: the parent exits, or asks this process to.
pub fn parent_gone() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut ignored);
        let _ = sender.send(());
    });
    receiver
}
