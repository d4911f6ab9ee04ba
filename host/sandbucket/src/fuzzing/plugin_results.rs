//! Whatever a plugin can return, of any of its functions, through the boundary and on into this crate's types.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::PreparedRequest;
use crate::error::Error;
use crate::sandbox::bindings::{Next, Output, Validate, buckets, listing, multipart, sans_io, wit};
use crate::types::blob::{Attribute, BlobInfo, Presigned, Setting, Written};
use crate::types::bucket::BucketPage;
use crate::types::listing::{ListPage, VersionPage};
use crate::types::multipart::{Part, PartPage, UploadPage};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;

/// A value that a plugin returned and the host took.
#[derive(Debug)]
pub enum PluginValue {
    Info(BlobInfo),
    Blob(BlobInfo, Vec<u8>),
    Written(Written),
    Presigned(Presigned),
    List(ListPage),
    Versions(VersionPage),
    Part(Part),
    Parts(PartPage),
    Uploads(UploadPage),
    Buckets(BucketPage),
    Settings(Vec<Setting>),
    Attributes(Vec<Attribute>),
    Tags(Vec<(String, String)>),
    UploadId(String),
    /// A kind of digest for each that is wanted.
    Digests(usize),
    Outcomes(Vec<std::result::Result<(), Error>>),
    /// Of an operation without a value.
    Nothing,
    /// Of each operation in a batch.
    Steps(Vec<std::result::Result<PluginStep, Error>>),
}

/// What an operation does next.
#[derive(Debug)]
pub enum PluginStep {
    Send(PreparedRequest),
    Done(Box<PluginValue>),
    Failed(Error),
}

/// Any value that a plugin can return, as the host takes it; or the error it makes of it.
pub fn plugin_result(u: &mut Unstructured<'_>) -> Result<std::result::Result<PluginValue, Error>> {
    use PluginValue as Value;
    Ok(match u.int_in_range(0..=18)? {
        0 => info(u)?.validate().map(Value::Info),
        1 => wit::Blob { info: info(u)?, range: span(u)?, body: Vec::arbitrary(u)? }
            .validate()
            .map(|(info, _, body)| Value::Blob(info, body)),
        2 => written(u)?.validate().map(Value::Written),
        3 => wit::Presigned { url: text(u)?, headers: pairs(u)? }.validate().map(Value::Presigned),
        4 => listing::ListPage { entries: list(u, entry)?, prefixes: list(u, text)?, next: maybe(u, text)? }
            .validate()
            .map(Value::List),
        5 => listing::VersionPage { entries: list(u, version)?, prefixes: list(u, text)?, next: maybe(u, text)? }
            .validate()
            .map(Value::Versions),
        6 => part(u)?.validate().map(Value::Part),
        7 => multipart::PartPage { parts: list(u, part)?, next: maybe(u, text)? }.validate().map(Value::Parts),
        8 => multipart::UploadPage { uploads: list(u, upload)?, next: maybe(u, text)? }.validate().map(Value::Uploads),
        9 => list(u, setting)?.validate().map(Value::Settings),
        10 => pairs(u)?.validate().map(Value::Tags),
        11 => text(u)?.validate().map(Value::UploadId),
        12 => list(u, algorithm)?.validate().map(|digests| Value::Digests(digests.len())),
        13 => {
            let outcome = |u: &mut Unstructured<'_>| Ok(if bool::arbitrary(u)? { Ok(()) } else { Err(error(u)?) });
            let outcomes = list(u, outcome)?.validate();
            outcomes.map(Value::Outcomes)
        }
        14 => list(u, step)?.validate().map(|steps| Value::Steps(steps.into_iter().map(taken).collect())),
        15 => output(u)?.validate().map(of_output),
        16 => buckets::BucketPage { buckets: list(u, bucket)?, next: maybe(u, text)? }.validate().map(Value::Buckets),
        17 => {
            let attribute = |u: &mut Unstructured<'_>| {
                Ok(wit::Attribute { name: text(u)?, secret: bool::arbitrary(u)?, help: text(u)? })
            };
            list(u, attribute)?.validate().map(Value::Attributes)
        }
        _ => Err(error(u)?.into()),
    })
}

fn taken(step: std::result::Result<Next, Error>) -> std::result::Result<PluginStep, Error> {
    step.map(|step| match step {
        Next::Send(exchange) => PluginStep::Send(crate::driver::prepared(exchange.request, &[]).into()),
        Next::Done(output) => PluginStep::Done(Box::new(of_output(output))),
        Next::Failed(error) => PluginStep::Failed(error),
    })
}

fn of_output(output: Output) -> PluginValue {
    match output {
        Output::Head(info) => PluginValue::Info(info),
        Output::Get(head) => PluginValue::Info(head.info),
        Output::Blob((info, _, body)) => PluginValue::Blob(info, body),
        Output::Put(written) | Output::Copy(written) | Output::CompleteUpload(written) => PluginValue::Written(written),
        Output::DeleteMany(outcomes) => PluginValue::Outcomes(outcomes),
        Output::List(page) => PluginValue::List(page),
        Output::ListVersions(page) => PluginValue::Versions(page),
        Output::Presign(presigned) => PluginValue::Presigned(presigned),
        Output::GetTags(tags) => PluginValue::Tags(tags),
        Output::CreateUpload(id) => PluginValue::UploadId(id),
        Output::UploadPart(part) | Output::CopyPart(part) => PluginValue::Part(part),
        Output::ListParts(page) => PluginValue::Parts(page),
        Output::ListUploads(page) => PluginValue::Uploads(page),
        Output::ListBuckets(page) => PluginValue::Buckets(page),
        Output::Delete(_) | Output::BucketExists(_) => PluginValue::Nothing,
        Output::SetTags(()) | Output::AbortUpload(()) | Output::CreateBucket(()) | Output::DeleteBucket(()) => {
            PluginValue::Nothing
        }
    }
}

/// Any text, and often one that is long, is no header, or forges a line.
fn text(u: &mut Unstructured<'_>) -> Result<String> {
    const ODD: [&str; 12] =
        ["", "\"etag\"", "a/b", "key-prefix", "\n", "\r\nx: y", "\t", "\u{1b}[2J", "\u{202e}", "\u{9b}", "é日", "\0"];
    Ok(match u.int_in_range(0..=15)? {
        0..=7 => String::arbitrary(u)?,
        8..=13 => (*u.choose(&ODD)?).to_owned(),
        _ => u.choose(&ODD)?.repeat(*u.choose(&[64, 257, 2049, 4097, 16_385, 65_537])?),
    })
}

fn maybe<T>(u: &mut Unstructured<'_>, some: impl Fn(&mut Unstructured<'_>) -> Result<T>) -> Result<Option<T>> {
    Ok(if bool::arbitrary(u)? { Some(some(u)?) } else { None })
}

/// A few, and now and then very many of the smallest that there is.
fn list<T: Clone>(u: &mut Unstructured<'_>, one: impl Fn(&mut Unstructured<'_>) -> Result<T>) -> Result<Vec<T>> {
    if u.ratio(1, 32)? {
        let count = *u.choose(&[128, 129, 256, 257, 2048, 2049, 10_000, 10_001])?;
        return Ok(vec![one(&mut Unstructured::new(&[]))?; count]);
    }
    (0..u.int_in_range(0..=3)?).map(|_| one(u)).collect()
}

fn pairs(u: &mut Unstructured<'_>) -> Result<Vec<(String, String)>> {
    list(u, |u| Ok((text(u)?, text(u)?)))
}

fn time(u: &mut Unstructured<'_>) -> Result<Option<Datetime>> {
    const SECONDS: [u64; 6] = [0, 253_402_300_799, 253_402_300_800, 1 << 43, 1 << 60, u64::MAX];
    maybe(u, |u| {
        let seconds = if bool::arbitrary(u)? { *u.choose(&SECONDS)? } else { u64::arbitrary(u)? };
        Ok(Datetime { seconds, nanoseconds: u32::arbitrary(u)? })
    })
}

fn span(u: &mut Unstructured<'_>) -> Result<wit::Span> {
    Ok(wit::Span { start: u64::arbitrary(u)?, end: u64::arbitrary(u)? })
}

fn info(u: &mut Unstructured<'_>) -> Result<wit::BlobInfo> {
    Ok(wit::BlobInfo {
        size: maybe(u, |u| u.arbitrary::<u64>())?,
        etag: maybe(u, text)?,
        last_modified: time(u)?,
        content_type: maybe(u, text)?,
        metadata: pairs(u)?,
        version: maybe(u, text)?,
        attributes: pairs(u)?,
    })
}

fn written(u: &mut Unstructured<'_>) -> Result<wit::Written> {
    Ok(wit::Written { etag: maybe(u, text)?, version: maybe(u, text)? })
}

fn entry(u: &mut Unstructured<'_>) -> Result<listing::Entry> {
    Ok(listing::Entry {
        key: text(u)?,
        size: u64::arbitrary(u)?,
        etag: maybe(u, text)?,
        last_modified: time(u)?,
        attributes: pairs(u)?,
    })
}

fn version(u: &mut Unstructured<'_>) -> Result<listing::VersionEntry> {
    let (latest, deleted) = Arbitrary::arbitrary(u)?;
    Ok(listing::VersionEntry { blob: entry(u)?, version: maybe(u, text)?, latest, deleted })
}

fn part(u: &mut Unstructured<'_>) -> Result<multipart::Part> {
    Ok(multipart::Part {
        number: u32::arbitrary(u)?,
        size: u64::arbitrary(u)?,
        etag: text(u)?,
        last_modified: time(u)?,
        attributes: pairs(u)?,
    })
}

fn upload(u: &mut Unstructured<'_>) -> Result<multipart::Upload> {
    Ok(multipart::Upload { key: text(u)?, id: text(u)?, initiated: time(u)? })
}

fn setting(u: &mut Unstructured<'_>) -> Result<wit::Setting> {
    use wit::SettingKind::{Boolean, Choice, Duration, Integer, Text, Url};
    let (required, secret) = Arbitrary::arbitrary(u)?;
    Ok(wit::Setting {
        name: text(u)?,
        aliases: list(u, text)?,
        kind: *u.choose(&[Text, Integer, Boolean, Duration, Choice, Url])?,
        default: maybe(u, text)?,
        required,
        secret,
        help: text(u)?,
    })
}

fn algorithm(u: &mut Unstructured<'_>) -> Result<wit::DigestAlgorithm> {
    use wit::DigestAlgorithm::{Crc32, Crc32c, Crc64nvme, Md5, Sha256};
    Ok(*u.choose(&[Sha256, Md5, Crc32, Crc32c, Crc64nvme])?)
}

fn error(u: &mut Unstructured<'_>) -> Result<wit::Error> {
    use wit::ErrorKind::{
        AccessDenied, Conflict, Integrity, InvalidArgument, InvalidRange, InvalidSettings, Network, NotFound,
        NotModified, OutcomeUnknown, PreconditionFailed, Service, Throttled, Timeout, TooLarge, Unsupported,
    };
    const KINDS: [wit::ErrorKind; 16] = [
        NotFound,
        PreconditionFailed,
        NotModified,
        InvalidRange,
        Conflict,
        AccessDenied,
        Throttled,
        Timeout,
        Network,
        Integrity,
        InvalidSettings,
        InvalidArgument,
        TooLarge,
        Unsupported,
        OutcomeUnknown,
        Service,
    ];
    let answer = |u: &mut Unstructured<'_>| {
        Ok(wit::ServiceResponse {
            status: u16::arbitrary(u)?,
            code: maybe(u, text)?,
            message: maybe(u, text)?,
            request_id: maybe(u, text)?,
            region: maybe(u, text)?,
        })
    };
    Ok(wit::Error {
        kind: *u.choose(&KINDS)?,
        message: text(u)?,
        retryable: bool::arbitrary(u)?,
        attempts: u32::arbitrary(u)?,
        subject: maybe(u, text)?,
        response: maybe(u, answer)?,
    })
}

fn bucket(u: &mut Unstructured<'_>) -> Result<buckets::Bucket> {
    Ok(buckets::Bucket { name: text(u)?, created: time(u)?, region: maybe(u, text)? })
}

fn output(u: &mut Unstructured<'_>) -> Result<sans_io::Output> {
    use sans_io::Output;
    let digest = |u: &mut Unstructured<'_>| Ok(wit::Digest { algorithm: algorithm(u)?, value: Vec::arbitrary(u)? });
    Ok(match u.int_in_range(0..=6)? {
        0 => Output::Get(wit::BlobHead {
            info: info(u)?,
            range: span(u)?,
            body_range: span(u)?,
            digest: maybe(u, digest)?,
        }),
        1 => Output::Put(written(u)?),
        2 => Output::UploadPart(part(u)?),
        3 => Output::Head(info(u)?),
        4 => Output::List(listing::ListPage {
            entries: list(u, entry)?,
            prefixes: list(u, text)?,
            next: maybe(u, text)?,
        }),
        5 => Output::CreateUpload(text(u)?),
        _ => Output::SetTags,
    })
}

fn step(u: &mut Unstructured<'_>) -> Result<sans_io::Next> {
    use sans_io::Method::{Delete, Get, Head, Post, Put};
    use sans_io::{RequestBody, ResponseBody};
    Ok(match u.int_in_range(0..=2)? {
        0 => sans_io::Next::Send(sans_io::Exchange {
            state: Vec::arbitrary(u)?,
            delay: u64::arbitrary(u)?,
            timeout: u64::arbitrary(u)?,
            request: sans_io::Request {
                method: *u.choose(&[Get, Head, Post, Put, Delete])?,
                https: bool::arbitrary(u)?,
                authority: text(u)?,
                path_with_query: text(u)?,
                headers: text(u)?,
            },
            body: if bool::arbitrary(u)? { RequestBody::Caller } else { RequestBody::None },
            response_body: if bool::arbitrary(u)? { ResponseBody::Caller } else { ResponseBody::Buffer(1) },
            fresh_connection: bool::arbitrary(u)?,
            retries: maybe(u, error)?,
        }),
        1 => sans_io::Next::Done(output(u)?),
        _ => sans_io::Next::Failed(error(u)?),
    })
}
