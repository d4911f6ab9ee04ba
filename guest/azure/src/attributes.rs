//! Attributes of calls (`call-options.attributes`): their table, and the headers they are sent as.
//!
//! Most are properties that Azure stores with a blob:
//! <https://learn.microsoft.com/en-us/rest/api/storageservices/put-blob>. Some are also settings of the store.

use base64ct::{Base64, Encoding};
use sandbucket_plugin::attributes::{AttributeGroups, AttributeRow};
use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::contract::model::Pair;
use sandbucket_plugin::http::headers::is_visible;
use sandbucket_plugin::http::request::Request;
use sandbucket_plugin::reconcile::{WRITE_ID, is_write_id};

use crate::headers::{self, METADATA};

/// The groups of attributes.
pub mod groups {
    use sandbucket_plugin::attributes::AttributeGroups;

    /// None.
    pub const NONE: AttributeGroups = AttributeGroups::NONE;
    /// Content headers stored with a blob, and the write id.
    pub const CONTENT: AttributeGroups = AttributeGroups::group(0);
    /// Access tier and tags.
    pub const STORED: AttributeGroups = AttributeGroups::group(1);
    /// The encryption scope.
    pub const SCOPE: AttributeGroups = AttributeGroups::group(2);
    /// The lease that a write needs.
    pub const LEASE: AttributeGroups = AttributeGroups::group(3);
    /// MD5 of the request's body.
    pub const CHECKSUM: AttributeGroups = AttributeGroups::group(4);
    /// What to do with the snapshots of a blob that is deleted.
    pub const SNAPSHOTS: AttributeGroups = AttributeGroups::group(5);
    /// The entity tag that a blob has to have to be deleted.
    pub const MATCH: AttributeGroups = AttributeGroups::group(6);
    /// All that a write of a whole blob accepts.
    pub const WRITES: AttributeGroups = CONTENT.union(STORED).union(SCOPE).union(LEASE);
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
    /// Its group: operations accept it whose groups contain this one.
    pub group: AttributeGroups,
    syntax: Syntax,
}

impl AttributeRow for Attribute {
    fn name(&self) -> &'static str {
        self.name
    }

    fn group(&self) -> AttributeGroups {
        self.group
    }
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
        let accepted = match self.group {
            groups::CONTENT => "put, create-upload, copy with properties, presigned put",
            groups::STORED => "put, create-upload, copy, presigned put",
            groups::SCOPE => "put, create-upload, upload-part, copy, copy-part, presigned put",
            groups::LEASE => "put, uploads and their parts, copy, delete, delete-many, set-tags",
            groups::CHECKSUM => "put, upload-part, presigned put",
            groups::SNAPSHOTS => "delete, delete-many",
            _ => "delete",
        };
        format!("{syntax} Accepted by {accepted}. Sent as {}.", self.header)
    }
}

const fn text(name: &'static str, header: &'static str, group: AttributeGroups) -> Attribute {
    Attribute { name, header, group, syntax: Syntax::Text }
}

const fn with_syntax(name: &'static str, header: &'static str, group: AttributeGroups, syntax: Syntax) -> Attribute {
    Attribute { name, header, group, syntax }
}

/// The attribute that names an encryption scope.
pub const SCOPE: &str = "encryption-scope";

/// All attributes, in display order.
pub const TABLE: [Attribute; 12] = [
    text("cache-control", "x-ms-blob-cache-control", groups::CONTENT),
    text("content-disposition", "x-ms-blob-content-disposition", groups::CONTENT),
    text("content-encoding", "x-ms-blob-content-encoding", groups::CONTENT),
    text("content-language", "x-ms-blob-content-language", groups::CONTENT),
    with_syntax(WRITE_ID, "x-ms-meta-sandbucket_write_id", groups::CONTENT, Syntax::Id),
    text("access-tier", "x-ms-access-tier", groups::STORED),
    text("tags", "x-ms-tags", groups::STORED),
    text(SCOPE, "x-ms-encryption-scope", groups::SCOPE),
    text("lease-id", "x-ms-lease-id", groups::LEASE),
    with_syntax("content-md5", "content-md5", groups::CHECKSUM, Syntax::Md5),
    with_syntax("delete-snapshots", "x-ms-delete-snapshots", groups::SNAPSHOTS, Syntax::Words(&["include", "only"])),
    text("if-match", "if-match", groups::MATCH),
];

/// The table, for the contract's `store.attributes`.
pub fn documentation() -> Vec<sandbucket_plugin::Attribute> {
    TABLE.iter().map(|known| sandbucket_plugin::Attribute::new(known.name, known.help())).collect()
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
    let names = TABLE.iter().filter(|known| known.group == groups::CONTENT).map(|known| known.name);
    names.into_iter().find(|known| attributes.iter().any(|(name, _)| name == known))
}

/// Adds the header of an attribute with this value.
///
/// # Errors
/// A fault of the attribute.
pub fn push(request: &mut Request, attribute: &Attribute, value: &str) -> Result<(), Failure> {
    let value = value_of(attribute, value)?;
    if attribute.header.starts_with(METADATA.prefix)
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
        Syntax::Id if !is_write_id(value) => wrong("must be 1 to 128 letters, digits and -._~:/+="),
        _ => Ok(value),
    }
}
