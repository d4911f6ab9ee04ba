//! Attributes of calls (`call-options.attributes`): their table, and the headers they are sent as.
//!
//! Most are properties that Azure stores with a blob:
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/put-blob>. Some are also settings of the store.

use base64ct::{Base64, Encoding};
use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::contract::model::{CallOptions, Pair};
use sandbucket_plugin::http::headers::is_visible;
use sandbucket_plugin::http::request::Request;

use crate::headers::{self, METADATA_PREFIX};

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

/// Adds the header of an attribute with this value.
///
/// # Errors
/// A fault of the attribute.
pub fn push(request: &mut Request, attribute: &Attribute, value: &str) -> Result<(), Failure> {
    let value = value_of(attribute, value)?;
    if attribute.header.starts_with(METADATA_PREFIX)
        && request.headers.iter().any(|(there, _)| there == attribute.header)
    {
        let why = format!("{} is in the metadata as well, as {}: give it once", attribute.name, headers::WRITE_ID);
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
