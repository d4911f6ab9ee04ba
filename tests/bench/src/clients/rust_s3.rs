//! `rust-s3`, on tokio and rustls.
//!
//! - Path style, and its defaults otherwise.
//! - It always signs the payload, so it has no rows with unsigned bodies.
//! - Bodies are read as a stream, because collecting them first would only cost more.
//! - Its own streamed upload sizes parts and concurrency by the machine's memory, so parts are sent concurrently here, as
//!   for the others. It takes a part as a `Vec`, which must be filled.
//! - TLS: it knows only Mozilla's authorities, so it accepts any certificate here, and skips verifying the chain.

use anyhow::{Result, bail};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use s3::creds::Credentials;
use s3::{Bucket, Region};

use super::{Client, Large, Target, parts};
use crate::server::{BUCKET, SECRET_KEY};

const CONTENT_TYPE: &str = "application/octet-stream";

#[derive(Clone)]
pub struct RustS3 {
    bucket: Box<Bucket>,
}

impl Client for RustS3 {
    type Shared = ();

    fn shared() -> Result<()> {
        Ok(())
    }

    async fn open(_: &(), target: &Target) -> Result<Self> {
        let region = Region::Custom { region: "us-east-1".to_owned(), endpoint: target.endpoint.clone() };
        let credentials = Credentials::new(Some(&target.access_key), Some(SECRET_KEY), None, None, None)?;
        let mut bucket = Bucket::new(BUCKET, region, credentials)?.with_path_style();
        if target.ca_file.is_some() {
            bucket = Box::new(bucket.set_dangerous_config(true, true)?);
        }
        Ok(RustS3 { bucket })
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        self.bucket.put_object(key, &body).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<u64> {
        let mut response = self.bucket.get_object_stream(key).await?;
        let mut count = 0;
        while let Some(piece) = response.bytes().next().await {
            count += piece?.len() as u64;
        }
        Ok(count)
    }

    async fn head(&self, key: &str) -> Result<u64> {
        let (head, _) = self.bucket.head_object(key).await?;
        Ok(u64::try_from(head.content_length.unwrap_or_default())?)
    }

    async fn list(&self, prefix: &str) -> Result<u64> {
        let pages = self.bucket.list(prefix.to_owned(), None).await?;
        Ok(pages.iter().map(|page| page.contents.len() as u64).sum())
    }

    async fn upload(&self, key: &str, large: Large) -> Result<()> {
        let upload = self.bucket.initiate_multipart_upload(key, CONTENT_TYPE).await?.upload_id;
        let bodies = (1..).zip(large.bodies()).map(|(number, body)| {
            let (bucket, key, upload) = (self.bucket.clone(), key.to_owned(), upload.clone());
            async move { Ok(bucket.put_multipart_chunk(body.to_vec(), &key, number, &upload, CONTENT_TYPE).await?) }
        });
        let sent = parts::side_by_side(large.at_once, bodies).try_collect().await?;
        self.bucket.complete_multipart_upload(key, &upload, sent).await?;
        Ok(())
    }

    async fn download(&self, key: &str, large: Large) -> Result<u64> {
        let ranges = large.ranges().map(|range| {
            let (bucket, key) = (self.bucket.clone(), key.to_owned());
            async move {
                let response = bucket.get_object_range(&key, range.start, Some(range.end - 1)).await?;
                if response.status_code() != 206 {
                    bail!("the server responded with {} to a range", response.status_code());
                }
                Ok(vec![response.into_bytes()])
            }
        });
        parts::fetch(large.at_once, ranges).await
    }
}
