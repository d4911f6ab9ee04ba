//! Files of a release: writing, listing and their checksums.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The checksums of all other files, as `sha256sum --check` reads them.
pub(super) const SUMS: &str = "SHA256SUMS";

pub(super) fn write(file: &Path, content: &[u8]) -> Result<(), String> {
    let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(file, content));
    written.map_err(|error| format!("writing {}: {error}", file.display()))
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All files of a folder and those below, sorted, as paths from the folder.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    fn collect(folder: &Path, below: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
        for entry in fs::read_dir(folder.join(below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                collect(folder, &path, files)?;
            } else {
                files.push(path);
            }
        }
        Ok(())
    }
    let mut files = Vec::new();
    collect(folder, Path::new(""), &mut files).map_err(|error| format!("listing {}: {error}", folder.display()))?;
    files.sort();
    Ok(files)
}

/// A line `SHA-256  PATH` for each file but `SHA256SUMS` itself.
pub(super) fn sums(folder: &Path) -> Result<String, String> {
    let mut sums = String::new();
    for file in list(folder)?.into_iter().filter(|file| file != Path::new(SUMS)) {
        sums += &format!("{}  {}\n", sha256(&crate::read(&folder.join(&file))?), file.display());
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_sorted_and_cover_all_files_but_themselves() {
        let folder = tempfile::tempdir().unwrap();
        for (file, content) in [("b", "2"), ("a/c", "1"), (SUMS, "old")] {
            write(&folder.path().join(file), content.as_bytes()).unwrap();
        }
        let expected = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b  a/c\n\
                        d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35  b\n";
        assert_eq!(sums(folder.path()).unwrap(), expected);
    }
}
