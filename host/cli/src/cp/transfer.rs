//! The transfer of one file or blob, never whole in memory.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use futures::StreamExt;
use sandbucket::{Blob, Error};
use tokio::sync::watch;

use super::plan::{Item, Place, make_folder};
use super::properties::Properties;
use super::{Job, content};
use crate::destination::Destination;
use crate::failure::Failure;
use crate::fetch::fetch;
use crate::source::Source;
use crate::text;
use crate::upload_source::upload_source;

/// A completed copy.
#[derive(Debug, Default)]
pub struct Copied {
    /// Length in bytes.
    pub size: u64,
    /// Names of the properties that were left out, for people.
    pub dropped: Vec<String>,
}

impl From<u64> for Copied {
    fn from(size: u64) -> Self {
        Copied { size, dropped: Vec::new() }
    }
}

/// Copies it; `None` if the copy was not needed.
pub async fn run(job: &Job, item: &Item) -> Result<Option<Copied>, Failure> {
    if *job.stopped.borrow() {
        return Err(Failure::interrupted());
    }
    if is_equal(job, item, true).await? {
        return Ok(None);
    }
    copy(job, item).await.map(Some)
}

/// Whether the existing file already has the content of the blob; with `date`, the file then gets the blob's date.
pub async fn is_equal(job: &Job, item: &Item, date: bool) -> Result<bool, Failure> {
    let (Some((etag, modified)), Some(size), Place::Local(file)) = (&item.unless_equal, item.size, &item.to) else {
        return Ok(false);
    };
    let (file, etag, modified, part_size) = (file.clone(), etag.clone(), *modified, job.sizes.part_size);
    let compared = tokio::task::spawn_blocking(move || {
        let set = |file: std::fs::File| file.set_modified(modified);
        content::has_tag(&file, size, &etag, part_size).unwrap_or(false)
            && (!date || std::fs::File::options().write(true).open(&file).and_then(set).is_ok())
    });
    tokio::select! {
        compared = compared => Ok(compared.unwrap_or(false)),
        () = stopped(job) => Err(Failure::interrupted()),
    }
}

async fn copy(job: &Job, item: &Item) -> Result<Copied, Failure> {
    let size = match (&item.from, &item.to) {
        (Place::Local(file), Place::Store { key, .. }) => {
            let source = tokio::select! {
                source = Source::open(file) => source?,
                () = stopped(job) => return Err(Failure::interrupted()),
            };
            upload(job, source, key, text::media_type(file)).await?
        }
        (Place::Stream, Place::Store { key, .. }) => upload(job, Source::stdin()?, key, None).await?,
        (Place::Store { key, .. }, Place::Local(file)) => tokio::select! {
            outcome = download(job, key, Some(file)) => outcome?,
            () = stopped(job) => return Err(Failure::interrupted()),
        },
        (Place::Store { key, .. }, Place::Stream) => tokio::select! {
            outcome = download(job, key, None) => outcome?,
            () = stopped(job) => return Err(Failure::interrupted()),
        },
        (Place::Store { key: from, .. }, Place::Store { key: to, .. }) if job.same => within(job, from, to).await?,
        (Place::Store { key: from, .. }, Place::Store { key: to, .. }) => return across(job, from, to).await,
        // The caller ensures that one of the two is in the store.
        (_, Place::Local(_) | Place::Stream) => 0,
    };
    Ok(size.into())
}

async fn stopped(job: &Job) {
    let mut stopped: watch::Receiver<bool> = job.stopped.clone();
    // If the sender is dropped, nobody can stop the transfer.
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending().await
    }
}

async fn upload(job: &Job, source: Source, key: &str, media_type: Option<&str>) -> Result<u64, Failure> {
    let mut upload = job.sizes.apply(with(&job.attributes, job.to.upload(key)), source.length());
    if let Some(media_type) = media_type {
        upload = upload.content_type(media_type);
    }
    let (done, _) = upload_source(upload, source, |bytes| job.passed(bytes), stopped(job)).await?;
    Ok(done)
}

/// Adds the attributes of a write.
fn with(attributes: &[(String, String)], upload: sandbucket::Upload) -> sandbucket::Upload {
    attributes.iter().fold(upload, |upload, (name, value)| upload.attribute(name, value))
}

/// To a file, or to standard output if there is none.
async fn download(job: &Job, key: &str, file: Option<&Path>) -> Result<u64, Failure> {
    let blob = job.from.get(key).await?;
    // Opened first, so that errors of the file appear before much is read.
    let mut destination = match file {
        Some(file) => {
            make_folder(file)?;
            Destination::open(file).await?
        }
        None => Destination::stdout()?,
    };
    let modified = blob.info().last_modified;
    let mut blob = fetch(&job.from, key, blob).await?;
    let mut done = 0;
    while let Some(chunk) = blob.next().await {
        let chunk = chunk?;
        destination.write(&chunk).await?;
        done += chunk.len() as u64;
        job.passed(chunk.len() as u64);
    }
    destination.finish(modified, false).await?;
    Ok(done)
}

/// A copy by the service.
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

/// From one store to another through this machine, with the blob's properties.
async fn across(job: &Job, from: &str, to: &str) -> Result<Copied, Failure> {
    loop {
        let blob = job.from.get(from).await?;
        let mut properties = Properties::of(blob.info(), &job.attributes);
        let dropped = job.accepted.as_ref().map(|accepted| accepted.drop_unsupported(&mut properties));
        let received = AtomicU64::new(0);
        let upload = job.sizes.apply(with(&job.attributes, job.to.upload(to)), blob.info().known_size());
        match send(job, blob, properties.add_to(upload), &received).await {
            Ok(()) => return Ok(Copied { size: received.into_inner(), dropped: dropped.unwrap_or_default() }),
            // The next attempt leaves out what was just learned to be unsupported, so it does not fail for the same reason.
            Err(error) if job.accepted.as_ref().is_some_and(|accepted| accepted.learn(&properties, &error)) => {
                job.through.fetch_sub(received.into_inner(), Relaxed);
            }
            Err(error) if job.accepted.is_some() => return Err(error.into()),
            Err(error) => return Err(properties.failure(error)),
        }
    }
}

/// Uploads the body of a blob, and counts its bytes.
async fn send(job: &Job, blob: Blob, upload: sandbucket::Upload, received: &AtomicU64) -> Result<(), Error> {
    let pieces = blob.inspect(|piece| {
        if let Ok(piece) = piece {
            received.fetch_add(piece.len() as u64, Relaxed);
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
    upload.stream(body).await.map(drop)
}
