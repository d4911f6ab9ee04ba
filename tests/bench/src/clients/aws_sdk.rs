//! `aws-sdk-s3`, AWS's own, over its default HTTP client.
//!
//! - Static credentials, path style, no endpoint discovery: no lookups.
//! - Checksums only where they are required, which is for no row: by default it adds a CRC to each body, as no other client
//!   here does.
//! - The payload is signed, its default over http, or not, by its own customisation.
//! - Default retries, timeouts and stalled-stream protection.
//! - It transfers one part at a time; concurrency is up to the application.
//! - TLS: trusts the certificates of `SSL_CERT_FILE`.

use anyhow::{Context, Result};
use aws_sdk_s3::Config;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures::TryStreamExt;

use super::{Client, Large, Target, parts};
use crate::rows::Payload;
use crate::server::{BUCKET, SECRET_KEY};

#[derive(Clone)]
pub struct AwsSdk {
    client: aws_sdk_s3::Client,
    payload: Payload,
}

impl AwsSdk {
    async fn part(&self, key: &str, upload: &str, number: i32, body: Bytes) -> Result<CompletedPart> {
        let part = self.client.upload_part().bucket(BUCKET).key(key).upload_id(upload).part_number(number);
        let part = part.body(ByteStream::from(body)).customize();
        let sent = match self.payload {
            Payload::Signed => part.send().await?,
            Payload::Unsigned => part.disable_payload_signing().send().await?,
        };
        Ok(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build())
    }
}

impl Client for AwsSdk {
    type Shared = ();

    fn shared() -> Result<()> {
        Ok(())
    }

    async fn open(_: &(), target: &Target) -> Result<Self> {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&target.endpoint)
            .credentials_provider(Credentials::new(&target.access_key, SECRET_KEY, None, None, "benchmark"))
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Ok(AwsSdk { client: aws_sdk_s3::Client::from_conf(config), payload: target.payload })
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let put = self.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body)).customize();
        match self.payload {
            Payload::Signed => put.send().await?,
            Payload::Unsigned => put.disable_payload_signing().send().await?,
        };
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<u64> {
        let mut body = self.client.get_object().bucket(BUCKET).key(key).send().await?.body;
        let mut count = 0;
        while let Some(piece) = body.try_next().await? {
            count += piece.len() as u64;
        }
        Ok(count)
    }

    async fn head(&self, key: &str) -> Result<u64> {
        let head = self.client.head_object().bucket(BUCKET).key(key).send().await?;
        Ok(u64::try_from(head.content_length.unwrap_or_default())?)
    }

    async fn list(&self, prefix: &str) -> Result<u64> {
        let mut pages = self.client.list_objects_v2().bucket(BUCKET).prefix(prefix).into_paginator().send();
        let mut count = 0;
        while let Some(page) = pages.try_next().await? {
            count += page.contents().len() as u64;
        }
        Ok(count)
    }

    async fn upload(&self, key: &str, large: Large) -> Result<()> {
        let begun = self.client.create_multipart_upload().bucket(BUCKET).key(key).send().await?;
        let upload = begun.upload_id.context("the upload has no id")?;
        let bodies = (1..).zip(large.bodies()).map(|(number, body)| {
            let (client, key, upload) = (self.clone(), key.to_owned(), upload.clone());
            async move { client.part(&key, &upload, number, body).await }
        });
        let sent = parts::side_by_side(large.at_once, bodies).try_collect().await?;
        let end = self.client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(upload);
        end.multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(sent)).build()).send().await?;
        Ok(())
    }

    async fn download(&self, key: &str, large: Large) -> Result<u64> {
        let ranges = large.ranges().map(|range| {
            let (client, key) = (self.clone(), key.to_owned());
            async move {
                let range = format!("bytes={}-{}", range.start, range.end - 1);
                let mut body = client.client.get_object().bucket(BUCKET).key(key).range(range).send().await?.body;
                let mut pieces = Vec::new();
                while let Some(piece) = body.try_next().await? {
                    pieces.push(piece);
                }
                Ok(pieces)
            }
        });
        parts::fetch(large.at_once, ranges).await
    }
}
