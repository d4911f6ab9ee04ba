//! Runs a test in a child process with its own limits and environment.

use std::process::Command;

/// Set in the child process.
const CHILD: &str = "SANDBUCKET_TEST_CHILD";

/// Whether this is a child process.
pub fn in_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs the test `test` again in a child process, under `ulimit` with these arguments and with these variables. Returns
/// true in the child, where the test continues.
pub fn is_child(test: &str, ulimit: Option<&str>, variables: &[(&str, &str)]) -> bool {
    if in_child() {
        return true;
    }
    let limit = ulimit.map(|limit| format!("ulimit {limit} && ")).unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", &format!("{limit}exec \"$@\""), "sh"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .envs(variables.iter().copied())
        .output()
        .expect("a shell");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{:?}: {text}", output.status);
    false
}
