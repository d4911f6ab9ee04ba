//! Shared access signatures of one blob: a query that permits some operations until it expires.
//!
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas>

use std::borrow::Cow;

use ::time::OffsetDateTime;
use sandbucket_plugin::http::headers::Headers;
use sandbucket_plugin::http::time::LAST;

use crate::headers::VERSION;
use crate::shared_key::Key;

/// What a signature permits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant<'a> {
    /// Permissions, in the service's order: `r`, `cw`, `cwt`, `d`.
    pub permissions: &'a str,
    /// End of the validity in seconds since 1970.
    pub expires: u64,
    /// Container.
    pub container: &'a str,
    /// Full key.
    pub key: &'a str,
    /// Version. None: the blob itself.
    pub version: Option<&'a str>,
    /// Whether requests over plain http are refused.
    pub https_only: bool,
    /// Headers of the response, by parameter: [`OVERRIDES`].
    pub overrides: Vec<(&'static str, String)>,
}

/// Parameters that set headers of the response, in the order in which they are signed: parameter and attribute.
pub const OVERRIDES: [(&str, &str); 5] = [
    ("rscc", "response-cache-control"),
    ("rscd", "response-content-disposition"),
    ("rsce", "response-content-encoding"),
    ("rscl", "response-content-language"),
    ("rsct", "response-content-type"),
];

impl Grant<'_> {
    /// The text that is signed. Its fields are those of all versions since 2020-12-06.
    pub fn string_to_sign(&self, account: &str) -> String {
        let expires = timestamp(self.expires);
        let resource = format!("/blob/{account}/{}/{}", self.container, self.key);
        let (kind, version) = (self.kind(), self.version.unwrap_or_default());
        // Start, identifier, IP range and encryption scope are left out.
        let fields = [self.permissions, "", &expires, &resource, "", "", self.protocol(), VERSION, kind, version, ""];
        let overrides = OVERRIDES.map(|(name, _)| self.header(name));
        fields.into_iter().chain(overrides).collect::<Vec<_>>().join("\n")
    }

    /// The parameters of the query, signature last.
    pub fn parameters(&self, account: &str, key: &Key) -> Headers {
        let mut query: Headers = Vec::with_capacity(8);
        let mut add = |name: &'static str, value: &str| {
            if !value.is_empty() {
                query.push((Cow::Borrowed(name), value.to_owned()));
            }
        };
        add("sv", VERSION);
        add("spr", self.protocol());
        add("se", &timestamp(self.expires));
        add("sr", self.kind());
        add("sp", self.permissions);
        for (name, _) in OVERRIDES {
            add(name, self.header(name));
        }
        add("sig", &key.sign(&self.string_to_sign(account)));
        query
    }

    fn kind(&self) -> &'static str {
        if self.version.is_some() { "bv" } else { "b" }
    }

    fn protocol(&self) -> &'static str {
        if self.https_only { "https" } else { "" }
    }

    fn header(&self, name: &str) -> &str {
        self.overrides.iter().find(|(there, _)| *there == name).map_or("", |(_, value)| value)
    }
}

/// `2023-11-14T22:13:20Z`: a time in seconds since 1970, at most [`LAST`].
fn timestamp(seconds: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds.min(LAST) as i64).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}
