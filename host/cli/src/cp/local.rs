//! Paths of files for downloaded blobs.

use std::path::{Component, Path, PathBuf};

use crate::exit::Exit;
use crate::failure::Failure;

/// Characters that no file name contains: on Windows, `\` separates folders and `:` follows a drive.
const FORBIDDEN: &[char] = if cfg!(windows) { &['\0', '\\', ':'] } else { &['\0'] };

/// The path of this name in the folder: never outside it, whatever the key.
pub fn inside(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let plain = |segment: &str| {
        let mut components = Path::new(segment).components();
        let one = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
        one && !segment.contains(FORBIDDEN)
    };
    if name.split('/').all(plain) {
        return Ok(folder.join(name));
    }
    let message = format!("{name:?} cannot be a file below {}", folder.display());
    Err(Failure::new(Exit::Failure, message).with_hint("`sandbucket get` writes it to a file of any name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_escape_the_folder() {
        let folder = Path::new("/tmp/x");
        assert_eq!(inside(folder, "a/b c/é.txt").unwrap(), Path::new("/tmp/x/a/b c/é.txt"));
        for evil in ["", "..", "../a", "a/../../b", "/etc/passwd", "a//b", "a/", "./a", "a/.", "a\0b"] {
            assert!(inside(folder, evil).is_err(), "{evil:?}");
        }
        for foreign in ["a\\..\\b", "C:\\a", "2024-01-01T12:30:00.log"] {
            assert_eq!(inside(folder, foreign).is_err(), cfg!(windows), "{foreign:?}");
        }
    }
}
