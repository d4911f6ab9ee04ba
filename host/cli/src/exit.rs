//! Exit statuses of the command.

use std::process::ExitCode;

/// One status per kind of error that a script can act upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Success = 0,
    Failure = 1,
    Usage = 2,
    NotFound = 3,
    Precondition = 4,
    Denied = 5,
    Network = 6,
    Config = 7,
    /// The shells' status for a process terminated by SIGHUP.
    HungUp = 129,
    /// The shells' status for a process terminated by SIGINT.
    Interrupted = 130,
    /// The shells' status for a process terminated by SIGPIPE.
    BrokenPipe = 141,
    /// The shells' status for a process terminated by SIGTERM.
    Terminated = 143,
}

/// The same for `--help`.
pub const HELP: &str = "\
Exit status:
  0  success
  1  any other error
  2  wrong usage, or an argument that the service rejects
  3  no such key, version or bucket
  4  a condition failed, or the range is outside the blob
  5  access denied: wrong, expired or insufficient credentials
  6  the service could not be reached, was too slow, or throttled the requests
  7  the configuration, or a setting in it, is wrong
  129, 130, 143  ended by SIGHUP, SIGINT (Ctrl-C) or SIGTERM, with uploads aborted and temporary files removed
  141  the reader of standard output has closed it

Environment:
  SANDBUCKET_CONFIG  the configuration file, unless --config is given
  HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY
                     the proxy, unless the section has a setting `proxy` (lower-case names take precedence)
  SANDBUCKET_CACHE_DIR
                     the folder of the compile cache, instead of ~/.cache/sandbucket; `cache-dir` in [sandbox] takes
                     precedence
  NO_COLOR           disables colours if set
  RUST_LOG           the log filter for standard error, instead of --verbose";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
