//! Attributes of calls (`call-options.attributes`): their table, and the headers they are sent as.
//!
//! Most are properties that S3 stores with a blob:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>. Some are also settings of the store.

use base64ct::{Base64, Encoding};
use md5::{Digest, Md5};

use sandbucket_plugin::attributes::{AttributeGroups, AttributeRow};
use sandbucket_plugin::contract::error::{Error, Failure};
use sandbucket_plugin::contract::model::{CallOptions, Pair};
use sandbucket_plugin::http::headers::{Headers, is_visible};
use sandbucket_plugin::http::response::decimal;
use sandbucket_plugin::reconcile::{WRITE_ID, is_write_id};

/// The groups of attributes.
pub mod groups {
    use sandbucket_plugin::attributes::AttributeGroups;

    /// None: `request-payer` and `expected-bucket-owner`, which all operations accept.
    pub const NONE: AttributeGroups = AttributeGroups::NONE;
    /// Properties stored with a blob: content headers, storage class, tags, ACL, locks.
    pub const PROPERTIES: AttributeGroups = AttributeGroups::group(0);
    /// Server-side encryption with keys of the service.
    pub const ENCRYPTION: AttributeGroups = AttributeGroups::group(1);
    /// The customer key of the encryption.
    pub const CUSTOMER_KEY: AttributeGroups = AttributeGroups::group(2);
    /// Customer key and expected owner of the source of a copy.
    pub const SOURCE: AttributeGroups = AttributeGroups::group(3);
    /// Checksum of the request's body.
    pub const CHECKSUM: AttributeGroups = AttributeGroups::group(4);
    /// Permission to delete what a lock in governance mode protects.
    pub const BYPASS: AttributeGroups = AttributeGroups::group(5);
    /// The entity tag that a blob has to have to be deleted.
    pub const MATCH: AttributeGroups = AttributeGroups::group(6);
    /// The part of a blob that a HEAD is about.
    pub const PART: AttributeGroups = AttributeGroups::group(7);
    /// Whether a read reports the stored checksums.
    pub const CHECKSUM_MODE: AttributeGroups = AttributeGroups::group(8);
}

/// Syntax of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    /// Visible ASCII.
    Text,
    /// `true` or `false`.
    Flag,
    /// `true` or `false`. True is sent as this word, false is not sent.
    Word(&'static str),
    /// So many bytes in base64.
    Digest(usize),
    /// A key of 32 bytes in base64, sent in three headers.
    Key,
    /// See [`is_write_id`].
    Id,
    /// From 1 to 10,000. Sent in the query.
    Part,
}

/// A known attribute.
#[derive(Debug)]
pub struct Attribute {
    /// Name in kebab-case.
    pub name: &'static str,
    /// Its header, or the prefix of its headers.
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
            Syntax::Text => "Visible ASCII, up to 2,048 characters (tags: 36 KiB).".to_owned(),
            Syntax::Flag => "true or false.".to_owned(),
            Syntax::Word(word) => format!("true or {word}, or false."),
            Syntax::Digest(length) => format!("{length} bytes in base64."),
            Syntax::Key => "A key of 32 bytes in base64.".to_owned(),
            Syntax::Id => "1 to 128 letters, digits and -._~:/+=, different for each write.".to_owned(),
            Syntax::Part => "1 to 10000.".to_owned(),
        };
        let accepted = match self.group {
            groups::PROPERTIES => "put, create-upload, copy with properties, presigned put",
            groups::ENCRYPTION => "put, create-upload, copy, presigned put",
            groups::CUSTOMER_KEY => "head, get, put, uploads and their parts, copy, presigned requests",
            groups::SOURCE => "copy, copy-part",
            groups::CHECKSUM => "put, upload-part, presigned put",
            groups::BYPASS => "delete, delete-many, presigned delete",
            groups::MATCH => "delete",
            groups::PART => "head",
            groups::CHECKSUM_MODE => "head, get",
            _ => "all operations",
        };
        format!("{syntax} Accepted by {accepted}. Sent as {}.", self.header)
    }

    /// The query parameter that it is sent as, in place of a header.
    pub fn parameter(&self) -> Option<&'static str> {
        (self.syntax == Syntax::Part).then_some(self.header)
    }

    /// Whether its value is an encryption key.
    pub fn is_key(&self) -> bool {
        self.syntax == Syntax::Key
    }
}

const fn text(name: &'static str, header: &'static str, group: AttributeGroups) -> Attribute {
    Attribute { name, header, group, syntax: Syntax::Text }
}

const fn with_syntax(name: &'static str, header: &'static str, group: AttributeGroups, syntax: Syntax) -> Attribute {
    Attribute { name, header, group, syntax }
}

/// All attributes, in display order.
pub const TABLE: [Attribute; 30] = [
    text("cache-control", "cache-control", groups::PROPERTIES),
    text("content-disposition", "content-disposition", groups::PROPERTIES),
    text("content-encoding", "content-encoding", groups::PROPERTIES),
    text("content-language", "content-language", groups::PROPERTIES),
    text("expires", "expires", groups::PROPERTIES),
    text("storage-class", "x-amz-storage-class", groups::PROPERTIES),
    text("tags", "x-amz-tagging", groups::PROPERTIES),
    text("acl", "x-amz-acl", groups::PROPERTIES),
    text("object-lock-mode", "x-amz-object-lock-mode", groups::PROPERTIES),
    text("object-lock-retain-until", "x-amz-object-lock-retain-until-date", groups::PROPERTIES),
    text("object-lock-legal-hold", "x-amz-object-lock-legal-hold", groups::PROPERTIES),
    with_syntax(WRITE_ID, "x-amz-meta-sandbucket-write-id", groups::PROPERTIES, Syntax::Id),
    text("server-side-encryption", "x-amz-server-side-encryption", groups::ENCRYPTION),
    text("sse-kms-key-id", "x-amz-server-side-encryption-aws-kms-key-id", groups::ENCRYPTION),
    text("sse-kms-context", "x-amz-server-side-encryption-context", groups::ENCRYPTION),
    with_syntax("sse-bucket-key", "x-amz-server-side-encryption-bucket-key-enabled", groups::ENCRYPTION, Syntax::Flag),
    with_syntax("sse-customer-key", "x-amz-server-side-encryption-customer-", groups::CUSTOMER_KEY, Syntax::Key),
    with_syntax(
        "source-sse-customer-key",
        "x-amz-copy-source-server-side-encryption-customer-",
        groups::SOURCE,
        Syntax::Key,
    ),
    text("source-expected-bucket-owner", "x-amz-source-expected-bucket-owner", groups::SOURCE),
    with_syntax("checksum-crc32", "x-amz-checksum-crc32", groups::CHECKSUM, Syntax::Digest(4)),
    with_syntax("checksum-crc32c", "x-amz-checksum-crc32c", groups::CHECKSUM, Syntax::Digest(4)),
    with_syntax("checksum-crc64nvme", "x-amz-checksum-crc64nvme", groups::CHECKSUM, Syntax::Digest(8)),
    with_syntax("checksum-sha256", "x-amz-checksum-sha256", groups::CHECKSUM, Syntax::Digest(32)),
    with_syntax("content-md5", "content-md5", groups::CHECKSUM, Syntax::Digest(16)),
    with_syntax("bypass-governance-retention", "x-amz-bypass-governance-retention", groups::BYPASS, Syntax::Flag),
    text("if-match", "if-match", groups::MATCH),
    with_syntax("part-number", "partNumber", groups::PART, Syntax::Part),
    with_syntax("checksum-mode", "x-amz-checksum-mode", groups::CHECKSUM_MODE, Syntax::Word("ENABLED")),
    with_syntax("request-payer", "x-amz-request-payer", groups::NONE, Syntax::Word("requester")),
    text("expected-bucket-owner", "x-amz-expected-bucket-owner", groups::NONE),
];

/// Validates a setting that is a default of this attribute. Returns whether a header is sent.
///
/// # Errors
/// A fault of the name.
pub fn check(name: &'static str, value: &str) -> Result<bool, Failure> {
    let mut headers = Headers::new();
    match TABLE.iter().find(|known| known.name == name) {
        Some(attribute) => push(&mut headers, attribute, value).map(|()| !headers.is_empty()),
        None => Err(Error::fault(name, "there is no such attribute")),
    }
}

/// The first attribute that a copy accepts only if it replaces the source's properties.
pub fn kept_by_copies(attributes: &[Pair]) -> Option<&'static str> {
    let headers = TABLE
        .iter()
        .filter(|known| known.group == groups::PROPERTIES && (known.name == known.header || known.name == WRITE_ID));
    headers.map(|known| known.name).find(|known| attributes.iter().any(|(name, _)| name == known))
}

/// The options of a HEAD of the blob that a call writes: requester, payer and customer key.
pub fn head_call_options(call: &CallOptions) -> CallOptions {
    let mut look = CallOptions::default();
    for attribute in &call.attributes {
        if ["sse-customer-key", "request-payer", "expected-bucket-owner"].contains(&attribute.0.as_str()) {
            look.attributes.push(attribute.clone());
        }
    }
    look
}

/// Adds the headers of an attribute with this value.
///
/// # Errors
/// A fault of the attribute. The message never contains a key.
pub fn push(headers: &mut Headers, attribute: &Attribute, value: &str) -> Result<(), Failure> {
    let Attribute { name, header, syntax, .. } = *attribute;
    if syntax == Syntax::Id && headers.iter().any(|(there, _)| there == header) {
        return Err(wrong(name, "is in the metadata as well, as sandbucket-write-id: give it once"));
    }
    let mut add = |header: &'static str, value: &str| headers.push((header.into(), value.to_owned()));
    let value = value.trim_matches(' ');
    match syntax {
        // Ten tags of 128 and 256 characters, each encoded in up to nine characters.
        Syntax::Text if !is_visible(value, if name == "tags" { 36 * 1024 } else { 2048 }) => {
            return Err(wrong(name, "must be 1 to 2,048 characters of visible ASCII and spaces"));
        }
        Syntax::Text => add(header, value),
        Syntax::Id if !is_write_id(value) => {
            return Err(wrong(name, "must be 1 to 128 letters, digits and -._~:/+="));
        }
        Syntax::Id => add(header, value),
        Syntax::Part if !decimal(value).is_some_and(|number| (1..=10_000).contains(&number)) => {
            return Err(wrong(name, "must be a number from 1 to 10000"));
        }
        Syntax::Part => add(header, value),
        Syntax::Flag | Syntax::Word(_) => {
            let word = if let Syntax::Word(word) = syntax { word } else { "true" };
            let is = |other: &str| value.eq_ignore_ascii_case(other);
            match syntax {
                _ if is("true") || is(word) => add(header, word),
                Syntax::Flag if is("false") => add(header, "false"),
                Syntax::Word(_) if is("false") => {}
                _ => return Err(wrong(name, "must be true or false")),
            }
        }
        Syntax::Digest(length) => {
            if Base64::decode_vec(value).map(|bytes| bytes.len()) != Ok(length) {
                return Err(wrong(name, &format!("must be {length} bytes in base64")));
            }
            add(header, value);
        }
        Syntax::Key => {
            let key = Base64::decode_vec(value).ok().filter(|key| key.len() == 32);
            let key = key.ok_or_else(|| wrong(name, "must be a key of 32 bytes in base64"))?;
            let digest = Base64::encode_string(&Md5::digest(&key));
            for (end, value) in [("algorithm", "AES256"), ("key", value), ("key-md5", &digest)] {
                headers.push((format!("{header}{end}").into(), value.to_owned()));
            }
        }
    }
    Ok(())
}

fn wrong(name: &'static str, why: &str) -> Failure {
    Error::fault(name, format!("{name} {why}"))
}
