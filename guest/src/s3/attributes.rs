//! Named attributes: what a caller may say of a blob, or of how it is to be handled, besides what the contract has fields
//! for. The one table of them, and the headers they become.
//!
//! Most are properties that S3 stores with a blob, after
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>. Some can also be set for a whole store.

use base64ct::{Base64, Encoding};
use md5::{Digest, Md5};

use crate::contract::error::{Error, Failure};
use crate::contract::model::{CallOptions, Pair};
use crate::s3::headers::{Headers, is_visible};

/// Which attributes an operation takes, besides `request-payer` and `expected-bucket-owner`, which all do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takes(u16);

impl Takes {
    /// None but those that all take.
    pub const NOTHING: Takes = Takes(0);
    /// What is stored with a blob: content headers, storage class, tags, access, locks.
    pub const PROPERTIES: Takes = Takes(1);
    /// How the service is to encrypt it, by keys of its own.
    pub const ENCRYPTION: Takes = Takes(2);
    /// The key that the caller encrypts it with.
    pub const CUSTOMER_KEY: Takes = Takes(4);
    /// The key that what is copied was encrypted with, and who is to own it.
    pub const SOURCE: Takes = Takes(8);
    /// The checksum of the body that is sent.
    pub const CHECKSUM: Takes = Takes(16);
    /// Leave to delete what a lock in governance mode keeps.
    pub const BYPASS: Takes = Takes(32);

    /// These and those.
    pub const fn and(self, other: Takes) -> Takes {
        Takes(self.0 | other.0)
    }

    /// Whether those are among these.
    pub const fn has(self, other: Takes) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What an attribute's value must look like, and how it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Visible ASCII.
    Text,
    /// `true` or `false`.
    Flag,
    /// `true` or `false`, of which the first is sent as this word.
    Word(&'static str),
    /// Base64 of so many bytes.
    Digest(usize),
    /// Base64 of a key of 32 bytes, which goes into three headers.
    Key,
    /// See [`is_id`].
    Id,
}

/// An attribute that there is.
#[derive(Debug)]
pub struct Attribute {
    /// In kebab-case.
    pub name: &'static str,
    /// Its header, or what its headers begin with.
    header: &'static str,
    /// The operations that take it.
    pub takes: Takes,
    form: Form,
}

impl Attribute {
    /// One line for people: the syntax of its value, and the operations that accept it.
    pub fn help(&self) -> String {
        let syntax = match self.form {
            Form::Text => "Visible ASCII, up to 2,048 characters (tags: 36 KiB).".to_owned(),
            Form::Flag => "true or false.".to_owned(),
            Form::Word(word) => format!("true or {word}, or false."),
            Form::Digest(length) => format!("{length} bytes in base64."),
            Form::Key => "A key of 32 bytes in base64.".to_owned(),
            Form::Id => "1 to 128 letters, digits and -._~:/+=, different for each write.".to_owned(),
        };
        let accepted = match self.takes {
            Takes::PROPERTIES => "put, create-upload, copy with properties, presigned put",
            Takes::ENCRYPTION => "put, create-upload, copy, presigned put",
            Takes::CUSTOMER_KEY => "head, get, put, uploads and their parts, copy, presigned requests",
            Takes::SOURCE => "copy, copy-part",
            Takes::CHECKSUM => "put, upload-part, presigned put",
            Takes::BYPASS => "delete, delete-many, presigned delete",
            _ => "all operations",
        };
        format!("{syntax} Accepted by {accepted}. Sent as {}.", self.header)
    }

    /// Whether its value is a key that the service encrypts with.
    pub fn is_key(&self) -> bool {
        self.form == Form::Key
    }
}

const fn text(name: &'static str, header: &'static str, takes: Takes) -> Attribute {
    Attribute { name, header, takes, form: Form::Text }
}

const fn formed(name: &'static str, header: &'static str, takes: Takes, form: Form) -> Attribute {
    Attribute { name, header, takes, form }
}

/// The attribute that names a write, so that a writer knows its own again.
pub const WRITE_ID: &str = "write-id";

/// All there are.
pub const TABLE: [Attribute; 27] = [
    text("cache-control", "cache-control", Takes::PROPERTIES),
    text("content-disposition", "content-disposition", Takes::PROPERTIES),
    text("content-encoding", "content-encoding", Takes::PROPERTIES),
    text("content-language", "content-language", Takes::PROPERTIES),
    text("expires", "expires", Takes::PROPERTIES),
    text("storage-class", "x-amz-storage-class", Takes::PROPERTIES),
    text("tags", "x-amz-tagging", Takes::PROPERTIES),
    text("acl", "x-amz-acl", Takes::PROPERTIES),
    text("object-lock-mode", "x-amz-object-lock-mode", Takes::PROPERTIES),
    text("object-lock-retain-until", "x-amz-object-lock-retain-until-date", Takes::PROPERTIES),
    text("object-lock-legal-hold", "x-amz-object-lock-legal-hold", Takes::PROPERTIES),
    formed(WRITE_ID, "x-amz-meta-sandbucket-write-id", Takes::PROPERTIES, Form::Id),
    text("server-side-encryption", "x-amz-server-side-encryption", Takes::ENCRYPTION),
    text("sse-kms-key-id", "x-amz-server-side-encryption-aws-kms-key-id", Takes::ENCRYPTION),
    text("sse-kms-context", "x-amz-server-side-encryption-context", Takes::ENCRYPTION),
    formed("sse-bucket-key", "x-amz-server-side-encryption-bucket-key-enabled", Takes::ENCRYPTION, Form::Flag),
    formed("sse-customer-key", "x-amz-server-side-encryption-customer-", Takes::CUSTOMER_KEY, Form::Key),
    formed("source-sse-customer-key", "x-amz-copy-source-server-side-encryption-customer-", Takes::SOURCE, Form::Key),
    text("source-expected-bucket-owner", "x-amz-source-expected-bucket-owner", Takes::SOURCE),
    formed("checksum-crc32", "x-amz-checksum-crc32", Takes::CHECKSUM, Form::Digest(4)),
    formed("checksum-crc32c", "x-amz-checksum-crc32c", Takes::CHECKSUM, Form::Digest(4)),
    formed("checksum-crc64nvme", "x-amz-checksum-crc64nvme", Takes::CHECKSUM, Form::Digest(8)),
    formed("checksum-sha256", "x-amz-checksum-sha256", Takes::CHECKSUM, Form::Digest(32)),
    formed("content-md5", "content-md5", Takes::CHECKSUM, Form::Digest(16)),
    formed("bypass-governance-retention", "x-amz-bypass-governance-retention", Takes::BYPASS, Form::Flag),
    formed("request-payer", "x-amz-request-payer", Takes::NOTHING, Form::Word("requester")),
    text("expected-bucket-owner", "x-amz-expected-bucket-owner", Takes::NOTHING),
];

/// Checks a value for an attribute of this name as a request would, for a setting: whether it sends anything.
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

/// The first of these attributes that S3 takes with a copy only where all properties are given anew.
pub fn kept_by_copies(attributes: &[Pair]) -> Option<&'static str> {
    let headers = TABLE
        .iter()
        .filter(|known| known.takes == Takes::PROPERTIES && (known.name == known.header || known.name == WRITE_ID));
    headers.map(|known| known.name).find(|known| attributes.iter().any(|(name, _)| name == known))
}

/// The options of a call that looks at what this one writes: who asks, who pays, and the key that it is encrypted with.
pub fn for_head(call: &CallOptions) -> CallOptions {
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
/// A fault of the attribute. A key is never in the words.
pub fn push(headers: &mut Headers, attribute: &Attribute, value: &str) -> Result<(), Failure> {
    let Attribute { name, header, form, .. } = *attribute;
    if form == Form::Id && headers.iter().any(|(there, _)| there == header) {
        return Err(wrong(name, "is in the metadata as well, as sandbucket-write-id: give it once"));
    }
    let mut add = |header: &'static str, value: &str| headers.push((header.into(), value.to_owned()));
    let value = value.trim_matches(' ');
    match form {
        // Ten tags of 128 and 256 characters, each of which may need nine as `%XX%XX%XX`, are no shorter.
        Form::Text if !is_visible(value, if name == "tags" { 36 * 1024 } else { 2048 }) => {
            return Err(wrong(name, "must be 1 to 2,048 characters of visible ASCII and spaces"));
        }
        Form::Text => add(header, value),
        Form::Id if !is_id(value) => {
            return Err(wrong(name, "must be 1 to 128 letters, digits and -._~:/+="));
        }
        Form::Id => add(header, value),
        Form::Flag | Form::Word(_) => {
            let word = if let Form::Word(word) = form { word } else { "true" };
            let is = |other: &str| value.eq_ignore_ascii_case(other);
            match form {
                _ if is("true") || is(word) => add(header, word),
                Form::Flag if is("false") => add(header, "false"),
                Form::Word(_) if is("false") => {}
                _ => return Err(wrong(name, "must be true or false")),
            }
        }
        Form::Digest(length) => {
            if Base64::decode_vec(value).map(|bytes| bytes.len()) != Ok(length) {
                return Err(wrong(name, &format!("must be {length} bytes in base64")));
            }
            add(header, value);
        }
        Form::Key => {
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

/// Whether this can be a write's id: text that no service stores or gives back in another form.
fn is_id(value: &str) -> bool {
    (1..=128).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/+=".contains(&b))
}

fn wrong(name: &'static str, why: &str) -> Failure {
    Error::fault(name, format!("{name} {why}"))
}
