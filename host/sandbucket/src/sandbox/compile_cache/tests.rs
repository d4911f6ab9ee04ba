use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::mpsc;
use std::thread;

use super::*;

/// Longer than reading an entry takes by far.
const PATIENCE: Duration = Duration::from_secs(20);

/// The smallest components: nothing in them, and a custom section of this content.
fn component(content: u8) -> Vec<u8> {
    [&b"\0asm\x0d\0\x01\0"[..], &[0, 3, 1, b'n', content]].concat()
}

fn engine(epochs: bool) -> wasmtime::Engine {
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(epochs).concurrency_support(false);
    wasmtime::Engine::new(&config).unwrap()
}

/// A cache folder with the entry of component 0 in it.
struct Fixture {
    _root: tempfile::TempDir,
    root: PathBuf,
    folder: PathBuf,
    engine: wasmtime::Engine,
    file: PathBuf,
}

impl Fixture {
    fn new() -> Fixture {
        let root = tempfile::tempdir().unwrap();
        let (path, engine) = (root.path().to_owned(), engine(true));
        let folder = path.join("cache");
        let file = fill(&folder, &engine, 0);
        Fixture { _root: root, root: path, folder, engine, file }
    }

    fn open(&self) -> CompileCache {
        CompileCache::open(&self.folder, &self.engine, &component(0)).unwrap()
    }

    /// Reads the entry in a thread, so that a read that blocks fails the test.
    fn is_used(&self) -> bool {
        let (cache, engine) = (self.open(), self.engine.clone());
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(cache.read(&engine).is_some()));
        receiver.recv_timeout(PATIENCE).expect("reading the entry returns")
    }

    /// The entry is not used, and writing it anew makes it usable again.
    fn assert_replaced(&self, what: &str) {
        assert!(!self.is_used(), "{what}: used");
        fill(&self.folder, &self.engine, 0);
        assert!(self.is_used(), "{what}: not replaced");
    }
}

fn fill(folder: &Path, engine: &wasmtime::Engine, content: u8) -> PathBuf {
    let bytes = component(content);
    let cache = CompileCache::open(folder, engine, &bytes).unwrap();
    cache.write(&Component::new(engine, &bytes).unwrap()).unwrap();
    cache.file()
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn written_entry_is_read_again() {
    let fixture = Fixture::new();
    assert!(fixture.is_used());
    assert_eq!(names(&fixture.folder).len(), 1);
}

#[test]
fn folder_that_is_a_symlink_is_refused() {
    let fixture = Fixture::new();
    let link = fixture.root.join("link");
    symlink(&fixture.folder, &link).unwrap();
    symlink(fixture.root.join("nowhere"), fixture.root.join("dangling")).unwrap();
    for path in [link.clone(), link.join(""), link.join("."), fixture.root.join("dangling")] {
        let error = CompileCache::open(&path, &fixture.engine, b"").err().unwrap();
        assert!(error.to_string().contains("link") || error.to_string().contains("dangling"), "{error}");
    }
    // A link further up is the administrator's.
    assert!(CompileCache::open(&link.join("below"), &fixture.engine, b"").is_ok());
}

#[test]
fn folder_that_is_no_folder_is_refused() {
    let fixture = Fixture::new();
    let file = fixture.root.join("file");
    fs::write(&file, "").unwrap();
    assert!(CompileCache::open(&file, &fixture.engine, b"").is_err());
}

#[test]
fn folder_that_others_can_write_to_is_refused() {
    let fixture = Fixture::new();
    for (mode, accepted) in [(0o720, false), (0o702, false), (0o777, false), (0o755, true), (0o700, true)] {
        fs::set_permissions(&fixture.folder, fs::Permissions::from_mode(mode)).unwrap();
        let opened = CompileCache::open(&fixture.folder, &fixture.engine, b"");
        assert_eq!(opened.is_ok(), accepted, "{mode:o}");
    }
}

#[test]
fn folder_or_entry_of_another_user_is_refused() {
    if !is_root() {
        return;
    }
    let fixture = Fixture::new();
    std::os::unix::fs::chown(&fixture.file, Some(4242), None).unwrap();
    fixture.assert_replaced("an entry of another user");
    std::os::unix::fs::chown(&fixture.folder, Some(4242), None).unwrap();
    let error = CompileCache::open(&fixture.folder, &fixture.engine, b"").err().unwrap().to_string();
    assert!(error.contains("another user") && error.contains("cache"), "{error}");
}

#[test]
fn entry_that_is_a_symlink_is_not_followed() {
    let fixture = Fixture::new();
    let elsewhere = fixture.root.join("elsewhere");
    for target in [elsewhere.clone(), fixture.file.clone(), fixture.root.join("missing")] {
        let _ = fs::rename(&fixture.file, &elsewhere);
        symlink(&target, &fixture.file).unwrap();
        fixture.assert_replaced("a symlink");
    }
    // What the link named is as it was: the link was replaced, not written through.
    assert!(!fixture.root.join("missing").exists());
}

#[test]
fn entry_with_a_hard_link_is_not_used() {
    let fixture = Fixture::new();
    fs::hard_link(&fixture.file, fixture.root.join("second")).unwrap();
    fixture.assert_replaced("a hard link");
}

#[test]
fn entry_that_others_can_write_to_is_not_used() {
    let fixture = Fixture::new();
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(&fixture.file, fs::Permissions::from_mode(mode)).unwrap();
        fixture.assert_replaced("a file that others can write to");
    }
}

#[test]
fn entry_that_is_no_regular_file_is_not_used_and_does_not_block() {
    let fixture = Fixture::new();
    fs::remove_file(&fixture.file).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &fixture.file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fixture.assert_replaced("a FIFO");

    fs::remove_file(&fixture.file).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(fixture.root.join("socket")).unwrap();
    fs::rename(fixture.root.join("socket"), &fixture.file).unwrap();
    fixture.assert_replaced("a socket");
    drop(socket);

    fs::remove_file(&fixture.file).unwrap();
    fs::create_dir(&fixture.file).unwrap();
    assert!(!fixture.is_used());
    // It cannot be replaced, which is an error and leaves nothing behind.
    let code = Component::new(&fixture.engine, component(0)).unwrap();
    assert!(fixture.open().write(&code).is_err());
    assert_eq!(names(&fixture.folder).len(), 1);
}

#[test]
fn entry_with_any_byte_changed_or_missing_is_not_used() {
    let fixture = Fixture::new();
    let whole = fs::read(&fixture.file).unwrap();
    assert!(whole.len() > HEADER);
    let mut places: Vec<usize> = (0..HEADER + 8).collect();
    places.extend([whole.len() / 2, whole.len() - 1]);
    for place in places {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        fs::write(&fixture.file, &changed).unwrap();
        assert!(!fixture.is_used(), "byte {place} changed");
    }
    for length in [0, 1, MAGIC.len(), HEADER - 1, HEADER, HEADER + 1, whole.len() / 2, whole.len() - 1] {
        fs::write(&fixture.file, &whole[..length]).unwrap();
        assert!(!fixture.is_used(), "cut to {length} bytes");
    }
    fs::write(&fixture.file, [&whole[..], b"x"].concat()).unwrap();
    assert!(!fixture.is_used(), "a byte more");
    // Larger than any entry, though it takes no room.
    fs::File::create(&fixture.file).unwrap().set_len(1 << 40).unwrap();
    fixture.assert_replaced("a file of 1 TiB");
    assert_eq!(fs::read(&fixture.file).unwrap().len(), whole.len());
}

#[test]
fn entry_of_another_plugin_or_configuration_is_not_used() {
    let fixture = Fixture::new();
    let own = fs::read(&fixture.file).unwrap();
    let other_plugin = fill(&fixture.folder, &fixture.engine, 1);
    let other_configuration = fill(&fixture.folder, &engine(false), 0);
    assert_ne!(other_plugin, fixture.file);
    assert_ne!(other_configuration, fixture.file);
    for other in [other_plugin, other_configuration] {
        assert_ne!(fs::read(&other).unwrap(), own);
        fs::copy(&other, &fixture.file).unwrap();
        fixture.assert_replaced("a copied entry");
        fs::rename(&other, &fixture.file).unwrap();
        fixture.assert_replaced("a renamed entry");
    }
}

#[test]
fn concurrent_writers_leave_one_whole_entry() {
    let fixture = Fixture::new();
    let code = Component::new(&fixture.engine, component(0)).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    fixture.open().write(&code).unwrap();
                    assert!(fixture.open().read(&fixture.engine).is_some());
                }
            });
        }
    });
    assert_eq!(names(&fixture.folder).len(), 1);
}

#[test]
fn leftovers_are_removed_and_the_entries_used_last_are_kept() {
    let fixture = Fixture::new();
    let aged = |name: &str, hours: u64| {
        let file = fs::File::create(fixture.folder.join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
    };
    aged("of-a-crash.tmp", 2);
    aged("being-written.tmp", 0);
    aged("somebody's.txt", 1000);
    for n in 0..20 {
        aged(&format!("{n:064}.cwasm"), 100 + n);
    }
    // Used now: the newest of all.
    assert!(fixture.is_used());
    fill(&fixture.folder, &fixture.engine, 1);
    let names = names(&fixture.folder);
    let entries = names.iter().filter(|name| name.ends_with(".cwasm")).count();
    assert_eq!(entries, MAX_ENTRIES);
    assert!(fixture.file.exists() && names.contains(&format!("{:064}.cwasm", 0)));
    assert!(!names.contains(&format!("{:064}.cwasm", 19)));
    assert!(!names.contains(&"of-a-crash.tmp".to_owned()));
    assert!(names.contains(&"being-written.tmp".to_owned()) && names.contains(&"somebody's.txt".to_owned()));
}
