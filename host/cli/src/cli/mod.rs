//! The command-line arguments.

mod several;
mod sizes;

pub use several::{Completions, Cp, Du, Ls, Man, Method, Presign, Rm, Sync, Transfers, Uploads};
pub use sizes::PartSizes;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use sandbucket::ByteRange;

use crate::exit;

/// Store and read blobs in an S3-compatible service or Azure Blob Storage, through a sandboxed plugin.
#[derive(Debug, Parser)]
#[command(name = "sandbucket", version, about, after_help = exit::HELP, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Global {
    /// The configuration file: which service and which bucket
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        default_value = "sandbucket.toml",
        env = "SANDBUCKET_CONFIG"
    )]
    pub config: PathBuf,
    /// The store of the configuration: the name of its section [store.blob.NAME]; by default `s3`, else the only one
    #[arg(long, global = true, value_name = "NAME", env = "SANDBUCKET_STORE")]
    pub store: Option<String>,
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Log to standard error: actions (-v), details (-vv), everything (-vvv)
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// Additional attributes of a call.
#[derive(Debug, Args)]
pub struct Attributes {
    /// An attribute that the plugin documents, such as cache-control or request-payer; may be given several times
    #[arg(long, short = 'a', value_name = "NAME=VALUE", value_parser = pair)]
    pub attribute: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Demonstrate it: start an S3 server on loopback, store and read real files through the plugin
    Demo(Demo),
    /// Store a file, or standard input
    Put(Put),
    /// Read a blob, or a range of it, to a file or standard output
    Get(Get),
    /// Show the metadata of a blob
    Head(Head),
    /// Delete blobs; a missing blob is no error
    Rm(Rm),
    /// List blobs and folders
    ///
    /// Control and format characters in keys are shown as escapes such as \u{202e}, also if standard output is no terminal;
    /// with --json keys are exact.
    Ls(Ls),
    /// Copy files and blobs: to a store, from it, within it, or to another store
    Cp(Cp),
    /// Make one folder equal to another, in the store or on this machine: copy what differs
    Sync(Sync),
    /// Rename a blob: the service copies it, and the source is deleted
    Mv(Mv),
    /// Sum up the sizes of blobs
    Du(Du),
    /// Show the tags of a blob, or replace them
    Tags(Tags),
    /// List incomplete multipart uploads, or abort them
    Uploads(Uploads),
    /// Create a URL with which anybody can read, write or delete one blob until it expires
    Presign(Presign),
    /// Check the configured service step by step, and print what fails and what to do
    Check(Check),
    /// List the settings of the plugin
    Settings,
    /// Inspect a plugin: a WebAssembly component that stores blobs
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Run an S3 server on this machine, for development and tests
    DevServer(DevServer),
    /// Serve S3 to clients in any language, in front of the configured tenants
    ///
    /// The configuration file has the tables [serve] and [tenants.NAME]. SIGHUP, and a change of the file, apply it again;
    /// SIGTERM lets requests in flight finish.
    Serve(Serve),
    /// Show or change the tenants of a running `serve`
    #[command(subcommand)]
    Tenants(TenantsCommand),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page, or write all of them to a folder
    Man(Man),
}

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Show what a component exports, imports and documents; it is compiled, and connects to nothing
    Inspect {
        /// The component's file, or the name of a built-in plugin; the configured one, or the one for S3, if there is none
        #[arg(value_name = "FILE or NAME")]
        plugin: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Further files to store and read back
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Put {
    /// The blob's key
    pub key: String,
    /// The file to store; `-` is standard input
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// The media type; by default guessed from well-known file name endings
    #[arg(long, short = 't', value_name = "TYPE")]
    pub content_type: Option<String>,
    /// User metadata; may be given several times
    #[arg(long, short = 'm', value_name = "NAME=VALUE", value_parser = pair)]
    pub metadata: Vec<(String, String)>,
    #[command(flatten)]
    pub attributes: Attributes,
    #[command(flatten)]
    pub sizes: PartSizes,
    /// Approximate length of standard input or a FIFO, such as 200GiB: all parts then have one size, as some services
    /// (Cloudflare R2) require beyond 39 GiB
    #[arg(long, value_name = "SIZE", value_parser = sizes::size)]
    pub expected_size: Option<u64>,
    /// Store only if the key does not exist
    #[arg(long, conflicts_with = "if_match")]
    pub if_absent: bool,
    /// Store only if the current blob has this ETag
    #[arg(long, value_name = "ETAG")]
    pub if_match: Option<String>,
}

#[derive(Debug, Args)]
pub struct Get {
    /// The blob's key
    pub key: String,
    /// The file to write, which appears when it is complete; a FIFO, a device or /dev/fd/N is written into, and in a folder
    /// the blob keeps its name; `-` is standard output
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Only these bytes: `0-99` (the first hundred), `100-` (from there on), `-50` (the last fifty)
    #[arg(long, short, value_name = "RANGE", value_parser = range, allow_hyphen_values = true)]
    pub range: Option<ByteRange>,
    /// Read only if the blob has this ETag
    #[arg(long, value_name = "ETAG")]
    pub if_match: Option<String>,
    /// Read only if the blob has another ETag
    #[arg(long, value_name = "ETAG")]
    pub if_none_match: Option<String>,
    /// The version of the blob
    #[arg(long, value_name = "VERSION")]
    pub version_id: Option<String>,
    #[command(flatten)]
    pub attributes: Attributes,
}

#[derive(Debug, Args)]
pub struct Head {
    /// The blob's key
    pub key: String,
    /// The version of the blob
    #[arg(long, value_name = "VERSION")]
    pub version_id: Option<String>,
    #[command(flatten)]
    pub attributes: Attributes,
}

#[derive(Debug, Args)]
pub struct Mv {
    /// The blob's key
    pub from: String,
    /// The new key; if it ends in `/`, the blob keeps its name there
    pub to: String,
    /// Rename only if the new key does not exist
    #[arg(long, conflicts_with = "if_match")]
    pub if_absent: bool,
    /// Rename only if the blob of the new key has this ETag
    #[arg(long, value_name = "ETAG")]
    pub if_match: Option<String>,
    #[command(flatten)]
    pub attributes: Attributes,
}

#[derive(Debug, Args)]
pub struct Tags {
    /// The blob's key
    pub key: String,
    /// Replace the tags by this one; may be given several times
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// Delete all tags
    #[arg(long, conflicts_with = "set")]
    pub clear: bool,
    /// The version of the blob
    #[arg(long, value_name = "VERSION")]
    pub version_id: Option<String>,
    #[command(flatten)]
    pub attributes: Attributes,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Write nothing: skip put, delete, and the steps that need them
    #[arg(long)]
    pub read_only: bool,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Check the configuration, tenants included, and exit
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, Subcommand)]
pub enum TenantsCommand {
    /// List the tenants
    List(Admin),
    /// Show a tenant, or the whole gateway
    Status {
        /// The tenant
        name: Option<String>,
        #[command(flatten)]
        admin: Admin,
    },
    /// Add a tenant, or change one that was added in this way; it is gone after a restart
    Set {
        /// The tenant
        name: String,
        /// A file with the tables store.blob.s3, budget and gateway; `-` is standard input
        file: PathBuf,
        #[command(flatten)]
        admin: Admin,
    },
    /// Remove a tenant and its keys; one of the configuration comes back when that is applied again
    Remove {
        /// The tenant
        name: String,
        #[command(flatten)]
        admin: Admin,
    },
    /// Reject a tenant's new requests, and wait for those in flight
    Drain {
        /// The tenant; without it, the gateway reports that it is not ready, and goes on serving
        name: Option<String>,
        #[command(flatten)]
        admin: Admin,
    },
    /// Accept requests of a drained tenant again
    Resume {
        /// The tenant
        name: String,
        #[command(flatten)]
        admin: Admin,
    },
    /// Replace the plugin of one tenant, or of all, while requests go on
    Swap {
        /// The component's file, which the gateway reads
        file: PathBuf,
        /// The tenant; without it, all whose plugin is for the same service
        #[arg(long = "tenant", value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        admin: Admin,
    },
    /// Read and apply the configuration again
    Reload(Admin),
}

#[derive(Debug, Args)]
pub struct Admin {
    /// The admin API; by default that of [serve] in the configuration file
    #[arg(long, value_name = "unix:PATH or ADDRESS:PORT", env = "SANDBUCKET_ADMIN")]
    pub admin: Option<String>,
}

#[derive(Debug, Args)]
pub struct DevServer {
    /// The folder for the blobs; a temporary one if not given
    pub folder: Option<PathBuf>,
    /// The address to listen on; port 0 is any free one
    #[arg(long, short, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9000")]
    pub listen: String,
    /// A bucket to create if missing; may be given several times
    #[arg(long, short, value_name = "NAME", default_value = "sandbucket")]
    pub bucket: Vec<String>,
    /// The access key; generated if not given
    #[arg(long, value_name = "KEY", requires = "secret_key")]
    pub access_key: Option<String>,
    /// The secret key; generated if not given
    #[arg(
        long,
        value_name = "KEY",
        requires = "access_key",
        env = "SANDBUCKET_DEV_SECRET_KEY",
        hide_env_values = true
    )]
    pub secret_key: Option<String>,
    /// Date blobs of multipart uploads at the initiation, as Amazon S3 does
    #[arg(long)]
    pub initiation_dates: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be NAME=VALUE".to_owned()),
    }
}

/// Parses a range in HTTP's notation: from 0, including the last byte.
fn range(text: &str) -> Result<ByteRange, String> {
    let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse::<u64>().map_err(|_| format!("{digits} is too large a number")),
        false => Err("must be FIRST-LAST, FIRST- or -COUNT, in bytes".to_owned()),
    };
    match text.split_once('-') {
        Some(("", count)) if !count.is_empty() => match number(count)? {
            0 => Err("the last 0 bytes are none".to_owned()),
            count => Ok(ByteRange::Last(count)),
        },
        Some((first, "")) if !first.is_empty() => Ok(ByteRange::From(number(first)?)),
        Some((first, last)) if !first.is_empty() => {
            let (first, last) = (number(first)?, number(last)?);
            let end = last.checked_add(1).ok_or_else(|| format!("{last} is too large a number"))?;
            if first < end { Ok((first..end).into()) } else { Err(format!("{first} comes after {last}")) }
        }
        _ => Err("must be FIRST-LAST, FIRST- or -COUNT, in bytes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn argument_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ranges_are_parsed_as_http_ranges() {
        assert_eq!(range("0-99").unwrap(), ByteRange::from(0..100));
        assert_eq!(range("5-5").unwrap(), ByteRange::from(5..6));
        assert_eq!(range("7-").unwrap(), ByteRange::From(7));
        assert_eq!(range("-7").unwrap(), ByteRange::Last(7));
        for wrong in
            ["", "-", "5", "5-4", "-0", "a-b", "+1-2", "1-2-3", "0-18446744073709551615", "99999999999999999999-"]
        {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
