//! DNS: names to addresses, for all connections of an engine.
//!
//! hickory queries the name servers, on one thread with a runtime of its own: stores of one engine are used from several runtimes, and
//! hickory's tasks live on the one they were started on. Lookups are coalesced by name and bounded, so that names without an answer do
//! not delay others:
//!
//! - each begins in the quick lane, which it must leave after [`QUICK_TIME`] for the slow lane, or fail;
//! - a name that was slow lately begins in the slow lane;
//! - names below one registrable domain have no more than [`PER_DOMAIN`] permits in both.
//!
//! Addresses are cached by their TTL, failures for a few seconds, and a stale entry is used if no newer one arrives soon (RFC 8767).
//! Whether an address is public or private is the caller's to check.
//!
//! Cache and lanes replace hickory's own cache and `hyper_util::client::legacy::connect::HttpConnector`, whose lookups (getaddrinfo)
//! share tokio's blocking pool. The reason is isolation, not speed: in that pool, slow name servers of some tenants stopped the lookups
//! of all others. hyper is not involved: connections are established outside of it. `tests/egress/names.rs` holds the lanes to slow and
//! silent name servers.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io, thread};

use futures::FutureExt;
use futures::future::{Shared as SharedFuture, select};
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::egress::is_local_name;

/// Maximum number of addresses of a name that are cached and tried: four of each family are as many as services use.
const MAX_ADDRESSES: usize = 8;

/// Number of cached names.
const MAX_NAMES: usize = 4096;

/// Lookups in flight or waiting for a permit of their lane.
const MAX_PENDING: usize = 1024;

/// Permits of the quick lane. A lookup takes up to 8 sockets here: two queries to two name servers, each sent twice.
const QUICK: usize = 32;

/// How long a lookup may have a permit of the quick lane. A name server that has to ask others takes some 100 ms.
const QUICK_TIME: Duration = Duration::from_secs(1);

/// Permits of the slow lane. A lookup takes up to 16 sockets here.
const SLOW: usize = 24;

/// How long a name that took longer than [`QUICK_TIME`] counts as slow.
const SLOW_FOR: Duration = Duration::from_secs(30);

/// Permits that the names below one registrable domain, which is one registrant's, may have. A store has no more than two names:
/// with many stores, a tenant's share is bounded by its domains.
const PER_DOMAIN: usize = 12;

/// Lookups of names below one registrable domain that have a permit or wait for one.
const MAX_PENDING_PER_DOMAIN: usize = 64;

/// Bounds of the time for which addresses are used.
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// How long a missing name is cached.
const NEGATIVE_TTL: Duration = Duration::from_secs(3);

/// How long a failed lookup is cached (RFC 9520 wants a second at least).
const FAILURE_TTL: Duration = Duration::from_secs(1);

/// How long addresses of the hosts file and of the system's own resolver are used.
const LOCAL_TTL: Duration = Duration::from_secs(5);

/// How long a lookup waits for newer addresses if there are stale ones.
const STALE_AFTER: Duration = Duration::from_millis(300);

/// Maximum age of stale addresses.
const MAX_STALE: Duration = Duration::from_secs(3600);

/// How long a lookup waits for addresses of the other family (RFC 8305 wants 50 ms at least).
const OTHER_FAMILY: Duration = Duration::from_millis(250);

/// Threads for the system's own resolver.
const SYSTEM_THREADS: usize = 4;

/// How often the system's configuration is checked for changes.
const CHECK_EVERY: Duration = Duration::from_secs(2);

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// Error of a lookup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LookupError {
    #[error("there is no such name")]
    NoSuchName,
    #[error("it has no address")]
    NoAddress,
    #[error("no name server answered within {0:?}")]
    Timeout(Duration),
    #[error("too many names without an answer are being looked up already")]
    Busy,
    #[error("the name server answered {0}")]
    Refused(ResponseCode),
    #[error("the name server's response is malformed")]
    Malformed,
    #[error("asking the name server: {0}")]
    Io(String),
    #[error("the resolver's thread could not be started: {0}")]
    NoThread(String),
}

impl LookupError {
    /// Whether a name server said that there is no address, so that asking again is of no use.
    fn is_final(&self) -> bool {
        matches!(self, LookupError::NoSuchName | LookupError::NoAddress)
    }

    /// Of two errors, the one that says more: that one of two queries failed leaves open whether there is an address.
    fn or(self, other: LookupError) -> LookupError {
        match (&self, &other) {
            (LookupError::NoSuchName, _) => other,
            (LookupError::NoAddress, other) if other.is_final() => self,
            (LookupError::NoAddress, _) => other,
            _ => self,
        }
    }
}

type Outcome = Result<Arc<[IpAddr]>, LookupError>;

/// A lookup in flight, shared by its callers. An error if its thread has ended.
type Pending = SharedFuture<oneshot::Receiver<Outcome>>;

/// Resolves names for one engine.
pub(super) struct Resolver {
    shared: Arc<Shared>,
    /// Started at the first lookup, and ended with this.
    thread: Mutex<Option<Thread>>,
}

struct Thread {
    handle: Handle,
    _ends_when_dropped: oneshot::Sender<()>,
}

/// A name to look up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    host: String,
    /// Whether the system's own resolver is asked where no name server knows the name.
    ask_system: bool,
}

/// A cached name.
struct Entry {
    addresses: Option<Arc<[IpAddr]>>,
    resolved: Instant,
    /// Error of the last lookup, if it failed.
    failure: Option<LookupError>,
    /// Until when the name is not looked up again.
    until: Instant,
    slow_until: Option<Instant>,
    pending: Option<Pending>,
    used: Instant,
}

impl Entry {
    fn new(now: Instant) -> Entry {
        let (addresses, failure, slow_until, pending) = (None, None, None, None);
        Entry { addresses, resolved: now, failure, until: now, slow_until, pending, used: now }
    }

    fn usable(&self, now: Instant) -> Option<Arc<[IpAddr]>> {
        self.addresses.clone().filter(|_| now.duration_since(self.resolved) < MAX_STALE)
    }
}

/// Addresses of a name, and how long they may be used.
struct Resolved {
    addresses: Vec<IpAddr>,
    ttl: Duration,
}

struct Shared {
    /// Name servers in place of the system's, if there are any.
    name_servers: Vec<SocketAddr>,
    /// Maximum time of a lookup, including the wait for a permit of its lane.
    limit: Duration,
    names: Mutex<HashMap<Key, Entry>>,
    quick: Semaphore,
    slow: Semaphore,
    /// Domains with lookups in flight.
    domains: Mutex<HashMap<String, Arc<Semaphore>>>,
    pending: Semaphore,
    system: Arc<Semaphore>,
    configured: Mutex<Option<Configured>>,
}

/// The name servers and the hosts file, as they were when they were last read.
struct Configured {
    sources: Arc<Sources>,
    stamps: [Option<SystemTime>; 2],
    checked: Instant,
}

struct Sources {
    resolver: TokioResolver,
    hosts: Hosts,
    /// The domains in which a name is looked for that is not a whole one.
    search: Vec<Name>,
    /// A name with as many dots is looked for as it is first.
    ndots: usize,
}

impl Sources {
    /// What a name may stand for, in the order in which to ask (resolv.conf(5)).
    fn candidates(&self, name: Name) -> Vec<Name> {
        let mut whole = name.clone();
        whole.set_fqdn(true);
        if name.is_fqdn() || name.is_localhost() {
            return vec![whole];
        }
        let mut candidates: Vec<Name> =
            self.search.iter().filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        candidates.insert(if dots >= self.ndots { 0 } else { candidates.len() }, whole);
        candidates
    }
}

impl Resolver {
    /// Asks these name servers, or those of the system if there are none. A lookup takes `limit` at most.
    pub(super) fn new(name_servers: Vec<SocketAddr>, limit: Duration) -> Resolver {
        let shared = Arc::new(Shared {
            name_servers,
            limit,
            names: Mutex::default(),
            quick: Semaphore::new(QUICK),
            slow: Semaphore::new(SLOW),
            domains: Mutex::default(),
            pending: Semaphore::new(MAX_PENDING),
            system: Arc::new(Semaphore::new(SYSTEM_THREADS)),
            configured: Mutex::default(),
        });
        Resolver { shared, thread: Mutex::default() }
    }

    /// The addresses of a host, of which there is at least one.
    ///
    /// `ask_system` has the system's own resolver asked after a bare or otherwise local name that no name server knows:
    /// it may know names by mDNS or NSS. It blocks one of few threads, so this is not for names that strangers choose.
    pub(super) async fn lookup(&self, host: &str, ask_system: bool) -> Outcome {
        let host = host.to_ascii_lowercase();
        let ask_system = ask_system && self.shared.name_servers.is_empty() && is_local_name(&host);
        let (pending, stale) = match self.find(Key { host, ask_system }) {
            Found::Known(outcome) => return outcome,
            Found::Pending(pending, stale) => (pending, stale),
        };
        let ended = |_| Err(LookupError::NoThread("it has ended".to_owned()));
        match stale {
            None => pending.await.unwrap_or_else(ended),
            Some(stale) => match timeout(STALE_AFTER, pending).await {
                Ok(outcome) => outcome.unwrap_or_else(ended),
                Err(_) => Ok(stale),
            },
        }
    }

    /// Finds the cached name, or a lookup to wait for.
    fn find(&self, key: Key) -> Found {
        let now = Instant::now();
        let mut names = lock(&self.shared.names);
        if let Some(entry) = names.get_mut(&key) {
            entry.used = now;
            let usable = entry.usable(now);
            if now < entry.until {
                match (usable.clone(), &entry.failure) {
                    (Some(addresses), _) => return Found::Known(Ok(addresses)),
                    (None, Some(failure)) => return Found::Known(Err(failure.clone())),
                    (None, None) => {}
                }
            }
            // A lookup that ended and is still here was aborted.
            if let Some(pending) = entry.pending.as_ref().filter(|pending| pending.peek().is_none()) {
                return Found::Pending(pending.clone(), usable);
            }
        }
        let handle = match self.handle() {
            Ok(handle) => handle,
            Err(error) => return Found::Known(Err(LookupError::NoThread(error.to_string()))),
        };
        if names.len() >= MAX_NAMES && !names.contains_key(&key) {
            make_room(&mut names);
        }
        let entry = names.entry(key.clone()).or_insert_with(|| Entry::new(now));
        let (sender, receiver) = oneshot::channel();
        let (pending, stale) = (receiver.shared(), entry.usable(now));
        let is_slow = entry.slow_until.is_some_and(|until| now < until);
        entry.pending = Some(pending.clone());
        drop(names);
        handle.spawn(self.shared.clone().run(key, is_slow, sender));
        Found::Pending(pending, stale)
    }

    fn handle(&self) -> io::Result<Handle> {
        let mut thread = lock(&self.thread);
        if let Some(thread) = &*thread {
            return Ok(thread.handle.clone());
        }
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(SYSTEM_THREADS).build()?;
        let handle = runtime.handle().clone();
        let (sender, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("sandbucket-dns".to_owned()).spawn(move || {
            // Only by the sender's being dropped does this end.
            let _ = runtime.block_on(ended);
            // The system's resolver may be stuck for long.
            runtime.shutdown_background();
        })?;
        *thread = Some(Thread { handle: handle.clone(), _ends_when_dropped: sender });
        Ok(handle)
    }
}

enum Found {
    Known(Outcome),
    /// A lookup, and stale addresses.
    Pending(Pending, Option<Arc<[IpAddr]>>),
}

/// Evicts an eighth of the names, those used least recently.
fn make_room(names: &mut HashMap<Key, Entry>) {
    let mut used: Vec<Instant> = names.values().map(|entry| entry.used).collect();
    let (_, &mut last, _) = used.select_nth_unstable(MAX_NAMES / 8);
    names.retain(|_, entry| entry.used > last);
}

impl Shared {
    /// Looks a name up, for all that wait.
    async fn run(self: Arc<Self>, key: Key, is_slow: bool, sender: oneshot::Sender<Outcome>) {
        let found = match self.pending.try_acquire() {
            Err(_) => Err(LookupError::Busy),
            Ok(_permit) => match timeout(self.limit, self.in_lane(&key, is_slow)).await {
                Ok(found) => found,
                Err(_) => Err(LookupError::Timeout(self.limit)),
            },
        };
        lock(&self.domains).retain(|_, permits| Arc::strong_count(permits) > 1);
        let outcome = self.record(key, found);
        let _ = sender.send(outcome);
    }

    /// Looks a name up as soon as there is a permit for it.
    async fn in_lane(&self, key: &Key, is_slow: bool) -> Result<Resolved, LookupError> {
        let domain = {
            let mut domains = lock(&self.domains);
            let permits = domains.entry(domain(&key.host).to_owned());
            permits.or_insert_with(|| Arc::new(Semaphore::new(PER_DOMAIN))).clone()
        };
        // The map has one reference, and each lookup that has a permit or waits for one.
        if Arc::strong_count(&domain) > MAX_PENDING_PER_DOMAIN + 1 {
            return Err(LookupError::Busy);
        }
        // No semaphore here is ever closed.
        let closed = |_| LookupError::Busy;
        let _of_domain = domain.acquire().await.map_err(closed)?;
        if is_slow {
            let _slow = self.slow.acquire().await.map_err(closed)?;
            return self.ask(key).await;
        }
        let quick = self.quick.acquire().await.map_err(closed)?;
        let mut asking = pin!(self.ask(key));
        if let Ok(found) = timeout(QUICK_TIME, &mut asking).await {
            return found;
        }
        if let Some(entry) = lock(&self.names).get_mut(key) {
            entry.slow_until = Some(Instant::now() + SLOW_FOR);
        }
        let _slow = self.slow.try_acquire().map_err(|_| LookupError::Busy)?;
        drop(quick);
        asking.await
    }

    /// Asks the hosts file, the name servers and the system's own resolver.
    async fn ask(&self, key: &Key) -> Result<Resolved, LookupError> {
        let sources = self.sources()?;
        let name = Name::from_utf8(&key.host).map_err(|_| LookupError::NoSuchName)?;
        if let Some(addresses) = in_hosts(&sources.hosts, &name) {
            return Ok(Resolved { addresses, ttl: LOCAL_TTL });
        }
        let mut found = Err(LookupError::NoSuchName);
        for name in sources.candidates(name) {
            match self.ask_name_servers(&sources.resolver, name).await {
                Err(error) if error.is_final() => found = found.map_err(|before: LookupError| before.or(error)),
                // A zone that is broken need not be the one that was meant.
                Err(error @ (LookupError::Refused(_) | LookupError::Malformed)) => found = Err(error),
                other => {
                    found = other;
                    break;
                }
            }
        }
        match found {
            Err(error) if key.ask_system => self.ask_system(&key.host).await.map_err(|_| error),
            found => found,
        }
    }

    /// Asks for the addresses of both families.
    async fn ask_name_servers(&self, resolver: &TokioResolver, name: Name) -> Result<Resolved, LookupError> {
        let of = |kind| {
            let asking = resolver.lookup(name.clone(), kind);
            async move {
                let found = asking.await.map_err(|error| why(&error, self.limit))?;
                let addresses: Vec<IpAddr> =
                    found.answers().iter().filter_map(|record| record.data.ip_addr()).take(MAX_ADDRESSES).collect();
                let ttl = found.valid_until().saturating_duration_since(Instant::now());
                if addresses.is_empty() { Err(LookupError::NoAddress) } else { Ok(Resolved { addresses, ttl }) }
            }
        };
        let (six, four) = (pin!(of(RecordType::AAAA)), pin!(of(RecordType::A)));
        let (first, other) = select(six, four).await.factor_first();
        let second = match first {
            // Name servers that are silent about the other family are not waited for.
            Ok(_) => timeout(OTHER_FAMILY, other).await.unwrap_or(Err(LookupError::NoAddress)),
            Err(_) => other.await,
        };
        match (first, second) {
            (Ok(one), Ok(other)) => {
                let addresses = some_of_each_family(one.addresses.into_iter().chain(other.addresses));
                Ok(Resolved { addresses, ttl: one.ttl.min(other.ttl) })
            }
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => Ok(found),
            (Err(one), Err(other)) => Err(one.or(other)),
        }
    }

    async fn ask_system(&self, host: &str) -> Result<Resolved, LookupError> {
        let permit = self.system.clone().acquire_owned().await.map_err(|_| LookupError::Busy)?;
        let host = host.to_owned();
        let asking = tokio::task::spawn_blocking(move || {
            // Whoever has given up waiting has not freed the thread.
            let _permit = permit;
            (host, 0).to_socket_addrs().map(|found| some_of_each_family(found.map(|address| address.ip())))
        });
        match asking.await {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(Resolved { addresses, ttl: LOCAL_TTL }),
            _ => Err(LookupError::NoSuchName),
        }
    }

    /// Keeps what was found, and gives what is to be used.
    fn record(&self, key: Key, found: Result<Resolved, LookupError>) -> Outcome {
        let now = Instant::now();
        let mut names = lock(&self.names);
        let entry = names.entry(key).or_insert_with(|| Entry::new(now));
        entry.pending = None;
        match found {
            Ok(Resolved { addresses, ttl }) => {
                let addresses: Arc<[IpAddr]> = addresses.into();
                entry.addresses = Some(addresses.clone());
                (entry.resolved, entry.failure, entry.until) = (now, None, now + ttl.clamp(TTL.0, TTL.1));
                Ok(addresses)
            }
            // A name that is gone leaves no stale addresses.
            Err(error) if error.is_final() => {
                entry.addresses = None;
                (entry.failure, entry.until) = (Some(error.clone()), now + NEGATIVE_TTL);
                Err(error)
            }
            Err(error) => {
                (entry.failure, entry.until) = (Some(error.clone()), now + FAILURE_TTL);
                entry.usable(now).ok_or(error)
            }
        }
    }

    /// Name servers and hosts file, read again where they have changed.
    fn sources(&self) -> Result<Arc<Sources>, LookupError> {
        let now = Instant::now();
        let mut configured = lock(&self.configured);
        if let Some(known) = &mut *configured {
            if now.duration_since(known.checked) < CHECK_EVERY {
                return Ok(known.sources.clone());
            }
            known.checked = now;
            if known.stamps == stamps() {
                return Ok(known.sources.clone());
            }
        }
        // Before they are read: what changes meanwhile shows the next time.
        let stamps = stamps();
        let sources = Arc::new(self.read()?);
        *configured = Some(Configured { sources: sources.clone(), stamps, checked: now });
        Ok(sources)
    }

    fn read(&self) -> Result<Sources, LookupError> {
        let (config, mut options) = if self.name_servers.is_empty() {
            // Without a file it is a name server on this machine, as resolv.conf(5) has it.
            let here = || {
                let config = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
                (ResolverConfig::from_parts(None, Vec::new(), vec![config]), ResolverOpts::default())
            };
            system_conf::read_system_conf().unwrap_or_else(|_| here())
        } else {
            let servers = self.name_servers.iter().map(|address| {
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                server.connections.iter_mut().for_each(|connection| connection.port = address.port());
                server
            });
            (ResolverConfig::from_parts(None, Vec::new(), servers.collect()), ResolverOpts::default())
        };
        let search = match (config.search(), config.domain()) {
            ([], Some(domain)) => vec![domain.clone()],
            (search, _) => search.to_vec(),
        };
        let ndots = options.ndots;
        // This cache keeps stale addresses as well, and the hosts file comes first.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = options.timeout.min(self.limit);
        // As many as there can be.
        options.max_active_requests = 2 * (QUICK + SLOW);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let resolver = builder.build().map_err(|error| why(&error, self.limit))?;
        Ok(Sources { resolver, hosts: Hosts::from_system().unwrap_or_default(), search, ndots })
    }
}

/// When the files were last changed.
fn stamps() -> [Option<SystemTime>; 2] {
    [RESOLV_CONF, HOSTS].map(|file| fs::metadata(Path::new(file)).and_then(|file| file.modified()).ok())
}

/// The addresses that the hosts file has for a name. What it has in one family only is not asked for in the other.
fn in_hosts(hosts: &Hosts, name: &Name) -> Option<Vec<IpAddr>> {
    let of = |kind| hosts.lookup_static_host(&Query::query(name.clone(), kind));
    let found = [of(RecordType::AAAA), of(RecordType::A)];
    let records = found.iter().flatten().flat_map(|found| found.answers());
    let addresses = some_of_each_family(records.filter_map(|record| record.data.ip_addr()));
    (!addresses.is_empty()).then_some(addresses)
}

/// The first addresses of each family by turns, beginning with the family of the first one.
fn some_of_each_family(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses = addresses.peekable();
    let Some(first) = addresses.peek().map(IpAddr::is_ipv4) else { return Vec::new() };
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for address in addresses {
        let family = if address.is_ipv4() == first { &mut ones } else { &mut others };
        if family.len() < MAX_ADDRESSES && !family.contains(&address) {
            family.push(address);
        }
    }
    let mut chosen = Vec::with_capacity(MAX_ADDRESSES);
    let (mut ones, mut others) = (ones.into_iter(), others.into_iter());
    loop {
        let pair = [ones.next(), others.next()];
        if chosen.len() >= MAX_ADDRESSES || pair.iter().all(Option::is_none) {
            chosen.truncate(MAX_ADDRESSES);
            return chosen;
        }
        chosen.extend(pair.into_iter().flatten());
    }
}

/// The registrable domain that a name belongs to, by the public suffix list: below `co.uk` and `s3.eu-west-1.amazonaws.com`, names
/// next to each other are different registrants'.
fn domain(host: &str) -> &str {
    let host = host.trim_end_matches('.');
    psl::domain_str(host).unwrap_or(host)
}

/// Messages of our own: hickory's may quote what the name server sent.
fn why(error: &NetError, limit: Duration) -> LookupError {
    match error {
        NetError::Timeout => LookupError::Timeout(limit),
        NetError::Busy => LookupError::Busy,
        NetError::Io(error) => LookupError::Io(error.kind().to_string()),
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => LookupError::NoSuchName,
            ResponseCode::NoError => LookupError::NoAddress,
            code => LookupError::Refused(code),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => LookupError::Refused(*code),
        NetError::NoConnections => LookupError::Io("none could be reached".to_owned()),
        _ => LookupError::Malformed,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::thread::sleep;

    use super::*;

    fn v4(n: u32) -> IpAddr {
        Ipv4Addr::from(n).into()
    }

    fn v6(n: u128) -> IpAddr {
        std::net::Ipv6Addr::from(n).into()
    }

    #[test]
    fn thousands_of_addresses_are_cut_to_some_of_each_family() {
        let many = (0..4000).map(v4).chain((0..4000).map(v6));
        assert_eq!(some_of_each_family(many), [v4(0), v6(0), v4(1), v6(1), v4(2), v6(2), v4(3), v6(3)]);
        assert_eq!(some_of_each_family((0..4000).map(v6)).len(), MAX_ADDRESSES);
        assert_eq!(some_of_each_family([v6(1), v4(1), v6(1), v6(2)].into_iter()), [v6(1), v4(1), v6(2)]);
        assert!(some_of_each_family(std::iter::empty()).is_empty());
    }

    #[test]
    fn a_name_is_searched_for_as_resolv_conf_says() {
        let sources = |ndots| {
            let config = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build().unwrap();
            let search = ["a.test.", "b.test."].map(|name| Name::from_ascii(name).unwrap()).to_vec();
            Sources { resolver, hosts: Hosts::default(), search, ndots }
        };
        let of = |name: &str, ndots| -> Vec<String> {
            let candidates = sources(ndots).candidates(Name::from_utf8(name).unwrap());
            candidates.iter().map(Name::to_ascii).collect()
        };
        assert_eq!(of("minio", 1), ["minio.a.test.", "minio.b.test.", "minio."]);
        assert_eq!(of("s3.example", 1), ["s3.example.", "s3.example.a.test.", "s3.example.b.test."]);
        assert_eq!(of("s3.example", 2), ["s3.example.a.test.", "s3.example.b.test.", "s3.example."]);
        assert_eq!(of("s3.example.", 5), ["s3.example."]);
        assert_eq!(of("x.localhost", 5), ["x.localhost."]);
    }

    #[test]
    fn a_failed_query_leaves_open_whether_there_is_an_address() {
        use LookupError::{NoAddress, NoSuchName, Timeout};
        let late = Timeout(Duration::ZERO);
        for (one, other, expected) in [
            (NoAddress, late.clone(), late.clone()),
            (late.clone(), NoAddress, late.clone()),
            (NoSuchName, late.clone(), late.clone()),
            (NoSuchName, NoAddress, NoAddress),
            (NoAddress, NoSuchName, NoAddress),
            (NoSuchName, NoSuchName, NoSuchName),
        ] {
            assert_eq!(one.or(other), expected);
        }
    }

    #[test]
    fn a_domain_is_a_registrants_own() {
        for (host, expected) in [
            ("a.b.example.com", "example.com"),
            ("example.com", "example.com"),
            ("minio", "minio"),
            ("a.b.", "a.b"),
            ("n0.victim.co.uk", "victim.co.uk"),
            ("bucket.s3.eu-west-1.amazonaws.com", "bucket.s3.eu-west-1.amazonaws.com"),
        ] {
            assert_eq!(domain(host), expected, "{host}");
        }
    }

    #[test]
    fn the_names_used_least_recently_make_room() {
        let now = Instant::now();
        let key = |n: usize| Key { host: format!("{n}.test"), ask_system: false };
        let mut names = HashMap::new();
        for n in 0..MAX_NAMES {
            names.insert(key(n), Entry { used: now + Duration::from_secs(n as u64), ..Entry::new(now) });
        }
        make_room(&mut names);
        assert!(names.len() < MAX_NAMES && names.len() >= MAX_NAMES / 2, "{}", names.len());
        assert!(!names.contains_key(&key(0)) && names.contains_key(&key(MAX_NAMES - 1)));
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_one_is_no_such_name() {
        let resolver = Resolver::new(vec!["127.0.0.1:9".parse().unwrap()], Duration::from_secs(5));
        for host in [format!("{}.test", "a".repeat(64)), format!("{}test", "a.".repeat(200)), "a..test".to_owned()] {
            assert_eq!(resolver.lookup(&host, false).await, Err(LookupError::NoSuchName), "{host}");
        }
    }

    #[tokio::test]
    async fn the_hosts_file_and_localhost_need_no_name_server() {
        let resolver = Resolver::new(vec!["127.0.0.1:9".parse().unwrap()], Duration::from_secs(5));
        for host in ["localhost", "LocalHost", "bucket.localhost"] {
            let found = resolver.lookup(host, false).await.expect(host);
            assert!(found.iter().all(IpAddr::is_loopback), "{host}: {found:?}");
        }
    }

    /// Dropping the resolver ends its thread and the lookups there.
    #[tokio::test]
    async fn lookups_end_with_the_resolver() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let resolver = Resolver::new(vec![silent.local_addr().unwrap()], Duration::from_secs(600));
        assert!(timeout(Duration::from_millis(100), resolver.lookup("a.test", false)).await.is_err());
        let shared = Arc::downgrade(&resolver.shared);
        drop(resolver);
        let end = Instant::now() + Duration::from_secs(60);
        while shared.strong_count() > 0 {
            assert!(Instant::now() < end, "the thread goes on");
            sleep(Duration::from_millis(10));
        }
    }

    #[tokio::test]
    async fn a_lookup_ends_at_its_limit() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let limit = Duration::from_millis(300);
        let resolver = Resolver::new(vec![silent.local_addr().unwrap()], limit);
        assert_eq!(resolver.lookup("a.test", false).await, Err(LookupError::Timeout(limit)));
    }
}
