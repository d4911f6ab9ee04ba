use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

fn engine() -> wasmtime::Engine {
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true).concurrency_support(false);
    wasmtime::Engine::new(&config).unwrap()
}

fn kept(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_was_compiled_is_kept_for_its_owner_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let engine = engine();
    let first = Plugin::load(&engine, crate::PLUGIN, Some(&cache)).unwrap();
    let files = kept(&cache);
    assert_eq!(files.len(), 1);
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let again = CompileCache::open(&cache, &engine, crate::PLUGIN).unwrap();
    assert!(again.read(&engine).is_some());
    assert_eq!(Plugin::load(&engine, crate::PLUGIN, Some(&cache)).unwrap().imports(), first.imports());
    assert_eq!(kept(&cache), files);
}

#[test]
fn what_is_damaged_foreign_or_made_otherwise_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let engine = engine();
    Plugin::load(&engine, crate::PLUGIN, Some(&cache)).unwrap();
    let open = |engine: &wasmtime::Engine| CompileCache::open(&cache, engine, crate::PLUGIN).unwrap();
    let file = open(&engine).file();
    let whole = fs::read(&file).unwrap();

    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for bytes in [&damaged[..], &whole[..whole.len() / 2], b""] {
        fs::write(&file, bytes).unwrap();
        assert!(open(&engine).read(&engine).is_none());
    }
    // Loading mends it.
    Plugin::load(&engine, crate::PLUGIN, Some(&cache)).unwrap();
    assert_eq!(fs::read(&file).unwrap().len(), whole.len());

    // Somebody else could have written it.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(open(&engine).read(&engine).is_none());
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(CompileCache::open(&cache, &engine, crate::PLUGIN).is_err());
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).unwrap();

    // An engine that is configured otherwise has a file of its own.
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(false).concurrency_support(false);
    assert_ne!(open(&wasmtime::Engine::new(&config).unwrap()).file(), file);
}

#[test]
fn what_is_no_plugin_is_refused_in_words() {
    let error = |bytes: &[u8]| Plugin::load(&engine(), bytes, None).err().unwrap().to_string();
    assert!(error(b"not wasm").contains("no WebAssembly component"));
    // A component with nothing in it, in binary: it loads, but exports no store.
    assert!(error(b"\0asm\x0d\0\x01\0").contains("sandbucket:blob/store"));
}
