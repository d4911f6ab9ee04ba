//! `credential_process`: credentials printed by a program, as specified in AWS's SDKs and Tools Reference Guide ("Process
//! credential provider").
//!
//! The program runs without a shell. Its output is limited in size and time, and wiped after use; a program that exceeds
//! the time limit is killed with its children. It inherits standard error.

use std::borrow::Cow;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use super::expiration;
use crate::support::input::MAX_SECRET;
use crate::text::shown;

/// Time limit of the program. AWS's SDK for Go has the same default.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// Interval of polls for the exit of a program that has closed its output.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Credentials that a program printed. Wiped on drop.
pub(super) struct Credentials {
    pub(super) access_key: Zeroizing<String>,
    pub(super) secret_key: Zeroizing<String>,
    pub(super) token: Option<Zeroizing<String>>,
    /// When they expire, if they do.
    pub(super) expires: Option<SystemTime>,
}

/// Runs a command and parses the credentials that it prints. Blocks for at most `timeout`.
///
/// # Errors
/// A message for people, without anything that the program printed.
pub(super) fn run(command: &str, timeout: Duration) -> Result<Credentials, String> {
    let deadline = Instant::now() + timeout;
    let words = shlex::split(command).ok_or("a quote in the command is not closed")?;
    let [program, arguments @ ..] = words.as_slice() else { return Err("the command is blank".to_owned()) };
    let name = shown(program);
    let late = || format!("{name} has not ended within {} s, and was killed", timeout.as_secs_f32());
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Its own process group, so that its children are killed with it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{name} cannot be run: {error}"))?;
    let mut child = Running { child, has_ended: false };
    let output = match child.read(deadline) {
        Ok(Some(output)) => output,
        Ok(None) => return Err(late()),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(format!("{name} prints more than {MAX_SECRET} bytes"));
        }
        Err(error) => return Err(format!("what {name} prints cannot be read: {error}")),
    };
    match child.wait(deadline) {
        Ok(Some(status)) if status.success() => parse(&output).map_err(|message| format!("{name} {message}")),
        Ok(Some(status)) => {
            Err(format!("{name} failed ({status}); what it wrote to standard error is in this process's"))
        }
        Ok(None) => Err(late()),
        Err(error) => Err(format!("waiting for {name}: {error}")),
    }
}

/// A program that is killed on drop, unless it has exited.
struct Running {
    child: Child,
    has_ended: bool,
}

impl Running {
    /// Reads the output to its end; `None` at the deadline.
    fn read(&mut self, deadline: Instant) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut pipe = self.child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // The buffer does not grow, so that no copy remains. One byte more than allowed detects longer output.
        let limit = usize::try_from(MAX_SECRET).unwrap_or(usize::MAX - 1);
        let mut buffer = Zeroizing::new(vec![0; limit + 1]);
        let mut filled = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            match pipe.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if filled > limit {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        buffer.truncate(filled);
        Ok(Some(buffer))
    }

    fn wait(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.has_ended = true;
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(EXIT_POLL_INTERVAL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output<'a> {
    version: u64,
    #[serde(borrow)]
    access_key_id: Option<Text<'a>>,
    #[serde(borrow)]
    secret_access_key: Option<Text<'a>>,
    #[serde(borrow)]
    session_token: Option<Text<'a>>,
    #[serde(borrow)]
    expiration: Option<Text<'a>>,
}

/// Text that is wiped on drop, unless it borrows from the output. The parser may leave fragments of text with escape
/// sequences behind; AWS's credentials have none.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

fn parse(output: &[u8]) -> Result<Credentials, String> {
    let expected =
        "expected {\"Version\": 1, \"AccessKeyId\": \"…\", \"SecretAccessKey\": \"…\", \"SessionToken\": \"…\"}";
    // The parser's messages can show values.
    let output: Output<'_> = serde_json::from_slice(output).map_err(|error| {
        format!("prints no such JSON at line {}, column {}: {expected}", error.line(), error.column())
    })?;
    if output.version != 1 {
        return Err(format!("prints credentials of version {}; {expected}", output.version));
    }
    let text = |text: &Option<Text<'_>>| {
        let text = text.as_ref().map(|text| text.0.trim()).filter(|text| !text.is_empty());
        text.map(|text| Zeroizing::new(text.to_owned()))
    };
    let missing = |name: &str| format!("prints no {name}: {expected}");
    Ok(Credentials {
        access_key: text(&output.access_key_id).ok_or_else(|| missing("AccessKeyId"))?,
        secret_key: text(&output.secret_access_key).ok_or_else(|| missing("SecretAccessKey"))?,
        token: text(&output.session_token),
        expires: text(&output.expiration).and_then(|text| expiration::parse(&text)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Much longer than any of this takes.
    const LONG: Duration = Duration::from_secs(30);

    fn printed(text: &str) -> Result<[Option<String>; 3], String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out put");
        std::fs::write(&path, text).unwrap();
        let found = run(&format!("cat '{}'", path.display()), LONG)?;
        let token = found.token.map(|token| token.to_string());
        Ok([Some(found.access_key.to_string()), Some(found.secret_key.to_string()), token])
    }

    #[test]
    fn printed_credentials_are_read() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            printed(
                r#"{"Version":1,"AccessKeyId":"AK","SecretAccessKey":"s\/k","SessionToken":"t","Expiration":"2030-01-01T00:00:00Z","X":[1]}"#
            ),
            Ok([text("AK"), text("s/k"), text("t")])
        );
        assert_eq!(
            printed(
                "{\n \"SecretAccessKey\": \"sk\", \"AccessKeyId\": \"AK\", \"Version\": 1, \"SessionToken\": null }\n"
            ),
            Ok([text("AK"), text("sk"), None])
        );
    }

    #[test]
    fn malformed_output_is_an_error_that_shows_nothing_of_it() {
        for (text, words) in [
            ("", "no such JSON"),
            ("hush", "no such JSON"),
            (r#"{"Version":"hush"}"#, "no such JSON"),
            (r#"{"Version":1,"AccessKeyId":"hush","SecretAccessKey":["hush"]}"#, "no such JSON"),
            (r#"{"Version":2,"AccessKeyId":"hush","SecretAccessKey":"hush"}"#, "version 2"),
            (r#"{"Version":1,"AccessKeyId":"hush"}"#, "no SecretAccessKey"),
            (r#"{"Version":1,"AccessKeyId":"","SecretAccessKey":"hush"}"#, "no AccessKeyId"),
        ] {
            let error = printed(text).unwrap_err();
            assert!(error.starts_with("cat ") && error.contains(words) && !error.contains("hush"), "{error}");
        }
        assert!(printed(&"[".repeat(60_000)).is_err());
    }

    #[test]
    fn long_output_and_failures_are_errors() {
        let error = |command: &str| run(command, LONG).map(drop).unwrap_err();
        assert!(error("cat /dev/zero").contains("more than 65536 bytes"));
        assert!(error("false").contains("failed (exit status: 1)"));
        assert!(error("/no/such/program x").contains("/no/such/program cannot be run"));
        assert!(error("sh -c 'kill -9 $$'").contains("signal: 9"));
        assert!(error("cat 'x").contains("quote"));
        assert!(error(" ").contains("blank"));
        // No shell expands variables.
        assert!(error("cat $HOME;ls").contains("failed"));
    }

    #[test]
    fn late_program_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        for command in [
            format!("sh -c 'sleep 100 & echo $! > {}; wait'", pid_file.display()),
            // The program closes its output.
            format!("sh -c 'exec >&-; sleep 100 & echo $! > {}; wait'", pid_file.display()),
        ] {
            let start = Instant::now();
            let error = run(&command, Duration::from_secs(1)).map(drop).unwrap_err();
            assert!(error.contains("within 1 s") && start.elapsed() < LONG, "{error}");
            let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
            let pid = Pid::from_raw(pid).unwrap();
            // The process that inherits it may take a moment to reap it.
            let is_gone = || {
                let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
                rustix::process::test_kill_process(pid).is_err() || state.contains(") Z ")
            };
            while !is_gone() {
                assert!(start.elapsed() < LONG, "the child {pid:?} still runs");
                std::thread::sleep(EXIT_POLL_INTERVAL);
            }
        }
    }
}
