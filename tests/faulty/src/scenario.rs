//! The scenarios of `tests/drivers/scenarios.json`: what a server does, and what every driver makes of it.
//!
//! [`Scenario::start`] starts the server of one, and [`Running::mismatches`] compares what it saw with what the scenario expects;
//! the driver's test compares the outcome of the call. `tests/drivers/README.md` has the format.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::{Act, Faulty, Seen};

/// The bucket of all scenarios.
pub const BUCKET: &str = "sandbucket-tests";
/// The access key of all scenarios.
pub const ACCESS_KEY: &str = "tester";
/// The secret key of all scenarios.
pub const SECRET_KEY: &str = "a secret that must not show";

/// The file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Table {
    /// The version of the format: 1.
    pub format: u32,
    /// The scenarios, each of another name.
    pub scenarios: Vec<Scenario>,
}

/// One scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// Scenario and expectation, in snake case.
    pub name: String,
    /// Settings besides [`Scenario::settings`].
    #[serde(default)]
    settings: BTreeMap<String, String>,
    /// Whether the host lets the store connect to private addresses: the server is on loopback.
    #[serde(default = "yes")]
    pub private_networks: bool,
    /// Blobs in the bucket at the start, besides `k` with the content `right`.
    #[serde(default)]
    blobs: BTreeMap<String, Content>,
    /// What the server does with each request in turn. Afterwards it is a correct store.
    #[serde(default)]
    script: Vec<ActSpec>,
    /// The call.
    pub call: Call,
    /// Its outcome.
    pub expect: Expect,
    /// The methods of the requests, in order. Absent if their number depends on timing.
    #[serde(default)]
    requests: Option<Vec<String>>,
    /// What single requests look like.
    #[serde(default)]
    seen: Vec<Look>,
    /// Blobs after the call; null for none.
    #[serde(default)]
    stored: BTreeMap<String, Option<Content>>,
}

/// The bytes of a body.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, rename_all = "kebab-case", deny_unknown_fields)]
pub enum Content {
    /// This text.
    Text(String),
    /// So many bytes, of which the one at offset *i* is *i* mod 251.
    Pattern {
        /// Their number.
        pattern: usize,
    },
    /// A text, again and again.
    Repeat {
        /// The text.
        repeat: String,
        /// How often.
        times: usize,
    },
    /// Several, one after the other.
    Join {
        /// These.
        join: Vec<Content>,
    },
}

impl Content {
    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Content::Text(text) => text.clone().into_bytes(),
            Content::Pattern { pattern } => (0..*pattern).map(|at| (at % 251) as u8).collect(),
            Content::Repeat { repeat, times } => repeat.repeat(*times).into_bytes(),
            Content::Join { join } => join.iter().flat_map(Content::bytes).collect(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ActSpec {
    say: Say,
    #[serde(default)]
    before_body: bool,
    #[serde(default)]
    applied: bool,
    #[serde(default)]
    delay_ms: u64,
    body_up_to: Option<usize>,
    #[serde(default)]
    then: Then,
    #[serde(default = "once")]
    times: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
enum Say {
    Correct,
    Nothing,
    Respond {
        status: u16,
        #[serde(default)]
        headers: Vec<String>,
        date_offset_s: Option<i64>,
        #[serde(default = "nothing")]
        body: Content,
    },
    Error {
        status: u16,
        code: String,
        #[serde(default)]
        headers: Vec<String>,
        date_offset_s: Option<i64>,
    },
    Raw(Content),
    Drip(Content),
    Flood {
        head: Content,
        repeat: Content,
    },
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Then {
    #[default]
    Keep,
    Close,
    Reset,
    #[serde(rename = "stall")]
    Silence,
    Freeze,
}

/// A call of a store.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the arguments are those of the method of the same name")]
pub enum Call {
    Get {
        key: String,
        range: Option<(u64, u64)>,
        if_none_match: Option<String>,
        time_limit_ms: Option<u64>,
    },
    Download {
        key: String,
        part_size: u64,
        concurrency: usize,
    },
    Head {
        key: String,
    },
    Put {
        key: String,
        body: Content,
        /// Gives the body as a stream that can be read once, of this announced length.
        stream_length: Option<u64>,
        /// The stream fails after its last byte.
        #[serde(default)]
        stream_fails: bool,
        #[serde(default)]
        if_absent: bool,
        if_match: Option<String>,
        write_id: Option<String>,
    },
    Upload {
        key: String,
        body: Content,
        part_size: u64,
        concurrency: usize,
    },
    Delete {
        key: String,
    },
    DeleteMany {
        keys: Vec<String>,
    },
    List {
        prefix: String,
    },
    Copy {
        from: String,
        to: String,
        length_hint: Option<u64>,
    },
    GetTags {
        key: String,
    },
}

/// The outcome of a call.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Expect {
    /// Success, of which what is given is compared.
    Ok(Success),
    /// An error, of which what is given is compared.
    Error(Failure),
}

/// A success. What does not belong to the call is absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Success {
    /// The bytes read.
    pub body: Option<Content>,
    /// The size of the whole blob.
    pub size: Option<u64>,
    /// The entity tag.
    pub etag: Option<String>,
    /// The keys listed.
    pub keys: Option<Vec<String>>,
    /// The blobs that a bulk delete could not delete.
    pub failed: Option<Vec<FailedKey>>,
    /// The tags.
    pub tags: Option<BTreeMap<String, String>>,
}

/// A blob that was not deleted.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FailedKey {
    /// Its key.
    pub key: String,
    /// The error's kind.
    pub kind: String,
    /// The service's code.
    pub code: String,
}

/// An error.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Failure {
    /// Its kind, one of these: that of the contract, or `io` for a source of a body that fails.
    pub kind: Vec<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The service's code.
    pub code: Option<String>,
    /// The request id.
    pub request_id: Option<String>,
    /// Whether the same call may succeed later.
    pub retryable: Option<bool>,
    /// The setting or argument at fault.
    pub subject: Option<String>,
    /// A part of the message.
    pub says: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Look {
    /// The request, counted from 0.
    at: usize,
    /// Header fields; null for none.
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    /// A part of path and query.
    target: Option<String>,
    /// The length of its body.
    length: Option<usize>,
}

fn yes() -> bool {
    true
}

fn once() -> usize {
    1
}

fn nothing() -> Content {
    Content::Text(String::new())
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is not of this format: with the place.
    pub fn read(path: &Path) -> Result<Table, String> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
        let table: Table = serde_json::from_str(&text).map_err(|error| named(&error))?;
        if table.format != 1 {
            return Err(named(&format_args!("format {}, where 1 is known", table.format)));
        }
        let mut names: Vec<_> = table.scenarios.iter().map(|scenario| &scenario.name).collect();
        names.sort_unstable();
        match names.windows(2).find(|two| two[0] == two[1]) {
            Some(two) => Err(named(&format_args!("two scenarios are named {}", two[0]))),
            None => Ok(table),
        }
    }
}

impl Scenario {
    /// Starts its server.
    pub async fn start(&self) -> Running {
        let script = self.script.iter().flat_map(|spec| vec![spec.act(); spec.times]);
        let server = Faulty::start(script).await;
        server.keep(&path("k"), "right");
        for (key, content) in &self.blobs {
            server.keep(&path(key), content.bytes());
        }
        Running { scenario: self.clone(), server }
    }

    /// The settings of its store: short timeouts and few retries, unless it says otherwise.
    pub fn settings(&self, endpoint: &str) -> BTreeMap<String, String> {
        let common = [
            ("bucket", BUCKET),
            ("region", "eu-central-1"),
            ("access-key", ACCESS_KEY),
            ("secret-key", SECRET_KEY),
            ("endpoint", endpoint),
            ("timeout", "1s"),
            ("max-retries", "2"),
        ];
        let common = common.map(|(name, value)| (name.to_owned(), value.to_owned()));
        common.into_iter().chain(self.settings.clone()).collect()
    }
}

/// The path of a blob in requests.
fn path(key: &str) -> String {
    format!("/{BUCKET}/{key}")
}

/// A scenario whose server runs. Dropping it stops the server.
pub struct Running {
    scenario: Scenario,
    server: Faulty,
}

impl Running {
    /// The value of the setting `endpoint`.
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// The number of requests so far.
    pub fn requests(&self) -> usize {
        self.server.seen().len()
    }

    /// What the server saw that the scenario does not expect.
    pub fn mismatches(&self) -> Vec<String> {
        let (seen, mut wrong) = (self.server.seen(), Vec::new());
        let methods: Vec<_> = seen.iter().map(|seen| seen.method.clone()).collect();
        if let Some(expected) = self.scenario.requests.as_ref().filter(|expected| **expected != methods) {
            wrong.push(format!("the requests are {methods:?}, not {expected:?}"));
        }
        if self.server.left() > 0 {
            wrong.push(format!("{} acts of the script were not played", self.server.left()));
        }
        for look in &self.scenario.seen {
            match seen.get(look.at) {
                Some(request) => look.compare(request, &mut wrong),
                None => wrong.push(format!("there is no request {}", look.at)),
            }
        }
        for (key, expected) in &self.scenario.stored {
            if self.server.blob(&path(key)) != expected.as_ref().map(Content::bytes) {
                wrong.push(format!("the blob {key:?} is not stored as expected"));
            }
        }
        wrong
    }
}

impl Look {
    fn compare(&self, request: &Seen, wrong: &mut Vec<String>) {
        let Look { at, headers, target, length } = self;
        for (name, expected) in headers {
            let value = request.header(name);
            if value != expected.as_deref() {
                wrong.push(format!("request {at}: {name} is {value:?}, not {expected:?}"));
            }
        }
        if let Some(part) = target.as_ref().filter(|part| !request.target.contains(*part)) {
            wrong.push(format!("request {at}: {:?} does not contain {part:?}", request.target));
        }
        if let Some(length) = length.filter(|&length| length != request.body.len()) {
            wrong.push(format!("request {at}: its body has {} bytes, not {length}", request.body.len()));
        }
    }
}

impl ActSpec {
    fn act(&self) -> Act {
        let mut act = match &self.say {
            Say::Correct => Act::well(),
            Say::Nothing => Act::silent(),
            Say::Respond { status, headers, date_offset_s, body } => {
                Act::respond(*status, &lines(headers, *date_offset_s), body.bytes())
            }
            Say::Error { status, code, headers, date_offset_s } => {
                Act::error_with(*status, code, &lines(headers, *date_offset_s))
            }
            Say::Raw(bytes) => Act::raw(bytes.bytes()),
            Say::Drip(bytes) => Act::drip(bytes.bytes()),
            Say::Flood { head, repeat } => Act::flood(head.bytes(), repeat.bytes()),
        };
        act = act.delayed(Duration::from_millis(self.delay_ms));
        if self.before_body {
            act = act.before_body();
        }
        if self.applied {
            act = act.applied();
        }
        if let Some(bytes) = self.body_up_to {
            act = act.body_up_to(bytes);
        }
        match self.then {
            Then::Keep => act,
            Then::Close => act.then_close(),
            Then::Reset => act.then_reset(),
            Then::Silence => act.then_stall(),
            Then::Freeze => act.then_freeze(),
        }
    }
}

/// Header lines, and a date that is so many seconds from now.
fn lines(headers: &[String], date_offset_s: Option<i64>) -> String {
    let date = date_offset_s.map(|offset| {
        let distance = Duration::from_secs(offset.unsigned_abs());
        let now = SystemTime::now();
        let then = if offset < 0 { now.checked_sub(distance) } else { now.checked_add(distance) };
        format!("date: {}", httpdate::fmt_http_date(then.unwrap_or(now)))
    });
    headers.iter().cloned().chain(date).map(|line| line + "\r\n").collect()
}
