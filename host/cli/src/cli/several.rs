//! Arguments of the subcommands on many blobs.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::Shell;

use super::{Attributes, PartSizes, pair};
use crate::cp::filter::Filter;
use crate::cp::walk::Links;

#[derive(Debug, Args)]
pub struct Ls {
    /// The prefix of the keys; all if not given
    #[arg(default_value = "")]
    pub prefix: String,
    /// List every blob below, instead of folders (keys up to the next `/`)
    #[arg(long, short)]
    pub recursive: bool,
    /// List all versions, and delete markers
    #[arg(long)]
    pub versions: bool,
    #[command(flatten)]
    pub attributes: Attributes,
}

#[derive(Debug, Args)]
#[command(
    after_help = "FROM and TO are `store:KEY` or a local path; `-` is standard input or output. `store.NAME:KEY` is in the store of \
    the section [store.blob.NAME]; between two stores, also of different plugins, blobs go through this machine. With --recursive \
    both are folders: `store:photos/2026`, or `store:` for all blobs. FIFOs, sockets, devices and cycles of links in a folder are \
    reported, and the exit status is 1. Downloaded files get the blob's modification time.\n\n\
    Examples:\n  \
    sandbucket cp report.pdf store:reports/\n  \
    sandbucket cp --recursive --newer photos store:photos\n  \
    sandbucket cp --recursive store:photos restored\n  \
    sandbucket cp --recursive store.s3:photos store.archive:photos\n  \
    tar c src | sandbucket cp - store:src.tar"
)]
pub struct Cp {
    /// The source: a path, `store:KEY`, `store.NAME:KEY`, or `-`
    pub from: String,
    /// The target: a path, `store:KEY`, `store.NAME:KEY`, or `-`
    pub to: String,
    /// Copy the folder and all its subfolders
    #[arg(long, short)]
    pub recursive: bool,
    /// Copy only what is missing at the target, differs in size, or is newer at the source
    #[arg(long, requires = "recursive")]
    pub newer: bool,
    /// How to treat symbolic links in a folder
    #[arg(long, requires = "recursive", value_enum, default_value_t)]
    pub links: Links,
    /// Approximate length of standard input or a FIFO, such as 200GiB: all parts then have one size, as some services
    /// (Cloudflare R2) require beyond 39 GiB
    #[arg(long, value_name = "SIZE", value_parser = super::sizes::size, conflicts_with = "recursive")]
    pub expected_size: Option<u64>,
    #[command(flatten)]
    pub filter: Filter,
    #[command(flatten)]
    pub transfers: Transfers,
}

#[derive(Debug, Args)]
#[command(
    after_help = "FROM and TO are `store:KEY` (or `store.NAME:KEY`: see `cp`) or a local folder. Copies what is missing at the target, differs in size, or is newer \
    at the source. Times are compared in whole seconds, and downloaded files get the blob's modification time. A newer blob of the \
    same size is not read if its ETag matches the file's content. Both folders are listed in the order of their names' bytes, like \
    S3, and copied while they are listed, so that memory does not grow with the number of files.\n\n\
    --delete deletes what only the target has, at the end, and only if everything was listed and copied without an error. It \
    keeps what --exclude excludes, folders, and the targets of symbolic links.\n\n\
    Examples:\n  \
    sandbucket sync photos store:photos\n  \
    sandbucket sync --delete --dry-run --exclude 'cache/*' site store:www\n  \
    sandbucket sync --exclude '*' --include '*.pdf' store:reports reports"
)]
pub struct Sync {
    /// The source folder
    pub from: String,
    /// The target folder
    pub to: String,
    /// Delete what the source does not have
    #[arg(long)]
    pub delete: bool,
    /// Compare sizes only, not times
    #[arg(long)]
    pub size_only: bool,
    /// How to treat symbolic links in the source folder
    #[arg(long, value_enum, default_value_t)]
    pub links: Links,
    #[command(flatten)]
    pub filter: Filter,
    #[command(flatten)]
    pub transfers: Transfers,
}

/// Options of copies.
#[derive(Debug, Args)]
pub struct Transfers {
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print only errors, and with --dry-run what would be done
    #[arg(long, short)]
    pub quiet: bool,
    /// Number of concurrent copies
    #[arg(long, short, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    #[command(flatten)]
    pub sizes: PartSizes,
    /// The configuration file of the target store, if it is in another one
    #[arg(long, value_name = "FILE")]
    pub to_config: Option<PathBuf>,
    /// An attribute that the plugin documents, for writes to a store; may be given several times
    #[arg(long, short = 'a', value_name = "NAME=VALUE", value_parser = pair)]
    pub attribute: Vec<(String, String)>,
    /// Between two stores: leave out header fields and metadata of blobs that the target's plugin does not accept, and say which;
    /// without it, they are errors
    #[arg(long)]
    pub drop_unsupported: bool,
}

#[derive(Debug, Args)]
pub struct Rm {
    /// The blobs' keys; with --recursive, folders: `photos` and `photos/` mean all keys with the prefix `photos/`
    #[arg(required = true, value_name = "KEY")]
    pub keys: Vec<String>,
    /// Delete all blobs in the folder and below, after a confirmation
    #[arg(long, short)]
    pub recursive: bool,
    /// With --recursive: delete all blobs whose keys have this prefix, `photos-old/x` and `photos.zip` for `photos` too
    #[arg(long, requires = "recursive")]
    pub prefix: bool,
    /// Do not ask for confirmation
    #[arg(long, short, requires = "recursive")]
    pub yes: bool,
    /// Permanently delete this version of the blob
    #[arg(long, value_name = "VERSION", conflicts_with = "recursive")]
    pub version_id: Option<String>,
    #[command(flatten)]
    pub attributes: Attributes,
}

#[derive(Debug, Args)]
pub struct Uploads {
    /// The prefix of the keys; all if not given
    #[arg(default_value = "")]
    pub prefix: String,
    /// Abort them, which deletes their parts, after a confirmation. An upload in progress then fails
    #[arg(long)]
    pub abort: bool,
    /// Do not ask for confirmation
    #[arg(long, short, requires = "abort")]
    pub yes: bool,
    #[command(flatten)]
    pub attributes: Attributes,
}

#[derive(Debug, Args)]
pub struct Du {
    /// The prefix of the keys; all if not given
    #[arg(default_value = "")]
    pub prefix: String,
    /// Print a sum for each folder down to this depth
    #[arg(long, short, value_name = "LEVELS", default_value_t = 0)]
    pub depth: usize,
}

#[derive(Debug, Args)]
pub struct Presign {
    /// The blob's key
    pub key: String,
    /// The operation that the URL permits
    #[arg(long, short, value_enum, default_value = "get")]
    pub method: Method,
    /// Validity of the URL: 30s, 15m, 12h or 7d, which is the maximum
    #[arg(long, short, value_name = "TIME", default_value = "15m", value_parser = duration)]
    pub expires: Duration,
    /// A header that the request must have, such as content-type; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub header: Vec<(String, String)>,
    /// An attribute that the plugin documents, such as response-content-type; may be given several times
    #[arg(long, short = 'a', value_name = "NAME=VALUE", value_parser = pair)]
    pub attribute: Vec<(String, String)>,
    /// The version of the blob
    #[arg(long, value_name = "VERSION")]
    pub version_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Method {
    Get,
    Head,
    Put,
    Delete,
}

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// The folder to write all pages to; prints one page to standard output if not given
    pub folder: Option<PathBuf>,
}

/// Parses a number of seconds, minutes, hours or days.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a number with a unit: 30s, 15m, 12h or 7d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_with_units() {
        for (text, seconds) in [("30s", 30), ("15m", 900), ("12h", 43_200), ("7d", 604_800), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "s", "15", "1.5h", "-1s", "+1s", "1w", "é", "99999999999999999999s", "999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
