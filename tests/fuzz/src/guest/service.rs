//! A service and a network with arbitrary behaviour, and a clock that moves only on request.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};

use sandbucket_plugin::contract::error::Kind;
use sandbucket_plugin::contract::model::{
    ByteRange, CallOptions, Datetime, Digest, GetOptions, Pair, PutOptions, ReadConditions, Span, WriteCondition,
};
use sandbucket_plugin::http::request::Request;
use sandbucket_plugin::http::response::Head;
use sandbucket_plugin::io::{Body, Clock, Exchange, Transport, Waits};
use sandbucket_plugin::machine::TransportError;
use sandbucket_s3::checksum;
use sandbucket_s3::ops::Store;

/// Maximum number of requests of an operation: more than `max-retries` and all additional lookups.
const MAX_REQUESTS: usize = 2048;

/// A service that takes its responses from the input. After the end of the input, every connection is refused.
pub struct Service<'a, 'b> {
    input: &'a mut Unstructured<'b>,
    now: Rc<Cell<u64>>,
    wall: u64,
    pub requests: usize,
    authorities: Vec<String>,
}

impl<'a, 'b> Service<'a, 'b> {
    pub fn new(input: &'a mut Unstructured<'b>) -> Self {
        let wall = input.choose(&[1_700_000_000, 0, u64::MAX]).copied().unwrap_or_default();
        let authorities = ["s3.test", "demo.s3.test", "s3.eu-west-1.amazonaws.com", "demo.s3.eu-west-1.amazonaws.com"];
        let authorities = authorities.map(str::to_owned).to_vec();
        Service { input, now: Rc::default(), wall, requests: 0, authorities }
    }

    /// Checks a request as it would be sent, and takes its outcome from the input.
    fn outcome(
        &mut self,
        request: &Request,
        waits: Waits,
    ) -> std::result::Result<(Head<'static>, Chunks), TransportError> {
        assert!(waits.deadline > self.now.get(), "a request is sent after its time");
        self.requests += 1;
        assert!(self.requests <= MAX_REQUESTS, "an operation goes on without end");
        assert!(self.authorities.contains(&request.authority), "{}", request.authority);
        let target = request.path_and_query();
        let _: http::uri::PathAndQuery = target.parse().unwrap_or_else(|error| panic!("{target:?}: {error}"));
        for (name, value) in &request.headers {
            http::HeaderName::from_bytes(name.as_bytes()).unwrap_or_else(|_| panic!("the name {name:?}"));
            http::HeaderValue::from_str(value).unwrap_or_else(|_| panic!("{name}: {value:?}"));
        }
        let takes = Duration::from_millis(u64::from(self.input.arbitrary::<u16>().unwrap_or_default()));
        let end = waits.deadline.min(self.now.get().saturating_add(waits.idle.as_nanos() as u64));
        let until = self.now.get() + takes.as_nanos() as u64;
        self.now.set(until.min(end));
        if until > end {
            return Err(error(Kind::Timeout, false));
        }
        let (head, chunks) = response(self.input).unwrap_or_else(|_| Err(refused()))?;
        Ok((head, Chunks { chunks: chunks.into(), now: self.now.clone(), deadline: waits.deadline }))
    }
}

fn error(kind: Kind, not_sent: bool) -> TransportError {
    TransportError { kind, message: "the connection broke".into(), not_sent, retryable: true }
}

fn refused() -> TransportError {
    TransportError { retryable: false, ..error(Kind::Network, true) }
}

/// A response, or a transport error.
pub type Response = std::result::Result<(Head<'static>, Vec<Vec<u8>>), TransportError>;

/// Any response; most are ones that S3 could send.
pub fn response(u: &mut Unstructured<'_>) -> Result<Response> {
    if u.is_empty() || u.ratio(1, 16)? {
        let kind = *u.choose(&[Kind::Network, Kind::Timeout, Kind::Integrity])?;
        return Ok(Err(TransportError { retryable: bool::arbitrary(u)?, ..error(kind, bool::arbitrary(u)?) }));
    }
    const STATUSES: [u16; 16] = [200, 200, 200, 200, 204, 206, 301, 304, 307, 400, 403, 404, 409, 412, 416, 503];
    let status = if u.ratio(1, 8)? { u16::arbitrary(u)? } else { *u.choose(&STATUSES)? };
    let body = match u.int_in_range(0..=3)? {
        0 => Vec::new(),
        1 => Vec::arbitrary(u)?,
        _ => document(u)?.into_bytes(),
    };
    let mut head = Head { status, headers: Vec::new() };
    for _ in 0..u.int_in_range(0..=5)? {
        let (name, value) = header(u)?;
        head.headers.push((name.into(), value.into()));
    }
    if !u.ratio(1, 8)? {
        head.headers.push(("content-length".into(), body.len().to_string().into()));
    }
    let chunks = if body.is_empty() { vec![] } else { vec![body] };
    Ok(Ok((head, chunks)))
}

fn header(u: &mut Unstructured<'_>) -> Result<(String, String)> {
    const FIELDS: [(&str, &str); 18] = [
        ("etag", "\"e\""),
        ("etag", "\"0123456789abcdef0123456789abcdef-2\""),
        ("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("date", "Tue, 14 Nov 2023 22:13:20 GMT"),
        ("date", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("content-range", "bytes 0-4/5"),
        ("content-range", "bytes 1-18446744073709551614/18446744073709551615"),
        ("content-length", "18446744073709551615"),
        ("retry-after", "18446744073709551615"),
        ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ("x-amz-bucket-region", "eu-central-1"),
        ("x-amz-version-id", "v1"),
        ("x-amz-checksum-crc32", "y/Q5Jg=="),
        ("x-amz-checksum-type", "COMPOSITE"),
        ("x-amz-meta-a", "=?UTF-8?Q?=C3=A9?="),
        ("content-encoding", "aws-chunked,gzip"),
        ("location", "http://169.254.169.254/"),
    ];
    let (name, value) = *u.choose(&FIELDS)?;
    let value = if u.ratio(1, 4)? { String::arbitrary(u)? } else { value.to_owned() };
    Ok((name.to_owned(), value))
}

fn document(u: &mut Unstructured<'_>) -> Result<String> {
    const DOCUMENTS: [&str; 11] = [
        "<Error><Code>$</Code><Message>words</Message><Region>eu-central-1</Region></Error>",
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>$</NextContinuationToken><Contents>\
         <Key>$</Key><Size>1</Size><ETag>\"e\"</ETag></Contents><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>\
         </ListBucketResult>",
        "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>$</NextKeyMarker><NextVersionIdMarker>v\
         </NextVersionIdMarker><Version><Key>$</Key><VersionId>v</VersionId><Size>1</Size></Version>\
         </ListVersionsResult>",
        "<DeleteResult><Deleted><Key>k</Key></Deleted><Error><Key>$</Key><Code>InternalError</Code></Error>\
         </DeleteResult>",
        "<Tagging><TagSet><Tag><Key>$</Key><Value>$</Value></Tag></TagSet></Tagging>",
        "<InitiateMultipartUploadResult><UploadId>$</UploadId></InitiateMultipartUploadResult>",
        "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>$</NextPartNumberMarker><Part>\
         <PartNumber>$</PartNumber><ETag>e</ETag><Size>5</Size></Part></ListPartsResult>",
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>$</NextKeyMarker><Upload><Key>$</Key>\
         <UploadId>u</UploadId></Upload></ListMultipartUploadsResult>",
        "<CompleteMultipartUploadResult><ETag>\"$\"</ETag></CompleteMultipartUploadResult>",
        "<CopyObjectResult><ETag>\"$\"</ETag></CopyObjectResult>",
        "<ListAllMyBucketsResult><Buckets><Bucket><Name>$</Name></Bucket></Buckets><ContinuationToken>$</ContinuationToken>\
         </ListAllMyBucketsResult>",
    ];
    const WORDS: [&str; 10] = [
        "k",
        "2",
        "18446744073709551615",
        "SlowDown",
        "RequestTimeTooSkewed",
        "AuthorizationHeaderMalformed",
        "NotImplemented",
        "NoSuchUpload",
        "",
        "PreconditionFailed",
    ];
    let document = *u.choose(&DOCUMENTS)?;
    let word = if u.ratio(1, 3)? { String::arbitrary(u)? } else { (*u.choose(&WORDS)?).to_owned() };
    Ok(document.replace('$', &word))
}

impl Clock for Service<'_, '_> {
    fn now(&self) -> u64 {
        self.now.get()
    }

    fn wall(&self) -> u64 {
        self.wall.saturating_add(self.now.get() / 1_000_000_000)
    }

    fn sleep(&mut self, time: Duration) {
        self.now.set(self.now.get().saturating_add(time.as_nanos() as u64));
    }
}

impl Transport for Service<'_, '_> {
    type Body = Chunks;
    type Exchange = Pending;

    fn send(
        &mut self,
        request: &Request,
        _: &[u8],
        waits: Waits,
    ) -> std::result::Result<(Head<'static>, Chunks), TransportError> {
        self.outcome(request, waits)
    }

    fn begin(&mut self, request: &Request, _: u64, waits: Waits) -> std::result::Result<Pending, TransportError> {
        match self.outcome(request, waits) {
            Err(error) if error.not_sent => Err(error),
            outcome => Ok(Pending(outcome)),
        }
    }
}

/// A request whose outcome is already known.
pub struct Pending(std::result::Result<(Head<'static>, Chunks), TransportError>);

impl Exchange for Pending {
    type Body = Chunks;
    type Sink = ();

    fn sink(&mut self) -> std::result::Result<(), TransportError> {
        Ok(())
    }

    fn response(self, _: u64, _: Waits) -> std::result::Result<(Head<'static>, Chunks), TransportError> {
        self.0
    }
}

/// A response's body.
pub struct Chunks {
    chunks: VecDeque<Vec<u8>>,
    now: Rc<Cell<u64>>,
    deadline: u64,
}

impl Body for Chunks {
    type Stream = Vec<u8>;

    fn into_stream(self) -> std::result::Result<Vec<u8>, TransportError> {
        Ok(self.chunks.into_iter().flatten().collect())
    }

    fn read(&mut self, max: usize) -> std::result::Result<Option<Vec<u8>>, TransportError> {
        assert!(max > 0, "an empty read");
        if self.now.get() >= self.deadline {
            return Err(error(Kind::Timeout, false));
        }
        let Some(mut chunk) = self.chunks.pop_front() else { return Ok(None) };
        if chunk.len() > max {
            self.chunks.push_front(chunk.split_off(max));
        }
        Ok(Some(chunk))
    }

    fn has_excess(&mut self) -> bool {
        !self.chunks.is_empty()
    }

    fn set_deadline(&mut self, deadline: u64) {
        self.deadline = self.deadline.min(deadline);
    }
}

/// The secret key, which no input contains.
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG";

/// Any settings of a store at this service.
pub fn settings(u: &mut Unstructured<'_>) -> Result<Vec<Pair>> {
    let mut settings = vec![("bucket", "demo"), ("region", "eu-west-1")];
    let mut maybe = |name, value| -> Result<()> {
        if bool::arbitrary(u)? {
            settings.push((name, value));
        }
        Ok(())
    };
    maybe("endpoint", "https://s3.test")?;
    maybe("access-key", "AKIDEXAMPLE")?;
    maybe("key-prefix", "t/")?;
    maybe("verify-after-write", "true")?;
    maybe("payload-signing", "signed")?;
    maybe("addressing-style", "path")?;
    maybe("sse-customer-key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")?;
    maybe("storage-class", "STANDARD_IA")?;
    if settings.iter().any(|(name, _)| *name == "access-key") {
        settings.push(("secret-key", SECRET_KEY));
    }
    settings.push(("checksum", *u.choose(&["none", "crc64nvme", "crc32", "sha256", "md5"])?));
    settings.push(("max-retries", *u.choose(&["0", "3", "100"])?));
    Ok(settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// A store with any settings, if they are consistent.
pub fn store(u: &mut Unstructured<'_>) -> Result<Option<Store>> {
    let settings = settings(u)?;
    Ok(Store::open(&settings, u64::arbitrary(u)?).ok())
}

pub fn key(u: &mut Unstructured<'_>) -> Result<String> {
    const KEYS: [&str; 6] = ["k", "a/b", "..", "a b+%2F", "é\u{0}\n", "k?x=y#z"];
    Ok(if u.ratio(1, 3)? { String::arbitrary(u)? } else { (*u.choose(&KEYS)?).to_owned() })
}

pub fn call(u: &mut Unstructured<'_>, names: &[&str]) -> Result<CallOptions> {
    let mut attributes = Vec::new();
    for _ in 0..u.int_in_range(0..=2)? {
        let name = (*u.choose(names)?).to_owned();
        const VALUES: [&str; 5] = ["true", "y/Q5Jg==", "a=1&b=2", "STANDARD", ""];
        let value = if u.ratio(1, 3)? { String::arbitrary(u)? } else { (*u.choose(&VALUES)?).to_owned() };
        attributes.push((name, value));
    }
    let time_limit = *u.choose(&[None, Some(0), Some(1_000_000_000), Some(u64::MAX)])?;
    let max_retries = *u.choose(&[None, Some(0), Some(1), Some(u32::MAX)])?;
    Ok(CallOptions { time_limit, max_retries, attributes })
}

pub fn conditions(u: &mut Unstructured<'_>) -> Result<ReadConditions> {
    if !u.ratio(1, 4)? {
        return Ok(ReadConditions::default());
    }
    let (if_match, if_none_match) = Arbitrary::arbitrary(u)?;
    let mut time = || -> Result<_> {
        let time: Option<(u64, u32)> = Arbitrary::arbitrary(u)?;
        Ok(time.map(|(seconds, nanoseconds)| Datetime { seconds, nanoseconds }))
    };
    Ok(ReadConditions { if_match, if_none_match, if_modified_since: time()?, if_unmodified_since: time()? })
}

pub fn condition(u: &mut Unstructured<'_>) -> Result<WriteCondition> {
    Ok(match u.int_in_range(0..=3)? {
        0 => WriteCondition::IfAbsent,
        1 => WriteCondition::IfMatch(String::arbitrary(u)?),
        _ => WriteCondition::Always,
    })
}

pub fn range(u: &mut Unstructured<'_>) -> Result<ByteRange> {
    Ok(match u.int_in_range(0..=5)? {
        0 => ByteRange::From(u64::arbitrary(u)?),
        1 => ByteRange::Last(u64::arbitrary(u)?),
        2 => ByteRange::Within(Span { start: u64::arbitrary(u)?, end: u64::arbitrary(u)? }),
        3 => ByteRange::Within(Span { start: 0, end: 5 }),
        _ => ByteRange::Whole,
    })
}

pub fn read_options(u: &mut Unstructured<'_>, names: &[&str]) -> Result<GetOptions> {
    Ok(GetOptions {
        range: range(u)?,
        conditions: conditions(u)?,
        version: if u.ratio(1, 4)? { Arbitrary::arbitrary(u)? } else { None },
        max_bytes: Arbitrary::arbitrary(u)?,
        call: call(u, names)?,
    })
}

pub fn digests(u: &mut Unstructured<'_>) -> Result<Vec<Digest>> {
    let one = |u: &mut Unstructured<'_>| {
        let algorithm = *u.choose(&checksum::STORED)?;
        let length = if u.ratio(1, 8)? { u.int_in_range(0..=40)? } else { algorithm.length() };
        Ok(Digest { algorithm, value: vec![7; length] })
    };
    (0..u.int_in_range(0..=2)?).map(|_| one(u)).collect()
}

pub fn write_options(u: &mut Unstructured<'_>, names: &[&str]) -> Result<PutOptions> {
    let mut metadata = Vec::new();
    for _ in 0..u.int_in_range(0..=2)? {
        metadata.push((String::arbitrary(u)?, String::arbitrary(u)?));
    }
    Ok(PutOptions {
        content_type: if u.ratio(1, 4)? { Arbitrary::arbitrary(u)? } else { None },
        metadata,
        condition: condition(u)?,
        digests: digests(u)?,
        call: call(u, names)?,
    })
}
