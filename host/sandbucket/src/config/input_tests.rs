//! Whatever a path in configuration leads to is read in a bounded way, or is an error.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, Mode};

use super::Config;
use super::interpolate::interpolate;
use crate::credentials::profiles::Profiles;
use crate::support::environment::Environment;
use crate::support::input::*;
use crate::{Engine, TlsOptions};

/// Much longer than any of this takes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Every kind of file that must not be read, with a part of its error message.
fn odd_files(folder: &Path, limit: u64) -> Vec<(PathBuf, &'static str)> {
    let at = |name: &str| folder.join(name);
    rustix::fs::mknodat(CWD, at("fifo"), rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
    fs::create_dir(at("folder")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("fifo", at("link-to-fifo")).unwrap();
    symlink("/dev/zero", at("link-to-zero")).unwrap();
    symlink("missing", at("dangling")).unwrap();
    fs::File::create(at("sparse")).unwrap().set_len(1 << 40).unwrap();
    fs::write(at("too-long"), vec![b'#'; usize::try_from(limit + 1).unwrap()]).unwrap();
    fs::write(at("unreadable"), "").unwrap();
    fs::set_permissions(at("unreadable"), fs::Permissions::from_mode(0o0)).unwrap();
    let mut files = vec![
        (at("fifo"), "a FIFO"),
        (at("socket"), "a socket"),
        (at("folder"), "a folder"),
        (at("link-to-fifo"), "a FIFO"),
        (at("link-to-zero"), "a character device"),
        (at("loop"), "(os error "),
        (at("dangling"), "(os error "),
        (at("missing"), "(os error "),
        (at("sparse"), "is longer than"),
        (at("too-long"), "is longer than"),
        (PathBuf::from("/dev/zero"), "a character device"),
        (PathBuf::from("/dev/full"), "a character device"),
        (PathBuf::from("/dev/random"), "a character device"),
        (PathBuf::from("/dev/stdin/x"), "(os error "),
    ];
    if cfg!(target_os = "linux") {
        files.push((PathBuf::from("/proc/self/mem"), "(os error "));
        files.push((PathBuf::from("/proc/self/fd"), "a folder"));
    }
    if !rustix::process::geteuid().is_root() {
        files.push((at("unreadable"), "cannot be read"));
    }
    files
}

/// Reads each odd file in a thread, so that a read that blocks or never ends fails the test.
fn assert_refused(
    limit: u64,
    missing_is_empty: bool,
    read: impl Fn(&Path) -> Result<(), String> + Clone + Send + 'static,
) {
    let folder = tempfile::tempdir().unwrap();
    for (path, words) in odd_files(folder.path(), limit) {
        let (sender, receiver) = mpsc::channel();
        let (tried, read) = (path.clone(), read.clone());
        thread::spawn(move || sender.send(read(&tried)));
        let outcome = receiver.recv_timeout(TIMEOUT).unwrap_or_else(|_| panic!("{}: does not return", path.display()));
        if missing_is_empty && (path.ends_with("missing") || path.ends_with("dangling")) {
            assert_eq!(outcome, Ok(()), "{}", path.display());
            continue;
        }
        let error = outcome.expect_err(&path.display().to_string());
        assert!(error.contains(words) && error.contains(&*path.to_string_lossy()), "{}: {error}", path.display());
    }
}

#[test]
fn odd_configuration_file_is_refused_at_once() {
    assert_refused(MAX_CONFIG, false, |path| Config::load(path).map(drop).map_err(|error| error.to_string()));
}

#[test]
fn odd_file_of_a_substitution_is_refused_at_once() {
    assert_refused(MAX_SECRET, false, |path| {
        let text = format!("[store.blob.s3]\nbucket = 'b'\nsecret-key = '%{{file:{}}}%'", path.display());
        let error = Config::parse(&text).map(drop).map_err(|error| error.to_string());
        assert!(error.as_ref().unwrap_err().starts_with("configuration:3: store.blob.s3.secret-key: "), "{error:?}");
        error
    });
}

#[test]
fn odd_ca_file_is_refused_at_once() {
    assert_refused(MAX_CERTIFICATES, false, |path| {
        let tls = TlsOptions { ca_file: Some(path.to_owned()), ..TlsOptions::default() };
        let error = tls.client_config().map(drop).map_err(|error| error.to_string());
        assert!(error.as_ref().unwrap_err().contains("ca-file"), "{error:?}");
        error
    });
}

#[test]
fn odd_aws_file_is_refused_at_once() {
    for variable in ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"] {
        assert_refused(MAX_CONFIG, true, move |path| {
            let environment = Environment::of(&[(variable, path.as_os_str()), ("HOME", "/nonexistent".as_ref())]);
            let read = Profiles::read(&environment).map(drop);
            read.map_err(|error| {
                assert!(error.is_named && error.message.starts_with(variable), "{}", error.message);
                error.message
            })
        });
    }
}

#[test]
fn odd_plugin_file_is_refused_at_once() {
    assert_refused(MAX_PLUGIN, false, |path| {
        let built = Engine::builder().no_cache().plugin_file(path).build();
        built.map(drop).map_err(|error| error.to_string())
    });
}

#[test]
fn odd_ssl_cert_file_is_refused_by_the_check() {
    assert_refused(MAX_CERTIFICATES, false, |path| {
        let checked = check(path, MAX_CERTIFICATES).map_err(|error| format!("{} {error}", path.display()));
        // The check does not open files.
        if path.starts_with("/proc/self/mem") {
            checked.and(Err(format!("{} (os error ", path.display())))
        } else {
            checked
        }
    });
}

#[test]
fn text_that_is_not_utf8_is_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, b"[store.blob.s3]\nsecret-key = 'hush\xff'\n").unwrap();
    let config = Config::load(&path).unwrap_err().to_string();
    let reference = format!("%{{file:{}}}%", path.display());
    let substitution = interpolate(&reference, &Environment::of_process()).unwrap_err();
    let environment = Environment::of(&[("AWS_CONFIG_FILE", path.as_os_str())]);
    let profiles = Profiles::read(&environment).err().unwrap().message;
    for error in [config, substitution, profiles] {
        assert!(error.contains("is not UTF-8 text") && error.contains(&*path.to_string_lossy()), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn content_up_to_the_limit_is_read_whole_whatever_the_file_says_of_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for length in [0, 1, 1023, 1024, 1025, 4095, 4096] {
        let content: Vec<u8> = (0..length).map(|n| n as u8).collect();
        fs::write(&path, &content).unwrap();
        assert_eq!(*read(&path, 4096).unwrap(), content);
        // A file in `/proc` reports length 0.
        assert_eq!(*read_open(&mut File::open(&path).unwrap(), 0, 4096).unwrap(), content);
        assert_eq!(read(&path, 10).is_ok(), length <= 10);
        assert_eq!(read_open(&mut File::open(&path).unwrap(), 0, 10).is_ok(), length <= 10);
    }
    // Kubernetes mounts secrets as symlinks.
    symlink("file", folder.path().join("link")).unwrap();
    assert_eq!(read(&folder.path().join("link"), 4096).unwrap().len(), 4096);
    if cfg!(target_os = "linux") {
        assert!(read_text(Path::new("/proc/self/status"), MAX_CONFIG).unwrap().starts_with("Name:"));
    }
}
