//! No secret stays in memory once stores and engine are dropped: this process scans its own memory for them.
//!
//! The secrets are generated at run time and kept masked, so that only the code under test has copies in the clear. The
//! server, which must know them, is this program started again.
//!
//! The secret key never leaves the plugin and the store's settings, and must be gone whatever the allocator does. A session
//! token and a customer key are also sent, through buffers of hyper and wasmtime that are freed without being wiped: with
//! an allocator that wipes freed memory they must be gone as well, which shows that nothing keeps them alive.
#![cfg(target_os = "linux")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use sandbucket::{Config, Engine, Limits, PresignedMethod, Store, StoreOptions, Tenants, TenantsConfig};
use sandbucket_dev_server::DevServer;
use sandbucket_tests::builder;
use zeroize::{Zeroize, Zeroizing};

const BUCKET: &str = "secrets";
const ACCESS_KEY: &str = "an-access-key";
/// Set in the server process.
const SERVER: &str = "SANDBUCKET_SECRETS_SERVER";
/// Number of bytes of a secret that count as a find: partial copies must not stay either.
const PIECE: usize = 16;
const BLOCK: usize = 1 << 20;

/// The server is on loopback, over plain HTTP.
const INSECURE: (&str, &str) = ("allow-insecure-sse-customer-key", "true");
const NAMES: [&str; 3] = ["secret-key", "security-token", "sse-customer-key"];

/// The system allocator, which wipes freed memory while this is set.
static WIPE: AtomicBool = AtomicBool::new(false);

struct Wiping;

#[global_allocator]
static ALLOCATOR: Wiping = Wiping;

// SAFETY: all calls are forwarded to the system allocator; it wipes only blocks that their owner frees.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by the caller's contract the block has this layout, and is no longer used.
        unsafe {
            if WIPE.load(Relaxed) {
                std::ptr::write_bytes(block, 0, layout.size());
                std::hint::black_box(block);
            }
            System.dealloc(block, layout);
        }
    }
}

/// A secret of which memory holds only a masked copy.
struct Masked {
    name: &'static str,
    mask: Vec<u8>,
    masked: Vec<u8>,
}

impl Masked {
    fn random(name: &'static str, alphabet: &[u8], length: usize, end: &[u8]) -> Masked {
        let mut random = vec![0; 2 * (length + end.len())];
        File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
        let (bytes, mask) = random.split_at_mut(length + end.len());
        for (n, byte) in bytes.iter_mut().enumerate() {
            *byte = if n < length { alphabet[usize::from(*byte) % alphabet.len()] } else { end[n - length] };
            *byte ^= mask[n];
        }
        Masked { name, mask: mask.to_vec(), masked: bytes.to_vec() }
    }

    fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.masked.len()));
        self.masked.iter().zip(&self.mask).for_each(|(byte, mask)| text.push(char::from(byte ^ mask)));
        text
    }

    /// Whether a piece of the secret begins here.
    fn is_at(&self, memory: &[u8]) -> bool {
        let starts = (0..).step_by(PIECE).take_while(|start| start + PIECE <= self.masked.len());
        starts.into_iter().any(|start| {
            memory.len() >= PIECE && (0..PIECE).all(|n| memory[n] ^ self.mask[start + n] == self.masked[start + n])
        })
    }
}

struct Secrets([Masked; 3]);

impl Secrets {
    fn random() -> Secrets {
        let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        Secrets([
            Masked::random(NAMES[0], letters, 40, b""),
            Masked::random(NAMES[1], letters, 320, b""),
            // 32 bytes in base64: two bits of the character before `=` count, which are zero in `A`.
            Masked::random(NAMES[2], letters, 42, b"A="),
        ])
    }

    fn reveal(&self, name: &str) -> Zeroizing<String> {
        self.0.iter().find(|secret| secret.name == name).unwrap().reveal()
    }

    /// Counts the occurrences of each secret in this process's writable memory.
    fn scan(&self) -> [usize; 3] {
        let memory = File::open("/proc/self/mem").unwrap();
        let mut block = vec![0; BLOCK + PIECE];
        // Indexes the first two bytes of all pieces, to skip most addresses.
        let mut firsts = vec![false; 1 << 16];
        for secret in &self.0 {
            let clear = |n: usize| secret.masked[n] ^ secret.mask[n];
            for start in (0..).step_by(PIECE).take_while(|start| start + PIECE <= secret.masked.len()) {
                firsts[usize::from(u16::from_le_bytes([clear(start), clear(start + 1)]))] = true;
            }
        }
        let mut found = [0; 3];
        for region in BufReader::new(File::open("/proc/self/maps").unwrap()).lines() {
            let region = region.unwrap();
            let mut fields = region.split_whitespace();
            let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
            if !rights.starts_with("rw") {
                continue;
            }
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|place| u64::from_str_radix(place, 16).unwrap());
            let own = block.as_ptr() as u64;
            let mut place = start;
            while place < end {
                let wanted = (end - place).min((BLOCK + PIECE) as u64) as usize;
                let read = memory.read_at(&mut block[..wanted], place).unwrap_or(0);
                if read == 0 {
                    place += 4096;
                    continue;
                }
                let bytes = &block[..read];
                for at in 0..read.min(BLOCK) {
                    if at + PIECE > read || !firsts[usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))] {
                        continue;
                    }
                    // The scan's own buffer.
                    let address = place + at as u64;
                    if (own..own + block.len() as u64).contains(&address) {
                        continue;
                    }
                    for (secret, found) in self.0.iter().zip(&mut found) {
                        if secret.is_at(&bytes[at..]) {
                            *found += 1;
                            if std::env::var_os("SANDBUCKET_SHOW_FINDS").is_some() {
                                show(secret.name, &region, bytes, at);
                            }
                        }
                    }
                }
                place += read.min(BLOCK) as u64;
            }
        }
        block.zeroize();
        found
    }
}

/// Prints the surroundings of a find, to identify its owner.
fn show(name: &str, region: &str, bytes: &[u8], at: usize) {
    let around = &bytes[at.saturating_sub(128)..(at + 48).min(bytes.len())];
    let mut text = Zeroizing::new(String::with_capacity(around.len()));
    text.extend(around.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '.' }));
    eprintln!("{name} in {region}: {}", *text);
}

/// The server, in its own process. It exits when its standard input closes.
struct Server {
    child: Child,
    endpoint: String,
    /// Kept open: the server writes more than is read.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start(secrets: &Secrets) -> Server {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "server_process", "--nocapture"])
            .env(SERVER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.as_mut().unwrap();
        for name in ["secret-key", "security-token"] {
            stdin.write_all(secrets.reveal(name).as_bytes()).unwrap();
            stdin.write_all(b"\n").unwrap();
        }
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let endpoint = stdout
            .by_ref()
            .lines()
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("endpoint=")?.1.to_owned()));
        Server { child, endpoint: endpoint.expect("the server starts"), _stdout: stdout }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Does nothing unless [`Server::start`] runs it.
#[test]
fn server_process() {
    if std::env::var_os(SERVER).is_none() {
        return;
    }
    let mut lines = std::io::stdin().lines().map(Result::unwrap);
    let (secret_key, token) = (lines.next().unwrap(), lines.next().unwrap());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let server = DevServer::builder().credentials(ACCESS_KEY, secret_key).session_token(token).buckets([BUCKET]);
        let server = server.start().await.unwrap();
        println!("endpoint={}", server.endpoint());
        // The server has its own threads.
        lines.next();
    });
}

async fn use_store(store: &Store) {
    store.put("a.txt", "some text").await.unwrap();
    assert_eq!(store.get("a.txt").await.unwrap().bytes().await.unwrap(), "some text");
    store.head("a.txt").await.unwrap();
    let page = store.list("").await.unwrap();
    assert_eq!(page.entries.len(), 1);
    // The URL contains the session token, and the caller must wipe it.
    let mut presigned = store.presign(PresignedMethod::Get, "a.txt").await.unwrap();
    presigned.url.zeroize();
    presigned.headers.iter_mut().for_each(|(_, value)| value.zeroize());
}

/// Applies the configuration of a tenant twice, reads a table of the program, and uses the tenant's store. `text` lacks the secret key,
/// which is in the file of that name.
async fn use_tenant(secrets: &Secrets, text: &str, folder: &Path, engine: &Engine) {
    let path = folder.join("tenants.toml");
    let mut file = File::create(&path).unwrap();
    file.write_all(format!("{text}{} = \"", NAMES[0]).as_bytes()).unwrap();
    file.write_all(secrets.reveal(NAMES[0]).as_bytes()).unwrap();
    let other = folder.join(NAMES[0]);
    file.write_all(format!("\"\n[tenants.alice.table]\nkey = '%{{file:{}}}%'\nplain = '", other.display()).as_bytes())
        .unwrap();
    file.write_all(secrets.reveal(NAMES[0]).as_bytes()).unwrap();
    file.write_all(b"'\n").unwrap();
    let tenants = Tenants::new(engine.clone());
    for round in 0..2 {
        let config = TenantsConfig::load(&path).unwrap();
        let changes = tenants.apply(&config).await.unwrap();
        assert_eq!((changes.added.len(), changes.unchanged), (1 - round, round));
        let mut table: BTreeMap<String, String> = config.section("alice", "table").unwrap().unwrap();
        assert!(table.len() == 2 && table["key"] == table["plain"]);
        table.values_mut().for_each(Zeroize::zeroize);
    }
    let alice = tenants.get("alice").unwrap();
    use_store(&alice.store().await.unwrap()).await;
    assert!(tenants.remove("alice"));
}

/// Opens, uses and drops stores and the engine.
fn use_and_drop(secrets: &Secrets, server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut limits = Limits::default();
    (limits.instances, limits.instances_per_store) = (4, 4);
    let engine = builder().limits(limits).build().unwrap();
    runtime.block_on(async {
        let mut options = StoreOptions::new();
        for (name, value) in [("bucket", BUCKET), ("endpoint", &server.endpoint), ("access-key", ACCESS_KEY), INSECURE]
        {
            options = options.setting(name, value);
        }
        for name in NAMES {
            options = options.setting(name, std::mem::take(&mut *secrets.reveal(name)));
        }
        let store = engine.open(options.clone()).await.unwrap();
        drop(options);
        use_store(&store).await;
        drop(store);

        let endpoint = &server.endpoint;
        let mut text =
            format!("[store.blob.s3]\nbucket = '{BUCKET}'\nendpoint = '{endpoint}'\naccess-key = '{ACCESS_KEY}'\n");
        text.push_str(&format!("{} = {}\n", INSECURE.0, INSECURE.1));
        for (n, name) in NAMES.iter().enumerate() {
            let path = folder.path().join(name);
            // One secret is in the file, the others are in files that it references.
            std::fs::write(&path, secrets.reveal(name).as_bytes()).unwrap();
            if n > 0 {
                text.push_str(&format!("{name} = '%{{file:{}}}%'\n", path.display()));
            }
        }
        let path = folder.path().join("sandbucket.toml");
        let mut file = File::create(&path).unwrap();
        file.write_all(format!("{text}{} = \"", NAMES[0]).as_bytes()).unwrap();
        file.write_all(secrets.reveal(NAMES[0]).as_bytes()).unwrap();
        file.write_all(b"\"\n").unwrap();
        let config = Config::load(&path).unwrap();
        let store = config.open(&engine).await.unwrap();
        drop(config);
        use_store(&store).await;
        let found = secrets.scan();
        assert!(found.iter().all(|&count| count > 0), "the scan finds the settings of an open store: {found:?}");
        drop(store);
        use_tenant(secrets, &text.replace("[store.", "[tenants.alice.store."), folder.path(), &engine).await;
    });
    drop(engine);
    drop(runtime);
}

#[test]
fn no_secret_is_in_memory_after_stores_and_engine_are_dropped() {
    for wiping in [false, true] {
        WIPE.store(wiping, Relaxed);
        let secrets = Secrets::random();
        let kept = secrets.0.each_ref().map(Masked::reveal);
        let found = secrets.scan();
        assert!(found.iter().all(|&count| count > 0), "the scan finds copies that are kept: {found:?}");
        drop(kept);
        assert_eq!(secrets.scan(), [0; 3], "before anything uses them");

        let server = Server::start(&secrets);
        use_and_drop(&secrets, &server);
        let found = secrets.scan();
        eprintln!("wiping allocator: {wiping}; pieces found of {NAMES:?}: {found:?}");
        assert_eq!(found[0], 0, "pieces of the secret key");
        if wiping {
            assert_eq!(found, [0; 3], "pieces of {NAMES:?}");
        }
    }
}
