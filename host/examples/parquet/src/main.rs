//! Writes a Parquet file to a bucket through the sandboxed plugin, and reads it column by column, fetching only the
//! required ranges.
//!
//! `make example` runs it on the dev server. With a configuration as its argument it uses that store: `cargo run --package
//! sandbucket-parquet-example -- sandbucket.toml`.

mod reader;

use std::env;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow_array::{Array, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use futures::TryStreamExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowPredicateFn, RowFilter};
use parquet::arrow::async_writer::AsyncArrowWriter;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::file::properties::WriterProperties;
use reader::Reader;
use sandbucket::{Config, Engine, Store, StoreOptions};
use sandbucket_dev_server::DevServer;
use sandbucket_object_store::SandbucketStore;

/// Number of readings, and readings per row group.
const READINGS: i32 = 200_000;
const GROUP: usize = 50_000;

#[tokio::main]
async fn main() -> Result<()> {
    let (store, server) = open().await?;
    let store: Arc<dyn ObjectStore> = Arc::new(SandbucketStore::new(store));
    let path = Path::from("weather/readings.parquet");

    write(store.clone(), &path).await.context("writing the file")?;
    let meta = store.head(&path).await?;
    println!("wrote {READINGS} readings into {path}: {} bytes, in parts", meta.size);

    let (rows, mean) = mean_of(store.clone(), &path, 7).await.context("reading the file")?;
    println!("station 7 has {rows} readings, of {mean:.3} degrees on average");
    let expected: Vec<f64> = (0..READINGS).filter(|n| n % 16 == 7).map(degrees).collect();
    ensure!(rows == expected.len(), "there should be {} of them", expected.len());
    ensure!((mean - expected.iter().sum::<f64>() / rows as f64).abs() < 1e-9, "that is not their average");

    store.delete(&path).await?;
    if let Some(server) = server {
        server.stop().await;
    }
    Ok(())
}

/// The configured store, or one on a dev server.
async fn open() -> Result<(Store, Option<DevServer>)> {
    if let Some(file) = env::args_os().nth(1) {
        let config = Config::load(file)?;
        let engine = config.engine().build()?;
        return Ok((config.open(&engine).await?, None));
    }
    let server = DevServer::builder().credentials("an-access-key", "a-secret-key").buckets(["weather"]).start().await?;
    let options = StoreOptions::new()
        .setting("bucket", "weather")
        .setting("endpoint", server.endpoint())
        .setting("access-key", "an-access-key")
        .setting("secret-key", "a-secret-key")
        // The server is on this machine.
        .allow_private();
    let engine = Engine::builder().build()?;
    Ok((engine.open(options).await?, Some(server)))
}

fn degrees(reading: i32) -> f64 {
    f64::from(reading % 400) / 10.0 - 10.0
}

/// Writes the readings as a multipart upload.
async fn write(store: Arc<dyn ObjectStore>, path: &Path) -> Result<()> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("station", DataType::Int32, false),
        Field::new("degrees", DataType::Float64, false),
        Field::new("remark", DataType::Utf8, false),
    ]));
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(GROUP)).build();
    let writer = BufWriter::new(store, path.clone());
    let mut writer = AsyncArrowWriter::try_new(writer, schema.clone(), Some(properties))?;
    let readings: Vec<i32> = (0..READINGS).collect();
    for some in readings.chunks(10_000) {
        let stations = Int32Array::from_iter_values(some.iter().map(|n| n % 16));
        let degrees = Float64Array::from_iter_values(some.iter().map(|n| degrees(*n)));
        let remarks =
            StringArray::from_iter_values(some.iter().map(|n| format!("reading {n}, with nothing to remark")));
        let batch =
            RecordBatch::try_new(schema.clone(), vec![Arc::new(stations), Arc::new(degrees), Arc::new(remarks)])?;
        writer.write(&batch).await?;
    }
    writer.close().await?;
    Ok(())
}

/// The number of readings of a station, and their average: fetches two of three columns.
async fn mean_of(store: Arc<dyn ObjectStore>, path: &Path, station: i32) -> Result<(usize, f64)> {
    let builder = ParquetRecordBatchStreamBuilder::new(Reader::open(store, path).await?).await?;
    println!("the file has {} row groups", builder.metadata().num_row_groups());
    let column = |name| ProjectionMask::columns(builder.parquet_schema(), [name]);
    let (stations, degrees) = (column("station"), column("degrees"));
    let of_station = ArrowPredicateFn::new(stations, move |batch| {
        let stations = batch.column(0).as_any().downcast_ref::<Int32Array>().cloned();
        let stations = stations.unwrap_or_else(|| Int32Array::new_null(batch.num_rows()));
        Ok(stations.iter().map(|there| there.map(|there| there == station)).collect())
    });
    let mut batches =
        builder.with_projection(degrees).with_row_filter(RowFilter::new(vec![Box::new(of_station)])).build()?;
    let (mut rows, mut sum) = (0, 0.0);
    while let Some(batch) = batches.try_next().await? {
        let degrees = batch.column(0).as_any().downcast_ref::<Float64Array>();
        let degrees = degrees.context("a column of numbers")?;
        rows += degrees.len();
        sum += degrees.iter().flatten().sum::<f64>();
    }
    Ok((rows, sum / rows as f64))
}
