//! Status, header and body of a response, through every parser of responses.
//!
//! The input's first line has the status, and the kind and numbers of the requested range; then one header field per line;
//! after a blank line the body.

use sandbucket_plugin::content;
use sandbucket_plugin::contract::model::{
    BlobInfo, ByteRange, GetOptions, HeadOptions, Operation, Output, PartOptions, PutOptions, Span,
};
use sandbucket_plugin::http::encoded_words;
use sandbucket_plugin::http::headers::parse_lines;
use sandbucket_plugin::http::request::Method;
use sandbucket_plugin::http::response::Head;
use sandbucket_plugin::machine::{Event, Next, Response};
use sandbucket_s3::ops::{Store, retry};
use sandbucket_s3::response;
use sandbucket_s3::service_error;

use crate::text;

/// A response to a request for a range.
pub fn guest_responses(data: &[u8]) {
    let (head, body) = text::head_and_body(data);
    let (first, lines) = head.split_once('\n').unwrap_or((&head, ""));
    let mut numbers = text::numbers(first);
    let status = numbers.next().unwrap_or(200) as u16;
    let (start, end) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let range = match first {
        first if first.contains("from") => ByteRange::From(start),
        first if first.contains("within") => ByteRange::Within(Span { start, end }),
        first if first.contains("last") => ByteRange::Last(start),
        _ => ByteRange::Whole,
    };
    let head = Head { status, headers: parse_lines(lines) };
    read(&head, body, range);
    resumed(&head, range);
}

fn read(head: &Head<'_>, body: &[u8], range: ByteRange) {
    let _ = (head.check_size(), head.date(), response::version(head));
    let _ = response::attributes(head);
    if let Ok(written) = response::written(head) {
        assert!(written.etag.is_none_or(|etag| !etag.is_empty()));
    }
    if let Ok(info) = response::blob_info(head) {
        has_size_of(&info, head);
    }
    if let Ok((info, span)) = response::blob_part(head, range) {
        assert!(span.start <= span.end && span.end <= info.size, "{span:?} of {}", info.size);
        if let Some(digest) = response::checksum_of(head, span, info.size) {
            let _ = content::verify(&digest, body);
        }
    }
    let error = service_error::parse(head, body, "us-east-1");
    for word in [&error.code, &error.message, &error.request_id, &error.region].into_iter().flatten() {
        assert!(!word.chars().any(char::is_control), "{word:?}");
        assert!(word.len() <= 2048, "{}", word.len());
    }
    for method in [Method::Get, Method::Head, Method::Put] {
        let _ = service_error::classify(method, head, &error, false);
        let _ = service_error::classify(method, head, &error, true);
    }
    let _ = retry::decide(head, &error, 1_700_000_000, true);
    for (_, value) in &head.headers {
        let decoded = encoded_words::decode(value);
        assert_eq!(encoded_words::decode(&encoded_words::encode(&decoded)), decoded);
    }
}

/// A successful operation has its own type of output.
fn resumed(head: &Head<'_>, range: ByteRange) {
    let settings = [("bucket", "demo"), ("endpoint", "http://s3.test")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    let Ok(mut store) = Store::open(&settings, 1) else { return };
    let (key, upload) = ("k".to_owned(), "u".to_owned());
    for operation in [
        Operation::Head { key: key.clone(), options: HeadOptions::default() },
        Operation::Get { key: key.clone(), options: GetOptions { range, ..GetOptions::default() } },
        Operation::Put { key: key.clone(), length: 0, options: PutOptions::default() },
        Operation::UploadPart { key, upload, number: 7, length: 0, options: PartOptions::default() },
    ] {
        let Next::Send(exchange) = store.begin(1_700_000_000, operation.clone()) else { return };
        let event = Event::Response(Response { head: head.clone(), body: &[], truncated: false });
        let Next::Done(output) = store.resume(1_700_000_000, exchange.state, 0, event) else { continue };
        super::operations::fits(&output, &operation);
        match output {
            Output::Head(info) => has_size_of(&info, head),
            Output::Put(written) => assert!(written.etag.is_none_or(|etag| !etag.is_empty())),
            _ => {}
        }
    }
}

/// The size of a blob is what the response to its HEAD says.
fn has_size_of(info: &BlobInfo, head: &Head<'_>) {
    let length = head.content_length().expect("a valid length, or no output");
    match info.attributes.iter().find(|(name, _)| name == response::PART_RANGE) {
        // Of a part: its length is given, and the blob is at least as long.
        Some(_) => assert!(length.is_none_or(|length| length <= info.size), "{length:?} of {}", info.size),
        // Without `content-length` the size is unknown.
        None => assert_eq!(info.size, length.unwrap_or(u64::MAX)),
    }
}
