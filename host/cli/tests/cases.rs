//! Runs the scripts of `tests/cases` as tests: bug reports of other S3 clients, replayed on the command.
//!
//! A script passes if it exits with 0 within [`DEADLINE`]; otherwise its output is shown. Scripts mostly wait, so more of
//! them run concurrently than there are processors. `cargo test --package sandbucket-cli --test cases b15` runs those whose
//! names contain `b15`.

#![cfg_attr(not(unix), allow(unused))]

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

const COMMAND: &str = env!("CARGO_BIN_EXE_sandbucket");
/// The compile cache for all scripts, although each has its own HOME.
const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/cases");
/// Time limit of a script; the longest takes a minute.
const DEADLINE: Duration = Duration::from_secs(300);
/// Concurrent scripts, unless `--test-threads` is given.
const CONCURRENCY: usize = 8;
/// Maximum size of a failed script's output, counted from its end.
const OUTPUT: usize = 64 << 10;

#[cfg(not(unix))]
fn main() -> ExitCode {
    // Windows has no shell scripts, signals and FIFOs.
    ExitCode::SUCCESS
}

#[cfg(unix)]
fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(CONCURRENCY);
    if !arguments.list {
        // Compiles the plugin once, outside the scripts' time limits.
        let status = Command::new(COMMAND).arg("settings").env("XDG_CACHE_HOME", CACHE).stdout(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "`sandbucket settings` fails");
    }
    let scripts = scripts();
    assert!(scripts.len() >= 23, "only {} scripts are in tests/cases", scripts.len());
    let trials = scripts.into_iter().map(|(name, script)| Trial::test(name, move || run(&script))).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The scripts by name, without extension. Names begin with a letter and two digits.
fn scripts() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut scripts: Vec<_> = entries
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem()?.to_str()?.to_owned();
            let [letter, tens, ones, b'-', ..] = name.as_bytes() else { return None };
            let is_case = letter.is_ascii_lowercase() && tens.is_ascii_digit() && ones.is_ascii_digit();
            is_case.then_some((name, path))
        })
        .collect();
    scripts.sort();
    scripts
}

#[cfg(unix)]
fn run(script: &Path) -> Result<(), Failed> {
    use std::os::unix::process::CommandExt;

    let mut output = tempfile::tempfile()?;
    let interpreter = if script.extension().is_some_and(|ending| ending == "py") { "python3" } else { "bash" };
    let mut child = Command::new(interpreter)
        .arg(script)
        .env("SANDBUCKET", COMMAND)
        .env("NO_COLOR", "1")
        .env("PYTHONUNBUFFERED", "1")
        .env("XDG_CACHE_HOME", CACHE)
        // Prevents Python from writing into the source folder.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("SANDBUCKET_CONFIG")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        // Its own process group with its servers, so that all can be killed.
        .process_group(0)
        .spawn()?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if begun.elapsed() > DEADLINE => break None,
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        // Kills everything at the deadline, otherwise servers that the script did not stop.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("{status}\n{}", tail(&mut output)?).into()),
        None => Err(format!("killed after {} s\n{}", DEADLINE.as_secs(), tail(&mut output)?).into()),
    }
}

fn tail(output: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    output.rewind()?;
    output.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(OUTPUT)..]).into_owned())
}
