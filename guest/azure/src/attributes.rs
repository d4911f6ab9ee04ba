//! Attributes of calls (`call-options.attributes`): their table, and the headers they are sent as.
//!
//! Most are properties that Azure stores with a blob:
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/put-blob>. Some are also settings of the store.

use base64ct::{Base64, Encoding};
use sandbucket_plugin::contract::error::{Error, Failure, Kind, tidy};
use sandbucket_plugin::contract::model::{CallOptions, Pair};
use sandbucket_plugin::http::headers::is_visible;
use sandbucket_plugin::http::request::Request;

use crate::requests::METADATA_PREFIX;
use crate::settings::Settings;

/// The groups of attributes that an operation accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepts(u16);

impl Accepts {
    /// None.
    pub const NOTHING: Accepts = Accepts(0);
    /// Content headers stored with a blob, and the write id.
    pub const CONTENT: Accepts = Accepts(1);
    /// Access tier and tags.
    pub const STORED: Accepts = Accepts(2);
    /// The encryption scope.
    pub const SCOPE: Accepts = Accepts(4);
    /// The lease that a write needs.
    pub const LEASE: Accepts = Accepts(8);
    /// MD5 of the request's body.
    pub const CHECKSUM: Accepts = Accepts(16);
    /// What to do with the snapshots of a blob that is deleted.
    pub const SNAPSHOTS: Accepts = Accepts(32);
    /// The entity tag that a blob has to have to be deleted.
    pub const MATCH: Accepts = Accepts(64);
    /// All that a write of a whole blob accepts.
    pub const WRITES: Accepts = Accepts::CONTENT.and(Accepts::STORED).and(Accepts::SCOPE).and(Accepts::LEASE);

    /// Union of both.
    pub const fn and(self, other: Accepts) -> Accepts {
        Accepts(self.0 | other.0)
    }

    /// Whether all of `other` are included.
    pub const fn has(self, other: Accepts) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Syntax of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    /// Visible ASCII.
    Text,
    /// 16 bytes in base64.
    Md5,
    /// One of these words.
    Words(&'static [&'static str]),
    /// 1 to 128 letters, digits and `-._~:/+=`.
    Id,
}

/// A known attribute.
#[derive(Debug)]
pub struct Attribute {
    /// Name in kebab-case.
    pub name: &'static str,
    /// Its header.
    header: &'static str,
    /// Group of operations that accept it.
    pub accepts: Accepts,
    syntax: Syntax,
}

impl Attribute {
    /// One line for people: the syntax of its value, and the operations that accept it.
    pub fn help(&self) -> String {
        let syntax = match self.syntax {
            Syntax::Text => "Visible ASCII, up to 2,048 characters (tags: 8 KiB).".to_owned(),
            Syntax::Md5 => "16 bytes in base64.".to_owned(),
            Syntax::Words(words) => format!("{}.", words.join(" or ")),
            Syntax::Id => "1 to 128 letters, digits and -._~:/+=, different for each write.".to_owned(),
        };
        let accepted = match self.accepts {
            Accepts::CONTENT => "put, create-upload, copy with properties, presigned put",
            Accepts::STORED => "put, create-upload, copy, presigned put",
            Accepts::SCOPE => "put, create-upload, upload-part, copy, copy-part, presigned put",
            Accepts::LEASE => "put, uploads and their parts, copy, delete, delete-many, set-tags",
            Accepts::CHECKSUM => "put, upload-part, presigned put",
            Accepts::SNAPSHOTS => "delete, delete-many",
            _ => "delete",
        };
        format!("{syntax} Accepted by {accepted}. Sent as {}.", self.header)
    }
}

const fn text(name: &'static str, header: &'static str, accepts: Accepts) -> Attribute {
    Attribute { name, header, accepts, syntax: Syntax::Text }
}

const fn with_syntax(name: &'static str, header: &'static str, accepts: Accepts, syntax: Syntax) -> Attribute {
    Attribute { name, header, accepts, syntax }
}

/// The attribute that identifies a write, by which a lost response is reconciled.
pub const WRITE_ID: &str = "write-id";

/// The attribute that names an encryption scope.
pub const SCOPE: &str = "encryption-scope";

/// User metadata that stores [`WRITE_ID`]: the names of metadata are identifiers.
pub const WRITE_ID_METADATA: &str = "sandbucket_write_id";

/// All attributes, in display order.
pub const TABLE: [Attribute; 12] = [
    text("cache-control", "x-ms-blob-cache-control", Accepts::CONTENT),
    text("content-disposition", "x-ms-blob-content-disposition", Accepts::CONTENT),
    text("content-encoding", "x-ms-blob-content-encoding", Accepts::CONTENT),
    text("content-language", "x-ms-blob-content-language", Accepts::CONTENT),
    with_syntax(WRITE_ID, "x-ms-meta-sandbucket_write_id", Accepts::CONTENT, Syntax::Id),
    text("access-tier", "x-ms-access-tier", Accepts::STORED),
    text("tags", "x-ms-tags", Accepts::STORED),
    text(SCOPE, "x-ms-encryption-scope", Accepts::SCOPE),
    text("lease-id", "x-ms-lease-id", Accepts::LEASE),
    with_syntax("content-md5", "content-md5", Accepts::CHECKSUM, Syntax::Md5),
    with_syntax("delete-snapshots", "x-ms-delete-snapshots", Accepts::SNAPSHOTS, Syntax::Words(&["include", "only"])),
    text("if-match", "if-match", Accepts::MATCH),
];

/// The table, for the contract's `store.attributes`.
pub fn documentation() -> Vec<sandbucket_plugin::Attribute> {
    let documented =
        |known: &Attribute| sandbucket_plugin::Attribute { name: known.name, secret: false, help: known.help().into() };
    TABLE.iter().map(documented).collect()
}

/// Adds the headers of the call's attributes, and of the store's defaults that the operation accepts. The call's take precedence.
///
/// # Errors
/// [`Kind::Unsupported`] for an attribute that the operation does not take, [`Kind::InvalidArgument`] for one given twice or
/// malformed.
pub fn apply(request: &mut Request, call: &CallOptions, settings: &Settings, accepts: Accepts) -> Result<(), Failure> {
    for (n, (name, value)) in call.attributes.iter().enumerate() {
        let Some(attribute) = TABLE.iter().find(|known| known.name == name && accepts.has(known.accepts)) else {
            return Err(not_accepted(name, accepts));
        };
        if call.attributes[..n].iter().any(|(before, _)| before == name) {
            return Err(Error::fault(attribute.name, format!("the attribute {name} is given twice")));
        }
        push(request, attribute, value)?;
    }
    for (name, value) in &settings.defaults {
        let known = TABLE.iter().find(|known| known.name == *name && accepts.has(known.accepts));
        if let Some(attribute) = known.filter(|known| !call.attributes.iter().any(|(given, _)| given == known.name)) {
            push(request, attribute, value)?;
        }
    }
    Ok(())
}

/// Validates a setting that is a default of this attribute.
///
/// # Errors
/// A fault of the name.
pub fn check(name: &'static str, value: &str) -> Result<(), Failure> {
    match TABLE.iter().find(|known| known.name == name) {
        Some(attribute) => value_of(attribute, value).map(drop),
        None => Err(Error::fault(name, "there is no such attribute")),
    }
}

/// The attributes of a completion that were given to `create-upload`: those that a block does not take.
pub fn of_uploads(attributes: &[Pair]) -> Vec<Pair> {
    let mut kept = Vec::new();
    for attribute in attributes {
        if attribute.0 != "lease-id" {
            kept.push(attribute.clone());
        }
    }
    kept
}

/// The first attribute that a copy accepts only if it replaces the source's properties.
pub fn kept_by_copies(attributes: &[Pair]) -> Option<&'static str> {
    let names = TABLE.iter().filter(|known| known.accepts == Accepts::CONTENT).map(|known| known.name);
    names.into_iter().find(|known| attributes.iter().any(|(name, _)| name == known))
}

/// The caller's write id.
pub fn write_id(call: &CallOptions) -> Option<&str> {
    let given = call.attributes.iter().find(|(name, _)| name == WRITE_ID);
    given.map(|(_, id)| id.trim_matches(' '))
}

fn push(request: &mut Request, attribute: &Attribute, value: &str) -> Result<(), Failure> {
    let value = value_of(attribute, value)?;
    if attribute.header.starts_with(METADATA_PREFIX)
        && request.headers.iter().any(|(there, _)| there == attribute.header)
    {
        let why = format!("{} is in the metadata as well, as {WRITE_ID_METADATA}: give it once", attribute.name);
        return Err(Error::fault(attribute.name, why));
    }
    request.header(attribute.header, value);
    Ok(())
}

fn value_of<'v>(attribute: &Attribute, value: &'v str) -> Result<&'v str, Failure> {
    let value = value.trim_matches(' ');
    let wrong = |why: &str| Err(Error::fault(attribute.name, format!("{} {why}", attribute.name)));
    match attribute.syntax {
        // Ten tags of 128 and 256 characters; few of those that Azure takes are encoded.
        Syntax::Text if !is_visible(value, if attribute.name == "tags" { 8 << 10 } else { 2048 }) => {
            wrong("must be 1 to 2,048 characters of visible ASCII and spaces")
        }
        Syntax::Md5 if Base64::decode_vec(value).map(|bytes| bytes.len()) != Ok(16) => {
            wrong("must be 16 bytes in base64")
        }
        Syntax::Words(words) if !words.contains(&value) => wrong(&format!("must be {}", words.join(" or "))),
        Syntax::Id if !is_id(value) => wrong("must be 1 to 128 letters, digits and -._~:/+="),
        _ => Ok(value),
    }
}

/// Whether the text is a valid write id: characters that every service stores and returns unchanged.
fn is_id(value: &str) -> bool {
    (1..=128).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/+=".contains(&b))
}

fn not_accepted(name: &str, accepts: Accepts) -> Failure {
    let name = tidy(name, 64);
    let known: Vec<&str> = TABLE.iter().filter(|known| accepts.has(known.accepts)).map(|known| known.name).collect();
    let accepted = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let mut fault =
        Error::fault(&name, format!("there is no attribute \"{name}\" here: this operation accepts {accepted}"));
    fault.kind = Kind::Unsupported;
    fault
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::tests::settings;
    use sandbucket_plugin::http::request::Method;

    fn applied(accepts: Accepts, given: &[(&str, &str)], more: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
        let mut request = Request::new(Method::Put, true, "h", "/");
        let attributes = given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        apply(&mut request, &CallOptions { attributes, ..CallOptions::default() }, &settings(more), accepts)?;
        Ok(request.headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect())
    }

    #[test]
    fn attributes_become_headers_and_override_settings() {
        let defaults = [("access-tier", "Cool"), ("encryption-scope", "s")];
        let given = [("cache-control", "no-store"), ("access-tier", "Hot"), ("write-id", "w-1")];
        assert_eq!(
            applied(Accepts::WRITES, &given, &defaults).unwrap(),
            [
                "x-ms-blob-cache-control: no-store",
                "x-ms-access-tier: Hot",
                "x-ms-meta-sandbucket_write_id: w-1",
                "x-ms-encryption-scope: s"
            ]
        );
        // A block takes the scope alone.
        assert_eq!(applied(Accepts::SCOPE, &[], &defaults).unwrap(), ["x-ms-encryption-scope: s"]);
    }

    #[test]
    fn unknown_repeated_and_malformed_attributes_are_rejected() {
        let kind = |given: &[(&str, &str)]| {
            let fault = applied(Accepts::WRITES.and(Accepts::CHECKSUM), given, &[]).unwrap_err();
            (fault.kind, fault.subject.unwrap())
        };
        assert_eq!(kind(&[("acl", "x")]), (Kind::Unsupported, "acl".to_owned()));
        assert_eq!(kind(&[("delete-snapshots", "include")]), (Kind::Unsupported, "delete-snapshots".to_owned()));
        assert_eq!(kind(&[("tags", "a=b"), ("tags", "a=b")]), (Kind::InvalidArgument, "tags".to_owned()));
        for (name, value) in [
            ("access-tier", ""),
            ("cache-control", "a\nb"),
            ("content-md5", "AAAA"),
            ("write-id", "a b"),
            ("write-id", ""),
        ] {
            assert_eq!(kind(&[(name, value)]), (Kind::InvalidArgument, name.to_owned()));
        }
        let fault = applied(Accepts::SNAPSHOTS, &[("delete-snapshots", "all")], &[]).unwrap_err();
        assert!(fault.message.contains("include or only"), "{fault}");
        assert_eq!(
            applied(Accepts::SNAPSHOTS, &[("delete-snapshots", "only")], &[]).unwrap(),
            ["x-ms-delete-snapshots: only"]
        );
    }
}
