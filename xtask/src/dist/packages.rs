//! The packages of other registries, made by the scripts that make and test them elsewhere.

use std::env;
use std::path::Path;
use std::process::Command;

use super::release::Release;

/// A kind of package.
struct Packages {
    /// Its name in `DIST_SKIP`.
    name: &'static str,
    /// Puts packages into the folder that is its argument.
    script: &'static str,
    /// What it makes, with the version for `{}`: another version in a manifest shows in the name.
    files: &'static [&'static str],
}

const PACKAGES: [Packages; 3] = [
    Packages { name: "npm", script: "host/node/scripts/pack.sh", files: &["sandbucket-{}.tgz"] },
    Packages {
        name: "python",
        script: "host/python/build.sh",
        files: &["sandbucket-{}-py3-none-any.whl", "sandbucket-{}.tar.gz"],
    },
    Packages {
        name: "crates",
        script: "tests/packaging/crates.sh",
        files: &["sandbucket-{}.crate", "sandbucket-cli-{}.crate"],
    },
];

/// Makes all packages but those that `DIST_SKIP` names.
pub(super) fn build(root: &Path, folder: &Path, tools: &Path, release: &Release) -> Result<(), String> {
    let skipped = env::var("DIST_SKIP").unwrap_or_default();
    let skipped = skipped_of(&skipped)?;
    for packages in &PACKAGES {
        let Packages { name, script, files } = packages;
        if skipped.contains(name) {
            eprintln!("dist: LEFT OUT: the packages of {name}, by DIST_SKIP");
            continue;
        }
        let folder = folder.join(name);
        let mut command = Command::new(root.join(script));
        command.arg(&folder).current_dir(root).env("SOURCE_DATE_EPOCH", &release.epoch).env("SANDBUCKET_TOOLS", tools);
        // The packages have the prebuilt plugins in them.
        command.env_remove("SANDBUCKET_PLUGIN").env_remove("SANDBUCKET_AZURE_PLUGIN");
        if release.is_dirty() {
            command.env("SANDBUCKET_DIRTY", "1");
        }
        let made = command.output().map_err(|error| format!("starting {script}: {error}"))?;
        if !made.status.success() {
            let (out, err) = (String::from_utf8_lossy(&made.stdout), String::from_utf8_lossy(&made.stderr));
            return Err(format!("{script}: {}. `DIST_SKIP={name}` leaves it out.\n{out}{err}", made.status));
        }
        for file in files.iter().map(|file| file.replace("{}", env!("CARGO_PKG_VERSION"))) {
            if !folder.join(&file).is_file() {
                return Err(format!(
                    "{script} made no {file}: is the version in its manifest {}?",
                    env!("CARGO_PKG_VERSION")
                ));
            }
        }
    }
    Ok(())
}

/// The names in `DIST_SKIP`, separated by spaces or commas.
fn skipped_of(text: &str) -> Result<Vec<&str>, String> {
    let names: Vec<&str> = text.split([' ', ',']).filter(|name| !name.is_empty()).collect();
    let known = PACKAGES.map(|packages| packages.name);
    match names.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(format!("DIST_SKIP has {name:?}, and not some of {}", known.join(", "))),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_to_skip_are_checked() {
        assert_eq!(skipped_of("npm, crates").unwrap(), ["npm", "crates"]);
        assert!(skipped_of("").unwrap().is_empty());
        assert!(skipped_of("npm node").unwrap_err().contains("\"node\""));
    }

    #[test]
    fn scripts_are_there() {
        for packages in &PACKAGES {
            assert!(crate::root().join(packages.script).is_file(), "{}", packages.script);
        }
    }
}
