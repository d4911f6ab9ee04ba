//! The plugin: from bytes to something that instances are made of.
//!
//! Compiling takes a good part of a second, so the outcome goes into the compile cache.

use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, Weak};

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, Linker, types::ComponentItem};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p2::bindings::{clocks, io as wasi_io};
use wasmtime_wasi_http::p2::bindings::{LinkOptions, http};
use wasmtime_wasi_http::{WasiHttp, WasiHttpView};

use crate::error::{Error, Result};
use crate::sandbox::bindings::HostPre;
use crate::sandbox::compile_cache::CompileCache;
use crate::sandbox::host_state::State;
use crate::sandbox::wasi_http;

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

/// A plugin, compiled for one engine. Cloning is cheap and returns the same plugin.
///
/// An engine has a default plugin, and loads others: see [`Engine::plugin_file`](crate::Engine::plugin_file). Stores of different
/// plugins share the engine's limits and connections.
#[derive(Clone)]
pub struct Plugin(Arc<Compiled>);

/// A compiled component, linked to the host's functions.
struct Compiled {
    engine: wasmtime::Engine,
    pre: HostPre,
    imports: Vec<String>,
    exports: Vec<String>,
    digest: String,
}

/// The plugins of an engine that are in use, so that none is compiled twice.
#[derive(Default)]
pub(crate) struct Plugins(Vec<Weak<Compiled>>);

impl Plugins {
    pub(crate) fn get(&self, digest: &str) -> Option<Plugin> {
        self.0.iter().filter_map(Weak::upgrade).find(|known| known.digest == digest).map(Plugin)
    }

    pub(crate) fn add(&mut self, plugin: &Plugin) {
        self.0.retain(|known| known.strong_count() > 0);
        self.0.push(Arc::downgrade(&plugin.0));
    }
}

impl Plugin {
    /// The plugin's imports, which are all that it can reach: names such as `wasi:http/types@0.2.0`, sorted.
    pub fn imports(&self) -> &[String] {
        &self.0.imports
    }

    /// The plugin's exports: names such as `sandbucket:blob/store@0.2.0`, sorted.
    pub fn exports(&self) -> &[String] {
        &self.0.exports
    }

    /// Whether the plugin exports the interface `sans-io`: the host then sends its requests, and no instance is held while one is in
    /// flight. A plugin without it sends requests over wasi:http.
    pub fn is_sans_io(&self) -> bool {
        self.0.pre.is_sans_io()
    }

    /// The SHA-256 of the component, in lower-case hex.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    pub(crate) fn pre(&self) -> &HostPre {
        &self.0.pre
    }

    /// Whether it was compiled for this engine.
    pub(crate) fn is_of(&self, engine: &wasmtime::Engine) -> bool {
        wasmtime::Engine::same(&self.0.engine, engine)
    }

    /// Compiles the component, or takes what an earlier run compiled and kept in this folder.
    pub(crate) fn load(engine: &wasmtime::Engine, bytes: &[u8], cache: Option<&Path>) -> Result<Plugin> {
        let component = match cache.map(|folder| CompileCache::open(folder, engine, bytes)) {
            None => compile(engine, bytes)?,
            Some(Err(error)) => {
                tracing::warn!(%error, "the compile cache is not used");
                compile(engine, bytes)?
            }
            Some(Ok(cache)) => match cache.read(engine) {
                Some(component) => component,
                None => {
                    let component = compile(engine, bytes)?;
                    if let Err(error) = cache.write(&component) {
                        tracing::warn!(%error, "the compiled plugin could not be written to the compile cache");
                    }
                    component
                }
            },
        };
        let imports = imports(engine, &component)?;
        let mut exports: Vec<String> =
            component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect();
        exports.sort();
        let linker = linker(engine).map_err(|error| Error::plugin(format!("{error:#}")))?;
        let pre = linker
            .instantiate_pre(&component)
            .and_then(HostPre::new)
            .map_err(|error| Error::plugin(format!("this component is no sandbucket:blob/store@0.2.0: {error:#}")))?;
        Ok(Plugin(Arc::new(Compiled { engine: engine.clone(), pre, imports, exports, digest: digest(bytes) })))
    }
}

impl PartialEq for Plugin {
    /// Whether they are the same component, compiled for the same engine.
    fn eq(&self, other: &Plugin) -> bool {
        self.0.digest == other.0.digest && self.is_of(&other.0.engine)
    }
}

impl Eq for Plugin {}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("digest", &self.0.digest).field("imports", &self.0.imports).finish()
    }
}

/// The SHA-256 of a component, in lower-case hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing into a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
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
    wasi_http::add_to_linker(&mut linker)?;
    Ok(linker)
}

#[cfg(test)]
mod tests;
