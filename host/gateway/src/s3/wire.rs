//! What s3s writes otherwise than S3.

use bytes::Bytes;
use http::{Response, StatusCode, header};

use crate::record::Record;

/// Maximum size of a document that is corrected: it has a few fields.
const MAX_DOCUMENT: usize = 64 << 10;

/// Corrects a response: `GetObjectAttributes` alone has an entity tag without quotes.
pub(crate) fn corrected(record: &Record, response: Response<s3s::Body>) -> Response<s3s::Body> {
    let is_attributes = record.operation() == Some("GetObjectAttributes") && response.status() == StatusCode::OK;
    if !is_attributes || response.body().bytes().is_none_or(|document| document.len() > MAX_DOCUMENT) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let document = without_quotes(&body.bytes().unwrap_or_default());
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, s3s::Body::from(document))
}

/// The document with the entity tag's quotes removed.
fn without_quotes(document: &[u8]) -> Bytes {
    let text = String::from_utf8_lossy(document);
    let inner = text.split_once("<ETag>").and_then(|(before, rest)| Some((before, rest.split_once("</ETag>")?)));
    let Some((before, (etag, after))) = inner else { return Bytes::copy_from_slice(document) };
    let bare = ["&quot;", "&#34;", "\""].iter().find_map(|quote| etag.strip_prefix(quote)?.strip_suffix(quote));
    Bytes::from(format!("{before}<ETag>{}</ETag>{after}", bare.unwrap_or(etag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tag_of_a_document_has_no_quotes() {
        for (etag, bare) in [("\"a-2\"", "a-2"), ("&quot;a&quot;", "a"), ("a", "a"), ("W/\"a\"", "W/\"a\"")] {
            let document = format!("<?xml?><R><ETag>{etag}</ETag><ObjectSize>3</ObjectSize></R>");
            let expected = format!("<?xml?><R><ETag>{bare}</ETag><ObjectSize>3</ObjectSize></R>");
            assert_eq!(without_quotes(document.as_bytes()), expected);
        }
        for other in ["<R></R>", "<R><ETag>x</R>", ""] {
            assert_eq!(without_quotes(other.as_bytes()), other);
        }
    }
}
