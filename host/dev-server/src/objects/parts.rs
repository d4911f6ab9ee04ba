//! Multipart operations.

use std::io::{self, Read as _};
use std::sync::Arc;

use bytes::Bytes;
use s3s::dto::*;
use s3s::{S3Response, S3Result, s3_error};

use super::blobs::Incoming;
use super::copies::{source_conditions_of, unmet};
use super::{DEFAULT_TYPE, Objects, internal, metadata_fits};
use crate::conditions::ReadConditions;
use crate::digests::{Expected, expected_of};
use crate::extras::extras_of;
use crate::storage;
use crate::stored::properties_of;
use crate::uploads::Folder;

/// Read size of a part's file.
const CHUNK: usize = 256 * 1024;

impl Objects {
    pub(super) fn begin_upload(
        &self,
        mut input: CreateMultipartUploadInput,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.bucket(&input.bucket)?;
        metadata_fits(input.metadata.as_ref())?;
        input.content_type.get_or_insert_with(|| DEFAULT_TYPE.to_owned());
        let extras = extras_of!(input);
        let (bucket, key) = (Some(input.bucket.clone()), Some(input.key.clone()));
        let upload_id = self.uploads.begin(input, extras).map_err(internal)?;
        let output = CreateMultipartUploadOutput { bucket, key, upload_id: Some(upload_id), ..Default::default() };
        Ok(S3Response::new(output))
    }

    pub(super) async fn take_part(&self, mut input: UploadPartInput) -> S3Result<S3Response<UploadPartOutput>> {
        let expected = expected_of!(input);
        let checksum = expected.checksum.clone();
        let which = (input.bucket.as_str(), input.key.as_str(), input.upload_id.as_str());
        let tag = self
            .uploads
            .take(which, input.part_number, input.body.take(), expected, input.sse_customer_key_md5.as_ref())
            .await?;
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(tag),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            ..Default::default()
        }))
    }

    pub(super) async fn copy_part(&self, mut input: UploadPartCopyInput) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let (bucket, name) = self.source(&input.copy_source)?;
        let _guard = self.locks.read(&bucket, &name).await;
        let found = self.look(&bucket, &name)?;
        self.extras(&bucket, &name).opens_for(input.copy_source_sse_customer_key_md5.as_ref())?;
        let conditions = source_conditions_of!(input);
        conditions.check(Some(&found.e_tag), Some(&found.modified)).map_err(unmet)?;
        let size = found.size;
        let (start, end) = match input.copy_source_range.as_deref() {
            Some(range) => stretch(range, size)?,
            None => (0, size),
        };
        let last_modified = Some(found.modified.clone());
        let body = Some(found.body(start, end - start).map_err(internal)?);
        let which = (input.bucket.as_str(), input.key.as_str(), input.upload_id.as_str());
        let key = input.sse_customer_key_md5.as_ref();
        let tag = self.uploads.take(which, input.part_number, body, Expected::default(), key).await?;
        let result = CopyPartResult { e_tag: Some(tag), last_modified, ..Default::default() };
        Ok(S3Response::new(UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() }))
    }

    pub(super) async fn complete_upload(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let (bucket, key) = (input.bucket, input.key);
        let which = (bucket.as_str(), key.as_str(), input.upload_id.as_str());
        let name = self.keys.name_for_writing(&key).map_err(internal)?;
        let _guard = self.locks.write(&bucket, &name).await;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let completed = |e_tag| {
            let (bucket, key) = (Some(bucket.clone()), Some(key.clone()));
            S3Response::new(CompleteMultipartUploadOutput { e_tag, bucket, key, ..Default::default() })
        };
        // A client that did not get the response to the first one.
        if let Some(tag) = self.uploads.completed_etag(which) {
            return Ok(completed(Some(tag)));
        }
        let made = self.uploads.assemble(which, &parts)?;
        self.may_write(&bucket, &name, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let mut begun = made.begun;
        // This checksum covers the whole blob; composite checksums of parts are not kept.
        let of_all = ChecksumAlgorithm::from_static(ChecksumAlgorithm::CRC64NVME);
        let pieces = Pieces { folder: made.folder, names: made.files.into_iter(), file: None };
        let body = Incoming {
            body: Some(StreamingBlob::wrap(futures::stream::iter(pieces))),
            algorithm: begun.checksum_algorithm.take().filter(|algorithm| *algorithm == of_all),
            modified: self.initiation_dates.then_some(made.initiated),
            ..Incoming::default()
        };
        self.write(&bucket, &name, body, &properties_of!(begun)).await?;
        self.keep(&made.extras, &bucket, &name)?;
        self.uploads.completed(which, made.extras.etag.as_deref().unwrap_or_default())?;
        Ok(completed(made.extras.etag()))
    }
}

/// Parses `bytes=first-last`; both ends are required and must lie within the source.
fn stretch(text: &str, size: u64) -> S3Result<(u64, u64)> {
    let span = text.strip_prefix("bytes=").and_then(|span| span.split_once('-'));
    let span = span.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    match span {
        Some((first, last)) if first <= last && last < size => Ok((first, last + 1)),
        Some(_) => Err(s3_error!(InvalidArgument, "Range specified is not valid for source object of size: {}", size)),
        None => Err(s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
             zero-based offsets of the first and last bytes to copy"
        )),
    }
}

/// Concatenates these files.
struct Pieces {
    folder: Arc<Folder>,
    names: std::vec::IntoIter<String>,
    file: Option<std::fs::File>,
}

impl Pieces {
    fn more(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let Some(file) = &mut self.file else {
                let Some(next) = self.names.next() else { return Ok(None) };
                self.file = Some(storage::open(&self.folder.parts, &next)?);
                continue;
            };
            let mut piece = vec![0; CHUNK];
            let length = file.read(&mut piece)?;
            if length > 0 {
                piece.truncate(length);
                return Ok(Some(piece.into()));
            }
            self.file = None;
        }
    }
}

impl Iterator for Pieces {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        self.more().transpose()
    }
}
