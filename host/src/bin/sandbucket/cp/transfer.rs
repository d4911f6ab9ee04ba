//! One thing, from here to there, never whole in memory.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use sandbucket::Error;
use tokio::io::AsyncRead;
use tokio::sync::watch;

use super::Job;
use super::plan::{Item, Place, parent};
use crate::failure::Failure;
use crate::fetch::fetch;
use crate::get::beside;
use crate::output::stdout_failed;
use crate::pour::pour;
use crate::text;

/// Copies it, and gives its length.
pub async fn run(job: &Job, item: &Item) -> Result<u64, Failure> {
    if *job.stopped.borrow() {
        return Err(Failure::interrupted());
    }
    match (&item.from, &item.to) {
        (Place::Local(file), Place::Store(key)) => {
            let opened = tokio::fs::File::open(file).await.map_err(|e| Failure::file("reading", file, &e))?;
            upload(job, opened, key, item.size, text::media_type(file)).await
        }
        (Place::Stream, Place::Store(key)) => upload(job, tokio::io::stdin(), key, None, None).await,
        (Place::Store(key), Place::Local(file)) => download(job, key, file).await,
        (Place::Store(key), Place::Stream) => {
            let blob = fetch(&job.from, key, job.from.get(key).await?).await?;
            let size = pass(job, blob, |chunk| io::stdout().write_all(chunk).map_err(stdout_failed)).await?;
            io::stdout().flush().map_err(stdout_failed)?;
            Ok(size)
        }
        (Place::Store(from), Place::Store(to)) if job.same => within(job, from, to).await,
        (Place::Store(from), Place::Store(to)) => across(job, from, to).await,
        // The command has seen to it that one of the two is in the store.
        (_, Place::Local(_) | Place::Stream) => Ok(0),
    }
}

async fn stopped(job: &Job) {
    let mut stopped: watch::Receiver<bool> = job.stopped.clone();
    // Where nobody can stop it any more, it goes on.
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending().await
    }
}

async fn upload(
    job: &Job,
    source: impl AsyncRead + Unpin,
    key: &str,
    size: Option<u64>,
    media_type: Option<&str>,
) -> Result<u64, Failure> {
    let mut upload = with(&job.attributes, job.to.upload(key));
    if let Some(size) = size {
        upload = upload.length_hint(size);
    }
    if let Some(media_type) = media_type {
        upload = upload.content_type(media_type);
    }
    let name = format!("what goes to {key}");
    let (done, _) = pour(upload, source, &name, |bytes| job.passed(bytes), stopped(job)).await?;
    Ok(done)
}

/// The attributes of a write.
fn with(attributes: &[(String, String)], upload: sandbucket::Upload) -> sandbucket::Upload {
    attributes.iter().fold(upload, |upload, (name, value)| upload.attribute(name, value))
}

/// To a file that appears when it is complete.
async fn download(job: &Job, key: &str, file: &Path) -> Result<u64, Failure> {
    let failed = |e: io::Error| Failure::file("writing", file, &e);
    let blob = fetch(&job.from, key, job.from.get(key).await?).await?;
    std::fs::create_dir_all(parent(file)).map_err(failed)?;
    let mut half = beside(file).map_err(failed)?;
    let size = pass(job, blob, |chunk| half.write_all(chunk).map_err(failed)).await?;
    half.persist(file).map_err(|e| failed(e.error))?;
    Ok(size)
}

async fn pass(
    job: &Job,
    mut blob: BoxStream<'static, Result<Bytes, Error>>,
    mut write: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut done = 0;
    loop {
        let chunk = tokio::select! {
            chunk = blob.next() => chunk,
            () = stopped(job) => return Err(Failure::interrupted()),
        };
        let Some(chunk) = chunk else { return Ok(done) };
        let chunk = chunk?;
        tokio::task::block_in_place(|| write(&chunk))?;
        done += chunk.len() as u64;
        job.passed(chunk.len() as u64);
    }
}

/// By the service itself.
async fn within(job: &Job, from: &str, to: &str) -> Result<u64, Failure> {
    let copy = job.attributes.iter().fold(job.from.copy(from, to), |copy, (name, value)| copy.attribute(name, value));
    tokio::select! {
        copied = copy.into_future() => copied?,
        () = stopped(job) => return Err(Failure::interrupted()),
    };
    let size = job.to.head(to).await?.known_size().unwrap_or(0);
    job.passed(size);
    Ok(size)
}

/// From one store to another, through here, with what the blob is stored with.
async fn across(job: &Job, from: &str, to: &str) -> Result<u64, Failure> {
    let blob = job.from.get(from).await?;
    let info = blob.info().clone();
    let mut upload = with(&job.attributes, job.to.upload(to));
    if let Some(size) = info.known_size() {
        upload = upload.length_hint(size);
    }
    if let Some(media_type) = info.content_type {
        upload = upload.content_type(media_type);
    }
    for (name, value) in info.metadata {
        upload = upload.metadata(name, value);
    }
    for (name, value) in info.attributes {
        let given = job.attributes.iter().any(|(given, _)| *given == name);
        if !given && (name == "cache-control" || name == "expires" || name.starts_with("content-")) {
            upload = upload.attribute(name, value);
        }
    }
    let came = AtomicU64::new(0);
    let pieces = blob.inspect(|piece| {
        if let Ok(piece) = piece {
            came.fetch_add(piece.len() as u64, Relaxed);
            job.passed(piece.len() as u64);
        }
    });
    let stop = async {
        stopped(job).await;
        Err::<Bytes, Error>(Error::Io {
            doing: "copying".to_owned(),
            source: std::sync::Arc::new(io::ErrorKind::Interrupted.into()),
        })
    };
    let stop = futures::stream::once(stop);
    let ending = futures::stream::select(pieces.map(Some).chain(futures::stream::once(async { None })), stop.map(Some));
    let body = ending.take_while(|piece| std::future::ready(piece.is_some())).filter_map(std::future::ready);
    upload.stream(body).await?;
    Ok(came.load(Relaxed))
}
