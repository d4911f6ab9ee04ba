//! The compile cache: plugins compiled to machine code, kept on disk between runs.
//!
//! What is read back runs outside any sandbox. So the folder and each entry are opened without following symbolic links,
//! and what was opened, not what a path names later, must belong to this process's user and be writable by nobody else.
//! The header of an entry binds the code to one component and one engine configuration: an entry that was renamed,
//! copied, cut or changed is compiled again, never executed. All file operations are relative to the open folder.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Timespec, Timestamps};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

/// What an entry begins with. The last byte is the format's version.
const MAGIC: [u8; 16] = *b"sandbucket-code\x01";

/// Magic, key, and the SHA-256 of magic, key and code.
const HEADER: usize = MAGIC.len() + 32 + 32;

/// The largest entry that is read, in bytes. The built-in plugin compiles to about 5 MiB.
const MAX_ENTRY: u64 = 512 << 20;

/// How many entries are kept: those used last. A host runs one or two plugins in one or two configurations.
const MAX_ENTRIES: usize = 8;

/// The age from which a temporary file is that of a writer which crashed: writing one takes milliseconds.
const STALE: Duration = Duration::from_secs(3600);

/// The cache as it is for one component and one engine configuration.
pub(crate) struct CompileCache {
    folder: File,
    /// For messages alone.
    path: PathBuf,
    key: [u8; 32],
}

impl CompileCache {
    /// Opens the folder, and makes it where it is missing, for this user alone.
    ///
    /// # Errors
    /// If it cannot be made or opened, is a symbolic link, belongs to another user, or can be written by others.
    pub(crate) fn open(folder: &Path, engine: &wasmtime::Engine, component: &[u8]) -> io::Result<CompileCache> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
        // With a slash or `/.` at the end, a link would be followed in spite of `NOFOLLOW`.
        let folder = folder.components().as_path();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(named)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(folder, flags, Mode::empty());
        let opened = opened.map_err(|error| match error {
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => {
                denied("it must be a folder, and not a symbolic link")
            }
            error => error.into(),
        });
        let opened = File::from(opened.map_err(named)?);
        check_owner(&opened.metadata().map_err(named)?).map_err(named)?;
        Ok(CompileCache { folder: opened, path: folder.to_owned(), key: key(engine, component) })
    }

    /// The component, if its entry is whole, this user's own, and made for it.
    pub(crate) fn read(&self, engine: &wasmtime::Engine) -> Option<Component> {
        let code = match self.read_entry() {
            Ok(code) => code?,
            Err(error) => {
                let (folder, entry) = (self.path.display(), self.name());
                tracing::warn!(%folder, entry, %error, "the entry of the compile cache is not used");
                return None;
            }
        };
        // SAFETY: the bytes are what `serialize` gave to a process of this user, whole and for this component and
        // configuration: the header says so, and only this user could have written it. wasmtime itself checks version
        // and configuration again.
        match unsafe { Component::deserialize(engine, &code[HEADER..]) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::debug!(%error, "the entry of the compile cache does not fit");
                None
            }
        }
    }

    /// The entry with its header, or none where there is none.
    fn read_entry(&self) -> io::Result<Option<Vec<u8>>> {
        // Without `NONBLOCK`, opening a FIFO waits for somebody to write.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.folder, self.name(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => return Err(denied("it is a symbolic link")),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(denied("it is not a regular file"));
        }
        check_owner(&metadata)?;
        // None where another process has replaced it since it was opened.
        if metadata.nlink() > 1 {
            return Err(denied("it has hard links beside this name"));
        }
        if metadata.len() > MAX_ENTRY {
            return Err(damaged());
        }
        let mut entry = Vec::with_capacity(metadata.len() as usize + 1);
        (&file).take(MAX_ENTRY + 1).read_to_end(&mut entry)?;
        let Some((header, code)) = entry.split_at_checked(HEADER) else { return Err(damaged()) };
        if entry.len() as u64 > MAX_ENTRY || header[..] != header_of(&self.key, code) {
            return Err(damaged());
        }
        // The entries used last are the ones to keep. That it cannot be noted, on a read-only file system, is no matter.
        let times = Timestamps { last_access: now(), last_modification: now() };
        let _ = rustix::fs::futimens(&file, &times);
        Ok(Some(entry))
    }

    /// Writes the component's entry, whole or not at all, and removes what is left over.
    pub(crate) fn write(&self, component: &Component) -> io::Result<()> {
        let code = component.serialize().map_err(io::Error::other)?;
        self.write_entry(&code)?;
        self.clean();
        Ok(())
    }

    fn write_entry(&self, code: &[u8]) -> io::Result<()> {
        let temporary = temporary_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.folder, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        let written = (|| {
            file.write_all(&header_of(&self.key, code))?;
            file.write_all(code)?;
            Ok(rustix::fs::renameat(&self.folder, &temporary, &self.folder, self.name())?)
        })();
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&self.folder, &temporary, AtFlags::empty());
        }
        written
    }

    /// Removes temporary files of writers that crashed, and all entries but those used last. What cannot be removed stays.
    fn clean(&self) {
        let Ok(found) = Dir::read_from(&self.folder) else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut entries = Vec::new();
        for name in found.flatten().map(|entry| entry.file_name().to_owned()) {
            let (is_entry, is_temporary) = (name.to_bytes().ends_with(b".cwasm"), name.to_bytes().ends_with(b".tmp"));
            if !is_entry && !is_temporary {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&self.folder, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                continue;
            }
            let modified = u64::try_from(stat.st_mtime).unwrap_or_default();
            if is_entry {
                entries.push((modified, stat.st_mtime_nsec, name));
            } else if now.abs_diff(modified) > STALE.as_secs() {
                let _ = rustix::fs::unlinkat(&self.folder, &name, AtFlags::empty());
            }
        }
        entries.sort_by(|a, b| b.cmp(a));
        for (_, _, name) in entries.into_iter().skip(MAX_ENTRIES) {
            let _ = rustix::fs::unlinkat(&self.folder, &name, AtFlags::empty());
        }
    }

    /// The entry's name in the folder.
    fn name(&self) -> String {
        format!("{}.cwasm", hex(&self.key))
    }

    #[cfg(test)]
    pub(crate) fn file(&self) -> PathBuf {
        self.path.join(self.name())
    }
}

/// Only this process's user can have written it.
fn check_owner(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(denied("it belongs to another user"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(denied("its group or others can write to it"));
    }
    Ok(())
}

fn denied(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged, or was made for another plugin or configuration")
}

/// What an entry is for: the component, and the engine's version and configuration.
fn key(engine: &wasmtime::Engine, component: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.update(Sha256::digest(component));
    hasher.0.finalize().into()
}

fn header_of(key: &[u8; 32], code: &[u8]) -> [u8; HEADER] {
    let digest = Sha256::new().chain_update(MAGIC).chain_update(key).chain_update(code).finalize();
    let mut header = [0; HEADER];
    header[..MAGIC.len()].copy_from_slice(&MAGIC);
    header[MAGIC.len()..][..32].copy_from_slice(key);
    header[MAGIC.len() + 32..].copy_from_slice(&digest);
    header
}

/// A name that nobody can guess: the standard library seeds its hashers from the system.
fn temporary_name() -> String {
    let random = || RandomState::new().hash_one(0);
    format!(".{:016x}{:016x}.tmp", random(), random())
}

fn now() -> Timespec {
    Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW }
}

/// Feeds what is hashed to SHA-256, so that the outcome is the same in every process.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("only the digest is asked for")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
