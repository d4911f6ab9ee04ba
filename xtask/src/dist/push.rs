//! Pushes the OCI layout of a release, by `skopeo`: it knows the credentials of container tools (`skopeo login`), tokens, redirects and
//! retries of registries, and leaves manifests as they are.

use std::env;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{files, oci};

/// Pushes each artifact to `REGISTRY[/PREFIX]/NAMESPACE/NAME:VERSION`. A version that a registry has already must be the same.
pub(crate) fn push(folder: &Path, registry: &str, plain_http: bool) -> Result<String, String> {
    check_sums(folder)?;
    push_layout(&folder.join("oci"), registry, plain_http)
}

/// What is pushed is what was made.
fn check_sums(folder: &Path) -> Result<(), String> {
    let sums = crate::read_text(&folder.join(files::SUMS)).map_err(|error| format!("{error}: run `make dist`"))?;
    if files::sums(folder)? == sums {
        Ok(())
    } else {
        Err(format!("{} does not fit its {}: run `make dist`", folder.display(), files::SUMS))
    }
}

fn push_layout(layout: &Path, registry: &str, plain_http: bool) -> Result<String, String> {
    let registry = checked(registry)?;
    let index = layout.join("index.json");
    let index: Value =
        serde_json::from_slice(&crate::read(&index)?).map_err(|error| format!("{}: {error}", index.display()))?;
    let manifests =
        index["manifests"].as_array().filter(|manifests| !manifests.is_empty()).ok_or("the layout has no manifest")?;
    let mut pushed = Vec::new();
    for manifest in manifests {
        let text = |value: &Value| {
            value.as_str().map(str::to_owned).ok_or_else(|| format!("an incomplete manifest: {manifest}"))
        };
        let (reference, digest) = (text(&manifest["annotations"][oci::REFERENCE])?, text(&manifest["digest"])?);
        if text(&manifest["annotations"][oci::REVISION])?.ends_with("-dirty")
            && env::var("DIST_DIRTY").as_deref() != Ok("1")
        {
            return Err(format!(
                "{reference} was made of a changed checkout: commit and run `make dist`, or set DIST_DIRTY=1"
            ));
        }
        let remote = format!("docker://{registry}/{reference}");
        match digest_of(&remote, plain_http) {
            Ok(found) if found == digest => pushed.push(format!("{registry}/{reference} is there already: {digest}")),
            Ok(found) => {
                return Err(format!(
                    "{registry}/{reference} is there already, and another file: {found}, not {digest}. A version is released once: raise it"
                ));
            }
            // Not there yet. Anything else fails below as well.
            Err(_) => {
                let source = format!("oci:{}:{reference}", layout.display());
                let tls = format!("--dest-tls-verify={}", !plain_http);
                skopeo(&["copy", "--quiet", "--preserve-digests", &tls, &source, &remote])?;
                let found = digest_of(&remote, plain_http)?;
                if found != digest {
                    return Err(format!("{registry} stored {reference} as {found}, and not as {digest}"));
                }
                pushed.push(format!("{registry}/{reference}: {digest}"));
            }
        }
    }
    Ok(pushed.join("\n"))
}

/// The digest of the manifest that a registry has.
fn digest_of(remote: &str, plain_http: bool) -> Result<String, String> {
    let manifest = skopeo(&["inspect", "--raw", &format!("--tls-verify={}", !plain_http), remote])?;
    Ok(format!("sha256:{}", files::sha256(&manifest)))
}

/// A registry is a host, with a port or a path: nothing that `skopeo` takes for an option or a tag.
fn checked(registry: &str) -> Result<&str, String> {
    let registry = registry.trim_end_matches('/');
    let (host, path) = registry.split_once('/').unwrap_or((registry, ""));
    let fits = |text: &str, more: &str| {
        text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
            && text.chars().all(|other| other.is_ascii_alphanumeric() || more.contains(other))
    };
    if fits(host, ".-:[]") && (path.is_empty() || fits(path, "._-/")) {
        Ok(registry)
    } else {
        Err(format!("{registry:?} is no registry: write HOST[:PORT][/PREFIX]"))
    }
}

fn skopeo(arguments: &[&str]) -> Result<Vec<u8>, String> {
    // A registry that hangs does not keep this waiting. A policy of signatures is for what is pulled.
    let made = Command::new("skopeo")
        .args(["--command-timeout", "5m", "--insecure-policy"])
        .args(arguments)
        .output()
        .map_err(|error| format!("starting skopeo: {error}. It is a package of Debian, Fedora and Homebrew"))?;
    if made.status.success() {
        Ok(made.stdout)
    } else {
        Err(format!("skopeo {}: {}", arguments.join(" "), String::from_utf8_lossy(&made.stderr).trim()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::process::{Child, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::dist::release;

    /// Debian's `docker-registry` on loopback.
    struct Registry {
        process: Child,
        address: String,
        _folder: tempfile::TempDir,
    }

    impl Registry {
        /// None if it is not installed, or `skopeo` is not.
        fn start() -> Option<Registry> {
            for (tool, package) in [("docker-registry", "docker-registry"), ("skopeo", "skopeo")] {
                if Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
                    // Past the test harness, which keeps what passing tests print.
                    let text = format!(
                        "LEFT OUT: pushing to an OCI registry: no {tool} (Debian: apt-get install {package})\n"
                    );
                    std::io::stderr().write_all(text.as_bytes()).unwrap();
                    return None;
                }
            }
            let folder = tempfile::tempdir().unwrap();
            let (config, log) = (folder.path().join("config.yml"), folder.path().join("log"));
            let text = format!(
                "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
                 storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n",
                folder.path().join("storage").display()
            );
            fs::write(&config, text).unwrap();
            let output = File::create(&log).unwrap();
            let mut process = Command::new("docker-registry")
                .arg("serve")
                .arg(&config)
                .env("OTEL_TRACES_EXPORTER", "none")
                .stdout(output.try_clone().unwrap())
                .stderr(output)
                .spawn()
                .unwrap();
            let deadline = Instant::now() + Duration::from_secs(30);
            loop {
                let text = fs::read_to_string(&log).unwrap();
                if let Some((_, rest)) = text.split_once("listening on ") {
                    let end = rest.find(|other: char| !other.is_ascii_digit() && other != '.' && other != ':');
                    if let Some(end) = end {
                        return Some(Registry { process, address: rest[..end].to_owned(), _folder: folder });
                    }
                }
                if Instant::now() > deadline || process.try_wait().unwrap().is_some() {
                    let _ = process.kill();
                    panic!("docker-registry does not listen:\n{text}");
                }
                sleep(Duration::from_millis(20));
            }
        }
    }

    impl Drop for Registry {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    #[test]
    fn registry_serves_what_was_pushed_and_keeps_a_version() {
        let Some(registry) = Registry::start() else { return };
        let folder = tempfile::tempdir().unwrap();
        let layout = folder.path().join("oci");
        let release = release::tests::release();
        oci::tests::layout(&layout, &release);
        let prefix = format!("{}/mirror", registry.address);
        let pushed = push_layout(&layout, &prefix, true).unwrap();
        assert!(pushed.contains("/mirror/sandbucket/s3:") && pushed.contains("/mirror/sandbucket/blob:"), "{pushed}");

        // Every blob of the layout comes back from the registry as it was.
        for line in pushed.lines() {
            let (reference, digest) = line.split_once(": ").unwrap();
            let pulled = folder.path().join(digest.replace(':', "-"));
            let to = format!("oci:{}:pulled", pulled.display());
            skopeo(&["copy", "--preserve-digests", "--src-tls-verify=false", &format!("docker://{reference}"), &to])
                .unwrap();
            let files = files::list(&pulled.join("blobs")).unwrap();
            assert_eq!(files.len(), 3, "manifest, configuration and component: {files:?}");
            for file in files {
                let file = Path::new("blobs").join(file);
                assert!(
                    crate::read(&pulled.join(&file)).unwrap() == crate::read(&layout.join(&file)).unwrap(),
                    "{file:?}"
                );
            }
        }

        let again = push_layout(&layout, &prefix, true).unwrap();
        assert_eq!(again.matches("is there already").count(), 2, "{again}");

        let mut other = release::tests::release();
        other.revision = "another".to_owned();
        fs::remove_dir_all(&layout).unwrap();
        oci::tests::layout(&layout, &other);
        let error = push_layout(&layout, &prefix, true).unwrap_err();
        assert!(error.contains("A version is released once"), "{error}");
    }

    #[test]
    fn changed_file_and_changed_checkout_are_not_pushed() {
        let folder = tempfile::tempdir().unwrap();
        let mut release = release::tests::release();
        release.revision += "-dirty";
        oci::tests::layout(&folder.path().join("oci"), &release);
        let error = push(folder.path(), "registry.example", false).unwrap_err();
        assert!(error.contains("make dist"), "{error}");

        files::write(&folder.path().join(files::SUMS), files::sums(folder.path()).unwrap().as_bytes()).unwrap();
        let error = push(folder.path(), "registry.example", false).unwrap_err();
        assert!(error.contains("a changed checkout"), "{error}");

        files::write(&folder.path().join("oci/oci-layout"), b"{}").unwrap();
        let error = push(folder.path(), "registry.example", false).unwrap_err();
        assert!(error.contains("does not fit"), "{error}");
    }

    #[test]
    fn registry_is_a_host_with_a_port_or_a_path() {
        for fits in ["registry.example", "registry.example:5000/team/a_b", "127.0.0.1:5000", "[::1]:5000/a/"] {
            checked(fits).unwrap();
        }
        for wrong in ["", "/", "-x", "https://registry.example", "host/a:tag", "host/a b", "host/-a", "host//a", "a@b"]
        {
            checked(wrong).unwrap_err();
        }
    }
}
