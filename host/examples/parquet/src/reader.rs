//! A reader for `parquet`, which fetches ranges of a blob.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

/// A file in a store.
pub struct Reader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

impl Reader {
    pub async fn open(store: Arc<dyn ObjectStore>, path: &Path) -> object_store::Result<Self> {
        let size = store.head(path).await?.size;
        Ok(Reader { store, path: path.clone(), size })
    }
}

fn failed(error: object_store::Error) -> ParquetError {
    ParquetError::External(error.into())
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move { self.store.get_range(&self.path, range).await.map_err(failed) }.boxed()
    }

    /// Adjacent ranges are fetched in one request.
    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(failed) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let (reader, size) = (ParquetMetaDataReader::new().with_arrow_reader_options(options), self.size);
            reader.load_and_finish(self, size).await.map(Arc::new)
        }
        .boxed()
    }
}
