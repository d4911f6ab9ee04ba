//! Configuration files, AWS's credentials and config files, and the limits in them.
//!
//! The input has three files, separated by lines of `%%`: `sandbucket.toml`, AWS's `credentials`, and AWS's `config`.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use sandbucket::Limits;
use sandbucket::fuzzing::{check_limits, parse_config};

use crate::text;

/// A secret that no error and no `Debug` output may contain.
const CANARY: &str = "c4n4ry-s3cr3t-0451";

/// Three files.
pub fn host_config(data: &[u8]) {
    let text = text::of(data);
    let mut files = text.split("\n%%\n");
    let mut next = || files.next().unwrap_or_default();
    let (config, credentials, aws) = (next(), next(), next());
    // The input must not choose which files are read.
    if config.contains("file:") {
        return;
    }
    let folder = folder();
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (credentials_file, aws_file) = (path("credentials"), path("config"));
    if config.contains("profile") || config.contains("use-files") {
        fs::write(&credentials_file, credentials).expect("a file is written");
        fs::write(&aws_file, aws).expect("a file is written");
    } else {
        let _ = (fs::remove_file(&credentials_file), fs::remove_file(&aws_file));
    }
    let variables = [
        ("SECRET", CANARY),
        ("NAME", "value"),
        ("AWS_SHARED_CREDENTIALS_FILE", &*credentials_file),
        ("AWS_CONFIG_FILE", &*aws_file),
    ];
    match parse_config(config, &variables) {
        Ok(config) => {
            assert!(!format!("{config:?}").contains(CANARY));
            assert_eq!(check_limits(config.limits()), Ok(()));
            bounded(config.limits());
            assert!(config.settings().iter().all(|(_, value)| !value.trim().is_empty()));
        }
        Err(error) => {
            let shown = format!("{error} {error:?}");
            // Errors show the name of a profile.
            assert!(!shown.contains(CANARY) || config.contains("profile"), "{shown}");
        }
    }
    if let Ok(limits) = toml::from_str::<Limits>(config)
        && check_limits(&limits).is_ok()
    {
        bounded(&limits);
    }
}

/// Accepted limits are within their bounds.
fn bounded(limits: &Limits) {
    const YEARS: Duration = Duration::from_secs(87_600 * 3600);
    assert!((2 << 20..=4 << 30).contains(&limits.memory) && limits.max_put > 0);
    assert!(limits.instances > 0 && limits.instances_per_store > 0);
    for time in [
        limits.cpu_time,
        limits.call_time,
        limits.connect_timeout,
        limits.first_byte_timeout,
        limits.between_bytes_timeout,
    ] {
        assert!(!time.is_zero() && time <= YEARS, "{time:?}");
    }
    assert!(limits.idle_timeout <= YEARS);
}

/// A folder of this process.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("sandbucket-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for files");
        folder
    })
}
