//! The contract's operations on one store, each in an instance of its pool.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::bindings::wit;
use crate::blob::{BlobInfo, Written};
use crate::error::{Error, Failure, Result};
use crate::instance::Asked;
use crate::limits::Limits;
use crate::pool::{Pool, PoolStatus};
use crate::transport::Progress;

/// A call under way.
pub type Call<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// A store's operations, as the contract has them.
#[derive(Clone)]
pub(crate) struct Calls {
    pool: Arc<Pool>,
}

impl Calls {
    /// Opens the store in a first instance, which tells whether the settings are right.
    pub(crate) async fn open(pool: Arc<Pool>) -> Result<Calls> {
        let mut call = wit::CallOptions { time_limit: None, attributes: Vec::new() };
        let mut first = pool.lease("opening the store", &mut call).await?;
        first.give_back();
        drop(first);
        Ok(Calls { pool })
    }

    pub(crate) fn status(&self) -> PoolStatus {
        self.pool.status()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.pool.engine().limits
    }

    fn asked<'a>(&'a self, key: &'a str, call: &wit::CallOptions) -> Asked<'a> {
        let time_limit = call.time_limit.map(std::time::Duration::from_nanos);
        Asked { key, limits: self.limits(), time_limit }
    }

    #[tracing::instrument(level = "debug", skip_all, fields(key), err(level = "debug"))]
    pub(crate) async fn head(&self, key: &str, options: &mut wit::HeadOptions) -> Result<BlobInfo> {
        let mut lease = self.pool.lease("head", &mut options.call).await?;
        let ended = lease.instance()?.head(self.asked(key, &options.call), options).await;
        lease.end(ended).map(BlobInfo::from)
    }

    #[tracing::instrument(level = "debug", skip_all, fields(key), err(level = "debug"))]
    pub(crate) async fn get(&self, key: &str, options: &mut wit::ReadOptions) -> Result<Piece> {
        let mut lease = self.pool.lease("get", &mut options.call).await?;
        let ended = lease.instance()?.get(self.asked(key, &options.call), options).await;
        Piece::checked(lease.end(ended)?, options.range)
    }

    #[tracing::instrument(level = "debug", skip_all, fields(key, size = body.len()), err(level = "debug"))]
    pub(crate) async fn put(
        &self,
        key: &str,
        body: &[u8],
        options: &mut wit::WriteOptions,
        progress: Option<Progress>,
    ) -> Result<Written> {
        let mut lease = self.pool.lease("put", &mut options.call).await?;
        let ended = lease.instance()?.put(self.asked(key, &options.call), body, options, progress).await;
        lease.end(ended).map(Written::from)
    }

    #[tracing::instrument(level = "debug", skip_all, fields(key), err(level = "debug"))]
    pub(crate) async fn delete(&self, key: &str, options: &mut wit::DeleteOptions) -> Result<()> {
        let mut lease = self.pool.lease("delete", &mut options.call).await?;
        let ended = lease.instance()?.delete(self.asked(key, &options.call), options).await;
        lease.end(ended)
    }
}

/// One answer of the plugin, found to be what it says.
pub(crate) struct Piece {
    pub(crate) info: BlobInfo,
    pub(crate) range: Range<u64>,
    pub(crate) body: Bytes,
}

impl Piece {
    /// A plugin is not trusted to count, nor to give the bytes that were asked for.
    fn checked(blob: wit::Blob, asked: wit::ByteRange) -> Result<Piece> {
        let wit::Blob { info, range: wit::Span { start, end }, body } = blob;
        if end.checked_sub(start) != Some(body.len() as u64) || end > info.size {
            let message = format!(
                "get: the plugin gave {} bytes for the range {start} to {end} of a blob of {}",
                body.len(),
                info.size
            );
            return Err(Error::Integrity(Failure::ours("body", message)));
        }
        let wanted = wanted(asked, info.size);
        if wanted != (start..end) {
            let message = format!("get: the plugin gave the range {start} to {end} where {wanted:?} was asked for");
            return Err(Error::Integrity(Failure::ours("body", message)));
        }
        Ok(Piece { info: info.into(), range: start..end, body: body.into() })
    }
}

/// The bytes that this range is of a blob of this size.
pub(crate) fn wanted(range: wit::ByteRange, size: u64) -> Range<u64> {
    match range {
        wit::ByteRange::Whole => 0..size,
        wit::ByteRange::From(start) => start..size,
        wit::ByteRange::Within(span) => span.start..span.end.min(size),
        wit::ByteRange::Last(count) => size.saturating_sub(count)..size,
    }
}

/// A read that is made in any case.
pub(crate) fn no_conditions() -> wit::ReadConditions {
    wit::ReadConditions { if_match: None, if_none_match: None, if_modified_since: None, if_unmodified_since: None }
}
