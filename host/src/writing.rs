//! Bodies on their way to the service: small ones by way of the plugin, the others past it.

use std::time::Duration;

use futures::TryStreamExt;
use wasmtime_wasi::p2::DynOutputStream;

use crate::bindings::wit::DigestAlgorithm;
use crate::bindings::{multipart, wit};
use crate::blob::Written;
use crate::body::{Chunks, Pieces};
use crate::calls::Calls;
use crate::digest;
use crate::error::{Error, Result};
use crate::multipart::Part;
use crate::pool::Lease;
use crate::sandbox::Ended;
use crate::streams;
use crate::transport::Progress;

/// What is written.
enum Target<'a> {
    Blob(&'a wit::WriteOptions),
    Part { upload: &'a str, number: u32, options: &'a multipart::PartOptions },
}

/// What came of a write.
enum Outcome {
    Blob(Written),
    Part(Part),
}

impl Calls {
    /// Writes a blob whose bytes are here.
    pub(crate) async fn put(
        &self,
        key: &str,
        body: &Chunks,
        options: &mut wit::WriteOptions,
        progress: Option<Progress>,
    ) -> Result<Written> {
        let mut wanted = self.wanted_digests().to_vec();
        if !matches!(options.condition, wit::WriteCondition::Always) && !wanted.contains(&DigestAlgorithm::Md5) {
            // By which the plugin finds out what became of it, should an answer be lost.
            wanted.push(DigestAlgorithm::Md5);
        }
        options.digests = digest::of(body, &wanted).await;
        if body.length() <= self.limits().inline_body as u64 {
            return self.put_inline(key, &body.joined(), options, progress).await;
        }
        let past = Past { calls: self, key, length: body.length(), progress };
        let lease = self.lease("put", &mut options.call).await?;
        match Box::pin(past.write(lease, Target::Blob(options), body)).await? {
            Some(Outcome::Blob(written)) => Ok(written),
            None => self.put_inline(key, &body.joined(), options, past.progress).await,
            Some(Outcome::Part(_)) => Err(Error::plugin("the plugin gave a part for a blob")),
        }
    }

    /// Uploads a part whose bytes are here.
    pub(crate) async fn upload_part(
        &self,
        key: &str,
        (upload, number): (&str, u32),
        body: &Chunks,
        options: &mut multipart::PartOptions,
        progress: Option<Progress>,
    ) -> Result<Part> {
        options.digests = digest::of(body, self.wanted_digests()).await;
        if body.length() <= self.limits().inline_body as u64 {
            return self.part_inline(key, upload, number, &body.joined(), options, progress).await;
        }
        let past = Past { calls: self, key, length: body.length(), progress };
        let lease = self.lease("upload a part", &mut options.call).await?;
        match Box::pin(past.write(lease, Target::Part { upload, number, options }, body)).await? {
            Some(Outcome::Part(part)) => Ok(part),
            None => self.part_inline(key, upload, number, &body.joined(), options, past.progress).await,
            Some(Outcome::Blob(_)) => Err(Error::plugin("the plugin gave a blob for a part")),
        }
    }

    /// Writes a blob from a stream of this length, whose bytes come once: the store must want no digests of them.
    pub(crate) async fn put_stream(
        &self,
        key: &str,
        (length, mut pieces): (u64, Pieces),
        options: &mut wit::WriteOptions,
        progress: Option<Progress>,
    ) -> Result<Written> {
        let past = Past { calls: self, key, length, progress };
        let mut lease = self.lease("put", &mut options.call).await?;
        let mut sink = past.begin(&mut lease, &Target::Blob(options)).await?;
        let mut sent = 0;
        loop {
            let piece = match pieces.try_next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                // The instance goes with the lease, and the request with it.
                Err(error) => {
                    let doing = format!("put \"{key}\": reading what is to be written");
                    return Err(Error::Io { doing, source: std::sync::Arc::new(std::io::Error::other(error)) });
                }
            };
            if sent + piece.len() as u64 > length {
                return Err(past.not_the_length("goes on after"));
            }
            match streams::write(&mut sink, piece).await {
                Ok(count) => sent += count,
                Err(count) => {
                    sent += count;
                    drop(sink);
                    return past.end(lease, sent).await;
                }
            }
        }
        if sent < length {
            return Err(past.not_the_length(&format!("ended after {sent} of")));
        }
        drop(sink);
        past.end(lease, sent).await
    }
}

/// A write whose bytes go past the plugin.
struct Past<'a> {
    calls: &'a Calls,
    key: &'a str,
    length: u64,
    progress: Option<Progress>,
}

impl Past<'_> {
    /// Writes the body, from its beginning with each try that the plugin wants to make. None where the plugin has no
    /// streams to give.
    async fn write(&self, mut lease: Lease<'_>, target: Target<'_>, body: &Chunks) -> Result<Option<Outcome>> {
        let operation = target.operation();
        let mut sink = match self.begin(&mut lease, &target).await {
            Err(Error::Unsupported(told)) if told.attempts == 0 => return Ok(None),
            begun => begun?,
        };
        loop {
            let sent = streams::write_all(sink, body.pieces().cloned()).await;
            let failed = match self.finish(&mut lease, &target, sent).await {
                Ended::Well(Ok(outcome)) => return lease.end(Ended::Well(Ok(Some(outcome)))),
                Ended::Well(Err(error)) => error,
                Ended::Badly(error) => return lease.end(Ended::Badly(error)),
            };
            if !failed.is_retryable() {
                return lease.end(Ended::Well(Err(failed)));
            }
            // The plugin says whether there is another try, and waits until its time has come.
            let again = async |lease: &mut Lease<'_>| {
                let (sandbox, store) = lease.instance()?.parts();
                let begun = sandbox.begin(operation, self.calls.limits(), None, self.progress.clone());
                let functions = sandbox.plugin.sandbucket_blob_blob_store().store();
                let ended = begun.run(functions.call_again(&mut sandbox.store, store)).await;
                Ok::<_, Error>(sandbox.end(&begun, self.calls.limits(), ended))
            };
            sink = match again(&mut lease).await? {
                Ended::Well(Ok(stream)) => lease.instance()?.parts().0.take(stream)?,
                Ended::Well(Err(error)) => return lease.end(Ended::Well(Err(error))),
                Ended::Badly(error) => return lease.end(Ended::Badly(error)),
            };
        }
    }

    /// Begins the first try.
    async fn begin(&self, lease: &mut Lease<'_>, target: &Target<'_>) -> Result<DynOutputStream> {
        let (key, length) = (self.key, self.length);
        let (sandbox, store) = lease.instance()?.parts();
        let limit = target.call().time_limit.map(Duration::from_nanos);
        let begun = sandbox.begin(target.operation(), self.calls.limits(), limit, self.progress.clone());
        let functions = sandbox.plugin.sandbucket_blob_blob_store().store();
        let ended = match *target {
            Target::Blob(options) => {
                begun.run(functions.call_open_write(&mut sandbox.store, store, key, length, options)).await
            }
            Target::Part { upload, number, options } => {
                let asked = functions.call_open_part(&mut sandbox.store, store, key, upload, number, length, options);
                begun.run(asked).await
            }
        };
        let stream = match sandbox.end(&begun, self.calls.limits(), ended) {
            Ended::Well(Ok(stream)) => stream,
            Ended::Well(Err(error)) => {
                lease.give_back();
                return Err(error);
            }
            Ended::Badly(error) => return Err(error),
        };
        sandbox.take(stream)
    }

    /// Asks what came of a try.
    async fn finish(&self, lease: &mut Lease<'_>, target: &Target<'_>, sent: u64) -> Ended<Outcome> {
        let limits = self.calls.limits();
        let (sandbox, store) = match lease.instance() {
            Ok(instance) => instance.parts(),
            Err(error) => return Ended::Badly(error),
        };
        let begun = sandbox.begin(target.operation(), limits, None, None);
        let functions = sandbox.plugin.sandbucket_blob_blob_store().store();
        match target {
            Target::Blob(_) => {
                let ended = begun.run(functions.call_finish_write(&mut sandbox.store, store, sent)).await;
                sandbox.end(&begun, limits, ended).map(|written| Outcome::Blob(written.into()))
            }
            Target::Part { .. } => {
                let ended = begun.run(functions.call_finish_part(&mut sandbox.store, store, sent)).await;
                sandbox.end(&begun, limits, ended).map(|part| Outcome::Part(part.into()))
            }
        }
    }

    /// The end of a blob's write that is not tried again.
    async fn end(&self, mut lease: Lease<'_>, sent: u64) -> Result<Written> {
        let options = crate::requests::write_options(self.calls);
        let ended = self.finish(&mut lease, &Target::Blob(&options), sent).await;
        match lease.end(ended)? {
            Outcome::Blob(written) => Ok(written),
            Outcome::Part(_) => Err(Error::plugin("the plugin gave a part for a blob")),
        }
    }

    fn not_the_length(&self, what: &str) -> Error {
        let what = format!("the body {what} the {} bytes announced", self.length);
        Error::InvalidArgument(self.calls.failure("body", "put", self.key, &what))
    }
}

impl Target<'_> {
    fn operation(&self) -> &'static str {
        match self {
            Target::Blob(_) => "put",
            Target::Part { .. } => "upload a part",
        }
    }

    fn call(&self) -> &wit::CallOptions {
        match self {
            Target::Blob(options) => &options.call,
            Target::Part { options, .. } => &options.call,
        }
    }
}
