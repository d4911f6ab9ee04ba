//! rclone, from Debian's package, on both tenants.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{Bench, SECRET, both, bytes, run};

/// The program: an installed one, or that of Debian's package, which is downloaded once.
fn rclone() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(find).clone()
}

fn find() -> Option<PathBuf> {
    let works = |program: &Path| {
        let version = Command::new(program).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    if works(Path::new("rclone")) {
        return Some("rclone".into());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rclone");
    let program = folder.join("usr/bin/rclone");
    if works(&program) {
        return Some(program);
    }
    std::fs::create_dir_all(&folder).ok()?;
    let script = "apt-get download -qq rclone && dpkg-deb -x rclone_*.deb . && rm rclone_*.deb";
    let done = Command::new("sh").args(["-c", script]).current_dir(&folder).stdin(Stdio::null()).output();
    done.is_ok_and(|done| done.status.success() && works(&program)).then_some(program)
}

async fn call(bench: &Bench, name: &str, arguments: &[&str]) -> String {
    let program = rclone().unwrap_or_default();
    let done = tokio::process::Command::new(program)
        .args(["--retries", "1", "--config", "/dev/null"])
        .args(arguments)
        // No setting of the user's applies.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("RCLONE_CONFIG_GATEWAY_TYPE", "s3")
        .env("RCLONE_CONFIG_GATEWAY_PROVIDER", "Other")
        .env("RCLONE_CONFIG_GATEWAY_ENDPOINT", bench.endpoint())
        .env("RCLONE_CONFIG_GATEWAY_ACCESS_KEY_ID", format!("{name}-rw"))
        .env("RCLONE_CONFIG_GATEWAY_SECRET_ACCESS_KEY", SECRET)
        .env("RCLONE_CONFIG_GATEWAY_REGION", "us-east-1")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "rclone {arguments:?} for {name}: {errors}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn rclone_syncs_checks_and_lists() {
    if rclone().is_none() {
        eprintln!("LEFT OUT: there is no rclone, and Debian's package cannot be downloaded");
        return;
    }
    run(async {
        let bench = Bench::start().await;
        for (name, _) in both(&bench) {
            let folder = tempfile::tempdir().unwrap();
            for (file, content) in [("empty", vec![]), ("ü +%", b"text".to_vec()), ("folder/large", bytes(12 << 20))] {
                let path = folder.path().join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
            let (here, there) = (folder.path().to_str().unwrap(), format!("gateway:{name}-photos/backup"));
            // The large file is uploaded in parts.
            call(&bench, name, &["sync", "--s3-upload-cutoff", "6M", here, &there]).await;
            call(&bench, name, &["check", "--download", here, &there]).await;
            let mut listed: Vec<_> =
                call(&bench, name, &["lsf", "-R", "--files-only", &there]).await.lines().map(str::to_owned).collect();
            listed.sort();
            assert_eq!(listed, ["empty", "folder/large", "ü +%"]);
            assert!(call(&bench, name, &["lsd", "gateway:"]).await.contains(&format!("{name}-music")));
            let moved = format!("gateway:{name}-music/moved");
            call(&bench, name, &["moveto", &format!("{there}/ü +%"), &moved]).await;
            assert_eq!(call(&bench, name, &["cat", &moved]).await, "text");
            call(&bench, name, &["purge", &there]).await;
            assert_eq!(call(&bench, name, &["lsf", "-R", &format!("gateway:{name}-photos")]).await, "");
        }
        bench.running.stop().await;
    });
}
