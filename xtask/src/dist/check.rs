//! Makes a release twice and compares it: once of the checkout, once of a clone in another folder, whose files have other times.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::files;
use super::release::run;

/// Makes the release in `target/dist` and again elsewhere. Every file must be the same, byte for byte.
pub(crate) fn check(root: &Path, target: &Path) -> Result<String, String> {
    if super::Release::of(root)?.is_dirty() {
        return Err("a clone has no uncommitted changes: commit them to compare".to_owned());
    }
    let (folder, tools) = (target.join("dist"), target.join("tools"));
    let first = super::build(root, &folder, &tools)?;

    let scratch = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    let clone = scratch.path().join("clone");
    let path = |path: &Path| path.display().to_string();
    let head = run(root, "git", &["rev-parse", "HEAD"])?;
    run(root, "git", &["clone", "--quiet", "--no-checkout", &path(root), &path(&clone)])?;
    run(&clone, "git", &["checkout", "--quiet", "--detach", &head])?;
    // The tools that npm installed are the same for both; what they make is made anew.
    let modules = Path::new("host/node/node_modules");
    if root.join(modules).exists() {
        symlink(root.join(modules), clone.join(modules)).map_err(|error| format!("linking node_modules: {error}"))?;
    }
    let again = scratch.path().join("dist");
    super::build(&clone, &again, &tools)?;

    let differing = differing(&folder, &again)?;
    if !differing.is_empty() {
        let kept = scratch.keep();
        return Err(format!("not reproducible: {}\nThe second release is in {}", differing.join(", "), kept.display()));
    }
    Ok(format!("{first}\nA second build of a clone made the same, byte for byte"))
}

/// The files that are in one folder only or differ.
fn differing(one: &Path, other: &Path) -> Result<Vec<String>, String> {
    let all: BTreeSet<_> = files::list(one)?.into_iter().chain(files::list(other)?).collect();
    let content = |folder: &Path, file: &Path| std::fs::read(folder.join(file)).ok();
    let differs = |file: &Path| {
        let (one, other) = (content(one, file), content(other, file));
        one.is_none() || one != other
    };
    Ok(all.iter().filter(|file| differs(file)).map(|file| file.display().to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_differs_or_is_missing_is_found() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (folder, file, content) in [
            (&one, "same", "a"),
            (&other, "same", "a"),
            (&one, "below/changed", "a"),
            (&other, "below/changed", "b"),
            (&one, "first", ""),
            (&other, "second", ""),
        ] {
            files::write(&folder.path().join(file), content.as_bytes()).unwrap();
        }
        assert_eq!(differing(one.path(), other.path()).unwrap(), ["below/changed", "first", "second"]);
    }
}
