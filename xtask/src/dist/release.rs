//! What a release is made of: the commit, and the plugins of the checkout.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::sources;

/// The commit that is released.
pub(super) struct Release {
    /// Its id. `-dirty` follows if the checkout differs from it and `DIST_DIRTY=1` allows that.
    pub(super) revision: String,
    /// Time of the commit, in seconds since 1970: the only time that goes into files.
    pub(super) epoch: String,
    /// The same as RFC 3339, in UTC.
    pub(super) created: String,
    /// Of the workspace, as an SPDX expression.
    pub(super) licence: String,
    /// URL of the sources: `DIST_SOURCE`, or `repository` in the plugin's manifest.
    pub(super) source: Option<String>,
}

/// A prebuilt plugin of the checkout.
pub(super) struct Plugin {
    /// Of the crate and of the file.
    pub(super) name: String,
    pub(super) version: String,
    pub(super) description: String,
    /// An SPDX expression.
    pub(super) licence: String,
    /// The file.
    pub(super) file: PathBuf,
    /// `rustc --version` of the compiler that built it.
    pub(super) compiler: String,
}

impl Release {
    pub(super) fn of(root: &Path) -> Result<Release, String> {
        let git = |arguments: &[&str]| run(root, "git", arguments);
        let mut revision = git(&["rev-parse", "HEAD"])?;
        let changes = git(&["status", "--porcelain"])?;
        if !changes.is_empty() {
            if env::var_os("DIST_DIRTY").as_deref() != Some(OsStr::new("1")) {
                return Err(format!(
                    "the checkout differs from its commit, so that a revision would name other sources. Commit, or set DIST_DIRTY=1 to \
                     mark the revision `-dirty`:\n{changes}"
                ));
            }
            revision += "-dirty";
        }
        let packages = cargo_metadata(root)?;
        let library = package(&packages, "sandbucket")?;
        let declared = field(library, "repository").ok();
        let source = env::var("DIST_SOURCE").ok().filter(|source| !source.is_empty()).or(declared);
        Ok(Release {
            revision,
            epoch: git(&["log", "-1", "--format=%ct"])?,
            created: git(&["log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"])?,
            licence: field(library, "license")?,
            source,
        })
    }

    /// Whether this is the release of a commit, and not of a changed checkout.
    pub(super) fn is_dirty(&self) -> bool {
        self.revision.ends_with("-dirty")
    }
}

/// The prebuilt plugins, each of which must be built from the sources that are here.
pub(super) fn plugins(root: &Path) -> Result<Vec<Plugin>, String> {
    let folder = root.join("host/sandbucket/plugin");
    let packages = cargo_metadata(root)?;
    let mut plugins = Vec::new();
    for file in super::files::list(&folder)?.into_iter().filter(|file| file.extension() == Some(OsStr::new("wasm"))) {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let fingerprint =
            sources::fingerprint(root, &name).map_err(|error| format!("the sources of {name}: {error}"))?;
        let record = crate::read_text(&folder.join(&file).with_extension("built"))?;
        if sources::field(&record, "sources") != Some(&fingerprint) {
            return Err(format!("{} is not built from these sources: run `make plugin`", folder.join(file).display()));
        }
        let package = package(&packages, &name)?;
        plugins.push(Plugin {
            version: field(package, "version")?,
            description: field(package, "description")?,
            licence: field(package, "license")?,
            compiler: sources::field(&record, "compiler").ok_or("the record has no compiler")?.to_owned(),
            file: folder.join(file),
            name,
        });
    }
    if plugins.is_empty() { Err(format!("{} has no plugin", folder.display())) } else { Ok(plugins) }
}

/// The packages of the workspace.
fn cargo_metadata(root: &Path) -> Result<Value, String> {
    let text = cargo(root, &["metadata", "--format-version", "1", "--no-deps", "--locked"])?;
    serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))
}

fn package<'a>(metadata: &'a Value, name: &str) -> Result<&'a Value, String> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    packages
        .iter()
        .find(|package| package["name"] == name)
        .ok_or_else(|| format!("the workspace has no package {name}"))
}

fn field(package: &Value, name: &str) -> Result<String, String> {
    package[name].as_str().map(str::to_owned).ok_or_else(|| format!("{} has no {name}", package["name"]))
}

pub(super) fn cargo(root: &Path, arguments: &[&str]) -> Result<String, String> {
    run(root, &env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()), arguments)
}

/// The output of a command that must succeed, without the space at its end.
pub(super) fn run(folder: &Path, command: &str, arguments: &[&str]) -> Result<String, String> {
    let tried = || format!("{command} {}", arguments.join(" "));
    // Times are those of UTC, and messages are in one language.
    let made = Command::new(command)
        .args(arguments)
        .current_dir(folder)
        .envs([("TZ", "UTC"), ("LC_ALL", "C")])
        .output()
        .map_err(|error| format!("{}: {error}", tried()))?;
    if !made.status.success() {
        return Err(format!("{}: {}: {}", tried(), made.status, String::from_utf8_lossy(&made.stderr).trim()));
    }
    let output = String::from_utf8(made.stdout).map_err(|error| format!("{}: {error}", tried()))?;
    Ok(output.trim_end().to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The prebuilt plugin for S3.
    pub(in crate::dist) fn s3() -> Plugin {
        let plugins = plugins(crate::root()).expect("the prebuilt plugins");
        plugins.into_iter().find(|plugin| plugin.name == "sandbucket-s3").expect("that for S3")
    }

    pub(in crate::dist) fn release() -> Release {
        Release {
            revision: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            epoch: "1767225600".to_owned(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            licence: "MIT OR Apache-2.0".to_owned(),
            source: Some("https://git.example/sandbucket".to_owned()),
        }
    }

    #[test]
    fn command_that_fails_is_an_error_with_what_it_said() {
        let error = run(Path::new("/"), "git", &["no-such-command"]).unwrap_err();
        assert!(error.contains("git no-such-command") && error.contains("not a git command"), "{error}");
    }
}
