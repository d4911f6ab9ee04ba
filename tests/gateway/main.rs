//! The gateway before two tenants on two services: the dev server (alice) and moto (bob).

mod admin;
mod browser;
mod chunked;
mod clients;
mod isolation;
mod limits;
mod object_store;
mod rclone;
mod rogue;
mod scripted;
mod tls;

use std::time::Duration;

use sandbucket::{Tenants, TenantsConfig};
use sandbucket_gateway::{Gateway, Running, ServeConfig};
use sandbucket_tests::python::Boto;
use sandbucket_tests::{Kind, Service, engine, run_within};
use serde_json::{Value, json};

/// The secret of all front-end keys.
const SECRET: &str = "front-end secret that must not show";

/// Runs a test, which starts a dozen programs and more.
fn run<T>(test: impl Future<Output = T>) -> T {
    run_within(Duration::from_secs(900), test)
}

/// A running gateway and its services.
struct Bench {
    running: Running,
    gateway: Gateway,
    alice: Service,
    bob: Service,
}

impl Bench {
    async fn start() -> Bench {
        Bench::with("").await
    }

    /// With these further keys of the configuration.
    async fn with(further: &str) -> Bench {
        let (alice, bob) = (Kind::Dev.start().await, Kind::Moto.start().await);
        let config = format!("[serve]\nlisten = '127.0.0.1:0'\n{further}");
        let gateway = Gateway::new(Tenants::new(engine().clone()), ServeConfig::parse(&config).unwrap()).unwrap();
        gateway.apply(&TenantsConfig::parse(&tenants(&alice, &bob)).unwrap()).await.unwrap();
        let running = gateway.start().await.unwrap();
        Bench { running, gateway, alice, bob }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.running.addresses()[0])
    }

    async fn boto(&self, access_key: &str) -> Client {
        Client(Boto::start(&self.endpoint(), access_key, SECRET).await.expect("a boto3 client"))
    }
}

/// The configuration of both tenants.
fn tenants(alice: &Service, bob: &Service) -> String {
    let mut text = String::new();
    for (name, service) in [("alice", alice), ("bob", bob)] {
        text.push_str(&format!("[tenants.{name}.store.blob.s3]\nallow-private = true\nproxy = 'none'\n"));
        for (key, value) in service.settings(&[]) {
            text.push_str(&format!("{key} = {value:?}\n"));
        }
        text.push_str(&format!(
            "[tenants.{name}.gateway]\n\
             keys = [\n\
                 {{ access-key = '{name}-rw', secret-key = '{SECRET}', access = 'read-write' }},\n\
                 {{ access-key = '{name}-ro', secret-key = '{SECRET}' }},\n\
                 {{ access-key = '{name}-part', secret-key = '{SECRET}', access = 'read-write', prefixes = ['a/'], \
                    buckets = ['{name}-photos'] }},\n\
             ]\n\
             buckets.{name}-photos = {{ prefix = 'photos/' }}\n\
             buckets.{name}-music = {{ prefix = 'music/' }}\n\
             buckets.{name}-all = {{}}\n"
        ));
    }
    text
}

/// A boto3 client of the gateway.
struct Client(Boto);

impl Client {
    /// Calls a method, which succeeds.
    async fn ok(&mut self, method: &str, arguments: Value) -> Value {
        let response = self.call(method, &arguments).await;
        assert!(response.get("failed").is_none(), "{method}({}): {response}", short(&arguments));
        response["result"].clone()
    }

    /// Calls a method, which fails with this code and status.
    async fn fails(&mut self, method: &str, arguments: Value, code: &str, status: u16) {
        let response = self.call(method, &arguments).await;
        assert_eq!(
            (&response["failed"], &response["status"]),
            (&json!(code), &json!(status)),
            "{method}({}): {response}",
            short(&arguments)
        );
    }

    async fn call(&mut self, method: &str, arguments: &Value) -> Value {
        let command = json!({"op": "call", "method": method, "arguments": arguments});
        self.0
            .call(command)
            .await
            .unwrap_or_else(|error| panic!("{method}({}): {:.300}", short(arguments), format!("{error:#}")))
    }

    /// Runs the `aws` command.
    async fn aws(&mut self, arguments: &[&str], body: &[u8]) -> String {
        let command = json!({"op": "aws", "arguments": arguments, "body": sandbucket_tests::python::hex(body)});
        let response = self.0.call(command).await.unwrap_or_else(|error| panic!("aws {arguments:?}: {error:#}"));
        response["body"].as_str().unwrap_or_default().to_owned()
    }
}

/// The beginning of arguments, which may contain a body.
fn short(arguments: &Value) -> String {
    arguments.to_string().chars().take(300).collect()
}

/// Both tenants: the name of each, and what its service cannot do.
fn both(bench: &Bench) -> [(&'static str, &Service); 2] {
    [("alice", &bench.alice), ("bob", &bench.bob)]
}

/// Bytes without a repeating pattern.
fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}
