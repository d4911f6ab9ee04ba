//! Bodies of writes: verified against the client's checksums while they are streamed.
//!
//! [`VerifiedBody`] holds the last chunk back until the checksums match, so that a body that does not match is never complete
//! at the service: neither with a checksum in the header nor with one in the trailer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, StatusCode};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};

use super::custom;
use crate::server::IDLE_BODY;

/// What a client declares about a body.
#[derive(Default)]
pub(super) struct Declared {
    pub md5: Option<String>,
    pub checksum: Checksum,
    /// The algorithm of the checksum that the gateway computes if the client gives none, or gives it in the trailer.
    pub algorithm: Option<String>,
    pub trailers: Option<TrailingHeaders>,
}

/// Collects what an operation's input declares.
macro_rules! declared {
    ($request:expr) => {{
        let input = &$request.input;
        $crate::s3::body::Declared {
            md5: input.content_md5.clone(),
            checksum: s3s::dto::Checksum {
                checksum_crc32: input.checksum_crc32.clone(),
                checksum_crc32c: input.checksum_crc32c.clone(),
                checksum_crc64nvme: input.checksum_crc64nvme.clone(),
                checksum_sha1: input.checksum_sha1.clone(),
                checksum_sha256: input.checksum_sha256.clone(),
                ..Default::default()
            },
            algorithm: $crate::s3::body::announced(&$request.headers, input.checksum_algorithm.as_ref()),
            trailers: $request.trailing_headers.clone(),
        }
    }};
}
pub(super) use declared;

/// The algorithm that the headers announce: of the trailer, or by name.
pub(super) fn announced(headers: &HeaderMap, algorithm: Option<&s3s::dto::ChecksumAlgorithm>) -> Option<String> {
    let trailer = headers.get("x-amz-trailer").and_then(|value| value.to_str().ok());
    let mut trailer = trailer.into_iter().flat_map(|value| value.split(','));
    let named = trailer.find_map(|name| name.trim().strip_prefix("x-amz-checksum-").map(str::to_ascii_lowercase));
    named.or_else(|| algorithm.map(|algorithm| algorithm.as_str().to_ascii_lowercase()))
}

/// Checks the syntax of `Content-MD5`.
pub(super) fn check_md5(headers: &HeaderMap) -> S3Result<()> {
    let Some(value) = headers.get("content-md5") else { return Ok(()) };
    let digest = value.to_str().ok().and_then(|text| Base64::decode_vec(text.trim()).ok());
    match digest {
        Some(digest) if digest.len() == 16 => Ok(()),
        _ => Err(s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid.")),
    }
}

/// A body that could not be read to its verified end.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body does not match its Content-MD5 or checksum")]
    Digest,
    #[error("a checksum in the header or trailer is malformed")]
    Malformed,
    #[error("the client's body: {0}")]
    Read(String),
}

impl BodyError {
    /// The error for the client.
    pub(super) fn to_s3(&self) -> S3Error {
        match self {
            BodyError::Digest => s3_error!(
                BadDigest,
                "The Content-MD5 or checksum value that you specified did not match what the server received."
            ),
            BodyError::Malformed => {
                s3_error!(InvalidRequest, "Value for x-amz-checksum header or trailer is invalid.")
            }
            // s3s does not export the types of these errors.
            BodyError::Read(text) if text.contains("Sha256Mismatch") => {
                let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
                custom("XAmzContentSHA256Mismatch", StatusCode::BAD_REQUEST, message)
            }
            BodyError::Read(text) if text.contains("SignatureMismatch") => s3_error!(
                SignatureDoesNotMatch,
                "The request signature we calculated does not match the signature you provided."
            ),
            BodyError::Read(text) if text.contains(IDLE_BODY) => s3_error!(
                RequestTimeout,
                "Your socket connection to the server was not read from or written to within the timeout period."
            ),
            BodyError::Read(text) if text.contains("aws-chunked") => {
                s3_error!(InvalidRequest, "The chunked body is malformed, or a signed chunk is larger than 1 MiB.")
            }
            BodyError::Read(_) => s3_error!(
                IncompleteBody,
                "You did not provide the number of bytes specified by the Content-Length HTTP header"
            ),
        }
    }
}

/// The outcome of reading a body, shared with the operation that sends it.
#[derive(Clone, Default)]
pub(super) struct Outcome(Arc<Mutex<Option<Result<Checksum, BodyError>>>>);

impl Outcome {
    fn set(&self, outcome: Result<Checksum, BodyError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    fn get(&self) -> Option<Result<Checksum, BodyError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The verified checksums.
    pub(super) fn checksum(&self) -> Checksum {
        self.get().and_then(Result::ok).unwrap_or_default()
    }

    /// The error of the body, if that is why a write failed.
    pub(super) fn error(&self) -> Option<S3Error> {
        self.get().and_then(Result::err).map(|error| error.to_s3())
    }
}

/// A client's body as a stream.
pub(super) struct VerifiedBody {
    body: StreamingBlob,
    hasher: ChecksumHasher,
    md5: Option<Md5>,
    declared: Declared,
    /// The chunk that is passed on once another one or the verified end follows.
    held: Option<Bytes>,
    ended: bool,
    outcome: Outcome,
}

impl VerifiedBody {
    pub(super) fn new(body: Option<StreamingBlob>, declared: Declared) -> (VerifiedBody, Outcome) {
        let outcome = Outcome::default();
        let sum = &declared.checksum;
        let wants = |name: &str, given: bool| given || declared.algorithm.as_deref() == Some(name);
        let hasher = ChecksumHasher {
            crc32: wants("crc32", sum.checksum_crc32.is_some()).then(Crc32::new),
            crc32c: wants("crc32c", sum.checksum_crc32c.is_some()).then(Crc32c::new),
            sha1: wants("sha1", sum.checksum_sha1.is_some()).then(Sha1::new),
            sha256: wants("sha256", sum.checksum_sha256.is_some()).then(Sha256::new),
            crc64nvme: wants("crc64nvme", sum.checksum_crc64nvme.is_some()).then(Crc64Nvme::new),
        };
        let body = body.unwrap_or_else(|| s3s::Body::empty().into());
        let md5 = declared.md5.is_some().then(Md5::new);
        (VerifiedBody { body, hasher, md5, declared, held: None, ended: false, outcome: outcome.clone() }, outcome)
    }

    /// Reads all of it, which must have this length.
    pub(super) async fn collect(mut self, length: u64) -> S3Result<Vec<Bytes>> {
        use futures::StreamExt as _;
        let (mut pieces, mut received) = (Vec::new(), 0);
        while let Some(piece) = self.next().await {
            let piece = piece.map_err(|error| error.to_s3())?;
            received += piece.len() as u64;
            if received > length {
                break;
            }
            pieces.push(piece);
        }
        if received != length {
            return Err(BodyError::Read("its length differs".to_owned()).to_s3());
        }
        Ok(pieces)
    }

    /// Compares all digests at the end of the body.
    fn verify(&mut self) -> Result<Checksum, BodyError> {
        let Declared { md5, checksum: mut expected, trailers, .. } = std::mem::take(&mut self.declared);
        if let Some(trailers) = trailers {
            trailers.read(|trailers| add_trailers(&mut expected, trailers)).unwrap_or(Ok(()))?;
        }
        if let (Some(hasher), Some(expected)) = (self.md5.take(), md5)
            && Base64::encode_string(&hasher.finalize()) != expected.trim()
        {
            return Err(BodyError::Digest);
        }
        let found = std::mem::take(&mut self.hasher).finalize();
        let pairs = [
            (&expected.checksum_crc32, &found.checksum_crc32),
            (&expected.checksum_crc32c, &found.checksum_crc32c),
            (&expected.checksum_crc64nvme, &found.checksum_crc64nvme),
            (&expected.checksum_sha1, &found.checksum_sha1),
            (&expected.checksum_sha256, &found.checksum_sha256),
        ];
        for (expected, found) in pairs {
            match (expected, found) {
                (Some(expected), Some(found)) if expected == found => {}
                (None, _) => {}
                // A trailer that was not announced.
                (Some(_), None) => return Err(BodyError::Malformed),
                (Some(_), Some(_)) => return Err(BodyError::Digest),
            }
        }
        Ok(found)
    }

    fn fail(&mut self, error: BodyError) -> Poll<Option<Result<Bytes, BodyError>>> {
        (self.ended, self.held) = (true, None);
        self.outcome.set(Err(error.clone()));
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for VerifiedBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    self.hasher.update(&piece);
                    if let Some(md5) = &mut self.md5 {
                        md5.update(&piece);
                    }
                    if let Some(before) = self.held.replace(piece) {
                        return Poll::Ready(Some(Ok(before)));
                    }
                }
                Some(Err(error)) => return self.fail(BodyError::Read(error.to_string())),
                None => match self.verify() {
                    Ok(found) => {
                        self.ended = true;
                        self.outcome.set(Ok(found));
                        return Poll::Ready(self.held.take().map(Ok));
                    }
                    Err(error) => return self.fail(error),
                },
            }
        }
    }
}

/// Adds the checksums of the trailer to those of the header.
fn add_trailers(expected: &mut Checksum, trailers: &HeaderMap) -> Result<(), BodyError> {
    for (name, slot) in [
        ("x-amz-checksum-crc32", &mut expected.checksum_crc32),
        ("x-amz-checksum-crc32c", &mut expected.checksum_crc32c),
        ("x-amz-checksum-crc64nvme", &mut expected.checksum_crc64nvme),
        ("x-amz-checksum-sha1", &mut expected.checksum_sha1),
        ("x-amz-checksum-sha256", &mut expected.checksum_sha256),
    ] {
        if let Some(value) = trailers.get(name) {
            let value = value.to_str().map_err(|_| BodyError::Malformed)?;
            *slot = Some(value.trim().to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;

    fn body(pieces: &[&'static str]) -> Option<StreamingBlob> {
        let pieces: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece.as_bytes()))).collect();
        Some(StreamingBlob::wrap(futures::stream::iter(pieces)))
    }

    fn crc32(text: &str) -> String {
        Base64::encode_string(&Crc32::checksum(text.as_bytes()))
    }

    fn declared(sum: &str) -> Declared {
        let checksum = Checksum { checksum_crc32: Some(sum.to_owned()), ..Checksum::default() };
        Declared { checksum, ..Declared::default() }
    }

    #[tokio::test]
    async fn last_chunk_is_held_back_until_the_checksum_matches() {
        let (good, outcome) = VerifiedBody::new(body(&["ab", "", "cd"]), declared(&crc32("abcd")));
        assert_eq!(good.collect(4).await.unwrap().concat(), b"abcd");
        assert_eq!(outcome.checksum().checksum_crc32, Some(crc32("abcd")));

        let (mut bad, outcome) = VerifiedBody::new(body(&["ab", "cd"]), declared(&crc32("abcx")));
        assert_eq!(bad.next().await.unwrap().unwrap(), "ab");
        assert!(matches!(bad.next().await, Some(Err(BodyError::Digest))));
        assert!(bad.next().await.is_none());
        assert_eq!(outcome.error().unwrap().code().as_str(), "BadDigest");
    }

    #[tokio::test]
    async fn announced_algorithm_is_computed_and_md5_is_compared() {
        let of = Declared { algorithm: Some("crc32".to_owned()), ..Declared::default() };
        let (all, outcome) = VerifiedBody::new(body(&["abcd"]), of);
        all.collect(4).await.unwrap();
        assert_eq!(outcome.checksum().checksum_crc32, Some(crc32("abcd")));
        let md5 = |text: &str| Some(Base64::encode_string(&Md5::checksum(text.as_bytes())));
        for (text, fits) in [("abcd", true), ("abcx", false)] {
            let (all, _) = VerifiedBody::new(body(&["abcd"]), Declared { md5: md5(text), ..Declared::default() });
            assert_eq!(all.collect(4).await.is_ok(), fits);
        }
        let (short, _) = VerifiedBody::new(body(&["abcd"]), Declared::default());
        assert_eq!(short.collect(5).await.unwrap_err().code().as_str(), "IncompleteBody");
        let (empty, outcome) = VerifiedBody::new(None, declared(&crc32("")));
        assert!(empty.collect(0).await.unwrap().is_empty());
        assert!(outcome.error().is_none());
    }
}
