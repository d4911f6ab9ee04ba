//! The arguments of what works on many blobs.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::Shell;

use super::{Attributes, PartSizes, pair};
use crate::cp::filter::Filter;
use crate::cp::walk::Links;

#[derive(Debug, Args)]
pub struct Ls {
    /// What the keys begin with; all where not given
    #[arg(default_value = "")]
    pub prefix: String,
    /// Every blob below, instead of folders (what keys have up to the next `/`)
    #[arg(long, short)]
    pub recursive: bool,
    /// All versions, and the marks of deletions
    #[arg(long)]
    pub versions: bool,
    #[command(flatten)]
    pub attributes: Attributes,
}

#[derive(Debug, Args)]
#[command(after_help = "A place is `store:KEY` in the store, or a file; `-` is standard input or output. \
    With --recursive both are folders: `store:photos/2026`, or `store:` for all there is. A FIFO, a socket, a device or a circle of links in a \
    folder is reported, and the exit status is 1. Files that are written get the time when the blob was last modified.\n\n\
    Examples:\n  \
    sandbucket cp report.pdf store:reports/\n  \
    sandbucket cp --recursive --newer photos store:photos\n  \
    sandbucket cp --recursive store:photos restored\n  \
    tar c src | sandbucket cp - store:src.tar")]
pub struct Cp {
    /// What to copy
    pub from: String,
    /// Where to
    pub to: String,
    /// All that is in the folder, and below
    #[arg(long, short)]
    pub recursive: bool,
    /// Only what is missing there, differs in size, or was written later here
    #[arg(long, requires = "recursive")]
    pub newer: bool,
    /// What becomes of symbolic links in a folder
    #[arg(long, requires = "recursive", value_enum, default_value_t)]
    pub links: Links,
    /// About how long standard input or a FIFO will be, such as 200GiB: its parts are all of one size then, as some services
    /// (Cloudflare R2) want them beyond 39 GiB
    #[arg(long, value_name = "SIZE", value_parser = super::sizes::size, conflicts_with = "recursive")]
    pub expected_size: Option<u64>,
    #[command(flatten)]
    pub filter: Filter,
    #[command(flatten)]
    pub transfers: Transfers,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A place is `store:KEY` in the store, or a folder. What is missing at the second, differs in size, or was written later \
    at the first, is copied; times are compared in whole seconds, and files that are written get that of their blob. A blob that is as large \
    as the file and newer is not read where its entity tag is that of the file's content. Both are listed in the order of their names' bytes, as \
    S3 does it, and copied as they are listed, so that memory does not grow with their number.\n\n\
    With --delete, what only the second has is deleted at the end, and only if all was listed and copied without an error; what --exclude leaves \
    out stays, and so do folders, and what symbolic links lead to.\n\n\
    Examples:\n  \
    sandbucket sync photos store:photos\n  \
    sandbucket sync --delete --dry-run --exclude 'cache/*' site store:www\n  \
    sandbucket sync --exclude '*' --include '*.pdf' store:reports reports"
)]
pub struct Sync {
    /// The folder to copy from
    pub from: String,
    /// The folder to make like it
    pub to: String,
    /// Delete what the first does not have
    #[arg(long)]
    pub delete: bool,
    /// Compare sizes alone, not times
    #[arg(long)]
    pub size_only: bool,
    /// What becomes of symbolic links in the first folder
    #[arg(long, value_enum, default_value_t)]
    pub links: Links,
    #[command(flatten)]
    pub filter: Filter,
    #[command(flatten)]
    pub transfers: Transfers,
}

/// How things are copied.
#[derive(Debug, Args)]
pub struct Transfers {
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print nothing but errors, and with --dry-run what would be done
    #[arg(long, short)]
    pub quiet: bool,
    /// How many are copied at once
    #[arg(long, short, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    #[command(flatten)]
    pub sizes: PartSizes,
    /// The configuration of the store to copy to, where it is another one
    #[arg(long, value_name = "FILE")]
    pub to_config: Option<PathBuf>,
    /// An attribute that the plugin knows, for what is written to a store; may be given several times
    #[arg(long, short = 'a', value_name = "NAME=VALUE", value_parser = pair)]
    pub attribute: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub struct Rm {
    /// The blobs' keys; with --recursive, folders: `photos` and `photos/` mean all keys that begin with `photos/`
    #[arg(required = true, value_name = "KEY")]
    pub keys: Vec<String>,
    /// All blobs in the folder, and below; asks before it deletes
    #[arg(long, short)]
    pub recursive: bool,
    /// With --recursive: all blobs whose keys begin so, `photos-old/x` and `photos.zip` for `photos` too
    #[arg(long, requires = "recursive")]
    pub prefix: bool,
    /// Do not ask
    #[arg(long, short, requires = "recursive")]
    pub yes: bool,
    /// This version of the one blob, for good
    #[arg(long, value_name = "VERSION", conflicts_with = "recursive")]
    pub version_id: Option<String>,
    #[command(flatten)]
    pub attributes: Attributes,
}

#[derive(Debug, Args)]
pub struct Uploads {
    /// What the keys begin with; all where not given
    #[arg(default_value = "")]
    pub prefix: String,
    /// Abort them, which deletes their parts; asks before it does. One that is under way fails then
    #[arg(long)]
    pub abort: bool,
    /// Do not ask
    #[arg(long, short, requires = "abort")]
    pub yes: bool,
    #[command(flatten)]
    pub attributes: Attributes,
}

#[derive(Debug, Args)]
pub struct Du {
    /// What the keys begin with; all where not given
    #[arg(default_value = "")]
    pub prefix: String,
    /// A sum for each folder so many levels down
    #[arg(long, short, value_name = "LEVELS", default_value_t = 0)]
    pub depth: usize,
}

#[derive(Debug, Args)]
pub struct Presign {
    /// The blob's key
    pub key: String,
    /// What the URL is to allow
    #[arg(long, short, value_enum, default_value = "get")]
    pub method: Method,
    /// How long it is to be good for: 30s, 15m, 12h or 7d, which is the most
    #[arg(long, short, value_name = "TIME", default_value = "15m", value_parser = duration)]
    pub expires: Duration,
    /// A header that must be sent with it, such as content-type; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub header: Vec<(String, String)>,
    /// A parameter that the plugin knows, such as response-content-type; may be given several times
    #[arg(long, short = 'a', value_name = "NAME=VALUE", value_parser = pair)]
    pub attribute: Vec<(String, String)>,
    /// This version of the blob
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
    /// The shell to complete for
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// The folder to write all pages to; one page goes to standard output where not given
    pub folder: Option<PathBuf>,
}

/// A number of seconds, minutes, hours or days.
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
