//! The admin API, and the health endpoints.
//!
//! | request | response |
//! | --- | --- |
//! | `GET /` | the status page |
//! | `GET /healthz` | 200 while the process runs |
//! | `GET /readyz` | 200 once the configuration is applied, 503 while the gateway drains |
//! | `GET /metrics` | Prometheus' text format |
//! | `GET /status` | the status as JSON |
//! | `GET /tenants`, `GET /tenants/NAME` | tenants as JSON |
//! | `PUT /tenants/NAME` | adds or changes a tenant; the body is the text of a tenant's file |
//! | `DELETE /tenants/NAME` | removes a tenant |
//! | `POST /tenants/NAME/drain` | rejects the tenant's new requests with `SlowDown`, and waits for those in flight |
//! | `POST /tenants/NAME/resume` | ends that |
//! | `POST /tenants/NAME/swap`, `POST /swap` | replaces the plugin of one tenant, or of all whose plugin is for the same service; the body is the path of a component |
//! | `POST /reload` | reads and applies the configuration again |
//! | `POST /drain` | fails `/readyz`, so that a load balancer sends no further requests; the gateway goes on serving |
//!
//! There is no authentication: the API listens on a Unix socket of its owner, or on loopback. A web page in a browser of the
//! same machine can reach loopback too, so requests that change something need the header `x-sandbucket-admin`, which a page
//! cannot send to another origin, and the host has to be a loopback one.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use axum::extract::{DefaultBodyLimit, Path as UrlPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use sandbucket::{TenantStatus, TenantsConfig};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::error::Error;
use crate::gateway::Gateway;
use crate::stats::RequestCounts;

/// Header of requests that change something.
pub const ADMIN_HEADER: &str = "x-sandbucket-admin";

/// Maximum size of a request's body: a tenant's file.
const MAX_BODY: usize = 1 << 20;
/// Time in which the requests of a tenant that drains have to end.
const DRAIN_TIME: Duration = Duration::from_secs(30);
/// Pause between looks at a tenant that drains.
const DRAIN_PAUSE: Duration = Duration::from_millis(20);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// The status of a gateway.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    version: &'static str,
    uptime_seconds: u64,
    ready: bool,
    draining: bool,
    connections: u64,
    in_flight: u64,
    open_stores: usize,
    plugin: Plugin,
    last_reload: Option<u64>,
    reload_error: Option<String>,
    /// Requests that no key authenticates.
    unauthenticated: RequestCounts,
    tenants: Vec<TenantView>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Plugin {
    digest: String,
    sans_io: bool,
    exports: Vec<String>,
}

/// A tenant, without any secret.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct TenantView {
    name: String,
    weight: u32,
    /// The digest of the plugin, if it is not the engine's.
    plugin: Option<String>,
    open: bool,
    /// Why the store could not be opened, if it could not the last time.
    unready: Option<String>,
    draining: bool,
    instances_idle: usize,
    instances_busy: usize,
    instances_created: u64,
    instances_discarded: u64,
    instance_memory: u64,
    cpu_seconds: f64,
    calls_in_flight: usize,
    calls_queued: usize,
    calls_throttled: u64,
    service_connections: usize,
    service_read_bytes: u64,
    service_written_bytes: u64,
    keys: usize,
    buckets: Vec<String>,
    #[serde(flatten)]
    counts: RequestCounts,
}

/// An error as a response.
struct Failed(StatusCode, String);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    }
}

impl From<sandbucket::Error> for Failed {
    fn from(error: sandbucket::Error) -> Self {
        Error::from(error).into()
    }
}

type JsonResult = Result<Json<Value>, Failed>;

/// The routes of the admin API.
pub(crate) fn admin(gateway: Gateway) -> Router {
    let routes = Router::new()
        .route("/", get(|| async { Html(include_str!("status.html")) }))
        .route("/status", get(status))
        .route("/tenants", get(tenants))
        .route("/tenants/{name}", get(tenant).put(set_tenant).delete(remove_tenant))
        .route("/tenants/{name}/drain", post(drain_tenant))
        .route("/tenants/{name}/resume", post(resume_tenant))
        .route("/tenants/{name}/swap", post(swap_tenant))
        .route("/swap", post(swap))
        .route("/reload", post(reload))
        .route("/drain", post(drain));
    routes.merge(probes()).layer(DefaultBodyLimit::max(MAX_BODY)).layer(middleware::from_fn(guard)).with_state(gateway)
}

/// The routes that contain no details: for probes, and for Prometheus.
pub(crate) fn health(gateway: Gateway) -> Router {
    probes().with_state(gateway)
}

fn probes() -> Router<Gateway> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Rejects what a web page of another origin may send.
async fn guard(request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && !request.headers().contains_key(ADMIN_HEADER) {
        return Failed(StatusCode::FORBIDDEN, format!("the header {ADMIN_HEADER} is missing")).into_response();
    }
    if !is_local(request.headers()) {
        return Failed(StatusCode::FORBIDDEN, "the host is not a loopback one".to_owned()).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                  frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return true };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn ready(State(gateway): State<Gateway>) -> (StatusCode, &'static str) {
    match (gateway.inner().is_draining(), gateway.inner().is_applied()) {
        (false, true) => (StatusCode::OK, "ready\n"),
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        (_, false) => (StatusCode::SERVICE_UNAVAILABLE, "no configuration is applied\n"),
    }
}

async fn metrics(State(gateway): State<Gateway>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], gateway.metrics_text())
}

async fn status(State(gateway): State<Gateway>) -> Json<Status> {
    Json(view(&gateway))
}

async fn tenants(State(gateway): State<Gateway>) -> Json<Vec<TenantView>> {
    Json(view(&gateway).tenants)
}

async fn tenant(State(gateway): State<Gateway>, UrlPath(name): UrlPath<String>) -> Result<Json<TenantView>, Failed> {
    let found = view(&gateway).tenants.into_iter().find(|tenant| tenant.name == name);
    found.map(Json).ok_or_else(|| no_tenant(&name))
}

fn no_tenant(name: &str) -> Failed {
    Failed(StatusCode::NOT_FOUND, format!("there is no tenant \"{}\"", name.escape_debug()))
}

fn view(gateway: &Gateway) -> Status {
    let inner = gateway.inner();
    let mut counts = gateway.counts();
    let directory = inner.shared.directory.load();
    let mut keys: BTreeMap<&str, (usize, std::collections::BTreeSet<&str>)> = BTreeMap::new();
    for grant in directory.grants() {
        let (count, buckets) = keys.entry(grant.tenant.name()).or_default();
        *count += 1;
        buckets.extend(grant.buckets.keys().map(String::as_str));
    }
    let engine = gateway.tenants().engine();
    let tenants = gateway.tenants().status().into_iter().map(|status| {
        let TenantStatus { name, weight, plugin, is_open, unready, pool, .. } = status;
        let (keys, buckets) = keys.remove(name.as_str()).unwrap_or_default();
        TenantView {
            weight,
            plugin,
            open: is_open,
            unready,
            draining: inner.shared.is_drained(&name),
            instances_idle: pool.idle,
            instances_busy: pool.busy,
            instances_created: pool.created,
            instances_discarded: pool.discarded,
            instance_memory: status.memory,
            cpu_seconds: status.cpu_time.as_secs_f64(),
            calls_in_flight: status.calls_in_flight,
            calls_queued: status.calls_queued,
            calls_throttled: status.calls_throttled,
            service_connections: status.connections,
            service_read_bytes: status.read_bytes,
            service_written_bytes: status.written_bytes,
            keys,
            buckets: buckets.into_iter().map(str::to_owned).collect(),
            counts: counts.remove(&name).unwrap_or_default(),
            name,
        }
    });
    let tenants = tenants.collect();
    let last = inner.last_reload();
    let since_epoch = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs());
    Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: inner.uptime().as_secs(),
        ready: !inner.is_draining() && inner.is_applied(),
        draining: inner.is_draining(),
        connections: inner.stats.connections(),
        in_flight: inner.stats.in_flight(),
        open_stores: gateway.tenants().open_stores(),
        plugin: Plugin {
            digest: engine.plugin().digest().to_owned(),
            sans_io: engine.is_sans_io(),
            exports: engine.exports().to_vec(),
        },
        last_reload: last.at.and_then(since_epoch),
        reload_error: last.error,
        unauthenticated: counts.remove(crate::stats::NOBODY).unwrap_or_default(),
        tenants,
    }
}

async fn set_tenant(State(gateway): State<Gateway>, UrlPath(name): UrlPath<String>, text: String) -> JsonResult {
    let parsed = tokio::task::spawn_blocking({
        let name = name.clone();
        move || single(&name, &text)
    });
    let config = parsed.await.map_err(|error| Failed(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    let existed = gateway.tenants().get(&name).is_some();
    gateway.set_tenant(&name, &config).await?;
    Ok(Json(json!({"tenant": name, "changed": existed})))
}

/// The configuration of one tenant, from the text of its file: its tables become those of `[tenants.NAME]`.
fn single(name: &str, text: &str) -> Result<TenantsConfig, Failed> {
    // Not the error's own text: it quotes the line, which may contain a secret.
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        Failed(StatusCode::UNPROCESSABLE_ENTITY, format!("line {line}: {}", error.message()))
    })?;
    let nested = toml::Table::from_iter([(
        "tenants".to_owned(),
        toml::Value::Table(toml::Table::from_iter([(name.to_owned(), toml::Value::Table(table))])),
    )]);
    Ok(TenantsConfig::parse(&nested.to_string())?)
}

async fn remove_tenant(State(gateway): State<Gateway>, UrlPath(name): UrlPath<String>) -> JsonResult {
    if !gateway.remove_tenant(&name).await {
        return Err(no_tenant(&name));
    }
    Ok(Json(json!({"removed": name})))
}

async fn drain_tenant(State(gateway): State<Gateway>, UrlPath(name): UrlPath<String>) -> JsonResult {
    if gateway.tenants().get(&name).is_none() {
        return Err(no_tenant(&name));
    }
    let inner = gateway.inner();
    inner.shared.set_drained(&name, true);
    let stats = inner.stats.tenant(&name);
    let ended = tokio::time::timeout(DRAIN_TIME, async {
        while stats.in_flight() > 0 {
            tokio::time::sleep(DRAIN_PAUSE).await;
        }
    });
    let drained = ended.await.is_ok();
    Ok(Json(json!({"tenant": name, "drained": drained, "in-flight": stats.in_flight()})))
}

async fn resume_tenant(State(gateway): State<Gateway>, UrlPath(name): UrlPath<String>) -> JsonResult {
    if gateway.tenants().get(&name).is_none() {
        return Err(no_tenant(&name));
    }
    gateway.inner().shared.set_drained(&name, false);
    Ok(Json(json!({"tenant": name, "resumed": true})))
}

async fn swap_tenant(State(gateway): State<Gateway>, UrlPath(name): UrlPath<String>, file: String) -> JsonResult {
    if gateway.tenants().get(&name).is_none() {
        return Err(no_tenant(&name));
    }
    swap_to(&gateway, Some(&name), &file).await
}

async fn swap(State(gateway): State<Gateway>, file: String) -> JsonResult {
    swap_to(&gateway, None, &file).await
}

async fn swap_to(gateway: &Gateway, tenant: Option<&str>, file: &str) -> JsonResult {
    let plugin = gateway.tenants().engine().plugin_file(file.trim()).await?;
    let swapped = gateway.tenants().swap(tenant, &plugin).await?;
    Ok(Json(json!({
        "swapped": swapped.swapped,
        "unchanged": swapped.unchanged,
        "left-out": swapped.left_out,
        "plugin": plugin.digest(),
    })))
}

async fn reload(State(gateway): State<Gateway>) -> JsonResult {
    let changes = gateway.reload().await?;
    Ok(Json(json!({
        "added": changes.added,
        "changed": changes.changed,
        "removed": changes.removed,
        "unchanged": changes.unchanged,
        "unready": changes.unready,
    })))
}

async fn drain(State(gateway): State<Gateway>) -> JsonResult {
    gateway.drain();
    Ok(Json(json!({"draining": true, "in-flight": gateway.inner().stats.in_flight()})))
}

/// Listens on a Unix socket that its owner alone may use. Replaces the socket of a process that is gone.
pub(crate) async fn unix_listener(path: &Path) -> std::io::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

    if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        if UnixStream::connect(path).await.is_ok() {
            return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, "another process listens on it"));
        }
        std::fs::remove_file(path)?;
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    // Before it listens: nobody can connect in between.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_other_machines_are_rejected() {
        let host = |host: &str| HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
        for good in ["localhost", "localhost:9001", "127.0.0.1:9001", "[::1]:9001", "127.9.9.9"] {
            assert!(is_local(&host(good)), "{good}");
        }
        for bad in ["evil.example:9001", "10.0.0.1", "localhost.evil.example", "[2001:db8::1]:1"] {
            assert!(!is_local(&host(bad)), "{bad}");
        }
    }

    #[test]
    fn faults_of_a_tenants_file_have_the_line_and_no_text() {
        let Err(Failed(status, message)) = single("alice", "weight = 1\nx = hunter2\n") else { panic!("it is taken") };
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(message.starts_with("line 2") && !message.contains("hunter2"), "{message}");
    }

    #[tokio::test]
    async fn socket_of_a_process_that_is_gone_is_replaced() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let first = unix_listener(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(unix_listener(&path).await.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        drop(first);
        unix_listener(&path).await.unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(unix_listener(&file).await.is_err());
        assert_eq!(std::fs::read(&file).unwrap(), b"x");
    }
}
