//! The plugin: from bytes to something that instances are made of.
//!
//! Compiling takes a good part of a second, so the outcome is kept on disk. What is read back from there is machine code
//! that will run outside any sandbox: hence the care about who can write to it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, Linker, types::ComponentItem};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p2::bindings::{clocks, io as wasi_io};
use wasmtime_wasi_http::p2::bindings::{LinkOptions, http};
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};

use crate::bindings::HostPre;
use crate::error::{Error, Result};
use crate::outgoing;
use crate::state::State;

/// What a plugin may import.
const ALLOWED: [&str; 7] = [
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
];

/// A compiled plugin, linked to the host's functions.
pub(crate) struct Plugin {
    pub(crate) pre: HostPre,
    /// What it imports, as `wasi:http/types@0.2.0`, sorted.
    pub(crate) imports: Vec<String>,
}

impl Plugin {
    /// Compiles the component, or takes what an earlier run compiled and kept in this folder.
    pub(crate) fn load(engine: &wasmtime::Engine, bytes: &[u8], cache: Option<&Path>) -> Result<Plugin> {
        let component = match cache.map(|folder| Cache::open(folder, engine, bytes)) {
            None => compile(engine, bytes)?,
            Some(Err(error)) => {
                tracing::warn!(%error, "compiled plugins are not kept");
                compile(engine, bytes)?
            }
            Some(Ok(cache)) => match cache.read(engine) {
                Some(component) => component,
                None => {
                    let component = compile(engine, bytes)?;
                    if let Err(error) = cache.write(&component) {
                        tracing::warn!(%error, "the compiled plugin could not be kept");
                    }
                    component
                }
            },
        };
        let imports = imports(engine, &component)?;
        let linker = linker(engine).map_err(|error| Error::plugin(format!("{error:#}")))?;
        let pre = linker.instantiate_pre(&component).and_then(HostPre::new).map_err(|error| {
            Error::plugin(format!("this component is no sandbucket:blob/blob-store@0.1.0: {error:#}"))
        })?;
        Ok(Plugin { pre, imports })
    }
}

fn compile(engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Component> {
    let begun = std::time::Instant::now();
    let component = Component::new(engine, bytes)
        .map_err(|error| Error::plugin(format!("this is no WebAssembly component that can be compiled: {error:#}")))?;
    tracing::debug!(took = ?begun.elapsed(), "plugin compiled");
    Ok(component)
}

/// The names of a component's imports. One that is not allowed is an error, before anything of it runs.
fn imports(engine: &wasmtime::Engine, component: &Component) -> Result<Vec<String>> {
    let ty = component.component_type();
    let mut names = Vec::new();
    for (name, item) in ty.imports(engine) {
        let interface = name.split('@').next().unwrap_or(name);
        if !ALLOWED.contains(&interface) || !matches!(item.ty, ComponentItem::ComponentInstance(_)) {
            return Err(Error::plugin(format!(
                "it imports {name}, which no plugin may have: only wasi:http/outgoing-handler, wasi:clocks/wall-clock \
                 and monotonic-clock, and what these stand on"
            )));
        }
        names.push(name.to_owned());
    }
    names.sort();
    Ok(names)
}

/// All that a plugin can reach.
fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasi_io::error::add_to_linker::<_, State>(&mut linker, |state: &mut State| &mut state.table)?;
    wasi_io::poll::add_to_linker::<_, State>(&mut linker, |state: &mut State| &mut state.table)?;
    wasi_io::streams::add_to_linker::<_, State>(&mut linker, |state: &mut State| &mut state.table)?;
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(&mut linker, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(&mut linker, State::clocks)?;
    let features = LinkOptions::default();
    http::types::add_to_linker::<_, WasiHttp>(&mut linker, &(&features).into(), State::http)?;
    outgoing::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// The file in which one component is kept as machine code for one build of wasmtime, configured in one way.
///
/// It holds the SHA-256 of the rest, then what `Component::serialize` gave.
struct Cache {
    file: PathBuf,
}

impl Cache {
    /// Makes the folder, or makes sure that nobody else could have written into it.
    fn open(folder: &Path, engine: &wasmtime::Engine, bytes: &[u8]) -> io::Result<Cache> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let about = fs::metadata(folder)?;
        if !ours(&about) {
            let words = format!("{} belongs to, or can be written by, somebody else", folder.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
        }
        let mut compatibility = Compatibility(Sha256::new());
        std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut compatibility);
        compatibility.0.update(bytes);
        let name = hex(&compatibility.0.finalize());
        Ok(Cache { file: folder.join(format!("{name}.cwasm")) })
    }

    /// What is kept, if it is whole and ours.
    fn read(&self, engine: &wasmtime::Engine) -> Option<Component> {
        let mut file = fs::File::open(&self.file).ok()?;
        if !ours(&file.metadata().ok()?) {
            tracing::warn!(file = %self.file.display(), "not used: it belongs to, or can be written by, somebody else");
            return None;
        }
        let mut kept = Vec::new();
        io::Read::read_to_end(&mut file, &mut kept).ok()?;
        let (digest, code) = kept.split_at_checked(32)?;
        if Sha256::digest(code)[..] != *digest {
            tracing::warn!(file = %self.file.display(), "the kept plugin is damaged; compiling it anew");
            return None;
        }
        // SAFETY: the bytes are what `serialize` gave to a process of this user: only it can write the file and its
        // folder, and the digest says that they are whole. wasmtime itself checks version and configuration.
        match unsafe { Component::deserialize(engine, code) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::debug!(%error, "the kept plugin does not fit; compiling it anew");
                None
            }
        }
    }

    /// Keeps it, whole or not at all.
    fn write(&self, component: &Component) -> io::Result<()> {
        let code = component.serialize().map_err(io::Error::other)?;
        let half = self.file.with_extension(format!("{}.tmp", std::process::id()));
        let written = (|| {
            let _ = fs::remove_file(&half);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
            file.write_all(&Sha256::digest(&code))?;
            file.write_all(&code)?;
            fs::rename(&half, &self.file)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&half);
        }
        written
    }
}

/// Whether only this process's user can have written it.
fn ours(about: &fs::Metadata) -> bool {
    // /proc/self belongs to the user that the process runs as.
    let user = fs::metadata("/proc/self").map(|me| me.uid());
    user.is_ok_and(|user| user == about.uid()) && about.permissions().mode() & 0o022 == 0
}

/// Gathers what is hashed, so that the outcome is the same in every process.
struct Compatibility(Sha256);

impl std::hash::Hasher for Compatibility {
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
