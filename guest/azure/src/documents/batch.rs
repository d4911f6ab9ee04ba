//! Responses to batches: `multipart/mixed`, whose parts are HTTP responses.

use std::borrow::Cow;

use sandbucket_plugin::http::bounds;
use sandbucket_plugin::http::response::{Head, MalformedResponse, decimal};

use crate::requests::MAX_BATCH;

/// Maximum length of a boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// A response in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Index of its request. None if the response is about the batch as a whole.
    pub index: Option<usize>,
    /// Status and header.
    pub head: Head<'a>,
    /// Body.
    pub body: &'a str,
}

/// Parses the parts of a response with this header.
pub fn parts<'a>(head: &Head<'_>, text: &'a str) -> Result<Vec<Part<'a>>, MalformedResponse> {
    let delimiter = format!("--{}", boundary(head)?);
    let mut parts = Vec::new();
    // What is before the first delimiter and after the last is no part.
    let mut pieces = text.split(delimiter.as_str()).skip(1);
    loop {
        let Some(piece) = pieces.next() else {
            return Err(MalformedResponse("its batch is cut off".into()));
        };
        if piece.starts_with("--") {
            return Ok(parts);
        }
        bounds::count("response", parts.len() + 1, MAX_BATCH)?;
        parts.push(
            part(piece).ok_or_else(|| MalformedResponse("its batch has a part that is no HTTP response".into()))?,
        );
    }
}

fn boundary<'h>(head: &'h Head<'_>) -> Result<&'h str, MalformedResponse> {
    let content_type = head.get("content-type").unwrap_or_default();
    let parameter = content_type.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("boundary="));
    parameter
        .map(|boundary| boundary.trim_matches('"'))
        .filter(|boundary| (1..=MAX_BOUNDARY).contains(&boundary.len()))
        .ok_or_else(|| MalformedResponse("its content-type is not multipart with a boundary".into()))
}

fn part(piece: &str) -> Option<Part<'_>> {
    let (fields, response) = split(line_end(piece)?)?;
    let index = headers(fields).into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-id"));
    let index = index.and_then(|(_, id)| decimal(&id)).and_then(|id| usize::try_from(id).ok());
    let (fields, body) = split(response)?;
    let (status, fields) = fields.split_once('\n').unwrap_or((fields, ""));
    let status = status.strip_prefix("HTTP/1.1 ")?.get(..3).and_then(decimal)?;
    Some(Part {
        index,
        head: Head { status: u16::try_from(status).ok()?, headers: headers(fields) },
        body: body.trim(),
    })
}

/// The text after a line's end.
fn line_end(text: &str) -> Option<&str> {
    text.strip_prefix("\r\n").or_else(|| text.strip_prefix('\n'))
}

/// Splits header fields, if there are any, and what follows the empty line.
fn split(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = line_end(text) {
        return Some(("", rest));
    }
    text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n"))
}

fn headers(fields: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let pairs = fields.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.trim().into(), value.trim().into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(content_type: &str) -> Head<'static> {
        Head { status: 202, headers: vec![("content-type".into(), content_type.to_owned().into())] }
    }

    /// The example of Azure's documentation, shorter.
    const BATCH: &str = "--batchresponse_66925647\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nHTTP/1.1 202 Accepted\r\n\
                         x-ms-request-id: r-0\r\n\r\n\r\n--batchresponse_66925647\r\nContent-Type: application/http\r\n\
                         Content-ID: 2\r\n\r\nHTTP/1.1 404 The specified blob does not exist.\r\nx-ms-error-code: BlobNotFound\r\n\
                         Content-Length: 216\r\n\r\n<Error><Code>BlobNotFound</Code></Error>\r\n\
                         --batchresponse_66925647--\r\n0";

    #[test]
    fn parts_have_index_status_header_and_body() {
        let parts = parts(&head("multipart/mixed; boundary=batchresponse_66925647"), BATCH).unwrap();
        let seen: Vec<_> = parts.iter().map(|part| (part.index, part.head.status, part.body)).collect();
        assert_eq!(seen, [(Some(0), 202, ""), (Some(2), 404, "<Error><Code>BlobNotFound</Code></Error>")]);
        assert_eq!(parts[1].head.get("x-ms-error-code"), Some("BlobNotFound"));
    }

    #[test]
    fn truncated_or_foreign_batch_is_malformed() {
        let kind = head("multipart/mixed; boundary=batchresponse_66925647");
        let last = BATCH.rfind("--batchresponse").unwrap();
        for end in 0..last {
            assert!(parts(&kind, &BATCH[..end]).is_err(), "{end}");
        }
        for other in
            ["application/xml", "multipart/mixed", "multipart/mixed; boundary=", "multipart/mixed; boundary=other"]
        {
            assert!(parts(&head(other), BATCH).is_err(), "{other}");
        }
        let many = "--b\r\nA: b\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n".repeat(MAX_BATCH + 1) + "--b--";
        assert!(parts(&head("multipart/mixed; boundary=b"), &many).is_err());
    }

    proptest::proptest! {
        #[test]
        fn random_batches_never_panic(text in "[-\\r\\nabA-Z:0-9 /.<>]{0,200}|\\PC{0,60}", boundary in "[a-b-]{0,3}") {
            let _ = parts(&head(&format!("multipart/mixed; boundary={boundary}")), &text);
        }
    }
}
