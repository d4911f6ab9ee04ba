//! Verification of bodies against the request's digests while they are streamed: a mismatch is an error before anything is
//! replaced.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Error, S3Result, StdError, s3_error};

/// The digests that the sender declares.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub md5: Option<String>,
    pub checksum: Checksum,
}

/// Extracts the declared digests from an operation's input.
macro_rules! expected_of {
    ($input:expr) => {
        $crate::digests::Expected {
            md5: $input.content_md5.clone(),
            checksum: s3s::dto::Checksum {
                checksum_crc32: $input.checksum_crc32.clone(),
                checksum_crc32c: $input.checksum_crc32c.clone(),
                checksum_crc64nvme: $input.checksum_crc64nvme.clone(),
                checksum_sha1: $input.checksum_sha1.clone(),
                checksum_sha256: $input.checksum_sha256.clone(),
                ..Default::default()
            },
        }
    };
}
pub(super) use expected_of;

/// The computed digests of a body.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    /// Its MD5 in hex.
    pub md5: String,
    /// Whether it differs from the declared ones.
    pub bad: bool,
}

/// Receives the digests of a body after it was streamed.
#[derive(Debug, Default)]
pub(super) struct Found(Arc<Mutex<Sum>>);

impl Found {
    pub(crate) fn get(&self) -> Sum {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The error to report if writing the body failed.
    pub(crate) fn explain(&self, error: S3Error) -> S3Error {
        if self.get().bad { bad_digest() } else { error }
    }
}

pub(super) fn bad_digest() -> S3Error {
    s3_error!(BadDigest, "The Content-MD5 or checksum value that you specified did not match what the server received.")
}

/// Wraps a body: verifies it, and stores its digests once it was streamed.
pub(super) fn verified(body: Option<StreamingBlob>, expected: Expected) -> (StreamingBlob, Found) {
    let Expected { md5, checksum } = expected;
    let found = Found::default();
    let slot = found.0.clone();
    let mut hasher = ChecksumHasher {
        crc32: checksum.checksum_crc32.is_some().then(Default::default),
        crc32c: checksum.checksum_crc32c.is_some().then(Default::default),
        sha1: checksum.checksum_sha1.is_some().then(Default::default),
        sha256: checksum.checksum_sha256.is_some().then(Default::default),
        crc64nvme: checksum.checksum_crc64nvme.is_some().then(Default::default),
    };
    let mut sum = Md5::new();
    let body: std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, StdError>> + Send + Sync>> = match body {
        Some(body) => Box::pin(body),
        None => Box::pin(futures::stream::empty()),
    };
    // A last item: nothing, or the error.
    let pieces = body.map_ok(Some).chain(futures::stream::once(async { Ok(None) }));
    let pieces = pieces.map(move |piece| {
        let Some(piece) = piece.map_err(io::Error::other)? else {
            let digest = std::mem::take(&mut sum).finalize();
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.md5 = hex(&digest);
            let made = std::mem::take(&mut hasher).finalize();
            slot.bad = made != checksum || md5.as_ref().is_some_and(|md5| *md5 != base64(&digest));
            return if slot.bad { Err(io::Error::other("not what its digest says")) } else { Ok(Bytes::new()) };
        };
        sum.update(&piece);
        hasher.update(&piece);
        Ok(piece)
    });
    (StreamingBlob::wrap(pieces), found)
}

/// Writes the body to a file, and returns its MD5 in hex and its length. Each chunk is also passed to `watch`.
pub(super) async fn write(
    body: Option<StreamingBlob>,
    expected: Expected,
    file: &std::fs::File,
    mut watch: impl FnMut(&Bytes),
) -> S3Result<(String, u64)> {
    use std::io::Write as _;
    let (mut body, found) = verified(body, expected);
    let (mut file, mut size) = (file, 0);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| found.explain(S3Error::internal_error(io::Error::other(error))))?;
        size += piece.len() as u64;
        watch(&piece);
        file.write_all(&piece).map_err(S3Error::internal_error)?;
    }
    Ok((found.get().md5, size))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// In the 64 characters of RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    <base64ct::Base64 as base64ct::Encoding>::encode_string(bytes)
}
