//! Validation of what a plugin returns, applied once, where its values become this crate's types.
//!
//! A plugin is an attacker. wasmtime has checked the types, and `functions` has bounded the bytes; what is left is that each
//! value can be used without a second look: lengths, counts, dates, and characters that can forge a header or a log line.
//! What does not hold is [`Error::Plugin`]; text for people is escaped and cut instead.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmtime::component::ResourceAny;

use super::{Datetime, buckets, listing, multipart, sans_io, wit};
use crate::error::{Error, Failure, Result, ServiceResponse};
use crate::text::sanitized;
use crate::types::blob::{Attribute, BlobInfo, Presigned, Setting, SettingKind, Written};
use crate::types::bucket::{Bucket, BucketPage};
use crate::types::listing::{Entry, ListPage, VersionEntry, VersionPage};
use crate::types::multipart::{Part, PartPage, PendingUpload, UploadPage};

/// Bytes of an error's message that are kept. The plugin that is built in cuts the service's own words to 1 KiB.
const MAX_MESSAGE: usize = 4 << 10;
/// Bytes of a short text: an error code, a request id, a setting's name.
const MAX_WORD: usize = 256;
/// Bytes of a key. S3 takes 1,024; Azure 1,024 characters, which can be four bytes each.
const MAX_KEY: usize = 4 << 10;
/// Bytes of an entity tag, a version, a media type, an upload's id. S3's are below 200.
const MAX_TAG: usize = 2 << 10;
/// Bytes of a continuation token.
const MAX_TOKEN: usize = 16 << 10;
/// Bytes of an attribute or of one piece of metadata.
const MAX_VALUE: usize = 64 << 10;
/// Pieces of metadata, attributes or tags of one blob.
const MAX_PAIRS: usize = 2048;
/// Entries of one page of a listing, and prefixes of it. The contract asks for 1,000 at most; some services give more.
const MAX_PAGE: usize = 10_000;
/// Settings of a plugin.
const MAX_SETTINGS: usize = 256;
/// Bytes of a presigned URL.
const MAX_URL: usize = 32 << 10;
/// The last second of the year 9999: no HTTP date or RFC 3339 timestamp is later, and calendars panic far beyond.
const MAX_SECONDS: u64 = 253_402_300_799;

/// Fails if the text is longer than `max` bytes.
fn bounded(what: &str, text: &str, max: usize) -> Result<()> {
    if text.len() <= max {
        return Ok(());
    }
    Err(Error::plugin(format!("it returned {what} of {} bytes, and at most {max} are taken", text.len())))
}

/// Fails if there are more than `max`.
fn counted(what: &str, count: usize, max: usize) -> Result<()> {
    if count <= max {
        return Ok(());
    }
    Err(Error::plugin(format!("it returned {count} {what}, and at most {max} are taken")))
}

/// Fails if a header could not carry the text: control characters but tabs.
fn plain(what: &str, text: &str, max: usize) -> Result<()> {
    bounded(what, text, max)?;
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Error::plugin(format!("it returned {what} with control characters")));
    }
    Ok(())
}

fn tag(what: &str, text: Option<&str>) -> Result<()> {
    text.map_or(Ok(()), |text| plain(what, text, MAX_TAG))
}

fn key(key: &str) -> Result<()> {
    bounded("a key", key, MAX_KEY)
}

fn token(token: Option<&str>) -> Result<()> {
    token.map_or(Ok(()), |token| bounded("a continuation token", token, MAX_TOKEN))
}

fn attributes(attributes: &[(String, String)]) -> Result<()> {
    pairs("attributes", attributes)?;
    attributes.iter().try_for_each(|(_, value)| plain("an attribute", value, MAX_VALUE))
}

/// Metadata and tags: their values are any text.
fn pairs(what: &str, pairs: &[(String, String)]) -> Result<()> {
    counted(what, pairs.len(), MAX_PAIRS)?;
    pairs.iter().try_for_each(|(name, value)| {
        plain("a name", name, MAX_TAG)?;
        bounded("a value", value, MAX_VALUE)
    })
}

/// A moment of the plugin's. One that no calendar can hold is none.
pub(crate) fn system_time(time: Datetime) -> Option<SystemTime> {
    if time.seconds > MAX_SECONDS {
        return None;
    }
    UNIX_EPOCH.checked_add(Duration::new(time.seconds, time.nanoseconds.min(999_999_999)))
}

/// What this crate makes of a value of a plugin's.
pub(crate) trait Validate: Sized {
    type Valid;

    /// The value as this crate's type, if everything in it holds.
    fn validate(self) -> Result<Self::Valid>;
}

/// What needs no look.
impl Validate for Option<bool> {
    type Valid = Option<bool>;

    fn validate(self) -> Result<Option<bool>> {
        Ok(self)
    }
}

impl Validate for () {
    type Valid = ();

    fn validate(self) -> Result<()> {
        Ok(())
    }
}

/// The id of an upload.
impl Validate for String {
    type Valid = String;

    fn validate(self) -> Result<String> {
        plain("an upload's id", &self, MAX_TAG)?;
        Ok(self)
    }
}

/// The tags of a blob.
impl Validate for Vec<(String, String)> {
    type Valid = Self;

    fn validate(self) -> Result<Self> {
        pairs("tags", &self)?;
        Ok(self)
    }
}

/// Whether a bucket exists.
impl Validate for bool {
    type Valid = bool;

    fn validate(self) -> Result<bool> {
        Ok(self)
    }
}

/// The outcomes of a bulk delete.
impl Validate for Vec<std::result::Result<(), wit::Error>> {
    type Valid = Vec<Result<()>>;

    fn validate(self) -> Result<Self::Valid> {
        Ok(self.into_iter().map(|outcome| outcome.map_err(Error::from)).collect())
    }
}

impl Validate for wit::BlobInfo {
    type Valid = BlobInfo;

    fn validate(self) -> Result<BlobInfo> {
        tag("an entity tag", self.etag.as_deref())?;
        tag("a media type", self.content_type.as_deref())?;
        tag("a version", self.version.as_deref())?;
        pairs("pieces of metadata", &self.metadata)?;
        attributes(&self.attributes)?;
        Ok(BlobInfo {
            size: self.size.unwrap_or(BlobInfo::UNKNOWN_SIZE),
            etag: self.etag,
            last_modified: self.last_modified.and_then(system_time),
            content_type: self.content_type,
            metadata: self.metadata,
            version: self.version,
            attributes: self.attributes,
        })
    }
}

impl Validate for wit::Blob {
    type Valid = (BlobInfo, wit::Span, Vec<u8>);

    fn validate(self) -> Result<Self::Valid> {
        Ok((self.info.validate()?, self.range, self.body))
    }
}

impl Validate for wit::Written {
    type Valid = Written;

    fn validate(self) -> Result<Written> {
        tag("an entity tag", self.etag.as_deref())?;
        tag("a version", self.version.as_deref())?;
        Ok(Written { etag: self.etag, version: self.version })
    }
}

impl Validate for wit::Presigned {
    type Valid = Presigned;

    fn validate(self) -> Result<Presigned> {
        plain("a URL", &self.url, MAX_URL)?;
        counted("headers", self.headers.len(), 128)?;
        for (name, value) in &self.headers {
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(Error::plugin("it returned a header that HTTP does not have"));
            }
            plain("a header", value, MAX_VALUE)?;
        }
        Ok(Presigned { url: self.url, headers: self.headers })
    }
}

impl Validate for listing::Entry {
    type Valid = Entry;

    fn validate(self) -> Result<Entry> {
        key(&self.key)?;
        tag("an entity tag", self.etag.as_deref())?;
        attributes(&self.attributes)?;
        Ok(Entry {
            key: self.key,
            size: self.size,
            etag: self.etag,
            last_modified: self.last_modified.and_then(system_time),
            attributes: self.attributes,
        })
    }
}

/// The prefixes and the token of a page.
fn page(prefixes: &[String], next: Option<&str>) -> Result<()> {
    counted("prefixes in a page", prefixes.len(), MAX_PAGE)?;
    prefixes.iter().try_for_each(|prefix| key(prefix))?;
    token(next)
}

impl Validate for listing::ListPage {
    type Valid = ListPage;

    fn validate(self) -> Result<ListPage> {
        counted("entries in a page", self.entries.len(), MAX_PAGE)?;
        page(&self.prefixes, self.next.as_deref())?;
        let entries = self.entries.into_iter().map(Validate::validate).collect::<Result<_>>()?;
        Ok(ListPage { entries, prefixes: self.prefixes, next: self.next })
    }
}

impl Validate for listing::VersionEntry {
    type Valid = VersionEntry;

    fn validate(self) -> Result<VersionEntry> {
        tag("a version", self.version.as_deref())?;
        let blob = self.blob.validate()?;
        Ok(VersionEntry { blob, version: self.version, latest: self.latest, deleted: self.deleted })
    }
}

impl Validate for listing::VersionPage {
    type Valid = VersionPage;

    fn validate(self) -> Result<VersionPage> {
        counted("entries in a page", self.entries.len(), MAX_PAGE)?;
        page(&self.prefixes, self.next.as_deref())?;
        let entries = self.entries.into_iter().map(Validate::validate).collect::<Result<_>>()?;
        Ok(VersionPage { entries, prefixes: self.prefixes, next: self.next })
    }
}

impl Validate for multipart::Part {
    type Valid = Part;

    fn validate(self) -> Result<Part> {
        plain("an entity tag", &self.etag, MAX_TAG)?;
        attributes(&self.attributes)?;
        Ok(Part {
            number: self.number,
            size: self.size,
            etag: self.etag,
            last_modified: self.last_modified.and_then(system_time),
            attributes: self.attributes,
        })
    }
}

impl Validate for multipart::PartPage {
    type Valid = PartPage;

    fn validate(self) -> Result<PartPage> {
        counted("parts in a page", self.parts.len(), MAX_PAGE)?;
        token(self.next.as_deref())?;
        let parts = self.parts.into_iter().map(Validate::validate).collect::<Result<_>>()?;
        Ok(PartPage { parts, next: self.next })
    }
}

impl Validate for multipart::UploadPage {
    type Valid = UploadPage;

    fn validate(self) -> Result<UploadPage> {
        counted("uploads in a page", self.uploads.len(), MAX_PAGE)?;
        token(self.next.as_deref())?;
        let uploads = self.uploads.into_iter().map(|upload| {
            key(&upload.key)?;
            plain("an upload's id", &upload.id, MAX_TAG)?;
            Ok(PendingUpload { key: upload.key, id: upload.id, initiated: upload.initiated.and_then(system_time) })
        });
        Ok(UploadPage { uploads: uploads.collect::<Result<_>>()?, next: self.next })
    }
}

impl Validate for buckets::BucketPage {
    type Valid = BucketPage;

    fn validate(self) -> Result<BucketPage> {
        counted("buckets in a page", self.buckets.len(), MAX_PAGE)?;
        token(self.next.as_deref())?;
        let buckets = self.buckets.into_iter().map(|bucket| {
            plain("a bucket's name", &bucket.name, MAX_TAG)?;
            tag("a region", bucket.region.as_deref())?;
            Ok(Bucket { name: bucket.name, created: bucket.created.and_then(system_time), region: bucket.region })
        });
        Ok(BucketPage { buckets: buckets.collect::<Result<_>>()?, next: self.next })
    }
}

/// Fails if the text is not in kebab-case.
fn kebab_case(what: &str, name: &str) -> Result<()> {
    let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > MAX_WORD || !name.bytes().all(is_part) {
        let name = sanitized(name.to_owned(), 64);
        return Err(Error::plugin(format!("it names {what} \"{name}\", which is not in kebab-case")));
    }
    Ok(())
}

impl Validate for Vec<wit::Attribute> {
    type Valid = Vec<Attribute>;

    fn validate(self) -> Result<Vec<Attribute>> {
        counted("attributes", self.len(), MAX_SETTINGS)?;
        let attributes = self.into_iter().map(|attribute| {
            kebab_case("an attribute", &attribute.name)?;
            let help = sanitized(attribute.help, MAX_MESSAGE);
            Ok(Attribute { name: attribute.name, secret: attribute.secret, help })
        });
        attributes.collect()
    }
}

impl Validate for Vec<wit::Setting> {
    type Valid = Vec<Setting>;

    fn validate(self) -> Result<Vec<Setting>> {
        counted("settings", self.len(), MAX_SETTINGS)?;
        self.into_iter().map(Validate::validate).collect()
    }
}

impl Validate for wit::Setting {
    type Valid = Setting;

    fn validate(self) -> Result<Setting> {
        counted("aliases of a setting", self.aliases.len(), 16)?;
        for name in self.aliases.iter().chain([&self.name]) {
            kebab_case("a setting", name)?;
        }
        Ok(Setting {
            name: self.name,
            aliases: self.aliases,
            kind: match self.kind {
                wit::SettingKind::Text => SettingKind::Text,
                wit::SettingKind::Integer => SettingKind::Integer,
                wit::SettingKind::Boolean => SettingKind::Boolean,
                wit::SettingKind::Duration => SettingKind::Duration,
                wit::SettingKind::Choice => SettingKind::Choice,
                wit::SettingKind::Url => SettingKind::Url,
            },
            default: self.default.map(|text| sanitized(text, MAX_MESSAGE)),
            required: self.required,
            secret: self.secret,
            help: sanitized(self.help, MAX_MESSAGE),
        })
    }
}

impl Validate for Vec<wit::DigestAlgorithm> {
    type Valid = Self;

    /// Each once: a digest is made of every body for each of them.
    fn validate(mut self) -> Result<Self> {
        let mut kept: Vec<wit::DigestAlgorithm> = Vec::new();
        self.retain(|&algorithm| {
            let is_new = !kept.contains(&algorithm);
            if is_new {
                kept.push(algorithm);
            }
            is_new
        });
        Ok(self)
    }
}

/// An error's texts are escaped and cut, never refused: they may say what is wrong.
impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        let word = |text: Option<String>| text.map(|text| sanitized(text, MAX_WORD));
        let mut failure = Box::new(Failure::new(sanitized(error.message, MAX_MESSAGE)));
        (failure.retryable, failure.attempts) = (error.retryable, error.attempts);
        failure.subject = word(error.subject);
        failure.response = error.response.map(|response| ServiceResponse {
            status: response.status,
            code: word(response.code),
            message: response.message.map(|text| sanitized(text, MAX_MESSAGE)),
            request_id: word(response.request_id),
            region: word(response.region),
        });
        match error.kind {
            wit::ErrorKind::NotFound => Error::NotFound(failure),
            wit::ErrorKind::PreconditionFailed => Error::PreconditionFailed(failure),
            wit::ErrorKind::NotModified => Error::NotModified(failure),
            wit::ErrorKind::InvalidRange => Error::InvalidRange(failure),
            wit::ErrorKind::Conflict => Error::Conflict(failure),
            wit::ErrorKind::AccessDenied => Error::AccessDenied(failure),
            wit::ErrorKind::Throttled => Error::Throttled(failure),
            wit::ErrorKind::Timeout => Error::Timeout(failure),
            wit::ErrorKind::Network => Error::Network(failure),
            wit::ErrorKind::Integrity => Error::Integrity(failure),
            wit::ErrorKind::InvalidSettings => Error::InvalidSettings(failure),
            wit::ErrorKind::InvalidArgument => Error::InvalidArgument(failure),
            wit::ErrorKind::TooLarge => Error::TooLarge(failure),
            wit::ErrorKind::Unsupported => Error::Unsupported(failure),
            wit::ErrorKind::OutcomeUnknown => Error::OutcomeUnknown(failure),
            wit::ErrorKind::Service if failure.response.as_ref().is_some_and(is_archived) => Error::Archived(failure),
            wit::ErrorKind::Service => Error::Service(failure),
        }
    }
}

/// Whether the service says that the blob has to be restored first.
fn is_archived(response: &ServiceResponse) -> bool {
    matches!(response.code.as_deref(), Some("InvalidObjectState" | "BlobArchived" | "BlobBeingRehydrated"))
}

/// The output of an operation.
pub(crate) enum Output {
    Head(BlobInfo),
    /// The body is that of the last response.
    Get(BlobHead),
    /// A range of a blob in memory, of a plugin that sends its requests itself.
    Blob((BlobInfo, wit::Span, Vec<u8>)),
    Put(Written),
    Delete(Option<bool>),
    DeleteMany(Vec<Result<()>>),
    List(ListPage),
    ListVersions(VersionPage),
    Copy(Written),
    Presign(Presigned),
    GetTags(Vec<(String, String)>),
    SetTags(()),
    CreateUpload(String),
    UploadPart(Part),
    CopyPart(Part),
    ListParts(PartPage),
    CompleteUpload(Written),
    AbortUpload(()),
    ListUploads(UploadPage),
    CreateBucket(()),
    DeleteBucket(()),
    BucketExists(bool),
    ListBuckets(BucketPage),
}

/// The properties of a blob whose body is being read.
pub(crate) struct BlobHead {
    pub(crate) info: BlobInfo,
    pub(crate) range: wit::Span,
    pub(crate) body_range: wit::Span,
    pub(crate) digest: Option<wit::Digest>,
}

impl Validate for wit::BlobHead {
    type Valid = BlobHead;

    fn validate(self) -> Result<BlobHead> {
        let wit::BlobHead { info, range, body_range, digest } = self;
        Ok(BlobHead { info: info.validate()?, range, body_range, digest })
    }
}

impl Validate for sans_io::Output {
    type Valid = Output;

    fn validate(self) -> Result<Output> {
        Ok(match self {
            sans_io::Output::Head(info) => Output::Head(info.validate()?),
            sans_io::Output::Get(head) => Output::Get(head.validate()?),
            sans_io::Output::Put(written) => Output::Put(written.validate()?),
            sans_io::Output::Delete(existed) => Output::Delete(existed),
            sans_io::Output::DeleteMany(outcomes) => Output::DeleteMany(outcomes.validate()?),
            sans_io::Output::List(page) => Output::List(page.validate()?),
            sans_io::Output::ListVersions(page) => Output::ListVersions(page.validate()?),
            sans_io::Output::Copy(written) => Output::Copy(written.validate()?),
            sans_io::Output::Presign(presigned) => Output::Presign(presigned.validate()?),
            sans_io::Output::GetTags(tags) => Output::GetTags(tags.validate()?),
            sans_io::Output::SetTags => Output::SetTags(()),
            sans_io::Output::CreateUpload(id) => Output::CreateUpload(id.validate()?),
            sans_io::Output::UploadPart(part) => Output::UploadPart(part.validate()?),
            sans_io::Output::CopyPart(part) => Output::CopyPart(part.validate()?),
            sans_io::Output::ListParts(page) => Output::ListParts(page.validate()?),
            sans_io::Output::CompleteUpload(written) => Output::CompleteUpload(written.validate()?),
            sans_io::Output::AbortUpload => Output::AbortUpload(()),
            sans_io::Output::ListUploads(page) => Output::ListUploads(page.validate()?),
            sans_io::Output::CreateBucket => Output::CreateBucket(()),
            sans_io::Output::DeleteBucket => Output::DeleteBucket(()),
            sans_io::Output::BucketExists(exists) => Output::BucketExists(exists),
            sans_io::Output::ListBuckets(page) => Output::ListBuckets(page.validate()?),
        })
    }
}

/// The next step of an operation. The driver checks a request before it sends it.
pub(crate) enum Next {
    Send(Box<sans_io::Exchange>),
    Done(Output),
    Failed(Error),
}

/// Of a batch, a value that is refused fails the operation that it belongs to, and no other.
impl Validate for Vec<sans_io::Next> {
    type Valid = Vec<Result<Next>>;

    fn validate(self) -> Result<Self::Valid> {
        let next = |next| {
            Ok(match next {
                sans_io::Next::Send(exchange) => Next::Send(Box::new(exchange)),
                sans_io::Next::Done(output) => Next::Done(output.validate()?),
                sans_io::Next::Failed(error) => Next::Failed(error.into()),
            })
        };
        Ok(self.into_iter().map(next).collect())
    }
}

/// A store that was opened: a handle, which wasmtime checks.
impl Validate for ResourceAny {
    type Valid = ResourceAny;

    fn validate(self) -> Result<ResourceAny> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> wit::BlobInfo {
        wit::BlobInfo {
            size: Some(1),
            etag: None,
            last_modified: None,
            content_type: None,
            metadata: Vec::new(),
            version: None,
            attributes: Vec::new(),
        }
    }

    fn at(seconds: u64) -> Datetime {
        Datetime { seconds, nanoseconds: u32::MAX }
    }

    #[test]
    fn dates_beyond_any_calendar_are_absent() {
        for seconds in [MAX_SECONDS + 1, 1 << 60, u64::MAX] {
            assert_eq!(system_time(at(seconds)), None);
        }
        assert!(system_time(at(MAX_SECONDS)).is_some());
        let info = wit::BlobInfo { last_modified: Some(at(1 << 60)), ..info() }.validate().unwrap();
        assert_eq!(info.last_modified, None);
    }

    #[test]
    fn values_that_are_too_long_or_too_many_are_refused() {
        let long = |length: usize| "x".repeat(length);
        let refused = |info: wit::BlobInfo| assert!(matches!(info.validate(), Err(Error::Plugin { .. })));
        refused(wit::BlobInfo { etag: Some(long(MAX_TAG + 1)), ..info() });
        refused(wit::BlobInfo { version: Some(long(MAX_TAG + 1)), ..info() });
        refused(wit::BlobInfo { content_type: Some("a\r\nb".to_owned()), ..info() });
        refused(wit::BlobInfo { metadata: vec![(String::new(), String::new()); MAX_PAIRS + 1], ..info() });
        refused(wit::BlobInfo { attributes: vec![("a".to_owned(), "b\n".to_owned())], ..info() });
        refused(wit::BlobInfo { attributes: vec![("a".to_owned(), long(MAX_VALUE + 1))], ..info() });
        let entry = |key: String| listing::Entry {
            key,
            size: u64::MAX,
            etag: None,
            last_modified: Some(at(u64::MAX)),
            attributes: Vec::new(),
        };
        assert!(entry(long(MAX_KEY)).validate().is_ok() && entry(long(MAX_KEY + 1)).validate().is_err());
        let page = |count, next| listing::ListPage {
            entries: (0..count).map(|_| entry("k".to_owned())).collect(),
            prefixes: Vec::new(),
            next,
        };
        assert!(page(MAX_PAGE, None).validate().is_ok() && page(MAX_PAGE + 1, None).validate().is_err());
        assert!(page(1, Some(long(MAX_TOKEN + 1))).validate().is_err());
    }

    #[test]
    fn an_errors_texts_are_escaped_and_cut() {
        let text = || format!("\u{1b}[31m\n\u{202e}{}", "x".repeat(66 << 20));
        let error: Error = wit::Error {
            kind: wit::ErrorKind::Service,
            message: text(),
            retryable: false,
            attempts: u32::MAX,
            subject: Some(text()),
            response: Some(wit::ServiceResponse {
                status: u16::MAX,
                code: Some(text()),
                message: Some(text()),
                request_id: Some(text()),
                region: Some(text()),
            }),
        }
        .into();
        let shown = format!("{error} {error:?}");
        assert!(shown.len() < 6 * MAX_MESSAGE, "{}", shown.len());
        assert!(!shown.contains(['\u{1b}', '\n', '\u{202e}']), "{}", &shown[..100]);
    }

    #[test]
    fn settings_have_names_that_a_file_can_hold() {
        let setting = |name: &str| wit::Setting {
            name: name.to_owned(),
            aliases: Vec::new(),
            kind: wit::SettingKind::Text,
            default: None,
            required: false,
            secret: false,
            help: "one\nline".to_owned(),
        };
        assert_eq!(vec![setting("key-prefix")].validate().unwrap()[0].help, "one\\nline");
        for name in ["", "a b", "a\n", "\u{202e}", &"x".repeat(MAX_WORD + 1)] {
            assert!(vec![setting(name)].validate().is_err(), "{name:?}");
        }
        assert!(vec![setting("a"); MAX_SETTINGS + 1].validate().is_err());
    }

    #[test]
    fn a_digest_is_wanted_once() {
        use wit::DigestAlgorithm::{Md5, Sha256};
        assert_eq!(vec![Md5, Sha256, Md5, Md5].validate().unwrap(), [Md5, Sha256]);
    }
}
