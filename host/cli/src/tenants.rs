//! `tenants`: the tenants of a running `serve`, through its admin API.

use std::fmt::Write as _;

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sandbucket_gateway::{AdminAddress, AdminClient, ServeConfig};
use serde_json::Value;

use crate::cli::{Admin, TenantsCommand};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::serve::failure;
use crate::text;

/// Maximum size of a tenant's file in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Swapped tenants that are shown by name; `--json` has all.
const MAX_SHOWN: usize = 16;

pub async fn run(context: &Context, command: TenantsCommand) -> Result<Exit, Failure> {
    match command {
        TenantsCommand::List(admin) => {
            let tenants = client(context, admin)?.get("/tenants").await.map_err(failure)?;
            if context.output.json {
                context.output.value(&tenants)?;
            } else {
                for tenant in tenants.as_array().into_iter().flatten() {
                    context.output.line(line(tenant))?;
                }
            }
        }
        TenantsCommand::Status { name, admin } => {
            let path = name.map_or_else(|| "/status".to_owned(), |name| path(&name, ""));
            let status = client(context, admin)?.get(&path).await.map_err(failure)?;
            if context.output.json {
                context.output.value(&status)?;
            } else {
                let text = serde_json::to_string_pretty(&status).unwrap_or_default();
                context.output.line(text)?;
            }
        }
        TenantsCommand::Set { name, file, admin } => {
            let text = read(&file).await?;
            let done = client(context, admin)?.send(Method::PUT, &path(&name, ""), text).await.map_err(failure)?;
            let verb = if done["changed"] == true { "changed" } else { "added" };
            report(context, &done, &format!("{verb} {}", text::plain(&name)))?;
        }
        TenantsCommand::Remove { name, admin } => {
            let client = client(context, admin)?;
            let done = client.send(Method::DELETE, &path(&name, ""), String::new()).await.map_err(failure)?;
            report(context, &done, &format!("removed {}", text::plain(&name)))?;
        }
        TenantsCommand::Drain { name: None, admin } => {
            let done = client(context, admin)?.send(Method::POST, "/drain", String::new()).await.map_err(failure)?;
            report(context, &done, "the gateway reports that it is not ready")?;
        }
        TenantsCommand::Drain { name: Some(name), admin } => {
            let client = client(context, admin)?;
            let done = client.send(Method::POST, &path(&name, "/drain"), String::new()).await.map_err(failure)?;
            if done["drained"] != true {
                let message = format!("{} requests of {} are still in flight", done["in-flight"], text::plain(&name));
                return Err(Failure::new(Exit::Failure, message)
                    .with_hint("its new requests are rejected; drain it again to wait"));
            }
            report(context, &done, &format!("drained {}", text::plain(&name)))?;
        }
        TenantsCommand::Resume { name, admin } => {
            let client = client(context, admin)?;
            let done = client.send(Method::POST, &path(&name, "/resume"), String::new()).await.map_err(failure)?;
            report(context, &done, &format!("resumed {}", text::plain(&name)))?;
        }
        TenantsCommand::Swap { file, name, admin } => {
            // The gateway reads it, and has a folder of its own.
            let file = std::path::absolute(&file).map_err(|error| Failure::file("finding", &file, &error))?;
            let action = name.map_or_else(|| "/swap".to_owned(), |name| path(&name, "/swap"));
            let text = file.to_str().ok_or_else(|| Failure::new(Exit::Usage, "the path is not UTF-8"))?.to_owned();
            let done = client(context, admin)?.send(Method::POST, &action, text).await.map_err(failure)?;
            report(context, &done, &swapped(&done))?;
            for (tenant, why) in done["left-out"].as_object().into_iter().flatten() {
                let (tenant, why) = (text::plain(tenant), text::plain(why.as_str().unwrap_or_default()));
                context.output.note(&format!("The tenant {tenant} keeps its plugin: {why}"));
            }
        }
        TenantsCommand::Reload(admin) => {
            let done = client(context, admin)?.send(Method::POST, "/reload", String::new()).await.map_err(failure)?;
            let count = |field: &str| done[field].as_array().map_or(0, Vec::len);
            let (added, changed, removed) = (count("added"), count("changed"), count("removed"));
            report(
                context,
                &done,
                &format!("{added} added, {changed} changed, {removed} removed, {} unchanged", done["unchanged"]),
            )?;
            for (tenant, why) in done["unready"].as_object().into_iter().flatten() {
                context.output.note(&unready(tenant, why.as_str().unwrap_or_default()));
            }
        }
    }
    Ok(Exit::Success)
}

/// A client of the admin API that the arguments, or else the configuration file, name.
fn client(context: &Context, arguments: Admin) -> Result<AdminClient, Failure> {
    let address = match arguments.admin {
        Some(text) => text.parse::<AdminAddress>().map_err(|message| Failure::new(Exit::Usage, message))?,
        None => {
            let config = ServeConfig::load(&context.config_file).map_err(failure)?;
            config.admin.ok_or_else(|| {
                Failure::new(Exit::Config, "the configuration file has no `admin` in [serve]")
                    .with_hint("name the address with --admin, such as unix:/run/sandbucket/admin.sock")
            })?
        }
    };
    Ok(AdminClient::new(address))
}

fn path(name: &str, action: &str) -> String {
    format!("/tenants/{}{action}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

/// The outcome of a swap.
fn swapped(done: &Value) -> String {
    let names: Vec<_> = done["swapped"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let some: Vec<_> = names.iter().take(MAX_SHOWN).map(|name| text::plain(name)).collect();
    let more = match names.len().saturating_sub(MAX_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = if names.is_empty() { String::new() } else { format!(" ({}{more})", some.join(", ")) };
    let left_out = done["left-out"].as_object().map_or(0, serde_json::Map::len);
    format!("{} swapped{shown}, {} unchanged, {left_out} left out", names.len(), done["unchanged"])
}

/// A tenant whose store cannot be opened at present.
pub fn unready(tenant: &str, why: &str) -> String {
    format!("The tenant {} is not ready, its requests try again: {}", text::plain(tenant), text::plain(why))
}

/// A line of the list.
fn line(tenant: &Value) -> String {
    let mut text = text::plain(tenant["name"].as_str().unwrap_or_default());
    let state = match (tenant["draining"].as_bool(), tenant["unready"].is_string(), tenant["open"].as_bool()) {
        (Some(true), ..) => "draining",
        (_, true, _) => "not ready",
        (.., Some(true)) => "open",
        _ => "closed",
    };
    let _ = write!(
        text,
        "\t{state}\t{} requests\t{} errors\t{} throttled\t{} in flight",
        tenant["requests"], tenant["server-errors"], tenant["throttled"], tenant["in-flight"]
    );
    text
}

fn report(context: &Context, done: &Value, message: &str) -> Result<(), Failure> {
    if context.output.json {
        context.output.value(done)?;
    } else {
        context.output.note(message);
    }
    Ok(())
}

/// Reads a tenant's file.
async fn read(file: &std::path::Path) -> Result<String, Failure> {
    use tokio::io::AsyncReadExt as _;
    let failed = |error: std::io::Error| Failure::file("reading", file, &error);
    let mut text = String::new();
    if file.as_os_str() == "-" {
        tokio::io::stdin().take(MAX_FILE + 1).read_to_string(&mut text).await.map_err(failed)?;
    } else {
        let opened = tokio::fs::File::open(file).await.map_err(failed)?;
        opened.take(MAX_FILE + 1).read_to_string(&mut text).await.map_err(failed)?;
    }
    if text.len() as u64 > MAX_FILE {
        return Err(Failure::new(Exit::Failure, format!("{} has more than {MAX_FILE} bytes", file.display())));
    }
    Ok(text)
}
