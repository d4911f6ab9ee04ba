//! Test support: one engine and one runtime per test program, unusual keys, the services to test on, and a server that
//! misbehaves by script.

pub mod azurite;
pub mod child;
pub mod garage;
pub mod keys;
pub mod plain;
pub mod python;
pub mod services;
pub mod tokens;

use std::future::Future;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use sandbucket::{Engine, EngineBuilder, Proxy, Store};
use sandbucket_dev_server::DevServer;
use tokio::runtime::Runtime;

pub use sandbucket_faulty as faulty;
pub use services::{Kind, Service};

/// The component of `tests/rogue`, built for the world `simple-plugin`.
pub const ROGUE: &str = env!("SANDBUCKET_ROGUE");
/// The same, built for the world `plugin` with the interface `sans-io`.
pub const ROGUE_SANS_IO: &str = env!("SANDBUCKET_ROGUE_SANS_IO");
/// The component of `tests/blobstore/guest`.
pub const BLOBSTORE_GUEST: &str = env!("SANDBUCKET_BLOBSTORE_GUEST");
/// The component of `guest/webdav`, the tutorial plugin.
pub const WEBDAV: &str = env!("SANDBUCKET_WEBDAV");
/// The compile cache, kept between runs.
pub const CACHE: &str = concat!(env!("OUT_DIR"), "/cache");
/// Time limit of a test: many times what any test takes, so that a hang fails and a slow machine does not.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The bucket of [`dev_server`].
pub const BUCKET: &str = "sandbucket-tests";
/// The access key of [`dev_server`].
pub const ACCESS_KEY: &str = "tester";
/// The secret key of [`dev_server`].
pub const SECRET_KEY: &str = "a secret that must not show";

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a tokio runtime"));

static ENGINE: LazyLock<Engine> = LazyLock::new(|| builder().build().expect("an engine with the real plugin"));

/// Runs a test, and fails it after [`PATIENCE`]. All tests of a program share a runtime, because they share an engine and
/// its connections.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    run_within(PATIENCE, test)
}

/// The same with another time limit, for tests that start many programs.
pub fn run_within<T>(limit: Duration, test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(async { tokio::time::timeout(limit, test).await.expect("the test hangs") })
}

/// An engine that may reach the tests' servers on loopback.
pub fn builder() -> EngineBuilder {
    Engine::builder().cache_dir(Path::new(CACHE)).allow_private_networks().proxy(Proxy::none())
}

/// The engine with the real plugin.
pub fn engine() -> &'static Engine {
    &ENGINE
}

/// An embedded S3 server with the bucket [`BUCKET`].
pub async fn dev_server() -> DevServer {
    DevServer::builder()
        .credentials(ACCESS_KEY, SECRET_KEY)
        .buckets([BUCKET])
        .start()
        .await
        .expect("the embedded server starts")
}

/// The settings for [`dev_server`], followed by `further`: a name that is given again overrides the first.
pub fn settings(endpoint: &str, further: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = Vec::new();
    let common = [("bucket", BUCKET), ("access-key", ACCESS_KEY), ("secret-key", SECRET_KEY), ("endpoint", endpoint)];
    for (name, value) in common.iter().chain(further) {
        settings.retain(|(known, _)| known != name);
        settings.push(((*name).to_owned(), (*value).to_owned()));
    }
    settings
}

/// A store of the real plugin on a server like [`dev_server`].
pub async fn open(endpoint: &str, further: &[(&str, &str)]) -> Store {
    engine().store(settings(endpoint, further)).await.expect("the store opens")
}

/// Unwraps the failure of the expected error variant; any other outcome fails the test.
#[macro_export]
macro_rules! refused {
    ($result:expr, $case:ident) => {
        match $result {
            Err(sandbucket::Error::$case(failure)) => *failure,
            Err(other) => panic!("expected {}, got {other:?}", stringify!($case)),
            Ok(_) => panic!("expected {}, but it went well", stringify!($case)),
        }
    };
}
