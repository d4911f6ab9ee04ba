//! OpenDAL over its default HTTP transport, which is reqwest.
//!
//! - No layers: neither retries nor logging, which an application would add.
//! - It never signs payloads, so it has no rows with signed bodies.
//! - Its own uploads and downloads: a writer and a reader with `chunk` and `concurrent`.
//! - TLS: trusts the certificates of `SSL_CERT_FILE`.

use anyhow::Result;
use bytes::Bytes;
use futures::TryStreamExt;
use opendal::Operator;
use opendal::services::S3;

use super::{Client, Large, Target};
use crate::server::{BUCKET, SECRET_KEY};

pub struct OpenDal {
    operator: Operator,
}

impl OpenDal {
    async fn count(reader: opendal::Reader) -> Result<u64> {
        let mut pieces = reader.into_stream(..).await?;
        let mut count = 0;
        while let Some(piece) = pieces.try_next().await? {
            count += piece.len() as u64;
        }
        Ok(count)
    }
}

impl Client for OpenDal {
    type Shared = ();

    fn shared() -> Result<()> {
        opendal::install_default();
        Ok(())
    }

    async fn open(_: &(), target: &Target) -> Result<Self> {
        let service = S3::default()
            .bucket(BUCKET)
            .endpoint(&target.endpoint)
            .region("us-east-1")
            .access_key_id(&target.access_key)
            .secret_access_key(SECRET_KEY)
            .disable_config_load()
            .disable_ec2_metadata();
        Ok(OpenDal { operator: Operator::new(service)? })
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        self.operator.write(key, body).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<u64> {
        Self::count(self.operator.reader(key).await?).await
    }

    async fn head(&self, key: &str) -> Result<u64> {
        Ok(self.operator.stat(key).await?.content_length())
    }

    async fn list(&self, prefix: &str) -> Result<u64> {
        let mut entries = self.operator.lister_with(prefix).recursive(true).await?;
        let mut count = 0;
        while entries.try_next().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    async fn upload(&self, key: &str, large: Large) -> Result<()> {
        let part = usize::try_from(large.part)?;
        let mut writer = self.operator.writer_with(key).chunk(part).concurrent(large.at_once).await?;
        for body in large.bodies() {
            writer.write(body).await?;
        }
        writer.close().await?;
        Ok(())
    }

    async fn download(&self, key: &str, large: Large) -> Result<u64> {
        let part = usize::try_from(large.part)?;
        Self::count(self.operator.reader_with(key).chunk(part).concurrent(large.at_once).await?).await
    }
}
